"""The one clock. Tests move it with time-machine, which patches what this reads."""

from datetime import UTC, datetime


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)
