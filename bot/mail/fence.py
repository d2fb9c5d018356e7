"""The fence: a worker that may be taken for dead sends nothing, and knows so by itself, without asking anybody.

The others take over from a worker whose heartbeat they have not seen for SILENT_AFTER (storage/workers.py). It stops
well before that, by a clock that goes on while the process is stopped or the machine sleeps. So one that was frozen
finds its fence down at the first dot after it wakes up, however late that is.
"""

import time
from datetime import timedelta

from storage.workers import SILENT_AFTER

HOLDS_FOR = SILENT_AFTER * 0.6
"""From the beginning of the last heartbeat that the database took. The rest is for what is on its way."""
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # the monotonic one stands still in a suspended machine


class Fence:
    """`holds` is read before every dot, so it is a comparison and no more. One without `holds_for` always holds."""

    def __init__(self, holds_for: timedelta | None = HOLDS_FOR) -> None:
        self._holds_for = holds_for.total_seconds() if holds_for is not None else float("inf")
        self._until = float("inf") if holds_for is None else 0.0

    @staticmethod
    def clock() -> float:
        """Seconds, of this machine alone."""
        return time.clock_gettime(_CLOCK)

    @property
    def holds(self) -> bool:
        return time.clock_gettime(_CLOCK) < self._until

    def renew(self, began: float) -> None:
        """The database took a heartbeat that began at this time of `clock`."""
        self._until = max(self._until, began + self._holds_for)

    def fall(self) -> None:
        """Others have taken over."""
        self._until = 0.0
        self._holds_for = 0.0
