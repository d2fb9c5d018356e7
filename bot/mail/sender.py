"""The sender: drives every campaign and resend to where the database says it should be.

The wish is in the database; this loop reads it as soon as it changes (storage/changes.py). A campaign that is
`sending` gets a job on the lane of its server; one that is `pausing` is stopped, settled and confirmed. One sender
runs for a database (bot/mail/worker.py holds the lock); after a crash the next one begins with bot/mail/recovery.py.
"""

import asyncio
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from bot.clock import now
from bot.config import Settings
from bot.errors import BotError
from bot.mail import endings
from bot.mail.endpoints import endpoint_of
from bot.mail.jobs import Job, Key
from bot.mail.journal import Journal, boot_id
from bot.mail.lanes import Lane
from bot.mail.ledger import Ledger
from bot.mail.preparing import prepare
from bot.mail.recovery import recover
from bot.mail.transaction import Limits
from storage import changes, deliveries, sending, workers
from storage.db import Database
from storage.errors import StorageError
from storage.models import Worker
from storage.sending import Carrier, Work

log = structlog.get_logger()

POLL = timedelta(milliseconds=50)
POLL_CALM = timedelta(milliseconds=250)
SLOTS = 1024
"""Connections that one worker may hold over all servers."""
_SETTLE_SECONDS = 10.0


