"""What a deed writes down so that it can be undone, in its own transaction."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from bot.access import Actor
from storage import undos
from storage.db import Tx
from storage.models import Undo

KEEP = timedelta(days=2)
"""For so long somebody can still be told why something cannot be undone any more."""


async def keep(
    tx: Tx, deed: str, what: str, actor: Actor, at: datetime, within: timedelta, data: Mapping[str, Any]
) -> int:
    """Note how it was before. Returns the number by which it can be undone: /holdfast undo NUMBER."""
    note = Undo(deed=deed, what=what, data=dict(data), done_by=actor.mention, done_at=at, expires_at=at + within)
    await undos.add(tx, note)
    # Afterwards: SQLite gives the number of a last row that is gone to the next one, and buttons carry it.
    await undos.forget(tx, at - KEEP)
    return note.id


def words(undo_id: int | None) -> str:
    """The end of a reply."""
    return "" if undo_id is None else f" Undo it with /holdfast undo {undo_id}"
