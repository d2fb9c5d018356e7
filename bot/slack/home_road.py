"""The road to the home tabs of one workspace: how fast it may be used, and whether it has to be waited for."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import structlog

from bot.slack.pace import Pace
from bot.slack.setbacks import TOKEN_REFUSED, Setback

BURST = 10
PER_SECOND = 1.5
"""views.publish is in the tier of 100 calls a minute, in each workspace:
https://docs.slack.dev/apis/web-api/rate-limits/
"""
_FOR_ALL = TOKEN_REFUSED | {"missing_scope", "not_enabled"}
_log = structlog.get_logger(__name__)


def slacks_pace() -> Pace:
    return Pace(burst=BURST, per_second=PER_SECOND)


@dataclass(frozen=True)
class Timing:
    """How patient the home tabs are."""

    beat: timedelta = timedelta(seconds=5)
    """What other processes change wakes nobody here, so it is looked for this often."""
    gap: timedelta = timedelta(seconds=0.5)
    """Between two looks at everything, however much happens."""
    lately: timedelta = timedelta(days=7)
    """A tab that was opened longer ago is left as it is until it is opened again."""
    first_pause: timedelta = timedelta(seconds=1)
    longest_pause: timedelta = timedelta(seconds=30)
    refused_pause: timedelta = timedelta(minutes=10)
    """How long a person whose tab Slack does not take is left out, unless they open it again."""
    stop_within: timedelta = timedelta(seconds=5)


class Road:
    """What befalls one workspace (its token is revoked, its limit is reached) makes only its own tabs wait."""

    def __init__(self, team: str, timing: Timing, pace: Pace) -> None:
        self._team = team
        self._timing = timing
        self._pace = pace
        self._failures = 0
        self._wait_until = 0.0

    @property
    def is_shut(self) -> bool:
        """It is not worth looking what its tabs should show."""
        return moment() < self._wait_until

    def opens_in(self) -> float:
        """Seconds until the next tab may be published."""
        return max(self._wait_until - moment(), self._pace.opens_in(), 0.0)

    async def turn(self) -> None:
        await self._pace.turn()

    def arrived(self) -> None:
        """Slack took one."""
        self._failures, self._wait_until = 0, 0.0

    def is_shut_by(self, setback: Setback) -> bool:
        """True for what befalls everybody of this workspace: it is waited for. Otherwise it is about one person."""
        if setback.wait is not None:
            self._pace.refused(setback.wait)
        elif setback.is_away or setback.code in _FOR_ALL:
            self._shut(setback)
        else:
            return False
        return True

    def _shut(self, setback: Setback) -> None:
        first, longest = self._timing.first_pause, self._timing.longest_pause
        pause = min(longest, first * 2 ** min(self._failures, 16)).total_seconds() * random.uniform(0.8, 1.2)
        if self._failures == 0:
            _log.warning("home tabs have to wait", team=self._team, code=setback.code, error=setback.sentence)
        self._failures += 1
        self._wait_until = moment() + pause


class Roads:
    """One to each workspace, made when it is first needed."""

    def __init__(self, timing: Timing, new_pace: Callable[[], Pace]) -> None:
        self._timing = timing
        self._new_pace = new_pace
        self._known: dict[str, Road] = {}

    def to(self, team: str) -> Road:
        if team not in self._known:
            self._known[team] = Road(team, self._timing, self._new_pace())
        return self._known[team]

    def reopen_in(self) -> float:
        """Seconds until the first of those that are shut is tried again; 0 while none is."""
        return min((each.opens_in() for each in self._known.values() if each.is_shut), default=0.0)

    def open_all(self) -> None:
        """There is a new token: nobody needs to wait any longer for that."""
        for each in self._known.values():
            each.arrived()


def moment() -> float:
    return asyncio.get_running_loop().time()
