"""Stops are foretold to the worker beside an SQLite file: what shall stop sends nothing while the wish is written.

A wish waits for its turn at the file and is many statements long: on a busy machine a thousand messages leave
meanwhile. So whoever is about to write one says so first, by a line in a file beside the database, whose length the
worker looks at again and again. It is no state: what stands in the database decides, and when the wish comes to nothing
the worker goes on at its next look.
"""

import os
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from pathlib import Path

from storage.db import Database, Tx

Stop = tuple[str, str]
"""What shall stop: `campaign` or `resend`, and its id."""


async def foretell(db: Database, find: Callable[[Tx], Coroutine[None, None, Iterable[Stop]]]) -> None:
    """Say what `find` finds to be stopped. Nothing on PostgreSQL, where nobody waits for a pen.

    Raises StorageError, and what `find` raises. Where the disk takes no line, the wish itself comes soon.
    """
    if not db.is_sqlite:
        return
    async with db.read() as tx:
        lines = "".join(f"{kind} {number}\n" for kind, number in await find(tx))
    with suppress(OSError):
        handle = os.open(_path(db), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(handle, lines.encode())
        finally:
            os.close(handle)


class Foretold:
    """The worker's end; there is one for a database. Raises OSError where the file cannot be made."""

    def __init__(self, db: Database) -> None:
        self._handle = os.open(_path(db), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(self._handle, 0)  # what was foretold to the worker before
        self._read = 0

    def new(self) -> set[Stop]:
        """What was foretold since the last time."""
        size = os.fstat(self._handle).st_size
        if size <= self._read:
            self._read = size  # somebody may have emptied it
            return set()
        lines = os.pread(self._handle, size - self._read, self._read).decode().splitlines()
        self._read = size
        return {(kind, number) for kind, _, number in (line.partition(" ") for line in lines)}

    def close(self) -> None:
        os.close(self._handle)


def _path(db: Database) -> Path:
    return Path(f"{db.url.database}-stops")
