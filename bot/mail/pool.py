"""How one job's rows are split among several lanes, by weight.

Each lane has a mark: the rows that it took, divided by its part. Lanes whose marks are level have taken what their
parts ask, so a lane may run ahead of the one that is furthest behind by a little, and then rests until that one has
come up. That holds the parts at whatever speed, and the totals come level by themselves; but it makes the slowest the
pace of all. So one that takes far less than its part asks is called slow, and the others go ahead without it.

Whether a lane is slow cannot be seen while the others wait for it: they then take no more than it does. It is tried:
when they rest for half of the time, they are let go on without it for a moment, and only what each took then decides.
A lane that passes has lost nothing, since its mark stays where it was and the others wait until it has come up.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

LEAD: Final = 16.0
"""Rows of the whole by which a lane may run ahead at least; a small campaign is to be split too."""
_LEAD_SECONDS = 0.05
"""As `LEAD`, in what all lanes take in that time: so much that nobody waits for a single round trip."""
_TICK = 0.2
_LOOK = 1.0
"""Seconds of taking and resting after which it is asked whether somebody is held up."""
_ENOUGH = 8
"""Rows that the others must have taken before they say anything of a lane."""
_SLOW, _WELL = 1 / 4, 1 / 2
"""Of what its part asks: below the first a lane is slow, from the second on it keeps up again."""
_TRY_AGAIN, _TRY_AGAIN_MAX = 4.0, 64.0
"""Seconds from one trial that a lane passes to the next, which doubles."""


class Taker(Protocol):
    """What a split needs of a lane."""

    @property
    def is_out(self) -> bool:
        """Whether it takes nothing but a trial now: its server fails, or may not be used."""

    def wake(self) -> None: ...


@dataclass(slots=True, eq=False)
class Part:
    """One lane's part of a job. `of_whole` is above 0 and at most 1."""

    lane: Taker
    of_whole: float
    returning: bool
    """It waits for every other lane, also for a slow one."""
    mark: float = 0.0
    allowed: int = 0
    """Rows that it may take before its mark is looked at again."""
    taken: int = 0
    rested: float = 0.0
    """What it took, and for how many seconds it rested, since the last look."""
    rests_since: float | None = None
    slow: bool = False
    tried: bool = False
    """Slow on trial only: nothing is decided."""
    try_after: float = 0.0
    try_pause: float = _TRY_AGAIN
    passed_at: float = 0.0
    """Rows a second that it took when it last passed a trial."""


