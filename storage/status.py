"""Counts over everything, for `/holdfast status`."""

from sqlalchemy import func, select

from storage.db import Tx
from storage.failed import FAILED
from storage.models import Campaign, Delivery, DeliveryStatus, Notice, NoticeState, Resend, ResendState

_WAITING_RESENDS = (ResendState.PLANNED, ResendState.SENDING, ResendState.PAUSING, ResendState.PAUSED)
_WAITING_NOTICES = (NoticeState.DRAFT, NoticeState.WAITING, NoticeState.SENDING)


async def campaigns_by_state(tx: Tx) -> dict[str, int]:
    """Campaigns that people imported: state -> count, only of states that there are."""
    rows = await tx.execute(
        select(Campaign.state, func.count()).where(Campaign.kind == "campaign").group_by(Campaign.state)
    )
    return dict(rows.all())


async def resends_by_state(tx: Tx) -> dict[str, int]:
    """Resends that are not at their end: state -> count."""
    rows = await tx.execute(
        select(Resend.state, func.count()).where(Resend.state.in_(_WAITING_RESENDS)).group_by(Resend.state)
    )
    return dict(rows.all())


async def notices_by_state(tx: Tx) -> dict[str, int]:
    """Notices that are not at their end: state -> count."""
    rows = await tx.execute(
        select(Notice.state, func.count()).where(Notice.state.in_(_WAITING_NOTICES)).group_by(Notice.state)
    )
    return dict(rows.all())


async def unknown_deliveries(tx: Tx) -> int:
    """Deliveries of which nobody knows whether they arrived."""
    unknown = Delivery.status == DeliveryStatus.UNKNOWN
    return await tx.scalar(select(func.count()).select_from(Delivery).where(FAILED, unknown)) or 0
