"""What the monitor makes of a server: how it is looked at, and how probes and sending change its health."""

import functools
import ssl
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

from pydantic import TypeAdapter

from bot.access import HOLDFAST
from bot.clock import now
from bot.config import Settings
from bot.errors import SettingsError
from bot.monitor import verdict
from bot.monitor.probe import Limits, Probe, Target, probe
from bot.services.server_results import failure_text
from storage import servers, timeline
from storage.db import Database, Tx
from storage.models import Evidence, Health, Server
from storage.timeline import Entry

_DAMPING = TypeAdapter(verdict.Health)


class Judge:
    """Looks at servers and keeps what is known of their health. Whether an outage opens is decided elsewhere."""

    def __init__(self, db: Database, settings: Settings) -> None:
        self._db = db
        self._settings = settings

    @property
    def policy(self) -> verdict.Policy:
        """How much evidence it takes to judge a server, by the settings."""
        given = self._settings.probes
        return verdict.Policy(
            interval=timedelta(seconds=given.interval),
            retry_interval=timedelta(seconds=given.retry_interval),
            failures_to_open=given.failures_to_open,
            successes_to_close=given.successes_to_close,
            hold=timedelta(seconds=given.hold),
            sending_failures_to_open=given.sending_failures_to_open,
        )

    @property
    def limits(self) -> Limits:
        """How long each stage of a probe may take. The slow ones have twice the setting, as postscreen waits 6 s."""
        quick = timedelta(seconds=self._settings.probes.stage_timeout)
        slow = 2 * quick
        return Limits(
            dns=quick, connect=quick, greeting=slow, ehlo=quick, starttls=quick, auth=slow, mail=slow, rcpt=slow
        )

    def target(self, server: Server) -> Target:
        """Where and how to look at a server; its credentials come from the settings. Raises SettingsError."""
        given = self._settings.servers.get(server.name)
        return Target(
            host=server.host,
            port=server.port,
            tls=cast("Any", server.tls),
            username=given.username if given else None,
            password=given.password if given else None,
            context=_context(server.name, given.ca_file) if given and given.ca_file else None,
            helo=self._settings.sending.helo_name,
        )

    async def look(self, server: Server) -> Probe:
        """Probe a server now. The result is given back, not recorded."""
        return await probe(self.target(server), self.limits)

    def next_delay(self, server: Server, jitter: float) -> timedelta:
        """How long until the next probe; `jitter` is drawn between -1 and 1."""
        return verdict.next_delay(health_of(server, now()), self.policy, jitter)

    async def record_probe(self, server_id: int, seen: Probe) -> verdict.Change | None:
        """Take a probe into account. Returns the change of state that it made, if any."""
        async with self._db.transaction() as tx:
            server = (await servers.lock(tx, [server_id])).get(server_id)
            if server is None:
                return None
            health, change = verdict.observe(health_of(server, seen.at), seen.ok, seen.at, self.policy, deep=seen.deep)
            await servers.change(
                tx,
                server_id,
                **_columns(health),
                last_probe_at=seen.at,
                last_stage=None if seen.ok or seen.stage is None else seen.stage.value,
                last_code=None if seen.ok else seen.code,
                last_text=failure_text(seen),
                last_ms=round(seen.milliseconds),
            )
            await _tell_change(tx, server, change, "" if seen.ok else seen.sentence)
        return change

    async def record_sending(self, server_id: int, rows: Sequence[Evidence]) -> verdict.Change | None:
        """Take what sending saw into account, oldest first. Returns the change of state that it made, if any."""
        changes = []
        async with self._db.transaction() as tx:
            server = (await servers.lock(tx, [server_id])).get(server_id)
            if server is None or not rows:
                return None
            health = health_of(server, rows[0].at)
            for row in rows:
                health, change = verdict.observe_sending(health, row.failed, row.succeeded, row.at, self.policy)
                changes += [change] if change else []
            await servers.change(tx, server_id, **_columns(health))
            whole = replace(changes[-1], old=changes[0].old) if changes else None
            failed = [row for row in rows if row.failed]
            await _tell_change(tx, server, whole, _said(failed[-1]) if failed else "")
        return whole


async def _tell_change(tx: Tx, server: Server, change: verdict.Change | None, said: str) -> None:
    """Note a change of health. The team hears of it through the outage, so it is not announced by itself."""
    if change is None:
        return
    text = f"{server.name} is {change.new.value}" + (f": {said}" if said and change.new != verdict.State.UP else ".")
    touched = await servers.outages_of(tx, server.id)
    entry = Entry(
        f"server.{change.new.value}",
        text,
        HOLDFAST.id,
        change.at,
        outage_id=touched[-1].id if touched else None,
        server_id=server.id,
        data={"old": change.old.value, "evidence": change.evidence.value},
    )
    await timeline.record(tx, entry, post=False)
    for outage in touched:
        await timeline.ensure_post(tx, f"outage:{outage.id}", change.at)


def _said(row: Evidence) -> str:
    words = " ".join(str(part) for part in (row.code, row.text) if part)
    return f"{words or 'no answer'} at {row.stage}" if row.stage else words


def health_of(server: Server, at: datetime) -> verdict.Health:
    """What the verdict knows of a server. The columns are the truth, `damping` the rest."""
    known = _DAMPING.validate_python(server.damping) if server.damping else verdict.Health(since=at)
    state = verdict.State.UP if server.health == Health.UNCHECKED else verdict.State(server.health)
    return replace(
        known,
        state=state,
        since=server.health_since or known.since,
        failures=server.failures,
        successes=server.successes,
    )


def _columns(health: verdict.Health) -> dict[str, Any]:
    return {
        "health": health.state.value,
        "health_since": health.since,
        "failures": health.failures,
        "successes": health.successes,
        "damping": _DAMPING.dump_python(health, mode="json"),
    }


@functools.cache
def _context(name: str, ca_file: Path) -> ssl.SSLContext:
    """The trusted certificates of one file, read once."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise SettingsError(
            f"servers.{name}.ca_file: {ca_file} cannot be used ({error.strerror or error}). "
            "It must hold certificates in PEM."
        ) from error
