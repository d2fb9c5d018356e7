"""Deliveries that may be sent now, read in batches, with Core. Whoever leases decides; this never does."""

import json
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Integer, Select, Text, and_, bindparam, cast, func, select, type_coerce

from storage.db import Tx
from storage.models import Delivery, DeliveryStatus, Recipient, ResendItem, Suppression


class Row(NamedTuple):
    """One delivery that may be sent now, with what its message needs."""

    n: int
    email: str
    email_key: str
    fields: dict[str, Any]
    suppressed: bool


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


_LAST = 2**62


async def queued(tx: Tx, campaign_id: int, after: int, limit: int, up_to: int = _LAST) -> list[Row]:
    """The campaign's own deliveries that wait, in order, beyond number `after` and up to number `up_to`."""
    which = {"campaign": campaign_id, "after": after, "up_to": up_to, "most": limit}
    return await _rows(tx, _queued(on=_dialect(tx)), which)


async def queued_again(
    tx: Tx, campaign_id: int, resend_id: int, wave: int, after: int, limit: int, up_to: int = _LAST
) -> list[Row]:
    """The deliveries of a resend that wait in the waves up to `wave`, in order, beyond `after` and up to `up_to`."""
    which = {"campaign": campaign_id, "resend": resend_id, "wave": wave}
    which |= {"after": after, "up_to": up_to, "most": limit}
    return await _rows(tx, _queued_again(on=_dialect(tx)), which)


async def queued_among(tx: Tx, campaign_id: int, resend_id: int | None, numbers: Sequence[int]) -> list[Row]:
    """Those of some deliveries that still wait, in order: of the campaign itself, or of one of its resends."""
    owner = Delivery.resend_id.is_(None) if resend_id is None else Delivery.resend_id == resend_id
    wanted = _sendable().where(Delivery.campaign_id == campaign_id, owner, Delivery.n.in_(numbers)).limit(len(numbers))
    return await _rows(tx, _in_json(wanted, on=_dialect(tx)), {})


# Made once: a statement takes as long to make as SQLite takes to read a thousand rows.
@cache
def _queued(*, on: str) -> Select[Any]:
    own = (Delivery.campaign_id == bindparam("campaign"), Delivery.resend_id.is_(None))
    wanted = _sendable().where(*own, Delivery.n > bindparam("after"), Delivery.n <= bindparam("up_to"))
    return _in_json(wanted.limit(bindparam("most", type_=Integer)), on=on)


@cache
def _queued_again(*, on: str) -> Select[Any]:
    item = and_(
        ResendItem.campaign_id == Delivery.campaign_id,
        ResendItem.resend_id == bindparam("resend"),
        ResendItem.n == Delivery.n,
    )
    wanted = (
        _sendable()
        .join(ResendItem, item)
        .where(
            ResendItem.campaign_id == bindparam("campaign"),
            ResendItem.n > bindparam("after"),
            ResendItem.n <= bindparam("up_to"),
            ResendItem.wave <= bindparam("wave"),
            Delivery.resend_id == bindparam("resend"),
        )
    )
    return _in_json(wanted.limit(bindparam("most", type_=Integer)), on=on)


def _in_json(wanted: Select[Any], *, on: str) -> Select[Any]:
    """As one JSON value for each column: on SQLite for the reason given at _FROM_JSON in results.py, on PostgreSQL
    because to decode a row by itself costs four times as much.

    Aggregates take their values in the order of the subquery, as nothing is joined to it
    (https://www.postgresql.org/docs/15/functions-aggregate.html).
    """
    found = wanted.subquery()
    fields = found.c.fields if on == "postgresql" else func.json(type_coerce(found.c.fields, Text))
    columns = (found.c.n, found.c.email, func.nullif(found.c.email_key, found.c.email), fields, found.c.gone)
    whole: list[Any] = [
        cast(func.json_agg(each), Text) if on == "postgresql" else func.json_group_array(each) for each in columns
    ]
    return select(*whole)


def _dialect(tx: Tx) -> str:
    return tx.get_bind().dialect.name


async def _rows(tx: Tx, wanted: Select[Any], which: dict[str, int]) -> list[Row]:
    found = await (await tx.connection()).execute(wanted, which)
    numbers, emails, others, fields, gone = (json.loads(column or "[]") for column in found.one())
    # Most addresses are in lower case, so that their key is the same text: kept once.
    make = tuple.__new__  # what Row() calls, without the call between, which costs as much again
    return [
        make(Row, (n, email, email if other is None else other, values, is_gone))
        for n, email, other, values, is_gone in zip(numbers, emails, others, fields, gone, strict=True)
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
