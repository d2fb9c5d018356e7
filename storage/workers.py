"""Workers: the processes that send, their heartbeats, and those whose work others have taken over."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from sqlalchemy import delete, select, text, update

from storage.db import Database, Tx
from storage.models import Share, Worker

HEARTBEAT = timedelta(seconds=1)
SILENT_AFTER = timedelta(seconds=10)
"""A worker that was not seen for this long is taken to be gone."""
_ONE_AT_A_TIME = 0x41646F70  # "Adop": the advisory lock of `alone`


async def beat(tx: Tx, worker: Worker) -> None:
    """Say that the worker lives: `seen_at` is in the row."""
    await tx.merge(worker)


async def beat_again(tx: Tx, worker_id: str, at: datetime) -> bool:
    """As `beat`, of a worker that is known. False when others have taken over its work meanwhile."""
    beaten = update(Worker).where(Worker.id == worker_id, Worker.lost_at.is_(None)).values(seen_at=at)
    return await tx.scalar(beaten.returning(Worker.id)) is not None


async def get(tx: Tx, worker_id: str) -> Worker | None:
    return await tx.get(Worker, worker_id)


async def alive(tx: Tx, now: datetime) -> bool:
    """Whether anything is there that sends."""
    return await tx.scalar(select(Worker.id).where(Worker.seen_at > now - SILENT_AFTER).limit(1)) is not None


async def every(tx: Tx) -> Sequence[Worker]:
    """Those that live and those that died without a word, the one that was seen last first."""
    return (await tx.scalars(select(Worker).order_by(Worker.seen_at.desc()))).all()


async def at_work(tx: Tx) -> set[str]:
    """Those whose work nobody has taken over."""
    return set(await tx.scalars(select(Worker.id).where(Worker.lost_at.is_(None))))


@asynccontextmanager
async def alone(db: Database) -> AsyncIterator[None]:
    """One worker at a time, while the block runs, looks for what the others have left."""
    if db.is_sqlite:
        yield
        return
    async with db.transaction() as tx:
        await tx.execute(text(f"SELECT pg_advisory_xact_lock({_ONE_AT_A_TIME})"))
        yield


async def lose(tx: Tx, worker_id: str, seen_at: datetime, at: datetime) -> bool:
    """Take over from a worker that was not seen since `seen_at`. False when it was, or somebody was first.

    What it might use of servers is free again.
    """
    silent = (Worker.id == worker_id, Worker.seen_at == seen_at, Worker.lost_at.is_(None))
    if await tx.scalar(update(Worker).where(*silent).values(lost_at=at).returning(Worker.id)) is None:
        return False
    await tx.execute(delete(Share).where(Share.worker == worker_id))
    return True


async def leave(tx: Tx, worker_ids: Iterable[str]) -> None:
    """Workers that hold nothing any more: one that stopped in good order, or that was recovered."""
    ids = list(worker_ids)
    await tx.execute(delete(Share).where(Share.worker.in_(ids)))
    await tx.execute(delete(Worker).where(Worker.id.in_(ids)))
