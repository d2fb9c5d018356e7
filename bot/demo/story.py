"""The demo's story: a relay dies in the middle of a campaign, and what becomes of it."""

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta

from bot.demo.counting import Counts, count
from bot.demo.fakeslack import Delivery, Message, PersonCannotError, User, says
from bot.demo.fakeslack.workspace import interactive
from bot.demo.playing import play, serving, until_terminated
from bot.demo.relays import reply, slow
from bot.demo.screen import Screen
from bot.demo.stage import CAMPAIGN, Stage, set_up
from bot.errors import BotError

_SHOWN_NAMES = 10
_SLOW = timedelta(milliseconds=40)
"""How late a relay in trouble answers: what is in flight when it dies is then unknown, as it is in real outages."""
_TOLD = "The story is being told in the terminal. Watch it here; when it has ended, the buttons are yours."


@dataclass(frozen=True)
class Options:
    """`comes_back`: the relay returns by itself, instead of a failover. `database_url` None: SQLite.

    `page`: the workspace is served as well, and with `stays` it stays after the story until the demo is stopped.
    """

    recipients: int = 2000
    paced: bool = True
    colours: bool = True
    as_json: bool = False
    comes_back: bool = False
    database_url: str | None = None
    page: bool = False
    stays: bool = False


async def tell(options: Options) -> int:
    """Tell the story. Returns the exit code: 0, or 1 when somebody was lost, mailed twice, or Slack would object."""
    return await until_terminated(_tell(options))


async def _tell(options: Options) -> int:
    try:
        async with (
            set_up(options.recipients, options.database_url) as stage,
            serving(stage, wanted=options.page) as page,
        ):
            page.say(_TOLD)
            screen = Screen(stage.slack, paced=options.paced, colours=options.colours)
            watching = asyncio.create_task(screen.watch())
            try:
                counts = await _with_bot(stage, Story(stage, screen, options))
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
            if options.as_json:
                print(json.dumps(asdict(counts), separators=(",", ":")), flush=True)
            if options.page and options.stays:
                await play(stage, page)
    except (AssertionError, PersonCannotError, ConnectionError, TimeoutError) as error:
        print(f"The demo did not go as it should. {error}", file=sys.stderr)
        return 1
    return 0 if counts.good else 1


async def _with_bot(stage: Stage, story: "Story") -> Counts:
    """The story, and an end to it when the bot ends in the middle."""
    screen = story.screen
    await story.prepare()
    telling = asyncio.create_task(story.go())
    ending = asyncio.create_task(stage.bot_ends())
    try:
        await asyncio.wait({telling, ending}, return_when=asyncio.FIRST_COMPLETED)
        if not telling.done():
            raise BotError("holdfast run ended in the middle of the story.")
        await telling
    finally:
        for task in (telling, ending):
            task.cancel()
        await asyncio.gather(telling, ending, return_exceptions=True)
    await stage.stop_bot()
    screen.show_news()
    return await story.end()


