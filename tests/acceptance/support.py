"""A workplace for stories: a Slack with people in it, two relays, a database, and the real bot over them.

Everything waits for what is to be seen: in Slack, at the relays, or in the ledger.
"""

import asyncio
import contextlib
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path

from sqlalchemy import select, update

from bot import terminal
from bot.access import Actor
from bot.config import load_settings
from bot.demo.fakeslack import Delivery, FakeSlack, Message, User
from bot.demo.fakeslack.workspace import interactive
from bot.demo.relays import Received, Relay, RelayProcess
from bot.terminal import ImportWish
from storage import deliveries
from storage.models import Campaign, CampaignState, DeliveryStatus, Outage, Post, Resend, Server, Timeline
from storage.models import Message as MailRow
from tests.acceptance.running import PATIENCE, Running
from tests.seeds import add_campaign

NO_ALARM = {"probes__sending_failures_to_open": "1000"}
"""For stories in which half of the mail is turned away, and that is no outage."""


class Workplace(Running):
    """Made by `workplace`: what people do in it, what is seen, and the truth."""

    # What people do

    async def type(self, person: User, line: str, words: str = "") -> str:
        """Type a command; its answer, which must contain `words`, as plain text."""
        return await self.answer(await self.slack.command(person, self.ops, line), words)

    async def press(self, person: User, message: Message, action: str, *, stale: bool = False) -> Delivery:
        """Press a button once it is there; `stale` presses one that a newer version of the message has not."""
        if not stale:
            await self.until(lambda: action in buttons(message), f"the button {action}")
        return await self.slack.click(person, message, action, stale=stale)

    async def answer(self, delivery: Delivery, words: str = "") -> str:
        """What came back to a command or click, as text; it must contain `words`."""
        try:
            message = await self.until(
                lambda: next((each for each in delivery.responses if self.says(each, words)), None), f"{words!r}"
            )
        except AssertionError as error:
            said = [self.slack.plain(each) for each in delivery.responses]
            raise AssertionError(f"{error}\nIt was answered ({delivery.error}): {said}") from None
        assert isinstance(message, Message)
        return self.slack.plain(message)

    async def terminal(self, line: str, who: str = "sysop") -> str:
        """`holdfast do LINE --as WHO`, without the cost of a process."""
        with self.environment():
            settings = load_settings()
        actor = Actor(id=who, name=who, source="terminal")
        return (await terminal.do(settings, actor, line, ansi=False)).text

    async def import_campaign(self, name: str, recipients: int) -> str:
        """`holdfast import`: a message and a CSV, one of whose rows cannot be used. Returns what it says."""
        message, people = self.folder / "message.eml", self.folder / "recipients.csv"
        message.write_text(
            "From: Shop <shop@example.com>\nSubject: Spring sale for {{ name }}\nMIME-Version: 1.0\n"
            "Content-Type: text/plain; charset=utf-8\n\nHello {{ name }},\n\nthe sale has begun.\n"
        )
        rows = [f"p{n}@example.com,Person {n}" for n in range(1, recipients + 1)]
        people.write_text("\n".join(["email,name", *rows, "no address,Nobody"]) + "\n")
        wish = ImportWish(
            name=name,
            message=message,
            recipients=people,
            server="primary",
            html=None,
            text=None,
            subject="",
            sender="",
            reply_to="",
            expires=None,
        )
        actor = Actor(id="maria", name="Maria", source="terminal")
        with self.environment():
            said = await terminal.import_campaign(load_settings(), actor, wish)
        async with self.db.read() as tx:
            campaign_id = (await tx.scalars(select(Campaign.id).where(Campaign.name == name))).one()
        self.campaigns[campaign_id] = recipients
        return said

    async def campaign(self, recipients: int, name: str = "spring-sale", server: str = "primary") -> int:
        """A campaign that is ready to be started; the bot must run, as it knows the servers."""
        async with self.db.read() as tx:
            server_id = (await tx.scalars(select(Server.id).where(Server.name == server))).one()
        campaign_id = await add_campaign(self.db, server_id, recipients, name=name, state=CampaignState.SCHEDULED)
        async with self.db.transaction() as tx:
            await tx.execute(
                update(MailRow).where(MailRow.campaign_id == campaign_id).values(key=secrets.token_hex(16))
            )
        self.campaigns[campaign_id] = recipients
        return campaign_id

    # What is seen

    def says(self, message: Message, words: str) -> bool:
        """Whether people read these words in it; case and emphasis do not matter."""
        return words.casefold() in self.slack.plain(message).casefold()

    async def message(
        self,
        words: str,
        *,
        thread_of: Message | None = None,
        after: Message | None = None,
        within: float = PATIENCE,
    ) -> Message:
        """Wait for it in the channel, or in a thread."""

        def found() -> Message | None:
            shown = self.ops.messages if thread_of is None else thread_of.thread
            new = [each for each in shown if after is None or each.ts > after.ts]
            return next((each for each in new if self.says(each, words)), None)

        return await self._seen(found, words, within)

    async def anywhere(self, words: str) -> Message:
        """In the channel or in a thread."""

        def found() -> Message | None:
            return next((each for each in self.ops.all_messages if self.says(each, words)), None)

        return await self._seen(found, words)

    async def _seen(self, found: Callable[[], Message | None], words: str, within: float = PATIENCE) -> Message:
        try:
            message = await self.slack.wait_until(found, within, what=f"{words!r}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.slack.describe(self.ops)}") from None
        assert isinstance(message, Message)
        return message

    async def shows(self, message: Message, words: str) -> None:
        """Wait until a message, edited in place, says this."""
        try:
            await self.until(lambda: self.says(message, words), f"{words!r}")
        except AssertionError as error:
            raise AssertionError(f"{error}\nIt says:\n{self.slack.plain(message)}") from None

    async def state(self, campaign_id: int, *states: CampaignState) -> None:
        """Wait until a campaign is in one of these states."""

        async def so() -> bool:
            return (await self.campaign_row(campaign_id)).state in states

        await self.until_so(so, f"the campaign {' or '.join(states)}")

    async def campaign_row(self, campaign_id: int) -> Campaign:
        async with self.db.read() as tx:
            return await tx.get_one(Campaign, campaign_id)

    async def server_row(self, name: str) -> Server:
        async with self.db.read() as tx:
            return (await tx.scalars(select(Server).where(Server.name == name))).one()

    async def probes_see(self, name: str) -> None:
        """Wait until probes by themselves have found a server down: then their passes tell of its return as well."""

        async def so() -> bool:
            return (await self.server_row(name)).failures >= 3

        await self.until_so(so, f"a probe that finds {name} down")

    async def outages(self) -> Sequence[Outage]:
        async with self.db.read() as tx:
            return list(await tx.scalars(select(Outage).order_by(Outage.id)))

    async def resends(self) -> Sequence[Resend]:
        async with self.db.read() as tx:
            return list(await tx.scalars(select(Resend).order_by(Resend.id)))

    async def counts(self, campaign_id: int) -> dict[str, int]:
        async with self.db.read() as tx:
            return await deliveries.counts(tx, campaign_id)

    async def unknown(self, campaign_id: int) -> set[str]:
        async with self.db.read() as tx:
            return set(await deliveries.unknown_names(tx, campaign_id, 10_000))

    async def posted(self) -> None:
        """Wait until everything that was written for Slack is there, as it is now."""

        async def nothing_waits() -> bool:
            async with self.db.read() as tx:
                waiting = await tx.scalars(
                    select(Post.key).where((Post.ts.is_(None)) | (Post.posted < Post.wanted)).limit(1)
                )
                return waiting.first() is None

        await self.until_so(nothing_waits, "an end of what waits for Slack")

    @staticmethod
    def loop_time() -> float:
        """Seconds on a clock that nothing sets."""
        return asyncio.get_running_loop().time()

    # The truth

    def received(self) -> list[Received]:
        """What the relays took, the primary's first, each in its order."""
        return [*_taken(self.primary), *_taken(self.backup)]

    async def arrived(self, count: int) -> None:
        """Wait until the relays together took so many."""

        async def so() -> bool:
            return len(self.received()) >= count

        await self.until_so(so, f"a total of {count} messages at the relays")

    async def entries(self, kind: str) -> list[str]:
        """What the timeline has of one kind, in order."""
        async with self.db.read() as tx:
            return list(await tx.scalars(select(Timeline.text).where(Timeline.kind == kind).order_by(Timeline.id)))

    def assert_nobody_twice(self) -> None:
        """A Message-ID stands for one message to one person, so that none may come twice."""
        often = Counter(message.message_id for message in self.received())
        assert [each for each, number in often.items() if number > 1] == []
        assert all(len(message.recipients) == 1 for message in self.received())

    async def assert_nobody_lost(self, *, unknown: bool = False) -> None:
        """Everybody has what was for them, but for those whom the ledger names as unknown, where a story may have such.

        The ledger says the same as the relays.
        """
        had = Counter(message.recipients[0] for message in self.received())
        for campaign_id, recipients in self.campaigns.items():
            counts, open_questions = await self.counts(campaign_id), await self.unknown(campaign_id)
            everybody = {f"p{n}@example.com" for n in range(1, recipients + 1)}
            assert everybody - had.keys() - open_questions == set(), counts
            assert counts[DeliveryStatus.DELIVERED] + counts[DeliveryStatus.UNKNOWN] == recipients, counts
            assert unknown or not open_questions

    def assert_no_doubles(self) -> None:
        """Every message in the channel has a key of its own."""
        keys = [str(each.metadata["event_payload"]["key"]) for each in self.ops.all_messages if each.metadata]
        assert [key for key, number in Counter(keys).items() if number > 1] == []
        assert len(keys) == len([each for each in self.ops.all_messages if each.user is self.slack.bot])

    def assert_in_order(self, *phrases: str, thread: Message) -> None:
        """These phrases stand in the thread, in this order; a burst is one message with a line for each entry."""
        said = [line for each in thread.thread for line in self.slack.plain(each).splitlines()]
        at = -1
        for phrase in phrases:
            found = next((n for n, text in enumerate(said) if n > at and phrase.casefold() in text.casefold()), None)
            assert found is not None, f"{phrase!r} is not after entry {at} of:\n" + "\n---\n".join(said)
            at = found


