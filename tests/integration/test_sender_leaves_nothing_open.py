"""A sender that has stopped has given back what it used of the database."""

import asyncio
from pathlib import Path

from sqlalchemy import QueuePool

from bot.mail.sender import Sender
from storage import changes
from storage.db import Database
from tests.seeds import settings_for


async def test_nobody_looks_at_the_database_any_more(db: Database, database_url: str, tmp_path: Path) -> None:
    open_before = _in_use(db)
    sender = Sender(db, settings_for(database_url, tmp_path))
    running = asyncio.create_task(sender.run())
    while not list(tmp_path.glob("journals/*.journal")):
        await asyncio.sleep(0.01)
    await asyncio.sleep(changes.LOOK_EVERY_POSTGRESQL.total_seconds() * 4)
    sender.stop()
    await running
    assert _in_use(db) == open_before


def _in_use(db: Database) -> int:
    """Connections that are out of the pool."""
    pool = db._engine.pool
    assert isinstance(pool, QueuePool)
    return pool.checkedout()
