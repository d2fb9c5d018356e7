"""The durable work engine: dbos, thin. Work that is written down before it begins and goes on after any crash.

    async def ramp(resend_id: int) -> None:
        first = await step(count_failures, resend_id)    # once: its result is remembered
        await sleep(600)                                 # ends when it was to end, restarts included
        ...

    engine = Engine(db, data_dir, executor, [Kind("ramp", ramp)])
    await engine.start()
    await engine.ensure("ramp", "12", 12)     # one ramp of this key for ever, however often it is asked for
    ...
    await engine.stop()                       # what is under way stays pending, and goes on elsewhere

The rules, all of them consequences of one: *the ledger is the truth, the engine only brings work to a worker.*

- Work is asked for by `ensure` with a key, or begun here by `begin`. Who looks at the ledger and finds that work is
  missing does so, as often as it looks; so a crash between the ledger's transaction and this call loses nothing.
- A run may begin again from its beginning: after a crash, and where its worker was only silent. It looks at the
  ledger first, and what it did by `step` is not done again. A step may repeat when the crash came before its result
  was written down. Arguments and results are what JSON can say.
- A run that is cancelled by `stop`, or whose worker dies, stays pending under that worker's name. `adopt` gives what
  belongs to nobody alive to whoever is there.
- dbos costs about 8 ms of CPU for each piece of work and 10 ms a second for looking (docs/scaling.md): a piece is
  thousands of deliveries, never one.

On PostgreSQL its tables are in the schema `dbos` of our database, on SQLite in `work.db` of the data directory, so
that it never takes a turn at the ledger's file. dbos has one instance in a process; so has this.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

import structlog
from dbos import DBOS, DBOSConfig, SetWorkflowID

from bot.errors import BotError
from storage.db import LINE, Database

T = TypeVar("T")
Run = Callable[..., Awaitable[None]]

LOOK_EVERY = 3.0
"""Seconds between two looks of a worker for work that waits."""
_NAME = "holdfast"
_VERSION = "1"
"""Constant: dbos gives work of another version to nobody, so a deploy would strand what is under way."""
_SCHEMA = "dbos"
_POOL = 3
_THREADS = 32
_FORGET_AT_ONCE = 1_000
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Kind:
    """One kind of work. `run` gets the arguments of `ensure` or `begin`, on the loop that called `Engine.start`.

    `queued`: whether it is asked for by `ensure`. Otherwise no worker looks whether some waits.
    """

    name: str
    run: Run
    queued: bool = True


class Duty(Protocol):
    """Work of another room that workers carry out beside their own: its kind, and who asks for it."""

    kind: Kind

    async def ask(self, engine: "Engine") -> None:
        """Give the engine what is missing there. Called every few seconds by every worker, so by `ensure` alone."""


class Engine:
    """See the module. `executor` is a name that no other process and no earlier boot has."""

    def __init__(self, db: Database, data_dir: Path, executor: str, kinds: Sequence[Kind]) -> None:
        self._db = db
        self._file = data_dir / "work.db"
        self._executor = executor
        self._kinds = {kind.name: kind for kind in kinds}
        self._running: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Begin to take work. Raises BotError when the engine's tables cannot be made or read."""
        global _engine  # noqa: PLW0603  dbos itself has one instance in a process
        # dbos would add a handler of its own where there is none; its words go the way of all others.
        logger = logging.getLogger("dbos")
        logger.addHandler(logging.NullHandler())
        logger.propagate = True
        if self._db.is_sqlite:
            await asyncio.to_thread(self._write_ahead)
        DBOS(config=self._config())
        _engine = self
        try:
            DBOS.launch()  # here, not in a thread: it takes the running loop as the one for our work
        except Exception as error:
            await self.stop()
            raise BotError(
                f"The work engine cannot begin ({type(error).__name__}: {str(error).splitlines()[0][:200]}). It keeps "
                f"its tables in {self._where()}; check that Holdfast may make and change them there."
            ) from error
        for kind in self._kinds.values():
            if kind.queued:
                await DBOS.register_queue_async(kind.name, polling_interval_sec=LOOK_EVERY)

    async def stop(self) -> None:
        """Take nothing more and leave what is under way to others: its runs are cancelled here."""
        global _engine  # noqa: PLW0603
        _engine = None
        logging.getLogger("dbos").setLevel(logging.CRITICAL)  # what it does at this moment fails, and goes on elsewhere
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor())  # it has put its own threads there, and takes them with it
        with ThreadPoolExecutor(1) as thread:
            await loop.run_in_executor(thread, DBOS.destroy)

    async def ensure(self, kind: str, key: str, *arguments: Any) -> None:
        """Have this work done once, by whichever worker takes it, within some seconds."""
        with SetWorkflowID(f"{kind}:{key}"):
            await DBOS.enqueue_workflow_async(kind, _run, kind, *arguments)

    async def begin(self, kind: str, key: str, *arguments: Any) -> None:
        """Have this work done once, by this worker and at once; by another one if this one dies."""
        with SetWorkflowID(f"{kind}:{key}"):
            await DBOS.start_workflow_async(_run, kind, *arguments)

    async def adopt(self, living: Callable[[], Awaitable[Collection[str]]]) -> int:
        """Let go on what is pending under a name that is not among the living. Returns how many.

        `living` is asked after the list was read: whoever took work after it was alive before. One at a time may do
        this, or what another worker has just taken would be given away once more.
        """
        if _engine is not self:
            return 0
        pending = await DBOS.list_workflows_async(status="PENDING", load_input=False, load_output=False)
        if not pending:
            return 0
        alive = {*await living(), self._executor}
        orphans = [each for each in pending if each.executor_id not in alive]
        for queue in {each.queue_name for each in orphans}:
            ids = [each.workflow_id for each in orphans if each.queue_name == queue]
            await DBOS.resume_workflows_async(ids, queue_name=queue)
        return len(orphans)

    async def forget(self, before: datetime) -> None:
        """Delete what ended before then. Its keys can be ensured anew after that."""
        while True:
            ended = await DBOS.list_workflows_async(
                status=["SUCCESS", "ERROR", "CANCELLED"],
                completed_before=before.isoformat(),
                limit=_FORGET_AT_ONCE,
                load_input=False,
                load_output=False,
            )
            if ended:
                await DBOS.delete_workflows_async([each.workflow_id for each in ended])
            if len(ended) < _FORGET_AT_ONCE:
                return

    async def carry_out(self, kind: str, arguments: tuple[Any, ...]) -> None:
        """One run, on our loop. What it raises is logged with its kind; the engine keeps it as failed."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  a coroutine that runs has one
        self._running.add(task)
        try:
            await self._kinds[kind].run(*arguments)
        except Exception:
            _log.exception("work failed", kind=kind, arguments=arguments)
            raise
        finally:
            self._running.discard(task)

    def _config(self) -> DBOSConfig:
        config = DBOSConfig(
            name=_NAME,
            application_version=_VERSION,
            executor_id=self._executor,
            system_database_url=f"sqlite:///{self._file.resolve()}"
            if self._db.is_sqlite
            else self._db.url.set(drivername="postgresql").render_as_string(hide_password=False),
            dbos_system_schema=_SCHEMA,
            sys_db_pool_size=_POOL,
            max_executor_threads=_THREADS,
            use_listen_notify=False,
            notification_listener_polling_interval_sec=0.5,  # it looks at memory alone; a stop waits for it
            scheduler_polling_interval_sec=3600.0,  # nothing of ours is scheduled by it
            # Where the database is away it says so at every look; the sender says it once, in a sentence.
            log_level="ERROR",
        )
        if not self._db.is_sqlite:
            # Without a question to the server before each use: a third of what looking costs. What finds a dead
            # connection is tried again.
            config["db_engine_kwargs"] = {"connect_args": dict(LINE), "pool_pre_ping": False}
        return config

    def _where(self) -> str:
        return str(self._file) if self._db.is_sqlite else f"the schema {_SCHEMA} of the database"

    def _write_ahead(self) -> None:
        """Its own mode makes a reader and a writer wait for each other. The file remembers this one."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self._file)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")


_engine: Engine | None = None


@DBOS.workflow(name="work", max_recovery_attempts=None)
async def _run(kind: str, *arguments: Any) -> None:
    """What dbos knows by name: every kind of ours is one workflow of its, with the kind as its first argument."""
    if _engine is None:
        raise asyncio.CancelledError  # it came while the engine stops: pending, as what was under way
    await _engine.carry_out(kind, arguments)


async def step(function: Callable[..., Coroutine[Any, Any, T]], *arguments: Any) -> T:
    """Inside a run: do this once. After a crash its result is read instead, if it had been written down."""
    return await DBOS.run_step_async({"name": function.__name__}, function, *arguments)


async def sleep(seconds: float) -> None:
    """Inside a run: wait, and after a crash only for the rest."""
    await DBOS.sleep_async(seconds)
