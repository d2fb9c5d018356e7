"""Shards: a campaign, or a resend's part of one, cut into ranges that workers send."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, and_, case, delete, exists, func, or_, select, update

from storage import leases
from storage.db import Tx
from storage.models import (
    Campaign,
    CampaignState,
    Delivery,
    DeliveryStatus,
    Lease,
    Resend,
    ResendItem,
    ResendState,
    Shard,
    Worker,
)
from storage.sending import Work

ROWS = 50_000
"""Recipients of one shard. The engine's cost for each is why it is not less: docs/scaling.md."""


def _of(campaign_id: int | None, resend_id: int | None) -> tuple[ColumnElement[bool], ...]:
    """Those of a campaign, of a resend's part of it, or (without a campaign) of a whole resend."""
    owner = Shard.resend_id.is_(None) if resend_id is None else Shard.resend_id == resend_id
    return (owner,) if campaign_id is None else (Shard.campaign_id == campaign_id, owner)


# What nobody has and has not stopped.
_WAITS = and_(Shard.worker.is_(None), Shard.slipped.is_(None))


async def waiting(tx: Tx) -> dict[tuple[int, int | None], int]:
    """How many shards wait for a worker, of each (campaign id, resend id or None) that has some that did not stop."""
    rows = await tx.execute(
        select(Shard.campaign_id, Shard.resend_id, func.count().filter(_WAITS))
        .where(Shard.slipped.is_(None))
        .group_by(Shard.campaign_id, Shard.resend_id)
    )
    return {(campaign_id, resend_id): number for campaign_id, resend_id, number in rows}


async def next_ones(tx: Tx, campaign_id: int, resend_id: int | None, limit: int) -> Sequence[Shard]:
    """The first that wait, in the order of their recipients."""
    query = select(Shard).where(*_of(campaign_id, resend_id), _WAITS).order_by(Shard.id).limit(limit)
    return (await tx.scalars(query)).all()


async def plan(tx: Tx, work: Work, at: datetime) -> list[Shard] | None:
    """Cut what waits and is in nobody's lease into shards. None when this work is not to be cut now: it has shards,
    or has to stop. An empty list: nothing waits that may be taken.

    One worker at a time: the row of the campaign, or of the resend, is kept until the transaction ends.
    """
    if not await _to_be_cut(tx, work):
        return None
    await clear(tx, work.campaign_id, work.resend_id)  # what stopped before somebody took the wish to stop back
    ranges = await (_ranges(tx, work) if work.resend_id is None else _ranges_again(tx, work, work.resend_id))
    made = [
        Shard(campaign_id=work.campaign_id, resend_id=work.resend_id, first_n=first, last_n=last, created_at=at)
        for first, last in ranges
    ]
    tx.add_all(made)
    await tx.flush()
    return made


async def _to_be_cut(tx: Tx, work: Work) -> bool:
    if work.resend_id is not None:
        resend = await tx.get(Resend, work.resend_id, with_for_update=True)
        sending = resend is not None and resend.state == ResendState.SENDING
    else:
        campaign = await tx.get(Campaign, work.campaign_id, with_for_update=True)
        sending = campaign is not None and campaign.state == CampaignState.SENDING
    if not sending:
        return False
    made = select(Shard.id).where(*_of(work.campaign_id, work.resend_id), Shard.slipped.is_(None)).limit(1)
    return await tx.scalar(made) is None


def _free(work: Work) -> tuple[ColumnElement[bool], ...]:
    """Deliveries that wait, belong to this work, may be sent now and are in nobody's lease."""
    allowed = [] if work.up_to is None else [Delivery.n <= work.up_to]
    leased = exists().where(
        *leases.of(work.campaign_id, work.resend_id), Delivery.n.between(Lease.first_n, Lease.last_n)
    )
    owner = Delivery.resend_id.is_(None) if work.resend_id is None else Delivery.resend_id == work.resend_id
    return Delivery.campaign_id == work.campaign_id, Delivery.status == DeliveryStatus.QUEUED, owner, ~leased, *allowed


async def _ranges(tx: Tx, work: Work) -> list[tuple[int, int]]:
    """By number, for the recipients of a campaign have few gaps; so only the two ends are looked for."""
    free = select(Delivery.n).where(*_free(work)).limit(1)
    first = await tx.scalar(free.order_by(Delivery.n))
    last = await tx.scalar(free.order_by(Delivery.n.desc())) if first is not None else None
    if first is None or last is None:
        return []
    return [(begin, min(begin + ROWS - 1, last)) for begin in range(first, last + 1, ROWS)]


