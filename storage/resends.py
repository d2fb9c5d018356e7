"""Resends: what was lost, frozen into items, queued again, given back. Set by set; no row passes through Python."""

import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    Text,
    and_,
    case,
    cast,
    false,
    func,
    insert,
    literal,
    literal_column,
    or_,
    select,
    text,
    update,
)

from storage.db import Tx
from storage.deliveries import counts_of
from storage.failed import FAILED
from storage.models import (
    Campaign,
    Delivery,
    DeliveryStatus,
    Message,
    OutageCampaign,
    Recipient,
    Resend,
    ResendItem,
    ResendState,
    Retry,
    Server,
    Suppression,
)
from storage.servers import active_windows
from storage.ways import Ways

RUNNING = (ResendState.SENDING, ResendState.PAUSING, ResendState.PAUSED)
"""A resend in one of these owns its items: no other resend may take them."""

FIRST = 1
"""Per cent of a resend that go out first."""
EVERY_WAVE = 9
"""As the wave of a resend: all of it may be sent."""

_BATCH = 10_000
_ONE_AT_A_TIME = 0x52657364  # "Resd": the advisory lock of `alone`
_LISTED = 1_000
_ASIDE = (DeliveryStatus.QUEUED, DeliveryStatus.SUPPRESSED, DeliveryStatus.EXPIRED)

# The sum keeps SQLite from walking a whole campaign by its primary key, where those that are meant are few.
_CAMPAIGN = Delivery.campaign_id.op("+")(literal_column("0", Integer))


class Scope(NamedTuple):
    """Whose lost deliveries a plan is about: those of an outage, or those of one campaign."""

    outage_id: int | None
    campaign_id: int | None


class Tally(NamedTuple):
    """How many items a plan has of a campaign, by the status they had and the wave they are in."""

    campaign_id: int
    before: str
    wave: int
    items: int


class Placed(NamedTuple):
    """A campaign, its own server and one that carries it now; a pool makes several of one campaign."""

    campaign: Campaign
    server: Server
    carrier: Server
    in_maintenance: bool


async def alone(tx: Tx) -> None:
    """Until the transaction ends nobody else plans or approves a resend, so that no two take the same delivery.

    SQLite has one writer anyway.
    """
    if tx.get_bind().dialect.name == "postgresql":
        await tx.execute(text(f"SELECT pg_advisory_xact_lock({_ONE_AT_A_TIME})"))


# --- What was lost -------------------------------------------------------------------------------------------------


def _category(at: datetime, taken: ColumnElement[bool]) -> ColumnElement[str]:
    """The kinds of a lost delivery; the first that fits wins. The reasons are in bot/mail/replies.py."""
    refused = Delivery.status == DeliveryStatus.FAILED_PERMANENT
    return case(
        (taken, "elsewhere"),
        (and_(refused, func.coalesce(Delivery.retry, Retry.NEVER.value) != Retry.AFTER_FIX), "permanent"),
        (Campaign.expires_at <= at, "expired"),
        (Suppression.email_key.is_not(None), "suppressed"),
        (Delivery.status == DeliveryStatus.UNKNOWN, "unknown"),
        (refused, "refused"),
        else_="safe",
    )


async def _taken(tx: Tx) -> ColumnElement[bool]:
    """True of a delivery that an unfinished resend has in its items, queued already or not."""
    running = await running_ids(tx)
    if not running:
        return false()
    item = select(ResendItem.n).where(
        ResendItem.campaign_id == Delivery.campaign_id,
        ResendItem.resend_id.in_(running),
        ResendItem.n == Delivery.n,
    )
    return item.correlate(Delivery).exists()


async def running_ids(tx: Tx) -> list[int]:
    return list(await tx.scalars(select(Resend.id).where(Resend.state.in_(RUNNING)).order_by(Resend.id)))


async def _lost(tx: Tx, scope: Scope, at: datetime) -> Select[int, int, str, str]:
    """Every failed delivery of the scope with its category, straight from a partial index that has all it needs."""
    chosen = Delivery.outage_id == scope.outage_id if scope.outage_id else Delivery.campaign_id == scope.campaign_id
    return (
        select(
            Delivery.campaign_id,
            Delivery.n,
            Delivery.status.label("before"),
            _category(at, await _taken(tx)).label("category"),
        )
        .join(Campaign, Campaign.id == Delivery.campaign_id)
        .join(Recipient, and_(Recipient.campaign_id == Delivery.campaign_id, Recipient.n == Delivery.n))
        .outerjoin(Suppression, Suppression.email_key == Recipient.email_key)
        .where(FAILED, chosen)
    )


async def survey(tx: Tx, scope: Scope, at: datetime) -> Counter[str]:
    """Category -> how many of the scope's deliveries that failed; nothing is written."""
    lost = (await _lost(tx, scope, at)).subquery()
    rows = await tx.execute(select(lost.c.category, func.count()).group_by(lost.c.category))
    return Counter(dict(rows.all()))


