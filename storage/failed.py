"""Which deliveries have failed, in the words by which each database finds them in an index of nothing else."""

from typing import Any, Self

from sqlalchemy import Boolean, ColumnElement
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.operators import OperatorType

_STATUSES = "deliveries.status IN ('failed_temporary', 'failed_permanent', 'unknown')"
# SQLite looks at the condition of each such index for every row that is sent, before and after, and a list of three is
# a table that it searches: two of them cost as much as the row itself. So there the indices say what has not happened,
# and SQLite takes them only for queries that say the same, word for word (https://sqlite.org/partialindex.html).
_INDEXED = "deliveries.status <> 'queued' AND deliveries.status <> 'delivered'"


class _Failed(ColumnElement[bool]):
    """Of the table `deliveries` under its own name. Literals, not parameters: no index is chosen by a parameter."""

    inherit_cache = True
    type = Boolean()

    def self_group(self, against: OperatorType | None = None) -> Self:  # noqa: ARG002  it is a condition already
        """Not `... = 1`, which SQLAlchemy makes of a truth value where the database has none."""
        return self


@compiles(_Failed)
def _said(element: _Failed, compiler: Any, **options: Any) -> str:  # noqa: ARG001
    return _STATUSES


@compiles(_Failed, "sqlite")
def _said_on_sqlite(element: _Failed, compiler: Any, **options: Any) -> str:  # noqa: ARG001
    return f"({_STATUSES} AND {_INDEXED})"


FAILED = _Failed()
"""Temporarily, for good, or nobody knows."""
