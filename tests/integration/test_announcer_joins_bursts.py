"""What waits in one thread at the same moment is one message: in order, whole, and found again after a crash."""

import asyncio

import pytest

from bot.clock import now
from bot.demo.fakeslack import Channel, FakeSlack
from bot.services.bundle import Services
from storage import posts, timeline
from storage.db import Database
from storage.models import Post
from storage.timeline import Entry
from tests.integration.slack_support import announcing, entries
from tests.integration.test_announcer_posts_in_order import Cards, nothing_waits, ops, services, slack, tell, want

__all__ = ["ops", "services", "slack"]
DOWN = Cards({"outage:3": "primary is down"})
STEPS = [f"step {number}" for number in range(25)]


async def row(db: Database, key: str) -> Post:
    async with db.read() as tx:
        post = await posts.get(tx, key)
        assert post is not None
        return post


async def test_a_flood_after_an_absence_is_a_few_messages_with_every_entry_in_order(
    db: Database, services: Services, slack: FakeSlack, ops: Channel
) -> None:
    await want(db, "outage:3")
    for step in STEPS:
        await tell(db, step)
    async with announcing(services, slack, DOWN.renderers):
        await nothing_waits(db)

    head = ops.messages[0]
    assert entries(head) == STEPS
    assert len(head.thread) == 2  # twenty, and the rest
    assert head.thread[0].text == "20 entries, the last: step 19"
    assert head.thread[0].blocks[0]["text"]["text"].startswith("*<!date^")
    assert (await row(db, "timeline:2")).joined_into == "timeline:1"
    assert (await row(db, "timeline:25")).joined_into == "timeline:21"


async def test_what_is_there_to_be_seen_by_itself_is_never_joined(
    db: Database, services: Services, slack: FakeSlack, ops: Channel
) -> None:
    await want(db, "outage:3")
    await tell(db, "step 0")
    await tell(db, "primary is down again", broadcast=True)
    await tell(db, "step 1")
    await tell(db, "step 2")
    await want(db, "outage:4", parent="outage:3")
    await tell(db, "step 3")
    await tell(db, "a long story " + "x" * 2_850)
    async with announcing(services, slack, Cards(DOWN.says | {"outage:4": "a card"}).renderers):
        await nothing_waits(db)

    said = [reply.text[:30].strip() for reply in ops.messages[0].thread]
    assert said == [
        "step 0",
        "primary is down again",
        "2 entries, the last: step 2",
        "a card",
        "step 3",
        "a long story xxxxxxxxxxxxxxxxx",
    ]
    assert [each.text for each in ops.broadcasts] == ["primary is down again"]


@pytest.mark.parametrize("lost", [False, True])
async def test_a_crash_between_the_post_and_its_note_neither_loses_nor_doubles_an_entry(
    db: Database, services: Services, slack: FakeSlack, ops: Channel, lost: bool
) -> None:
    await want(db, "outage:3")
    async with announcing(services, slack, DOWN.renderers):
        await nothing_waits(db)
    for step in STEPS[:4]:
        await tell(db, step)
    # As a kill -9 leaves it: tried as a message of three entries, which is in Slack, or never got there.
    async with db.transaction() as tx:
        await posts.attempt(tx, (await row(db, "timeline:1")).id, now())
    if not lost:
        payload = {"key": "timeline:1", "keys": "timeline:1 timeline:2 timeline:3"}
        metadata = {"event_type": "holdfast_post", "event_payload": payload}
        slack.workspace.post(ops, slack.bot, "\n".join(STEPS[:3]), parent=ops.messages[0], metadata=metadata)

    async with announcing(services, slack, DOWN.renderers):
        await nothing_waits(db)

    assert entries(ops.messages[0]) == STEPS[:4]
    owners = [(await row(db, f"timeline:{number}")).joined_into for number in range(1, 5)]
    assert owners == [None, "timeline:1", "timeline:1", "timeline:1" if lost else None]


async def test_a_burst_that_was_taken_without_an_answer_is_found_with_all_that_it_shows(
    db: Database, services: Services, slack: FakeSlack, ops: Channel
) -> None:
    await want(db, "outage:3")
    async with announcing(services, slack, DOWN.renderers, patience=0.3):
        await nothing_waits(db)
        slack.fault("chat.postMessage", times=1, accept_then_cut=True)
        async with db.transaction() as tx:
            for step in STEPS[:3]:
                await timeline.record(tx, Entry("campaign.paused", step, "U1", now()), parent="outage:3")
        await nothing_waits(db)
        await tell(db, STEPS[3])
        await nothing_waits(db)

    assert entries(ops.messages[0]) == STEPS[:4]
    assert len(ops.messages[0].thread) == 2


async def test_an_entry_that_changes_is_edited_in_the_message_that_shows_it(
    db: Database, services: Services, slack: FakeSlack, ops: Channel
) -> None:
    await want(db, "outage:3")
    for step in STEPS[:3]:
        await tell(db, step)
    async with announcing(services, slack, DOWN.renderers):
        await nothing_waits(db)
        async with db.transaction() as tx:
            changed = await timeline.get(tx, 2)
            assert changed is not None
            changed.text = "step 1, done twice"
            await timeline.touch_post(tx, "timeline:2")
        await nothing_waits(db)

    assert entries(ops.messages[0]) == ["step 0", "step 1, done twice", "step 2"]
    assert len(slack.calls_to("chat.update")) == 1


async def test_a_burst_that_somebody_deleted_is_posted_again_whole(
    db: Database, services: Services, slack: FakeSlack, ops: Channel
) -> None:
    await want(db, "outage:3")
    for step in STEPS[:3]:
        await tell(db, step)
    async with announcing(services, slack, DOWN.renderers):
        await nothing_waits(db)
        slack.workspace.delete(ops.messages[0].thread[0])
        async with db.transaction() as tx:
            changed = await timeline.get(tx, 3)
            assert changed is not None
            changed.text = "step 2, corrected"
            await timeline.touch_post(tx, "timeline:3")
        async with asyncio.timeout(10):
            while entries(ops.messages[0]) != ["step 0", "step 1", "step 2, corrected"]:
                await asyncio.sleep(0.01)
