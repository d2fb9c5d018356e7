"""kill -9 in the middle of a send: nobody lost, nobody twice, and the few in flight listed by name."""

import asyncio
import os
import random
import signal
import sys
from asyncio.subprocess import Process
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import select

from bot.demo.relays import Relay
from storage import deliveries
from storage.db import Database
from storage.models import CampaignState, Timeline
from tests.seeds import add_campaign, add_server, state_of

RECIPIENTS = 6_000
CONNECTIONS = 8
START = "from bot.config import load_settings; from bot.mail.worker import run_worker; run_worker(load_settings())"


async def start_worker(url: str, folder: Path) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        START,
        env={
            **os.environ,
            "HOLDFAST_DATABASE_URL": url,
            "HOLDFAST_DATA_DIR": str(folder),
            "HOLDFAST_SECRET_KEY": "test-key",
        },
    )


async def kill(process: Process) -> None:
    process.send_signal(signal.SIGKILL)
    await process.wait()


@pytest.mark.slow
async def test_kill_9_loses_nobody_and_mails_nobody_twice(db: Database, database_url: str, tmp_path: Path) -> None:
    chance = random.Random(20261124)
    async with Relay() as relay:
        server = await add_server(db, "primary", relay.port, max_connections=CONNECTIONS)
        campaign = await add_campaign(db, server, RECIPIENTS)
        kills = 0
        for _ in range(5):
            before = relay.count
            worker = await start_worker(database_url, tmp_path)
            await relay.wait_for(min(before + chance.randrange(50, 900), RECIPIENTS - 50))
            await kill(worker)
            kills += 1
        assert relay.count < RECIPIENTS, "every kill was in the middle"
        worker = await start_worker(database_url, tmp_path)
        async with asyncio.timeout(60):
            while await state_of(db, campaign) != CampaignState.FINISHED:
                await asyncio.sleep(0.05)
        worker.terminate()
        assert await worker.wait() == 0
        got = Counter(rcpt for message in relay.messages for rcpt in message.recipients)

    async with db.read() as tx:
        ledger = await deliveries.counts(tx, campaign)
        unknown = await deliveries.unknown_names(tx, campaign)
        said = (await tx.scalars(select(Timeline.text).where(Timeline.kind == "campaign.unknown"))).all()
    assert set(got.values()) == {1}, "somebody was mailed twice"
    missing = {f"p{n}@example.com" for n in range(1, RECIPIENTS + 1)} - got.keys()
    assert missing <= set(unknown), "somebody was lost and the ledger does not say so"
    assert ledger["delivered"] + ledger["unknown"] == RECIPIENTS
    assert ledger["unknown"] <= kills * CONNECTIONS
    assert all(any(name in text for text in said) for name in unknown), "the unknown are listed by name"


async def test_a_journal_that_is_gone_makes_all_that_was_leased_unknown(
    db: Database, database_url: str, tmp_path: Path
) -> None:
    async with Relay() as relay:
        campaign = await add_campaign(db, await add_server(db, "primary", relay.port), 2_000)
        worker = await start_worker(database_url, tmp_path)
        await relay.wait_for(100)
        await kill(worker)
        for journal in (tmp_path / "journals").glob("*.journal"):
            journal.unlink()
        worker = await start_worker(database_url, tmp_path)
        async with asyncio.timeout(60):
            while await state_of(db, campaign) != CampaignState.FINISHED:
                await asyncio.sleep(0.05)
        worker.terminate()
        await worker.wait()
        got = Counter(rcpt for message in relay.messages for rcpt in message.recipients)
    async with db.read() as tx:
        ledger = await deliveries.counts(tx, campaign)
    assert set(got.values()) == {1}
    assert ledger["unknown"] > 0
    assert ledger["delivered"] + ledger["unknown"] == 2_000


async def test_a_second_sender_is_refused_in_a_sentence(db: Database, database_url: str, tmp_path: Path) -> None:
    from storage.locks import TakenError, only_one

    async with only_one(db, "worker", tmp_path):
        with pytest.raises(TakenError):
            async with only_one(db, "worker", tmp_path):
                pytest.fail("two hold one lock")
