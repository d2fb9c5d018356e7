"""What the sender asks: which work there is, and how it says that work has stopped or ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import exists, func, select, update

from storage.db import Tx
from storage.models import (
    Campaign,
    CampaignState,
    Delivery,
    DeliveryStatus,
    Evidence,
    Health,
    Hold,
    Message,
    Resend,
    ResendItem,
    ResendState,
)
from storage.resends import EVERY_WAVE
from storage.ways import Way, Ways


@dataclass(frozen=True, slots=True)
class Work:
    """A campaign, or a resend's part of a campaign, that is sending or has to stop."""

    campaign_id: int
    resend_id: int | None
    name: str
    stopping: bool
    wished_at: datetime | None
    ways: tuple[Way, ...]
    """The servers that carry it now, the heaviest first."""
    wave: int
    expires_at: datetime | None
    up_to: int | None = None
    """Of a campaign: recipients up to this number may be mailed now; None: all."""
    bounded: bool = False
    """More waits behind what may be sent now (a ramp), so that it is not done when nothing is left to lease."""


@dataclass(frozen=True, slots=True)
class Carrier:
    """A server as the sender needs it. `usable` is False while it is down, drained or in maintenance."""

    id: int
    name: str
    host: str
    port: int
    tls: str
    max_connections: int
    rate_per_second: float | None
    usable: bool
    down: bool = False
    """The monitor found it down: what it has not answered by now, it will hardly answer."""


async def carriers(tx: Tx, now: datetime) -> dict[int, Carrier]:
    return carriers_of(await Ways.read(tx, now))


def carriers_of(ways: Ways) -> dict[int, Carrier]:
    return {
        server.id: Carrier(
            id=server.id,
            name=server.name,
            host=server.host,
            port=server.port,
            tls=server.tls,
            max_connections=server.max_connections,
            rate_per_second=server.rate_per_second,
            usable=ways.usable(server),
            down=server.health == Health.DOWN,
        )
        for server in ways.servers.values()
    }


async def work(tx: Tx, ways: Ways) -> list[Work]:
    """All that is sending or has to stop, oldest first."""
    campaigns = (
        await tx.scalars(
            select(Campaign)
            .where(Campaign.state.in_([CampaignState.SENDING, CampaignState.PAUSING]))
            .order_by(Campaign.id)
        )
    ).all()
    resends = (
        await tx.scalars(
            select(Resend).where(Resend.state.in_([ResendState.SENDING, ResendState.PAUSING])).order_by(Resend.id)
        )
    ).all()
    if not campaigns and not resends:
        return []
    found = [
        Work(
            campaign_id=c.id,
            resend_id=None,
            name=c.name,
            stopping=c.state == CampaignState.PAUSING,
            wished_at=c.wished_at,
            ways=ways.of(c.server_id),
            wave=0,
            expires_at=c.expires_at,
            up_to=c.ramp_to_n,
            bounded=c.ramp_to_n is not None,
        )
        for c in campaigns
    ]
    for resend in resends:
        parts = await tx.scalars(select(Campaign).where(Campaign.id.in_(resend.campaign_ids)).order_by(Campaign.id))
        found += [
            Work(
                campaign_id=c.id,
                resend_id=resend.id,
                name=c.name,
                stopping=resend.state == ResendState.PAUSING,
                wished_at=resend.wished_at,
                ways=ways.of(c.server_id),
                wave=resend.wave,
                expires_at=c.expires_at,
                bounded=resend.ramped and resend.wave < EVERY_WAVE,
            )
            for c in parts
        ]
    return found


async def message(tx: Tx, campaign_id: int) -> Message:
    return (await tx.scalars(select(Message).where(Message.campaign_id == campaign_id))).one()


async def has_to_stop(tx: Tx, item: Work) -> bool:
    """Whether the campaign, or the resend, is still to be stopped; it then stays so until the transaction ends."""
    if item.resend_id is not None:
        resend = await tx.get(Resend, item.resend_id, with_for_update=True)
        return resend is not None and resend.state == ResendState.PAUSING
    campaign = await tx.get(Campaign, item.campaign_id, with_for_update=True)
    return campaign is not None and campaign.state == CampaignState.PAUSING


