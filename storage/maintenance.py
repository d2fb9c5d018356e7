"""Maintenance windows: planned, moved from state to state, and what they hold. It never decides."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select, update

from storage.db import Tx
from storage.models import Campaign, CampaignState, Hold, Maintenance, MaintenanceState, Timeline

ENDED = "maintenance.ended"
"""The kind of the timeline's entry about a window's end."""
AHEAD = (MaintenanceState.SCHEDULED, MaintenanceState.ACTIVE)
_LISTED = 20


async def add(tx: Tx, window: Maintenance) -> Maintenance:
    tx.add(window)
    await tx.flush()
    return window


async def get(tx: Tx, window_id: int) -> Maintenance | None:
    return await tx.get(Maintenance, window_id, populate_existing=True)


async def in_states(tx: Tx, states: Iterable[MaintenanceState]) -> Sequence[Maintenance]:
    """Those in one of the states, in order of their starts."""
    rows = await tx.scalars(
        select(Maintenance)
        .where(Maintenance.state.in_(list(states)))
        .order_by(Maintenance.starts_at, Maintenance.id)
        .execution_options(populate_existing=True)
    )
    return rows.all()


async def recent(tx: Tx, limit: int = _LISTED) -> Sequence[Maintenance]:
    """The newest of those that are over, newest first."""
    rows = await tx.scalars(
        select(Maintenance)
        .where(Maintenance.state == MaintenanceState.ENDED)
        .order_by(Maintenance.ends_at.desc(), Maintenance.id.desc())
        .limit(limit)
    )
    return rows.all()


async def overlapping(tx: Tx, server_id: int, starts_at: datetime, ends_at: datetime) -> Sequence[Maintenance]:
    """Windows of the server, scheduled or active, that share a moment with this span."""
    rows = await tx.scalars(
        select(Maintenance)
        .where(
            Maintenance.server_id == server_id,
            Maintenance.state.in_(AHEAD),
            Maintenance.starts_at < ends_at,
            Maintenance.ends_at > starts_at,
        )
        .order_by(Maintenance.starts_at)
    )
    return rows.all()


async def move(
    tx: Tx, window_id: int, states: Iterable[MaintenanceState], *only_if: Any, **changes: Any
) -> Maintenance | None:
    """Change it if it still is in one of `states`; None when it is not (any more): who comes second changes nothing."""
    return await tx.scalar(
        update(Maintenance)
        .where(Maintenance.id == window_id, Maintenance.state.in_(list(states)), *only_if)
        .values(**changes)
        .returning(Maintenance)
        .execution_options(synchronize_session=False, populate_existing=True)
    )


async def remind(tx: Tx, window_id: int, at: datetime) -> Maintenance | None:
    """Note that its reminder goes out; None when it has gone out already."""
    return await move(tx, window_id, [MaintenanceState.SCHEDULED], Maintenance.reminded_at.is_(None), reminded_at=at)


async def cut_short(tx: Tx, window_id: int, at: datetime) -> Maintenance | None:
    """End an active window now; None when it is over already."""
    return await move(tx, window_id, [MaintenanceState.ACTIVE], Maintenance.ends_at > at, ends_at=at)


async def old_proposals(tx: Tx, before: datetime, at: datetime) -> Sequence[Maintenance]:
    """Proposals that nobody confirmed in time."""
    rows = await tx.scalars(
        select(Maintenance)
        .where(
            Maintenance.state == MaintenanceState.PROPOSED,
            or_(Maintenance.created_at <= before, Maintenance.ends_at <= at),
        )
        .order_by(Maintenance.id)
    )
    return rows.all()


async def held_by(tx: Tx, window_id: int) -> list[int]:
    """The campaigns that are pausing or paused because of this window."""
    rows = await tx.scalars(
        select(Campaign.id)
        .where(
            Campaign.hold == Hold.MAINTENANCE,
            Campaign.hold_maintenance_id == window_id,
            Campaign.wish == CampaignState.PAUSED,
            Campaign.state.in_([CampaignState.PAUSING, CampaignState.PAUSED]),
        )
        .order_by(Campaign.id)
    )
    return list(rows)


async def hand_over(tx: Tx, window_id: int, campaign_ids: Iterable[int], **hold: Any) -> list[Campaign]:
    """What the window holds is held by something else from now on. Returns the campaigns, by name."""
    rows = await tx.scalars(
        update(Campaign)
        .where(
            Campaign.id.in_(list(campaign_ids)),
            Campaign.hold == Hold.MAINTENANCE,
            Campaign.hold_maintenance_id == window_id,
            Campaign.state.in_([CampaignState.PAUSING, CampaignState.PAUSED]),
        )
        .values(**({"hold_outage_id": None, "hold_maintenance_id": None} | hold))
        .returning(Campaign)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    return sorted(rows.all(), key=lambda campaign: campaign.name)


async def outcome(tx: Tx, window_id: int) -> str | None:
    """What the timeline says of its end; None before."""
    return await tx.scalar(
        select(Timeline.text)
        .where(Timeline.maintenance_id == window_id, Timeline.kind == ENDED)
        .order_by(Timeline.id.desc())
        .limit(1)
    )
