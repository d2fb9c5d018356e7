"""The work engine of many workers: dbos, thin. Work is written down before it begins and goes on after any crash.

    engine = FleetEngine(db, executor, [Kind("ramp", ramp)])
    await engine.start()
    await engine.ensure("ramp", "12", 12)     # one ramp of this key for ever, however often it is asked for
    ...
    await engine.stop()                       # what is under way stays pending, and goes on elsewhere

A run that is cancelled by `stop`, or whose worker dies, stays pending under that worker's name. `adopt` gives what
belongs to nobody alive to whoever is there. dbos costs about 8 ms of CPU for each piece of work and 10 ms a second for
looking (docs/scaling.md): a piece is thousands of deliveries, never one.

Its tables are in the schema `dbos` of our database. dbos has one instance in a process; so has this.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import structlog
from dbos import DBOS, DBOSConfig, SetWorkflowID

from bot.errors import BotError
from bot.work_kinds import Kind
from storage.db import LINE, Database

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


class FleetEngine:
    """See the module, and bot/work_kinds.py for what each call promises."""

    def __init__(self, db: Database, executor: str, kinds: Sequence[Kind]) -> None:
        self._db = db
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
        DBOS(config=self._config())
        _engine = self
        try:
            DBOS.launch()  # here, not in a thread: it takes the running loop as the one for our work
        except Exception as error:
            await self.stop()
            raise BotError(
                f"The work engine cannot begin ({type(error).__name__}: {str(error).splitlines()[0][:200]}). It keeps "
                f"its tables in the schema {_SCHEMA} of the database; check that Holdfast may make and change them."
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
        return DBOSConfig(
            name=_NAME,
            application_version=_VERSION,
            executor_id=self._executor,
            system_database_url=self._db.url.set(drivername="postgresql").render_as_string(hide_password=False),
            dbos_system_schema=_SCHEMA,
            sys_db_pool_size=_POOL,
            max_executor_threads=_THREADS,
            use_listen_notify=False,
            notification_listener_polling_interval_sec=0.5,  # it looks at memory alone; a stop waits for it
            scheduler_polling_interval_sec=3600.0,  # nothing of ours is scheduled by it
            # Where the database is away it says so at every look; the sender says it once, in a sentence.
            log_level="ERROR",
            # Without a question to the server before each use: a third of what looking costs. What finds a dead
            # connection is tried again.
            db_engine_kwargs={"connect_args": dict(LINE), "pool_pre_ping": False},
        )


_engine: FleetEngine | None = None


@DBOS.workflow(name="work", max_recovery_attempts=None)
async def _run(kind: str, *arguments: Any) -> None:
    """What dbos knows by name: every kind of ours is one workflow of its, with the kind as its first argument."""
    if _engine is None:
        raise asyncio.CancelledError  # it came while the engine stops: pending, as what was under way
    await _engine.carry_out(kind, arguments)