async def _ranges_again(tx: Tx, work: Work, resend_id: int) -> list[tuple[int, int]]:
    """By count: what a resend sends again may be a few among millions."""
    place = func.row_number().over(order_by=ResendItem.n)
    items = (
        select(ResendItem.n, ((place - 1) // ROWS).label("shard"))
        .join(Delivery, and_(Delivery.campaign_id == ResendItem.campaign_id, Delivery.n == ResendItem.n))
        .where(
            ResendItem.campaign_id == work.campaign_id,
            ResendItem.resend_id == resend_id,
            ResendItem.wave <= work.wave,
            *_free(work),
        )
        .subquery()
    )
    bounds = select(func.min(items.c.n), func.max(items.c.n)).group_by(items.c.shard).order_by(items.c.shard)
    return [(first, last) for first, last in await tx.execute(bounds)]


async def claim(tx: Tx, shard_id: int, worker: str) -> Shard | None:
    """Take a shard that waits. None when there is nothing to do: it has ended or stopped, or somebody alive has it."""
    at_work = select(Worker.id).where(Worker.lost_at.is_(None), Worker.id != worker)
    free = or_(Shard.worker.is_(None), Shard.worker.not_in(at_work))
    return await tx.scalar(
        update(Shard)
        .where(Shard.id == shard_id, free, Shard.slipped.is_(None))
        .values(worker=worker)
        .returning(Shard)
        .execution_options(synchronize_session=False)
    )


async def held(tx: Tx, shard_id: int, worker: str) -> bool:
    """Whether the worker still has the shard; it then keeps it until the transaction ends."""
    query = select(Shard.id).where(Shard.id == shard_id, Shard.worker == worker)
    return await tx.scalar(query.with_for_update(read=True)) is not None


async def let_go(tx: Tx, worker: str) -> None:
    """What a worker had and has not ended waits for another one."""
    await tx.execute(update(Shard).where(Shard.worker == worker).values(worker=None))


async def end(tx: Tx, shard_ids: Iterable[int], worker: str, ended_since: Callable[[datetime], int]) -> None:
    """This worker has nothing of these shards, all of one send, in flight or leased any more.

    While the send has to stop they stay, with how many slipped out, until the stop is confirmed. `ended_since`: how
    many of it ended here since a moment, which is that of the wish.
    """
    mine = (Shard.id.in_(list(shard_ids)), Shard.worker == worker)
    first = await tx.scalar(select(Shard).where(*mine).order_by(Shard.id).limit(1))
    wished_at = await _wish_to_stop(tx, first) if first is not None else None
    if first is None or wished_at is None:
        await tx.execute(delete(Shard).where(*mine).execution_options(synchronize_session=False))
        return
    await tx.execute(
        update(Shard)
        .where(*mine)
        .values(worker=None, slipped=case((Shard.id == first.id, ended_since(wished_at)), else_=0))
        .execution_options(synchronize_session=False)
    )


async def _wish_to_stop(tx: Tx, shard: Shard) -> datetime | None:
    """When it was wished that the shard's send stops; None while it is to go on."""
    query = (
        select(Campaign.wished_at).where(Campaign.id == shard.campaign_id, Campaign.state == CampaignState.PAUSING)
        if shard.resend_id is None
        else select(Resend.wished_at).where(Resend.id == shard.resend_id, Resend.state == ResendState.PAUSING)
    )
    return await tx.scalar(query)


async def busy(tx: Tx, campaign_id: int | None, resend_id: int | None) -> bool:
    """Whether any worker may have something of it in flight."""
    taken = select(Shard.id).where(*_of(campaign_id, resend_id), Shard.worker.is_not(None)).limit(1)
    return await tx.scalar(taken) is not None or await leases.leased(tx, campaign_id, resend_id)


async def clear(tx: Tx, campaign_id: int | None, resend_id: int | None) -> int:
    """Nobody sends it any more: its shards go. Returns how many slipped out after the wish to stop."""
    which = _of(campaign_id, resend_id)
    slipped = await tx.scalar(select(func.coalesce(func.sum(Shard.slipped), 0)).where(*which))
    await tx.execute(delete(Shard).where(*which).execution_options(synchronize_session=False))
    return int(slipped or 0)
