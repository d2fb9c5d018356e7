"""How engaged a recipient is, from a cell of the CSV: the most engaged get a mailing first."""

from datetime import UTC, datetime
from math import inf, isfinite
from typing import Final

COLUMN: Final = "engagement"
"""The column that is looked for unasked."""


def place_of(cell: str) -> float | None:
    """The lowest goes first: of 12 is -12, of a later date a lower one, of an empty cell infinity.

    A number, or a date or a time as ISO 8601 writes it, in UTC where it names no zone. None: neither.
    """
    if not cell:
        return inf
    try:
        number = float(cell)
    except ValueError:
        return _of_date(cell)
    return -number if isfinite(number) else None


def _of_date(cell: str) -> float | None:
    try:
        at = datetime.fromisoformat(cell)
        return -(at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
