"""Ramps: how far a campaign, or a resend, may go now, and what has come back of it. It never decides."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Integer, and_, case, delete, func, literal_column, or_, select, update

from storage import timeline
from storage.db import Tx
from storage.failed import FAILED
from storage.models import (
    Campaign,
    CampaignState,
    Delivery,
    DeliveryStatus,
    Ramp,
    Recipient,
    Resend,
    ResendItem,
    ResendState,
    Retry,
    SendMinute,
    Suppression,
)
from storage.upserts import insert_into

_TRIED = (
    DeliveryStatus.DELIVERED,
    DeliveryStatus.FAILED_TEMPORARY,
    DeliveryStatus.FAILED_PERMANENT,
    DeliveryStatus.UNKNOWN,
)
# Literals, not parameters: only so can either database see that its partial index serves.
_FAILED = Delivery.status.in_([literal_column("'failed_temporary'"), literal_column("'failed_permanent'")])
_COMPLAINED = Suppression.source == literal_column("'complaint'")
# The sum keeps SQLite from walking a whole campaign by its primary key, where the failed are few among millions.
_CAMPAIGN = Delivery.campaign_id.op("+")(literal_column("0", Integer))


class Send(NamedTuple):
    """A campaign (`resend_id` is None) or a resend of some campaigns, by ids."""

    campaign_ids: tuple[int, ...]
    resend_id: int | None

    @property
    def key(self) -> dict[str, int]:
        """The column of its ramp, and its value."""
        return {"campaign_id": self.campaign_ids[0]} if self.resend_id is None else {"resend_id": self.resend_id}


class Failures(NamedTuple):
    """Messages that came back, by what is to blame. What an outage has claimed is none of them."""

    bounced: int
    """The address does not exist."""
    refused: int
    """Refused for good, and not because of the address."""
    temporary: int


# --- The rows ------------------------------------------------------------------------------------------------------


async def of(tx: Tx, send: Send) -> Ramp | None:
    rows = await tx.scalars(select(Ramp).filter_by(**send.key).execution_options(populate_existing=True))
    return rows.one_or_none()


async def of_all(tx: Tx, campaign_ids: Iterable[int], resend_ids: Iterable[int]) -> Sequence[Ramp]:
    """Those of the campaigns and of the resends, in one query."""
    which = or_(Ramp.campaign_id.in_(list(campaign_ids)), Ramp.resend_id.in_(list(resend_ids)))
    return (await tx.scalars(select(Ramp).where(which).execution_options(populate_existing=True))).all()


async def get(tx: Tx, ramp_id: int) -> Ramp | None:
    return await tx.get(Ramp, ramp_id, populate_existing=True)


async def put(tx: Tx, send: Send, **values: Any) -> Ramp:
    """The ramp of the send with these values, made with one stage when there is none."""
    key = send.key
    fresh = {"stages": [100], "sizes": [0], "stage": 0, "counted_from": 0} | key | values
    row = insert_into(tx, Ramp).values(**fresh)
    row = row.on_conflict_do_update(index_elements=list(key), set_=values or key)
    found = await tx.scalars(row.returning(Ramp), execution_options={"populate_existing": True})
    return found.one()


async def move(tx: Tx, ramp_id: int, at_stage: int, **values: Any) -> bool:
    """Change a ramp that is still at this stage; False when somebody else was first."""
    changed = await tx.scalar(
        update(Ramp)
        .where(Ramp.id == ramp_id, Ramp.stage == at_stage)
        .values(**values)
        .returning(Ramp.id)
        .execution_options(synchronize_session=False)
    )
    return changed is not None


async def forget(tx: Tx, send: Send) -> None:
    await tx.execute(delete(Ramp).filter_by(**send.key).execution_options(synchronize_session=False))


async def touch(tx: Tx, campaign_ids: Iterable[int]) -> None:
    """The messages about these campaigns' ramps, and of their last stop, should show the present state."""
    query = select(Ramp.id, Ramp.stopped_entry_id).where(Ramp.campaign_id.in_(list(campaign_ids))).order_by(Ramp.id)
    for ramp_id, entry_id in await tx.execute(query):
        await timeline.touch_post(tx, f"ramp:{ramp_id}")
        if entry_id is not None:
            await timeline.touch_post(tx, f"timeline:{entry_id}")


async def sending(tx: Tx) -> dict[Send, datetime | None]:
    """Campaigns that people imported, and resends, in state sending, with when each was started or last let go on."""
    campaigns = await tx.execute(
        select(Campaign.id, func.coalesce(Ramp.counted_since, Campaign.started_at))
        .outerjoin(Ramp, Ramp.campaign_id == Campaign.id)
        .where(Campaign.kind == "campaign", Campaign.state == CampaignState.SENDING)
        .order_by(Campaign.id)
    )
    resends = await tx.execute(
        select(Resend.id, Resend.campaign_ids, func.coalesce(Ramp.counted_since, Resend.started_at))
        .outerjoin(Ramp, Ramp.resend_id == Resend.id)
        .where(Resend.state == ResendState.SENDING)
        .order_by(Resend.id)
    )
    found: dict[Send, datetime | None] = {Send((campaign_id,), None): since for campaign_id, since in campaigns}
    return found | {Send(tuple(campaign_ids), resend_id): since for resend_id, campaign_ids, since in resends}


# --- How far it may go ---------------------------------------------------------------------------------------------


