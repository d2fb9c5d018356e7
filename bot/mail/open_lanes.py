"""The lanes of this worker: one to each server that has work here, within this worker's part of the server's limits."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

from bot.config import Settings
from bot.mail.endpoints import endpoint_of
from bot.mail.fence import Fence
from bot.mail.fleet import Fleet
from bot.mail.jobs import Job
from bot.mail.journal import Journal
from bot.mail.known_paces import KnownPaces
from bot.mail.lanes import Lane
from bot.mail.ledger import Ledger
from bot.mail.pool import Split
from bot.mail.shares import Shares
from bot.mail.transaction import Limits
from storage.db import Database
from storage.sending import Carrier, Work

SLOTS = 1024
"""Connections that one worker may hold over all servers."""
_SETTLE_SECONDS = 10.0
_LINGER = 5.0
"""Seconds for which a server without work here keeps this worker's part of its limits from the others."""


class OpenLanes:
    """Of one worker, from its start to its end."""

    def __init__(self, db: Database, settings: Settings, fleet: Fleet, ledger: Ledger, journal: Journal) -> None:
        self._settings = settings
        self._fleet = fleet
        self._ledger = ledger
        self._journal = journal
        self._shares = Shares(db, fleet.worker)
        self._paces = KnownPaces(db, fleet.worker, settings.providers)
        self._lanes: dict[int, Lane] = {}
        self._free_slots = list(range(SLOTS))
        self._used: dict[int, float] = {}

    async def adjust(self, carriers: dict[int, Carrier], needed: set[int]) -> None:
        """Open what is needed, close what is not, and bring the others in line with their servers' rows.

        `needed`: the ids of the servers that have work here. Raises StorageError, and what went wrong inside a lane.
        """
        clock = Fence.clock()
        self._used |= dict.fromkeys(needed, clock)
        await self._shares.renew(carriers, needed, self._lanes)
        mine = self._shares.cut(carriers)
        for server_id, lane in list(self._lanes.items()):
            lane.check()
            carrier = mine.get(server_id)
            unused = self._fleet.others and clock - self._used.get(server_id, 0.0) > _LINGER
            idle = unused and not lane.is_busy  # closing waits for what is under way, and a pause must not
            if carrier is None or not lane.same_place(carrier) or idle:
                await self._close(server_id)
            else:
                lane.update(carrier)
        for server_id in needed - self._lanes.keys():
            self._lanes[server_id] = await self._open(mine[server_id])

    def keep_paces(self) -> None:
        """What the lanes have learned of receiving providers is written down, in the background."""
        self._paces.keep()

    def assign(self, job: Job) -> None:
        """To the lanes of its ways and to no other, split among them where there are several."""
        ways = {way.server_id: way for way in job.work.ways}
        if len(ways) == 1:
            job.split = None
        else:
            job.split = job.split or Split(asyncio.get_running_loop().time())
            open_ones = ((self._lanes[each], way) for each, way in ways.items() if each in self._lanes)
            job.split.arrange((way.server_id, lane, way.part, way.returning) for lane, way in open_ones)
        for server_id, lane in self._lanes.items():
            if server_id in ways:
                lane.add(job)
            else:
                lane.remove(job)

    def remove(self, job: Job) -> None:
        for lane in self._lanes.values():
            lane.remove(job)

    def abort(self, job: Job) -> None:
        """Hang up on what is in flight of the job."""
        for lane in self._lanes.values():
            lane.abort(job)

    def are_open(self, work: Work) -> bool:
        """Whether there is a lane for each of its ways."""
        return all(way.server_id in self._lanes for way in work.ways)

    def waker(self, job: Job) -> Callable[[], None]:
        """What tells the job's lanes that there is something to send."""
        if job.split is not None:
            return job.split.wake
        lane = self._lanes.get(job.work.ways[0].server_id)
        return lane.wake if lane is not None else _nobody

    async def close(self) -> None:
        """All of them, once nothing is in flight any more."""
        for server_id in list(self._lanes):
            await self._close(server_id)

    async def _open(self, carrier: Carrier) -> Lane:
        sending = self._settings.sending
        command = timedelta(seconds=sending.command_timeout)
        limits = Limits(
            greeting=command,
            ehlo=command,
            mail=command,
            rcpt=command,
            data=command,
            dot=timedelta(seconds=sending.dot_timeout),
        )
        endpoint = await asyncio.to_thread(endpoint_of, carrier, self._settings)
        paces = await self._paces.open(carrier.id)
        return Lane(carrier, endpoint, self._settings, self._ledger, self._journal, self._free_slots, limits, paces)

    async def _close(self, server_id: int) -> None:
        await self._lanes.pop(server_id).close(_SETTLE_SECONDS)
        await self._paces.close(server_id)
        await self._shares.give_up(server_id)


def _nobody() -> None:
    """There is no lane to wake."""
