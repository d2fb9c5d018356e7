"""How deliveries ended, written into the ledger in batches, with Core. It never decides; bot/mail does."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import TextClause, select, text

from storage.db import Tx
from storage.models import DeliveryStatus, Outage, OutageServer, SendMinute
from storage.types import sqlite_time
from storage.upserts import insert_into


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
            e.stage or None,
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


# The rows are counted by their number, not one by one by the trigger, which costs as much as they do. It knows them by
# the empty stage that they are given here alone (migration 0017). What has kept one is left to _TAKEN_SQLITE.
_COUNTED = """
    UPDATE deliveries
       SET status = 'delivered', attempts = attempts + 1, server_id = :server_id, changed_at = :at,
           stage = '', code = 250, reply = NULL, retry = 'never'
     WHERE campaign_id = :campaign_id AND status = 'queued' AND (attempts > 0) = :tried AND stage IS NOT ''
"""
_COUNTED_LISTED = text(_COUNTED + " AND n IN (SELECT value FROM json_each(:numbers))")  # noqa: S608  our own words
# What was sent in order is walked through quicker than it is looked up. The few others are still under way.
_COUNTED_IN_RANGE = text(
    _COUNTED + " AND n BETWEEN :first AND :last AND n NOT IN (SELECT value FROM json_each(:others))"  # noqa: S608
)
_OTHERS_MAX = 0.25
_MOVED = text(
    """
    INSERT INTO ledger_counts (campaign_id, part, status, tried, count)
    VALUES (:campaign_id, 0, 'queued', :tried, -:moved), (:campaign_id, 0, 'delivered', TRUE, :moved)
        ON CONFLICT (campaign_id, part, status, tried) DO UPDATE SET count = count + excluded.count
    """
)
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
    if not delivered.numbers:
        return
    if tx.get_bind().dialect.name == "postgresql":
        values = {
            "campaign_id": delivered.campaign_id,
            "server_id": delivered.server_id,
            "at": delivered.at,
            "numbers": delivered.numbers,
        }
        await (await tx.connection()).execute(_TAKEN_POSTGRESQL, values)
    else:
        await _take_counted(tx, delivered)
    minute = delivered.at.replace(second=0, microsecond=0)
    key: _Minute = (delivered.campaign_id, minute, delivered.server_id, DeliveryStatus.DELIVERED.value)
    await _add(tx, Counter({key: len(delivered.numbers)}))


async def _take_counted(tx: Tx, delivered: Delivered) -> None:
    connection = await tx.connection()
    campaign = {"campaign_id": delivered.campaign_id}
    values = campaign | {"server_id": delivered.server_id, "at": sqlite_time(delivered.at)}
    statement, which = _chosen(delivered.numbers)
    left = len(delivered.numbers)
    for tried in (False, True):
        moved = (await connection.execute(statement, values | which | {"tried": tried})).rowcount
        if moved:
            await connection.execute(_MOVED, campaign | {"tried": tried, "moved": moved})
        left -= moved
        if not left:
            return
    await connection.execute(_TAKEN_SQLITE, values | {"numbers": json.dumps(delivered.numbers)})


def _chosen(numbers: list[int]) -> tuple[TextClause, dict[str, Any]]:
    """The statement for these numbers, of which there is at least one, and how it is told them."""
    first, last = min(numbers), max(numbers)
    if last - first >= len(numbers) * (1 + _OTHERS_MAX):
        return _COUNTED_LISTED, {"numbers": json.dumps(numbers)}
    others = set(range(first, last + 1)).difference(numbers)
    return _COUNTED_IN_RANGE, {"first": first, "last": last, "others": json.dumps(list(others))}


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
