"""Maintenance windows: proposed in words, confirmed by a button, kept to the minute, ended by a look at the server."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from bot.access import Access, Actor
from bot.clock import now
from bot.config import Settings
from bot.services.campaigns import Campaigns
from bot.services.maintenance_picking import (
    Wanted,
    check_confirmable,
    check_free,
    collisions_of,
    length_of,
    said_of,
    to_cancel,
    window_of,
    wrong_state,
)
from bot.services.maintenance_shapes import Collision, MaintenanceResult, MaintenanceStatus, Proposal, collision_text
from bot.services.maintenance_steps import REMIND_BEFORE, Steps, tell
from bot.services.outages import Outages
from bot.services.servers import Servers
from bot.services.undo_notes import keep, words
from bot.services.when import lasting, parse_when, zone_of
from bot.services.words import moment
from storage import campaigns as campaign_store
from storage import maintenance, servers
from storage.db import Database, Tx
from storage.models import Maintenance, MaintenanceState, Server

__all__ = ["Collision", "MaintenanceResult", "MaintenanceStatus", "MaintenanceWindows", "Proposal"]


class MaintenanceWindows:
    """Times come in on a person's own clock and are kept in UTC, with the zone in which they were meant."""

    def __init__(
        self,
        db: Database,
        settings: Settings,
        access: Access,
        campaigns: Campaigns,
        servers_service: Servers,
        outages: Outages,
    ) -> None:
        self._db = db
        self.retry_after = timedelta(seconds=settings.probes.retry_interval)
        """How soon to look again at a server that could not be judged when its window ended."""
        self._undo_within = settings.asking.undo_expires_after
        self._access = access
        self._servers = servers_service
        self._steps = Steps(db, campaigns, servers_service, outages)
        self._subscribers: list[Callable[[], None]] = []

    def subscribe(self, changed: Callable[[], None]) -> None:
        """`changed` is called after every change that people make here, so that the scheduler looks again."""
        self._subscribers.append(changed)

    async def propose(
        self, actor: Actor, server_word: str, when_text: str, duration_text: str, reason: str = ""
    ) -> Proposal:
        """Work out what was meant, and what it collides with. Nothing is planned until somebody confirms it.

        Raises BadInputError: a time that is gone, skipped or doubled by a change of the clocks, a duration over 7 days;
        WrongStateError: another window of the server at that time.
        """
        self._access.require(actor, "maintenance.schedule")
        at = now()
        wanted = await self.to_propose(actor, server_word, when_text, duration_text, reason)
        server, window = wanted.server, wanted.window
        async with self._db.transaction() as tx:
            await check_free(tx, server, window.starts_at, window.ends_at, at)
            await maintenance.add(tx, window)
            text = f"{actor.mention} proposed a maintenance of {server.name}."
            await tell(tx, window, "maintenance.proposed", text, actor, at, card=False)
        return await self.status(window.id)

    async def to_propose(
        self, actor: Actor, server_word: str, when_text: str, duration_text: str, reason: str
    ) -> Wanted:
        """What was meant, not written down yet. Raises what `propose` raises."""
        at = now()
        server = await self._servers.find(server_word)
        zone = zone_of(when_text, actor.zone)
        starts_at = parse_when(when_text, actor.zone, at)
        window = Maintenance(
            server_id=server.id,
            starts_at=starts_at,
            ends_at=starts_at + length_of(duration_text),
            zone=zone,
            reason=said_of(reason) or None,
            created_by=actor.mention,
            created_at=at,
        )
        async with self._db.read() as tx:
            await check_free(tx, server, window.starts_at, window.ends_at, at)
        return Wanted(server, window)

    async def confirm(self, actor: Actor, window_id: int) -> MaintenanceResult:
        """Plan what was proposed. Raises WrongStateError when that was done, was too long ago, or does not fit now."""
        self._access.require(actor, "maintenance.schedule")
        at = now()
        async with self._db.transaction() as tx:
            window = await window_of(tx, window_id)
            server = (await servers.lock(tx, [window.server_id]))[window.server_id]
            await check_confirmable(tx, window, server, at)
            # Who plans it for so soon needs no reminder.
            soon = window.starts_at - at <= REMIND_BEFORE
            planned = await maintenance.move(
                tx,
                window.id,
                [MaintenanceState.PROPOSED],
                state=MaintenanceState.SCHEDULED,
                reminded_at=at if soon else None,
            )
            if planned is None:
                raise wrong_state(await window_of(tx, window_id), at)
            text = (
                f"{actor.mention} planned a maintenance of {server.name}: {moment(window.starts_at, at)} for "
                f"{lasting(window.ends_at - window.starts_at)}."
            )
            await tell(tx, planned, "maintenance.scheduled", text, actor, at)
            undo = await self._keep(tx, "confirm", planned, server, actor, at)
        self.changed()
        status = await self.status(window_id)
        sentences = [f"The maintenance of {server.name} is planned: {status.local} ({window.zone}), {status.utc} UTC."]
        if status.collisions:
            sentences.append(f"It will hold {collision_text(status.collisions)}.")
        return MaintenanceResult(status, " ".join(sentences) + words(undo), undo=undo)

    async def _keep(
        self, tx: Tx, verb: str, window: Maintenance, server: Server, actor: Actor, at: datetime, **more: str
    ) -> int:
        what = f"{'the plan' if verb == 'confirm' else 'the calling off'} of the maintenance of {server.name}"
        return await keep(tx, f"maintenance.{verb}", what, actor, at, self._undo_within, {"window": window.id, **more})

    async def cancel(self, actor: Actor, window_id: int | None = None) -> MaintenanceResult:
        """Call a window off; one that has begun ends now, and its server is looked at as at its planned end.

        None: the only one that is planned or under way. Raises NotFoundError, BadInputError, WrongStateError.
        """
        self._access.require(actor, "maintenance.cancel")
        at = now()
        async with self._db.transaction() as tx:
            window = await to_cancel(tx, window_id, at)
            server = (await servers.lock(tx, [window.server_id]))[window.server_id]
            seen_state = str(window.state)
            active = seen_state == MaintenanceState.ACTIVE
            if active:
                changed = await maintenance.cut_short(tx, window.id, at)
                text = f"{actor.mention} ended the maintenance of {server.name} early."
            else:
                seen = MaintenanceState(seen_state)
                changed = await maintenance.move(tx, window.id, [seen], state=MaintenanceState.CANCELLED)
                text = f"{actor.mention} called off the maintenance of {server.name}."
            if changed is None:
                raise wrong_state(await window_of(tx, window.id), at)
            card = seen_state != MaintenanceState.PROPOSED
            await tell(tx, changed, "maintenance.cancelled", text, actor, at, card=card)
            undo = None if active else await self._keep(tx, "cancel", changed, server, actor, at, state=seen_state)
        done = f"The maintenance of {server.name} is called off."
        if active:
            judged = await self._steps.end(window.id)
            done = f"The maintenance of {server.name} ends now."
            if not judged:
                done += f" {server.name} is being looked at; what was held goes on once it has answered often enough."
        self.changed()
        status = await self.status(window.id)
        said = f"{done} {status.outcome}" if status.outcome else done
        return MaintenanceResult(status, f"{said} This cannot be undone." if active else said + words(undo), undo=undo)

    async def list(self) -> Sequence[MaintenanceStatus]:
        """What is planned or under way in order of the starts, then the newest that are over."""
        at = now()
        async with self._db.read() as tx:
            ahead = await maintenance.in_states(tx, maintenance.AHEAD)
            over = await maintenance.recent(tx)
            return [await _status(tx, window, at) for window in [*ahead, *over]]

    async def status(self, window_id: int) -> MaintenanceStatus:
        async with self._db.read() as tx:
            return await _status(tx, await window_of(tx, window_id), now())

    # For the scheduler

    async def moments(self) -> Sequence[datetime]:
        """When something is to happen: reminders, starts and ends, in order; some may be overdue."""
        async with self._db.read() as tx:
            ahead = await maintenance.in_states(tx, maintenance.AHEAD)
        moments = {each.ends_at for each in ahead}
        for window in ahead:
            if window.state == MaintenanceState.SCHEDULED:
                moments.add(window.starts_at)
                moments |= {window.starts_at - REMIND_BEFORE} if window.reminded_at is None else set()
        return sorted(moments)

    async def tick(self, at: datetime | None = None) -> None:
        """Take every step that is due, however late: reminders, starts and ends. Every one is a conditional update."""
        await self._steps.tick(at or now())

    def changed(self) -> None:
        """Somebody changed a window: whoever subscribed looks again."""
        for changed in self._subscribers:
            changed()


async def _status(tx: Tx, window: Maintenance, at: datetime) -> MaintenanceStatus:
    server = await servers.get(tx, window.server_id)
    placed = await campaign_store.placed_by_id(tx, await maintenance.held_by(tx, window.id), at)
    return MaintenanceStatus(
        window=window,
        server=server.name if server else "a server that is gone",
        collisions=await _collisions(tx, window, at),
        held=tuple(sorted(each.campaign.name for each in placed)),
        outcome=await maintenance.outcome(tx, window.id),
        at=at,
    )


async def _collisions(tx: Tx, window: Maintenance, at: datetime) -> tuple[Collision, ...]:
    if window.state not in {MaintenanceState.PROPOSED, MaintenanceState.SCHEDULED}:
        return ()
    return await collisions_of(tx, window.server_id, at)
