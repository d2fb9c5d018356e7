"""A restart loses no acked command, and a database that is away is said in a sentence, never by a timeout."""

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine

from bot.clock import now
from bot.services.bundle import Services
from bot.slack import inbox
from bot.slack.blocks import View
from bot.slack.call import Call
from bot.slack.edge import Edge
from storage import timeline
from storage.db import Database
from storage.inbound import Arrival, Batch, Requests, requests_of
from tests.integration.slack_support import Desk, Office, office


def taken_command(house: Office, text: str) -> Arrival:
    payload = {
        "command": "/campaign",
        "text": text,
        "user_id": house.maria.id,
        "user_name": "maria",
        "channel_id": house.ops.id,
    }
    return Arrival(f"command:{text}", "command", payload)


@asynccontextmanager
async def kept(db: Database) -> AsyncIterator[Requests]:
    """The requests that were taken, as another process sees them."""
    requests = requests_of(db)
    yield requests
    await requests.close()


async def left_behind(db: Database, arrival: Arrival, *, begun: bool) -> None:
    """A process that took this request and died."""
    async with kept(db) as requests:
        await requests.write(Batch(arrivals=[arrival], started=[arrival.key] if begun else []), now())


async def restarted(house: Office) -> Desk:
    """Another process over the same database."""
    desk = Desk()
    edge = Edge(house.services, house.client, desk.commands, desk.actions, events=desk.events)
    await edge.resume()
    await edge.close()
    return desk


async def open_requests(db: Database) -> int:
    async with kept(db) as requests:
        return len(await requests.unfinished())


async def test_an_acked_command_that_had_not_begun_is_carried_out_after_the_restart(
    db: Database, tmp_path: Path
) -> None:
    async with office(db, tmp_path) as house:
        await left_behind(db, taken_command(house, "pause all"), begun=False)

        desk = await restarted(house)

        assert [call.words for call in desk.calls] == ["pause all"]
        assert house.slack.ephemerals(house.maria)[-1].text == "Done."
        assert await open_requests(db) == 0


async def test_a_command_that_was_cut_off_in_the_middle_is_told_and_not_repeated(db: Database, tmp_path: Path) -> None:
    async with office(db, tmp_path) as house:
        await left_behind(db, taken_command(house, "pause all"), begun=True)

        desk = await restarted(house)

        assert desk.calls == []
        text = house.slack.ephemerals(house.maria)[-1].text
        assert "restarted while it carried out `/campaign pause all`: it may or may not be done" in text
        assert (await restarted(house)).calls == []
        assert len(house.slack.ephemerals(house.maria)) == 1


async def test_a_command_from_long_ago_is_told_and_not_carried_out(db: Database, tmp_path: Path) -> None:
    async with office(db, tmp_path) as house:
        with time_machine.travel(now() - timedelta(hours=3)):
            await left_behind(db, taken_command(house, "start spring-sale"), begun=False)

        desk = await restarted(house)

        assert desk.calls == []
        assert "was away when `/campaign start spring-sale` came in" in house.slack.ephemerals(house.maria)[-1].text


async def test_a_handler_that_is_cut_off_by_a_stop_is_told_after_the_start(db: Database, tmp_path: Path) -> None:
    async with office(db, tmp_path) as house:
        house.desk.gate = asyncio.Event()
        await house.slack.command(house.maria, house.ops, "/campaign pause all")
        await house.desk.arrived.wait()
        await house.edge.close(within=timedelta(0))

        await restarted(house)

        assert "may or may not be done" in house.slack.ephemerals(house.maria)[-1].text


async def test_a_finished_request_keeps_its_key_and_not_what_was_typed(db: Database, tmp_path: Path) -> None:
    async with office(db, tmp_path) as house:
        delivery = await house.slack.command(house.maria, house.ops, "/campaign pause all")
        await house.edge.drain()

        async with kept(db) as requests:
            key = f"command:{delivery.payload['trigger_id']}"
            assert await requests.write(Batch([Arrival(key, "command", {})]), now()) == set()
        assert await open_requests(db) == 0


@pytest.fixture
def quick_ack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "ACK_WITHIN", timedelta(seconds=0.2))


@pytest.fixture
def sqlite_path(tmp_path: Path, sqlite_template: Path) -> Path:
    path = tmp_path / "holdfast.db"
    shutil.copy(sqlite_template, path)
    return path


async def test_a_database_that_is_locked_for_long_delays_no_ack_and_is_said(sqlite_path: Path) -> None:
    db = Database(f"sqlite:///{sqlite_path}", busy_timeout_ms=50)

    async def writes(_: Services, __: Call) -> View:
        async with db.transaction() as tx:
            await timeline.ensure_post(tx, "outage:1", now())
        return View("Done.")

    async with office(db, sqlite_path.parent) as house:
        house.edge.commands = {"/campaign": writes}
        lock = sqlite3.connect(sqlite_path, isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")

        delivery = await house.slack.command(house.maria, house.ops, "/campaign pause all")
        await house.edge.drain()

        assert delivery.acked_in is not None
        assert "locked by another program. Nothing was changed" in house.slack.ephemerals(house.maria)[-1].text
        lock.close()
    await db.close()


async def test_a_request_that_cannot_be_written_down_is_answered_and_not_carried_out_later(
    sqlite_path: Path, quick_ack: None
) -> None:
    db = Database(f"sqlite:///{sqlite_path}")
    async with office(db, sqlite_path.parent) as house:
        await house.slack.command(house.maria, house.ops, "/campaign list")
        lock = sqlite3.connect(sqlite_path.with_name("holdfast-inbox.db"), isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")

        delivery = await house.slack.command(house.maria, house.ops, "/campaign pause all")

        assert delivery.acked_in is not None
        assert "The database does not answer. Nothing was changed" in delivery.responses[0].text
        lock.execute("COMMIT")
        lock.close()
        # The write that was on its way gets through now; another request waits its turn behind it.
        await house.slack.command(house.maria, house.ops, "/campaign status")
        await house.edge.drain()
        assert sorted(call.words for call in house.desk.calls) == ["list", "status"]
        assert (await restarted(house)).calls == []
    await db.close()


async def test_a_database_that_is_gone_is_said_in_a_sentence(tmp_path: Path) -> None:
    db = Database("postgresql://nobody@127.0.0.1:1/none")
    async with office(db, tmp_path) as house:
        delivery = await house.slack.command(house.maria, house.ops, "/campaign pause all")

        assert delivery.acked_in is not None
        assert "The database cannot be reached" in delivery.responses[0].text
        assert house.desk.calls == []
    await db.close()
