"""The database: SQLite in one file, or PostgreSQL by a URL. The only place where connections are made."""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, MissingGreenlet, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from storage import straight
from storage.errors import StorageError
from storage.turns import Turns

if TYPE_CHECKING:
    from alembic.config import Config

T = TypeVar("T")
Tx = AsyncSession
"""An open transaction. Callers outside this package only pass it on."""

BUSY_TIMEOUT_MS = 5_000
_LAST_LOOKS = 5.0  # seconds until a connection that is in use is given up at the end
CACHE_KIB = 16_000
# Without these a server that is cut off without a word is waited for a quarter of an hour, and everybody with it:
# https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS (milliseconds, otherwise seconds)
LINE = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
_MIGRATION_LOCK = 0x486F6C64  # "Hold": one migration at a time on PostgreSQL


class Database:
    """One database, three ways in: `transaction()` to write, `in_one_go()` to write without keeping others waiting,
    `read()` to look.

    On SQLite a writer begins with BEGIN IMMEDIATE, so two writers wait for each other instead of failing in the
    middle. No await on the network belongs inside a transaction. `cache_kib` is what each connection to SQLite may keep
    of the file in memory.
    """

    def __init__(self, url: str, *, busy_timeout_ms: int = BUSY_TIMEOUT_MS, cache_kib: int = CACHE_KIB) -> None:
        parsed = _parsed(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        driver = "sqlite+aiosqlite" if self.is_sqlite else "postgresql+psycopg"
        self.url = parsed.set(drivername=driver)
        self._busy_timeout_ms = busy_timeout_ms
        self._cache_kib = cache_kib
        in_file = self.is_sqlite and self.url.database not in {None, "", ":memory:"}
        self._turns = Turns(Path(self.url.database or "")) if in_file else None
        self._engine = self._create_engine()
        self._writer = self._engine.execution_options(holdfast_begin="BEGIN IMMEDIATE")
        self._straight: Engine | None = None
        self._threads = ThreadPoolExecutor(1, "database") if self.is_sqlite else None

    def _create_engine(self) -> AsyncEngine:
        if not self.is_sqlite:
            return create_async_engine(
                self.url, pool_size=10, max_overflow=10, pool_pre_ping=True, connect_args=LINE | dict(self.url.query)
            )
        _make_folder(Path(str(self.url.database)).parent)
        engine = create_async_engine(self.url, pool_size=5, max_overflow=15)
        event.listen(engine.sync_engine, "connect", self._prepare_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
        event.listen(engine.sync_engine, "invalidate", _let_go_sqlite)
        return engine

    def _straight_engine(self) -> Engine:
        """Another engine for the same file, without aiosqlite: see storage/straight.py."""
        if self._straight is None:
            engine = create_engine(self.url.set(drivername="sqlite"), pool_size=1, max_overflow=0)
            event.listen(engine, "connect", self._prepare_straight)
            event.listen(engine, "begin", _begin_sqlite)
            self._straight = engine.execution_options(holdfast_begin="BEGIN IMMEDIATE")
        return self._straight

    def _prepare_straight(self, connection: Any, _record: ConnectionPoolEntry) -> None:
        connection.isolation_level = None
        self._set_pragmas(connection)
        # What a batch would take back if it failed half way goes into a file from 64 KiB on, several times a second.
        connection.execute("PRAGMA temp_store = MEMORY")

    def _prepare_sqlite(self, connection: Any, _record: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        connection.run_async(self._write_ahead)
        self._set_pragmas(connection)

    def _set_pragmas(self, connection: Any) -> None:
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout = {self._busy_timeout_ms}",
            "synchronous = NORMAL",
            "foreign_keys = ON",
            f"cache_size = -{self._cache_kib}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    async def _write_ahead(self, connection: Any) -> None:
        """Two that open a new file at the same moment would wait for each other, so SQLite refuses one at once, without
        its busy_timeout: https://www.sqlite.org/c3ref/busy_handler.html
        """
        end = time.monotonic() + self._busy_timeout_ms / 1000
        while True:
            try:
                await connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > end:
                    raise
                await asyncio.sleep(0.01)
            else:
                return

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        """A transaction that writes: commits at the end, rolls back on an error.

        Raises StorageError, with a sentence, when the database is locked, full, away or read-only.
        """
        try:
            async with self._turn(), _session(self._writer) as session:
                yield session
                await _to_its_end(session.commit())
        except (OperationalError, DBAPIError) as error:
            raise explain(error) from error

    async def in_one_go(self, work: Callable[[Tx], Coroutine[Any, Any, T]]) -> T:
        """`transaction` for work that awaits nothing but its statements: on SQLite in one thread, without a change.

        Raises StorageError as `transaction` does.
        """
        if self._threads is None:
            async with self.transaction() as tx:
                return await work(tx)
        try:
            async with self._turn():
                return await _to_its_end(self._driven(work))
        except (OperationalError, DBAPIError) as error:
            raise explain(error) from error

    async def _driven(self, work: Callable[[Tx], Coroutine[Any, Any, T]]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._drive, work)

    def _drive(self, work: Callable[[Tx], Coroutine[Any, Any, T]]) -> T:
        with Session(self._straight_engine(), expire_on_commit=False) as session:
            result = straight.drive(session, work)
            session.commit()
        return result

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """On SQLite, this writer's turn among those of all processes."""
        if self._turns is None:
            yield
            return
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(self._turns.turn(self._busy_timeout_ms / 1000))
            except TimeoutError as error:
                raise StorageError(_LOCKED) from error
            except OSError as error:
                raise explain(error) from error
            yield

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Tx]:
        """A consistent look at the database; nothing is written. Raises StorageError as `transaction` does."""
        try:
            async with _session(self._engine) as session:
                yield session
        except (OperationalError, DBAPIError) as error:
            raise explain(error) from error

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[AsyncEngine]:
        """The engine for a library that brings statements of its own, which may write: it has this writer's turn.

        Raises StorageError as `transaction` does.
        """
        try:
            async with self._turn():
                yield self._writer
        except (OperationalError, DBAPIError) as error:
            raise explain(error) from error

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection]:
        """A bare connection that is kept open, for locks that live as long as it does."""
        async with self._engine.connect() as connection:
            yield connection

    async def migrate(self) -> tuple[str | None, str]:
        """Bring the tables to this version's shape. Returns the revisions before and after.

        Raises StorageError when the database cannot be reached or was written by a newer version.
        """
        try:
            async with self._writer.begin() as connection:
                if not self.is_sqlite:
                    await connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
                return await connection.run_sync(_upgrade)
        except (OperationalError, DBAPIError) as error:
            raise explain(error) from error
        except OSError as error:
            raise explain(error) from error

    async def revision(self) -> str | None:
        """The revision of the tables as they are; None when there are none. Raises StorageError."""
        try:
            async with self._engine.connect() as connection:
                return await connection.run_sync(_revision)
        except (OperationalError, DBAPIError) as error:
            raise explain(error) from error

    async def close(self) -> None:
        """When those who still use a connection are done, or after a while: one that comes back later is never closed.
        Some look on although whoever asked is gone, since others may wait for the same look.
        """
        # Shielded, so that a cancelled caller leaves no open connection behind.
        await asyncio.shield(self._close())

    async def _close(self) -> None:
        pool = self._engine.pool
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_LOOKS):
                while isinstance(pool, QueuePool) and pool.checkedout():  # noqa: ASYNC110  a pool has no event
                    await asyncio.sleep(0.01)
        await self._engine.dispose()
        if self._threads is not None:
            self._threads.shutdown()
        if self._straight is not None:
            self._straight.dispose()
        if self._turns is not None:
            self._turns.close()


