"""A transaction in one go: the same statements as elsewhere, whole or not at all, by one thread on SQLite."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from storage.db import Database, Tx
from storage.errors import StorageError
from storage.models import Server

NOON = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)


async def _add(tx: Tx) -> int:
    server = Server(name="primary", host="mx1", port=25, created_at=NOON)
    tx.add(server)
    await tx.flush()
    return server.id


async def _names(db: Database) -> list[str]:
    async with db.read() as tx:
        return [server.name for server in await tx.scalars(select(Server))]


async def test_it_commits_and_gives_what_the_work_returns(db: Database) -> None:
    added = await db.in_one_go(_add)

    async def look(tx: Tx) -> tuple[Server | None, datetime | None]:
        return await tx.get(Server, added), await tx.scalar(select(Server.created_at))

    server, at = await db.in_one_go(look)
    assert server is not None
    assert (server.name, at) == ("primary", NOON)
    assert await _names(db) == ["primary"]


async def test_an_error_in_its_middle_leaves_nothing(db: Database) -> None:
    async def fail(tx: Tx) -> None:
        await _add(tx)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await db.in_one_go(fail)
    assert await _names(db) == []
    await db.in_one_go(_add)
    assert await _names(db) == ["primary"]


async def test_a_caller_that_is_cancelled_waits_until_it_is_whole(db: Database) -> None:
    cancelled = 0
    for tenths in range(20):
        task = asyncio.create_task(db.in_one_go(_add))
        await asyncio.sleep(tenths / 10_000)
        task.cancel()
        (ended,) = await asyncio.gather(task, return_exceptions=True)
        cancelled += isinstance(ended, asyncio.CancelledError)
        # Whether it was committed or not: nobody holds a lock, and the row is there once at most.
        async with db.transaction() as tx:
            for server in await tx.scalars(select(Server)):
                await tx.delete(server)
    assert cancelled > 0


async def test_two_in_one_go_and_another_writer_take_turns(db: Database) -> None:
    async def count(tx: Tx) -> None:
        server = (await tx.scalars(select(Server).with_for_update())).one()
        server.port += 1
        await tx.flush()

    async def slowly() -> None:
        async with db.transaction() as tx:
            await count(tx)
            await asyncio.sleep(0.001)

    await db.in_one_go(_add)
    await asyncio.gather(*(db.in_one_go(count) for _ in range(10)), *(slowly() for _ in range(10)))
    async with db.read() as tx:
        assert await tx.scalar(select(Server.port)) == 25 + 20


async def test_a_locked_file_is_a_sentence_and_the_next_try_succeeds(sqlite_url: str) -> None:
    database = Database(sqlite_url, busy_timeout_ms=50)
    try:
        with closing(sqlite3.connect(str(database.url.database), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StorageError, match="locked by another program"):
                await database.in_one_go(_add)
            other.execute("ROLLBACK")
        await database.in_one_go(_add)
        assert await _names(database) == ["primary"]
    finally:
        await database.close()


async def test_work_that_waits_for_something_else_is_a_mistake(sqlite_db: Database) -> None:
    async def wait(tx: Tx) -> None:
        await _add(tx)
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="nothing but its transaction"):
        await sqlite_db.in_one_go(wait)
    assert await _names(sqlite_db) == []
