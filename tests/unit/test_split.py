"""The split of a job among lanes, in simulated time: parts that hold, and nobody who is held up by a slow one."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.mail.pool import Split

FOREVER = 1e9


@dataclass(eq=False)
class Server:
    """A server and its lane: `connections`, each busy for `seconds` with a message; `rate` messages a second at most.

    One that is `serial` works on one message at a time, whatever the connections. Frozen, it answers nothing.
    """

    part: float
    seconds: float = 0.01
    connections: int = 10
    rate: float | None = None
    serial: bool = False
    frozen: tuple[float, float] = (FOREVER, FOREVER)
    out: tuple[float, float] = (FOREVER, FOREVER)
    returning: bool = False
    is_out: bool = False
    woken: bool = False
    busy: int = 0
    free_at: float = 0.0
    next_send: float = 0.0
    bell: float = 0.0
    taken: list[float] = field(default_factory=list)

    def wake(self) -> None:
        self.woken = True

    def done_at(self, at: float) -> float:
        done = max(self.free_at, at) + self.seconds if self.serial else at + self.seconds
        self.free_at = done
        return self.frozen[1] if self.frozen[0] <= at < self.frozen[1] else done

    def between(self, start: float, end: float) -> int:
        return sum(start <= at < end for at in self.taken)


class Sending:
    """Servers that are sent to, event by event."""

    def __init__(self, servers: Sequence[Server], rows: float) -> None:
        self.servers, self.left = servers, rows
        self.split = Split(0.0)
        self.split.arrange((n, each, each.part, each.returning) for n, each in enumerate(servers))
        self.events: list[tuple[float, int, int, str]] = []
        self._numbers = count()
        for n in range(len(servers)):
            self.later(0.0, n, "wake")
            self.later(0.25 + n / 100, n, "tick")

    def later(self, at: float, n: int, what: str) -> None:
        heapq.heappush(self.events, (at, next(self._numbers), n, what))

    @property
    def under_way(self) -> int:
        return sum(each.busy for each in self.servers)

    def happen(self, at: float, n: int, what: str) -> None:
        server = self.servers[n]
        if what == "done":
            server.busy -= 1
        if what == "tick":
            server.is_out = server.out[0] <= at < server.out[1]
            self.split.tick(at, self.under_way)
            self.later(at + 0.25, n, "tick")
        server.woken = True
        while any(each.woken for each in self.servers):
            for number, each in enumerate(self.servers):
                if each.woken:
                    each.woken = False
                    self.fill(number, each, at)

    def fill(self, n: int, server: Server, at: float) -> None:
        """Its free connections take what they may."""
        while server.busy < server.connections and self.left > 0:
            if server.rate and at < server.next_send:
                if server.bell < server.next_send:
                    server.bell = server.next_send
                    self.later(server.next_send, n, "wake")
                return
            if not self.split.may_take(n, at):
                return
            self.split.took(n)
            self.left -= 1
            server.busy += 1
            server.taken.append(at)
            if server.rate:
                server.next_send = max(server.next_send, at - 0.05) + 1 / server.rate
            self.later(server.done_at(at), n, "done")


def send(servers: Sequence[Server], until: float = FOREVER, rows: float = FOREVER) -> None:
    """Send until that time, or until so many rows have an ending."""
    sending = Sending(servers, rows)
    while sending.left or sending.under_way:
        at, _, n, what = heapq.heappop(sending.events)
        if at >= until:
            break
        sending.happen(at, n, what)


def parts(servers: Sequence[Server]) -> list[float]:
    whole = sum(len(each.taken) for each in servers)
    return [len(each.taken) / whole for each in servers]


@pytest.mark.parametrize(
    "servers",
    [
        [Server(0.75), Server(0.25)],
        [Server(0.75, rate=200), Server(0.25, rate=200)],
        [Server(0.75, serial=True, seconds=0.001), Server(0.25, serial=True, seconds=0.001)],
        [Server(0.75, seconds=1, connections=50), Server(0.25, seconds=1, connections=50)],
        [Server(0.5, seconds=0.03), Server(0.5)],
        [Server(0.9), Server(0.1)],
        [Server(0.5), Server(0.3, seconds=0.012), Server(0.2, seconds=0.02)],
    ],
    ids=["equal", "with a rate", "one at a time", "far away", "three times slower", "nine to one", "three servers"],
)
def test_the_parts_hold_while_all_keep_up(servers: list[Server]) -> None:
    send(servers, until=20)
    assert parts(servers) == pytest.approx([each.part for each in servers], abs=0.03)


def test_equals_are_used_to_the_full() -> None:
    servers = [Server(0.5), Server(0.5)]
    send(servers, until=10)
    assert sum(len(each.taken) for each in servers) > 0.97 * 2 * 1000 * 10


def test_one_row_a_second_is_split_too() -> None:
    servers = [Server(0.75, rate=1), Server(0.25, rate=1)]
    send(servers, until=300)
    assert parts(servers) == pytest.approx([0.75, 0.25], abs=0.03)
    assert len(servers[0].taken) >= 295


@pytest.mark.parametrize(("rows", "within"), [(20, 4), (100, 6), (1000, 30)])
def test_a_small_campaign_is_split_too(rows: int, within: int) -> None:
    servers = [Server(0.75), Server(0.25)]
    send(servers, rows=rows)
    assert len(servers[0].taken) == pytest.approx(rows * 0.75, abs=within)


def test_one_that_is_far_too_slow_does_not_hold_up_the_others() -> None:
    servers = [Server(0.5, seconds=0.2), Server(0.5)]
    send(servers, until=20)
    assert servers[1].between(3, 20) > 0.97 * 1000 * 17
    assert servers[0].between(3, 20) > 0.9 * 50 * 17, "and takes what it can"


def test_one_that_freezes_is_left_within_two_seconds_and_joins_again() -> None:
    servers = [Server(0.5, frozen=(5, 15)), Server(0.5)]
    send(servers, until=30)
    assert servers[1].between(7, 15) > 0.97 * 1000 * 8
    assert servers[0].between(7, 15) == 0
    late = [each.between(20, 30) for each in servers]
    assert late[0] == pytest.approx(late[1], rel=0.03), "what it did not take meanwhile is not owed"
    assert sum(late) > 0.95 * 2 * 1000 * 10


def test_one_that_is_out_waits_for_nobody_to_find_out() -> None:
    servers = [Server(0.5, frozen=(5, FOREVER), out=(5, FOREVER)), Server(0.5)]
    send(servers, until=10)
    assert servers[1].between(5.6, 10) > 0.97 * 1000 * 4.4


def test_one_frozen_and_one_slow_leave_the_third_alone() -> None:
    servers = [Server(0.34, frozen=(3, FOREVER)), Server(0.33), Server(0.33, seconds=0.5)]
    send(servers, until=20)
    assert servers[1].between(8, 20) > 0.97 * 1000 * 12


def test_who_returns_never_runs_ahead_of_who_carries_the_rest() -> None:
    servers = [Server(0.05, returning=True), Server(0.95, seconds=0.1, connections=1)]
    send(servers, until=60)
    assert parts(servers) == pytest.approx([0.05, 0.95], abs=0.02)


def test_who_returns_and_is_slow_holds_up_nobody() -> None:
    servers = [Server(0.5, returning=True, seconds=1, connections=1), Server(0.5)]
    send(servers, until=20)
    assert servers[1].between(4, 20) > 0.97 * 1000 * 16


def test_a_lane_that_comes_later_begins_level() -> None:
    split, early, late = Split(0.0), Server(1.0), Server(0.5)
    split.arrange([(1, early, 1.0, False)])
    for _ in range(1000):
        assert split.may_take(1, 0.0)
        split.took(1)
    split.arrange([(1, early, 0.5, False), (2, late, 0.5, False)])
    taken = 0
    while taken < 500 and split.may_take(2, 0.0):
        split.took(2)
        taken += 1
    assert taken < 20, "it owes nothing for the time before it came"


SPEEDS = st.lists(st.tuples(st.integers(1, 10), st.floats(0.006, 0.015)), min_size=2, max_size=4)


@settings(max_examples=40)
@given(SPEEDS)
def test_no_weights_cost_more_than_they_ask_while_all_are_about_as_fast(given_servers: list[tuple[int, float]]) -> None:
    whole = sum(weight for weight, _ in given_servers)
    servers = [Server(weight / whole, seconds=seconds) for weight, seconds in given_servers]
    send(servers, until=12)
    assert parts(servers) == pytest.approx([each.part for each in servers], abs=0.04)
    possible = min(10 / each.seconds / each.part for each in servers)
    assert sum(len(each.taken) for each in servers) > 0.85 * possible * 12


@settings(max_examples=40)
@given(SPEEDS, st.integers(0, 3), st.floats(0.0, 4.0))
def test_whoever_freezes_whenever_the_others_go_on(
    given_servers: list[tuple[int, float]], who: int, when: float
) -> None:
    whole = sum(weight for weight, _ in given_servers)
    servers = [Server(weight / whole, seconds=seconds) for weight, seconds in given_servers]
    servers[who % len(servers)].frozen = (when, FOREVER)
    send(servers, until=12)
    others = [each for each in servers if each.frozen[0] == FOREVER]
    rest = sum(each.part for each in others)
    possible = min(10 / each.seconds / (each.part / rest) for each in others)
    assert sum(each.between(when + 4, 12) for each in others) > 0.8 * possible * (12 - when - 4)
