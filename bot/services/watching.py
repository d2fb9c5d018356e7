"""The watch: looks at every server on its own schedule, hears what sending saw, and opens and closes outages."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial

import structlog

from bot.clock import now
from bot.config import Settings
from bot.errors import SHOWABLE
from bot.services.outages import Outages
from bot.services.servers import Servers
from storage import evidence, outages
from storage import servers as server_store
from storage.db import Database
from storage.models import Evidence, Server

_SLOWEST, _FASTEST = timedelta(seconds=1), timedelta(seconds=0.1)
"""The time between two pulses; it follows the retries of the settings."""
_STALE = timedelta(minutes=5)
"""Evidence that waited longer than this, because nothing watched, says nothing of now."""
_KEEP = timedelta(days=7)
_END_OF_WINDOW = timedelta(minutes=2)
"""Within this whoever ends a maintenance window has judged its server; a failure to do so must not hide an outage."""
_log = structlog.get_logger(__name__)


class Watch:
    """Level, not edge: each pulse asks the database which server is down without an outage and which outage's server
    is up again. So nothing is missed by a crash, a locked database or the end of a maintenance window.
    """

    def __init__(self, db: Database, settings: Settings, servers: Servers, outages: Outages) -> None:
        self._db = db
        self._servers = servers
        self._outages = outages
        retry = timedelta(seconds=settings.probes.retry_interval)
        self._pulse = min(_SLOWEST, max(_FASTEST, retry))
        self._jitter: dict[int, float] = {}
        self._probing: dict[int, asyncio.Task[None]] = {}
        self._tried: dict[int, datetime] = {}
        self._look = asyncio.Event()
        self._pruned_at: datetime | None = None

    async def run(self) -> None:
        """Until cancelled. Trouble with one server, or with the database, is logged and tried again."""
        try:
            while True:
                self._look.clear()
                await self._guarded("judge evidence", self.judge)
                await self._guarded("start probes", self._start_probes)
                await self._guarded("open and close outages", self.reconcile)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._pulse.total_seconds()):
                        await self._look.wait()
        finally:
            await self._stop_probes()

    async def tick(self) -> None:
        """One whole round: what is due is probed, what is new is judged, outages follow. Errors are logged."""
        await self._guarded("start probes", self._start_probes)
        await asyncio.gather(*self._probing.values())
        await self._guarded("judge evidence", self.judge)
        await self._guarded("open and close outages", self.reconcile)

    async def judge(self) -> None:
        """Take what sending saw since the last time into account."""
        at = now()
        async with self._db.read() as tx:
            rows = await evidence.unjudged(tx)
        fresh: dict[int, list[Evidence]] = {}
        for row in rows:
            if at - row.at < _STALE:
                fresh.setdefault(row.server_id, []).append(row)
        missed: set[int] = set()
        for server_id, seen in fresh.items():
            if not await self._guarded("judge evidence", partial(self._servers.record_sending, server_id, seen)):
                missed.update(row.id for row in seen)
        done = [row.id for row in rows if row.id not in missed]
        if done or self._is_time_to_prune(at):
            async with self._db.transaction() as tx:
                await evidence.judge(tx, done, at)
                await evidence.prune(tx, at - _KEEP)
            self._pruned_at = at

    async def reconcile(self) -> None:
        """Open, reopen and close outages until they agree with the servers. Maintenance blocks only the opening."""
        async with self._db.read() as tx:
            at = now()
            away = await server_store.active_windows(tx, at)
            # Whoever ends a window looks at the server first, and opens the outage if there is one.
            judged = await server_store.ending_windows(tx, at, _END_OF_WINDOW)
            down = [each for each in await outages.down_without_outage(tx) if each.id not in {*away, *judged}]
            up = await outages.up_in_outage(tx)
        for server in down:
            await self._guarded("open an outage", partial(self._outages.open_down, server), server)
        for server in up:
            await self._guarded("note a recovery", partial(self._outages.recovered, server), server)
        await self._outages.catch_up()

    # Probes

    async def _start_probes(self) -> None:
        async with self._db.read() as tx:
            servers = await server_store.every(tx)
        for server in servers:
            if server.id not in self._probing and self._is_due(server, now()):
                self._tried[server.id] = now()
                task = asyncio.create_task(self._probe(server), name=f"probe {server.name}")
                self._probing[server.id] = task
                task.add_done_callback(partial(self._probed, server.id))

    def _is_due(self, server: Server, at: datetime) -> bool:
        last, tried = server.last_probe_at, self._tried.get(server.id)
        if tried is not None and (last is None or last < tried):  # it could not be made, or not be written down
            return not timedelta(0) <= at - tried < self._servers.policy.retry_interval
        if last is None or last > at:  # never, or a clock that was set back
            return True
        jitter = self._jitter.setdefault(server.id, random.uniform(-1, 1))
        return at - last >= self._servers.next_delay(server, jitter)

    async def _probe(self, server: Server) -> None:
        await self._guarded("probe", partial(self._look_at, server), server)

    async def _look_at(self, server: Server) -> None:
        await self._servers.record_probe(server.id, await self._servers.look(server))

    def _probed(self, server_id: int, _task: asyncio.Task[None]) -> None:
        self._probing.pop(server_id, None)
        self._jitter.pop(server_id, None)
        self._look.set()

    async def _stop_probes(self) -> None:
        tasks = list(self._probing.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _is_time_to_prune(self, at: datetime) -> bool:
        return self._pruned_at is None or at - self._pruned_at >= timedelta(hours=1)

    async def _guarded(self, what: str, step: Callable[[], Awaitable[object]], server: Server | None = None) -> bool:
        """Whether the step went well; what did not is tried again at a later pulse."""
        try:
            await step()
        except SHOWABLE as error:
            _log.warning("watch could not " + what, server=server.name if server else None, error=str(error))
            return False
        except Exception:  # noqa: BLE001  a monitor that one error can end leaves everybody blind
            _log.exception("watch could not " + what, server=server.name if server else None)
            return False
        return True
