"""What can be undone: written with the deed, taken back once. It never decides."""

from datetime import datetime

from sqlalchemy import delete, update

from storage.db import Tx
from storage.models import Undo


async def add(tx: Tx, undo: Undo) -> Undo:
    tx.add(undo)
    await tx.flush()
    return undo


async def get(tx: Tx, undo_id: int) -> Undo | None:
    return await tx.get(Undo, undo_id, populate_existing=True)


async def take(tx: Tx, undo_id: int, by: str, at: datetime) -> Undo | None:
    """Claim it; None when it was undone before, or when it is too late. Rolled back, it is there again."""
    return await tx.scalar(
        update(Undo)
        .where(Undo.id == undo_id, Undo.undone_at.is_(None), Undo.expires_at > at)
        .values(undone_at=at, undone_by=by)
        .returning(Undo)
        .execution_options(synchronize_session=False, populate_existing=True)
    )


async def forget(tx: Tx, before: datetime) -> None:
    """Drop what could not be undone any more before this moment."""
    await tx.execute(delete(Undo).where(Undo.expires_at < before))