@contextlib.asynccontextmanager
async def workplace(
    folder: Path, database_url: str, *, own_processes: bool = False, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Workplace]:
    """Slack and the relays run. With `own_processes` the relays can be killed. Settings are named by their last words,
    as `outages__policy`. At the end of every story Slack objected to nothing.
    """
    async with contextlib.AsyncExitStack() as stack:
        slack = await stack.enter_async_context(FakeSlack())
        primary: Relay | RelayProcess
        backup: Relay | RelayProcess
        if own_processes:
            primary = await stack.enter_async_context(RelayProcess(folder / "primary.jsonl", name="primary"))
            backup = await stack.enter_async_context(RelayProcess(folder / "backup.jsonl", name="backup"))
        else:
            primary = await stack.enter_async_context(Relay())
            backup = await stack.enter_async_context(Relay())
        here = Workplace(folder, database_url, slack, primary, backup)
        here.settings |= {f"HOLDFAST_{name.upper()}": value for name, value in (settings or {}).items()}
        stack.push_async_callback(here.close)
        yield here
        await here.stop_process()
        here.assert_nothing_broke()
        slack.assert_no_violations()
        here.assert_no_doubles()


def buttons(message: Message) -> list[str]:
    """The action ids of what can be pressed now."""
    return [str(each["action_id"]) for block in message.blocks for each in interactive(block)]


def figures(message: Message) -> dict[str, str]:
    """The fields of a card, by their labels."""
    fields = [each["text"] for block in message.blocks for each in block.get("fields", [])]
    pairs = [text.split("\n", 1) for text in fields]
    return {label.strip("*"): value for label, value in pairs}


def _taken(relay: Relay | RelayProcess) -> list[Received]:
    return relay.received() if isinstance(relay, RelayProcess) else list(relay.messages)
