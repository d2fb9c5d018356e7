"""Numbers, lists and moments as sentences say them."""

from collections.abc import Sequence
from datetime import UTC, datetime


def joined(words: Sequence[str], last_word: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last_word} {words[-1]}"


def number(count: int, noun: str) -> str:
    """`1 recipient`, `1,240 recipients`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def moment(at: datetime, now: datetime) -> str:
    """`03:12 UTC`, with the date when it is not today's: `3 May 2026 at 03:12 UTC`."""
    at = at.astimezone(UTC)
    clock = f"{at:%H:%M} UTC"
    return clock if at.date() == now.astimezone(UTC).date() else f"{at.day} {at:%B %Y} at {clock}"


def few(words: Sequence[str], most: int = 8) -> str:
    """As `joined`, but of a long list only the first ones: `a, b, c and 9 more`."""
    more = len(words) - most
    return joined([*words[:most], f"{more:,} more"] if more > 0 else words)