class Story:
    """One chapter a method. Everything waits for what is to be seen in Slack, or for what the relays took."""

    def __init__(self, stage: Stage, screen: Screen, options: Options) -> None:
        self.screen = screen
        self._stage = stage
        self._slack = stage.slack
        self._options = options
        self._total = options.recipients
        # At the pace of the settings a campaign takes ten seconds; machines are slow at times.
        self._patience = 60 + self._total / 100
        self._before_resend = 0
        self._headline: Message | None = None

    async def prepare(self) -> None:
        """The campaign is imported and the bot started."""
        screen, stage = self.screen, self._stage
        screen.title("Before the outage")
        screen.tell(
            "A company sends its mail through a relay called primary, and has a second one called backup. Both run on "
            "this machine as processes of their own, and so does a Slack with one channel, #email-ops. Maria is on "
            "duty; what mails customers needs the word of a second person, and that will be Jonas."
        )
        await screen.read()
        screen.act("Maria", f"types in a terminal: holdfast import {CAMPAIGN} message.eml recipients.csv")
        screen.plain(await stage.import_campaign())
        screen.act("The server", "runs: holdfast run")
        await stage.start_bot()
        await screen.read()

    async def go(self) -> None:
        await self._send()
        await self._break()
        await self._take_over()
        await (self._comes_back() if self._options.comes_back else self._fail_over())
        await self._send_again()
        await self._resolve()

    async def _send(self) -> None:
        screen, stage = self.screen, self._stage
        screen.title("The campaign")
        await self._type(stage.maria, f"/campaign start {CAMPAIGN}")
        await stage.primary.wait_for(self._total // 4, timedelta(seconds=self._patience))
        screen.tell(f"A quarter of {self._total:,} messages has arrived.")

    async def _break(self) -> None:
        screen, primary = self.screen, self._stage.primary
        screen.title("The outage")
        screen.tell(
            "The disk of primary fills up. It grows slow, and turns away every tenth message with “452 4.3.1 "
            "Insufficient system storage”."
        )
        full = reply("mail", 452, "4.3.1 Insufficient system storage", every=10)
        await primary.behave(full, slow("dot", _SLOW))
        await primary.wait_for(self._total * 45 // 100, timedelta(seconds=self._patience))
        await primary.kill()
        screen.tell("Then it dies: its process gets SIGKILL, in the middle of what it is doing.")

    async def _take_over(self) -> None:
        """The alert, the hold, and somebody who has it."""
        ops, screen = self._stage.ops, self.screen
        self._headline = await self._slack.wait_for_message(ops, "primary is down", self._patience)
        await self._thread(f"{CAMPAIGN} is paused")
        await screen.read()
        screen.tell(
            "Holdfast saw it by itself, from its probes and from the mail that failed. The campaign is held, and the "
            "sender has confirmed that nothing more goes out."
        )
        await self._press(self._stage.maria, self._alert, "outage.acknowledge")
        await self._until(lambda: not says(self._alert, "Nobody yet"), "who has it")
        await self._type(self._stage.maria, "/outage cause the disk of primary is full")
        await screen.read()

    async def _fail_over(self) -> None:
        screen, stage = self.screen, self._stage
        screen.title("The backup takes over")
        await self._press(stage.maria, self._alert, "outage.failover")
        await self._finished()
        await screen.read()
        screen.tell("The rest of the campaign went out through backup. Somebody repairs primary and starts it again.")
        await stage.primary.start()
        await self._answers_again()

    async def _comes_back(self) -> None:
        screen, stage = self.screen, self._stage
        screen.title("The relay comes back")
        screen.tell("Somebody frees the disk of primary and starts it again.")
        await stage.primary.start()
        await self._answers_again()
        await self._press(stage.maria, self._alert, "outage.resume")
        await self._finished()
        await screen.read()

    async def _send_again(self) -> None:
        screen, stage = self.screen, self._stage
        screen.title("What was lost is sent again")
        await self._tell_unknown()
        self._before_resend = len(stage.received())
        await self._type(stage.maria, "/resend plan")
        card = await self._thread("to send again")
        await screen.read()
        screen.tell("The plan is frozen and waits for a second person. Maria asked for it; what if she approves it?")
        refusal = await self._press(stage.maria, card, "resend.approve")
        await self._slack.wait_for_reply(refusal, "somebody else", self._patience)
        await screen.read()
        await self._press(stage.jonas, card, "resend.canary")
        await self._until(lambda: says(card, "the first 1 % is out"), "that the canary is out")
        await screen.read()
        await self._press(stage.jonas, card, "resend.rest")
        await self._until(lambda: says(card, "recovered"), "that the resend is finished")
        await self._thread("is finished")
        await screen.read()

    async def _resolve(self) -> None:
        screen, stage = self.screen, self._stage
        screen.title("The end")
        if not self._options.comes_back:
            await self._type(stage.maria, "/server restore primary")
        await self._type(stage.maria, "/outage resolve old logs were removed; the disk is watched now")
        await self._thread("is over")
        await self._until(lambda: says(self._alert, "Resolved: primary"), "that it is resolved")
        await screen.read()

    async def end(self) -> Counts:
        """What really happened. Raises AssertionError when Slack would have refused something."""
        stage, screen = self._stage, self.screen
        counts = count(stage.emails, stage.received(), await stage.unknown(), self._before_resend)
        stage.slack.assert_no_violations()
        screen.title("Counted from what the two relays took, not from the ledger")
        rows = [
            ("Recipients", counts.recipients, ""),
            ("Delivered", counts.delivered, "people whose message a relay has"),
            ("Sent again", counts.resent, "after two people had agreed"),
            ("Unknown", counts.unknown, "in flight when the relay died, so not mailed again"),
            ("Lost", counts.lost, ""),
            ("Mailed twice", counts.duplicates, ""),
        ]
        for name, number, note in rows:
            screen.plain(f"{name:<14}{number:>7,}  {note}".rstrip())
        return counts

    # What people do, and what is waited for

    async def _type(self, person: User, line: str) -> Delivery:
        self.screen.act(person.real_name, f"types: {line}")
        delivery = await self._slack.command(person, self._stage.ops, line)
        await self._slack.wait_for_reply(delivery, "", self._patience)
        await self.screen.read()
        return delivery

    async def _press(self, person: User, message: Message, action: str) -> Delivery:
        await self._until(lambda: _label(message, action), f"the button {action}")
        self.screen.act(person.real_name, f"presses [{_label(message, action)}]")
        return await self._slack.click(person, message, action)

    @property
    def _alert(self) -> Message:
        """The outage's live message."""
        if self._headline is None:
            raise AssertionError("There was no alert.")
        return self._headline

    async def _thread(self, words: str) -> Message:
        return await self._slack.wait_for_message(self._stage.ops, words, self._patience, thread_of=self._alert)

    async def _until(self, check: Callable[[], object], what: str) -> None:
        await self._slack.wait_until(check, self._patience, what=what)

    async def _finished(self) -> None:
        """The sender says, in the channel or in the thread, that the campaign is finished."""
        messages = self._stage.ops.all_messages
        await self._until(
            lambda: any(says(each, f"{CAMPAIGN} is finished") for each in messages), "that the campaign is finished"
        )

    async def _answers_again(self) -> None:
        await self._until(lambda: says(self._alert, "primary answers again"), "that primary answers again")
        await self.screen.read()

    async def _tell_unknown(self) -> None:
        unknown = await self._stage.unknown()
        if not unknown:
            self.screen.tell(
                "Nothing was in flight in the moment of death: for every message it is known what became of it."
            )
            return
        names = ", ".join(unknown[:_SHOWN_NAMES])
        more = f" and {len(unknown) - _SHOWN_NAMES} more" if len(unknown) > _SHOWN_NAMES else ""
        self.screen.tell(
            f"{len(unknown)} were in flight when primary died, and may have arrived: {names}{more}. They are left out "
            "of what is sent again, for nobody is to be mailed twice."
        )


def _label(message: Message, action: str) -> str | None:
    """What stands on a button now; None while there is none."""
    elements = [element for block in message.blocks for element in interactive(block)]
    return next((str(each["text"]["text"]) for each in elements if each.get("action_id") == action), None)
