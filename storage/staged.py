"""Recipients of an import that orders its list: they wait here until all are known, and get their numbers in order."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, delete, func, insert, select, text, tuple_
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from storage import recipients
from storage.db import Tx
from storage.models import Recipient, StagedRecipient
from storage.recipients import NewRecipient

_ORDER = (StagedRecipient.place, StagedRecipient.n)


class Reached(NamedTuple):
    """How far the numbering has come: the last recipient's place, its row in the file, and its new number."""

    place: float
    row: int
    number: int


BEGINNING = Reached(float("-inf"), 0, 0)


async def add(tx: Tx, campaign_id: int, rows: Sequence[NewRecipient], places: Sequence[float]) -> None:
    """Add a batch; the lowest place goes first, infinity last. An address that is there already is left out."""
    if not rows:
        return
    connection = await tx.connection()
    placed = list(zip(rows, places, strict=True))
    if connection.dialect.name == "postgresql":
        columns = {
            "n": [row.n for row in rows],
            "email": [row.email for row in rows],
            "email_key": [row.email.lower() for row in rows],
            "fields": [json.dumps(row.fields) for row in rows],
            "place": list(places),
        }
        await connection.execute(_UNNESTED, {"campaign_id": campaign_id, **columns})
        return
    statement = sqlite_insert(StagedRecipient).on_conflict_do_nothing(index_elements=["campaign_id", "email_key"])
    await connection.execute(statement, [_bound(campaign_id, row, place) for row, place in placed])


_UNNESTED = text(
    """
    INSERT INTO staged_recipients (campaign_id, n, email, email_key, fields, place)
    SELECT CAST(:campaign_id AS bigint), r.n, r.email, r.email_key, CAST(r.fields AS json), r.place
      FROM unnest(
             CAST(:n AS bigint[]), CAST(:email AS text[]), CAST(:email_key AS text[]), CAST(:fields AS text[]),
             CAST(:place AS double precision[])
           ) AS r (n, email, email_key, fields, place)
        ON CONFLICT (campaign_id, email_key) DO NOTHING
    """
)


def _bound(campaign_id: int, row: NewRecipient, place: float) -> dict[str, Any]:
    return {
        "campaign_id": campaign_id,
        "n": row.n,
        "email": row.email,
        "email_key": row.email.lower(),
        "fields": row.fields,
        "place": place,
    }


async def number(tx: Tx, campaign_id: int, after: Reached, limit: int) -> Reached | None:
    """Make recipients, with their places in the ledger, of the next ones in order. None when there are no more."""
    batch = await _batch(tx, campaign_id, after, limit)
    if batch is None:
        return None
    which, last = batch
    fresh = after.number + func.row_number().over(order_by=_ORDER)
    columns = ["campaign_id", "n", "email", "email_key", "fields"]
    chosen = select(
        StagedRecipient.campaign_id, fresh, StagedRecipient.email, StagedRecipient.email_key, StagedRecipient.fields
    ).where(*which)
    await tx.execute(insert(Recipient).from_select(columns, chosen))
    await recipients.enqueue(tx, campaign_id, after.number + 1, last.number)
    await _remove(tx, which)
    return last


async def drop(tx: Tx, campaign_id: int, limit: int) -> bool:
    """Take some of them out, for an import that is given up. False when there are no more."""
    batch = await _batch(tx, campaign_id, BEGINNING, limit)
    if batch is not None:
        await _remove(tx, batch[0])
    return batch is not None


async def _batch(
    tx: Tx, campaign_id: int, after: Reached, limit: int
) -> tuple[list[ColumnElement[bool]], Reached] | None:
    """The conditions for the next ones in order, and how far they come."""
    here = tuple_(*_ORDER)
    beyond = [StagedRecipient.campaign_id == campaign_id, here > tuple_(after.place, after.row)]
    found = (await tx.execute(select(*_ORDER).where(*beyond).order_by(*_ORDER).limit(limit))).all()
    if not found:
        return None
    place, row = found[-1]
    return [*beyond, here <= tuple_(place, row)], Reached(place, row, after.number + len(found))


async def _remove(tx: Tx, which: Sequence[ColumnElement[bool]]) -> None:
    await tx.execute(delete(StagedRecipient).where(*which).execution_options(synchronize_session=False))