async def nth(tx: Tx, campaign_id: int, place: int) -> int | None:
    """The number of the campaign's recipient in this place, from 1; None when it has fewer."""
    numbers = select(Recipient.n).where(Recipient.campaign_id == campaign_id).order_by(Recipient.n)
    return await tx.scalar(numbers.offset(place - 1).limit(1))


async def allow(tx: Tx, send: Send, bound: int | None) -> None:
    """Let the sender go so far: to a number of a campaign (None: to its end), or to a wave of a resend."""
    if send.resend_id is None:
        statement = update(Campaign).where(Campaign.id == send.campaign_ids[0]).values(ramp_to_n=bound)
    else:
        statement = update(Resend).where(Resend.id == send.resend_id).values(wave=bound)
    await tx.execute(statement.execution_options(synchronize_session=False))


async def waits(tx: Tx, send: Send) -> bool:
    """Whether something that may be sent now has no result yet."""
    if send.resend_id is None:
        bound = await tx.scalar(select(Campaign.ramp_to_n).where(Campaign.id == send.campaign_ids[0]))
        # Backwards: the sender goes forwards, so that what waits stands at the end.
        query = (
            select(Delivery.n)
            .where(
                Delivery.campaign_id == send.campaign_ids[0],
                Delivery.status == DeliveryStatus.QUEUED,
                Delivery.resend_id.is_(None),
                *([] if bound is None else [Delivery.n <= bound]),
            )
            .order_by(Delivery.n.desc())
        )
        return await tx.scalar(query.limit(1)) is not None
    item = and_(
        ResendItem.campaign_id == Delivery.campaign_id,
        ResendItem.resend_id == send.resend_id,
        ResendItem.n == Delivery.n,
    )
    wave = select(Resend.wave).where(Resend.id == send.resend_id).scalar_subquery()
    again = (
        select(Delivery.n)
        .join(ResendItem, item)
        .where(
            Delivery.resend_id == send.resend_id,
            Delivery.status == DeliveryStatus.QUEUED,
            ResendItem.wave <= wave,
        )
    )
    return await tx.scalar(again.limit(1)) is not None


# --- What came back ------------------------------------------------------------------------------------------------


async def tried(tx: Tx, send: Send) -> int:
    """How many messages of the send have a result of a server, or none where there should be one."""
    if send.resend_id is None:
        total = await tx.scalar(
            select(func.sum(SendMinute.count)).where(
                SendMinute.campaign_id == send.campaign_ids[0], SendMinute.status.in_(_TRIED)
            )
        )
    else:
        total = await tx.scalar(
            select(func.count())
            .select_from(Delivery)
            .where(Delivery.resend_id == send.resend_id, Delivery.status.in_(_TRIED))
        )
    return int(total or 0)


async def failures(tx: Tx, send: Send, since: datetime | None) -> Failures:
    """What came back of the send since then, straight from an index of the failed."""
    permanent = Delivery.status == DeliveryStatus.FAILED_PERMANENT
    never = func.coalesce(Delivery.retry, Retry.NEVER) == Retry.NEVER
    ours = Delivery.outage_id.is_(None)

    def of(condition: ColumnElement[bool]) -> ColumnElement[int]:
        return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)

    query = select(
        of(and_(permanent, never)),
        of(and_(permanent, ~never, ours)),
        of(and_(Delivery.status == DeliveryStatus.FAILED_TEMPORARY, ours)),
    )
    if send.resend_id is None:
        servers = select(SendMinute.server_id).where(SendMinute.campaign_id == send.campaign_ids[0]).distinct()
        query = query.where(FAILED, Delivery.server_id.in_(servers), _CAMPAIGN.in_([send.campaign_ids[0]]))
    else:
        query = query.where(Delivery.resend_id == send.resend_id, _FAILED)
    if since is not None:
        query = query.where(Delivery.changed_at >= since)
    bounced, refused, temporary = (await tx.execute(query)).one()
    return Failures(int(bounced), int(refused), int(temporary))


async def complaints(tx: Tx, send: Send, since: datetime | None) -> int:
    """How many who got a message of the send complained about mail after it: suppressions with that source."""
    query = (
        select(func.count())
        .select_from(Suppression)
        .join(
            Recipient,
            and_(Recipient.campaign_id.in_(send.campaign_ids), Recipient.email_key == Suppression.email_key),
        )
        .join(Delivery, and_(Delivery.campaign_id == Recipient.campaign_id, Delivery.n == Recipient.n))
        .where(
            _COMPLAINED,
            Delivery.status == DeliveryStatus.DELIVERED,
            Delivery.changed_at <= Suppression.at,
            *([] if since is None else [Suppression.at >= since]),
            *([] if send.resend_id is None else [Delivery.resend_id == send.resend_id]),
        )
    )
    return await tx.scalar(query) or 0


async def count_anew(tx: Tx, sends: Iterable[Send], at: datetime) -> None:
    """What came back before this moment was seen by whoever lets these go on; from now on it counts anew."""
    for send in sends:
        await put(tx, send, counted_since=at, counted_from=await tried(tx, send), due_at=None)


# --- For those who look ----------------------------------------------------------------------------------------------


async def of_campaigns(tx: Tx, campaign_ids: Iterable[int]) -> Mapping[int, Ramp]:
    rows = await tx.scalars(select(Ramp).where(Ramp.campaign_id.in_(list(campaign_ids))))
    return {row.campaign_id: row for row in rows if row.campaign_id is not None}
