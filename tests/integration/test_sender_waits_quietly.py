"""A sender that may not send yet waits; it does not ask again and again. On uvloop, as in a worker."""

import asyncio
from pathlib import Path

import pytest
import uvloop

from bot.demo.relays import Relay
from bot.mail.lanes import Lane
from storage.db import Database
from storage.models import CampaignState
from tests.integration.test_sender import each_once, running, until_state
from tests.seeds import add_campaign, add_server

RECIPIENTS = 300


async def _send(url: str, folder: Path, rate: float) -> float:
    """Seconds that it took."""
    db = Database(url)
    try:
        async with Relay() as relay:
            server = await add_server(db, "primary", relay.port, max_connections=20, rate_per_second=rate)
            campaign = await add_campaign(db, server, RECIPIENTS)
            async with running(db, url, folder):
                begun = asyncio.get_running_loop().time()
                await until_state(db, campaign, CampaignState.FINISHED)
                took = asyncio.get_running_loop().time() - begun
            each_once(relay, RECIPIENTS)
    finally:
        await db.close()
    return took


@pytest.mark.parametrize("rate", [150, 900])
def test_between_two_messages_hardly_anybody_is_asked(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rate: float
) -> None:
    asked = 0
    take = Lane.take

    def counting(lane: Lane, *arguments: object, **options: object) -> object:
        nonlocal asked
        asked += 1
        return take(lane, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Lane, "take", counting)
    took = uvloop.run(_send(sqlite_url, tmp_path, rate))
    assert asked < 6 * RECIPIENTS
    assert took > 0.8 * RECIPIENTS / rate