async def freeze(
    tx: Tx, resend_id: int, scope: Scope, categories: Iterable[str], at: datetime, stages: Sequence[int] = (FIRST, 100)
) -> None:
    """Write the items of a plan: every lost delivery of these categories.

    Wave 0 are those up to the first of the `stages` (per cent), wave 1 those from there up to the second, and so on.
    """
    # Materialized: the order below would otherwise make SQLite walk the whole ledger in that order.
    lost = (await _lost(tx, scope, at)).cte("lost").prefix_with("MATERIALIZED")
    place = func.row_number().over(order_by=(lost.c.campaign_id, lost.c.n))
    wave = _wave(place, stages)
    chosen = select(lost.c.campaign_id, literal(resend_id), lost.c.n, wave, lost.c.before).where(
        lost.c.category.in_(list(categories))
    )
    await tx.execute(insert(ResendItem).from_select(["campaign_id", "resend_id", "n", "wave", "before"], chosen))


def _wave(place: ColumnElement[int], stages: Sequence[int]) -> ColumnElement[int]:
    """Of each hundred, one after the other, so many as the stages say: every wave is a sample of all campaigns.

    37 has no divisor in common with 100, so that every hundredth comes once, and those of a wave stand apart.
    """
    percentile = (place - 1) * 37 % 100
    return case(*((percentile < share, wave) for wave, share in enumerate(stages[:-1])), else_=len(stages) - 1)


async def tally(tx: Tx, resend_id: int, campaign_ids: Iterable[int]) -> list[Tally]:
    rows = await tx.execute(
        select(ResendItem.campaign_id, ResendItem.before, ResendItem.wave, func.count())
        .where(ResendItem.campaign_id.in_(list(campaign_ids)), ResendItem.resend_id == resend_id)
        .group_by(ResendItem.campaign_id, ResendItem.before, ResendItem.wave)
        .order_by(ResendItem.campaign_id)
    )
    return [Tally(*row) for row in rows]


async def campaigns_in(tx: Tx, scope: Scope) -> list[int]:
    """The campaigns concerned: the one, or those that the outage touched."""
    if scope.campaign_id is not None:
        return [scope.campaign_id]
    touched = select(OutageCampaign.campaign_id).where(OutageCampaign.outage_id == scope.outage_id)
    stamped = select(Delivery.campaign_id).where(FAILED, Delivery.outage_id == scope.outage_id)
    return sorted(await tx.scalars(touched.union(stamped)))


async def set_aside(tx: Tx, campaign_ids: Iterable[int]) -> Counter[str]:
    """What of these campaigns was never tried: status -> count, of queued (by the campaign), suppressed, expired."""
    ids = list(campaign_ids)
    counts: Counter[str] = Counter()
    for of_one in (await counts_of(tx, ids)).values():
        counts.update({status: of_one[status] for status in _ASIDE})
    queued_again = await tx.scalar(
        select(func.count()).where(
            Delivery.resend_id.in_(select(Resend.id)),
            Delivery.status == DeliveryStatus.QUEUED,
            _CAMPAIGN.in_(ids),
        )
    )
    counts[DeliveryStatus.QUEUED] -= queued_again or 0
    return counts


async def fingerprint(tx: Tx, resend: Resend) -> str:
    """The hash of exactly what would be sent: each delivery with the status it was found in, the messages and the
    options. Whether the deliveries still have that status, `changed` tells.
    """
    digest = hashlib.sha256(f"unknown={resend.include_unknown} refused={resend.include_refused}\n".encode())
    messages = await tx.execute(
        select(Message.campaign_id, Message.key)
        .where(Message.campaign_id.in_(resend.campaign_ids))
        .order_by(Message.campaign_id)
    )
    digest.update("".join(f"{campaign} {key}\n" for campaign, key in messages).encode())
    for campaign_id in sorted(resend.campaign_ids):
        async for lines in _lines(tx, resend.id, campaign_id):
            digest.update(lines.encode())
    return digest.hexdigest()


async def _lines(tx: Tx, resend_id: int, campaign_id: int) -> AsyncIterator[str]:
    """`CAMPAIGN N STATUS` of each item, a line each, some thousands at a time, put together by the database."""
    after, full = -1, True
    while full:
        batch = (
            select(ResendItem.campaign_id, ResendItem.n, ResendItem.before)
            .where(ResendItem.campaign_id == campaign_id, ResendItem.resend_id == resend_id, ResendItem.n > after)
            .order_by(ResendItem.n)
            .limit(_BATCH)
            .subquery()
        )
        line = cast(batch.c.campaign_id, Text) + " " + cast(batch.c.n, Text) + " " + batch.c.before + "\n"
        together = select(func.aggregate_strings(line, ""), func.count(), func.max(batch.c.n))
        lines, count, last = (await tx.execute(together)).one()
        if count:
            yield lines
        after, full = last, count == _BATCH


