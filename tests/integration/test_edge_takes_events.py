"""Events that Holdfast listens to are taken once and dealt with; all others are acked and left alone."""

import asyncio
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from bot.clock import now
from bot.errors import NotFoundError
from bot.slack import inbox
from bot.slack.edge import Edge
from storage.db import Database
from storage.inbound import Arrival, Batch, requests_of
from tests.integration.slack_support import Desk, Office, office


async def restarted(house: Office) -> Desk:
    desk = Desk()
    edge = Edge(house.services, house.client, desk.commands, desk.actions, events=desk.events)
    await edge.resume()
    await edge.close()
    return desk


@pytest.mark.parametrize("socket", [True, False], ids=["socket", "http"])
async def test_an_event_reaches_its_handler_once_however_often_it_is_delivered(
    db: Database, tmp_path: Path, socket: bool
) -> None:
    async with office(db, tmp_path, socket=socket) as house:
        message = await house.slack.say(house.maria, house.ops, "the relay is back")

        first = await house.slack.react(house.maria, message, "round_pushpin")
        assert first is not None
        again = await house.slack.redeliver(first)
        await house.edge.drain()

        assert first.acked_in is not None
        assert again.acked_in is not None
        (event,) = house.desk.events_seen
        assert (event.kind, event.actor.name, event.channel) == ("reaction_added", "maria", house.ops.id)
        assert event.body["item"]["ts"] == message.ts


async def test_other_events_and_what_the_bot_does_itself_are_only_acked(db: Database, tmp_path: Path) -> None:
    async with office(db, tmp_path) as house:
        message = await house.slack.say(house.maria, house.ops, "the relay is back")

        pinned = await house.slack.pin(house.maria, message)
        own = await house.slack.react(house.slack.bot, message, "round_pushpin")
        await house.edge.drain()

        assert pinned is not None
        assert own is not None
        assert None not in (pinned.acked_in, own.acked_in)
        assert house.desk.events_seen == []


async def test_an_event_that_names_nobody_is_of_slack_and_answered_to_nobody(db: Database, tmp_path: Path) -> None:
    async with office(db, tmp_path) as house:
        house.desk.error = NotFoundError("That message is gone.")
        message = await house.slack.say(house.maria, house.ops, "the relay is back")
        delivery = await house.slack.react(house.maria, message, "round_pushpin")
        assert delivery is not None
        await house.edge.drain()

        delivery.payload["event_id"] = "Ev2"
        del delivery.payload["event"]["user"]
        await house.slack.redeliver(delivery)
        await house.edge.drain()

        assert [event.actor.name for event in house.desk.events_seen] == ["maria", "Slack"]
        assert len(house.slack.ephemerals(house.maria)) == 1


async def test_who_caused_an_event_that_cannot_be_dealt_with_is_told(db: Database, tmp_path: Path) -> None:
    async with office(db, tmp_path) as house:
        house.desk.error = NotFoundError("That message is gone.")
        message = await house.slack.say(house.maria, house.ops, "the relay is back")

        await house.slack.react(house.maria, message, "round_pushpin")
        await house.edge.drain()

        assert [each.text for each in house.slack.ephemerals(house.maria)] == ["That message is gone."]


@pytest.mark.parametrize("begun", [False, True])
async def test_an_event_that_was_acked_is_dealt_with_after_a_restart(db: Database, tmp_path: Path, begun: bool) -> None:
    async with office(db, tmp_path) as house:
        body = {"type": "reaction_added", "user": house.maria.id, "item": {"channel": house.ops.id, "ts": "1.2"}}
        payload = {"user_id": house.maria.id, "channel_id": house.ops.id, "event": body}
        arrival = Arrival("event:Ev1", "event", payload)
        requests = requests_of(db)
        long_ago = now() - timedelta(hours=1)
        await requests.write(Batch(arrivals=[arrival], started=[arrival.key] if begun else []), long_ago)
        await requests.close()

        desk = await restarted(house)

        assert [event.body for event in desk.events_seen] == [body]
        assert house.slack.ephemerals(house.maria) == []
        assert (await restarted(house)).events_seen == []


@pytest.mark.parametrize("socket", [True, False], ids=["socket", "http"])
async def test_an_event_that_cannot_be_written_down_is_delivered_again(
    tmp_path: Path, socket: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "ACK_WITHIN", timedelta(seconds=0.2))
    db = Database(f"sqlite:///{tmp_path / 'holdfast.db'}")
    async with office(db, tmp_path, socket=socket) as house:
        house.slack.postman.ack_limit = timedelta(seconds=0.4)
        house.slack.postman.event_retries = (timedelta(seconds=0.3),) * 3
        message = await house.slack.say(house.maria, house.ops, "the relay is back")
        await house.slack.command(house.maria, house.ops, "/campaign list")
        lock = sqlite3.connect(tmp_path / "holdfast-inbox.db", isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")

        delivery = await house.slack.react(house.maria, message, "round_pushpin")
        assert delivery is not None
        assert delivery.acked_in is None
        assert house.desk.events_seen == []
        lock.execute("COMMIT")
        lock.close()

        async with asyncio.timeout(3):
            await house.desk.arrived.wait()
        await house.edge.drain()
        assert len(house.desk.events_seen) == 1
    await db.close()
