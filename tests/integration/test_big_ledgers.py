"""What people wait for never walks through the ledger, which may have ten million rows.

Looked at on SQLite, which plans by its rules alone, so that a few rows show what millions would.
"""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from bot.clock import now
from bot.services.outage_reading import Reading
from storage import deliveries, evidence
from storage.db import Database
from tests.resend_world import JOAN, MARIA, World, world

Asked = list[tuple[str, Any]]


@pytest.fixture
async def it(sqlite_template: Path, tmp_path: Path) -> Any:
    shutil.copy(sqlite_template, tmp_path / "holdfast.db")
    db = Database(f"sqlite:///{tmp_path / 'holdfast.db'}")
    yield await world(db, tmp_path, 300)
    await db.close()


@contextmanager
def asked(db: Database) -> Iterator[Asked]:
    """Every statement that reaches the database, with its values."""
    statements: Asked = []

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, _context: Any, many: bool) -> None:
        if not many:
            statements.append((statement, values))

    engine = db._engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    yield statements
    event.remove(engine, "before_cursor_execute", note)


def walks(db: Database, statements: Asked) -> list[str]:
    """The steps by which SQLite would go through all deliveries, or all of a campaign."""
    with sqlite3.connect(str(db.url.database)) as file:
        steps = [
            row[3]
            for statement, values in statements
            if "deliveries" in statement
            for row in file.execute(f"EXPLAIN QUERY PLAN {statement}", values)
        ]
    assert steps
    whole = ("SCAN deliveries", "SEARCH deliveries USING PRIMARY KEY (campaign_id=?)")
    return [step for step in steps if step.startswith(whole)]


async def test_the_beginning_of_an_outage_reads_what_failed(it: World) -> None:
    await it.mark([7, 8], "failed_temporary", "safe")
    outage = await it.open_outage()
    with asked(it.db) as statements:
        async with it.db.transaction() as tx:
            assert await evidence.first_lost(tx, it.server, now() - timedelta(hours=1)) is not None
            assert await deliveries.stamp_outage(tx, it.server, now() - timedelta(hours=1), outage) == 2
    assert walks(it.db, statements) == []


async def test_a_plan_its_approval_and_its_end_read_what_was_lost(it: World) -> None:
    outage = await it.open_outage()
    await it.lose(range(1, 150), outage=outage)
    for word in (str(outage), "spring-sale"):
        with asked(it.db) as statements:
            resend = await it.resends.plan(MARIA, word)
            await it.resends.status(resend.id)
            await it.resends.approve(JOAN, resend.id, resend.plan_hash, "canary")
            await it.resends.pause(MARIA, resend.id)
            await it.become(resend.id, "paused")
            await it.resends.cancel(MARIA, resend.id)
        assert resend.total == 149
        assert walks(it.db, statements) == []


async def test_the_figures_of_outages_and_campaigns_read_counts(it: World) -> None:
    outage = await it.open_outage()
    await it.lose([1, 2], outage=outage)
    await it.mark([3], "unknown", "decide", outage=outage)
    with asked(it.db) as statements:
        headline = await Reading(it.db).headline(outage)
        summary = await Reading(it.db).summary(outage)
        async with it.db.read() as tx:
            assert await deliveries.unknown_names(tx, it.campaign) == ["p3@example.com"]
    assert headline.totals == summary.totals
    assert headline.totals is not None
    assert (headline.totals.attempted, headline.totals.failed, headline.totals.still_lost) == (300, 3, 2)
    assert walks(it.db, statements) == []
