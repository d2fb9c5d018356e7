"""How fast each receiving provider is written to through one server: as the settings allow, or as it lets us.

A provider is a group of domains that one organization receives mail for. One that puts us off because we send too
much is left in peace for a while and then written to at half the pace; as long as it takes everything the pace grows
again, until it is free. The shape is that of TCP's congestion control (RFC 5681): down by halves, up in small steps.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from bot.config import ProviderSettings

LEAST: Final = 0.2
"""Messages a second below which no pace falls: one in five seconds still shows whether the provider has come round."""
FIRST_REST: Final = 5.0
LONGEST_REST: Final = 300.0
"""Seconds in which a provider that put us off gets nothing; doubled each time, until it takes something."""
# The words in which a provider says that we send too much at once. Greylisting and the like put off a recipient, and
# say nothing of our pace.
_TOO_MUCH: Final = re.compile(
    r"rate|too (?:many|much|fast)|throttl|exceed|limit|volume|server busy|slow down|4\.7\.(?:28|500|650)\b",
    re.IGNORECASE,
)
_RISE: Final = 1.25
_RISE_EVERY: Final = 10.0
_FREE_AT: Final = 4
"""A learned pace ends when it has grown to so many times the flow at which the provider had put us off."""
KEEP: Final = timedelta(days=1)
"""A pace ends so long after the last rebuff, even if nothing was sent that could show that the provider has come round.
"""
_CATCH_UP: Final = 0.05
"""Seconds: what a pace may make up for when the loop was late. More would be a burst."""

# Domains that one organization receives mail for, so that its limits are of them all. Others stand for themselves.
_GROUPS: Final = {
    "gmail.com": ("googlemail.com",),
    "outlook.com": ("hotmail.com", "hotmail.co.uk", "hotmail.de", "hotmail.fr", "live.com", "msn.com", "outlook.de"),
    "yahoo.com": ("yahoo.co.uk", "yahoo.de", "yahoo.fr", "ymail.com", "rocketmail.com", "aol.com"),
    "icloud.com": ("me.com", "mac.com"),
    "gmx.net": ("gmx.de", "gmx.at", "gmx.ch", "gmx.com", "web.de"),
}
_KNOWN: Final = {domain: name for name, domains in _GROUPS.items() for domain in domains}


def is_too_much(reply: str) -> bool:
    """Whether a 4xx by policy asks for a slower pace."""
    return _TOO_MUCH.search(reply) is not None


@dataclass(frozen=True, slots=True)
class Learned:
    """What was learned of a provider, to be kept and taken up again. Times are the loop's, as in Pace."""

    provider: str
    rate: float
    free_at: float
    """Messages a second at which the pace ends."""
    why: str
    rests: int
    rests_until: float
    since: float
    put_off_at: float


