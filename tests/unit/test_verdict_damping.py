"""When a server is suspected, when it is down, and when it is up again."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.monitor.verdict import (
    Change,
    Evidence,
    Health,
    Policy,
    State,
    hold_of,
    may_fail_back,
    next_delay,
    observe,
    observe_sending,
)

START = datetime(2026, 11, 24, 2, tzinfo=UTC)
POLICY = Policy()


class Story:
    """One server's history; `t` is seconds since the start."""

    def __init__(self, policy: Policy = POLICY) -> None:
        self.policy = policy
        self.health = Health(since=START)
        self.changes: list[Change] = []

    def probe(self, t: float, ok: bool, *, deep: bool = False) -> State:
        at = START + timedelta(seconds=t)
        self.health, change = observe(self.health, ok, at, self.policy, deep=deep)
        return self._noted(change)

    def mail(self, t: float, failed: int = 0, succeeded: int = 0) -> State:
        at = START + timedelta(seconds=t)
        self.health, change = observe_sending(self.health, failed, succeeded, at, self.policy)
        return self._noted(change)

    def down_by_probes(self, t: float = 0) -> "Story":
        for second in range(3):
            self.probe(t + second, ok=False)
        assert self.health.state is State.DOWN
        return self

    def _noted(self, change: Change | None) -> State:
        self.changes += [change] if change else []
        return self.health.state


def test_it_suspects_at_the_first_failure_and_is_sure_at_the_third() -> None:
    story = Story()
    assert [story.probe(t, ok=False) for t in (10, 12, 14, 16)] == ["suspected", "suspected", "down", "down"]
    first, second = story.changes
    assert (first.old, first.new, first.evidence) == ("up", "suspected", Evidence.PROBE)
    assert (second.old, second.new) == ("suspected", "down")
    assert second.started == START + timedelta(seconds=10)
    assert second.at == START + timedelta(seconds=14)


def test_it_tries_again_fast_once_the_first_fails() -> None:
    story = Story()
    assert next_delay(story.health, POLICY, 0) == timedelta(seconds=15)
    story.probe(0, ok=False)
    assert next_delay(story.health, POLICY, 0) == timedelta(seconds=2)
    story.down_by_probes()
    assert next_delay(story.health, POLICY, 0) == timedelta(seconds=15)
    story.probe(20, ok=True)
    assert next_delay(story.health, POLICY, 0) == timedelta(seconds=2)


def test_it_spreads_probes_by_chance_within_the_policy() -> None:
    health = Health(since=START)
    assert next_delay(health, POLICY, 1) == timedelta(seconds=16.5)
    assert next_delay(health, POLICY, -1) == timedelta(seconds=13.5)
    assert next_delay(health, POLICY, 7) == timedelta(seconds=16.5)


def test_it_drops_a_suspicion_after_two_passes() -> None:
    story = Story()
    story.probe(0, ok=False)
    assert story.probe(2, ok=True) == "suspected"
    assert story.probe(4, ok=True) == "up"
    assert story.health.trouble_since is None


def test_it_keeps_suspecting_a_server_that_fails_every_other_time() -> None:
    story = Story()
    states = {story.probe(2 * n, ok=bool(n % 2)) for n in range(100)}
    assert states == {"suspected"}
    assert len(story.changes) == 1


def test_it_is_up_again_after_two_passes_and_a_hold() -> None:
    story = Story().down_by_probes()
    assert story.probe(20, ok=True) == "down"
    assert story.probe(22, ok=True) == "down"
    assert story.probe(24.9, ok=True) == "down"
    assert story.probe(25, ok=True) == "up"
    assert story.changes[-1].started == START


def test_it_starts_the_hold_again_at_each_failure() -> None:
    story = Story().down_by_probes()
    for t, ok in ((20, True), (22, True), (24, False), (26, True), (30, True)):
        assert story.probe(t, ok) == "down"
    assert story.probe(31, ok=True) == "up"


