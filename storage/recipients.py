"""Recipients, written in batches with their places in the ledger."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Integer, delete, func, insert, literal, select, text
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from storage.db import Tx
from storage.models import Delivery, DeliveryStatus, Recipient


class NewRecipient(NamedTuple):
    """`n`: the number in its campaign, from 1; `email` in its normal form."""

    n: int
    email: str
    fields: dict[str, str]


async def add(tx: Tx, campaign_id: int, rows: Sequence[NewRecipient]) -> None:
    """Add a batch, numbered in order, each with its queued delivery. An address that is there already is left out."""
    if not rows:
        return
    connection = await tx.connection()
    if connection.dialect.name == "postgresql":
        await connection.execute(_UNNESTED, {"campaign_id": campaign_id, **_columns(rows)})
    else:
        statement = sqlite_insert(Recipient).on_conflict_do_nothing(index_elements=["campaign_id", "email_key"])
        await connection.execute(statement, [_bound(campaign_id, row) for row in rows])
    await enqueue(tx, campaign_id, rows[0].n, rows[-1].n)


async def enqueue(tx: Tx, campaign_id: int, first: int, last: int) -> None:
    """A queued delivery for each recipient with one of these numbers."""
    added = select(Recipient.campaign_id, Recipient.n, literal(DeliveryStatus.QUEUED.value), literal(0, Integer)).where(
        Recipient.campaign_id == campaign_id, Recipient.n.between(first, last)
    )
    await tx.execute(insert(Delivery).from_select(["campaign_id", "n", "status", "attempts"], added))


# One statement for the whole batch: executemany costs PostgreSQL twice as much.
_UNNESTED = text(
    """
    INSERT INTO recipients (campaign_id, n, email, email_key, fields)
    SELECT CAST(:campaign_id AS bigint), r.n, r.email, r.email_key, CAST(r.fields AS json)
      FROM unnest(
             CAST(:n AS bigint[]), CAST(:email AS text[]), CAST(:email_key AS text[]), CAST(:fields AS text[])
           ) AS r (n, email, email_key, fields)
        ON CONFLICT (campaign_id, email_key) DO NOTHING
    """
)


def _columns(rows: Sequence[NewRecipient]) -> dict[str, list[Any]]:
    return {
        "n": [row.n for row in rows],
        "email": [row.email for row in rows],
        "email_key": [row.email.lower() for row in rows],
        "fields": [json.dumps(row.fields) for row in rows],
    }


def _bound(campaign_id: int, row: NewRecipient) -> dict[str, Any]:
    return {
        "campaign_id": campaign_id,
        "n": row.n,
        "email": row.email,
        "email_key": row.email.lower(),
        "fields": row.fields,
    }


async def count(tx: Tx, campaign_id: int) -> int:
    return await tx.scalar(select(func.count()).where(Recipient.campaign_id == campaign_id)) or 0


async def last_number(tx: Tx, campaign_id: int) -> int:
    """The highest number in the campaign; 0 when it has no recipients."""
    return await tx.scalar(select(func.max(Recipient.n)).where(Recipient.campaign_id == campaign_id)) or 0


async def remove(tx: Tx, campaign_id: int, first: int, last: int) -> None:
    """Take recipients out again, with their places in the ledger: for an import that is given up."""
    for table in (Delivery, Recipient):
        await tx.execute(
            delete(table)
            .where(table.campaign_id == campaign_id, table.n.between(first, last))
            .execution_options(synchronize_session=False)
        )


async def field_names(tx: Tx, campaign_id: int) -> list[str]:
    """The columns that the campaign's recipients have: those of the first, since one CSV gave them all."""
    fields = await tx.scalar(
        select(Recipient.fields).where(Recipient.campaign_id == campaign_id).order_by(Recipient.n).limit(1)
    )
    return sorted(fields or {})
