"""Requests are written down before they are acked; those that come at the same moment share one transaction."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from bot.clock import now
from storage.db import Database
from storage.errors import StorageError
from storage.inbound import Arrival, Batch, Unfinished, requests_of

ACK_WITHIN = timedelta(seconds=2)
"""Slack waits 3 s for an ack: https://docs.slack.dev/interactivity/handling-user-interaction/#acknowledgment_response"""
_KEEP = timedelta(days=2)
_SWEEP_EVERY = timedelta(hours=1)


class Inbox:
    """The requests that were taken, with a group commit in front of them.

    While one transaction is on its way to the disk, requests gather for the next.
    """

    def __init__(self, db: Database) -> None:
        self._requests = requests_of(db)
        self._turn = asyncio.Lock()
        self._open: tuple[Batch, asyncio.Task[set[str]]] | None = None
        self._swept: datetime | None = None

    async def take(self, arrival: Arrival, *, late: Callable[[], None] | None = None) -> bool:
        """Write the request down. False when it was there before: a redelivery.

        Raises StorageError when that cannot be done in time for the ack; the request is then not carried out. With
        `late`, that is called when it is written after all: Slack delivers it again, and finds it taken.
        """
        batch, task = self._batch()
        batch.arrivals.append(arrival)
        done, _ = await asyncio.wait({task}, timeout=ACK_WITHIN.total_seconds())
        if not done:
            # It may still be written, and must not be carried out by the next start: the person was told.
            task.add_done_callback(lambda done: self._came_late(done, arrival.key, late))
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

    async def unfinished(self) -> list[Unfinished]:
        """What an earlier process took and did not finish. Raises StorageError."""
        return await self._requests.unfinished()

    async def close(self) -> None:
        """After the last request."""
        async with self._turn:
            await self._requests.close()

    def _batch(self) -> tuple[Batch, asyncio.Task[set[str]]]:
        if self._open is None:
            batch = Batch()
            self._open = batch, asyncio.create_task(self._write(batch))
            self._open[1].add_done_callback(_look_at)
        return self._open

    async def _write(self, batch: Batch) -> set[str]:
        async with self._turn:
            self._open = None  # whatever comes from now on is for the next batch
            at = now()
            fresh = await self._requests.write(batch, at)
            if self._swept is None or at - self._swept > _SWEEP_EVERY:
                self._swept = at
                await self._requests.forget(at - _KEEP)
            return fresh

    def _came_late(self, done: asyncio.Task[set[str]], key: str, late: Callable[[], None] | None) -> None:
        if done.cancelled() or done.exception() is not None or key not in done.result():
            return
        if late is None:
            self._batch()[0].finished.append(key)
        else:
            done.result().discard(key)
            late()


def _look_at(task: asyncio.Task[set[str]]) -> None:
    """Whoever waits for the batch sees its error; where nobody does, asyncio need not complain of it."""
    if not task.cancelled():
        task.exception()