class Split:
    """For a job that goes through several lanes. `may_take` before a row is taken, `took` after it."""

    def __init__(self, at: float) -> None:
        self._parts: dict[int, Part] = {}
        self._lead = LEAD
        self._rate = 0.0
        self._ticked = self._looked = at
        self._since_tick = 0

    def arrange(self, ways: Iterable[tuple[int, Taker, float, bool]]) -> None:
        """The lanes by their servers' ids, each with its part and whether it returns. A new one begins level."""
        known, self._parts = self._parts, {}
        level = min((part.mark for part in known.values()), default=0.0)
        for server_id, lane, of_whole, returning in ways:
            part = known.get(server_id) or Part(lane, of_whole, returning, mark=level)
            part.lane, part.of_whole, part.returning = lane, of_whole, returning
            self._parts[server_id] = part

    def may_take(self, server_id: int, at: float) -> bool:
        """Whether this lane may take a row at the loop's time `at`. One that may not is woken when it may."""
        part = self._parts.get(server_id)
        return part is not None and (part.allowed > 0 or self._allow(part, at))

    def took(self, server_id: int) -> None:
        part = self._parts.get(server_id)
        if part is not None:
            part.allowed -= 1
            part.taken += 1
            part.mark += 1 / part.of_whole

    def wake(self) -> None:
        """There may be rows."""
        for part in self._parts.values():
            part.lane.wake()

    def tick(self, at: float, under_way: int) -> None:
        """What goes by the clock; called some times a second. `under_way` are the job's messages on all lanes."""
        if at - self._ticked < _TICK:
            return
        whole = sum(part.taken for part in self._parts.values())
        self._rate += ((whole - self._since_tick) / (at - self._ticked) - self._rate) / 2
        self._ticked, self._since_tick = at, whole
        self._lead = max(LEAD, under_way, self._rate * _LEAD_SECONDS)
        self._forgive()
        self._judge(at, max(_ENOUGH, 2 * under_way))

    def _allow(self, part: Part, at: float) -> bool:
        lowest = self._lowest(part)
        rows = int((lowest + self._lead - part.mark) * part.of_whole)
        if rows < 1 and part.mark > lowest:
            if part.rests_since is None:
                part.rests_since = at
            return False
        self._end_rest(part, at)
        part.allowed = max(rows, 1)
        for other in self._parts.values():
            if other.rests_since is not None and self._has_room(other):
                other.lane.wake()
        return True

    def _has_room(self, part: Part) -> bool:
        lowest = self._lowest(part)
        return part.mark <= lowest or (lowest + self._lead - part.mark) * part.of_whole >= 1

    def _lowest(self, part: Part) -> float:
        """The mark of the lane furthest behind for which this one waits, itself among them."""
        marks = [
            each.mark for each in self._parts.values() if not each.lane.is_out and (part.returning or not each.slow)
        ]
        return min(marks, default=part.mark)

    def _forgive(self) -> None:
        """A lane that is out or slow owes nothing when it comes back: the others would have to wait for it."""
        steady = [part.mark for part in self._parts.values() if self._sets_the_pace(part)]
        level = min(steady, default=None)
        if level is not None:
            for part in self._parts.values():
                if part.lane.is_out or (part.slow and not part.tried):
                    part.mark = max(part.mark, level)

    def _sets_the_pace(self, part: Part) -> bool:
        return not part.slow and not part.returning and not part.lane.is_out

    # Who is slow.

    def _judge(self, at: float, enough: float) -> None:
        """End a trial as soon as it says something; otherwise look every second at who keeps up and who does not."""
        span = at - self._looked
        others = [part for part in self._parts.values() if self._sets_the_pace(part)]
        theirs = sum(part.taken for part in others)
        slow = [part for part in self._parts.values() if part.slow]
        tried = [part for part in slow if part.tried]
        told = theirs >= enough or not others or span >= _TRY_AGAIN_MAX
        if tried:
            # What it has taken already may be as much as it has to take until the others have taken enough.
            if told or all(part.taken >= _SLOW * _asked(part, others, enough) for part in tried):
                self._decide(tried, others, at)
                self._look_anew(at)
            return
        if span < _LOOK:
            return
        if told:
            self._decide(slow, others, at)
        if self._suspect(at) or told or not slow:
            self._look_anew(at)

    def _decide(self, parts: list[Part], others: list[Part], at: float) -> None:
        """By what was taken while nobody waited for them."""
        theirs = sum(each.taken for each in others)
        for part in parts:
            if part.taken < _asked(part, others, theirs) * (_SLOW if part.tried else _WELL):
                part.try_pause = _TRY_AGAIN
                part.tried = False
                continue
            if part.tried:
                part.passed_at = part.taken / max(at - self._looked, _TICK)
                part.try_after = at + part.try_pause
                part.try_pause = min(part.try_pause * 2, _TRY_AGAIN_MAX)
            part.slow = part.tried = False

    def _suspect(self, at: float) -> bool:
        """Where somebody rested for half of the time, the lane that is furthest behind is tried."""
        span = at - self._looked
        steady = [part for part in self._parts.values() if self._sets_the_pace(part)]
        pacing = [part for part in self._parts.values() if not part.lane.is_out and not part.slow]
        last = min(pacing, key=_mark, default=None)
        if last is None or not any(self._rested(part, at) >= span / 2 for part in steady if part is not last):
            return False
        if at < last.try_after and last.taken / span >= last.passed_at / 2:
            return False
        last.slow = last.tried = True
        self.wake()
        return True

    def _rested(self, part: Part, at: float) -> float:
        return part.rested + (at - max(part.rests_since, self._looked) if part.rests_since is not None else 0.0)

    def _end_rest(self, part: Part, at: float) -> None:
        if part.rests_since is not None:
            part.rested += at - max(part.rests_since, self._looked)
            part.rests_since = None

    def _look_anew(self, at: float) -> None:
        for part in self._parts.values():
            part.taken, part.rested = 0, 0.0
        self._looked, self._since_tick = at, 0


def _asked(part: Part, others: list[Part], theirs: float) -> float:
    """Rows that its part asks of a lane while the others take theirs; no more than an even part would ask, since a
    lane that is as fast as the others is not slow because much is asked of it.
    """
    if not others:
        return 0.0
    return theirs * min(part.of_whole / sum(each.of_whole for each in others), 1 / len(others))


def _mark(part: Part) -> float:
    return part.mark
