"""What the servers service gives back, and the words that go with it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bot.access import HOLDFAST, Actor
from bot.monitor.probe import Probe, Reason
from bot.services.provider_paces import SlowedProvider
from bot.services.undo_notes import words
from bot.services.words import few, joined, moment, stage_name
from storage.campaigns import Placed
from storage.models import Health, Maintenance, Outage, Server

MAINTENANCE = "maintenance"
DRAINED = "drained"


@dataclass(frozen=True)
class Return:
    """A server that grows back into its work after a failover: it carries `part` of its own mail at this moment."""

    part: float
    until: datetime
    """When it carries all of it."""
    source: str
    """Who carries the rest."""


@dataclass(frozen=True)
class ServerRow:
    """A server as it is now. `state` is the effective one: maintenance, drained, or its health."""

    server: Server
    state: str
    window: Maintenance | None
    """The maintenance window that it is in."""
    outage: Outage | None
    """Its unresolved outage."""
    backup: str | None
    carrier: str | None
    """The server that carries its campaigns instead of it; None when it does so itself."""
    carries_for: Sequence[str]
    """The servers whose campaigns it carries for them."""
    campaigns: Sequence[str]
    """The names of the live campaigns that go through it now."""
    slowed: Sequence[SlowedProvider] = ()
    """The receiving providers that put off what goes through it; only where one server is looked at."""
    at: datetime | None = None
    """When it was looked at."""
    part: float | None = None
    """What it carries of its pool's mail now; None without a pool."""
    returns: Return | None = None
    """How far it has returned after a failover; None when it is not returning."""

    @property
    def name(self) -> str:
        return self.server.name

    @property
    def failure(self) -> str:
        """What its last probe failed with, as `421 4.3.2 busy at greeting`; empty when it passed."""
        server = self.server
        if server.last_stage is None:
            return ""
        said = " ".join(str(part) for part in (server.last_code, server.last_text) if part)
        return f"{said or 'no answer'} at {stage_name(server.last_stage)}"


ServerStatus = ServerRow


@dataclass(frozen=True)
class AddResult:
    server: Server
    probe: Probe
    """What its first look found; a server that does not answer is added all the same."""
    text: str


@dataclass(frozen=True)
class DrainResult:
    """`moved` campaigns go through `carrier` now; `held` ones are paused, since there is none that could."""

    server: Server
    carrier: str | None
    moved: Sequence[str]
    held: Sequence[str]
    text: str
    undo: int | None = field(default=None, kw_only=True)
    """The number by which exactly this can be undone."""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class RestoreResult:
    """`campaigns` are the live ones that go through the server again; `paused` those of them that stand still."""

    server: Server
    campaigns: Sequence[str]
    paused: Sequence[str]
    text: str
    undo: int | None = field(default=None, kw_only=True)
    """The number by which exactly this can be undone."""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class FailoverResult:
    """`campaigns` are all live ones that `backup` carries now; `released` those that were held and go on by it."""

    server: Server
    backup: Server
    campaigns: Sequence[str]
    released: Sequence[str]
    text: str
    undo: int | None = field(default=None, kw_only=True)
    """The number by which exactly this can be undone."""

    def __str__(self) -> str:
        return self.text


# What failed, where the server gave no reply to quote. Stands before "at STAGE".
_REASONS = {
    Reason.NOT_FOUND: "name not found",
    Reason.DNS: "no answer from DNS",
    Reason.REFUSED: "connection refused",
    Reason.UNREACHABLE: "host unreachable",
    Reason.TIMEOUT: "no answer",
    Reason.RESET: "connection reset",
    Reason.CLOSED: "connection closed",
    Reason.MALFORMED: "an answer that is no SMTP",
    Reason.NOT_OFFERED: "not offered",
    Reason.TLS: "TLS handshake failed",
    Reason.CERTIFICATE_EXPIRED: "certificate expired",
    Reason.CERTIFICATE_NAME: "certificate of another name",
    Reason.CERTIFICATE_SELF_SIGNED: "self-signed certificate",
    Reason.CERTIFICATE_UNTRUSTED: "untrusted certificate",
}