def test_it_calls_falling_again_soon_a_relapse_and_holds_longer_each_time() -> None:
    story = Story().down_by_probes()
    for t in (20, 22, 26):
        story.probe(t, ok=True)
    assert not story.changes[1].relapse

    story.down_by_probes(100)
    assert story.changes[-1].relapse
    assert hold_of(story.health, POLICY) == timedelta(seconds=10)
    assert [story.probe(t, ok=True) for t in (110, 116, 120)] == ["down", "down", "up"]

    story.down_by_probes(200)
    assert hold_of(story.health, POLICY) == timedelta(seconds=20)


def test_it_calls_falling_again_much_later_a_new_trouble() -> None:
    story = Story().down_by_probes()
    for t in (20, 22, 26):
        story.probe(t, ok=True)
    story.down_by_probes(26 + 600)
    assert not story.changes[-1].relapse
    assert hold_of(story.health, POLICY) == POLICY.hold


def test_it_never_holds_longer_than_the_longest_hold() -> None:
    assert hold_of(Health(since=START, relapses=10**6), POLICY) == POLICY.longest_hold


def test_it_moves_mail_back_later_than_it_closes() -> None:
    health = Health(since=START)
    assert not may_fail_back(health, START + timedelta(seconds=299), POLICY)
    assert may_fail_back(health, START + timedelta(seconds=300), POLICY)
    assert not may_fail_back(Story().down_by_probes().health, START + timedelta(days=1), POLICY)


def test_it_suspects_a_server_whose_mail_fails_and_asks_for_a_probe_at_once() -> None:
    story = Story()
    assert story.mail(5, failed=2) == "up"
    assert story.mail(6, failed=1) == "suspected"
    assert story.changes[0].evidence is Evidence.SENDING
    assert story.changes[0].started == START + timedelta(seconds=5)
    assert next_delay(story.health, POLICY, 0) == timedelta(0)
    story.probe(6.1, ok=True)
    assert next_delay(story.health, POLICY, 0) == timedelta(seconds=2)


def test_it_forgets_single_failures_long_ago() -> None:
    story = Story()
    for minute in range(30):
        assert story.mail(minute * 61, failed=1) == "up"
    assert story.mail(2000, failed=3) == "suspected"
    assert story.changes[0].started == START + timedelta(seconds=2000)


def test_it_opens_for_mail_that_fails_slowly_although_probes_pass() -> None:
    story = Story()
    for n in range(19):
        story.mail(n * 10, failed=1)
        story.probe(n * 10 + 4, ok=True)
        story.probe(n * 10 + 9, ok=True)
        assert story.health.state is not State.DOWN
    assert story.mail(190, failed=1) == "down"
    assert [change.new for change in story.changes] == ["suspected", "down"]


def test_it_opens_when_more_than_half_of_the_mail_fails() -> None:
    story = Story()
    for n in range(5):
        story.mail(n, failed=4, succeeded=4)
    assert story.health.state is State.UP
    assert story.mail(6, failed=3, succeeded=2) == "down"
    assert story.health.opened_by is Evidence.SENDING


def test_it_lives_with_a_few_failures_among_many_successes() -> None:
    story = Story()
    assert {story.mail(n, failed=20, succeeded=180) for n in range(50)} == {"up"}


def test_it_is_up_again_by_its_probes_when_these_had_seen_the_same_as_its_mail() -> None:
    story = Story()
    assert story.mail(0, failed=20) == "down"
    for t in (1, 2, 3):
        assert story.probe(t, ok=False) == "down"
    assert story.health.opened_by is Evidence.PROBE
    assert story.probe(4, ok=True) == "down"
    assert story.probe(9, ok=True) == "up"


def test_it_is_not_up_again_because_it_greets_well() -> None:
    story = Story()
    assert story.mail(0, failed=20) == "down"
    for t in range(2, 60, 2):
        assert story.probe(t, ok=True) == "down"
    assert story.probe(60, ok=True) == "up"


