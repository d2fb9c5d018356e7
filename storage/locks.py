"""One at a time: locks that end with the process that holds them, kill -9 included."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from storage.db import Database


class TakenError(Exception):
    """Another process holds the lock."""


def _open(folder: Path, name: str) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    return os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)


@asynccontextmanager
async def only_one(db: Database, name: str, folder: Path) -> AsyncIterator[None]:
    """Hold the lock `name` while the block runs: a file lock in `folder` and, on PostgreSQL, an advisory lock too.

    Raises TakenError at once when another process has it. The advisory lock lives on a connection of its own.
    """
    handle = await asyncio.to_thread(_open, folder, name)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise TakenError(name) from error
        if db.is_sqlite:
            yield
            return
        async with db.connection() as connection:
            held = await connection.scalar(text("SELECT pg_try_advisory_lock(hashtext(:name))"), {"name": name})
            if not held:
                raise TakenError(name)
            await connection.commit()
            try:
                yield
            finally:
                # Not left to the end of the connection, which the server notices when it comes to it: whoever starts
                # again at once would be told that another one runs. On a line that is cut the lock has ended.
                with suppress(DBAPIError):
                    await connection.execute(text("SELECT pg_advisory_unlock(hashtext(:name))"), {"name": name})
                    await connection.commit()
    finally:
        os.close(handle)
