"""Requests of Slack that were taken, each once, and which of them are still to be carried out.

With SQLite they are kept in a file of their own beside the database: there is one writer at a time, and an ack, for
which Slack waits 3 s, must not stand in line behind a campaign that is being sent or imported.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import delete, null, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from storage.db import Database, Tx
from storage.models import Base, Inbound

_TABLE = Base.metadata.tables[Inbound.__tablename__]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request as it came: `key` is the same when Slack delivers it again."""

    key: str
    kind: str
    payload: dict[str, Any]


async def place(db: Database) -> Database:
    """Where requests are kept: PostgreSQL itself, or SQLite's file for them, made when it is not there.

    Whoever gets another database than the one given closes it. Raises StorageError.
    """
    file = db.url.database
    if not db.is_sqlite or file in {None, "", ":memory:"}:
        return db
    main = Path(str(file))
    side = Database(f"sqlite:///{main.with_name(main.stem + '-inbox' + main.suffix)}")
    async with side.transaction() as tx:
        await tx.run_sync(lambda session: Base.metadata.create_all(session.connection(), [_TABLE]))
    return side


async def take(tx: Tx, arrivals: Sequence[Arrival], at: datetime) -> set[str]:
    """Write down what is new, in one statement. Returns the keys that were not there before."""
    insert = sqlite_insert if tx.get_bind().dialect.name == "sqlite" else postgresql_insert
    rows = [{"key": each.key, "at": at, "kind": each.kind, "payload": each.payload} for each in arrivals]
    fresh = await tx.scalars(insert(Inbound).on_conflict_do_nothing().returning(Inbound.key), rows)
    return set(fresh)


async def start(tx: Tx, keys: Iterable[str], at: datetime) -> None:
    await tx.execute(update(Inbound).where(Inbound.key.in_(list(keys))).values(started_at=at))


async def finish(tx: Tx, keys: Iterable[str], at: datetime) -> None:
    await tx.execute(update(Inbound).where(Inbound.key.in_(list(keys))).values(done_at=at, payload=null()))


async def unfinished(tx: Tx) -> Sequence[Inbound]:
    """What was taken and not done, in the order in which it came."""
    rows = await tx.scalars(select(Inbound).where(Inbound.done_at.is_(None)).order_by(Inbound.at, Inbound.key))
    return rows.all()


async def forget(tx: Tx, before: datetime) -> None:
    """Drop what was done before this moment: Slack delivers nothing again after so long."""
    await tx.execute(delete(Inbound).where(Inbound.at < before, Inbound.done_at.is_not(None)))