# --- Sending it again ----------------------------------------------------------------------------------------------


def _same_delivery() -> ColumnElement[bool]:
    return and_(Delivery.campaign_id == ResendItem.campaign_id, Delivery.n == ResendItem.n)


def _items(resend: Resend) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """The items of a resend, by the beginning of their key."""
    return ResendItem.campaign_id.in_(resend.campaign_ids), ResendItem.resend_id == resend.id


async def changed(tx: Tx, resend: Resend, above: int) -> int:
    """How many of the items in the waves above `above` are no longer as the plan found them."""
    moved = await tx.scalar(
        select(func.count())
        .select_from(ResendItem)
        .join(Delivery, _same_delivery())
        .where(*_items(resend), ResendItem.wave > above, Delivery.status != ResendItem.before)
    )
    return moved or 0


async def enqueue(tx: Tx, resend: Resend, above: int, wave: int) -> int:
    """Queue the items above one wave and up to another that are as the plan found them and no running resend has.

    The failure's own columns stay, so that `give_back` restores the delivery whole. Returns how many were queued.
    """
    others = [number for number in await running_ids(tx) if number != resend.id]
    result = await tx.execute(
        update(Delivery)
        .where(
            *_items(resend),
            _same_delivery(),
            ResendItem.wave > above,
            ResendItem.wave <= wave,
            Delivery.status == ResendItem.before,
            or_(Delivery.resend_id.is_(None), Delivery.resend_id.not_in(others)),
        )
        .values(status=DeliveryStatus.QUEUED, resend_id=resend.id)
        .execution_options(synchronize_session=False)
    )
    return int(getattr(result, "rowcount", 0))


async def give_back(tx: Tx, resend_id: int) -> int:
    """What a cancelled resend had queued and not sent is again what it was before. Returns how many.

    The caller has made sure that nobody sends it any more.
    """
    result = await tx.execute(
        update(Delivery)
        .where(
            Delivery.resend_id == resend_id,
            Delivery.status == DeliveryStatus.QUEUED,
            ResendItem.resend_id == resend_id,
            _same_delivery(),
        )
        .values(status=ResendItem.before, resend_id=None)
        .execution_options(synchronize_session=False)
    )
    return int(getattr(result, "rowcount", 0))


async def move(tx: Tx, resend_id: int, seen: Iterable[tuple[str, str]], **changes: Any) -> Resend | None:
    """Change a resend whose (state, wish) is still one of `seen`; None when somebody else was first."""
    known = or_(*(and_(Resend.state == state, Resend.wish == wish) for state, wish in seen))
    return await tx.scalar(
        update(Resend)
        .where(Resend.id == resend_id, known)
        .values(**changes)
        .returning(Resend)
        .execution_options(synchronize_session=False, populate_existing=True)
    )


# --- Looking -------------------------------------------------------------------------------------------------------


async def add(tx: Tx, resend: Resend) -> Resend:
    tx.add(resend)
    await tx.flush()
    return resend


async def get(tx: Tx, resend_id: int) -> Resend | None:
    return await tx.get(Resend, resend_id, populate_existing=True)


async def recent(tx: Tx, limit: int = _LISTED) -> Sequence[Resend]:
    """Newest first."""
    return (await tx.scalars(select(Resend).order_by(Resend.id.desc()).limit(limit))).all()


async def in_states(tx: Tx, states: Iterable[ResendState]) -> Sequence[Resend]:
    """Oldest first."""
    query = select(Resend).where(Resend.state.in_(list(states))).order_by(Resend.id)
    return (await tx.scalars(query.execution_options(populate_existing=True))).all()


async def statuses(tx: Tx, resend_id: int) -> Counter[str]:
    """How the deliveries that carry this resend's mark stand: status -> count. Read from an index alone."""
    rows = await tx.execute(
        select(Delivery.status, func.count()).where(Delivery.resend_id == resend_id).group_by(Delivery.status)
    )
    return Counter(dict(rows.all()))


async def placed(tx: Tx, campaign_ids: Iterable[int], at: datetime) -> list[Placed]:
    """The campaigns, of whatever kind, with the servers that carry them at this moment; in order of their names."""
    ways = await Ways.read(tx, at)
    away = await active_windows(tx, at)
    query = select(Campaign).where(Campaign.id.in_(list(campaign_ids))).order_by(Campaign.name)
    return [
        Placed(campaign, ways.servers[campaign.server_id], carrier, carrier.id in away)
        for campaign in await tx.scalars(query.execution_options(populate_existing=True))
        for carrier in ways.carriers(campaign.server_id)
    ]
