"""The ledger: read and written in batches, with Core. It never decides; bot/mail does."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    and_,
    cast,
    func,
    insert,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from storage.db import Tx
from storage.models import (
    Delivery,
    DeliveryStatus,
    Outage,
    OutageCampaign,
    OutageServer,
    Recipient,
    ResendItem,
    SendMinute,
    Suppression,
)
from storage.types import UtcDateTime

FAILED = (DeliveryStatus.FAILED_TEMPORARY, DeliveryStatus.FAILED_PERMANENT, DeliveryStatus.UNKNOWN)
_RATE_MINUTES = 10


class Row(NamedTuple):
    """One delivery that may be sent now, with what its message needs."""

    n: int
    email: str
    email_key: str
    fields: dict[str, Any]
    suppressed: bool


@dataclass(slots=True)
class Ending:
    """How one attempt ended, as it is written into the ledger."""

    campaign_id: int
    n: int
    status: str
    at: datetime
    server_id: int | None = None
    stage: str | None = None
    code: int | None = None
    reply: str | None = None
    retry: str | None = None
    resend_id: int | None = None
    outage_id: int | None = None
    attempted: bool = True
    """False where nothing was sent: a suppressed address, an expired offer."""


async def create(tx: Tx, campaign_id: int) -> int:
    """One queued delivery for each recipient of the campaign. Returns how many there are."""
    recipients = select(
        Recipient.campaign_id, Recipient.n, literal(DeliveryStatus.QUEUED.value), literal(0, Integer)
    ).where(Recipient.campaign_id == campaign_id)
    await tx.execute(insert(Delivery).from_select(["campaign_id", "n", "status", "attempts"], recipients))
    made = await tx.scalar(select(func.count()).select_from(Delivery).where(Delivery.campaign_id == campaign_id))
    return made or 0


async def counts(tx: Tx, campaign_id: int) -> dict[str, int]:
    """How many deliveries have each status; every status is a key."""
    return (await counts_of(tx, [campaign_id]))[campaign_id]


async def counts_of(tx: Tx, campaign_ids: Iterable[int]) -> dict[int, dict[str, int]]:
    """`counts` for several campaigns in one query."""
    wanted = list(campaign_ids)
    result = {campaign_id: {status.value: 0 for status in DeliveryStatus} for campaign_id in wanted}
    if not wanted:
        return result
    rows = await tx.execute(
        select(Delivery.campaign_id, Delivery.status, func.count())
        .where(Delivery.campaign_id.in_(wanted))
        .group_by(Delivery.campaign_id, Delivery.status)
    )
    for campaign_id, status, number in rows:
        result[campaign_id][status] = number
    return result


async def rate_per_minute(tx: Tx, campaign_ids: Iterable[int], now: datetime) -> float | None:
    """Delivered a minute, over the last ten minutes in which anything was; None without data.

    The minute that is under way counts only where there is no whole one. After a long outage these minutes are those
    before it, which is what a plan wants to know.
    """
    minutes = await tx.execute(
        select(SendMinute.minute, func.sum(SendMinute.count))
        .where(SendMinute.campaign_id.in_(list(campaign_ids)), SendMinute.status == DeliveryStatus.DELIVERED)
        .group_by(SendMinute.minute)
        .order_by(SendMinute.minute.desc())
        .limit(_RATE_MINUTES + 1)
    )
    counted = [(minute, int(number)) for minute, number in minutes]
    present = now.replace(second=0, microsecond=0)
    whole = [number for minute, number in counted if minute < present][:_RATE_MINUTES]
    numbers = whole or [number for _, number in counted]
    return sum(numbers) / len(numbers) if numbers else None


async def outage_counts(tx: Tx, outage_id: int) -> dict[str, int]:
    """What an outage did to the campaigns it touched.

    attempted and delivered are of those campaigns as a whole; failed counts what was lost in this outage (all that
    carries its stamp), recovered what of it has been delivered since, undecided what of it is unknown; unknown,
    suppressed, expired and queued are of those campaigns as they stand.
    """
    campaigns = select(OutageCampaign.campaign_id).where(OutageCampaign.outage_id == outage_id)
    stamped = Delivery.outage_id == outage_id
    delivered = Delivery.status == DeliveryStatus.DELIVERED

    def of(condition: ColumnElement[bool]) -> ColumnElement[int]:
        return func.coalesce(func.sum(cast(condition, Integer)), 0)

    columns = {
        "attempted": of(Delivery.attempts > 0),
        "delivered": of(delivered),
        "failed": of(stamped),
        "recovered": of(and_(stamped, delivered)),
        "undecided": of(and_(stamped, Delivery.status == DeliveryStatus.UNKNOWN)),
        "unknown": of(Delivery.status == DeliveryStatus.UNKNOWN),
        "suppressed": of(Delivery.status == DeliveryStatus.SUPPRESSED),
        "expired": of(Delivery.status == DeliveryStatus.EXPIRED),
        "queued": of(Delivery.status == DeliveryStatus.QUEUED),
    }
    row = (await tx.execute(select(*columns.values()).where(Delivery.campaign_id.in_(campaigns)))).one()
    return {name: int(value) for name, value in zip(columns, row, strict=True)}


async def stamp_outage(tx: Tx, server_id: int, since: datetime, outage_id: int) -> int:
    """Mark what failed on the server since then, for a reason that is not the recipient's, as lost in the outage."""
    result = await tx.execute(
        update(Delivery)
        .where(
            Delivery.server_id == server_id,
            Delivery.changed_at >= since,
            Delivery.status.in_(FAILED),
            Delivery.retry != "never",
            Delivery.outage_id.is_(None),
        )
        .values(outage_id=outage_id)
        .execution_options(synchronize_session=False)
    )
    return int(getattr(result, "rowcount", 0))


