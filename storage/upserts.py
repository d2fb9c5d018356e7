"""INSERT ... ON CONFLICT, which both databases know by the same words and SQLAlchemy by two."""

from typing import TYPE_CHECKING, cast

from storage.db import Tx

if TYPE_CHECKING:
    from sqlalchemy.dialects.sqlite import Insert

    from storage.models import Base


def insert_into(tx: Tx, table: "type[Base]") -> "Insert":
    """An insert that can say `on_conflict_do_nothing` and `on_conflict_do_update`, for the database of `tx`."""
    # Only the dialect that is spoken is loaded: a worker on SQLite needs no 2 MB of PostgreSQL's types.
    if tx.get_bind().dialect.name == "sqlite":
        from sqlalchemy.dialects.sqlite import insert  # noqa: PLC0415

        return insert(table)
    from sqlalchemy.dialects.postgresql import insert as insert_postgresql  # noqa: PLC0415

    return cast("Insert", insert_postgresql(table))
