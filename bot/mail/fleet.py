"""The fleet: this worker among the others. Who lives, who is gone, and what becomes of what they had.

Nobody compares clocks. A worker counts as silent when its heartbeat has not changed for SILENT_AFTER as *we* have
waited; it stops sending by itself before that (bot/mail/fence.py). Then:

- Its shards go to the others at once, and with them all that it had not leased.
- What it had leased, about 2,000 deliveries of a campaign (more where they go fast), only its journal can tell. Where
  that is in our folder and its process is gone, it is settled at once. Otherwise it waits for that machine for
  `sending.wait_for_journal`, and then is unknown, by name. Nobody but the journal ever queues it again.
- If it was only frozen, it finds at its next heartbeat that it is no more, settles what it knows, and begins anew
  under another name.

On SQLite there is one worker, and what any other one left is settled before it begins.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import structlog

from bot.clock import now
from bot.config import Settings
from bot.errors import BotError
from bot.mail import recovery
from bot.mail.fence import Fence
from bot.mail.journal import boot_id
from storage import leases, shards, timeline, workers
from storage.db import Database, Tx
from storage.errors import StorageError
from storage.models import Campaign, Worker
from storage.timeline import Entry

log = structlog.get_logger()

ADOPT_EVERY = 5.0
"""Seconds between looks for work that belongs to nobody alive."""


@dataclass(slots=True)
class _Seen:
    """What we saw last of another worker, and when by our own clock it changed."""

    at: object
    since: float


class Fleet:
    """See the module. `adopt` lets go on what the engine has under names that are gone."""

    def __init__(self, db: Database, settings: Settings, worker: str, folder: Path) -> None:
        self._db = db
        self._wait = timedelta(seconds=settings.sending.wait_for_journal)
        self._folder = folder
        self.worker = worker
        self.boot_id = boot_id()
        self.fence = Fence(None) if db.is_sqlite else Fence()
        self.lost = asyncio.Event()
        """Set when others have taken over from this worker, which must begin anew."""
        self.others = 0
        """How many other workers there were at the last look."""
        self._seen: dict[str, _Seen] = {}
        self._adopt_after = 0.0
        self._adopting: asyncio.Task[None] | None = None

    async def recover(self) -> None:
        """What can be settled before this worker begins. Raises StorageError and JournalError."""
        if self._db.is_sqlite:
            await recovery.recover(self._db, self._folder)
        else:
            await recovery.recover_dead(self._db, self._folder)
            await self._forget_dead()

    async def join(self, journal: Path) -> None:
        """The first heartbeat. Before it nothing may be taken under this worker's name. Raises StorageError."""
        began, at = Fence.clock(), now()
        row = Worker(
            id=self.worker,
            host=socket.gethostname(),
            pid=os.getpid(),
            boot_id=self.boot_id,
            journal=str(journal),
            started_at=at,
            seen_at=at,
        )
        async with self._db.transaction() as tx:
            await workers.beat(tx, row)
        self.fence.renew(began)

    async def run(self, adopt: Callable[[], Awaitable[int]]) -> None:
        """Heartbeats and looks at the others, until cancelled."""
        try:
            while True:
                began = Fence.clock()
                try:
                    await self._beat(began)
                    if not self.lost.is_set():
                        await self._look(adopt)
                except (StorageError, BotError) as error:
                    log.warning("no heartbeat", reason=str(error))
                rest = began + workers.HEARTBEAT.total_seconds() - Fence.clock()
                await asyncio.sleep(max(rest, 0.1))
        finally:
            if self._adopting is not None:
                self._adopting.cancel()
                await asyncio.wait([self._adopting])

    async def leave(self) -> None:
        """This worker has nothing left."""
        async with self._db.transaction() as tx:
            await shards.let_go(tx, self.worker)
            await workers.leave(tx, [self.worker])

    async def living(self) -> set[str]:
        async with self._db.read() as tx:
            return await workers.at_work(tx)

    async def _beat(self, began: float) -> None:
        known = await self._db.in_one_go(lambda tx: workers.beat_again(tx, self.worker, now()))
        if known:
            self.fence.renew(began)
        elif not self.lost.is_set():
            self.fence.fall()
            self.lost.set()
            log.warning("others have taken over from this worker; it begins anew", worker=self.worker)

    async def _look(self, adopt: Callable[[], Awaitable[int]]) -> None:
        if not self._db.is_sqlite:
            async with self._db.read() as tx:
                rows = [row for row in await workers.every(tx) if row.id != self.worker]
            self.others = sum(row.lost_at is None for row in rows)
            if rows:
                await self._judge(rows)
        if self._adopting is not None and self._adopting.done():
            self._adopting.result()
        if Fence.clock() >= self._adopt_after and (self._adopting is None or self._adopting.done()):
            self._adopt_after = Fence.clock() + ADOPT_EVERY
            # By itself: without the database the engine waits, up to a minute, and the heartbeat must not.
            self._adopting = asyncio.create_task(_adopted(adopt))

    async def _judge(self, rows: list[Worker]) -> None:
        found = await recovery.recover_dead(self._db, self._folder)
        found.workers |= await self._forget_dead()
        if found.workers:
            self._adopt_after = 0.0
        clock = Fence.clock()
        for row in rows:
            if row.id in found.workers:
                self._seen.pop(row.id, None)
            elif row.lost_at is not None:
                await self._wait_for(row)
            elif (seen := self._seen.get(row.id)) is None or seen.at != row.seen_at:
                self._seen[row.id] = _Seen(row.seen_at, clock)
            elif clock - seen.since > workers.SILENT_AFTER.total_seconds():
                await self._take_over(row)

    async def _forget_dead(self) -> set[str]:
        """Workers of this machine that are gone with their journals: they have left nothing to wait for."""
        async with self._db.read() as tx:
            rows = [row for row in await workers.every(tx) if self._is_gone(row)]
        for row in rows:
            await recovery.give_up(self._db, row.id)
        return {row.id for row in rows}

    def _is_gone(self, row: Worker) -> bool:
        """Whether its process is surely dead and its journal surely lost: both would be here."""
        journal = Path(row.journal)
        here = row.id != self.worker and row.host == socket.gethostname() and journal.parent == self._folder
        if not here or journal.exists():
            return False
        return row.boot_id != self.boot_id or not _runs(row.pid)

    async def _take_over(self, row: Worker) -> None:
        async with self._db.transaction() as tx:
            if not await workers.lose(tx, row.id, row.seen_at, now()):
                return
            await shards.let_go(tx, row.id)
            await self._tell(tx, row)
        self._seen.pop(row.id, None)
        self._adopt_after = 0.0
        log.warning("a worker is silent; the others go on with its work", worker=row.id, host=row.host)

    async def _wait_for(self, row: Worker) -> None:
        """Its machine has some time to come back; where nothing was leased there is nothing to wait for."""
        async with self._db.read() as tx:
            holds = row.id in await leases.owners(tx)
        if not holds or (row.lost_at is not None and now() - row.lost_at > self._wait):
            await recovery.give_up(self._db, row.id)

    async def _tell(self, tx: Tx, row: Worker) -> None:
        """What waits for its return, of each campaign, and what somebody can do for it."""
        waiting: dict[int, int] = {}
        for lease in await leases.all_of(tx, row.id):
            rows = await recovery.waiting(tx, lease)
            waiting[lease.campaign_id] = waiting.get(lease.campaign_id, 0) + rows
        minutes = max(round(self._wait.total_seconds() / 60), 1)
        for campaign_id, number in waiting.items():
            campaign = await tx.get(Campaign, campaign_id)
            if campaign is None or not number:
                continue
            noun = "delivery" if number == 1 else "deliveries"
            text = (
                f"The worker on {row.host} has not been heard of for {workers.SILENT_AFTER.seconds} s. The others go "
                f"on with {campaign.name}, except for {number:,} {noun} that it had in hand. Start Holdfast on "
                f"{row.host} again within {minutes} min, over the same data directory, and its journal tells what "
                "became of them; otherwise they are unknown and not sent again."
            )
            entry = Entry(
                kind="campaign.worker_lost",
                actor="Holdfast",
                at=now(),
                text=text,
                campaign_id=campaign_id,
                outage_id=campaign.hold_outage_id,
            )
            await timeline.record(tx, entry)


async def _adopted(adopt: Callable[[], Awaitable[int]]) -> None:
    try:
        if adopted := await adopt():
            log.info("work of others goes on here or elsewhere", pieces=adopted)
    except StorageError as error:
        log.warning("nothing can be adopted", reason=str(error))


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
