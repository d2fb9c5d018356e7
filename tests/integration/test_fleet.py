"""Several workers on one PostgreSQL: each recipient once, whoever dies, drains, freezes or comes back.

A worker with a data directory of its own stands for another machine: nobody else can read its journal. Times are
divided by five (PACE), so that a silent worker is taken over from after 2 s.
"""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from bot.demo.relays import Relay, slow
from storage import deliveries
from storage.db import Database
from storage.models import Campaign, CampaignState, Lease, Shard, Share, Timeline, Worker
from tests.databases import Databases, start_server, url_of
from tests.seeds import add_campaign, add_server, state_of, wish

RECIPIENTS = 800
CONNECTIONS = 8
PACE = """
from datetime import timedelta
from storage import shards, workers
shards.ROWS, workers.SILENT_AFTER, workers.HEARTBEAT = 100, timedelta(seconds=2), timedelta(seconds=0.2)
from bot import work
from bot.mail import fleet
work.LOOK_EVERY, fleet.ADOPT_EVERY = 0.5, 1.0
"""
START = (
    PACE + "from bot.config import load_settings; from bot.mail.worker import run_worker; run_worker(load_settings())"
)


@pytest.fixture
def url(postgres_databases: Databases) -> Iterator[str]:
    name = postgres_databases.take()
    yield url_of(postgres_databases.admin, name)
    postgres_databases.give_back(name)


@pytest.fixture
async def db(url: str) -> AsyncIterator[Database]:
    database = Database(url)
    yield database
    await database.close()


