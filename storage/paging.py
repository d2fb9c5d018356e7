"""Times in which Slack took nothing, and the pages that went out then. It never decides."""

from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update

from storage.db import Tx
from storage.models import Paging, Post


async def current(tx: Tx) -> Paging | None:
    """The episode that has not ended."""
    return await tx.scalar(
        select(Paging)
        .where(Paging.ended_at.is_(None))
        .order_by(Paging.id.desc())
        .limit(1)
        .execution_options(populate_existing=True)
    )


async def begin(tx: Tx, began_at: datetime, error: str, at: datetime) -> Paging:
    """An episode whose first page is due now."""
    row = Paging(began_at=began_at, error=error, next_at=at)
    tx.add(row)
    await tx.flush()
    return row


async def change(tx: Tx, seen: Paging, **values: Any) -> Paging | None:
    """Change the episode if nobody else did since it was seen; None when somebody did, or when it has ended."""
    due = Paging.next_at.is_(None) if seen.next_at is None else Paging.next_at == seen.next_at
    touched = await tx.scalar(
        update(Paging)
        .where(
            Paging.id == seen.id,
            Paging.ended_at.is_(None),
            Paging.pages == seen.pages,
            Paging.attempts == seen.attempts,
            due,
        )
        .values(**values)
        .returning(Paging.id)
        .execution_options(synchronize_session=False)
    )
    return None if touched is None else await tx.get(Paging, touched, populate_existing=True)


async def behind(tx: Tx) -> int:
    """How many messages that can be drawn are not in Slack yet."""
    count = await tx.scalar(
        select(func.count())
        .select_from(Post)
        .where(Post.posted < Post.wanted, Post.ts.is_(None), func.coalesce(Post.code, "") != "broken")
    )
    return count or 0
