"""Requests are written down before they are acked; those that come at the same moment share one transaction."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bot.clock import now
from storage import inbound
from storage.db import Database
from storage.errors import StorageError
from storage.inbound import Arrival
from storage.models import Inbound

ACK_WITHIN = timedelta(seconds=2)
"""Slack waits 3 s for an ack: https://docs.slack.dev/interactivity/handling-user-interaction/#acknowledgment_response"""
_KEEP = timedelta(days=2)
_SWEEP_EVERY = timedelta(hours=1)


@dataclass
class _Batch:
    arrivals: list[Arrival] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)


class Inbox:
    """The table `inbound`, with a group commit in front of it.

    While one transaction is on its way to the disk, or waits for another writer, requests gather in the next.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._place: Database | None = None
        self._turn = asyncio.Lock()
        self._open: tuple[_Batch, asyncio.Task[set[str]]] | None = None
        self._swept: datetime | None = None

    async def take(self, arrival: Arrival) -> bool:
        """Write the request down. False when it was there before: a redelivery.

        Raises StorageError when that cannot be done in time for the ack; the request is then not carried out.
        """
        batch, task = self._batch()
        batch.arrivals.append(arrival)
        done, _ = await asyncio.wait({task}, timeout=ACK_WITHIN.total_seconds())
        if not done:
            # It may still be written, and must not be carried out by the next start: the person was told.
            task.add_done_callback(lambda late: self._forsake(late, arrival.key))
            raise StorageError("The database does not answer. Nothing was changed; try again in a moment.")
        fresh = task.result()
        if arrival.key in fresh:
            fresh.discard(arrival.key)  # the same request twice in one batch: the second is the redelivery
            return True
        return False

    async def start(self, key: str) -> None:
        """Its handler begins. Raises StorageError."""
        batch, task = self._batch()
        batch.started.append(key)
        await asyncio.shield(task)

    async def finish(self, key: str) -> None:
        """It was carried out and answered. Raises StorageError."""
        batch, task = self._batch()
        batch.finished.append(key)
        await asyncio.shield(task)

    async def unfinished(self) -> Sequence[Inbound]:
        """What an earlier process took and did not finish. Raises StorageError."""
        async with self._turn:
            db = await self._database()
        async with db.read() as tx:
            return await inbound.unfinished(tx)

    async def close(self) -> None:
        """After the last request."""
        place, self._place = self._place, None
        if place is not None and place is not self._db:
            await place.close()

    async def _database(self) -> Database:
        if self._place is None:
            self._place = await inbound.place(self._db)
        return self._place

    def _batch(self) -> tuple[_Batch, asyncio.Task[set[str]]]:
        if self._open is None:
            batch = _Batch()
            self._open = batch, asyncio.create_task(self._write(batch))
            self._open[1].add_done_callback(_look_at)
        return self._open

    async def _write(self, batch: _Batch) -> set[str]:
        async with self._turn:
            try:
                db = await self._database()
                async with db.transaction() as tx:
                    await tx.connection()  # waits here for other writers, with the batch still open
                    self._open = None
                    at = now()
                    fresh = await inbound.take(tx, batch.arrivals, at) if batch.arrivals else set()
                    if batch.started:
                        await inbound.start(tx, batch.started, at)
                    if batch.finished:
                        await inbound.finish(tx, batch.finished, at)
                    if self._swept is None or at - self._swept > _SWEEP_EVERY:
                        self._swept = at
                        await inbound.forget(tx, at - _KEEP)
                    return fresh
            finally:
                if self._open is not None and self._open[0] is batch:
                    self._open = None

    def _forsake(self, late: asyncio.Task[set[str]], key: str) -> None:
        if not late.cancelled() and late.exception() is None and key in late.result():
            self._batch()[0].finished.append(key)


def _look_at(task: asyncio.Task[set[str]]) -> None:
    """Whoever waits for the batch sees its error; where nobody does, asyncio need not complain of it."""
    if not task.cancelled():
        task.exception()
