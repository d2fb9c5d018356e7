"""The paces that this worker's lanes have learned, in the database: a restart does not learn them anew, and status
shows them.

They are written in the background of the sender's steps when one is learned, changes by a step, or ends. A lane that
opens begins with the slowest pace that anybody knows of a provider through its server: what workers that are gone had
learned is its own from then on, and of those that live it goes on as slowly as they do.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from bot.clock import now
from bot.config import ProviderSettings
from bot.mail.pacing import KEEP, Learned, Paces
from storage import paces
from storage.db import Database
from storage.errors import StorageError
from storage.models import ProviderPace

log = structlog.get_logger()

_STEP = 1.2
"""A rate that has changed by less is not worth a row."""
_AGAIN = 1.0
"""Seconds until it is tried again where the database did not take it."""


@dataclass(frozen=True, slots=True)
class _Change:
    """What the database does not know yet of one server."""

    server_id: int
    learned: Sequence[Learned]
    ended: Sequence[str]


@dataclass(slots=True)
class _Server:
    paces: Paces
    written: dict[str, Learned]
    """Provider -> what its row says."""

    def change(self, server_id: int) -> _Change | None:
        if not self.written and not self.paces.limited:
            return None
        learned = {each.provider: each for each in self.paces.learned()}
        fresh = [each for each in learned.values() if _is_news(each, self.written.get(each.provider))]
        ended = [provider for provider in self.written if provider not in learned]
        return _Change(server_id, fresh, ended) if fresh or ended else None


class KnownPaces:
    """Of one worker."""

    def __init__(self, db: Database, worker: str, settings: Mapping[str, ProviderSettings]) -> None:
        self._db = db
        self._worker = worker
        self._settings = settings
        self._open: dict[int, _Server] = {}
        """By the server's id."""
        self._writing: asyncio.Task[None] | None = None
        self._not_before = 0.0

    async def open(self, server_id: int) -> Paces:
        """What a lane to this server begins with, and goes on with. Raises StorageError."""
        oldest = now() - KEEP
        async with self._db.transaction() as tx:
            rows = await paces.of_server(tx, server_id, oldest)
            slowest = {row.provider: row for row in sorted(rows, key=lambda row: row.rate, reverse=True)}
            await paces.clear(tx, server_id, self._worker, oldest)
            await paces.put(tx, self._worker, slowest.values())
        known = {provider: _learned(row) for provider, row in slowest.items()}
        opened = Paces(self._settings)
        opened.resume(known.values(), asyncio.get_running_loop().time())
        self._open[server_id] = _Server(opened, known)
        return opened

    def keep(self) -> None:
        """Begin to write what has changed, unless something is being written. Costs nothing where nobody is slowed."""
        if self._writing is not None:
            if not self._writing.done():
                return
            self._writing.result()
        if asyncio.get_running_loop().time() < self._not_before:
            return
        if changes := self._changes():
            self._writing = asyncio.create_task(self._write(changes))

    async def close(self, server_id: int) -> None:
        """The lane is closed: what it has learned is written, and waits for the next one."""
        if self._writing is not None:
            await asyncio.wait([self._writing])
        await self._write(self._changes())
        self._open.pop(server_id, None)

    def _changes(self) -> list[_Change]:
        return [change for number, server in self._open.items() if (change := server.change(number)) is not None]

    async def _write(self, changes: Sequence[_Change]) -> None:
        if not changes:
            return
        try:
            async with self._db.transaction() as tx:
                for change in changes:
                    await paces.put(tx, self._worker, [_row(change.server_id, each) for each in change.learned])
                    await paces.end(tx, change.server_id, self._worker, change.ended)
        except StorageError as error:
            log.warning("the paces of providers cannot be written", reason=str(error))
            self._not_before = asyncio.get_running_loop().time() + _AGAIN
            return
        for change in changes:
            written = self._open[change.server_id].written
            written |= {each.provider: each for each in change.learned}
            for provider in change.ended:
                written.pop(provider, None)


def _row(server_id: int, learned: Learned) -> ProviderPace:
    offset = _offset()
    return ProviderPace(
        server_id=server_id,
        provider=learned.provider,
        rate=learned.rate,
        free_rate=learned.free_at,
        reason=learned.why,
        rests=learned.rests,
        rests_until=_moment(learned.rests_until + offset),
        since=_moment(learned.since + offset),
        put_off_at=_moment(learned.put_off_at + offset),
        changed_at=now(),
    )


def _is_news(learned: Learned, written: Learned | None) -> bool:
    if written is None or learned.put_off_at != written.put_off_at:
        return True
    return not 1 / _STEP < learned.rate / written.rate < _STEP


def _learned(row: ProviderPace) -> Learned:
    offset = _offset()
    return Learned(
        provider=row.provider,
        rate=row.rate,
        free_at=row.free_rate,
        why=row.reason,
        rests=row.rests,
        rests_until=row.rests_until.timestamp() - offset,
        since=row.since.timestamp() - offset,
        put_off_at=row.put_off_at.timestamp() - offset,
    )


def _offset() -> float:
    """From the loop's clock, which a restart begins anew, to that of everybody."""
    return now().timestamp() - asyncio.get_running_loop().time()


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
