"""When a send goes on to its next stage, and when it stops by itself. Pure: no clock, no database.

A stage is out when everything that it may send has a result. The next one begins a while after that, since what
comes back by itself (a bounce by mail, a complaint) comes late. What has come back is looked at all the time, in a
send without a ramp too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from bot.config import RampSettings


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of a send since somebody last let it go on, in messages."""

    tried: int
    bounced: int = 0
    refused: int = 0
    temporary: int = 0
    complaints: int = 0
    server_in_trouble: bool = False
    """What is put off or refused is then the server's matter, which the monitor judges."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a ramp is. `sizes` are the messages of the stages, each with those before it."""

    stages: Sequence[int]
    stage: int
    due_at: datetime | None
    sizes: Sequence[int]
    is_out: bool
    """Everything that may be sent now has a result."""

    @property
    def following(self) -> int | None:
        """The next stage that lets more out than this one; None in the last."""
        here = self.sizes[self.stage] if self.stage >= 0 else 0
        larger = (place for place in range(self.stage + 1, len(self.sizes)) if self.sizes[place] > here)
        return next(larger, None)


@dataclass(frozen=True, slots=True)
class Stop:
    """Too much came back. `why` is the reason as a message gives it, `advice` what to look at."""

    why: str
    advice: str
    in_doubt: bool = False
    """It may be an outage that the monitor is about to find: look once more before it is done."""


@dataclass(frozen=True, slots=True)
class Rest:
    """The stage is out; the next one begins at that moment."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Begin:
    """Let this stage out."""

    stage: int


Step = Stop | Rest | Begin | None
"""None: nothing is to be done now."""


def sizes(total: int, stages: Sequence[int]) -> list[int]:
    """How many of `total` messages each stage lets out, with those before it. A stage is never empty."""
    return [ceil(total * share / 100) for share in stages]


def advance(standing: Standing, seen: Seen, limits: RampSettings, at: datetime) -> Step:
    """What is to be done with a send at this moment."""
    stop = judge(seen, limits)
    if stop is not None:
        return stop
    following = standing.following
    if following is None:
        return None
    if standing.due_at is not None:
        return Begin(following) if standing.due_at <= at else None
    if not standing.is_out:
        return None
    return Rest(at + timedelta(minutes=limits.wait)) if limits.wait else Begin(following)


def judge(seen: Seen, limits: RampSettings) -> Stop | None:
    """Whether too much came back, by the first limit that is passed; never of few messages."""
    if seen.tried < limits.minimum:
        return None
    if passes(seen.bounced, seen.tried, limits.hard_bounces):
        return Stop(_why(seen.bounced, seen.tried, "refused as unknown addresses", limits.hard_bounces), _LIST)
    if passes(seen.complaints, seen.tried, limits.complaints):
        return Stop(_why(seen.complaints, seen.tried, "complained about", limits.complaints), _LIST)
    if seen.server_in_trouble:
        return None
    if passes(seen.refused, seen.tried, limits.refused):
        why = _why(seen.refused, seen.tried, "refused, not for their addresses", limits.refused)
        return Stop(why, _REPLIES, in_doubt=True)
    if passes(seen.temporary, seen.tried, limits.temporary):
        why = _why(seen.temporary, seen.tried, "put off by the server", limits.temporary)
        return Stop(why, _REPLIES, in_doubt=True)
    return None


_LIST = "Look at the list"
_REPLIES = "Look at what the server answers"


def passes(count: int, tried: int, limit: float) -> bool:
    return count * 100 > limit * tried


def _why(count: int, tried: int, what: str, limit: float) -> str:
    """`61 of 1,000 were refused as unknown addresses (6.1 %, the limit is 5 %)`."""
    verb = "was" if count == 1 else "were"
    share = count * 100 / tried
    # 5.04 % must not read as 5.0 %, which would pass no limit of 5 %.
    shown = f"{share:.1f}" if round(share, 1) > limit else f"{share:.2f}"
    return f"{count:,} of {tried:,} {verb} {what} ({shown} %, the limit is {limit:g} %)"
