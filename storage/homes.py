"""Home tabs: who looks at one, and what they see there of everything at once. It never decides."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update

from storage.campaigns import MAILING
from storage.db import Tx
from storage.models import Campaign, CampaignState, Delivery, DeliveryStatus, HomeTab
from storage.upserts import insert_into

# The tabs


async def opened(tx: Tx, team_id: str, user_id: str, name: str, at: datetime, *, outsider: bool) -> None:
    """Somebody opened their tab. What it shows is not known any more, and what was answered before `at` was read."""
    seen = {"name": name, "outsider": outsider, "shown": None, "used_at": at}
    await _put(tx, team_id, user_id, {**seen, "note": None, "noted_at": None}, seen)
    read = update(HomeTab).where(HomeTab.team_id == team_id, HomeTab.user_id == user_id, HomeTab.noted_at <= at)
    await tx.execute(read.values(note=None, noted_at=None))


async def noted(tx: Tx, team_id: str, user_id: str, name: str, at: datetime, note: dict[str, Any]) -> None:
    """What their last click came to; only the newest answer is kept."""
    told = {"used_at": at, "note": note, "noted_at": at}
    await _put(tx, team_id, user_id, {"name": name, "outsider": False, "shown": None, **told}, told)


async def _put(tx: Tx, team_id: str, user_id: str, new: dict[str, Any], changed: dict[str, Any]) -> None:
    statement = insert_into(tx, HomeTab).values(team_id=team_id, user_id=user_id, **new)
    await tx.execute(statement.on_conflict_do_update(index_elements=["team_id", "user_id"], set_=changed))


async def used_since(tx: Tx, since: datetime) -> Sequence[HomeTab]:
    """The tabs that were in use since then, the latest first."""
    rows = await tx.scalars(
        select(HomeTab)
        .where(HomeTab.used_at >= since)
        .order_by(HomeTab.used_at.desc(), HomeTab.team_id, HomeTab.user_id)
        .execution_options(populate_existing=True)
    )
    return rows.all()


async def shows(tx: Tx, team_id: str, user_id: str, look: str | None) -> None:
    """Slack has taken what has this hash; None: it is not known what it shows."""
    of = update(HomeTab).where(HomeTab.team_id == team_id, HomeTab.user_id == user_id)
    await tx.execute(of.values(shown=look))


# What they show


async def stopped_campaigns(tx: Tx, limit: int) -> Sequence[Campaign]:
    """The campaigns that are pausing or paused, those that have stood for the shortest time first."""
    return await _campaigns(tx, (CampaignState.PAUSING, CampaignState.PAUSED), limit)


async def sending_campaigns(tx: Tx, limit: int) -> Sequence[Campaign]:
    """The campaigns that are being sent, the latest begun first."""
    return await _campaigns(tx, (CampaignState.SENDING,), limit)


async def _campaigns(tx: Tx, states: Iterable[CampaignState], limit: int) -> Sequence[Campaign]:
    rows = await tx.scalars(
        select(Campaign)
        .where(Campaign.kind == MAILING, Campaign.state.in_(list(states)))
        .order_by(Campaign.state_since.desc(), Campaign.id.desc())
        .limit(limit)
        .execution_options(populate_existing=True)
    )
    return rows.all()


async def still_queued(tx: Tx, resend_id: int, at_most: int) -> int:
    """How many deliveries of a resend have not gone out; counting ends at `at_most`. Read from an index alone."""
    queued = (
        select(Delivery.n)
        .where(Delivery.resend_id == resend_id, Delivery.status == DeliveryStatus.QUEUED)
        .limit(at_most)
        .subquery()
    )
    return await tx.scalar(select(func.count()).select_from(queued)) or 0
