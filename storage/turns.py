"""Writers of all processes take turns at an SQLite file.

SQLite itself makes a writer that finds the file locked sleep for up to 100 ms between two looks, with no line: beside
a process that writes all the time another one can wait for seconds (https://sqlite.org/c3ref/busy_timeout.html). So
writers stand in line here first. Two locks make the line fair: whoever is next holds the gate while waiting for the
pen, so that the one who puts the pen down cannot take it again at once.
"""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

LOOK_AGAIN = 0.001
"""Seconds between two looks at a lock that another process holds."""


class Turns:
    """One for each Database. The locks are advisory, in files beside the database, and end with their process."""

    def __init__(self, database: Path) -> None:
        self._paths = [database.with_name(f"{database.name}-{name}") for name in ("gate", "pen")]
        self._handles: list[int] = []
        self._line = asyncio.Lock()

    @asynccontextmanager
    async def turn(self, within: float) -> AsyncIterator[None]:
        """Hold the pen while the block runs. Raises TimeoutError when it is not free `within` seconds."""
        async with asyncio.timeout(within) as patience, self._line:
            gate, pen = self._opened()
            await _lock(gate)
            try:
                await _lock(pen)
            finally:
                fcntl.flock(gate, fcntl.LOCK_UN)
            patience.reschedule(None)
            try:
                yield
            finally:
                fcntl.flock(pen, fcntl.LOCK_UN)

    def close(self) -> None:
        for handle in self._handles:
            with suppress(OSError):
                os.close(handle)
        self._handles = []

    def _opened(self) -> list[int]:
        if not self._handles:
            self._handles = [os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600) for path in self._paths]
        return self._handles


async def _lock(handle: int) -> None:
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            await asyncio.sleep(LOOK_AGAIN)
        else:
            return
