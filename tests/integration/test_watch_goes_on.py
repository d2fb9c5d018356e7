"""The watch survives what goes wrong around it."""

import asyncio
import shutil
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import update
from structlog.testing import capture_logs

from bot.demo.relays import hang, refuse
from bot.errors import BotError
from storage.db import Database
from storage.models import Health, Server
from tests.outage_world import BEN, MARIA, World, world


async def test_trouble_with_one_server_does_not_hide_another(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        async with db.transaction() as tx:
            await tx.execute(update(Server).where(Server.id == here.backup).values(host="not a host name"))
        await here.break_primary()
        assert [outage.title for outage in await here.outages()] == ["primary is down"]


async def test_it_runs_until_it_is_cancelled_though_a_server_hangs(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path, probes={"retry_interval": 0.01}) as here:
        await here.backup_relay.behave(hang("greeting"))
        watching = asyncio.create_task(here.watch.run())
        await here.relay.behave(refuse())
        await _until_open(here)
        watching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await watching
        assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("probe ")]


async def test_a_server_that_cannot_be_looked_at_is_tried_at_the_pace_of_retries(db: Database, tmp_path: Path) -> None:
    lost = {"host": "127.0.0.1", "ca_file": str(tmp_path / "nowhere.pem")}
    slow = {"interval": 0.1, "retry_interval": 0.1}
    async with world(db, tmp_path, probes=slow, servers={"backup": lost}) as here:
        await here.relay.behave(refuse())
        with capture_logs() as logged:
            watching = asyncio.create_task(here.watch.run())
            await _until_open(here)
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        complaints = [entry for entry in logged if entry["event"] == "watch could not probe"]
        assert "ca_file" in complaints[0]["error"]
        seen = await here.server("primary")
        began = (await here.outages())[0].started_at
        assert len(complaints) <= ((seen.last_probe_at or began) - began).total_seconds() / 0.1 + 3


async def test_a_database_that_is_locked_for_a_while_delays_the_outage_and_no_more(
    sqlite_template: Path, tmp_path: Path
) -> None:
    path = tmp_path / "holdfast.db"
    shutil.copy(sqlite_template, path)
    db = Database(f"sqlite:///{path}", busy_timeout_ms=20)
    try:
        async with world(db, tmp_path) as here:
            await here.ticks(1)
            await here.relay.behave(refuse())
            other = sqlite3.connect(path, isolation_level=None)
            try:
                other.execute("BEGIN EXCLUSIVE")
                await here.ticks(5)
                other.execute("ROLLBACK")
            finally:
                other.close()
            assert await here.outages() == []
            await here.until_health("primary", Health.DOWN)
            await here.ticks(1)
            assert len(await here.outages()) == 1
    finally:
        await db.close()


async def test_an_outage_is_not_missed_when_the_process_dies_between_verdict_and_opening(
    db: Database, tmp_path: Path
) -> None:
    async with world(db, tmp_path) as here:
        await here.ticks(1)
        async with db.transaction() as tx:
            await tx.execute(update(Server).where(Server.id == here.primary).values(health=Health.DOWN))
        await here.watch.reconcile()
        assert len(await here.outages()) == 1


async def test_nothing_is_lost_or_doubled_when_people_and_the_watch_act_at_once(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path, outages={"on_recovery": "resume"}) as here:
        for n in range(5):
            await here.campaign(2, name=f"sale-{n}")
        acting = here.services.outages
        for _ in range(3):
            await here.break_primary()
            answers = await asyncio.gather(
                acting.acknowledge(MARIA, 1),
                acting.pause_campaigns(BEN, 1),
                acting.update(BEN, 1, "looking"),
                acting.cause(MARIA, 1, "a switch"),
                here.relay.heal(),
                here.ticks(3),
                here.services.campaigns.pause(BEN, "all", "to be safe"),
                return_exceptions=True,
            )
            assert [each for each in answers if isinstance(each, Exception) and not isinstance(each, BotError)] == []
            await here.heal_primary()
        assert len(await here.outages()) == 1
        assert len(await here.posts("outage:")) == 1


async def _until_open(here: World) -> None:
    async with asyncio.timeout(20):
        while not await here.outages():
            await asyncio.sleep(0.01)
