"""Which way mail goes: one server carrying another's campaigns, what it lets go on, and how it was before."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bot.access import Actor
from bot.services import holding
from storage import campaigns, servers
from storage.db import Tx
from storage.models import Hold, Server

NO_FAILOVER: dict[str, Any] = {"failover_to_id": None, "failover_at": None, "failover_by": None}


def takes_over(server: Server, backup: Server | None, why_not: str) -> bool:
    """Whether the backup carries a server that is drained. One that is failed over already stays where it was put."""
    return backup is not None and not why_not and server.failover_to_id is None


def ways_out(ways: Mapping[int, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """`servers.ways_of`, as JSON takes it."""
    return {
        str(server_id): {key: each.isoformat() if isinstance(each, datetime) else each for key, each in way.items()}
        for server_id, way in ways.items()
    }


async def carry(tx: Tx, server: Server, backup: Server, at: datetime, actor: Actor) -> list[int]:
    """Let `backup` carry the server, and whatever it carried for others. Returns the ids of all those servers.

    Failover is never more than one step: chains would end at a server that nobody chose.
    """
    moved = [server.id, *(each.id for each in await carried_along(tx, server, backup))]
    if backup.failover_to_id == server.id:
        await servers.change(tx, backup.id, **NO_FAILOVER)
    for each in moved:
        await servers.change(tx, each, failover_to_id=backup.id, failover_at=at, failover_by=actor.mention)
    return moved


async def carried_along(tx: Tx, server: Server, backup: Server) -> list[Server]:
    """The servers that `server` carries, and whose mail `backup` therefore takes over too."""
    return [each for each in await servers.carried_by(tx, server.id) if each.id != backup.id]


async def ways_now(tx: Tx, server: Server, backup: Server | None) -> dict[int, dict[str, Any]]:
    """Which way the mail of all goes that a change of this server may touch, before it does."""
    carried = await servers.carried_by(tx, server.id) if backup is not None else []
    return await servers.ways_of(tx, [server.id, *(each.id for each in carried)])


async def held_for(
    tx: Tx, server: Server, server_ids: Sequence[int], outage_id: int | None, at: datetime
) -> list[tuple[Hold, dict[str, int], list[int]]]:
    """What the server's outages and its maintenance hold of these servers' campaigns: by what, its id, whom."""
    outage_ids = {outage.id for outage in await servers.outages_of(tx, server.id)}
    if outage_id is not None:
        outage_ids.add(outage_id)
    why: list[tuple[Hold, dict[str, int]]] = [(Hold.OUTAGE, {"outage_id": each}) for each in sorted(outage_ids)]
    window = (await servers.active_windows(tx, at)).get(server.id)
    if window is not None:
        why.append((Hold.MAINTENANCE, {"maintenance_id": window.id}))
    found = []
    for hold, by in why:
        ids = await campaigns.held(
            tx, hold, outage_id=by.get("outage_id"), maintenance_id=by.get("maintenance_id"), server_ids=server_ids
        )
        found.append((hold, by, ids))
    return found


async def release(
    tx: Tx, server: Server, server_ids: Sequence[int], outage_id: int | None, at: datetime, actor: Actor
) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """Let go on what the server's outages and its maintenance hold. Returns the names, and what held each by its id."""
    released = []
    holds: dict[str, dict[str, Any]] = {}
    for hold, by, ids in await held_for(tx, server, server_ids, outage_id, at):
        before = await campaigns.holds_of(tx, ids)
        gone = await holding.release(tx, hold, at, actor, **by, server_ids=server_ids)
        released += gone
        holds |= {str(each.id): before.get(each.id, {}) for each in gone}
    return sorted(each.name for each in released), holds
