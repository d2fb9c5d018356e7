"""Outages, with the servers they are on and the campaigns they touched."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import case, exists, func, select, update

from storage.db import Tx
from storage.models import (
    Campaign,
    Health,
    Outage,
    OutageCampaign,
    OutageServer,
    OutageState,
    Resend,
    ResendState,
    Server,
)

_LISTED = 1_000


async def get(tx: Tx, outage_id: int) -> Outage | None:
    return await tx.get(Outage, outage_id, populate_existing=True)


async def latest(tx: Tx) -> Outage | None:
    return await tx.scalar(select(Outage).order_by(Outage.id.desc()).limit(1))


async def unresolved(tx: Tx) -> Sequence[Outage]:
    rows = await tx.scalars(select(Outage).where(Outage.state != OutageState.RESOLVED).order_by(Outage.id))
    return rows.all()


async def recent(tx: Tx, limit: int = _LISTED) -> Sequence[Outage]:
    """The unresolved ones first, then the newest of the others."""
    rows = await tx.scalars(
        select(Outage).order_by(Outage.state == OutageState.RESOLVED, Outage.id.desc()).limit(limit)
    )
    return rows.all()


async def unresolved_on(tx: Tx, server_id: int) -> Outage | None:
    """The unresolved outage of a server, the latest where there are several."""
    return await tx.scalar(
        select(Outage)
        .join(OutageServer, OutageServer.outage_id == Outage.id)
        .where(OutageServer.server_id == server_id, Outage.state != OutageState.RESOLVED)
        .order_by(Outage.id.desc())
        .limit(1)
        .execution_options(populate_existing=True)
    )


async def add(tx: Tx, outage: Outage, server_ids: Iterable[int]) -> Outage:
    tx.add(outage)
    await tx.flush()
    tx.add_all([OutageServer(outage_id=outage.id, server_id=server_id) for server_id in server_ids])
    await tx.flush()
    return outage


async def change(tx: Tx, outage_id: int, *only_if: Any, **values: Any) -> Outage | None:
    """A conditional update: the outage as it is afterwards, or None when a condition did not hold (any more)."""
    touched = await tx.scalar(
        update(Outage)
        .where(Outage.id == outage_id, *only_if)
        .values(**values)
        .returning(Outage.id)
        .execution_options(synchronize_session=False)
    )
    return None if touched is None else await get(tx, outage_id)


def awaits_recovery() -> tuple[Any, ...]:
    """The conditions under which a server that is up again changes its outage."""
    return (Outage.state != OutageState.RESOLVED, Outage.down_at.is_not(None), Outage.recovered_at.is_(None))


async def resolve(tx: Tx, outage_id: int, who: str, at: datetime, resolution: str | None) -> Outage | None:
    """None when it was resolved already."""
    return await change(
        tx,
        outage_id,
        Outage.state != OutageState.RESOLVED,
        state=OutageState.RESOLVED,
        resolved_at=at,
        resolved_by=who,
        resolution=resolution,
    )


async def identify(tx: Tx, outage_id: int, who: str, at: datetime, cause: str) -> Outage | None:
    """Who names the cause has the outage in hand: it counts as acknowledged. None when it was resolved already."""
    return await change(
        tx,
        outage_id,
        Outage.state != OutageState.RESOLVED,
        state=case((Outage.state == OutageState.MONITORING, Outage.state), else_=OutageState.IDENTIFIED),
        cause=cause,
        acknowledged_at=func.coalesce(Outage.acknowledged_at, at),
        acknowledged_by=func.coalesce(Outage.acknowledged_by, who),
        lead=func.coalesce(Outage.lead, who),
    )


async def expect(tx: Tx, outage_id: int, eta: datetime) -> Outage | None:
    """None when it was resolved already."""
    return await change(tx, outage_id, Outage.state != OutageState.RESOLVED, eta=eta)


async def grade(tx: Tx, outage_id: int, was: str, severity: str) -> Outage | None:
    """None when it was resolved, or its severity changed, in the meantime."""
    only_if = (Outage.state != OutageState.RESOLVED, Outage.severity == was)
    return await change(tx, outage_id, *only_if, severity=severity)


async def former(tx: Tx, outage: Outage, since: datetime) -> Outage | None:
    """The last outage before this one on one of its servers, when it was resolved after `since`."""
    mine = select(OutageServer.server_id).where(OutageServer.outage_id == outage.id)
    return await tx.scalar(
        select(Outage)
        .join(OutageServer, OutageServer.outage_id == Outage.id)
        .where(OutageServer.server_id.in_(mine), Outage.id < outage.id, Outage.resolved_at >= since)
        .order_by(Outage.id.desc())
        .limit(1)
    )


async def acknowledge(tx: Tx, outage_id: int, who: str, at: datetime) -> Outage | None:
    """Taken by `who`, if nobody has it since it opened (or opened again). Its first time of acknowledgement stays."""
    return await change(
        tx,
        outage_id,
        Outage.state != OutageState.RESOLVED,
        Outage.acknowledged_at.is_(None) | (Outage.state == OutageState.OPEN),
        state=case((Outage.state == OutageState.OPEN, OutageState.ACKNOWLEDGED), else_=Outage.state),
        acknowledged_at=func.coalesce(Outage.acknowledged_at, at),
        acknowledged_by=who,
        lead=who,
    )


async def servers_of(tx: Tx, outage_id: int) -> Sequence[Server]:
    rows = await tx.scalars(
        select(Server)
        .join(OutageServer, OutageServer.server_id == Server.id)
        .where(OutageServer.outage_id == outage_id)
        .order_by(Server.name)
        .execution_options(populate_existing=True)
    )
    return rows.all()


async def server_names(tx: Tx, outage_ids: Iterable[int]) -> dict[int, list[str]]:
    names: dict[int, list[str]] = {outage_id: [] for outage_id in outage_ids}
    rows = await tx.execute(
        select(OutageServer.outage_id, Server.name)
        .join(Server, Server.id == OutageServer.server_id)
        .where(OutageServer.outage_id.in_(names))
        .order_by(Server.name)
    )
    for outage_id, name in rows:
        names[outage_id].append(name)
    return names


async def touch(tx: Tx, outage_id: int, campaign_ids: Iterable[int], *, held: bool) -> None:
    """These campaigns are part of the outage. One that was held in it once stays marked so."""
    for campaign_id in campaign_ids:
        row = await tx.get(OutageCampaign, (outage_id, campaign_id))
        if row is None:
            tx.add(OutageCampaign(outage_id=outage_id, campaign_id=campaign_id, held=held))
        elif held:
            row.held = True
    await tx.flush()


async def campaigns_of(tx: Tx, outage_id: int) -> Sequence[Campaign]:
    rows = await tx.scalars(
        select(Campaign)
        .join(OutageCampaign, OutageCampaign.campaign_id == Campaign.id)
        .where(OutageCampaign.outage_id == outage_id)
        .order_by(Campaign.name)
        .execution_options(populate_existing=True)
    )
    return rows.all()


async def campaign_counts(tx: Tx, outage_ids: Iterable[int]) -> dict[int, int]:
    rows = await tx.execute(
        select(OutageCampaign.outage_id, func.count())
        .where(OutageCampaign.outage_id.in_(list(outage_ids)))
        .group_by(OutageCampaign.outage_id)
    )
    return dict(rows.all())


async def held_by(tx: Tx, outage_id: int) -> Sequence[Campaign]:
    """The campaigns that are pausing or paused because of this outage."""
    rows = await tx.scalars(
        select(Campaign)
        .where(Campaign.hold == "outage", Campaign.hold_outage_id == outage_id)
        .where(Campaign.state.in_(["pausing", "paused"]))
        .order_by(Campaign.name)
    )
    return rows.all()


async def live_resend(tx: Tx, outage_id: int) -> int | None:
    """The newest resend for it that is planned or under way."""
    live = [ResendState.PLANNED, ResendState.SENDING, ResendState.PAUSING, ResendState.PAUSED]
    return await tx.scalar(
        select(Resend.id)
        .where(Resend.outage_id == outage_id, Resend.state.in_(live))
        .order_by(Resend.id.desc())
        .limit(1)
    )


def _outage_over(since: Any) -> Any:
    """An outage on the server that covers the moment `since`: unresolved, or resolved at or after it."""
    return exists().where(
        OutageServer.server_id == Server.id,
        Outage.id == OutageServer.outage_id,
        (Outage.state != OutageState.RESOLVED) & (Outage.down_at >= since) | (Outage.resolved_at >= since),
    )


async def down_without_outage(tx: Tx) -> Sequence[Server]:
    """Servers that went down and that no outage tells of yet. One that was resolved by hand while its server is
    still down tells of it: nothing opens until that server has been up again.
    """
    rows = await tx.scalars(
        select(Server)
        .where(Server.health == Health.DOWN, Server.drained_at.is_(None), ~_outage_over(Server.health_since))
        .order_by(Server.id)
    )
    return rows.all()


async def up_in_outage(tx: Tx) -> Sequence[Server]:
    """Servers that are up again while their outage still counts on them being down."""
    waiting = exists().where(
        OutageServer.server_id == Server.id, Outage.id == OutageServer.outage_id, *awaits_recovery()
    )
    rows = await tx.scalars(select(Server).where(Server.health == Health.UP, waiting).order_by(Server.id))
    return rows.all()
