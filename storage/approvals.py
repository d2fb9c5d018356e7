"""Approvals: asked for, decided once, or overdue. It never decides who may."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update

from storage.db import Tx
from storage.models import Approval, ApprovalState, Notice, Resend


async def add(tx: Tx, approval: Approval) -> Approval:
    tx.add(approval)
    await tx.flush()
    return approval


async def get(tx: Tx, approval_id: int) -> Approval | None:
    return await tx.get(Approval, approval_id, populate_existing=True)


async def latest(tx: Tx, subject: str, subject_id: int) -> Approval | None:
    """The newest approval of a subject, decided or not, as it is in the database at this moment."""
    query = (
        select(Approval)
        .where(Approval.subject == subject, Approval.subject_id == subject_id)
        .order_by(Approval.id.desc())
        .limit(1)
        .execution_options(populate_existing=True)
    )
    return await tx.scalar(query)


async def settle(
    tx: Tx, approval_id: int, state: ApprovalState, *, by: str | None, at: datetime, choice: str | None = None
) -> bool:
    """Move a pending approval to its end. False when somebody else did before: the first one wins."""
    won = await tx.scalar(
        update(Approval)
        .where(Approval.id == approval_id, Approval.state == ApprovalState.PENDING)
        .values(state=state, decided_by=by, decided_at=at, choice=choice)
        .returning(Approval.id)
        .execution_options(synchronize_session=False)
    )
    return won is not None


async def void(tx: Tx, subject: str, subject_id: int, at: datetime) -> None:
    """What was pending for the subject is no longer asked."""
    await tx.execute(
        update(Approval)
        .where(
            Approval.subject == subject,
            Approval.subject_id == subject_id,
            Approval.state == ApprovalState.PENDING,
        )
        .values(state=ApprovalState.VOID, decided_at=at)
        .execution_options(synchronize_session=False)
    )


async def expire(tx: Tx, at: datetime) -> Sequence[Approval]:
    """Mark the pending ones whose time is over; returns those that this call marked, oldest first."""
    rows = await tx.scalars(
        update(Approval)
        .where(Approval.state == ApprovalState.PENDING, Approval.expires_at <= at)
        .values(state=ApprovalState.EXPIRED, decided_at=at)
        .returning(Approval)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    return sorted(rows, key=lambda approval: approval.id)


async def pending(tx: Tx) -> Sequence[Approval]:
    """What waits for a decision, oldest first."""
    query = select(Approval).where(Approval.state == ApprovalState.PENDING).order_by(Approval.id)
    return (await tx.scalars(query)).all()


async def outage_of(tx: Tx, subject: str, subject_id: int) -> int | None:
    """The outage that a resend or a notice belongs to; a campaign is asked about for itself."""
    if subject == "campaign":
        return None
    if subject == "resend":
        return await tx.scalar(select(Resend.outage_id).where(Resend.id == subject_id))
    return await tx.scalar(select(Notice.outage_id).where(Notice.id == subject_id))
