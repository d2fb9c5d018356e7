"""Recipients, written in batches with their places in the ledger."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Integer, delete, func, insert, literal, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
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
    make = postgresql_insert if tx.get_bind().dialect.name == "postgresql" else sqlite_insert
    connection = await tx.connection()
    await connection.execute(
        make(Recipient).on_conflict_do_nothing(index_elements=["campaign_id", "email_key"]),
        [_bound(campaign_id, row) for row in rows],
    )
    added = select(Recipient.campaign_id, Recipient.n, literal(DeliveryStatus.QUEUED.value), literal(0, Integer)).where(
        Recipient.campaign_id == campaign_id, Recipient.n.between(rows[0].n, rows[-1].n)
    )
    await connection.execute(insert(Delivery).from_select(["campaign_id", "n", "status", "attempts"], added))


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
