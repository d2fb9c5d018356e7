"""The database: both kinds, migrations, and its refusals in sentences."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, select, text

from storage.db import Database, head_revision
from storage.errors import StorageError
from storage.models import Base, Server

NOON = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)


async def test_it_keeps_times_aware_and_in_utc(db: Database) -> None:
    async with db.transaction() as tx:
        tx.add(Server(name="primary", host="mx1", port=25, created_at=NOON))
    async with db.read() as tx:
        server = (await tx.scalars(select(Server))).one()
    assert server.created_at == NOON
    assert server.created_at.tzinfo is UTC


async def test_it_refuses_a_naive_time(db: Database) -> None:
    with pytest.raises(Exception, match="naive datetime"):
        async with db.transaction() as tx:
            tx.add(Server(name="primary", host="mx1", port=25, created_at=NOON.replace(tzinfo=None)))


async def test_migrations_make_exactly_the_models(db: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), Base.metadata))

    async with db.connection() as connection:
        assert await connection.run_sync(differences) == []
    assert await db.revision() == head_revision()


async def test_migrating_twice_changes_nothing(db: Database) -> None:
    assert await db.migrate() == (head_revision(), head_revision())


async def test_many_may_open_a_new_file_at_the_same_moment(tmp_path: Path) -> None:
    for turn in range(40):
        files = [Database(f"sqlite:///{tmp_path}/{turn}.db") for _ in range(3)]
        assert await asyncio.gather(*(each.revision() for each in files)) == [None, None, None]
        for each in files:
            await each.close()


async def test_it_refuses_tables_of_a_newer_version(db: Database) -> None:
    async with db.transaction() as tx:
        await tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StorageError, match="newer"):
        await db.migrate()


async def test_a_transaction_rolls_back_whole(db: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        async with db.transaction() as tx:
            tx.add(Server(name="primary", host="mx1", port=25, created_at=NOON))
            await tx.flush()
            _ = 1 / 0
    async with db.read() as tx:
        assert (await tx.scalars(select(Server))).all() == []


async def test_a_locked_sqlite_file_is_a_sentence_and_changes_nothing(sqlite_template: Path, tmp_path: Path) -> None:
    path = tmp_path / "locked.db"
    path.write_bytes(sqlite_template.read_bytes())
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    database = Database(f"sqlite:///{path}", busy_timeout_ms=50)
    try:
        with pytest.raises(StorageError, match="locked by another program"):
            async with database.transaction() as tx:
                tx.add(Server(name="primary", host="mx1", port=25, created_at=NOON))
        other.execute("ROLLBACK")
        async with database.read() as tx:
            assert (await tx.scalars(select(Server))).all() == []
    finally:
        other.close()
        await database.close()


async def test_a_full_disk_is_a_sentence_and_loses_nothing(sqlite_template: Path, tmp_path: Path) -> None:
    path = tmp_path / "full.db"
    path.write_bytes(sqlite_template.read_bytes())
    database = Database(f"sqlite:///{path}")
    try:
        async with database.transaction() as tx:
            tx.add(Server(name="kept", host="mx1", port=25, created_at=NOON))
        # SQLite answers "database or disk is full" at this limit just as it does at ENOSPC.
        with pytest.raises(StorageError, match="disk of the database is full"):
            async with database.transaction() as tx:
                pages = await tx.scalar(text("PRAGMA page_count"))
                await tx.execute(text(f"PRAGMA max_page_count = {pages}"))
                tx.add(Server(name="big", host="x" * 1_000_000, port=25, created_at=NOON))
        async with database.read() as tx:
            assert [server.name for server in await tx.scalars(select(Server))] == ["kept"]
    finally:
        await database.close()


async def test_a_server_that_is_away_is_a_sentence() -> None:
    database = Database("postgresql://nobody@127.0.0.1:1/none")
    try:
        with pytest.raises(StorageError, match="cannot be reached"):
            await database.revision()
    finally:
        await database.close()


async def test_a_caller_cancelled_at_any_moment_breaks_no_connection(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    # More at once than the pool keeps open, so that some connections are closed on their way back.
    at_once = 8
    for steps in range(40):
        tasks = [asyncio.create_task(_look_and_write(db, number)) for number in range(at_once)]
        for _ in range(steps):
            await asyncio.sleep(0)
        await asyncio.sleep(steps / 4000)
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            assert ended is None or isinstance(ended, asyncio.CancelledError)
    assert [each.getMessage() for each in caplog.records if each.name.startswith("sqlalchemy")] == []
    async with db.transaction() as tx:
        await tx.execute(text("UPDATE suppressions SET reason = reason"))
    # A connection whose opening was cancelled is opened and closed all the same, by a thread that needs this loop.
    await asyncio.sleep(0.2)


async def test_whoever_is_cancelled_in_a_statement_that_gives_rows_leaves_no_lock(sqlite_db: Database) -> None:
    slow = text(
        """
        UPDATE alembic_version SET version_num = version_num RETURNING (
            WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 1000000) SELECT count(*) FROM c
        )
        """
    )

    async def write() -> None:
        async with sqlite_db.transaction() as tx:
            await tx.scalar(slow)

    writing = asyncio.create_task(write())
    with closing(sqlite3.connect(str(sqlite_db.url.database), timeout=0, isolation_level=None)) as other:
        while not _is_locked(other):
            await asyncio.sleep(0.001)
        writing.cancel()
        cancelled = (await asyncio.gather(writing, return_exceptions=True))[0]  # kept, with all that it refers to
        assert isinstance(cancelled, asyncio.CancelledError)
        assert not _is_locked(other)


def _is_locked(other: sqlite3.Connection) -> bool:
    try:
        other.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return True
    other.execute("ROLLBACK")
    return False


async def test_closing_waits_for_who_still_looks(database_url: str) -> None:
    database = Database(database_url)
    begun, on = asyncio.Event(), asyncio.Event()

    async def look() -> object:
        async with database.read() as tx:
            await tx.execute(text("SELECT 1"))
            begun.set()
            await on.wait()
            return await tx.scalar(text("SELECT 2"))

    looking = asyncio.create_task(look())
    await begun.wait()
    asyncio.get_running_loop().call_later(0.05, on.set)
    await database.close()
    assert looking.done()
    assert looking.result() == 2


async def _look_and_write(db: Database, number: int) -> None:
    async with db.read() as tx:
        await tx.execute(text("SELECT 1"))
    async with db.transaction() as tx:
        await tx.execute(text("UPDATE suppressions SET reason = :reason"), {"reason": f"complaint {number}"})
