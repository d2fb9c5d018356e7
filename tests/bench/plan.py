"""Seconds from `/resend plan` to the frozen plan with the figures of its card: 10 million deliveries, 50,000 failed.

The failed ones were lost in one outage of one server, which five of eight campaigns went through; other mail bounced,
some of the lost addresses are suppressed by now, and another resend is under way. `sqlite_s` and `postgresql_s` are
the medians of the whole use case for the outage; `..._campaign_s` the same for one of the campaigns, and
`..._headline_s` what the outage's headline takes to be drawn anew.
"""

import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from bot.clock import now
from bot.services.outage_reading import Reading
from storage.db import Database
from storage.models import DeliveryStatus, Resend, ResendItem, ResendState
from tests.bench.ledgers import analyze, fill, moment, suppress
from tests.databases import start_server
from tests.resend_world import MARIA, World

DELIVERIES = 10_000_000
FAILED = 50_000
CAMPAIGNS = 8
TOUCHED = 5
TIMES = 7

_COLUMNS = "status, attempts, server_id, changed_at, stage, code, reply, retry, outage_id"
# Of what was lost 1 of 50 is unknown and 1 of 50 refused for a reason of ours; elsewhere 1 of 200 has bounced.
_VALUES = """
CASE WHEN n > {sent} THEN 'queued'
     WHEN n > {first} AND n <= {last} THEN
          CASE n % 50 WHEN 0 THEN 'unknown' WHEN 1 THEN 'failed_permanent' ELSE 'failed_temporary' END
     WHEN n % 200 = 7 THEN 'failed_permanent' ELSE 'delivered' END,
CASE WHEN n > {sent} THEN 0 ELSE 1 END,
CASE WHEN n > {sent} THEN NULL ELSE {server} END,
CASE WHEN n > {sent} THEN NULL ELSE {at} END,
CASE WHEN n > {first} AND n <= {last} THEN 'dot' END,
CASE WHEN n > {sent} THEN NULL WHEN n > {first} AND n <= {last} THEN 451 WHEN n % 200 = 7 THEN 550 ELSE 250 END,
CASE WHEN n > {first} AND n <= {last} THEN '451 4.3.2 try again later' WHEN n % 200 = 7 THEN '550 no such user' END,
CASE WHEN n > {sent} THEN NULL
     WHEN n > {first} AND n <= {last} THEN
          CASE n % 50 WHEN 0 THEN 'decide' WHEN 1 THEN 'after_fix' ELSE 'safe' END
     ELSE 'never' END,
CASE WHEN n > {first} AND n <= {last} THEN {outage} END
"""


async def seed(db: Database, url: str, folder: Path, deliveries: int, failed: int) -> World:
    """The world of the benchmark, with a campaign whose sending is not over and a resend that is paused."""
    it = World(db, folder)
    await it.build(1)
    campaigns = [await it.add_campaign(f"mailing-{k}", 1) for k in range(1, CAMPAIGNS + 1)]
    outage = await it.open_outage(campaigns[:TOUCHED], resolved=True)
    rows, lost = deliveries // CAMPAIGNS, failed // TOUCHED
    first = rows // 2
    for campaign in campaigns:
        touched, over = campaign in campaigns[:TOUCHED], campaign != campaigns[-1]
        values = _VALUES.format(
            sent=rows if over else rows // 2,
            first=first if touched else rows,
            last=first + lost if touched else rows,
            server=it.server,
            outage=outage,
            at=moment(url),
        )
        fill(url, campaign, rows, _COLUMNS, values)
    suppress(url, rows, every=170)
    await _under_way(it, campaigns[0], range(first + 1, first + lost // 100 + 1))
    analyze(url)
    return it


async def _under_way(it: World, campaign: int, numbers: range) -> None:
    """A resend that has these deliveries in its items, and is paused."""
    async with it.db.transaction() as tx:
        resend = Resend(
            state=ResendState.PAUSED,
            wish=ResendState.PAUSED,
            campaign_ids=[campaign],
            plan_hash="",
            total=len(numbers),
            requested_by="tests",
            created_at=now(),
        )
        tx.add(resend)
        await tx.flush()
        taken = {"campaign_id": campaign, "resend_id": resend.id, "wave": 0, "before": DeliveryStatus.FAILED_TEMPORARY}
        tx.add_all([ResendItem(n=n, **taken) for n in numbers])


async def _planned(it: World, word: str) -> float:
    """Seconds from the command to the card. The plan is taken back afterwards, so that the next one is new."""
    begun = time.perf_counter()
    resend = await it.resends.plan(MARIA, word)
    card = await it.resends.status(resend.id)
    taken = time.perf_counter() - begun
    assert card.resend.total == card.progress.held_back > 0
    await it.resends.cancel(MARIA, resend.id)
    return taken


async def _headline(it: World) -> float:
    begun = time.perf_counter()
    headline = await Reading(it.db).headline(1)
    taken = time.perf_counter() - begun
    assert headline.totals is not None
    assert headline.totals.failed == FAILED
    return taken


async def _figures(kind: str, url: str, folder: Path) -> dict[str, Any]:
    db = Database(url)
    try:
        await db.migrate()
        it = await seed(db, url, folder, DELIVERIES, FAILED)
        measured = {
            f"{kind}_s": [await _planned(it, "1") for _ in range(TIMES)],
            f"{kind}_campaign_s": [await _planned(it, "mailing-1") for _ in range(TIMES)],
            f"{kind}_headline_s": [await _headline(it) for _ in range(TIMES)],
        }
        return {name: round(statistics.median(times), 3) for name, times in measured.items()}
    finally:
        await db.close()


async def run() -> dict[str, Any]:
    """Seconds, on each database."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures = await _figures("sqlite", f"sqlite:///{folder / 'bench.db'}", folder)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = await asyncio.to_thread(start_server, folder / "postgres")
        try:
            figures |= await _figures("postgresql", server.get_uri(), folder)
        finally:
            await asyncio.to_thread(server.cleanup)
    return {"deliveries": DELIVERIES, "failed": FAILED} | figures
