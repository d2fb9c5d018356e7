"""The sender: drives every campaign and resend to where the database says it should be.

The wish is in the database; this loop reads it as soon as it changes (storage/changes.py). A campaign that is `sending`
is cut into shards (storage/shards.py), which the work engine brings to workers; a shard that comes here becomes part of
the job of its campaign, on the lane of its server. What has to stop is stopped, settled, and confirmed when no worker
has anything of it any more. On SQLite one worker does all of it, by the same road.
"""

import asyncio
import contextlib
import functools
import itertools
import os
import secrets
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from bot.clock import now
from bot.config import Settings
from bot.errors import BotError
from bot.mail import endings
from bot.mail.engines import engine_for
from bot.mail.fence import Fence
from bot.mail.fleet import Fleet
from bot.mail.jobs import Job, Key, Slice
from bot.mail.journal import Journal
from bot.mail.ledger import Ledger
from bot.mail.open_lanes import SLOTS, OpenLanes
from bot.mail.preparing import prepare
from bot.mail.signed_job import SignedJob
from bot.work_kinds import Duty, Kind
from storage import changes, sending, shards, suppressions, workers
from storage.db import Database, Tx
from storage.errors import StorageError
from storage.models import Shard
from storage.sending import Work
from storage.ways import Ways

log = structlog.get_logger()

POLL = timedelta(milliseconds=50)
POLL_CALM = timedelta(milliseconds=500)
_CUT_AGAIN = 1.0
_CUT_AGAIN_BOUNDED = 5.0
"""Seconds until it is looked again whether something can be cut, where nothing could."""
_CHOICE = 2
"""How many shards for each worker are looked at by several, so that they seldom want the same one."""
_KEEP = timedelta(days=7)
"""How long the engine remembers what has ended."""


def _name() -> str:
    """Of this boot of this worker; no other one has it, on whatever machine."""
    return f"{socket.gethostname()[:40]}-{os.getpid()}-{secrets.token_hex(3)}"


