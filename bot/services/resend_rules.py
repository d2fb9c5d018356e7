"""The rules of resends: which one is meant, what it allows now, and how a change of it is told."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from bot.access import Actor
from bot.config import RampSettings
from bot.errors import BadInputError, NotFoundError, WrongStateError
from bot.services.resend_shapes import canary_is_done, progress, trouble
from bot.services.words import joined, number
from storage import resends, timeline
from storage.db import Tx
from storage.models import DeliveryStatus, Resend, ResendState
from storage.timeline import Entry

# What a resend can be found in: its state and its wish.
SENDING = (ResendState.SENDING, ResendState.SENDING)
PAUSING = (ResendState.PAUSING, ResendState.PAUSED)
PAUSED = (ResendState.PAUSED, ResendState.PAUSED)
PLANNED = (ResendState.PLANNED, ResendState.PLANNED)


class ChangedError(Exception):
    """The ledger is no longer what was planned; carries how many deliveries differ."""

    def __init__(self, count: int) -> None:
        self.count = count


async def get(tx: Tx, resend_id: int) -> Resend:
    resend = await resends.get(tx, resend_id)
    if resend is None:
        raise NotFoundError(f"There is no resend {resend_id}. /resend list shows them.")
    return resend


async def take(tx: Tx, resend_id: int) -> Resend:
    """The resend as it is now, with nobody else deciding on one until the transaction ends."""
    await resends.alone(tx)
    return await get(tx, resend_id)


async def chosen(tx: Tx, resend_id: int | None, states: Sequence[ResendState], verb: str) -> Resend:
    """The one that was named, or the only one that the verb fits."""
    await resends.alone(tx)
    if resend_id is not None:
        resend = await get(tx, resend_id)
        if resend.state not in states:
            raise wrong_state(resend)
        return resend
    fitting = await resends.in_states(tx, states)
    if len(fitting) > 1:
        shown = joined([f"{each.id} ({number(each.total, 'message')}, {each.state})" for each in fitting])
        raise BadInputError(f"Which resend? There is {shown}. Write its number: /resend {verb} {fitting[-1].id}")
    if not fitting:
        newest = await resends.recent(tx, 1)
        raise wrong_state(newest[0]) if newest else NotFoundError("No resend has been planned yet: /resend plan")
    return fitting[0]


def wrong_state(resend: Resend) -> WrongStateError:
    stopping = resend.state == ResendState.PAUSING and resend.wish == ResendState.CANCELLED
    state = "being cancelled" if stopping else str(resend.state)
    note = f" ({resend.note})" if resend.note else ""
    return WrongStateError(f"Resend {resend.id} is {state}{note}. Nothing was changed.")


def check_undecided(resend: Resend) -> None:
    """What was void or cancelled before anybody decided says so itself; the approval tells the rest."""
    if resend.state in {ResendState.VOID, ResendState.CANCELLED} and resend.wave < 0:
        raise WrongStateError(f"Resend {resend.id} is {resend.state}: {resend.note}. Plan again: /resend plan")


def check_canary_done(resend: Resend, counts: dict[str, int]) -> None:
    if canary_is_done(resend, counts.get(DeliveryStatus.QUEUED, 0)):
        return
    if resend.wave == 0 and resend.state in resends.RUNNING:
        raise WrongStateError(f"The canary of resend {resend.id} is not done yet; the rest can go when it is.")
    raise wrong_state(resend)


async def usable(tx: Tx, resend: Resend, at: datetime, again: str = "approve") -> str:
    """` through NAME`, for the end of a sentence.

    Raises WrongStateError, with the way out, when a server that would carry it cannot send.
    """
    placed = await resends.placed(tx, resend.campaign_ids, at)
    for place in placed:
        why = trouble(place)
        if why is not None:
            name = place.carrier.name
            ways = {
                "drained": f"Take it back with /server restore {name}",
                "down": f"Move its campaigns with /server failover {name}, or wait until it is up",
                "in maintenance": "Wait until the window ends",
            }
            raise WrongStateError(
                f"{name}, which would carry {place.campaign.name}, is {why}. Nothing was sent or decided. "
                f"{ways[why]}, then {again} again."
            )
    return f" through {joined(sorted({place.carrier.name for place in placed}))}"


async def check_unchanged(tx: Tx, resend: Resend) -> None:
    """Raises ChangedError when deliveries that have not been queued yet are not as the plan found them."""
    count = await resends.changed(tx, resend, above=resend.wave)
    if count:
        raise ChangedError(count)


def is_ramped_unasked(resend: Resend, limits: RampSettings) -> bool:
    """Whether it goes out in stages when somebody just approves it."""
    return limits.above is not None and resend.total > limits.above


async def queue(
    tx: Tx,
    resend: Resend,
    seen: tuple[str, str],
    wave: int,
    expected: int,
    at: datetime,
    wave_now: int | None = None,
) -> Resend:
    """Hand the items up to `wave` to the sender, all or none; of a ramp those up to `wave_now` go first."""
    queued = await resends.enqueue(tx, resend, above=resend.wave, wave=wave)
    if queued != expected:
        raise ChangedError(expected - queued)
    started_at = resend.started_at or at
    ramped = wave_now is not None
    changes = {"wave": wave_now if ramped else wave, "ramped": ramped, "started_at": started_at, "note": None}
    return await move(tx, resend, [seen], ResendState.SENDING, **changes, **wished_to_stop(None))


def wished_to_stop(at: datetime | None) -> dict[str, Any]:
    """The columns of a stop that is wished now and not confirmed yet; None: there is none."""
    return {"wished_at": at, "confirmed_at": None, "slipped": 0}


async def move(
    tx: Tx, resend: Resend, seen: Sequence[tuple[str, str]], state: ResendState, **changes: object
) -> Resend:
    moved = await resends.move(tx, resend.id, seen, **({"state": state, "wish": state} | changes))
    if moved is None:
        raise wrong_state(await get(tx, resend.id))
    return moved


async def waiting(tx: Tx, resend: Resend) -> str:
    where = progress(resend, await resends.statuses(tx, resend.id))
    return f"{where.to_go:,} of {number(resend.total, 'message')}"


def go(count: int) -> str:
    return f"{number(count, 'message')} {'goes' if count == 1 else 'go'}"


async def tell(tx: Tx, resend: Resend, kind: str, text: str, actor: Actor, at: datetime, *, post: bool = True) -> None:
    """Write the timeline, and have the card and the outage's headline shown anew."""
    card = f"resend:{resend.id}"
    thread = f"outage:{resend.outage_id}" if resend.outage_id else None
    await timeline.ensure_post(tx, card, at, parent=thread)
    if thread is not None:
        await timeline.ensure_post(tx, thread, at)
    only = resend.campaign_ids[0] if len(resend.campaign_ids) == 1 else None
    entry = Entry(
        kind=kind,
        text=text,
        actor=actor.mention,
        at=at,
        outage_id=resend.outage_id,
        campaign_id=only,
        resend_id=resend.id,
    )
    await timeline.record(tx, entry, post=post, parent=None if thread else card)
