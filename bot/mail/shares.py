"""This worker's part of each server's limits: what all workers use together is never more than the server takes.

The parts stand in the table `shares` and are looked at with every heartbeat. More is taken only from what is free.
Less is written down only when it is no longer used. So a newcomer gets its part as the others let go of theirs, and
what a dead worker had is free when it is known to be dead.
"""

from collections.abc import Iterable
from dataclasses import replace

from bot.mail.fence import Fence
from bot.mail.lanes import Lane
from storage import shares
from storage.db import Database
from storage.sending import Carrier
from storage.shares import NOTHING, Part
from storage.workers import HEARTBEAT


class Shares:
    """For PostgreSQL; where one worker has the database to itself, `cut` leaves everything as it is."""

    def __init__(self, db: Database, worker: str) -> None:
        self._db = db
        self._worker = worker
        self._parts: dict[int, Part] = {}
        self._next_look = 0.0

    def cut(self, carriers: dict[int, Carrier]) -> dict[int, Carrier]:
        """The servers with this worker's part as their limits."""
        if self._db.is_sqlite:
            return carriers
        return {number: _cut(carrier, self._parts.get(number, NOTHING)) for number, carrier in carriers.items()}

    async def renew(self, carriers: dict[int, Carrier], needed: Iterable[int], lanes: dict[int, Lane]) -> None:
        """Look at the parts of the servers that are needed, at most once a heartbeat unless one is new.

        `carriers` with the whole limits. Raises StorageError.
        """
        if self._db.is_sqlite:
            return
        wanted = set(needed)
        if Fence.clock() < self._next_look and wanted <= self._parts.keys():
            return
        self._next_look = Fence.clock() + HEARTBEAT.total_seconds()
        for number in sorted(wanted & carriers.keys()):
            async with self._db.transaction() as tx:
                part, had_more = await shares.ask(tx, carriers[number], self._worker)
            self._parts[number] = part
            lane = lanes.get(number)
            if lane is not None:
                lane.update(_cut(carriers[number], part))
            # Beyond the part only while connections that are too many carry their last message.
            if had_more and (lane is None or lane.connections <= part.connections):
                async with self._db.transaction() as tx:
                    await shares.settle(tx, number, self._worker, part)

    async def give_up(self, server_id: int) -> None:
        """The lane to this server is closed."""
        if self._parts.pop(server_id, None) is not None:
            async with self._db.transaction() as tx:
                await shares.give_up(tx, server_id, self._worker)

    @property
    def held(self) -> set[int]:
        return set(self._parts)


def _cut(carrier: Carrier, part: Part) -> Carrier:
    usable = carrier.usable and part.connections > 0 and part.rate != 0
    return replace(carrier, max_connections=part.connections, rate_per_second=part.rate, usable=usable)
