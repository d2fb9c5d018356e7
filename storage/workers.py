"""Workers: the processes that send, and their heartbeats."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select

from storage.db import Tx
from storage.models import Worker

HEARTBEAT = timedelta(seconds=1)
SILENT_AFTER = timedelta(seconds=10)
"""A worker that was not seen for this long is taken to be gone."""


async def beat(tx: Tx, worker: Worker) -> None:
    """Say that the worker lives: `seen_at` is in the row."""
    await tx.merge(worker)


async def get(tx: Tx, worker_id: str) -> Worker | None:
    return await tx.get(Worker, worker_id)


async def alive(tx: Tx, now: datetime) -> bool:
    """Whether anything is there that sends."""
    return await tx.scalar(select(Worker.id).where(Worker.seen_at > now - SILENT_AFTER).limit(1)) is not None


async def every(tx: Tx) -> Sequence[Worker]:
    """Those that live and those that died without a word, the one that was seen last first."""
    return (await tx.scalars(select(Worker).order_by(Worker.seen_at.desc()))).all()


async def leave(tx: Tx, worker_id: str) -> None:
    """A worker that stopped in good order; its row goes, since it holds nothing."""
    worker = await tx.get(Worker, worker_id)
    if worker is not None:
        await tx.delete(worker)
