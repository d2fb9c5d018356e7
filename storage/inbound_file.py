"""Requests of Slack in an SQLite file of their own.

It is written by one process and read by nobody else, in a single hop to its thread: an ack waits for it, and each hop
costs milliseconds while the machine is busy sending.
"""

import asyncio
import json
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from storage.db import explain
from storage.errors import StorageError
from storage.inbound_shapes import Arrival, Batch, Unfinished

_T = TypeVar("_T")
_BUSY_SECONDS = 5.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS requests (
    key TEXT PRIMARY KEY, at REAL NOT NULL, kind TEXT NOT NULL, payload TEXT, started_at REAL, done_at REAL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS requests_open ON requests (at) WHERE done_at IS NULL;
"""


class RequestFile:
    """See storage.inbound.Requests. The file is made by the first call."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="inbox")
        self._connection: sqlite3.Connection | None = None
        self._closed = False

    async def write(self, batch: Batch, at: datetime) -> set[str]:
        return await self._run(lambda: self._write(batch, at.timestamp()))

    async def unfinished(self) -> list[Unfinished]:
        return await self._run(self._unfinished)

    async def forget(self, before: datetime) -> None:
        statement = "DELETE FROM requests WHERE at < ? AND done_at IS NOT NULL"
        await self._run(lambda: self._open().execute(statement, [before.timestamp()]))

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
            self._thread.shutdown(wait=False)

    async def _run(self, work: Callable[[], _T]) -> _T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except (sqlite3.OperationalError, OSError) as error:
            told = explain(error)
            raise told if isinstance(told, StorageError) else StorageError(f"{self._path.name}: {error}.") from error

    # In the thread

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self._path, isolation_level=None, timeout=_BUSY_SECONDS)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.executescript(_SCHEMA)
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _write(self, batch: Batch, at: float) -> set[str]:
        connection = self._open()
        connection.execute("BEGIN IMMEDIATE")
        with connection:  # commits, or rolls back on an error
            fresh = set()
            for each in batch.arrivals:
                row = (each.key, at, each.kind, json.dumps(each.payload))
                sql = "INSERT OR IGNORE INTO requests (key, at, kind, payload) VALUES (?, ?, ?, ?)"
                if connection.execute(sql, row).rowcount:
                    fresh.add(each.key)
            started = [(at, key) for key in batch.started]
            connection.executemany("UPDATE requests SET started_at = ? WHERE key = ?", started)
            finished = [(at, key) for key in batch.finished]
            connection.executemany("UPDATE requests SET done_at = ?, payload = NULL WHERE key = ?", finished)
        return fresh

    def _unfinished(self) -> list[Unfinished]:
        sql = "SELECT key, at, kind, payload, started_at FROM requests WHERE done_at IS NULL ORDER BY at, key"
        with closing(self._open().execute(sql)) as rows:
            return [
                Unfinished(
                    Arrival(key, kind, json.loads(payload or "{}")), datetime.fromtimestamp(at, UTC), begun is not None
                )
                for key, at, kind, payload, begun in rows
            ]