@dataclass
class Sender:
    """See the module. `run` until cancelled; `stop` settles what is in flight first."""

    db: Database
    settings: Settings
    worker: str = field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}")

    def __post_init__(self) -> None:
        self._boot = boot_id()
        self._folder = self.settings.data_dir / "journals"
        self._jobs: dict[Key, Job] = {}
        self._lanes: dict[int, Lane] = {}
        self._free_slots = list(range(SLOTS))
        self._drops: dict[Key, asyncio.Task[Job]] = {}
        self._seen_suppressions = now()
        self._next_beat = now()
        self._stopping = asyncio.Event()
        self._started = now()

    async def run(self) -> None:
        """Send until `stop`. Raises StorageError or JournalError when it cannot even begin."""
        await asyncio.to_thread(self._folder.mkdir, parents=True, exist_ok=True)
        await recover(self.db, self._folder)
        path = self._folder / f"{self.worker}.journal"
        journal = await asyncio.to_thread(Journal.create, path, self.worker, slots=SLOTS)
        self._journal = journal
        self._ledger = Ledger(self.db, journal)
        flushing = asyncio.create_task(self._ledger.run())
        try:
            async with changes.watch(self.db) as watch:
                while not self._stopping.is_set():
                    await self._poll()
                    await watch.wait(self._pause_between_looks(), self._stopping)
        finally:
            await self._wind_down(flushing)

    def stop(self) -> None:
        """Take nothing more; `run` returns when what was in flight has settled."""
        self._stopping.set()

    def _pause_between_looks(self) -> timedelta:
        """What people ask is seen at once in any case; what stops or runs out here is to be noticed soon as well."""
        stopping = any(not drop.done() for drop in self._drops.values())
        running_out = any(job.exhausted for job in self._jobs.values())
        return POLL if stopping or running_out else POLL_CALM

    async def _poll(self) -> None:
        """One look at the database. When it does not answer, what runs goes on and the next look is tried again."""
        try:
            await self.step()
        except StorageError as error:
            log.warning("the database does not answer the sender", reason=str(error))
            await asyncio.sleep(1)

    async def step(self) -> None:
        """Bring jobs and lanes in line with the database, confirm what has stopped, finish what is done."""
        async with self.db.read() as tx:
            carriers = await sending.carriers(tx, now())
            work = await sending.work(tx)
            # A margin, because a suppression's own time is set before its transaction commits.
            fresh = await deliveries.suppressed_since(tx, self._seen_suppressions - timedelta(seconds=5))
        self._seen_suppressions = now()
        await self._beat()
        await self._adjust_lanes(carriers, {w.server_id for w in work if not w.stopping})
        wanted = {(w.campaign_id, w.resend_id): w for w in work}
        for key in list(self._jobs):
            if key not in wanted or wanted[key].stopping:
                self._drops[key] = asyncio.create_task(self._drop(self._jobs.pop(key)))
        for key, item in wanted.items():
            if not self._settled(key):
                continue  # its last job still has something in flight
            if item.stopping:
                await endings.confirm_stop(self.db, item, self._slipped(key, item))
            else:
                await self._drive(key, item, fresh)

    def _settled(self, key: Key) -> bool:
        """Whether no earlier job of this key has anything in flight or leased."""
        drop = self._drops.get(key)
        return drop is None or drop.done()

    def _slipped(self, key: Key, work: Work) -> int:
        drop = self._drops.pop(key, None)
        return drop.result().ended_since(work.wished_at) if drop is not None else 0

    async def _drive(self, key: Key, work: Work, fresh: set[str]) -> None:
        job = self._jobs.get(key)
        if job is None:
            job = await self._begin(key, work)
            if job is None:
                return
        if work.wave != job.work.wave:
            job.start_over()
        job.work = work
        job.suppressed |= fresh
        self._assign(job)
        job.refill(self._waker(work.server_id))
        if job.exhausted and not job.rows and job.in_flight == 0:
            await self._ledger.flush()
            if await endings.finish(self.db, work):
                self._drops[key] = asyncio.create_task(self._drop(self._jobs.pop(key)))
            else:
                job.start_over()

    async def _begin(self, key: Key, work: Work) -> Job | None:
        """A job for new work. Where the message cannot be compiled, it is paused and the team is told why."""
        try:
            message = await prepare(self.db, self.settings, work)
        except BotError as error:
            await endings.refuse(self.db, work, str(error))
            return None
        job = Job(
            db=self.db,
            ledger=self._ledger,
            worker=self.worker,
            boot_id=self._boot,
            work=work,
            sender=message.sender,
            compose=message.compose,
        )
        self._jobs[key] = job
        return job

    async def _drop(self, job: Job) -> Job:
        """Stop a job and settle it: no dot of it leaves after this, and its leases are given back.

        A reply that does not come within settings.sending.settle_timeout is not waited for: that delivery is unknown.
        """
        await job.stop()
        lanes = list(self._lanes.values())
        settled = await job.wait_settled(self.settings.sending.settle_timeout)
        if not settled:
            for lane in lanes:
                lane.abort(job)
            await job.wait_settled(None)
        for lane in lanes:
            lane.remove(job)
        while True:
            try:
                await self._ledger.flush()
                await job.give_up_leases()
            except StorageError:
                await asyncio.sleep(1)
            else:
                return job

    def _assign(self, job: Job) -> None:
        for server_id, lane in self._lanes.items():
            if server_id == job.work.server_id:
                lane.add(job)
            else:
                lane.remove(job)

    def _waker(self, server_id: int) -> Callable[[], None]:
        lane = self._lanes.get(server_id)
        return lane.wake if lane is not None else _nobody

    async def _adjust_lanes(self, carriers: dict[int, Carrier], needed: set[int]) -> None:
        for server_id, lane in list(self._lanes.items()):
            lane.check()
            carrier = carriers.get(server_id)
            if carrier is None or not lane.same_place(carrier):
                await self._close_lane(server_id)
            else:
                lane.update(carrier)
        for server_id in needed - self._lanes.keys():
            self._lanes[server_id] = await self._open_lane(carriers[server_id])

    async def _open_lane(self, carrier: Carrier) -> Lane:
        sending_settings = self.settings.sending
        command = timedelta(seconds=sending_settings.command_timeout)
        limits = Limits(
            greeting=command,
            ehlo=command,
            mail=command,
            rcpt=command,
            data=command,
            dot=timedelta(seconds=sending_settings.dot_timeout),
        )
        endpoint = await asyncio.to_thread(endpoint_of, carrier, self.settings)
        return Lane(carrier, endpoint, self.settings, self._ledger, self._journal, self._free_slots, limits)

    async def _close_lane(self, server_id: int) -> None:
        await self._lanes.pop(server_id).close(_SETTLE_SECONDS)

    async def _beat(self) -> None:
        if now() < self._next_beat:
            return
        self._next_beat = now() + workers.HEARTBEAT
        row = Worker(
            id=self.worker,
            host=socket.gethostname(),
            pid=os.getpid(),
            boot_id=self._boot,
            journal=str(self._journal.path),
            started_at=self._started,
            seen_at=now(),
        )
        async with self.db.transaction() as tx:
            await workers.beat(tx, row)

    async def _wind_down(self, flushing: asyncio.Task[None]) -> None:
        """Settle what is in flight, write it, and leave no lease and no journal behind."""
        for job in self._jobs.values():
            await job.stop()
        await asyncio.gather(*self._drops.values())
        for server_id in list(self._lanes):
            await self._close_lane(server_id)
        flushing.cancel()
        await asyncio.gather(flushing, return_exceptions=True)
        await self._ledger.flush()
        for job in self._jobs.values():
            await job.give_up_leases()
        async with self.db.transaction() as tx:
            await workers.leave(tx, self.worker)
        path = self._journal.path
        self._journal.close()
        Journal.discard(path)


def _nobody() -> None:
    """There is no lane to wake."""
