"""The ledger: read and written in batches, with Core. It never decides; bot/mail does."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    Integer,
    Select,
    Text,
    and_,
    func,
    insert,
    literal,
    literal_column,
    select,
    text,
    type_coerce,
    update,
)

from storage.db import Tx
from storage.models import (
    Delivery,
    DeliveryStatus,
    LedgerCount,
    Outage,
    OutageCampaign,
    OutageServer,
    Recipient,
    ResendItem,
    SendMinute,
    Suppression,
)
from storage.types import sqlite_time
from storage.upserts import insert_into

# Literals, not parameters: only so can SQLite see that the partial indices of what failed serve, instead of going
# through the whole ledger.
FAILED = Delivery.status.in_(
    [
        literal_column(f"'{status.value}'")
        for status in (DeliveryStatus.FAILED_TEMPORARY, DeliveryStatus.FAILED_PERMANENT, DeliveryStatus.UNKNOWN)
    ]
)
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


_Minute = tuple[int, datetime, int, str]
"""Campaign, minute, server, status: the key of a row of SendMinute."""


class Delivered(NamedTuple):
    """Many deliveries of a campaign that one server took with 250, at about the same time."""

    campaign_id: int
    server_id: int
    at: datetime
    numbers: list[int]


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
    """`counts` for several campaigns in one query. No delivery is read: the database keeps these counts up to date."""
    wanted = list(campaign_ids)
    result = {campaign_id: {status.value: 0 for status in DeliveryStatus} for campaign_id in wanted}
    if not wanted:
        return result
    rows = await tx.execute(
        select(LedgerCount.campaign_id, LedgerCount.status, func.sum(LedgerCount.count))
        .where(LedgerCount.campaign_id.in_(wanted))
        .group_by(LedgerCount.campaign_id, LedgerCount.status)
    )
    for campaign_id, status, number in rows:
        result[campaign_id][status] = int(number)
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
    rows = await tx.execute(
        select(LedgerCount.status, LedgerCount.tried, func.sum(LedgerCount.count))
        .where(LedgerCount.campaign_id.in_(campaigns))
        .group_by(LedgerCount.status, LedgerCount.tried)
    )
    stand: Counter[str] = Counter()
    attempted = 0
    for status, tried, number in rows:
        stand[status] += int(number)
        attempted += int(number) if tried else 0
    stamped = await tx.execute(
        select(Delivery.status, func.count())
        .where(Delivery.outage_id == outage_id, Delivery.campaign_id.in_(campaigns))
        .group_by(Delivery.status)
    )
    lost: Counter[str] = Counter(dict(stamped.all()))
    return {
        "attempted": attempted,
        "delivered": stand[DeliveryStatus.DELIVERED],
        "failed": sum(lost.values()),
        "recovered": lost[DeliveryStatus.DELIVERED],
        "undecided": lost[DeliveryStatus.UNKNOWN],
        "unknown": stand[DeliveryStatus.UNKNOWN],
        "suppressed": stand[DeliveryStatus.SUPPRESSED],
        "expired": stand[DeliveryStatus.EXPIRED],
        "queued": stand[DeliveryStatus.QUEUED],
    }


async def stamp_outage(tx: Tx, server_id: int, since: datetime, outage_id: int) -> int:
    """Mark what failed on the server since then, for a reason that is not the recipient's, as lost in the outage."""
    result = await tx.execute(
        update(Delivery)
        .where(
            Delivery.server_id == server_id,
            Delivery.changed_at >= since,
            FAILED,
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
            Suppression.email_key.is_not(None).label("gone"),
        )
        .join(Recipient, and_(Recipient.campaign_id == Delivery.campaign_id, Recipient.n == Delivery.n))
        .outerjoin(Suppression, Suppression.email_key == Recipient.email_key)
        .where(Delivery.status == DeliveryStatus.QUEUED)
        .order_by(Delivery.n)
    )


async def queued(tx: Tx, campaign_id: int, after: int, limit: int, up_to: int | None = None) -> list[Row]:
    """The campaign's own deliveries that wait, in order, beyond number `after` and up to number `up_to`."""
    wanted = _sendable().where(Delivery.campaign_id == campaign_id, Delivery.resend_id.is_(None), Delivery.n > after)
    if up_to is not None:
        wanted = wanted.where(Delivery.n <= up_to)
    return await _rows(tx, wanted.limit(limit))


async def queued_again(
    tx: Tx, campaign_id: int, resend_id: int, wave: int, after: int, limit: int, up_to: int | None = None
) -> list[Row]:
    """The deliveries of a resend that wait in the waves up to `wave`, in order, beyond `after` and up to `up_to`."""
    item = and_(
        ResendItem.campaign_id == Delivery.campaign_id,
        ResendItem.resend_id == resend_id,
        ResendItem.n == Delivery.n,
    )
    wanted = (
        _sendable()
        .join(ResendItem, item)
        .where(
            ResendItem.campaign_id == campaign_id,
            ResendItem.n > after,
            ResendItem.wave <= wave,
            Delivery.resend_id == resend_id,
        )
    )
    if up_to is not None:
        wanted = wanted.where(ResendItem.n <= up_to)
    return await _rows(tx, wanted.limit(limit))


async def queued_among(tx: Tx, campaign_id: int, resend_id: int | None, numbers: Sequence[int]) -> list[Row]:
    """Those of some deliveries that still wait, in order: of the campaign itself, or of one of its resends."""
    owner = Delivery.resend_id.is_(None) if resend_id is None else Delivery.resend_id == resend_id
    return await _rows(
        tx, _sendable().where(Delivery.campaign_id == campaign_id, owner, Delivery.n.in_(numbers)).limit(len(numbers))
    )