def _sendable() -> Select[Any]:
    return (
        select(
            Delivery.n,
            Recipient.email,
            Recipient.email_key,
            Recipient.fields,
            Suppression.email_key.is_not(None),
        )
        .join(Recipient, and_(Recipient.campaign_id == Delivery.campaign_id, Recipient.n == Delivery.n))
        .outerjoin(Suppression, Suppression.email_key == Recipient.email_key)
        .where(Delivery.status == DeliveryStatus.QUEUED)
        .order_by(Delivery.n)
    )


async def queued(tx: Tx, campaign_id: int, after: int, limit: int) -> list[Row]:
    """The campaign's own deliveries that wait, in order, beyond number `after`."""
    rows = await tx.execute(
        _sendable()
        .where(Delivery.campaign_id == campaign_id, Delivery.resend_id.is_(None), Delivery.n > after)
        .limit(limit)
    )
    return [Row(*row) for row in rows]


async def queued_again(tx: Tx, campaign_id: int, resend_id: int, wave: int, after: int, limit: int) -> list[Row]:
    """The deliveries of a resend that wait in the waves up to `wave`, in order, beyond number `after`."""
    item = and_(
        ResendItem.campaign_id == Delivery.campaign_id,
        ResendItem.resend_id == resend_id,
        ResendItem.n == Delivery.n,
    )
    rows = await tx.execute(
        _sendable()
        .join(ResendItem, item)
        .where(
            ResendItem.campaign_id == campaign_id,
            ResendItem.n > after,
            ResendItem.wave <= wave,
            Delivery.resend_id == resend_id,
        )
        .limit(limit)
    )
    return [Row(*row) for row in rows]


async def still_queued(tx: Tx, campaign_id: int, resend_id: int | None, first: int, last: int) -> set[int]:
    """The numbers in a leased range that have no result in the ledger yet."""
    owner = Delivery.resend_id.is_(None) if resend_id is None else Delivery.resend_id == resend_id
    rows = await tx.scalars(
        select(Delivery.n).where(
            Delivery.campaign_id == campaign_id,
            Delivery.n.between(first, last),
            Delivery.status == DeliveryStatus.QUEUED,
            owner,
        )
    )
    return set(rows)


async def write(tx: Tx, endings: Sequence[Ending]) -> None:
    """Write results. Idempotent: only a queued delivery takes one. The per-minute counts go along.

    The caller has made sure that each is queued and belongs to who sends it (a lease); a row that is not is left
    as it is.
    """
    if not endings:
        return
    if tx.get_bind().dialect.name == "postgresql":
        await _write_unnested(tx, endings)
    else:
        await _write_many(tx, endings)
    await _count(tx, endings)


# Through the driver: SQLAlchemy's own executemany would cost as much as rendering the messages.
_ONE_BY_ONE = """
    UPDATE deliveries
       SET status = ?, attempts = attempts + ?, server_id = ?, changed_at = ?, stage = ?, code = ?, reply = ?,
           retry = ?, outage_id = coalesce(outage_id, ?)
     WHERE campaign_id = ? AND n = ? AND status = 'queued'
"""


async def _write_many(tx: Tx, endings: Sequence[Ending]) -> None:
    connection = await tx.connection()
    stored = UtcDateTime().dialect_impl(connection.dialect).bind_processor(connection.dialect)
    assert stored is not None, "SQLite keeps times as text"  # noqa: S101
    await connection.exec_driver_sql(
        _ONE_BY_ONE,
        [
            (
                str(e.status),
                e.attempted,
                e.server_id,
                stored(e.at),
                e.stage,
                e.code,
                e.reply,
                e.retry,
                e.outage_id,
                e.campaign_id,
                e.n,
            )
            for e in endings
        ],
    )


