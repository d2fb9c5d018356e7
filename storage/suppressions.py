"""Addresses that are not mailed."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import delete, select

from storage.db import Tx
from storage.models import Recipient, Suppression
from storage.upserts import insert_into


async def add(tx: Tx, email: str, *, reason: str, source: str, at: datetime) -> bool:
    """Mail this address no more. `source` is bounce, unsubscribe or person. False when it was suppressed already."""
    row = insert_into(tx, Suppression).values(email_key=email.lower(), reason=reason, source=source, at=at)
    added = await tx.scalar(row.on_conflict_do_nothing().returning(Suppression.email_key))
    return added is not None


async def suppress(tx: Tx, email_keys: Iterable[str], reason: str, at: datetime) -> None:
    """Addresses that a server says do not exist are mailed no more."""
    rows = [{"email_key": key, "reason": reason, "source": "bounce", "at": at} for key in sorted(set(email_keys))]
    if not rows:
        return
    connection = await tx.connection()
    await connection.execute(insert_into(tx, Suppression).on_conflict_do_nothing(index_elements=["email_key"]), rows)


async def suppressed_since(tx: Tx, since: datetime) -> set[str]:
    """Addresses (in lower case) that were suppressed since then."""
    return set(await tx.scalars(select(Suppression.email_key).where(Suppression.at >= since)))


async def get(tx: Tx, email: str) -> Suppression | None:
    return await tx.get(Suppression, email.lower())


async def remove(tx: Tx, email: str) -> bool:
    """Mail this address again. False when it was not suppressed."""
    gone = delete(Suppression).where(Suppression.email_key == email.lower()).returning(Suppression.email_key)
    return await tx.scalar(gone) is not None


async def address_of(tx: Tx, campaign_id: int, n: int) -> str | None:
    """The address that a link in a mail stands for; None when that recipient is no longer stored."""
    return await tx.scalar(select(Recipient.email).where(Recipient.campaign_id == campaign_id, Recipient.n == n))
