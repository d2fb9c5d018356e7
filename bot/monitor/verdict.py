"""From single observations to up, suspected or down, without crying wolf. Pure: no clock, no network.

Two kinds of evidence count. A probe that fails makes a server suspected, three in a row make it down; two
passes and a hold bring it back. Mail that fails to go out, when the server is to blame, counts as well: a
few failures in a row make it suspected and ask for a probe at once, many make it down although the probe
passes ("452 4.3.1 Insufficient system storage" after a friendly EHLO). A server that its mail brought down
is not up again because it greets well: that takes a probe with MAIL and RCPT, mail that goes out, or a
longer silence.

A server that falls again soon after it came back is flapping: the same trouble goes on, and each return has
to hold twice as long as the last.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum


class State(StrEnum):
    UP = "up"
    SUSPECTED = "suspected"
    DOWN = "down"


class Evidence(StrEnum):
    PROBE = "probe"
    SENDING = "sending"


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How much evidence it takes. `jitter` is the largest part of a delay that chance adds or takes away."""

    interval: timedelta = timedelta(seconds=15)
    retry_interval: timedelta = timedelta(seconds=2)
    jitter: float = 0.1
    failures_to_open: int = 3
    successes_to_close: int = 2
    hold: timedelta = timedelta(seconds=5)
    longest_hold: timedelta = timedelta(minutes=5)
    flapping_within: timedelta = timedelta(minutes=10)
    fail_back_after: timedelta = timedelta(minutes=5)
    sending_window: timedelta = timedelta(seconds=60)
    sending_failures_to_suspect: int = 3
    sending_failures_to_open: int = 20
    sending_failing_share: float = 0.5
    sending_hold: timedelta = timedelta(seconds=60)


@dataclass(frozen=True, kw_only=True)
class Sending:
    """What the mail itself showed.

    `run` is failures since the last success, `good` successes since the last failure, `failed` and
    `succeeded` the counts of the present window. Failures run from `failing_since` to `last_failure`.
    """

    run: int = 0
    good: int = 0
    failed: int = 0
    succeeded: int = 0
    window_began: datetime | None = None
    failing_since: datetime | None = None
    last_failure: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Health:
    """What is known of one server. `failures` and `successes` are probes in a row.

    `since` is when the state began, `trouble_since` the first bad sign of the present trouble, `opened_by`
    what made it down or would have by now, `good_since` the first pass of the present run, `closed_at` when it
    last came back and `relapses` how often it fell again soon after.
    """

    since: datetime
    state: State = State.UP
    failures: int = 0
    successes: int = 0
    trouble_since: datetime | None = None
    good_since: datetime | None = None
    opened_by: Evidence | None = None
    closed_at: datetime | None = None
    relapses: int = 0
    probe_due: bool = False
    sending: Sending = Sending()


@dataclass(frozen=True)
class Change:
    """A server's state changed. `started` is the first bad sign; `relapse` says that it is the old trouble."""

    old: State
    new: State
    at: datetime
    evidence: Evidence
    started: datetime
    relapse: bool = False


def observe(
    health: Health, ok: bool, at: datetime, policy: Policy, *, deep: bool = False
) -> tuple[Health, Change | None]:
    """Takes in one probe. `deep` says that it went through MAIL and RCPT."""
    health = replace(health, probe_due=False)
    return _passed(health, at, policy, deep=deep) if ok else _failed(health, at, policy)


def observe_sending(
    health: Health, failed: int, succeeded: int, at: datetime, policy: Policy
) -> tuple[Health, Change | None]:
    """Takes in a batch of results of real mail since the last call.

    `failed` counts only what is the server's fault or the line's (connection lost, 4xx or 5xx that is not
    about the recipient). A success inside a batch ends the run of failures, since their order is not known.
    """
    if failed < 0 or succeeded < 0:
        raise ValueError(f"counts of results cannot be negative: {failed} failed, {succeeded} succeeded")
    if not failed and not succeeded:
        return health, None
    sending = _counted(health.sending, failed, succeeded, at, policy)
    health = replace(health, sending=sending)
    if not failed:
        return health, None
    if health.state is State.DOWN:
        return replace(health, successes=0, good_since=None), None
    if _sending_is_down(sending, policy):
        return _change(health, State.DOWN, at, Evidence.SENDING, policy)
    if health.state is State.UP and sending.run >= policy.sending_failures_to_suspect:
        return _change(replace(health, probe_due=True), State.SUSPECTED, at, Evidence.SENDING, policy)
    return health, None


def next_delay(health: Health, policy: Policy, jitter: float) -> timedelta:
    """How long to wait before the next probe; zero when one is due at once.

    `jitter` is drawn by the caller between -1 and 1, so that many servers are not probed in step.
    """
    if health.probe_due:
        return timedelta(0)
    uncertain = health.state is State.SUSPECTED or (health.state is State.DOWN and health.successes > 0)
    delay = policy.retry_interval if uncertain else policy.interval
    return delay * (1 + policy.jitter * max(-1.0, min(1.0, jitter)))


