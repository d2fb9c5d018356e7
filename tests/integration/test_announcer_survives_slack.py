"""Whatever Slack does, no message is lost and none comes twice."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from bot.clock import now
from bot.demo.fakeslack import DEFAULT_SCOPES, Channel, FakeSlack
from bot.services.bundle import Services, build
from storage import posts
from storage.db import Database
from tests.integration.slack_support import QUICK, announcing, entries, settings
from tests.integration.test_announcer_posts_in_order import (
    Cards,
    nothing_waits,
    ops,
    services,
    slack,
    tell,
    waiting,
    want,
)

__all__ = ["ops", "services", "slack"]


async def error_saying(db: Database, words: str = "") -> None:
    """Returns when a post waits with an error that says this."""
    async with asyncio.timeout(10):
        # A database tells nobody, it is asked.
        while (error := (await waiting(db)).error) is None or words not in error:
            await asyncio.sleep(0.01)


async def test_slack_that_is_down_gets_everything_later_in_order(
    db: Database, services: Services, slack: FakeSlack, ops: Channel
) -> None:
    cards = Cards({"outage:3": "primary is down"})
    slack.down()
    await want(db, "outage:3")
    async with announcing(services, slack, cards.renderers):
        for number in range(4):
            await tell(db, f"step {number}")
        await error_saying(db, "cannot be reached")
        slack.up()
        await slack.wait_until(lambda: ops.messages and len(entries(ops.messages[0])) == 4)

    assert entries(ops.messages[0]) == [f"step {number}" for number in range(4)]
    assert len(ops.messages) == 1


@pytest.mark.parametrize("how", ["accept_then_hang", "accept_then_cut"])
async def test_a_message_that_was_taken_without_an_answer_is_found_and_not_doubled(
    db: Database, services: Services, slack: FakeSlack, ops: Channel, how: str
) -> None:
    cards = Cards({"outage:3": "primary is down"})
    slack.fault("chat.postMessage", times=1, **{how: True})  # type: ignore[arg-type]  # one of two flags
    await want(db, "outage:3")
    async with announcing(services, slack, cards.renderers, patience=0.3):
        head = await slack.wait_for_message(ops, "primary is down")
        await want(db, "outage:3")
        slack.fault("chat.postMessage", times=1, **{how: True})  # type: ignore[arg-type]  # one of two flags
        await tell(db, "campaigns are held")
        await tell(db, "maria has it")
        await slack.wait_for_message(ops, "maria has it", thread_of=head)

    assert len(ops.messages) == 1
    assert entries(head) == ["campaigns are held", "maria has it"]


async def test_an_error_of_slack_that_took_nothing_is_tried_again(
    db: Database, services: Services, slack: FakeSlack, ops: Channel
) -> None:
    slack.fault("chat.postMessage", status=503, times=3)
    await tell(db, "maria drains primary", parent=None)

    async with announcing(services, slack, Cards().renderers):
        await slack.wait_for_message(ops, "maria drains primary")

    assert len(ops.messages) == 1


async def test_a_new_announcer_looks_for_what_the_dead_one_was_posting(
    db: Database, services: Services, slack: FakeSlack, ops: Channel
) -> None:
    cards = Cards({"outage:3": "primary is down"})
    await want(db, "outage:3")
    # As a kill -9 leaves it: the message is in Slack, the row says only that it was tried.
    async with db.transaction() as tx:
        post = await posts.get(tx, "outage:3")
        assert post is not None
        await posts.attempt(tx, post.id, now())
    metadata = {"event_type": "holdfast_post", "event_payload": {"key": "outage:3"}}
    slack.workspace.post(ops, slack.bot, "primary is down", metadata=metadata)

    async with announcing(services, slack, cards.renderers):
        await tell(db, "campaigns are held")
        await slack.wait_for_message(ops, "campaigns are held", thread_of=ops.messages[0])

    assert len(ops.messages) == 1


async def test_an_attempt_that_never_reached_slack_is_posted(
    db: Database, services: Services, slack: FakeSlack, ops: Channel
) -> None:
    await want(db, "outage:3")
    async with db.transaction() as tx:
        post = await posts.get(tx, "outage:3")
        assert post is not None
        await posts.attempt(tx, post.id, now())

    async with announcing(services, slack, Cards({"outage:3": "primary is down"}).renderers):
        await slack.wait_for_message(ops, "primary is down")

    assert len(slack.calls_to("conversations.history")) == 1


async def test_a_429_is_obeyed(db: Database, services: Services, slack: FakeSlack, ops: Channel) -> None:
    slack.fault("chat.postMessage", status=429, retry_after=1)
    asked = now()
    await tell(db, "maria drains primary", parent=None)

    async with announcing(services, slack, Cards().renderers):
        message = await slack.wait_for_message(ops, "maria drains primary")

    assert message.at - asked >= timedelta(seconds=1)
    assert len(slack.calls_to("chat.postMessage")) == 2


async def test_one_failing_thread_does_not_hold_back_another(
    db: Database, services: Services, slack: FakeSlack, ops: Channel
) -> None:
    cards = Cards({"outage:3": "primary is down", "outage:4": "backup is down"})
    await want(db, "outage:3")
    slack.fault("chat.postMessage", status=500, times=1)

    async with announcing(services, slack, cards.renderers, patience=0.3):
        await want(db, "outage:4")
        await tell(db, "of the first")
        first = await slack.wait_for_message(ops, "primary is down")
        await slack.wait_for_message(ops, "backup is down")
        await slack.wait_for_message(ops, "of the first", thread_of=first)

    assert len(ops.messages) == 2


async def test_a_channel_that_does_not_exist_is_waited_for_with_a_sentence(db: Database, services: Services) -> None:
    async with FakeSlack() as slack:
        slack.add_channel("general")
        await tell(db, "maria drains primary", parent=None)
        async with announcing(services, slack, Cards().renderers):
            await error_saying(db, "Slack knows no channel email-ops")
            ops = slack.add_channel("email-ops")
            await slack.wait_for_message(ops, "maria drains primary")


async def test_a_public_channel_is_joined_and_an_archived_one_is_named(db: Database, services: Services) -> None:
    async with FakeSlack() as slack:
        ops = slack.add_channel("email-ops", member=False, archived=True)
        await tell(db, "maria drains primary", parent=None)
        async with announcing(services, slack, Cards().renderers):
            await error_saying(db, "is archived")
            ops.archived = False
            await slack.wait_for_message(ops, "maria drains primary")

        assert ops.bot_is_member


async def test_a_private_channel_asks_for_an_invitation(db: Database, services: Services) -> None:
    async with FakeSlack() as slack:
        ops = slack.add_channel("email-ops", member=False, private=True)
        await tell(db, "maria drains primary", parent=None)
        async with announcing(services, slack, Cards().renderers):
            await error_saying(db)
            ops.bot_is_member = True
            await slack.wait_for_message(ops, "maria drains primary")


async def test_a_missing_scope_is_named(db: Database, services: Services) -> None:
    async with FakeSlack(scopes=DEFAULT_SCOPES - {"chat:write", "chat:write.public"}) as slack:
        slack.add_channel("email-ops")
        await tell(db, "maria drains primary", parent=None)
        async with announcing(services, slack, Cards().renderers):
            await error_saying(db)

        assert "lacks the scope chat:write" in ((await waiting(db)).error or "")


async def test_without_the_scope_to_look_an_alert_is_posted_all_the_same(db: Database, services: Services) -> None:
    async with FakeSlack(scopes=DEFAULT_SCOPES - {"channels:history", "groups:history"}) as slack:
        ops = slack.add_channel("email-ops")
        slack.fault("chat.postMessage", status=503)
        await tell(db, "maria drains primary", parent=None)
        async with announcing(services, slack, Cards().renderers):
            await slack.wait_for_message(ops, "maria drains primary")


async def test_no_channel_in_the_settings_is_said(db: Database, slack: FakeSlack, ops: Channel, tmp_path: Path) -> None:
    nowhere = build(db, settings(tmp_path, channel=None))
    await tell(db, "maria drains primary", parent=None)
    async with announcing(nowhere, slack, Cards().renderers):
        await error_saying(db)

    assert "HOLDFAST_CHANNEL is not set" in ((await waiting(db)).error or "")
    assert ops.messages == []


async def test_a_thread_that_hangs_does_not_hold_back_another(
    db: Database, services: Services, slack: FakeSlack, ops: Channel
) -> None:
    cards = Cards({"outage:3": "primary is down", "outage:4": "backup is down"})
    await want(db, "outage:3")
    slack.fault("chat.postMessage", accept_then_hang=True)

    async with announcing(services, slack, cards.renderers, patience=2):
        await slack.wait_for_message(ops, "primary is down")
        await want(db, "outage:4")
        second = await slack.wait_for_message(ops, "backup is down", timeout=1.5)
        await tell(db, "of the second", parent="outage:4")
        await slack.wait_for_message(ops, "of the second", thread_of=second, timeout=1.5)

    assert len(ops.messages) == 2


async def test_a_stop_in_the_middle_of_a_post_makes_no_double(
    db: Database, services: Services, slack: FakeSlack, ops: Channel
) -> None:
    cards = Cards({"outage:3": "primary is down"})
    await want(db, "outage:3")
    slack.fault("chat.postMessage", accept_then_hang=True)
    async with announcing(services, slack, cards.renderers, timing=replace(QUICK, stop_within=timedelta(0))):
        await slack.wait_for_message(ops, "primary is down")

    async with announcing(services, slack, cards.renderers):
        await tell(db, "campaigns are held")
        await slack.wait_for_message(ops, "campaigns are held", thread_of=ops.messages[0])

    assert len(ops.messages) == 1


async def test_an_edit_that_slack_does_not_answer_is_made_in_the_end(
    db: Database, services: Services, slack: FakeSlack, ops: Channel
) -> None:
    cards = Cards({"outage:3": "open"})
    await want(db, "outage:3")
    async with announcing(services, slack, cards.renderers, patience=0.3):
        await slack.wait_for_message(ops, "open")
        slack.fault("chat.update", status=429, retry_after=1)
        slack.fault("chat.update", accept_then_cut=True)
        cards.says["outage:3"] = "resolved"
        await want(db, "outage:3")
        await slack.wait_for_message(ops, "resolved")
        await nothing_waits(db)

    assert len(ops.messages) == 1
