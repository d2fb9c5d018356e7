"""Whether something was asked of the sender since the last look, for next to nothing.

A wish to pause must be seen within milliseconds, and the sender's whole look at the database is too dear for that.
So a cheap one goes before it: on SQLite the file's version, a word in shared memory, and what is foretold beside the
file (storage/stops.py); on either database one statement over the few rows that say what is to be sent.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy.exc import DBAPIError

from storage.db import Database, explain
from storage.stops import Foretold

LOOK_EVERY = timedelta(milliseconds=5)
LOOK_EVERY_POSTGRESQL = timedelta(milliseconds=25)
"""A look costs a trip to the server there."""
_CALM = 4
"""So many times as long may pass between two looks where nothing is sent: nothing can have to stop."""

_ASKED = """
SELECT 'campaign', CAST(id AS TEXT), state, wish || ' ' || coalesce(CAST(ramp_to_n AS TEXT), '')
  FROM campaigns WHERE state IN ('sending', 'pausing')
UNION ALL
SELECT 'resend', CAST(id AS TEXT), state, CAST(wave AS TEXT) FROM resends WHERE state IN ('sending', 'pausing')
UNION ALL
SELECT 'server', CAST(id AS TEXT), health, coalesce(CAST(drained_at AS TEXT), '') || ' '
       || coalesce(CAST(failover_to_id AS TEXT), '') || ' ' || CAST(max_connections AS TEXT) || ' '
       || coalesce(CAST(rate_per_second AS TEXT), '') || ' ' || coalesce(pool, '') || ' ' || CAST(weight AS TEXT) || ' '
       || coalesce(CAST(returning_since AS TEXT), '') FROM servers
UNION ALL
SELECT 'suppression', '', coalesce(CAST(max(at) AS TEXT), ''), '' FROM suppressions
"""

Rows = list[tuple[Any, ...]]


class Watch:
    """Looks at what is asked, again and again. One for each sender."""

    def __init__(
        self, look: Callable[[], Coroutine[None, None, Rows | None]], every: timedelta, is_calm: Callable[[], bool]
    ) -> None:
        self._look = look
        self._every = every.total_seconds()
        self._is_calm = is_calm
        self._known: Rows | None = None

    async def next(self) -> Rows:
        """What is asked, as soon as it is something else than before: (kind, id, state, more)."""
        while True:
            found = await self._look()
            if found is not None and found != self._known:
                self._known = found
                return found
            await asyncio.sleep(self._every * _CALM if self._is_calm() else self._every)


@asynccontextmanager
async def watch(db: Database, is_calm: Callable[[], bool] = lambda: False) -> AsyncIterator[Watch]:
    """`is_calm`: whether nothing is being sent. Raises StorageError where the database cannot be opened; later trouble
    only makes it look in vain.
    """
    if not db.is_sqlite:
        line = _Line(db)
        try:
            yield Watch(line.look, LOOK_EVERY_POSTGRESQL, is_calm)
        finally:
            await line.let_go()
        return
    with closing(_open(str(db.url.database))) as connection, closing(_foretold(db)) as foretold:
        yield Watch(_Versions(connection, foretold).look, LOOK_EVERY, is_calm)


def _open(path: str) -> sqlite3.Connection:
    try:
        return sqlite3.connect(f"file:{quote(str(Path(path).resolve()))}?mode=ro", uri=True, timeout=0)
    except sqlite3.OperationalError as error:
        raise explain(error) from error


def _foretold(db: Database) -> Foretold:
    try:
        return Foretold(db)
    except OSError as error:
        raise explain(error) from error


class _Line:
    """A connection to PostgreSQL that is kept: a look over the pool, in a transaction, costs five times as much, and
    there are 40 a second in each worker.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._kept: AsyncExitStack | None = None

    async def look(self) -> Rows | None:
        """None when the database does not answer: the whole look comes soon, and says what is wrong."""
        try:
            if self._kept is None:
                async with AsyncExitStack() as stack:
                    connection = await stack.enter_async_context(self._db.connection())
                    self._connection = await connection.execution_options(isolation_level="AUTOCOMMIT")
                    self._kept = stack.pop_all()
            return [tuple(row) for row in await self._connection.exec_driver_sql(_ASKED)]
        except DBAPIError:
            await self.let_go()
            return None

    async def let_go(self) -> None:
        if self._kept is not None:
            kept, self._kept = self._kept, None
            with suppress(DBAPIError):
                await kept.aclose()


class _Versions:
    """An SQLite file, on the loop's own thread: in WAL mode a reader waits for nobody."""

    def __init__(self, connection: sqlite3.Connection, foretold: Foretold) -> None:
        self._connection = connection
        self._foretold = foretold
        self._version = -1

    async def look(self) -> Rows | None:
        """None when nobody has written or foretold anything since. What shall stop is left out once."""
        stops = self._foretold.new()
        try:
            (version,) = self._connection.execute("PRAGMA data_version").fetchone()
            if version == self._version and not stops:
                return None
            found = self._connection.execute(_ASKED).fetchall()
        except sqlite3.OperationalError:
            return None
        self._version = version
        return [row for row in found if row[:2] not in stops]