def test_it_is_up_again_when_probes_get_through_mail_and_rcpt() -> None:
    story = Story()
    story.mail(0, failed=20)
    assert story.probe(2, ok=True, deep=True) == "down"
    assert story.probe(7, ok=True, deep=True) == "up"


def test_it_is_up_again_when_real_mail_goes_out() -> None:
    story = Story()
    story.mail(0, failed=20)
    story.mail(1, succeeded=1)
    story.probe(2, ok=True)
    assert story.probe(7, ok=True) == "down"
    story.mail(8, succeeded=2)
    assert story.probe(9, ok=True) == "up"


def test_it_waits_again_after_every_further_failure_of_mail() -> None:
    story = Story()
    story.mail(0, failed=20)
    story.probe(2, ok=True)
    story.mail(50, failed=1)
    assert story.probe(70, ok=True) == "down"
    assert story.probe(109, ok=True) == "down"
    assert story.probe(110, ok=True) == "up"


def test_it_begins_with_a_clean_sheet_after_coming_back() -> None:
    story = Story()
    story.mail(0, failed=20)
    story.probe(2, ok=True, deep=True)
    story.probe(7, ok=True, deep=True)
    assert story.mail(8, failed=1) == "up"


def test_it_refuses_negative_counts() -> None:
    with pytest.raises(ValueError, match="cannot be negative"):
        Story().mail(0, failed=-1)


EVENTS = st.lists(
    st.tuples(
        st.floats(min_value=0, max_value=90),
        st.one_of(
            st.tuples(st.just("probe"), st.booleans(), st.booleans()),
            st.tuples(st.just("mail"), st.integers(0, 25), st.integers(0, 25)),
        ),
    ),
    max_size=60,
)


@given(EVENTS)
def test_it_keeps_its_promises_in_any_history(events: list[tuple[float, tuple[str, int, int]]]) -> None:
    story = Story()
    t, failures, failed_mail = 0.0, 0, 0
    passes: list[float] = []
    for pause, (kind, one, two) in events:
        t += pause
        before, seen = story.health, len(story.changes)
        if kind == "probe":
            story.probe(t, bool(one), deep=bool(two))
            failures = 0 if one else failures + 1
            passes = [*passes, t] if one else []
        else:
            story.mail(t, failed=one, succeeded=two)
            failed_mail += one
        after = story.health

        assert len(story.changes) - seen == (before.state is not after.state)
        if before.state is after.state:
            assert after.since == before.since
            continue
        change = story.changes[-1]
        assert (change.old, change.new) == (before.state, after.state)
        assert START <= change.started <= change.at == after.since
        assert (before.state, after.state) != (State.DOWN, State.SUSPECTED)
        if after.state is State.DOWN:
            assert failures >= 3 or failed_mail >= 20
        if after.state is State.UP:
            assert len(passes) >= 2
            assert after.trouble_since is None
        if before.state is State.DOWN:
            assert t - passes[0] >= POLICY.hold.total_seconds() - 1e-3
            failed_mail = 0


@given(EVENTS)
def test_it_comes_back_from_any_history_when_all_is_well(
    events: list[tuple[float, tuple[str, int, int]]],
) -> None:
    story = Story()
    t = 0.0
    for pause, (kind, one, two) in events:
        t += pause
        if kind == "probe":
            story.probe(t, bool(one), deep=bool(two))
        else:
            story.mail(t, failed=one, succeeded=two)
    for n in range(40):
        story.probe(t + n * 10, ok=True)
    assert story.health.state is State.UP


@given(EVENTS, st.floats(-1, 1))
def test_it_never_waits_longer_than_the_interval_and_its_jitter(
    events: list[tuple[float, tuple[str, int, int]]], jitter: float
) -> None:
    story = Story()
    t = 0.0
    for pause, (kind, one, two) in events:
        t += pause
        if kind == "probe":
            story.probe(t, bool(one), deep=bool(two))
        else:
            story.mail(t, failed=one, succeeded=two)
        assert timedelta(0) <= next_delay(story.health, POLICY, jitter) <= timedelta(seconds=16.5)
