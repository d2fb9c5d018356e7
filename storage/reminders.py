"""Reminders of outages that nobody said anything new about: due, answered, put off. It never decides when."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, or_, select, update

from storage import outages, timeline
from storage.db import Tx
from storage.models import Outage, OutageState, Reminder, Timeline

QUIET = (OutageState.MONITORING, OutageState.RESOLVED)
"""States of an outage that nobody waits for news of."""
OWN = "reminder."
"""How the kinds of the entries about reminders begin: they are no news."""


async def news(tx: Tx, outage: Outage, system: str) -> datetime:
    """When somebody other than `system` last did or said something about it; its opening before that."""
    last = await tx.scalar(
        select(func.max(Timeline.at)).where(
            Timeline.outage_id == outage.id, Timeline.actor != system, Timeline.kind.not_like(f"{OWN}%")
        )
    )
    return max(last or outage.detected_at, outage.detected_at)


async def fire(tx: Tx, outage_id: int, due: datetime, at: datetime) -> Outage | None:
    """Note that the reminder that was due then goes out; None when it did, or when it is not wanted any more."""
    return await outages.change(
        tx,
        outage_id,
        Outage.state.not_in(QUIET),
        Outage.reminders_off_at.is_(None),
        or_(Outage.reminded_at.is_(None), Outage.reminded_at < due),
        reminded_at=at,
    )


async def add(tx: Tx, reminder: Reminder) -> Reminder:
    tx.add(reminder)
    await tx.flush()
    return reminder


async def get(tx: Tx, reminder_id: int) -> Reminder | None:
    return await tx.get(Reminder, reminder_id, populate_existing=True)


async def waiting(tx: Tx) -> Sequence[tuple[Reminder, Outage]]:
    """Those that nobody has answered, each with its outage."""
    rows = await tx.execute(
        select(Reminder, Outage)
        .join(Outage, Outage.id == Reminder.outage_id)
        .where(Reminder.answer.is_(None))
        .order_by(Reminder.id)
        .execution_options(populate_existing=True)
    )
    return [(reminder, outage) for reminder, outage in rows]


async def answer(
    tx: Tx,
    outage_id: int,
    what: str,
    who: str | None,
    at: datetime,
    *,
    until: datetime | None = None,
    only: int | None = None,
) -> list[int]:
    """Answer what waits of an outage (or `only` that one), and have its cards show it. Returns which they were."""
    fitting = [Reminder.outage_id == outage_id, Reminder.answer.is_(None)]
    if only is not None:
        fitting.append(Reminder.id == only)
    answered = await tx.scalars(
        update(Reminder)
        .where(*fitting)
        .values(answer=what, answered_by=who, answered_at=at, until=until)
        .returning(Reminder.id)
        .execution_options(synchronize_session=False)
    )
    ids = sorted(answered)
    for each in ids:
        await timeline.touch_post(tx, f"reminder:{each}")
    return ids


async def lock(tx: Tx, outage_id: int) -> Outage:
    """The outage, which nobody else changes until the end of the transaction: it comes before its reminders."""
    row = await tx.scalars(
        select(Outage).where(Outage.id == outage_id).with_for_update().execution_options(populate_existing=True)
    )
    return row.one()


async def put_off(tx: Tx, outage_id: int, until: datetime) -> Outage | None:
    """None when it is over."""
    return await outages.change(
        tx, outage_id, Outage.state != OutageState.RESOLVED, reminders_from=until, reminders_off_at=None
    )


async def end(tx: Tx, outage_id: int, at: datetime) -> Outage | None:
    """None when it is over, or when nobody is reminded of it already."""
    only_if = (Outage.state != OutageState.RESOLVED, Outage.reminders_off_at.is_(None))
    return await outages.change(tx, outage_id, *only_if, reminders_off_at=at, reminders_from=None)


async def begin_again(tx: Tx, outage_id: int, first: datetime | None) -> Outage | None:
    """No reminder before `first`. None when it is over, or when they are neither ended nor put off."""
    only_if = or_(Outage.reminders_off_at.is_not(None), Outage.reminders_from.is_not(None))
    return await outages.change(
        tx, outage_id, Outage.state != OutageState.RESOLVED, only_if, reminders_off_at=None, reminders_from=first
    )
