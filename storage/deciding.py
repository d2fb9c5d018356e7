"""What waits for somebody's decision and what was decided, with what it is about, in a handful of queries."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import func, select

from storage.db import Tx
from storage.models import Approval, ApprovalState, Campaign, Delivery, DeliveryStatus, Notice, Resend, ResendState

_DECIDED = (ApprovalState.APPROVED, ApprovalState.REJECTED, ApprovalState.EXPIRED)


async def decided(tx: Tx, since: datetime, limit: int) -> Sequence[Approval]:
    """What was approved, rejected or not decided in time since then, the newest first."""
    query = select(Approval).where(Approval.state.in_(_DECIDED), Approval.decided_at >= since)
    return (await tx.scalars(query.order_by(Approval.decided_at.desc(), Approval.id.desc()).limit(limit))).all()


async def canaries(tx: Tx) -> Sequence[Resend]:
    """Resends whose first 1 % is out and has its results, so that the rest waits for a word."""
    under_way = (
        select(func.count())
        .where(Delivery.resend_id == Resend.id, Delivery.status == DeliveryStatus.QUEUED)
        .scalar_subquery()
    )
    query = select(Resend).where(
        Resend.state == ResendState.PAUSED, Resend.wave == 0, Resend.ramped.is_(False), under_way == 0
    )
    return (await tx.scalars(query.order_by(Resend.id))).all()


async def resends_of(tx: Tx, ids: Iterable[int]) -> Mapping[int, Resend]:
    rows = await tx.scalars(select(Resend).where(Resend.id.in_(list(ids))))
    return {row.id: row for row in rows}


async def notices_of(tx: Tx, ids: Iterable[int]) -> Mapping[int, Notice]:
    rows = await tx.scalars(select(Notice).where(Notice.id.in_(list(ids))))
    return {row.id: row for row in rows}


async def campaigns_of(tx: Tx, ids: Iterable[int]) -> Mapping[int, Campaign]:
    rows = await tx.scalars(select(Campaign).where(Campaign.id.in_(list(ids))))
    return {row.id: row for row in rows}


async def campaign_names(tx: Tx, ids: Iterable[int]) -> Mapping[int, str]:
    rows = await tx.execute(select(Campaign.id, Campaign.name).where(Campaign.id.in_(list(ids))))
    return dict(rows.all())
