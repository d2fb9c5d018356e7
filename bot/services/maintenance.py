"""Maintenance windows: proposed in words, confirmed by a button, kept to the minute, ended by a look at the server."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from bot.access import Access, Actor
from bot.clock import now
from bot.config import Settings
from bot.errors import BadInputError, NotFoundError, WrongStateError
from bot.services.campaigns import Campaigns
from bot.services.maintenance_shapes import Collision, MaintenanceResult, MaintenanceStatus, Proposal, collision_text
from bot.services.maintenance_steps import CONFIRM_WITHIN, REMIND_BEFORE, Steps, tell
from bot.services.outages import Outages
from bot.services.servers import Servers
from bot.services.when import lasting, parse_duration, parse_when, zone_of
from bot.services.words import joined, moment
from storage import campaigns as campaign_store
from storage import deliveries, maintenance, servers
from storage.db import Database, Tx
from storage.models import CampaignState, DeliveryStatus, Maintenance, MaintenanceState, Server

__all__ = ["Collision", "MaintenanceResult", "MaintenanceStatus", "MaintenanceWindows", "Proposal"]

_LONGEST = timedelta(days=7)
_SHORTEST = timedelta(minutes=1)
_REASON_MAX = 300
_COLLIDING = (CampaignState.SENDING, CampaignState.SCHEDULED)
_CANCELLABLE = (MaintenanceState.PROPOSED, *maintenance.AHEAD)


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
        server = await self._servers.find(server_word)
        zone = zone_of(when_text, actor.zone)
        starts_at = parse_when(when_text, actor.zone, at)
        length = _length(duration_text)
        said = " ".join(reason.split())
        if len(said) > _REASON_MAX:
            raise BadInputError(f"The reason has {len(said):,} characters. Keep it to {_REASON_MAX}.")
        async with self._db.transaction() as tx:
            await _check_free(tx, server, starts_at, starts_at + length, at)
            window = Maintenance(
                server_id=server.id,
                starts_at=starts_at,
                ends_at=starts_at + length,
                zone=zone,
                reason=said or None,
                created_by=actor.mention,
                created_at=at,
            )
            await maintenance.add(tx, window)
            text = f"{actor.mention} proposed a maintenance of {server.name}."
            await tell(tx, window, "maintenance.proposed", text, actor, at, card=False)
        return await self.status(window.id)

    async def confirm(self, actor: Actor, window_id: int) -> MaintenanceResult:
        """Plan what was proposed. Raises WrongStateError when that was done, was too long ago, or does not fit now."""
        self._access.require(actor, "maintenance.schedule")
        at = now()
        async with self._db.transaction() as tx:
            window = await _get(tx, window_id)
            server = (await servers.lock(tx, [window.server_id]))[window.server_id]
            await _check_confirmable(tx, window, server, at)
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
                raise _wrong_state(await _get(tx, window_id), at)
            text = (
                f"{actor.mention} planned a maintenance of {server.name}: {moment(window.starts_at, at)} for "
                f"{lasting(window.ends_at - window.starts_at)}."
            )
            await tell(tx, planned, "maintenance.scheduled", text, actor, at)
        self._changed()
        status = await self.status(window_id)
        sentences = [f"The maintenance of {server.name} is planned: {status.local} ({window.zone}), {status.utc} UTC."]
        if status.collisions:
            sentences.append(f"It will hold {collision_text(status.collisions)}.")
        sentences.append(f"Undo it with /maintenance cancel {window_id}")
        return MaintenanceResult(status, " ".join(sentences))

    async def cancel(self, actor: Actor, window_id: int | None = None) -> MaintenanceResult:
        """Call a window off; one that has begun ends now, and its server is looked at as at its planned end.

        None: the only one that is planned or under way. Raises NotFoundError, BadInputError, WrongStateError.
        """
        self._access.require(actor, "maintenance.cancel")
        at = now()
        async with self._db.transaction() as tx:
            window = await _chosen(tx, window_id, at)
            server = (await servers.lock(tx, [window.server_id]))[window.server_id]
            active = window.state == MaintenanceState.ACTIVE
            if active:
                changed = await maintenance.cut_short(tx, window.id, at)
                text = f"{actor.mention} ended the maintenance of {server.name} early."
            else:
                seen = MaintenanceState(window.state)
                changed = await maintenance.move(tx, window.id, [seen], state=MaintenanceState.CANCELLED)
                text = f"{actor.mention} called off the maintenance of {server.name}."
            if changed is None:
                raise _wrong_state(await _get(tx, window.id), at)
            card = window.state != MaintenanceState.PROPOSED
            await tell(tx, changed, "maintenance.cancelled", text, actor, at, card=card)
        done = f"The maintenance of {server.name} is called off."
        if active:
            judged = await self._steps.end(window.id)
            done = f"The maintenance of {server.name} ends now."
            if not judged:
                done += f" {server.name} is being looked at; what was held goes on once it has answered often enough."
        self._changed()
        status = await self.status(window.id)
        return MaintenanceResult(status, f"{done} {status.outcome}" if status.outcome else done)

    async def list(self) -> Sequence[MaintenanceStatus]:
        """What is planned or under way in order of the starts, then the newest that are over."""
        at = now()
        async with self._db.read() as tx:
            ahead = await maintenance.in_states(tx, maintenance.AHEAD)
            over = await maintenance.recent(tx)
            return [await _status(tx, window, at) for window in [*ahead, *over]]

    async def status(self, window_id: int) -> MaintenanceStatus:
        async with self._db.read() as tx:
            return await _status(tx, await _get(tx, window_id), now())

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

    def _changed(self) -> None:
        for changed in self._subscribers:
            changed()


def _length(text: str) -> timedelta:
    length = parse_duration(text)
    if length > _LONGEST:
        raise BadInputError(
            f"{lasting(length)} is longer than 7 days. Plan a shorter window, or drain the server: /server drain NAME"
        )
    if length < _SHORTEST:
        raise BadInputError(f"{lasting(length)} is shorter than a minute. Plan a longer window.")
    return length


async def _check_free(tx: Tx, server: Server, starts_at: datetime, ends_at: datetime, at: datetime) -> None:
    others = await maintenance.overlapping(tx, server.id, starts_at, ends_at)
    if others:
        first = others[0]
        raise WrongStateError(
            f"{server.name} has a maintenance at that time already: window {first.id}, {moment(first.starts_at, at)} "
            f"to {moment(first.ends_at, at)}. Choose another time, or call it off: /maintenance cancel {first.id}"
        )


async def _check_confirmable(tx: Tx, window: Maintenance, server: Server, at: datetime) -> None:
    if window.state != MaintenanceState.PROPOSED:
        raise _wrong_state(window, at)
    if window.created_at <= at - CONFIRM_WITHIN or window.ends_at <= at:
        raise WrongStateError(
            f"This was proposed at {moment(window.created_at, at)}, too long ago to be confirmed. "
            "Nothing was planned; propose it again: /maintenance schedule"
        )
    await _check_free(tx, server, window.starts_at, window.ends_at, at)


async def _get(tx: Tx, window_id: int) -> Maintenance:
    window = await maintenance.get(tx, window_id)
    if window is None:
        raise NotFoundError(f"There is no maintenance window {window_id}. /maintenance list shows them.")
    return window


async def _chosen(tx: Tx, window_id: int | None, at: datetime) -> Maintenance:
    if window_id is not None:
        window = await _get(tx, window_id)
        if window.state not in _CANCELLABLE:
            raise _wrong_state(window, at)
        return window
    ahead = await maintenance.in_states(tx, maintenance.AHEAD)
    if len(ahead) == 1:
        return ahead[0]
    if not ahead:
        raise NotFoundError("No maintenance is planned or under way. /maintenance schedule plans one.")
    names = {server.id: server.name for server in await servers.every(tx)}
    shown = joined([f"{each.id} ({names[each.server_id]}, {moment(each.starts_at, at)})" for each in ahead[:8]])
    raise BadInputError(f"Which window? There is {shown}. Write its number: /maintenance cancel {ahead[0].id}")


def _wrong_state(window: Maintenance, at: datetime) -> WrongStateError:
    states = {
        MaintenanceState.PROPOSED: "is only proposed",
        MaintenanceState.SCHEDULED: "is planned already",
        MaintenanceState.ACTIVE: "is ending already" if window.ends_at <= at else "has begun",
        MaintenanceState.ENDED: "is over",
        MaintenanceState.CANCELLED: "was called off, or nobody confirmed it in time",
    }
    return WrongStateError(f"Window {window.id} {states[MaintenanceState(window.state)]}. Nothing was changed.")


async def _status(tx: Tx, window: Maintenance, at: datetime) -> MaintenanceStatus:
    server = await servers.get(tx, window.server_id)
    placed = await campaign_store.placed_by_id(tx, await maintenance.held_by(tx, window.id))
    return MaintenanceStatus(
        window=window,
        server=server.name if server else "a server that is gone",
        collisions=await _collisions(tx, window),
        held=tuple(sorted(each.campaign.name for each in placed)),
        outcome=await maintenance.outcome(tx, window.id),
        at=at,
    )


async def _collisions(tx: Tx, window: Maintenance) -> tuple[Collision, ...]:
    if window.state not in {MaintenanceState.PROPOSED, MaintenanceState.SCHEDULED}:
        return ()
    found = [each for each in await campaign_store.live_through(tx, window.server_id) if each.state in _COLLIDING]
    counts = await deliveries.counts_of(tx, [each.id for each in found])
    return tuple(Collision(each.name, each.state, counts[each.id][DeliveryStatus.QUEUED]) for each in found)
