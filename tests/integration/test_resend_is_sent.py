"""A resend with the real sender and a real relay: what was lost arrives, once."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from sqlalchemy import select

from bot.clock import now
from bot.demo.relays import Relay, reply, slow
from bot.mail.sender import Sender
from bot.slack.plain import plain
from bot.slack.views.resend import card
from storage import shards
from storage.db import Database
from storage.models import Shard
from tests.resend_world import JOAN, KIM, MARIA, World, world
from tests.seeds import settings_for


@asynccontextmanager
async def sending(db: Database, folder: Path) -> AsyncIterator[None]:
    sender = Sender(db, settings_for(str(db.url), folder))
    task = asyncio.create_task(sender.run())
    try:
        yield
    finally:
        sender.stop()
        await task


def received(relay: Relay) -> Counter[str]:
    return Counter(address for message in relay.messages for address in message.recipients)


async def test_what_was_lost_arrives_once_and_nothing_else(db: Database, tmp_path: Path) -> None:
    async with Relay() as relay:
        it = await world(db, tmp_path, 400, port=relay.port)
        await it.lose(range(1, 251))
        await it.mark([300], "unknown", "decide")
        resend = await it.resends.plan(MARIA, "spring-sale")
        async with sending(db, tmp_path):
            await it.resends.approve(JOAN, resend.id, resend.plan_hash, "canary")
            paused = await it.until_state(resend.id, "paused")
            assert paused.note == "the canary is done"
            assert received(relay) == {f"p{n}@example.com": 1 for n in (1, 101, 201)}
            assert (await it.resends.status(resend.id)).canary_done
            await it.resends.rest(KIM, resend.id, resend.plan_hash)
            await it.until_state(resend.id, "finished")
        assert received(relay) == {f"p{n}@example.com": 1 for n in range(1, 251)}
        status = await it.resends.status(resend.id)
        assert (status.progress.delivered, status.progress.to_go) == (250, 0)
        assert status.rate_per_minute is not None
        assert await it.ledger() == {"delivered": 399, "unknown": 1}


async def test_it_stops_when_told_and_gives_back_what_did_not_go(db: Database, tmp_path: Path) -> None:
    async with Relay() as relay:
        it = await world(db, tmp_path, 3000, port=relay.port)
        await it.change_server(rate_per_second=3_000)  # slow enough to be stopped in the middle
        await it.lose(range(1, 3001))
        resend = await it.resends.plan(MARIA, "spring-sale")
        async with sending(db, tmp_path):
            await it.resends.approve(JOAN, resend.id, resend.plan_hash)
            await relay.wait_for(200)
            await it.resends.cancel(MARIA)
            await it.until_state(resend.id, "cancelled")
        got = received(relay)
        assert set(got.values()) == {1}
        assert await it.ledger() == {"delivered": len(got), "failed_temporary": 3000 - len(got)}
        assert "the others are as before" in await confirmed(it, resend.id, "resend.cancel_confirmed")
        again = await it.resends.plan(MARIA, "spring-sale")
        assert again.total == 3000 - len(got)


async def test_a_pause_says_how_many_slipped_out_and_when_it_was_confirmed(db: Database, tmp_path: Path) -> None:
    async with Relay() as relay:
        await relay.behave(slow("dot", timedelta(milliseconds=300)))
        it = await world(db, tmp_path, 400, port=relay.port)
        await it.lose(range(1, 401))
        resend = await it.resends.plan(MARIA, "spring-sale")
        async with sending(db, tmp_path):
            await it.resends.approve(JOAN, resend.id, resend.plan_hash, "whole")
            await relay.wait_for(20)
            await it.resends.pause(MARIA)
            paused = await it.until_state(resend.id, "paused")
            assert 1 <= paused.slipped <= 20, "at most what was in flight on ten connections, and what had just ended"
            assert await confirmed(it, resend.id, "resend.pause_confirmed")
            text = plain((view := card(await it.resends.status(resend.id))).blocks, view.text)
            assert f"{paused.slipped} after the wish to stop" in text
            assert "Paused by @U0MARIA. The stop was confirmed" in text

            going = await it.resends.resume(MARIA)
            assert (going.wished_at, going.confirmed_at, going.slipped) == (None, None, 0)
            await it.until_state(resend.id, "finished")
        assert received(relay) == {f"p{n}@example.com": 1 for n in range(1, 401)}


async def confirmed(it: World, resend_id: int, kind: str) -> str:
    """What the thread was told of a stop, which is what the resend's row says."""
    row = await it.resend(resend_id)
    assert row.wished_at is not None
    assert row.confirmed_at is not None
    assert row.confirmed_at >= row.wished_at
    said = dict(await it.said())[kind]
    slipped = re.search(r"([\d,]+) slipped out after the request", said)
    assert row.slipped == (int(slipped[1].replace(",", "")) if slipped else 0)
    assert re.search(r"confirmed in \d+\.\d s\.$", said)
    return said


async def test_a_wish_to_stop_that_is_taken_back_before_it_is_confirmed_leaves_nothing_behind(
    db: Database, tmp_path: Path
) -> None:
    async with Relay() as relay:
        it = await world(db, tmp_path, 30, port=relay.port)
        await it.lose(range(1, 31))
        resend = await it.resends.plan(MARIA, "spring-sale")
        await it.resends.approve(JOAN, resend.id, resend.plan_hash, "whole")
        async with db.transaction() as tx:  # a worker had a shard of it, has stopped, and said so; then it went on
            part = {"campaign_id": it.campaign, "resend_id": resend.id, "first_n": 1, "last_n": 30, "created_at": now()}
            tx.add(Shard(worker="gone", **part))
            await tx.flush()
            await it.wish(tx, resend.id, "pausing", "paused")
            (shard,) = await tx.scalars(select(Shard))
            await shards.end(tx, [shard.id], "gone", lambda _: 3)
            assert (await shards.waiting(tx), await tx.scalar(select(Shard.slipped))) == ({}, 3)
            await it.wish(tx, resend.id, "sending", "sending")
        async with sending(db, tmp_path):
            await it.until_state(resend.id, "finished")
        assert received(relay) == {f"p{n}@example.com": 1 for n in range(1, 31)}


async def test_an_address_that_was_suppressed_since_is_not_mailed(db: Database, tmp_path: Path) -> None:
    async with Relay() as relay:
        it = await world(db, tmp_path, 20, port=relay.port)
        await it.lose(range(1, 11))
        await relay.behave(reply("rcpt", 451, "try later", recipients=frozenset({"p3@example.com"})))
        resend = await it.resends.plan(MARIA, "spring-sale")
        await it.suppress("p5@example.com")
        async with sending(db, tmp_path):
            await it.resends.approve(JOAN, resend.id, resend.plan_hash)
            await it.until_state(resend.id, "finished")
        progress = (await it.resends.status(resend.id)).progress
        assert (progress.delivered, progress.failed, progress.suppressed) == (8, 1, 1)
        assert "p5@example.com" not in received(relay)
