"""Pools: the mail of several servers goes through all of them by weight, and around one that fails."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from bot.clock import now
from bot.demo.relays import Received, Relay, cut, slow
from bot.demo.relays.process import RelayProcess
from storage import deliveries
from storage.db import Database
from storage.models import Campaign, CampaignState, Delivery, Health, Server
from tests.integration.test_sender import counts, running, until_state
from tests.seeds import add_campaign, add_server

CONNECTIONS = 6
_MANY = 8_000
"""So many that a server can be lost in their middle."""


@pytest.fixture
async def relays() -> AsyncIterator[list[Relay]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Relay()) for _ in range(3)]


async def pool(db: Database, *ports: int, weights: tuple[int, ...] = (), **columns: Any) -> list[int]:
    """Servers of the pool marketing, relay-a, relay-b, ..., with these weights."""
    given = weights or (1,) * len(ports)
    return [
        await add_server(db, f"relay-{'abc'[n]}", port, pool="marketing", weight=weight, **columns)
        for n, (port, weight) in enumerate(zip(ports, given, strict=True))
    ]


async def change(db: Database, server_id: int, **columns: object) -> None:
    async with db.transaction() as tx:
        await tx.execute(update(Server).where(Server.id == server_id).values(**columns))


def parts(*relays: Relay) -> list[float]:
    whole = sum(relay.count for relay in relays)
    return [relay.count / whole for relay in relays]


def nobody_twice(*taken: list[Received]) -> Counter[str]:
    got = Counter(email for messages in taken for message in messages for email in message.recipients)
    assert set(got.values()) == {1}, "somebody was mailed twice"
    return got


async def test_two_servers_take_three_quarters_and_one_quarter_at_full_speed(
    db: Database, database_url: str, tmp_path: Path, relays: list[Relay]
) -> None:
    heavy, light = await pool(db, relays[0].port, relays[1].port, weights=(3, 1))
    campaign = await add_campaign(db, light, 6000)
    async with running(db, database_url, tmp_path):
        await until_state(db, campaign, CampaignState.FINISHED, within=60)
    assert len(nobody_twice(relays[0].messages, relays[1].messages)) == 6000
    assert parts(*relays[:2]) == pytest.approx([0.75, 0.25], abs=0.04)
    async with db.read() as tx:
        carried = Counter(await tx.scalars(select(Delivery.server_id)))
    assert carried == {heavy: relays[0].count, light: relays[1].count}


async def test_rate_limits_do_not_change_the_weights(
    db: Database, database_url: str, tmp_path: Path, relays: list[Relay]
) -> None:
    first, _ = await pool(db, relays[0].port, relays[1].port, weights=(3, 1), rate_per_second=150)
    campaign = await add_campaign(db, first, 600)
    async with running(db, database_url, tmp_path):
        await until_state(db, campaign, CampaignState.FINISHED, within=60)
    assert parts(*relays[:2]) == pytest.approx([0.75, 0.25], abs=0.04)
    took = max(m.at for m in relays[0].messages) - min(m.at for m in relays[0].messages)
    assert took > timedelta(seconds=2.7), "450 messages at 150 a second"


async def test_one_that_is_slow_does_not_hold_up_the_other(
    db: Database, database_url: str, tmp_path: Path, relays: list[Relay]
) -> None:
    first, _ = await pool(db, relays[0].port, relays[1].port, max_connections=CONNECTIONS)
    await relays[0].behave(slow("rcpt", timedelta(seconds=1.5)))
    campaign = await add_campaign(db, first, 4000)
    async with running(db, database_url, tmp_path):
        await until_state(db, campaign, CampaignState.FINISHED, within=60)
    assert await counts(db, campaign) == {"delivered": 4000}
    assert 0 < relays[0].count < 400


async def test_one_that_is_left_out_gives_its_part_to_the_others_and_takes_it_again(
    db: Database, database_url: str, tmp_path: Path, relays: list[Relay]
) -> None:
    servers = await pool(db, *(relay.port for relay in relays), weights=(2, 1, 0))
    await change(db, servers[1], drained_at=now(), drained_by="Maria")
    campaign = await add_campaign(db, servers[1], 1000)
    async with running(db, database_url, tmp_path):
        await until_state(db, campaign, CampaignState.FINISHED, within=60)
        assert [relay.count for relay in relays] == [1000, 0, 0], "a weight of 0 takes nothing while another can"
        await change(db, servers[0], health=Health.DOWN)
        second = await add_campaign(db, servers[0], 500, name="second")
        await until_state(db, second, CampaignState.FINISHED, within=60)
        assert relays[2].count == 500, "nobody else is left"
        await change(db, servers[0], health=Health.UP)
        await change(db, servers[1], drained_at=None)
        third = await add_campaign(db, servers[0], 3000, name="third")
        await until_state(db, third, CampaignState.FINISHED, within=60)
    assert relays[2].count == 500
    assert [relays[0].count - 1000, relays[1].count] == pytest.approx([2000, 1000], abs=150)


async def test_a_member_that_is_failed_over_gives_its_part_to_its_backup(
    db: Database, database_url: str, tmp_path: Path, relays: list[Relay]
) -> None:
    first, second = await pool(db, relays[0].port, relays[1].port, weights=(1, 3))
    backup = await add_server(db, "backup", relays[2].port)
    await change(db, second, failover_to_id=backup)
    campaign = await add_campaign(db, first, 3000)
    async with running(db, database_url, tmp_path):
        await until_state(db, campaign, CampaignState.FINISHED, within=60)
    assert relays[1].count == 0
    assert parts(relays[0], relays[2]) == pytest.approx([0.25, 0.75], abs=0.04)


async def test_with_no_member_left_nothing_leaves(
    db: Database, database_url: str, tmp_path: Path, relays: list[Relay]
) -> None:
    servers = await pool(db, relays[0].port, relays[1].port, health=Health.DOWN)
    campaign = await add_campaign(db, servers[0], 100)
    async with running(db, database_url, tmp_path):
        await asyncio.sleep(0.6)
        assert [relay.count for relay in relays] == [0, 0, 0]
        await change(db, servers[1], health=Health.UP)
        await until_state(db, campaign, CampaignState.FINISHED)
    assert [relay.count for relay in relays] == [0, 100, 0]


async def test_what_a_failing_server_gives_back_leaves_through_the_other(
    db: Database, database_url: str, tmp_path: Path, relays: list[Relay]
) -> None:
    """It greets, takes the envelope and hangs up, again and again: each row was in its hands and never sent."""
    first, _ = await pool(db, relays[0].port, relays[1].port, max_connections=CONNECTIONS)
    await relays[0].behave(cut("data"))
    campaign = await add_campaign(db, first, 2000)
    async with running(db, database_url, tmp_path):
        await until_state(db, campaign, CampaignState.FINISHED, within=60)
    assert relays[0].count == 0
    final = await counts(db, campaign)
    assert relays[1].count == final["delivered"]
    assert final["delivered"] + final.get("failed_temporary", 0) == 2000
    assert final.get("failed_temporary", 0) <= 20, "only what the trials of the failing server cost"


@pytest.fixture
async def processes(tmp_path: Path) -> AsyncIterator[list[RelayProcess]]:
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(RelayProcess(tmp_path / f"{name}.log", name=name)) for name in ("a", "b")
        ]


async def _in_the_middle(db: Database, campaign: int, at_least: int) -> None:
    async with asyncio.timeout(30):
        while (await counts(db, campaign)).get("delivered", 0) < at_least:
            await asyncio.sleep(0.005)


async def _longest_silence(db: Database, campaign: int) -> float:
    """Seconds between one result and the next, while the campaign went out."""
    async with db.read() as tx:
        rows = await tx.scalars(
            select(Delivery.changed_at)
            .where(Delivery.campaign_id == campaign, Delivery.status == "delivered")
            .order_by(Delivery.changed_at)
        )
        times = [each for each in rows if each is not None]
    return max((after - before).total_seconds() for before, after in pairwise(times))


async def _was_left(db: Database, campaign: int, processes: list[RelayProcess], within: float) -> None:
    """Nobody was lost or mailed twice, and the second server went on within so many seconds without the first."""
    got = nobody_twice(*(process.received() for process in processes))
    async with db.read() as tx:
        ledger = await deliveries.counts(tx, campaign)
        names = await deliveries.unknown_names(tx, campaign, _MANY)
    assert ledger["delivered"] + ledger["unknown"] == _MANY, "somebody was lost"
    assert ledger["unknown"] <= CONNECTIONS
    assert {f"p{n}@example.com" for n in range(1, _MANY + 1)} - got.keys() <= set(names)
    assert await _longest_silence(db, campaign) < within
    assert len(processes[1].received()) > _MANY / 2


async def test_a_server_that_is_killed_in_the_middle_is_left_within_seconds(
    db: Database, database_url: str, tmp_path: Path, processes: list[RelayProcess]
) -> None:
    first, _ = await pool(db, *(process.port for process in processes), max_connections=CONNECTIONS)
    campaign = await add_campaign(db, first, _MANY)
    async with running(db, database_url, tmp_path):
        await _in_the_middle(db, campaign, 500)
        await processes[0].kill()
        await until_state(db, campaign, CampaignState.FINISHED, within=90)
    await _was_left(db, campaign, processes, within=5)


async def test_a_server_that_freezes_in_the_middle_is_left_within_seconds(
    db: Database, database_url: str, tmp_path: Path, processes: list[RelayProcess]
) -> None:
    first, _ = await pool(db, *(process.port for process in processes), max_connections=CONNECTIONS)
    campaign = await add_campaign(db, first, _MANY)
    async with running(db, database_url, tmp_path, settle_timeout=1):
        await _in_the_middle(db, campaign, 500)
        os.kill(processes[0].pid, signal.SIGSTOP)
        try:
            await _in_the_middle(db, campaign, _MANY - 3 * CONNECTIONS)
            await change(db, first, health=Health.DOWN)  # as the monitor does, once its probes have failed
            await until_state(db, campaign, CampaignState.FINISHED, within=90)
        finally:
            os.kill(processes[0].pid, signal.SIGCONT)
    await asyncio.sleep(0.3)  # it reads what was on its way when it froze
    await _was_left(db, campaign, processes, within=8)


async def test_a_server_that_returns_carries_its_part_and_the_one_before_it_the_rest(
    db: Database, database_url: str, tmp_path: Path, relays: list[Relay]
) -> None:
    carrier = await add_server(db, "carrier", relays[1].port)
    at = now()
    began, ends = at - timedelta(hours=1), at + timedelta(hours=2)  # a third is over
    back: dict[str, Any] = {"returning_from_id": carrier, "returning_since": began, "returning_until": ends}
    primary = await add_server(db, "primary", relays[0].port, **back)
    campaign = await add_campaign(db, primary, 4000)
    async with running(db, database_url, tmp_path):
        await until_state(db, campaign, CampaignState.FINISHED, within=60)
        part = 0.05 + 0.95 / 3
        assert parts(*relays[:2]) == pytest.approx([part, 1 - part], abs=0.04)
        second = await add_campaign(db, primary, 1000, name="second", state=CampaignState.SCHEDULED)
        taken = relays[0].count
        await change(db, primary, health=Health.DOWN)
        async with db.transaction() as tx:
            await tx.execute(update(Campaign).where(Campaign.id == second).values(state=CampaignState.SENDING))
        await until_state(db, second, CampaignState.FINISHED, within=60)
    assert relays[0].count == taken, "it failed again, and all goes through the carrier"
    assert relays[1].count == 5000 - taken