async def _rows(tx: Tx, wanted: Select[Any]) -> list[Row]:
    """On SQLite as one JSON value, for the reason given at _FROM_JSON."""
    if tx.get_bind().dialect.name != "sqlite":
        return [Row(*row) for row in await tx.execute(wanted)]
    found = wanted.subquery()
    fields = func.json(type_coerce(found.c.fields, Text))
    whole = func.json_group_array(func.json_array(found.c.n, found.c.email, found.c.email_key, fields, found.c.gone))
    found_rows = await (await tx.connection()).scalar(select(whole))
    # Most addresses are in lower case, so that their key is the same text: kept once.
    return [
        Row(n, email, email if email == key else key, values, gone)
        for n, email, key, values, gone in json.loads(found_rows or "[]")
    ]


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
        await _write_json(tx, endings)
    await _count(tx, endings)


# One statement for the whole batch. Row by row, the thread that runs SQLite would have to win the interpreter from the
# busy sending loop again for every row, which costs more than the rows.
_FROM_JSON = text(
    """
    UPDATE deliveries
       SET status = r.status, attempts = deliveries.attempts + r.attempted, server_id = r.server_id, changed_at = r.at,
           stage = r.stage, code = r.code, reply = r.reply, retry = r.retry,
           outage_id = coalesce(deliveries.outage_id, r.outage_id)
      FROM (SELECT value ->> 0 AS campaign_id, value ->> 1 AS n, value ->> 2 AS status, value ->> 3 AS attempted,
                   value ->> 4 AS server_id, value ->> 5 AS at, value ->> 6 AS stage, value ->> 7 AS code,
                   value ->> 8 AS reply, value ->> 9 AS retry, value ->> 10 AS outage_id
              FROM json_each(:rows)) AS r
     WHERE deliveries.campaign_id = r.campaign_id AND deliveries.n = r.n AND deliveries.status = 'queued'
    """
)


async def _write_json(tx: Tx, endings: Sequence[Ending]) -> None:
    rows = [
        (
            e.campaign_id,
            e.n,
            e.status,
            int(e.attempted),
            e.server_id,
            sqlite_time(e.at),
            e.stage,
            e.code,
            e.reply,
            e.retry,
            e.outage_id,
        )
        for e in endings
    ]
    connection = await tx.connection()
    await connection.execute(_FROM_JSON, {"rows": json.dumps(rows)})


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
    columns = {
        "campaign_id": [e.campaign_id for e in endings],
        "n": [e.n for e in endings],
        "status": [e.status for e in endings],
        "attempted": [int(e.attempted) for e in endings],
        "server_id": [e.server_id for e in endings],
        "at": [e.at for e in endings],
        "stage": [e.stage for e in endings],
        "code": [e.code for e in endings],
        "reply": [e.reply for e in endings],
        "retry": [e.retry for e in endings],
        "outage_id": [e.outage_id for e in endings],
    }
    connection = await tx.connection()
    await connection.execute(_UNNESTED, columns)


_TAKEN_SQLITE = text(
    """
    UPDATE deliveries
       SET status = 'delivered', attempts = attempts + 1, server_id = :server_id, changed_at = :at,
           stage = NULL, code = 250, reply = NULL, retry = 'never'
     WHERE campaign_id = :campaign_id AND status = 'queued' AND n IN (SELECT value FROM json_each(:numbers))
    """
)
_TAKEN_POSTGRESQL = text(
    """
    UPDATE deliveries
       SET status = 'delivered', attempts = attempts + 1, server_id = :server_id, changed_at = :at,
           stage = NULL, code = 250, reply = NULL, retry = 'never'
     WHERE campaign_id = :campaign_id AND status = 'queued' AND n = ANY(CAST(:numbers AS bigint[]))
    """
)


async def write_delivered(tx: Tx, delivered: Delivered) -> None:
    """`write` for what nearly all results are, at a fraction of its cost."""
    on_sqlite = tx.get_bind().dialect.name == "sqlite"
    values = {
        "campaign_id": delivered.campaign_id,
        "server_id": delivered.server_id,
        "at": sqlite_time(delivered.at) if on_sqlite else delivered.at,
        "numbers": json.dumps(delivered.numbers) if on_sqlite else delivered.numbers,
    }
    connection = await tx.connection()
    await connection.execute(_TAKEN_SQLITE if on_sqlite else _TAKEN_POSTGRESQL, values)
    minute = delivered.at.replace(second=0, microsecond=0)
    key: _Minute = (delivered.campaign_id, minute, delivered.server_id, DeliveryStatus.DELIVERED.value)
    await _add(tx, Counter({key: len(delivered.numbers)}))


async def _count(tx: Tx, endings: Sequence[Ending]) -> None:
    totals: Counter[_Minute] = Counter(
        (e.campaign_id, e.at.replace(second=0, microsecond=0), e.server_id, e.status)
        for e in endings
        if e.server_id is not None
    )
    if totals:
        await _add(tx, totals)


async def _add(tx: Tx, totals: Counter[_Minute]) -> None:
    statement = insert_into(tx, SendMinute)
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
    connection = await tx.connection()
    await connection.execute(insert_into(tx, Suppression).on_conflict_do_nothing(index_elements=["email_key"]), rows)


async def unknown_names(tx: Tx, campaign_id: int, limit: int = 100) -> list[str]:
    """The addresses whose mail may or may not have arrived."""
    rows = await tx.scalars(
        select(Recipient.email)
        .join(Delivery, and_(Recipient.campaign_id == Delivery.campaign_id, Recipient.n == Delivery.n))
        .where(Delivery.campaign_id == campaign_id, FAILED, Delivery.status == DeliveryStatus.UNKNOWN)
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
