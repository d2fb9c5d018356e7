"""Broken glasses: who took the role sender in an emergency, until when and why. It never decides who may."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update

from storage.db import Tx
from storage.models import BreakGlass, Timeline
from storage.upserts import insert_into


async def get(tx: Tx, glass_id: int) -> BreakGlass | None:
    return await tx.get(BreakGlass, glass_id, populate_existing=True)


async def in_force(tx: Tx, at: datetime) -> Sequence[BreakGlass]:
    """Those that count at this moment, oldest first."""
    query = select(BreakGlass).where(BreakGlass.ended_at.is_(None), BreakGlass.ends_at > at).order_by(BreakGlass.id)
    return (await tx.scalars(query.execution_options(populate_existing=True))).all()


async def of(tx: Tx, user_id: str) -> BreakGlass | None:
    """The one of this person that nobody has ended, whether its time is over or not."""
    query = select(BreakGlass).where(BreakGlass.user_id == user_id, BreakGlass.ended_at.is_(None))
    return (await tx.scalars(query.execution_options(populate_existing=True))).one_or_none()


async def begin(tx: Tx, user_id: str, reason: str, at: datetime, until: datetime) -> int | None:
    """Returns its id; None when the person has one already, by a second click at the same moment too."""
    values = {"user_id": user_id, "reason": reason, "began_at": at, "ends_at": until}
    return await tx.scalar(
        insert_into(tx, BreakGlass).values(**values).on_conflict_do_nothing().returning(BreakGlass.id)
    )


async def end(tx: Tx, glass_id: int, at: datetime, by: str | None) -> bool:
    """`by` None: its time is over. False when somebody ended it before."""
    won = await tx.scalar(
        update(BreakGlass)
        .where(BreakGlass.id == glass_id, BreakGlass.ended_at.is_(None))
        .values(ended_at=at, ended_by=by)
        .returning(BreakGlass.id)
        .execution_options(synchronize_session=False)
    )
    return won is not None


async def overdue(tx: Tx, at: datetime) -> Sequence[BreakGlass]:
    """Those whose time is over and that nobody has ended."""
    query = select(BreakGlass).where(BreakGlass.ended_at.is_(None), BreakGlass.ends_at <= at).order_by(BreakGlass.id)
    return (await tx.scalars(query)).all()


async def deeds(tx: Tx, glass: BreakGlass) -> list[Timeline]:
    """What was done under it, in order."""
    query = select(Timeline).where(
        Timeline.at >= glass.began_at,
        Timeline.at <= (glass.ended_at or glass.ends_at),
        Timeline.kind.not_like("glass.%"),
    )
    rows = await tx.scalars(query.order_by(Timeline.at, Timeline.id))
    return [row for row in rows if row.data.get("break_glass") == glass.id]