@contextlib.asynccontextmanager
async def worker(url: str, folder: Path, **sending: str) -> AsyncIterator[Process]:
    """A worker; at the end it has to drain and to say that all is well, unless it was killed before."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        START,
        env={
            **os.environ,
            "HOLDFAST_DATABASE_URL": url,
            "HOLDFAST_DATA_DIR": str(folder),
            "HOLDFAST_SECRET_KEY": "test-key",
            **{f"HOLDFAST_SENDING__{name.upper()}": value for name, value in sending.items()},
        },
    )
    try:
        yield process
        if process.returncode is None:
            process.terminate()
            async with asyncio.timeout(60):
                assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def kill(process: Process) -> None:
    process.kill()
    await process.wait()


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(90):
        while not await check():
            await asyncio.sleep(0.05)


async def finished(db: Database, campaign: int) -> None:
    async def check() -> bool:
        return await state_of(db, campaign) == CampaignState.FINISHED

    await until(check)


async def at_work(db: Database, number: int) -> None:
    """Until so many workers have something of a campaign in hand."""

    async def check() -> bool:
        async with db.read() as tx:
            return await tx.scalar(select(func.count(Lease.worker.distinct()))) == number

    await until(check)


async def living(db: Database, number: int) -> None:
    async def check() -> bool:
        async with db.read() as tx:
            return len((await tx.scalars(select(Worker.id).where(Worker.lost_at.is_(None)))).all()) == number

    await until(check)


async def nothing_left(db: Database) -> None:
    async with db.read() as tx:
        for table in (Lease, Shard, Share, Worker):
            assert (await tx.scalars(select(table))).all() == []


async def each_once(db: Database, relay: Relay, campaign: int, unknown: int) -> None:
    """Nobody twice, nobody lost, and at most so many whose end is not known."""
    got = Counter(rcpt for message in relay.messages for rcpt in message.recipients)
    assert set(got.values()) == {1}, "somebody was mailed twice"
    async with db.read() as tx:
        ledger = await deliveries.counts(tx, campaign)
        names = await deliveries.unknown_names(tx, campaign, RECIPIENTS)
    assert ledger["delivered"] + ledger["unknown"] == RECIPIENTS
    assert {f"p{n}@example.com" for n in range(1, RECIPIENTS + 1)} - got.keys() <= set(names), "somebody was lost"
    assert ledger["unknown"] <= unknown


@pytest.fixture
async def relay() -> AsyncIterator[Relay]:
    async with Relay() as relay:
        await relay.behave(slow("rcpt", timedelta(milliseconds=5)))
        yield relay


async def test_two_workers_share_a_campaign_and_one_drains_in_the_middle(
    db: Database, url: str, tmp_path: Path, relay: Relay
) -> None:
    server = await add_server(db, "primary", relay.port, max_connections=CONNECTIONS)
    async with worker(url, tmp_path / "a"), worker(url, tmp_path / "b") as second:
        await living(db, 2)
        campaign = await add_campaign(db, server, RECIPIENTS)
        await at_work(db, 2)
        await _a_pause_stops_both(db, relay, campaign)
        await wish(db, campaign, CampaignState.SENDING, CampaignState.SENDING)
        await at_work(db, 2)
        second.terminate()
        assert await second.wait() == 0
        assert await state_of(db, campaign) == CampaignState.SENDING, "it drained in the middle"
        await finished(db, campaign)
    await each_once(db, relay, campaign, unknown=0)
    await nothing_left(db)


async def _a_pause_stops_both(db: Database, relay: Relay, campaign: int) -> None:
    async def some_arrived() -> bool:
        return relay.count > CONNECTIONS

    async def paused() -> bool:
        return await state_of(db, campaign) == CampaignState.PAUSED

    await until(some_arrived)
    await wish(db, campaign, CampaignState.PAUSING, CampaignState.PAUSED)
    await until(paused)
    arrived = relay.count
    async with db.read() as tx:
        assert (await deliveries.counts(tx, campaign))["delivered"] == arrived < RECIPIENTS
        assert (await tx.scalars(select(Lease))).all() == []
        slipped = (await tx.get_one(Campaign, campaign)).slipped
    await asyncio.sleep(0.3)
    assert relay.count == arrived
    assert slipped < arrived


@pytest.mark.parametrize("machine", ["same", "comes back", "stays away"])
async def test_the_others_go_on_with_what_a_killed_worker_had(
    db: Database, url: str, tmp_path: Path, relay: Relay, machine: str
) -> None:
    here, there = tmp_path / "a", tmp_path / ("a" if machine == "same" else "b")
    wait = "1" if machine == "stays away" else "60"
    server = await add_server(db, "primary", relay.port, max_connections=CONNECTIONS)
    async with worker(url, here, wait_for_journal=wait), worker(url, there, wait_for_journal=wait) as second:
        await living(db, 2)
        campaign = await add_campaign(db, server, RECIPIENTS)
        await at_work(db, 2)
        await kill(second)
        if machine == "comes back":
            await _all_but_its_leases(db, relay)
            async with worker(url, there):
                await finished(db, campaign)
        await finished(db, campaign)
    await each_once(db, relay, campaign, unknown=CONNECTIONS if machine != "stays away" else 1_000)
    await nothing_left(db)
    async with db.read() as tx:
        said = " ".join((await tx.scalars(select(Timeline.text))).all())
    assert ("has not been heard of" in said) == (machine != "same")
    assert ("Sending was interrupted" in said) or machine != "stays away"


async def _all_but_its_leases(db: Database, relay: Relay) -> None:
    """Until nothing is left but what the dead worker had leased."""

    async def check() -> bool:
        async with db.read() as tx:
            shards = (await tx.scalars(select(Shard))).all()
            lost = (await tx.scalars(select(Worker.id).where(Worker.lost_at.is_not(None)))).all()
            return not shards and len(lost) == 1

    await until(check)
    assert relay.count < RECIPIENTS


async def test_a_worker_that_was_frozen_sends_nothing_that_it_no_longer_has(
    db: Database, url: str, tmp_path: Path, relay: Relay
) -> None:
    server = await add_server(db, "primary", relay.port, max_connections=CONNECTIONS)
    async with worker(url, tmp_path / "a"), worker(url, tmp_path / "b") as second:
        await living(db, 2)
        campaign = await add_campaign(db, server, RECIPIENTS)
        await at_work(db, 2)
        second.send_signal(signal.SIGSTOP)
        await _all_but_its_leases(db, relay)
        second.send_signal(signal.SIGCONT)
        await finished(db, campaign)
        await living(db, 2)
    await each_once(db, relay, campaign, unknown=CONNECTIONS)


async def test_two_workers_keep_within_one_servers_limits(db: Database, url: str, tmp_path: Path) -> None:
    async with Relay() as relay:
        server = await add_server(db, "primary", relay.port, max_connections=3, rate_per_second=150)
        most = 0
        async with worker(url, tmp_path / "a") as first:
            await living(db, 1)
            await add_campaign(db, server, 15 * RECIPIENTS)
            await relay.wait_for(100)
            async with worker(url, tmp_path / "b"):
                both = asyncio.create_task(until(lambda: _both_send(db)))
                while not both.done():
                    most = max(most, relay.connections)
                    await asyncio.sleep(0.002)
                await both
                for _ in range(2):
                    already = relay.count
                    while relay.count < already + 300:
                        most = max(most, relay.connections)
                        await asyncio.sleep(0.002)
                    if first.returncode is None:
                        await kill(first)
    assert most == 3
    times = [message.at.timestamp() for message in relay.messages]
    busiest = max(sum(start <= at < start + 1 for at in times[i : i + 200]) for i, start in enumerate(times))
    assert busiest <= 150 * 1.1


async def _both_send(db: Database) -> bool:
    async with db.read() as tx:
        parts = (await tx.scalars(select(Share.connections))).all()
    return sorted(parts) == [1, 2]


async def test_a_database_that_is_restarted_is_waited_for(tmp_path: Path, relay: Relay) -> None:
    folder = tmp_path / "postgres"
    folder.mkdir()
    postgres = start_server(folder)
    db = Database(postgres.get_uri())
    try:
        await db.migrate()
        server = await add_server(db, "primary", relay.port, max_connections=CONNECTIONS)
        async with worker(postgres.get_uri(), tmp_path / "a"), worker(postgres.get_uri(), tmp_path / "b"):
            await living(db, 2)
            campaign = await add_campaign(db, server, RECIPIENTS)
            await at_work(db, 2)
            await asyncio.to_thread(postgres.stop)
            await asyncio.sleep(0.5)
            assert relay.count < RECIPIENTS
            await asyncio.to_thread(postgres.ensure_postgres_running)
            await finished(db, campaign)
        await each_once(db, relay, campaign, unknown=0)
    finally:
        await db.close()
        postgres.cleanup()