@dataclass
class Sender:
    """See the module. `run` until cancelled; `stop` settles what is in flight first."""

    db: Database
    settings: Settings
    worker: str = field(default_factory=_name)
    duties: Sequence[Duty] = ()
    """What the engine brings here beside shards."""

    def __post_init__(self) -> None:
        self._folder = self.settings.data_dir.resolve() / "journals"
        self._fleet = Fleet(self.db, self.settings, self.worker, self._folder)
        kinds = [Kind("shard", self._carry, queued=False), *(duty.kind for duty in self.duties)]
        self._engine = engine_for(self.db, self.worker, kinds)
        self._jobs: dict[Key, Job] = {}
        self._arrived: dict[Key, list[Slice]] = {}
        self._drops: dict[Key, asyncio.Task[None]] = {}
        self._cut_after: dict[Key, tuple[float, tuple[int, int | None]]] = {}
        self._taking: dict[Key, int] = {}
        self._begins = itertools.count()
        self._asking: set[asyncio.Task[None]] = set()
        self._forget_after = 0.0
        self._seen_suppressions = now()
        self._stopping = asyncio.Event()
        self._look_now = asyncio.Event()

    @property
    def lost(self) -> bool:
        """Whether `run` ended because others have taken over from this worker: another one may begin."""
        return self._fleet.lost.is_set()

    async def run(self) -> None:
        """Send until `stop`. Raises StorageError, JournalError or BotError when it cannot even begin."""
        await asyncio.to_thread(self._folder.mkdir, parents=True, exist_ok=True)
        await self._fleet.recover()
        path = self._folder / f"{self.worker}.journal"
        self._journal = await asyncio.to_thread(Journal.create, path, self.worker, slots=SLOTS)
        self._ledger = Ledger(self.db, self._journal, self._fleet.fence)
        self._lanes = OpenLanes(self.db, self.settings, self._fleet, self._ledger, self._journal)
        await self._fleet.join(path)
        await self._engine.start()
        tasks = [asyncio.create_task(self._ledger.run()), asyncio.create_task(self._fleet.run(self._adopt))]
        try:
            async with self._heeding() as heeding:
                tasks.append(heeding)
                while not self._stopping.is_set() and not self.lost:
                    self._look_now.clear()
                    await self._poll()
                    for task in tasks:
                        if task.done():
                            task.result()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(self._pause_between_looks().total_seconds()):
                            await self._look_now.wait()
        finally:
            await self._wind_down(tasks)

    def stop(self) -> None:
        """Take nothing more; `run` returns when what was in flight has settled."""
        self._stopping.set()
        self._look_now.set()

    @contextlib.asynccontextmanager
    async def _heeding(self) -> AsyncIterator[asyncio.Task[None]]:
        """`_heed` in the background. It ends before what it looks through: later it would open that once more."""
        async with changes.watch(self.db, lambda: not self._jobs) as watch:
            task = asyncio.create_task(self._heed(watch))
            try:
                yield task
            finally:
                task.cancel()
                await asyncio.wait([task])

    async def _heed(self, watch: changes.Watch) -> None:
        """What people ask is looked at as soon as it is there. A stop does not even wait for the look under way."""
        while True:
            asked = await watch.next()
            sending = {(kind, int(number)) for kind, number, state, _ in asked if state == "sending"}
            for (campaign_id, resend_id), job in self._jobs.items():
                if (("campaign", campaign_id) if resend_id is None else ("resend", resend_id)) not in sending:
                    job.halt()
            self._look_now.set()

    def _pause_between_looks(self) -> timedelta:
        """What people ask is seen at once in any case; what comes, stops or runs out here is to be noticed soon."""
        stopping = any(not drop.done() for drop in self._drops.values())
        running_out = any(job.runs_out for job in self._jobs.values())
        return POLL if self._arrived or self._asking or stopping or running_out else POLL_CALM

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
            ways = await Ways.read(tx, now())
            carriers = sending.carriers_of(ways)
            work = await sending.work(tx, ways)
            cut = await shards.waiting(tx)
            # A margin, because a suppression's own time is set before its transaction commits.
            since = self._seen_suppressions - timedelta(seconds=5)
            fresh = await suppressions.suppressed_since(tx, since) if self._jobs else set()
        self._seen_suppressions = now()
        wanted = {(w.campaign_id, w.resend_id): w for w in work}
        for key in list(self._jobs):
            if key not in wanted or wanted[key].stopping or self._jobs[key].stopped:
                self._drops[key] = drop = asyncio.create_task(self._drop(self._jobs.pop(key)))
                drop.add_done_callback(lambda _: self._look_now.set())
        await self._turn_away(wanted)
        under_way = (self._jobs.keys() | self._arrived.keys()) & wanted.keys()
        await self._lanes.adjust(carriers, {way.server_id for key in under_way for way in wanted[key].ways})
        for key, item in wanted.items():
            if not self._settled(key):
                continue  # its last job still has something in flight
            if item.stopping:
                await endings.confirm_stop(self.db, item)
            elif key in self._jobs or key in self._arrived:
                await self._drive(key, item, fresh)
            elif key not in cut:
                await self._cut(key, item)
            if cut.get(key) and not item.stopping and key not in self._taking:
                await self._take_another(key)
        await self._end_done()
        self._lanes.keep_paces()

    def _settled(self, key: Key) -> bool:
        """Whether no earlier job of this key has anything in flight or leased."""
        drop = self._drops.get(key)
        if drop is None:
            return True
        if drop.done():
            del self._drops[key]
            drop.result()
            return True
        return False

    # Shards.

    async def _carry(self, shard_id: int) -> None:
        """The engine's run: take the shard, and wait until this worker has nothing of it any more."""
        if self._stopping.is_set() or self.lost:
            await asyncio.Event().wait()  # until the engine stops: it goes on elsewhere
        shard = await self._claim(shard_id)
        self._taking = {key: taken for key, taken in self._taking.items() if taken != shard_id}
        if shard is None:
            return
        part = Slice(shard.id, shard.first_n - 1, shard.last_n)
        self._arrived.setdefault((shard.campaign_id, shard.resend_id), []).append(part)
        self._look_now.set()
        await part.ended.wait()

    async def _claim(self, shard_id: int) -> Shard | None:
        while True:
            try:
                return await self.db.in_one_go(lambda tx: shards.claim(tx, shard_id, self.worker))
            except StorageError as error:
                log.warning("no shard can be taken", reason=str(error))
                await asyncio.sleep(1)

    async def _turn_away(self, wanted: dict[Key, Work]) -> None:
        """Shards that came for what is not to be sent any more have ended before they began."""
        for key in [key for key in self._arrived if key not in wanted or wanted[key].stopping]:
            parts = self._arrived.pop(key)
            async with self.db.transaction() as tx:
                await shards.end(tx, [part.shard_id for part in parts], self.worker, _none_since)
            for part in parts:
                part.ended.set()

    async def _cut(self, key: Key, work: Work) -> None:
        """It has no shards: it is at its end, or is cut into some. The first begins here, so that nobody waits."""
        loop = asyncio.get_running_loop()
        bounds = work.wave, work.up_to
        not_before, looked_at = self._cut_after.get(key, (0.0, bounds))
        if loop.time() < not_before and looked_at == bounds:
            return
        self._cut_after.pop(key, None)
        if not work.bounded and await endings.finish(self.db, work):
            return
        async with self.db.transaction() as tx:
            made = await shards.plan(tx, work, now())
        if not made:
            self._cut_after[key] = loop.time() + (_CUT_AGAIN_BOUNDED if work.bounded else _CUT_AGAIN), bounds
            return
        self._begin(key, made[0])

    async def _take_another(self, key: Key) -> None:
        """A shard that waits, when this worker has little left to send of its campaign."""
        job = self._jobs.get(key)
        if key in self._arrived or (job is not None and not job.wants_shard):
            return
        async with self.db.read() as tx:
            free = await shards.next_ones(tx, *key, _CHOICE * (self._fleet.others + 1))
        if free:
            self._begin(key, secrets.choice(free) if self._fleet.others else free[0])

    def _begin(self, key: Key, shard: Shard) -> None:
        """Let the engine run it here, in the background: a pause must not wait for that."""
        self._taking[key] = shard.id
        name = f"{shard.id}.{shard.created_at:%Y%m%d%H%M%S%f}.{self.worker}.{next(self._begins)}"
        task = asyncio.create_task(self._engine.begin("shard", name, shard.id))
        self._asking.add(task)
        task.add_done_callback(functools.partial(self._begun, key))

    def _begun(self, key: Key, task: asyncio.Task[None]) -> None:
        """What the engine did not take is tried again at the next look."""
        self._asking.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._taking.pop(key, None)
            log.warning("the work engine did not take a shard", error=repr(error))

    async def _adopt(self) -> int:
        """What the engine has under names that are gone."""
        for duty in self.duties:
            await duty.ask(self._engine)
        async with workers.alone(self.db):
            if Fence.clock() >= self._forget_after:
                self._forget_after = Fence.clock() + timedelta(days=1).total_seconds()
                await self._engine.forget(now() - _KEEP)
            return await self._engine.adopt(self._fleet.living)

    async def _end_done(self) -> None:
        """Shards of which everything has its ending here, and those endings in the ledger."""
        done = [(job, parts) for job in self._jobs.values() if (parts := job.done())]
        if not done:
            return
        self._look_now.set()  # for what may follow it
        await self._ledger.flush()
        for job, parts in done:
            await self.db.in_one_go(functools.partial(self._end_shards, job, parts))
            for part in parts:
                job.slices.remove(part)
                part.ended.set()
            if not job.slices:
                del self._jobs[job.key]
                self._lanes.remove(job)

    async def _end_shards(self, job: Job, parts: Sequence[Slice], tx: Tx) -> None:
        await shards.end(tx, [part.shard_id for part in parts], self.worker, job.ended_since)

    async def _give_back(self, job: Job, tx: Tx) -> None:
        await job.give_up_leases(tx)
        await self._end_shards(job, job.slices, tx)

    # Jobs.

    async def _drive(self, key: Key, work: Work, fresh: set[str]) -> None:
        job = self._jobs.get(key)
        if job is None and not self._lanes.are_open(work):
            return  # it came in a moment ago: at the next look its lanes are there, and none of them begins alone
        if job is None:
            job = await self._open(key, work)
            if job is None:
                return
        job.slices += self._arrived.pop(key, [])
        job.work = work
        job.suppress(fresh)
        self._lanes.assign(job)
        job.refill(self._lanes.waker(job))

    async def _open(self, key: Key, work: Work) -> Job | None:
        """A job for new work. Where the message cannot be compiled, it is paused and the team is told why."""
        try:
            message = await prepare(self.db, self.settings, work)
        except BotError as error:
            await endings.refuse(self.db, work, str(error))
            return None
        job = (SignedJob if message.takes_long else Job)(
            db=self.db,
            ledger=self._ledger,
            worker=self.worker,
            boot_id=self._fleet.boot_id,
            work=work,
            sender=message.sender,
            compose=message.compose,
            at_end=self._look_now.set,
        )
        self._jobs[key] = job
        return job

    async def _drop(self, job: Job) -> None:
        """Stop a job and settle it: no dot of it leaves after this, and its leases and shards are given back.

        A reply that does not come within settings.sending.settle_timeout is not waited for: that delivery is unknown.
        """
        await self._settle(job)
        while True:
            try:
                await self._ledger.flush()
                await self.db.in_one_go(functools.partial(self._give_back, job))
            except StorageError:
                await asyncio.sleep(1)
            else:
                break
        job.forget()
        for part in job.slices:
            part.ended.set()

    async def _settle(self, job: Job) -> None:
        await job.stop()
        settled = await job.wait_settled(self.settings.sending.settle_timeout)
        if not settled:
            self._lanes.abort(job)
            await job.wait_settled(None)
        self._lanes.remove(job)

    # The end.

    async def _wind_down(self, tasks: list[asyncio.Task[None]]) -> None:
        """Settle what is in flight, write it, and leave no lease, no shard and no journal behind."""
        await asyncio.gather(*(self._settle(job) for job in self._jobs.values()), *self._drops.values())
        await self._lanes.close()
        for task in self._asking:
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)
        await self._engine.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._ledger.flush()
        async with self.db.transaction() as tx:
            for job in self._jobs.values():
                await job.give_up_leases(tx)
        await self._fleet.leave()
        path = self._journal.path
        self._journal.close()
        Journal.discard(path)


def _none_since(_moment: datetime) -> int:
    """Of a shard that never began."""
    return 0
