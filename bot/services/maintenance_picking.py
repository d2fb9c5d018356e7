"""Which maintenance window a command means, and whether it may be changed: for the deed and for its plan."""

from datetime import datetime, timedelta
from typing import NamedTuple

from bot.errors import BadInputError, NotFoundError, WrongStateError
from bot.services.maintenance_shapes import Collision
from bot.services.maintenance_steps import CONFIRM_WITHIN
from bot.services.when import lasting, parse_duration
from bot.services.words import joined, moment
from storage import campaigns, deliveries, maintenance, servers
from storage.db import Tx
from storage.models import CampaignState, DeliveryStatus, Maintenance, MaintenanceState, Server

_LONGEST = timedelta(days=7)
_SHORTEST = timedelta(minutes=1)
REASON_MAX = 300
_COLLIDING = (CampaignState.SENDING, CampaignState.SCHEDULED)
_CANCELLABLE = (MaintenanceState.PROPOSED, *maintenance.AHEAD)


class Wanted(NamedTuple):
    """A window as it was meant, and its server."""

    server: Server
    window: Maintenance


async def collisions_of(tx: Tx, server_id: int, at: datetime) -> tuple[Collision, ...]:
    """The campaigns that a window of the server would hold, or keep from being started: they have no other way."""
    found = [each for each in await campaigns.live_only_through(tx, server_id, at) if each.state in _COLLIDING]
    counts = await deliveries.counts_of(tx, [each.id for each in found])
    return tuple(Collision(each.name, each.state, counts[each.id][DeliveryStatus.QUEUED]) for each in found)


def said_of(reason: str) -> str:
    """A reason in one line. Raises BadInputError when it is too long."""
    said = " ".join(reason.split())
    if len(said) > REASON_MAX:
        raise BadInputError(f"The reason has {len(said):,} characters. Keep it to {REASON_MAX}.")
    return said


def length_of(text: str) -> timedelta:
    length = parse_duration(text)
    if length > _LONGEST:
        raise BadInputError(
            f"{lasting(length)} is longer than 7 days. Plan a shorter window, or drain the server: /server drain NAME"
        )
    if length < _SHORTEST:
        raise BadInputError(f"{lasting(length)} is shorter than a minute. Plan a longer window.")
    return length


async def check_free(tx: Tx, server: Server, starts_at: datetime, ends_at: datetime, at: datetime) -> None:
    others = await maintenance.overlapping(tx, server.id, starts_at, ends_at)
    if others:
        first = others[0]
        raise WrongStateError(
            f"{server.name} has a maintenance at that time already: window {first.id}, {moment(first.starts_at, at)} "
            f"to {moment(first.ends_at, at)}. Choose another time, or call it off: /maintenance cancel {first.id}"
        )


async def check_confirmable(tx: Tx, window: Maintenance, server: Server, at: datetime) -> None:
    if window.state != MaintenanceState.PROPOSED:
        raise wrong_state(window, at)
    if window.created_at <= at - CONFIRM_WITHIN or window.ends_at <= at:
        raise WrongStateError(
            f"This was proposed at {moment(window.created_at, at)}, too long ago to be confirmed. "
            "Nothing was planned; propose it again: /maintenance schedule"
        )
    await check_free(tx, server, window.starts_at, window.ends_at, at)


async def window_of(tx: Tx, window_id: int) -> Maintenance:
    window = await maintenance.get(tx, window_id)
    if window is None:
        raise NotFoundError(f"There is no maintenance window {window_id}. /maintenance list shows them.")
    return window


async def to_cancel(tx: Tx, window_id: int | None, at: datetime) -> Maintenance:
    if window_id is not None:
        window = await window_of(tx, window_id)
        if window.state not in _CANCELLABLE:
            raise wrong_state(window, at)
        return window
    ahead = await maintenance.in_states(tx, maintenance.AHEAD)
    if len(ahead) == 1:
        return ahead[0]
    if not ahead:
        raise NotFoundError("No maintenance is planned or under way. /maintenance schedule plans one.")
    names = {server.id: server.name for server in await servers.every(tx)}
    shown = joined([f"{each.id} ({names[each.server_id]}, {moment(each.starts_at, at)})" for each in ahead[:8]])
    raise BadInputError(f"Which window? There is {shown}. Write its number: /maintenance cancel {ahead[0].id}")


def wrong_state(window: Maintenance, at: datetime) -> WrongStateError:
    states = {
        MaintenanceState.PROPOSED: "is only proposed",
        MaintenanceState.SCHEDULED: "is planned already",
        MaintenanceState.ACTIVE: "is ending already" if window.ends_at <= at else "has begun",
        MaintenanceState.ENDED: "is over",
        MaintenanceState.CANCELLED: "was called off, or nobody confirmed it in time",
    }
    return WrongStateError(f"Window {window.id} {states[MaintenanceState(window.state)]}. Nothing was changed.")
