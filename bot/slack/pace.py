"""How fast a channel may be posted to: about one message a second, with short bursts.

https://docs.slack.dev/apis/web-api/rate-limits/
"""

import asyncio
from datetime import timedelta

BURST = 4
PER_SECOND = 1.0


class Pace:
    """A token bucket that waits in the order of asking, and that a 429 stops for as long as Slack says."""

    def __init__(self, *, burst: int = BURST, per_second: float = PER_SECOND) -> None:
        self._burst = burst
        self._per_second = per_second
        self._tokens = float(burst)
        self._at = 0.0
        self._stopped_until = 0.0
        self._line = asyncio.Lock()

    async def turn(self) -> None:
        """Returns when the next message may leave."""
        async with self._line:
            # Again after each sleep: a 429 may have come in the meantime.
            while (wait := self._missing()) > 0:  # noqa: ASYNC110  time is what it waits for, there is no event
                await asyncio.sleep(wait)
            self._tokens -= 1

    def opens_in(self) -> float:
        """Seconds until a turn is free; 0 when `turn` returns at once."""
        return self._missing()

    def refused(self, wait: timedelta) -> None:
        """Slack asks to wait so long. It did not take the message, so the turn was not used up."""
        self._tokens = min(float(self._burst), self._tokens + 1)
        self._stopped_until = max(self._stopped_until, _moment() + wait.total_seconds())

    def _missing(self) -> float:
        """Seconds until there is a token."""
        moment = _moment()
        self._tokens = min(float(self._burst), self._tokens + (moment - self._at) * self._per_second)
        self._at = moment
        return max(self._stopped_until - moment, (1 - self._tokens) / self._per_second, 0.0)


def _moment() -> float:
    return asyncio.get_running_loop().time()
