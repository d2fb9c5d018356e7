"""From the command to the last dot: how long mail still leaves after somebody has said `/campaign pause`.

A campaign at full speed is paused a hundred times by the use case behind the command, at random moments, in another
process than the one that sends; the server knows when it took its last message. Milliseconds. 0: none left after it.
"""

import asyncio
import random
import statistics
import time
from typing import Any

from bot.access import Access, Actor
from bot.config import Settings
from bot.services.campaigns import Campaigns
from storage.models import CampaignState
from tests.bench.sending import Stage, postgresql, staged
from tests.bench.timed_sink import TimedSink, timed_sink
from tests.databases import clone, url_of
from tests.seeds import state_of, wish

PAUSES = 100
RECIPIENTS = 1_200_000
"""More than can be sent between so many pauses."""
CONNECTIONS = 50
WORKERS = 2
_WHO = Actor("bench", "bench", source="terminal")


async def run() -> dict[str, Any]:
    """`p50_ms` and `p99_ms` of one process on SQLite, `fleet_p50_ms` and `fleet_p99_ms` of two on PostgreSQL."""
    async with timed_sink() as sink, staged(sink.port, RECIPIENTS, CONNECTIONS) as stage:
        one = await _pauses(stage, sink)
    async with timed_sink() as sink, postgresql() as admin:
        clone(admin, "fleet")
        url = url_of(admin, "fleet")
        async with staged(sink.port, RECIPIENTS, CONNECTIONS, url=url, workers=WORKERS) as stage:
            fleet = await _pauses(stage, sink)
    return {
        "pauses": PAUSES,
        "p50_ms": round(statistics.median(one), 1),
        "p99_ms": round(statistics.quantiles(one, n=100)[-1], 1),
        "fleet_p50_ms": round(statistics.median(fleet), 1),
        "fleet_p99_ms": round(statistics.quantiles(fleet, n=100)[-1], 1),
    }


async def _pauses(stage: Stage, sink: TimedSink) -> list[float]:
    settings = Settings(database_url=stage.db.url.render_as_string(hide_password=False))
    campaigns = Campaigns(stage.db, settings, Access(settings.roles, settings.admins))
    await wish(stage.db, stage.campaign, CampaignState.SENDING, CampaignState.SENDING)
    return [await _pause(campaigns, stage, sink) for _ in range(PAUSES)]


async def _pause(campaigns: Campaigns, stage: Stage, sink: TimedSink) -> float:
    """Milliseconds from the command to the last dot; afterwards the campaign goes on."""
    await _flowing(sink)
    await asyncio.sleep(random.uniform(0.05, 0.2))
    begun = time.monotonic()
    await campaigns.pause(_WHO, "spring-sale")
    while (state := await state_of(stage.db, stage.campaign)) != CampaignState.PAUSED:
        if state == CampaignState.FINISHED:
            raise RuntimeError("the campaign came to its end before its last pause: give it more recipients")
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)  # whatever still arrives is counted
    last, _ = await sink.last()
    await campaigns.resume(_WHO, "spring-sale")
    return max(0.0, last - begun) * 1000


async def _flowing(sink: TimedSink) -> None:
    _, before = await sink.last()
    while (await sink.last())[1] < before + 500:
        await asyncio.sleep(0.01)
