"""One table: every job, when it runs, and which service method it calls.

APScheduler only rings the bell. What is due stands in our own tables, every handler looks there and changes it
conditionally, and its store is in memory, filled when the scheduler starts, when people change something and every
30 s. So a job that is missed, doubled or run late does no harm, and a restart loses nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler  # type: ignore[import-untyped]  # APScheduler 3 ships no types
from apscheduler.triggers.date import DateTrigger  # type: ignore[import-untyped]  # APScheduler 3 ships no types
from apscheduler.triggers.interval import IntervalTrigger  # type: ignore[import-untyped]  # APScheduler 3 ships no types

from bot.clock import now
from bot.errors import SHOWABLE
from bot.services.bundle import Services
from storage import evidence, inbound, reports

_KEEP_EVIDENCE = timedelta(days=7)
_KEEP_INBOUND = timedelta(days=2)
_KEEP_REPORTS = timedelta(days=90)
_AT_ONCE = 2_000
_PATIENCE = timedelta(seconds=10)
_STEP = "maintenance step at "
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Job:
    """Something that is done again and again. `run` finds out from the tables what there is to do."""

    name: str
    every: timedelta
    run: Callable[[], Awaitable[object]]


class Scheduler:
    """`start` and `stop` on a running loop. Only one may run over a database: bot/app.py holds the lock for that."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._apscheduler = AsyncIOScheduler(
            timezone=UTC, job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        )
        self.jobs: tuple[Job, ...] = (
            Job("notices", timedelta(seconds=1), services.notices.tick),
            Job("overdue approvals", timedelta(seconds=10), self._expire_approvals),
            Job("broken glasses", timedelta(seconds=10), services.break_glass.tick),
            Job("reports of deliveries", timedelta(seconds=10), services.reconciling.tick),
            Job("pages", timedelta(seconds=10), services.pager.tick),
            Job("reminders", timedelta(seconds=10), services.reminders.tick),
            Job("returns of servers", timedelta(seconds=10), services.returns.tick),
            Job("maintenance", timedelta(seconds=30), self._maintain),
            Job("old requests", timedelta(days=1), self._forget_requests),
            Job("old evidence", timedelta(days=1), self._forget_evidence),
            Job("old reports of deliveries", timedelta(days=1), self._forget_reports),
        )
        self._under_way: set[asyncio.Task[Any]] = set()
        self._maintaining = asyncio.Lock()  # two bells may ring at the same moment
        services.maintenance.subscribe(self._look_again)

    async def start(self) -> None:
        """Everything is looked at once, at once: what was missed while nothing ran is caught up."""
        self._apscheduler.start()
        for job in self.jobs:
            self._apscheduler.add_job(
                self._guarded, IntervalTrigger(seconds=int(job.every.total_seconds()), timezone=UTC), args=[job],
                id=job.name, next_run_time=now(),
            )  # fmt: skip
        await self.refill()

    async def stop(self) -> None:
        """Ring no more. What is under way may come to its end, but not for ever."""
        if not self._apscheduler.running:
            return
        self._apscheduler.pause()
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=_PATIENCE.total_seconds())
        # This cancels what is still under way; every handler can be cut off at any moment, as by a crash.
        self._apscheduler.shutdown(wait=False)
        await asyncio.sleep(0)  # its shutdown is done by the loop, in its next round

    async def refill(self) -> None:
        """Set the bells of the maintenance windows to what the table says now."""
        at = now()
        again = at + self._services.maintenance.retry_after
        # What is overdue had its turn a moment ago; it is due again when its server should be looked at again.
        wanted = {
            _STEP + moment.isoformat(): max(moment, again) for moment in await self._services.maintenance.moments()
        }
        for job in self._apscheduler.get_jobs():
            if job.id.startswith(_STEP) and job.id not in wanted:
                job.remove()
        for name, moment in wanted.items():
            self._apscheduler.add_job(
                self._guarded, DateTrigger(moment, timezone=UTC), args=[self._job("maintenance")],
                id=name, replace_existing=True,
            )  # fmt: skip

    async def tick(self) -> None:
        """Do whatever is due at this moment, once, without waiting for a bell: for tests that move the clock."""
        for job in self.jobs:
            await self._guarded(job)

    def _job(self, name: str) -> Job:
        return next(job for job in self.jobs if job.name == name)

    def _look_again(self) -> None:
        """People changed a window."""
        if self._apscheduler.running:
            self._apscheduler.add_job(
                self._guarded, args=[self._job("maintenance")], id="maintenance changed", replace_existing=True
            )

    async def _guarded(self, job: Job) -> None:
        """Trouble is logged and the job comes again: one error must not end what everybody relies on."""
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._under_way.add(task)
        try:
            await job.run()
        except SHOWABLE as error:
            _log.warning("a job could not be done; it is tried again", job=job.name, error=str(error))
        except Exception:  # noqa: BLE001  the scheduler is an edge: whatever a job raises ends here
            _log.exception("a job failed; it is tried again", job=job.name)
        finally:
            self._under_way.discard(task)

    # Handlers

    async def _maintain(self) -> None:
        async with self._maintaining:
            try:
                await self._services.maintenance.tick()
            finally:
                if self._apscheduler.running:
                    await self.refill()

    async def _expire_approvals(self) -> None:
        async with self._services.db.read() as tx:
            waiting = await self._services.approvals.waiting(tx)
        at = now()
        if any(approval.expires_at <= at for approval in waiting):
            async with self._services.db.transaction() as tx:
                await self._services.approvals.expire(tx, at)

    async def _forget_requests(self) -> None:
        await self._forget(inbound.forget, _KEEP_INBOUND)

    async def _forget_evidence(self) -> None:
        await self._forget(evidence.prune, _KEEP_EVIDENCE)

    async def _forget_reports(self) -> None:
        """Some thousands at a time: there may be as many as deliveries, and the sender writes meanwhile."""
        before = now() - _KEEP_REPORTS
        full = True
        while full:
            async with self._services.db.transaction() as tx:
                full = await reports.prune(tx, before, _AT_ONCE) == _AT_ONCE

    async def _forget(self, forget: Callable[..., Awaitable[None]], keep: timedelta) -> None:
        before: datetime = now() - keep
        async with self._services.db.transaction() as tx:
            await forget(tx, before)