def failure_text(seen: Probe) -> str | None:
    """The reply's text with its enhanced code, or else what happened; None when the probe passed."""
    if seen.ok:
        return None
    said = " ".join(part for part in (seen.enhanced, seen.text) if part)
    return said or (_REASONS.get(seen.reason, "a failure") if seen.reason else "a failure")


def by_way_of(placed: Placed) -> str:
    """The servers that carry a campaign now: `backup`, or `relay-a and relay-b (pool marketing)`."""
    names = joined([server.name for server in placed.through])
    return f"{names} (pool {placed.pool})" if placed.pool else names


def effective_state(server: Server, window: Maintenance | None) -> str:
    if window is not None:
        return MAINTENANCE
    return DRAINED if server.drained_at is not None else server.health


def drain_text(
    name: str, carrier: str | None, moved: Sequence[str], held: Sequence[str], why: str, undo_id: int | None = None
) -> str:
    undo = words(undo_id)
    if moved and carrier:
        return f"{name} is drained. {few(moved)} {_go(moved)} on through {carrier}.{undo}"
    if held:
        return f"{name} is drained. {why} {few(held)} {'is' if len(held) == 1 else 'are'} paused.{undo}"
    rest = f" What is started meanwhile goes through {carrier}." if carrier else ""
    return f"{name} is drained; nothing was being sent through it.{rest}{undo}"


def failover_text(
    name: str,
    backup: str,
    campaigns: Sequence[str],
    released: Sequence[str],
    undo: int | None = None,
    pool: str | None = None,
) -> str:
    rest = f"; {few(released)} had been held and {_go(released)} on" if released else ""
    if pool:
        part = f" of {few(campaigns)}" if campaigns else ""
        return f"{name} is failed over to {backup}, which takes its part{part} in pool {pool}{rest}.{words(undo)}"
    moved = f"{few(campaigns)} {_go(campaigns)} through {backup} now" if campaigns else "no campaign uses it now"
    return f"{name} is failed over to {backup}: {moved}{rest}.{words(undo)}"


def percent(part: float) -> str:
    """`40 %`; what is neither nothing nor all is never rounded to that."""
    return f"{min(max(round(part * 100), 1), 99) if 0 < part < 1 else round(part * 100)} %"


def returns_phrase(returns: Return, at: datetime) -> str:
    """`5 % of its mail now, all at 03:20; backup carries the rest`."""
    now_and_then = f"{percent(returns.part)} of its mail now, all at {moment(returns.until, at)}"
    return f"{now_and_then}; {returns.source} carries the rest"


def restored_text(name: str, actor: Actor, returns: Return | None, undo: int, at: datetime) -> str:
    """For the thread. What policy did nobody was answered, so that the way back stands there."""
    grows = f" It returns: {returns_phrase(returns, at)}." if returns else ""
    if actor != HOLDFAST:
        return f"{actor.mention} put {name} back to use.{grows}"
    return f"{name} has been well for long enough and is put back to use by policy.{grows}{words(undo)}"


def restore_text(
    name: str,
    campaigns: Sequence[str],
    paused: Sequence[str],
    undo: int | None = None,
    returns: Return | None = None,
    at: datetime | None = None,
) -> str:
    sentences = [f"{name} is in use again."]
    going = [each for each in campaigns if each not in paused]
    if returns is not None and at is not None:
        sentences = [f"{name} is in use again and returns slowly: {returns_phrase(returns, at)}."]
        sentences.append(f"All of it at once: /server restore {name} whole.")
    elif going:
        sentences.append(f"{few(going)} {_go(going)} through it.")
    if paused:
        still = "is" if len(paused) == 1 else "are"
        sentences.append(f"{few(paused)} {still} still paused: /campaign resume {_one(paused)}")
    return " ".join(sentences) + (f".{words(undo)}" if paused and undo else words(undo))


def unusable(server: Server, window: Maintenance | None, at: datetime) -> str | None:
    """Why no mail may go through a server, by what is known of it; None when it may."""
    name = server.name
    if window is not None:
        return f"{name} is in maintenance until {moment(window.ends_at, at)}."
    if server.drained_at is not None:
        return f"{name} is drained by {server.drained_by}."
    if server.health == Health.DOWN:
        return f"{name} is down."
    return None


def _go(names: Sequence[str]) -> str:
    return "goes" if len(names) == 1 else "go"


def _one(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else "all"
