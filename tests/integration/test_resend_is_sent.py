"""A resend with the real sender and a real relay: what was lost arrives, once."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bot.demo.relays import Relay, reply
from bot.mail.sender import Sender
from storage.db import Database
from tests.resend_world import JOAN, KIM, MARIA, world
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
        again = await it.resends.plan(MARIA, "spring-sale")
        assert again.total == 3000 - len(got)


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
