"""Every message that should exist does, in order in its thread, and shows the newest state."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bot.access import HOLDFAST
from bot.clock import now
from bot.demo.fakeslack import Channel, FakeSlack, says
from bot.services.bundle import Services, build
from bot.slack.announcer import Renderer
from bot.slack.blocks import View, section
from bot.slack.cards import CARDS
from bot.slack.pace import Pace
from storage import posts, timeline
from storage.db import Database
from storage.models import Outage
from storage.timeline import Entry
from tests.integration.slack_support import announcing, entries, settings
from tests.seeds import add_campaign, add_server


@dataclass
class Cards:
    """Cards whose text a test can change; entries of the timeline are drawn as they always are."""

    says: dict[str, str] = field(default_factory=dict)

    async def card(self, _: Services, identity: int) -> View | None:
        text = self.says.get(f"outage:{identity}")
        return View(text, [section(text)]) if text else None

    @property
    def renderers(self) -> dict[str, Renderer]:
        return {"outage": self.card, "timeline": CARDS["timeline"]}


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with FakeSlack() as fake:
        yield fake
        assert fake.violations == []


@pytest.fixture
def ops(slack: FakeSlack) -> Channel:
    return slack.add_channel("email-ops")


@pytest.fixture
def services(db: Database, tmp_path: Path) -> Services:
    return build(db, settings(tmp_path))


async def want(db: Database, key: str, *, parent: str | None = None, broadcast: bool = False) -> None:
    async with db.transaction() as tx:
        await timeline.ensure_post(tx, key, now(), parent=parent, broadcast=broadcast)


async def tell(db: Database, text: str, *, parent: str | None = "outage:3", broadcast: bool = False) -> None:
    async with db.transaction() as tx:
        entry = Entry("campaign.paused", text, "U1", now())
        await timeline.record(tx, entry, parent=parent, broadcast=broadcast)


async def waiting(db: Database) -> posts.Trouble:
    async with db.read() as tx:
        return await posts.trouble(tx)


async def nothing_waits(db: Database) -> None:
    async with asyncio.timeout(10):
        while (await waiting(db)).waiting:
            await asyncio.sleep(0.01)


async def test_a_headline_and_its_replies_stand_in_one_thread_in_order(
    db: Database, services: Services, slack: FakeSlack, ops: Channel
) -> None:
    cards = Cards({"outage:3": "primary is down"})
    await want(db, "outage:3")
    for number in range(6):
        await tell(db, f"step {number}")

    async with announcing(services, slack, cards.renderers):
        await slack.wait_until(lambda: ops.messages and len(entries(ops.messages[0])) == 6)
        await nothing_waits(db)

    head = ops.messages[0]
    assert len(ops.messages) == 1
    assert head.text == "primary is down"
    assert head.metadata == {"event_type": "holdfast_post", "event_payload": {"key": "outage:3"}}
    assert entries(head) == [f"step {number}" for number in range(6)]


async def test_a_reply_that_was_wanted_first_still_comes_after_its_headline(
    db: Database, services: Services, slack: FakeSlack, ops: Channel
) -> None:
    cards = Cards({"outage:3": "primary is down"})
    await tell(db, "campaigns are held")
    await want(db, "outage:3")

    async with announcing(services, slack, cards.renderers):
        await slack.wait_until(lambda: ops.messages and ops.messages[0].thread)

    assert ops.messages[0].text == "primary is down"


async def test_entries_without_a_thread_stand_in_the_channel(
    db: Database, services: Services, slack: FakeSlack, ops: Channel
) -> None:
    await tell(db, "maria drains primary", parent=None)

    async with announcing(services, slack, Cards().renderers):
        await slack.wait_for_message(ops, "maria drains primary")


async def test_a_broadcast_reply_is_seen_in_the_channel_too(
    db: Database, services: Services, slack: FakeSlack, ops: Channel
) -> None:
    cards = Cards({"outage:3": "primary is down"})
    await want(db, "outage:3")
    await tell(db, "primary is down again", broadcast=True)

    async with announcing(services, slack, cards.renderers):
        await slack.wait_until(lambda: ops.broadcasts)

    assert ops.broadcasts[0].text == "primary is down again"


async def test_changes_are_edits_of_one_message_and_only_the_newest_is_shown(
    db: Database, services: Services, slack: FakeSlack, ops: Channel
) -> None:
    cards = Cards({"outage:3": "open"})
    await want(db, "outage:3")
    async with announcing(services, slack, cards.renderers):
        await slack.wait_for_message(ops, "open")

    for state in ("acknowledged", "monitoring", "resolved"):
        cards.says["outage:3"] = state
        await want(db, "outage:3")
    async with announcing(services, slack, cards.renderers):
        await slack.wait_for_message(ops, "resolved")

    assert len(ops.messages) == 1
    assert [version.text for version in ops.messages[0].edits] == ["open"]


async def test_an_edit_that_changes_nothing_is_not_sent(
    db: Database, services: Services, slack: FakeSlack, ops: Channel
) -> None:
    cards = Cards({"outage:3": "open"})
    await want(db, "outage:3")
    async with announcing(services, slack, cards.renderers):
        await slack.wait_for_message(ops, "open")
        await want(db, "outage:3")
        await tell(db, "the next thing")
        await slack.wait_until(lambda: ops.messages[0].thread)
        await nothing_waits(db)

    assert slack.calls_to("chat.update") == []


async def test_a_headline_that_was_deleted_is_posted_again(
    db: Database, services: Services, slack: FakeSlack, ops: Channel
) -> None:
    cards = Cards({"outage:3": "open"})
    await want(db, "outage:3")
    async with announcing(services, slack, cards.renderers):
        first = await slack.wait_for_message(ops, "open")
        slack.workspace.delete(first)
        cards.says["outage:3"] = "acknowledged"
        await want(db, "outage:3")
        await tell(db, "maria has it")
        again = await slack.wait_for_message(ops, "acknowledged")
        await slack.wait_for_message(ops, "maria has it", thread_of=again)

    assert len(ops.messages) == 1


async def test_a_card_of_something_that_is_gone_is_let_go(
    db: Database, services: Services, slack: FakeSlack, ops: Channel
) -> None:
    await want(db, "outage:4")
    await tell(db, "something else", parent=None)

    async with announcing(services, slack, Cards().renderers):
        await slack.wait_for_message(ops, "something else")
        await nothing_waits(db)

    assert len(ops.messages) == 1


async def test_a_card_that_cannot_be_drawn_holds_back_nobody_else(
    db: Database, services: Services, slack: FakeSlack, ops: Channel
) -> None:
    async def broken(_: Services, identity: int) -> View:
        raise ZeroDivisionError(identity)

    await want(db, "resend:9")
    await tell(db, "something else", parent=None)

    async with announcing(services, slack, {**Cards().renderers, "resend": broken}):
        await slack.wait_for_message(ops, "something else")

    assert "cannot be drawn" in ((await waiting(db)).error or "")


async def test_the_pace_of_a_channel_is_kept(db: Database, services: Services, slack: FakeSlack, ops: Channel) -> None:
    slack.enforce_rate_limit = True
    for number in range(6):
        await tell(db, f"line {number}", parent=None)

    async with announcing(services, slack, Cards().renderers, pace=Pace):
        await slack.wait_until(lambda: len(ops.messages) == 6, timeout=20)

    assert len(slack.calls_to("chat.postMessage")) == 6  # none was refused with a 429


async def test_the_card_of_what_is_under_way_follows_by_itself(
    db: Database, services: Services, slack: FakeSlack, ops: Channel
) -> None:
    at = now()
    async with db.transaction() as tx:
        tx.add(Outage(id=3, title="primary is down", opened_by="Holdfast", started_at=at, detected_at=at, state="open"))
    cards = Cards({"outage:3": "0 of 2,000 sent"})
    await want(db, "outage:3")
    async with announcing(services, slack, cards.renderers):
        await slack.wait_for_message(ops, "0 of 2,000 sent")
        cards.says["outage:3"] = "800 of 2,000 sent"
        await slack.wait_for_message(ops, "800 of 2,000 sent")
        cards.says["outage:3"] = "all sent"
        await slack.wait_for_message(ops, "all sent")

    assert len(slack.calls_to("chat.update")) == 2


async def test_a_real_outage_is_shown_by_its_headline_and_its_thread(
    db: Database, services: Services, slack: FakeSlack, ops: Channel
) -> None:
    await add_campaign(db, await add_server(db, "primary", 2525), 20)
    async with announcing(services, slack, CARDS):
        await services.outages.declare(HOLDFAST, "primary", "customers write that nothing arrives")
        head = await slack.wait_for_message(ops, "customers write that nothing arrives")
        await slack.wait_until(lambda: head.thread)
        assert says(head, "spring-sale")
        await services.outages.acknowledge(HOLDFAST, None)
        await slack.wait_until(lambda: head.edits)
        await slack.wait_until(lambda: any(says(reply, "acknowledged") for reply in head.thread))
        await services.outages.resolve(HOLDFAST, None, "a false alarm")
        await slack.wait_until(lambda: any(says(reply, "is over") for reply in head.thread))
        await nothing_waits(db)

    assert "Resolved: primary" in head.text
    assert len(ops.messages) == 1