def hold_of(health: Health, policy: Policy) -> timedelta:
    """How long the passes must go on before the server counts as up; doubled by every relapse."""
    return min(policy.hold * (1 << min(health.relapses, 20)), policy.longest_hold)


def may_fail_back(health: Health, at: datetime, policy: Policy) -> bool:
    """Moving mail back to a server waits longer than closing its outage."""
    return health.state is State.UP and at - health.since >= policy.fail_back_after


def _failed(health: Health, at: datetime, policy: Policy) -> tuple[Health, Change | None]:
    health = replace(health, failures=health.failures + 1, successes=0, good_since=None)
    if health.state is not State.DOWN and health.failures >= policy.failures_to_open:
        return _change(health, State.DOWN, at, Evidence.PROBE, policy)
    if health.state is State.UP:
        return _change(health, State.SUSPECTED, at, Evidence.PROBE, policy)
    if health.state is State.DOWN and health.failures >= policy.failures_to_open:
        # Probes see by themselves what the mail saw first, so that their passes will tell of its end as well.
        health = replace(health, opened_by=Evidence.PROBE)
    return health, None


def _passed(health: Health, at: datetime, policy: Policy, *, deep: bool) -> tuple[Health, Change | None]:
    health = replace(health, failures=0, successes=health.successes + 1, good_since=health.good_since or at)
    if health.state is State.UP or health.successes < policy.successes_to_close:
        return health, None
    if health.state is State.SUSPECTED and not _mail_fails(health.sending, at, policy, policy.sending_window):
        return _change(health, State.UP, at, Evidence.PROBE, policy)
    if health.state is State.DOWN and _may_close(health, at, policy, deep=deep):
        return _change(health, State.UP, at, Evidence.PROBE, policy)
    return health, None


def _may_close(health: Health, at: datetime, policy: Policy, *, deep: bool) -> bool:
    if health.good_since is None or at - health.good_since < hold_of(health, policy):
        return False
    if health.opened_by is not Evidence.SENDING or deep:
        return True
    return not _mail_fails(health.sending, at, policy, max(policy.sending_hold, hold_of(health, policy)))


def _mail_fails(sending: Sending, at: datetime, policy: Policy, within: timedelta) -> bool:
    """Whether the last that was heard of real mail is failures, and not longer ago than `within`.

    As many successes in a row as failures make a suspicion clear it; one may be a straggler.
    """
    fresh = sending.last_failure is not None and at - sending.last_failure < within
    return fresh and sending.good < policy.sending_failures_to_suspect


def _counted(sending: Sending, failed: int, succeeded: int, at: datetime, policy: Policy) -> Sending:
    if sending.window_began is None or at - sending.window_began >= policy.sending_window:
        sending = replace(sending, window_began=at, failed=0, succeeded=0)
    sending = replace(sending, failed=sending.failed + failed, succeeded=sending.succeeded + succeeded)
    if not failed:
        return replace(sending, run=0, good=sending.good + succeeded)
    goes_on = _mail_fails(sending, at, policy, policy.sending_window)
    return replace(
        sending,
        run=0 if succeeded else failed + (sending.run if goes_on else 0),
        good=0,
        failing_since=sending.failing_since if goes_on else at,
        last_failure=at,
    )


def _sending_is_down(sending: Sending, policy: Policy) -> bool:
    if sending.run >= policy.sending_failures_to_open:
        return True
    many = sending.failed >= policy.sending_failures_to_open
    return many and sending.failed > policy.sending_failing_share * (sending.failed + sending.succeeded)


def _change(health: Health, new: State, at: datetime, evidence: Evidence, policy: Policy) -> tuple[Health, Change]:
    started = health.trouble_since or _first_sign(health.sending, at, policy)
    relapse = new is State.DOWN and _is_relapse(health, started, policy)
    change = Change(health.state, new, at, evidence, started, relapse)
    health = replace(health, state=new, since=at, trouble_since=started)
    if new is State.DOWN:
        # What mail brought down is probed at once: the stage that fails helps to find the cause.
        due = evidence is Evidence.SENDING
        relapses = health.relapses + 1 if relapse else 0
        health = replace(health, opened_by=evidence, relapses=relapses, probe_due=due)
    elif new is State.UP:
        health = replace(health, trouble_since=None, opened_by=None)
        if change.old is State.DOWN:
            health = replace(health, closed_at=at, sending=Sending())
    return health, change


def _first_sign(sending: Sending, at: datetime, policy: Policy) -> datetime:
    since = sending.failing_since
    return since if since and _mail_fails(sending, at, policy, policy.sending_window) else at


def _is_relapse(health: Health, started: datetime, policy: Policy) -> bool:
    return health.closed_at is not None and started - health.closed_at < policy.flapping_within
