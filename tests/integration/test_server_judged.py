"""A server's health, as probes and sending make it, kept in the database from one look to the next."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from bot.access import Access
from bot.clock import now
from bot.config import Settings
from bot.demo.relays import Relay, hang, reply
from bot.monitor.probe import Probe, Stage
from bot.monitor.verdict import Change, State
from bot.services.servers import Servers
from storage import outages
from storage.db import Database
from storage.models import Evidence, Health, Outage, Post, Timeline
from tests.seeds import add_server, settings_for


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    probes = {"stage_timeout": 0.5, "hold": 0, "failures_to_open": 3, "sending_failures_to_open": 10}
    return settings_for("sqlite://", tmp_path, probes=probes)


@pytest.fixture
def servers(db: Database, settings: Settings) -> Servers:
    return Servers(db, settings, Access(settings.roles, []))


async def look(servers: Servers, name: str) -> Change | None:
    server = await servers.find(name)
    return await servers.record_probe(server.id, await servers.look(server))


def rows(server_id: int, *counts: tuple[int, int]) -> list[Evidence]:
    at = now()
    return [
        Evidence(server_id=server_id, at=at, failed=failed, succeeded=ok, stage="mail", code=452, text="4.3.1 full")
        for failed, ok in counts
    ]


async def test_three_failed_probes_make_it_down_and_two_good_ones_up(db: Database, servers: Servers) -> None:
    async with Relay() as relay:
        await add_server(db, "primary", relay.port)
        assert await look(servers, "primary") is None
        assert (await servers.find("primary")).health == Health.UP
        await relay.behave(reply("greeting", 421, "4.3.2 busy", close=True))
        changes = [await look(servers, "primary") for _ in range(3)]
        assert [change and change.new for change in changes] == [State.SUSPECTED, None, State.DOWN]
        row = await servers.status("primary")
        assert (row.state, row.failure) == ("down", "421 4.3.2 busy at greeting")
        assert row.server.last_ms is not None
        await relay.heal()
        changes = [await look(servers, "primary") for _ in range(2)]
        assert [change and change.new for change in changes] == [None, State.UP]
        assert (await servers.status("primary")).failure == ""
    async with db.read() as tx:
        texts = list(await tx.scalars(select(Timeline.text).order_by(Timeline.id)))
        posts = list(await tx.scalars(select(Post.key)))
    assert [text.split(":")[0] for text in texts] == [
        "primary is suspected",
        "primary is down",
        "primary is up.",
    ]
    assert posts == []


async def test_the_damping_survives_a_restart(db: Database, settings: Settings, servers: Servers) -> None:
    async with Relay() as relay:
        await add_server(db, "primary", relay.port)
    await look(servers, "primary")
    again = Servers(db, settings, Access(settings.roles, []))
    await look(again, "primary")
    change = await look(again, "primary")
    assert change is not None
    assert (change.old, change.new) == (State.SUSPECTED, State.DOWN)
    assert change.started < change.at


async def test_a_silent_server_is_known_by_its_stage(db: Database, servers: Servers) -> None:
    async with Relay() as relay:
        await add_server(db, "primary", relay.port)
        await relay.behave(hang("ehlo"))
        await look(servers, "primary")
    assert (await servers.status("primary")).failure == "no answer at EHLO"


async def test_failing_mail_makes_it_down_although_probes_pass(db: Database, servers: Servers) -> None:
    async with Relay() as relay:
        server_id = await add_server(db, "primary", relay.port, health=Health.UP)
        change = await servers.record_sending(server_id, rows(server_id, (5, 0), (6, 0)))
        assert change is not None
        assert (change.old, change.new) == (State.UP, State.DOWN)
        await look(servers, "primary")
        await look(servers, "primary")
        assert (await servers.find("primary")).health == Health.DOWN
    async with db.read() as tx:
        texts = list(await tx.scalars(select(Timeline.text)))
    assert texts == ["primary is down: 452 4.3.1 full at mail"]


async def test_mail_that_goes_out_changes_nothing(db: Database, servers: Servers) -> None:
    server_id = await add_server(db, "primary", 2525, health=Health.UP)
    assert await servers.record_sending(server_id, rows(server_id, (0, 500))) is None
    assert await servers.record_sending(server_id, []) is None
    assert await servers.record_sending(999, rows(999, (1, 0))) is None


async def test_a_change_within_an_outage_refreshes_its_card(db: Database, servers: Servers) -> None:
    async with Relay() as relay:
        server_id = await add_server(db, "primary", relay.port, health=Health.DOWN)
        async with db.transaction() as tx:
            outage = Outage(title="x", opened_by="Holdfast", started_at=now(), detected_at=now())
            await outages.add(tx, outage, [server_id])
        await look(servers, "primary")
        await look(servers, "primary")
    async with db.read() as tx:
        assert list(await tx.scalars(select(Post.key))) == [f"outage:{outage.id}"]
        entry = (await tx.scalars(select(Timeline))).one()
    assert (entry.kind, entry.outage_id) == ("server.up", outage.id)


async def test_the_next_probe_comes_sooner_when_something_is_wrong(db: Database, servers: Servers) -> None:
    await add_server(db, "primary", 2525, health=Health.UP)
    calm = servers.next_delay(await servers.find("primary"), 0)
    server = await servers.find("primary")
    failed = Probe(ok=False, at=now(), sentence="connection refused", stage=Stage.CONNECT)
    await servers.record_probe(server.id, failed)
    hasty = servers.next_delay(await servers.find("primary"), 0)
    assert (calm, hasty) == (timedelta(seconds=15), timedelta(seconds=2))