async def stop_campaign(tx: Tx, campaign_id: int, at: datetime, slipped: int) -> Campaign | None:
    """A campaign that had to stop has stopped: its state becomes its wish. None when it had not to."""
    campaign = await tx.get(Campaign, campaign_id, with_for_update=True)
    if campaign is None or campaign.state != CampaignState.PAUSING:
        return None
    campaign.state = campaign.wish
    campaign.state_since = at
    campaign.confirmed_at = at
    campaign.slipped = slipped
    if campaign.wish == CampaignState.CANCELLED:
        campaign.finished_at = at
    await tx.flush()
    return campaign


async def finish_campaign(tx: Tx, campaign_id: int, at: datetime) -> Campaign | None:
    """A sending campaign without a waiting delivery is finished. None when it is not so."""
    waiting = exists().where(
        Delivery.campaign_id == campaign_id,
        Delivery.status == DeliveryStatus.QUEUED,
        Delivery.resend_id.is_(None),
    )
    return await tx.scalar(
        update(Campaign)
        .where(Campaign.id == campaign_id, Campaign.state == CampaignState.SENDING, ~waiting)
        .values(
            state=CampaignState.FINISHED, wish=CampaignState.FINISHED, state_since=at, finished_at=at, confirmed_at=at
        )
        .returning(Campaign)
    )


async def stop_resend(tx: Tx, resend_id: int, at: datetime, slipped: int) -> Resend | None:
    """A resend that had to stop has stopped: its state becomes its wish. None when it had not to."""
    resend = await tx.get(Resend, resend_id, with_for_update=True)
    if resend is None or resend.state != ResendState.PAUSING:
        return None
    resend.state = resend.wish
    resend.confirmed_at = at
    resend.slipped = slipped
    if resend.wish == ResendState.CANCELLED:
        resend.finished_at = at
    await tx.flush()
    return resend


async def end_wave(tx: Tx, resend_id: int, at: datetime) -> Resend | None:
    """A sending resend whose allowed waves have gone out is paused after its canary, or finished. None: not yet."""
    resend = await tx.get(Resend, resend_id, with_for_update=True)
    if resend is None or resend.state != ResendState.SENDING:
        return None
    waiting = await tx.scalar(
        select(func.count())
        .select_from(Delivery)
        .where(Delivery.resend_id == resend_id, Delivery.status == DeliveryStatus.QUEUED)
    )
    if waiting:
        return None
    held_back = await tx.scalar(
        select(func.count())
        .select_from(ResendItem)
        .where(
            ResendItem.resend_id == resend_id,
            ResendItem.campaign_id.in_(resend.campaign_ids),
            ResendItem.wave > resend.wave,
        )
    )
    if held_back:
        resend.state = resend.wish = ResendState.PAUSED
        resend.note = "the canary is done"
    else:
        resend.state = resend.wish = ResendState.FINISHED
        resend.finished_at = at
    await tx.flush()
    return resend


async def set_aside(tx: Tx, item: Work, at: datetime, reason: str) -> bool:
    """Work that cannot begin is paused, nothing of it being in flight. False when it was not sending any more."""
    if item.resend_id is not None:
        values = {"state": ResendState.PAUSED, "wish": ResendState.PAUSED, "note": reason}
        which = update(Resend).where(Resend.id == item.resend_id, Resend.state == ResendState.SENDING)
        return await tx.scalar(which.values(values).returning(Resend.id)) is not None
    stopped = update(Campaign).where(Campaign.id == item.campaign_id, Campaign.state == CampaignState.SENDING)
    changed = await tx.scalar(
        stopped.values(
            state=CampaignState.PAUSED,
            wish=CampaignState.PAUSED,
            state_since=at,
            confirmed_at=at,
            slipped=0,
            hold=Hold.PERSON,
            hold_reason=reason,
        ).returning(Campaign.id)
    )
    return changed is not None


async def resend_counts(tx: Tx, resend_id: int) -> dict[str, int]:
    """How the deliveries that a resend has taken stand: status -> count."""
    rows = await tx.execute(
        select(Delivery.status, func.count()).where(Delivery.resend_id == resend_id).group_by(Delivery.status)
    )
    return {status.value: 0 for status in DeliveryStatus} | dict(rows.all())


async def testify(tx: Tx, evidence: Sequence[Evidence]) -> None:
    """Write down what sending saw of servers."""
    tx.add_all(evidence)
    await tx.flush()
