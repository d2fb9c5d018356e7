"""A worker takes its next shard while it still has something of the last one to send."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import func, select

from bot.demo.relays import Relay
from storage import shards
from storage.db import Database
from storage.models import CampaignState, Shard
from tests.integration.test_sender import counts, each_once, running, until_state
from tests.seeds import add_campaign, add_server

SHARD = 2_500


async def test_the_line_to_the_server_does_not_run_dry_between_two_shards(
    db: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "ROWS", SHARD)
    async with Relay() as relay:
        server = await add_server(db, "primary", relay.port, rate_per_second=2_000)
        campaign = await add_campaign(db, server, 2 * SHARD)
        async with running(db, database_url, tmp_path), asyncio.timeout(60):
            while True:
                async with db.read() as tx:
                    taken = await tx.scalar(select(func.count()).where(Shard.worker.is_not(None)))
                if taken == 2:
                    break
                await asyncio.sleep(0.01)
            assert (await counts(db, campaign)).get("delivered", 0) < SHARD
            await until_state(db, campaign, CampaignState.FINISHED)
        each_once(relay, 2 * SHARD)
