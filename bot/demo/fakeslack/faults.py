"""Bad days on demand: errors, rate limits, hangs, cuts, a Slack that is away."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass

from bot.demo.fakeslack.workspace import SlackRefusesError

BURST = 5
PER_SECOND = 1.0


@dataclass(slots=True)
class Fault:
    """One fault on one method, for its next `times` calls; "*" stands for every method."""

    method: str
    times: int
    status: int | None = None
    retry_after: float | None = None
    """Seconds. Slack gives whole ones."""
    error: str | None = None
    accept_then_hang: bool = False
    accept_then_cut: bool = False

    @property
    def accepts(self) -> bool:
        """The call is carried out, and only its answer is lost."""
        return self.accept_then_hang or self.accept_then_cut


class Faults:
    """What is wrong with Slack at the moment; and how many messages a channel takes, where that is enforced."""

    def __init__(self, *, burst: int = BURST, per_second: float = PER_SECOND) -> None:
        self.is_down = False
        self.down_status: int | None = None
        self.delay_seconds = 0.0
        self.clock_ahead_seconds = 0.0
        self.over = asyncio.Event()
        self._waiting: list[Fault] = []
        self._burst = burst
        self._per_second = per_second
        self._buckets: dict[str, tuple[float, float]] = defaultdict(lambda: (float(burst), 0.0))

    def add(self, fault: Fault) -> None:
        if not (fault.status or fault.error or fault.accepts):
            raise ValueError("A fault needs a status, an error, accept_then_hang or accept_then_cut.")
        self._waiting.append(fault)

    def clear(self) -> None:
        self._waiting.clear()

    def take(self, method: str) -> Fault | None:
        """The oldest fault for this method; it is used up a call at a time."""
        for fault in self._waiting:
            if fault.method in {method, "*"}:
                fault.times -= 1
                if fault.times <= 0:
                    self._waiting.remove(fault)
                return fault
        return None

    def spend(self, channel: str) -> None:
        """About one message a second a channel, with short bursts: https://docs.slack.dev/apis/web-api/rate-limits/"""
        moment = asyncio.get_running_loop().time()
        tokens, since = self._buckets[channel]
        tokens = min(self._burst, tokens + (moment - since) * self._per_second)
        if tokens < 1:
            self._buckets[channel] = (tokens, moment)
            raise SlackRefusesError("ratelimited", retry_after=1 / self._per_second)
        self._buckets[channel] = (tokens - 1, moment)