@asynccontextmanager
async def _session(engine: AsyncEngine) -> AsyncIterator[AsyncSession]:
    """Rolls back at the end what was not committed."""
    session = AsyncSession(engine, expire_on_commit=False)
    try:
        yield session
    finally:
        await _to_its_end(session.close())


async def _to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """A cancelled caller waits until `work` is done. Cut in its middle, a commit would be one of which nobody knows
    whether it happened, and a connection on its way back to the pool would be lost to it.
    """
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


def _parsed(url: str) -> URL:
    """Raises StorageError, which does not repeat the URL: there may be a password in it."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise StorageError(
            "HOLDFAST_DATABASE_URL cannot be read. Write it like postgresql://user:password@host:5432/holdfast, with "
            "signs such as @ and / in the password percent-encoded, or like sqlite:////path/to/holdfast.db."
        ) from error
    if parsed.get_backend_name() == "sqlite" and parsed.database in {None, "", ":memory:"}:
        raise StorageError(
            "HOLDFAST_DATABASE_URL needs a file, for what is in memory is gone after a restart. Write it like "
            "sqlite:////path/to/holdfast.db, with four slashes."
        )
    return parsed


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"The folder of the database, {folder}, cannot be made ({error.strerror}). "
            "Set HOLDFAST_DATA_DIR or HOLDFAST_DATABASE_URL to a place that can be written."
        ) from error


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("holdfast_begin", "BEGIN"))


# Alembic is loaded by those who look at the shape of the tables: the sender, which has to be back soon, never does.


def _let_go_sqlite(connection: Any, _record: ConnectionPoolEntry, _error: BaseException | None) -> None:
    """A caller was cancelled in the middle of a statement. If that still has rows to give (RETURNING), a closed
    connection lives on with its lock until the statement is collected: https://www.sqlite.org/c3ref/close.html
    """
    with suppress(MissingGreenlet):  # outside of a loop there is nobody who was cancelled
        connection.rollback()


def alembic_config() -> "Config":
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def head_revision() -> str:
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    head = ScriptDirectory.from_config(alembic_config()).get_current_head()
    if head is None:
        raise RuntimeError("no migrations were shipped")
    return head


def _revision(connection: Connection) -> str | None:
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415

    return MigrationContext.configure(connection).get_current_revision()


def _upgrade(connection: Connection) -> tuple[str | None, str]:
    from alembic import command  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = alembic_config()
    config.attributes["connection"] = connection
    before = _revision(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if before is not None and before not in known:
        raise StorageError(
            f"The database is at revision {before}, which this version of Holdfast does not know: it was written by a "
            "newer one. Install that version, or restore the backup from before the upgrade."
        )
    if before != head_revision():
        command.upgrade(config, "head")
    return before, head_revision()


_LOCKED = "The database is locked by another program. Nothing was changed; try again in a moment."
_SENTENCES = (
    ("deadlock", "Somebody changed the same thing at the same moment. Nothing was changed by you; try again."),
    ("locked", _LOCKED),
    ("disk is full", "The disk of the database is full. Nothing was changed; free some space and try again."),
    (
        "no space left",
        "The disk of the database is full. Nothing was changed; free some space and try again.",
    ),
    (
        "readonly",
        "The database may not be written. Nothing was changed; check the file's owner and permissions.",
    ),
    (
        "unable to open",
        "The database file cannot be opened. Check HOLDFAST_DATABASE_URL and HOLDFAST_DATA_DIR.",
    ),
    ("disk i/o", "The disk of the database reports an error. Nothing was changed; check the disk."),
    ("malformed", "The database file is damaged. Stop Holdfast and restore the file from a backup."),
    ("not a database", "The file is not a database. Check HOLDFAST_DATABASE_URL."),
    ("password authentication", "PostgreSQL refused the password. Check HOLDFAST_DATABASE_URL."),
    ("does not exist", "PostgreSQL does not know this database, role or table. Check HOLDFAST_DATABASE_URL."),
    ("no such table", "The database has no tables yet. Run: holdfast migrate"),
)


def explain(error: Exception) -> Exception:
    """A StorageError with the sentence for a failure of the database itself; a mistake of ours stays what it is."""
    said = str(getattr(error, "orig", None) or error).lower()
    for sign, sentence in _SENTENCES:
        if sign in said:
            return StorageError(sentence)
    if isinstance(error, OperationalError | OSError) or getattr(error, "connection_invalidated", False):
        reason = said.splitlines()[0][:200] if said else type(error).__name__
        return StorageError(f"The database cannot be reached ({reason}). Check that it runs, then try again.")
    return error
