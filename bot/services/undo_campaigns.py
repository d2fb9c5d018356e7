"""Pausing and resuming taken back: exactly the campaigns of that deed, and only those left alone since."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from bot.access import Actor
from bot.errors import WrongStateError
from bot.services import holding
from bot.services.campaigns import record_move
from bot.services.words import few, number
from storage import campaigns, maintenance, outages
from storage.db import Tx
from storage.models import Campaign, CampaignState, Hold, MaintenanceState, OutageState, Undo

_STANDING = (CampaignState.PAUSING, CampaignState.PAUSED)
_BY_PERSON = {"hold": Hold.PERSON, "hold_reason": None, "hold_outage_id": None, "hold_maintenance_id": None}
Held = Mapping[str, Any]


async def undo_pause(tx: Tx, note: Undo, actor: Actor, at: datetime) -> str:
    """What was sending goes on; what an outage or a window had held is theirs again. Raises WrongStateError."""
    holds = _holds(note)
    # Servers before campaigns, the order in which everybody locks them.
    stuck = await _obstacles(tx, holds, at)
    same = await campaigns.as_wished(tx, holds, CampaignState.PAUSED, note.done_at, note.done_by)
    free = [each.id for each in same if not holds[each.id].get("hold")]
    refused = {key: why for key, why in stuck.items() if key in free}
    going = await holding.let_go(tx, [each for each in free if each not in refused], at, actor)
    back = await give_back(tx, {each.id: holds[each.id] for each in same if each.id not in free}, at, actor)
    if not going and not back:
        raise WrongStateError(" ".join([_nothing(holds), *refused.values()]))
    await record_move(tx, actor, at, "resume", "undid the pause of", [*going, *back])
    said = [f"{_names(going)} {_go(going)} on."] if going else []
    said += [f"{_names(back)} {_is(back)} held as before."] if back else []
    return " ".join([*said, *refused.values(), *_changed(len(holds) - len(same))])


async def undo_resume(tx: Tx, note: Undo, actor: Actor, at: datetime) -> str:
    """What went on stands still again, held as it was. What has gone out by now stays out. Raises WrongStateError."""
    holds = _holds(note)
    same = await campaigns.as_wished(tx, holds, CampaignState.SENDING, note.done_at, note.done_by)
    stopped = await stop_again(tx, {each.id: holds[each.id] for each in same}, at, actor)
    if not stopped:
        raise WrongStateError(_nothing(holds))
    await record_move(tx, actor, at, "pause", "undid the resuming of", stopped)
    said = f"{_names(stopped)} {'is' if len(stopped) == 1 else 'are'} paused again; what has gone out stays out."
    return " ".join([said, *_changed(len(holds) - len(stopped))])


async def stop_again(tx: Tx, holds: Mapping[int, Held], at: datetime, actor: Actor) -> list[Campaign]:
    """Those of them that are sending stop, for the reason for which they stood still before."""
    stopped = []
    for campaign_id, held in holds.items():
        stopped += await campaigns.move(
            tx,
            [campaign_id],
            [CampaignState.SENDING],
            state=CampaignState.PAUSING,
            wish=CampaignState.PAUSED,
            confirmed_at=None,
            slipped=0,
            **await _valid(tx, held),
            **holding.wished(actor, at),
        )
    return sorted(stopped, key=lambda each: each.name)


async def give_back(tx: Tx, holds: Mapping[int, Held], at: datetime, actor: Actor) -> list[Campaign]:
    """Those that a person took over are held again by what held them. Where that is over, they stay with the person."""
    back = []
    for campaign_id, held in holds.items():
        was = await _valid(tx, held)
        if was["hold"] != Hold.PERSON:
            who = {"wished_at": at, "wished_by": actor.mention}
            back += await campaigns.move(tx, [campaign_id], _STANDING, CampaignState.PAUSED, **was, **who)
    return sorted(back, key=lambda each: each.name)


async def _valid(tx: Tx, held: Held) -> dict[str, Any]:
    """The former hold; a person's where its outage is resolved or its window is over, since nothing would end it."""
    match held.get("hold"):
        case Hold.OUTAGE:
            outage = await outages.get(tx, held["hold_outage_id"])
            alive = outage is not None and outage.state != OutageState.RESOLVED
        case Hold.MAINTENANCE:
            window = await maintenance.get(tx, held["hold_maintenance_id"])
            alive = window is not None and window.state == MaintenanceState.ACTIVE
        case _:
            alive = held.get("hold") is not None
    return dict(held) if alive else _BY_PERSON


async def _obstacles(tx: Tx, campaign_ids: Iterable[int], at: datetime) -> dict[int, str]:
    """Why some of them cannot go on: id -> sentence."""
    obstacles = await holding.Obstacles.read(tx, at)
    placed = await campaigns.placed_by_id(tx, campaign_ids, at, lock_servers=True)
    found = {each.campaign.id: (each.campaign.name, obstacles.of(each)) for each in placed}
    return {key: f"{name} stays paused. {why}" for key, (name, why) in found.items() if why is not None}


def _holds(note: Undo) -> dict[int, Held]:
    return {int(key): held for key, held in note.data["holds"].items()}


def _nothing(holds: Mapping[int, Held]) -> str:
    what = "It has" if len(holds) == 1 else "All of them have"
    return f"Nothing was undone. {what} been changed since, or cannot go back."


def _changed(count: int) -> list[str]:
    """What was left alone."""
    if not count:
        return []
    return [f"{number(count, 'campaign')} {'has' if count == 1 else 'have'} changed since and {_be(count)} left alone."]


def _names(found: list[Campaign]) -> str:
    return few([each.name for each in found])


def _go(found: list[Campaign]) -> str:
    return "goes" if len(found) == 1 else "go"


def _is(found: list[Campaign]) -> str:
    return _be(len(found))


def _be(count: int) -> str:
    return "is" if count == 1 else "are"
