"""Requests of Slack that were taken, each once, and which of them are still to be carried out.

With SQLite they are kept in a file of their own beside the database: there is one writer at a time, and an ack, for
which Slack waits 3 s, must not stand in line behind a campaign that is being sent or imported.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

from sqlalchemy import delete, null, select, update
from sqlalchemy.dialects.postgresql import insert

from storage.db import Database, Tx
from storage.inbound_file import RequestFile
from storage.inbound_shapes import Arrival, Batch, Unfinished
from storage.models import Inbound

__all__ = ["Arrival", "Batch", "Requests", "Unfinished", "forget", "requests_of"]


class Requests(Protocol):
    """Where requests are kept. Everything raises StorageError when that place does not answer."""

    async def write(self, batch: Batch, at: datetime) -> set[str]:
        """Write a batch in one transaction. Returns the keys of those arrivals that were not there before."""

    async def unfinished(self) -> list[Unfinished]:
        """What was taken and not done, in the order in which it came."""

    async def forget(self, before: datetime) -> None:
        """Drop what was done before this moment: Slack delivers nothing again after so long."""

    async def close(self) -> None: ...


def requests_of(db: Database) -> Requests:
    """The place for the requests of a bot over this database. Whoever asks for it closes it."""
    if not db.is_sqlite:
        return _Rows(db)
    main = Path(db.url.database or "holdfast.db")
    return RequestFile(main.with_name(f"{main.stem}-inbox{main.suffix}"))


class _Rows:
    """In the table `inbound` of PostgreSQL, where writers do not wait for each other."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def write(self, batch: Batch, at: datetime) -> set[str]:
        async with self._db.transaction() as tx:
            fresh = await _take(tx, batch.arrivals, at) if batch.arrivals else set()
            if batch.started:
                await tx.execute(update(Inbound).where(Inbound.key.in_(batch.started)).values(started_at=at))
            if batch.finished:
                done = {"done_at": at, "payload": null()}
                await tx.execute(update(Inbound).where(Inbound.key.in_(batch.finished)).values(**done))
            return fresh

    async def unfinished(self) -> list[Unfinished]:
        async with self._db.read() as tx:
            rows = await tx.scalars(select(Inbound).where(Inbound.done_at.is_(None)).order_by(Inbound.at, Inbound.key))
            return [
                Unfinished(Arrival(row.key, row.kind, row.payload or {}), row.at, row.started_at is not None)
                for row in rows
            ]

    async def forget(self, before: datetime) -> None:
        async with self._db.transaction() as tx:
            await forget(tx, before)

    async def close(self) -> None:
        """The database is its owner's."""


async def _take(tx: Tx, arrivals: Sequence[Arrival], at: datetime) -> set[str]:
    rows = [{"key": each.key, "at": at, "kind": each.kind, "payload": each.payload} for each in arrivals]
    return set(await tx.scalars(insert(Inbound).on_conflict_do_nothing().returning(Inbound.key), rows))


async def forget(tx: Tx, before: datetime) -> None:
    """`Requests.forget` for the table, inside another transaction."""
    await tx.execute(delete(Inbound).where(Inbound.at < before, Inbound.done_at.is_not(None)))
