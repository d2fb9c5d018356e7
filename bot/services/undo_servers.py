"""Drain, failover and restore taken back: mail goes the way it went before, once its server was looked at."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bot.access import Actor
from bot.clock import now
from bot.errors import WrongStateError
from bot.services import holding
from bot.services.server_results import unusable
from bot.services.server_ways import ways_out
from bot.services.servers import Servers
from bot.services.undo_campaigns import stop_again
from bot.services.words import few
from storage import campaigns, servers, timeline
from storage.db import Database, Tx
from storage.models import CampaignState, Hold, Server, Undo
from storage.timeline import Entry

_AT = ("failover_at", "drained_at", "returning_since", "returning_until")
_BY_THE_CLOCK = ("returning_from_id", "returning_since", "returning_until")
"""What goes on by itself: a return that has come to its end meanwhile is no change that anybody made."""


async def look(db: Database, service: Servers, note: Undo) -> None:
    """Outside the transaction: whoever gets mail again by the undo must answer. Raises WrongStateError.

    Nobody does where all that would come back to it is held again.
    """
    async with db.read() as tx:
        await _check_unchanged(tx, note)
        carrier = await _carrier_before(tx, note)
        if carrier is None or not await _would_send(tx, note):
            return
        window = (await servers.active_windows(tx, now())).get(carrier.id)
    if note.deed == "server.drain":
        carrier.drained_at = None  # the very thing that is being undone
    obstacle = unusable(carrier, window, now())
    if obstacle is None:
        seen = await service.look(carrier)
        obstacle = None if seen.ok else f"{carrier.name} cannot take the campaigns: {seen.sentence}."
    if obstacle is not None:
        raise WrongStateError(f"Nothing was undone. {obstacle}")


async def undo(tx: Tx, note: Undo, actor: Actor, at: datetime) -> str:
    """Raises WrongStateError when anything about the servers has changed since."""
    before = _before(note)
    known = await servers.lock(tx, before)
    await _check_unchanged(tx, note)
    for server_id, way in before.items():
        if note.deed == "server.restore" and way["failover_to_id"] is not None:
            way["failover_by"] = actor.mention  # a person's failover now, which policy leaves alone
        await servers.change(tx, server_id, **way)
    again = await stop_again(tx, await _let_on(tx, note), at, actor)
    paused = [int(each) for each in note.data.get("held", ())]
    same = await campaigns.as_wished(tx, paused, CampaignState.PAUSED, note.done_at, note.done_by)
    going = await holding.let_go(tx, [each.id for each in same if each.hold == Hold.PERSON], at, actor)
    server = known[note.data["server"]]
    verb = note.deed.partition(".")[2]
    await _record(tx, server, f"{actor.mention} undid the {verb} of {server.name}.", at, actor)
    await holding.refresh_cards(tx, [*again, *going], at)
    said = [f"The {verb} of {server.name} is undone: mail goes the way it went before."]
    said += [f"{few([each.name for each in again])} {'is' if len(again) == 1 else 'are'} held again."] if again else []
    said += [f"{few([each.name for each in going])} {'goes' if len(going) == 1 else 'go'} on."] if going else []
    return " ".join(said)


async def _check_unchanged(tx: Tx, note: Undo) -> None:
    after = note.data["after"]
    if _lasting(ways_out(await servers.ways_of(tx, [int(key) for key in after]))) != _lasting(after):
        raise WrongStateError("Nothing was undone. Somebody has changed the servers since; see /server list")


def _lasting(ways: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {key: {name: each for name, each in way.items() if name not in _BY_THE_CLOCK} for key, way in ways.items()}


async def _carrier_before(tx: Tx, note: Undo) -> Server | None:
    """Who carried the server's mail before; None when it was drained, so that nobody did."""
    way = _before(note)[note.data["server"]]
    if way["failover_to_id"] is not None:
        return await servers.get(tx, way["failover_to_id"])
    return None if way["drained_at"] is not None else await servers.get(tx, note.data["server"])


async def _would_send(tx: Tx, note: Undo) -> bool:
    """Whether mail would go through another server by the undo at once."""
    live = await campaigns.live_of(tx, await servers.fellows(tx, _before(note)))
    held_again = set(await _let_on(tx, note))
    paused = {int(each) for each in note.data.get("held", ())}
    return any(
        each.id in paused or (each.state == CampaignState.SENDING and each.id not in held_again) for each in live
    )


async def _let_on(tx: Tx, note: Undo) -> dict[int, dict[str, Any]]:
    """The campaigns that went on by the deed and that nobody has touched since, with what held them."""
    holds = {int(key): held for key, held in note.data.get("released", {}).items()}
    same = await campaigns.as_wished(tx, holds, CampaignState.SENDING, note.done_at, note.done_by)
    return {each.id: holds[each.id] for each in same}


def _before(note: Undo) -> dict[int, dict[str, Any]]:
    return {int(key): _way(way) for key, way in note.data["before"].items()}


def _way(way: Mapping[str, Any]) -> dict[str, Any]:
    """As the database takes it."""
    return {key: datetime.fromisoformat(each) if key in _AT and each else each for key, each in way.items()}


async def _record(tx: Tx, server: Server, text: str, at: datetime, actor: Actor) -> None:
    touched = [outage.id for outage in await servers.outages_of(tx, server.id)]
    thread = touched[-1] if touched else None
    await timeline.record(tx, Entry("server.undo", text, actor.id, at, outage_id=thread, server_id=server.id))
    for each in touched:
        await timeline.ensure_post(tx, f"outage:{each}", at)