@dataclass(slots=True)
class Pace:
    """One provider's. Times are the loop's, in seconds; rates are messages a second."""

    limit: float | None = None
    """What the settings allow; None: no limit."""
    connections: int | None = None
    """How many messages may be under way to it at once; None: no limit."""
    rate: float | None = None
    """What holds now: the limit, or what was learned."""
    why: str = ""
    """The reply that the learned pace comes from."""
    since: float = 0.0
    """When the provider put us off first."""
    put_off_at: float = 0.0
    """When it did so last."""
    in_flight: int = 0
    next_at: float = 0.0
    _rests: int = 0
    _rise_at: float = 0.0
    _free_at: float = 0.0

    @property
    def is_learned(self) -> bool:
        return self.rate != self.limit

    def may_send(self, at: float) -> bool:
        return at >= self.next_at and (self.connections is None or self.in_flight < self.connections)

    def sent(self, at: float) -> None:
        self.in_flight += 1
        if self.rate is not None:
            self.next_at = max(self.next_at, at - _CATCH_UP) + 1 / self.rate

    def ended(self) -> None:
        """What was sent has its ending. One that was sent before there was a pace was not counted."""
        self.in_flight = max(self.in_flight - 1, 0)

    def put_off(self, at: float, flow: float, why: str) -> None:
        """The provider put a message off. `flow`: how many a second were going to it."""
        if at < self.next_at and self._rests:
            return  # the answer to what was on its way when it rested already
        self.since = self.since if self.is_learned else at
        self.put_off_at = at
        self.rate = max(LEAST, min(flow, self.rate or flow) / 2)
        self.why = why
        self.next_at = at + min(FIRST_REST * 2**self._rests, LONGEST_REST)
        self._rests += 1
        self._rise_at = self.next_at + _RISE_EVERY
        self._free_at = max(self._free_at, flow * _FREE_AT)

    def took(self, at: float) -> None:
        """The provider took a message."""
        if not self.is_learned or at < self.next_at - 1 / (self.rate or 1):
            return
        self._rests = 0
        if self.rate is not None and at >= self._rise_at:
            self._rise_at = at + _RISE_EVERY
            self.rate *= _RISE
            if self.rate >= min(self._free_at, self.limit or self._free_at):
                self.end()

    def end(self) -> None:
        """What was learned holds no longer."""
        self.rate, self.why, self._free_at, self._rests = self.limit, "", 0.0, 0

    def learned(self, provider: str) -> Learned | None:
        """What is to be kept of it; None where nothing was learned."""
        if not self.is_learned or self.rate is None:
            return None
        return Learned(
            provider, self.rate, self._free_at, self.why, self._rests, self.next_at, self.since, self.put_off_at
        )

    def resume(self, known: Learned, at: float) -> None:
        """Go on with what was learned earlier; it grows as if it had just been learned."""
        self.rate = known.rate if self.limit is None else min(known.rate, self.limit)
        self.why, self.since, self.put_off_at = known.why, known.since, known.put_off_at
        self._free_at, self._rests = known.free_at, known.rests
        self.next_at = min(known.rests_until, at + LONGEST_REST)  # should the machine's clock have been set back
        self._rise_at = max(at, self.next_at) + _RISE_EVERY


@dataclass(slots=True)
class Paces:
    """Those of one server."""

    settings: Mapping[str, ProviderSettings] = field(default_factory=dict)
    limited: dict[str, Pace] = field(default_factory=dict)
    """Provider -> its pace, only where there is one: mostly there is none, and then nothing is looked up."""
    _names: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._names = _KNOWN | {domain: name for name, each in self.settings.items() for domain in each.domains}
        for name, each in self.settings.items():
            self.limited[name] = Pace(each.rate_per_second, each.connections, each.rate_per_second)

    def provider(self, address: str) -> str:
        """Of an address in lower case."""
        domain = address.rpartition("@")[2]
        return self._names.get(domain, domain)

    def of(self, address: str) -> Pace | None:
        """None where nothing limits it."""
        return self.limited.get(self.provider(address)) if self.limited else None

    def put_off(self, address: str, at: float, flow: float, why: str) -> Pace:
        """A message to this address was put off by policy: its provider is written to more slowly from now on."""
        pace = self.limited.setdefault(self.provider(address), Pace())
        pace.put_off(at, flow, why)
        return pace

    def next_at(self) -> float | None:
        """When a provider that waits may be written to again; None when none waits for a time."""
        return min((pace.next_at for pace in self.limited.values() if pace.rate is not None), default=None)

    def learned(self) -> list[Learned]:
        """All that was learned and holds."""
        found = (pace.learned(provider) for provider, pace in self.limited.items())
        return [each for each in found if each is not None]

    def resume(self, known: Iterable[Learned], at: float) -> None:
        """Go on with what was learned earlier."""
        for each in known:
            self.limited.setdefault(each.provider, Pace()).resume(each, at)

    def forget(self, at: float) -> list[str]:
        """Let go of learned paces that have ended, nothing being under way. Their providers."""
        for pace in self.limited.values():
            if pace.is_learned and at - pace.put_off_at > KEEP.total_seconds():
                pace.end()
        ended = [
            name
            for name, pace in self.limited.items()
            if name not in self.settings and not pace.is_learned and not pace.in_flight
        ]
        for name in ended:
            del self.limited[name]
        return ended