def _bound(ending: Ending) -> dict[str, Any]:
    return {
        "b_campaign_id": ending.campaign_id,
        "b_n": ending.n,
        "b_status": ending.status,
        "b_attempted": int(ending.attempted),
        "b_server_id": ending.server_id,
        "b_at": ending.at,
        "b_stage": ending.stage,
        "b_code": ending.code,
        "b_reply": ending.reply,
        "b_retry": ending.retry,
        "b_outage_id": ending.outage_id,
    }


# One statement for the whole batch: executemany costs PostgreSQL two to four times as much.
_UNNESTED = text(
    """
    UPDATE deliveries AS d
       SET status = r.status, attempts = d.attempts + r.attempted, server_id = r.server_id, changed_at = r.at,
           stage = r.stage, code = r.code, reply = r.reply, retry = r.retry,
           outage_id = coalesce(d.outage_id, r.outage_id)
      FROM unnest(
             CAST(:campaign_id AS bigint[]), CAST(:n AS bigint[]), CAST(:status AS text[]),
             CAST(:attempted AS smallint[]), CAST(:server_id AS bigint[]), CAST(:at AS timestamptz[]),
             CAST(:stage AS text[]), CAST(:code AS smallint[]), CAST(:reply AS text[]), CAST(:retry AS text[]),
             CAST(:outage_id AS bigint[])
           ) AS r (campaign_id, n, status, attempted, server_id, at, stage, code, reply, retry, outage_id)
     WHERE d.campaign_id = r.campaign_id AND d.n = r.n AND d.status = 'queued'
    """
)


async def _write_unnested(tx: Tx, endings: Sequence[Ending]) -> None:
    connection = await tx.connection()
    rows = [_bound(ending) for ending in endings]
    await connection.execute(_UNNESTED, {name[2:]: [row[name] for row in rows] for name in rows[0]})


async def _count(tx: Tx, endings: Sequence[Ending]) -> None:
    totals = Counter(
        (e.campaign_id, e.at.replace(second=0, microsecond=0), e.server_id, e.status)
        for e in endings
        if e.server_id is not None
    )
    if not totals:
        return
    make = postgresql_insert if tx.get_bind().dialect.name == "postgresql" else sqlite_insert
    statement = make(SendMinute)
    connection = await tx.connection()
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=["campaign_id", "minute", "server_id", "status"],
            set_={"count": SendMinute.count + statement.excluded.count},
        ),
        [
            {"campaign_id": campaign, "minute": minute, "server_id": server, "status": status, "count": number}
            for (campaign, minute, server, status), number in sorted(totals.items())
        ],
    )


async def open_outages(tx: Tx) -> dict[int, int]:
    """The unresolved outage of each server that has one: server id -> outage id."""
    rows = await tx.execute(
        select(OutageServer.server_id, Outage.id)
        .join(Outage, Outage.id == OutageServer.outage_id)
        .where(Outage.state != "resolved")
        .order_by(Outage.id)
    )
    return dict(rows.all())


async def suppressed_since(tx: Tx, since: datetime) -> set[str]:
    """Addresses (in lower case) that were suppressed since then."""
    return set(await tx.scalars(select(Suppression.email_key).where(Suppression.at >= since)))


async def suppress(tx: Tx, email_keys: Iterable[str], reason: str, at: datetime) -> None:
    """Addresses that a server says do not exist are mailed no more."""
    rows = [{"email_key": key, "reason": reason, "source": "bounce", "at": at} for key in sorted(set(email_keys))]
    if not rows:
        return
    make = postgresql_insert if tx.get_bind().dialect.name == "postgresql" else sqlite_insert
    connection = await tx.connection()
    await connection.execute(make(Suppression).on_conflict_do_nothing(index_elements=["email_key"]), rows)


async def unknown_names(tx: Tx, campaign_id: int, limit: int = 100) -> list[str]:
    """The addresses whose mail may or may not have arrived."""
    rows = await tx.scalars(
        select(Recipient.email)
        .join(Delivery, and_(Recipient.campaign_id == Delivery.campaign_id, Recipient.n == Delivery.n))
        .where(Delivery.campaign_id == campaign_id, Delivery.status == DeliveryStatus.UNKNOWN)
        .order_by(Delivery.n)
        .limit(limit)
    )
    return list(rows)


async def addresses(tx: Tx, campaign_id: int, numbers: Sequence[int]) -> list[str]:
    """The addresses of some of a campaign's recipients, in their order."""
    rows = await tx.scalars(
        select(Recipient.email)
        .where(Recipient.campaign_id == campaign_id, Recipient.n.in_(numbers))
        .order_by(Recipient.n)
    )
    return list(rows)
