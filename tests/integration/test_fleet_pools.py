"""Two workers and a pool of two servers: parts and limits hold for both workers together."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from bot.demo.relays import Received, Relay
from storage.db import Database
from storage.models import Share
from tests.integration.test_fleet import db, finished, kill, living, nothing_left, url, worker
from tests.seeds import add_campaign, add_server

__all__ = ["db", "url"]

RATE = 120
CONNECTIONS = 4
RECIPIENTS = 1200


async def test_two_workers_keep_the_parts_and_the_limits_of_a_pool(db: Database, url: str, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        relays = [await stack.enter_async_context(Relay()) for _ in range(2)]
        ids = [
            await add_server(
                db,
                f"relay-{n}",
                relay.port,
                pool="marketing",
                weight=weight,
                max_connections=CONNECTIONS,
                rate_per_second=RATE,
            )
            for n, (relay, weight) in enumerate(zip(relays, (3, 1), strict=True))
        ]
        most = [0, 0]
        async with worker(url, tmp_path / "a"), worker(url, tmp_path / "b"):
            await living(db, 2)
            campaign = await add_campaign(db, ids[1], RECIPIENTS)
            sending = asyncio.create_task(finished(db, campaign))
            shared: Counter[int] = Counter()
            while not sending.done():
                most = [max(known, relay.connections) for known, relay in zip(most, relays, strict=True)]
                async with db.read() as tx:
                    shared |= Counter(await tx.scalars(select(Share.server_id)))
                await asyncio.sleep(0.005)
            await sending
        await nothing_left(db)
    got = Counter(email for relay in relays for message in relay.messages for email in message.recipients)
    assert len(got) == RECIPIENTS
    assert set(got.values()) == {1}
    assert max(most) <= CONNECTIONS
    assert shared == dict.fromkeys(ids, 2), "each worker had a share of each server"
    assert relays[0].count / RECIPIENTS == pytest.approx(0.75, abs=0.06)
    assert max(_busiest(relay.messages) for relay in relays) <= RATE * 1.15


async def test_a_worker_that_is_killed_leaves_the_pool_to_the_other(db: Database, url: str, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        relays = [await stack.enter_async_context(Relay()) for _ in range(2)]
        limits: dict[str, Any] = {"max_connections": CONNECTIONS, "rate_per_second": RATE}
        ids = [await add_server(db, f"relay-{n}", relay.port, pool="m", **limits) for n, relay in enumerate(relays)]
        async with worker(url, tmp_path / "one"), worker(url, tmp_path / "one") as second:
            await living(db, 2)
            campaign = await add_campaign(db, ids[0], RECIPIENTS)
            await relays[0].wait_for(100)
            await kill(second)
            await finished(db, campaign)
    got = Counter(email for relay in relays for message in relay.messages for email in message.recipients)
    assert set(got.values()) == {1}
    assert len(got) >= RECIPIENTS - 2 * 2 * CONNECTIONS
    assert relays[0].count / len(got) == pytest.approx(0.5, abs=0.06)


def _busiest(messages: list[Received]) -> int:
    """The most messages within one second."""
    times = [message.at.timestamp() for message in messages]
    return max(sum(start <= at < start + 1 for at in times[i : i + 2 * RATE]) for i, start in enumerate(times))
