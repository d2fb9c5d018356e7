"""A pin or :round_pushpin: puts a message of an outage's thread into its timeline; taking it off takes it out."""

from pathlib import Path

from bot.demo.fakeslack import Delivery, Message
from storage.db import Database
from tests.integration.test_command_over_slack import Workspace, workspace
from tests.seeds import add_server

PIN = "round_pushpin"


async def an_outage(here: Workspace) -> Message:
    """The card that begins its thread."""
    await add_server(here.db, "primary", 2525)
    await here.type("/outage declare primary customers say nothing comes")
    return await here.slack.wait_for_message(here.ops, "customers say nothing comes")


async def told(here: Workspace, delivery: Delivery | None) -> str:
    """What whoever marked the message was told of it."""
    assert delivery is not None
    assert delivery.acked_in is not None
    await here.edge.drain()
    assert delivery.user is not None
    return here.slack.plain(here.slack.ephemerals(delivery.user)[-1])


async def test_a_reaction_adds_a_message_at_its_own_time_and_taking_it_off_takes_it_out(
    db: Database, tmp_path: Path
) -> None:
    async with workspace(db, tmp_path) as here:
        card = await an_outage(here)
        message = await here.slack.say(here.jonas, here.ops, "relay says &lt;disk full&gt;", thread_of=card)
        await here.type("/outage ack")

        added = await here.slack.react(here.maria, message, PIN)

        assert "Added to the timeline of outage #1" in await told(here, added)
        lines = (await here.type("/outage timeline")).splitlines()
        (line,) = [each for each in lines if "disk full" in each]
        assert "@Jonas: relay says <disk full>" in line
        assert "in Slack" in line
        assert lines.index(line) < next(n for n, each in enumerate(lines) if "acknowledged" in each)
        assert not [each for each in card.thread if "disk full" in each.text and each.user.is_bot]

        removed = await here.slack.unreact(here.maria, message, PIN)
        assert "out of the timeline" in await told(here, removed)
        assert "disk full" not in await here.type("/outage timeline")


async def test_a_message_with_two_marks_stands_there_once_and_stays_until_both_are_off(
    db: Database, tmp_path: Path
) -> None:
    async with workspace(db, tmp_path) as here:
        card = await an_outage(here)
        message = await here.slack.say(here.jonas, here.ops, "the disk is full", thread_of=card)
        await here.slack.pin(here.maria, message)
        await here.slack.react(here.jonas, message, PIN)
        await here.edge.drain()
        assert (await here.type("/outage timeline")).count("the disk is full") == 1

        unpinned = await here.slack.unpin(here.jonas, message)
        assert "stays in the timeline of outage #1: a reaction is still on it" in await told(here, unpinned)
        assert "the disk is full" in await here.type("/outage timeline")

        await here.slack.unreact(here.jonas, message, PIN)
        await here.edge.drain()
        assert "the disk is full" not in await here.type("/outage timeline")
        await here.slack.pin(here.jonas, message)
        await here.edge.drain()
        assert "the disk is full" in await here.type("/outage timeline")


async def test_an_event_that_comes_late_changes_nothing(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        card = await an_outage(here)
        message = await here.slack.say(here.jonas, here.ops, "the disk is full", thread_of=card)
        added = await here.slack.react(here.maria, message, PIN)
        await here.slack.unreact(here.maria, message, PIN)
        await here.edge.drain()
        assert added is not None

        added.payload["event_id"] = "EvLATE"  # Slack delivers it for the first time now
        await here.slack.redeliver(added)
        await here.edge.drain()

        assert "the disk is full" not in await here.type("/outage timeline")


async def test_what_is_not_of_an_outage_is_left_alone(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        elsewhere = here.slack.add_channel("lunch")
        pizza = await here.slack.say(here.jonas, elsewhere, "pizza at noon")
        card = await an_outage(here)
        aside = await here.slack.say(here.jonas, here.ops, "who has the keys?")
        reply = await here.slack.say(here.jonas, here.ops, "thanks", thread_of=card)
        for message in (pizza, aside):
            await here.slack.react(here.maria, message, PIN)
        await here.slack.react(here.maria, reply, "thumbsup")
        await here.edge.drain()

        assert here.slack.ephemerals(here.maria)[1:] == []
        assert "3 entries" not in await here.type("/outage timeline")


async def test_what_cannot_be_added_is_said_once_with_its_reason(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        card = await an_outage(here)
        said = await told(here, await here.slack.pin(here.maria, card))
        assert "Holdfast wrote that message itself" in said

        message = await here.slack.say(here.jonas, here.ops, "the disk is full", thread_of=card)
        here.slack.workspace.delete(message)
        said = await told(here, await here.slack.react(here.maria, message, PIN))
        assert "That message is gone from Slack" in said

        other = await here.slack.say(here.jonas, here.ops, "the disk is empty", thread_of=card)
        here.slack.scopes -= {"channels:history", "groups:history"}
        said = await told(here, await here.slack.react(here.maria, other, PIN))
        assert "lacks the scope channels:history" in said
        assert "disk" not in await here.type("/outage timeline")


async def test_an_entry_is_taken_out_by_its_number_and_records_stay(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        card = await an_outage(here)
        message = await here.slack.say(here.jonas, here.ops, "the disk is full", thread_of=card)
        await here.slack.pin(here.maria, message)
        await here.edge.drain()
        shown = await here.type("/outage timeline")
        number = shown.partition("entry ")[2].split()[0]

        assert "out of the timeline" in await here.type(f"/outage remove {number}")
        assert "out of the timeline already" in await here.type(f"/outage remove {number}")
        assert "the disk is full" not in await here.type("/outage timeline")
        assert "is what Holdfast recorded, and that stays" in await here.type("/outage remove 1")
        assert "No timeline has an entry 999" in await here.type("/outage remove 999")


async def test_somebody_of_another_workspace_changes_no_timeline(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        card = await an_outage(here)
        guest = here.slack.add_user("guest")
        guest.team_id = "T0ELSEWHERE"
        message = await here.slack.say(here.jonas, here.ops, "the disk is full", thread_of=card)

        said = await told(here, await here.slack.react(guest, message, PIN))

        assert "You are from another workspace, so you may look and no more." in said
        assert "the disk is full" not in await here.type("/outage timeline")
