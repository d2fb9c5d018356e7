"""Which way mail goes: one server carrying another's campaigns, what it lets go on, and how it was before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bot.access import Actor
from bot.services import holding
from bot.services.words import joined
from storage import campaigns, servers
from storage.db import Tx
from storage.models import Hold, Server
from storage.ways import Ways


@dataclass(frozen=True)
class Others:
    """The names of the servers that take a server's part, and their pool; none where nobody does."""

    names: tuple[str, ...]
    pool: str | None

    def __bool__(self) -> bool:
        return bool(self.names)

    @property
    def is_one(self) -> bool:
        return len(self.names) == 1

    def __str__(self) -> str:
        return f"{joined(self.names)} (pool {self.pool})" if self.pool else joined(self.names)


NO_FAILOVER: dict[str, Any] = {"failover_to_id": None, "failover_at": None, "failover_by": None}


NO_RETURN: dict[str, Any] = {"returning_from_id": None, "returning_since": None, "returning_until": None}


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
    if backup.returning_from_id == server.id:
        await servers.change(tx, backup.id, **NO_RETURN)
    for each in moved:
        await servers.change(tx, each, **_carried_by(backup.id, at, actor), **NO_RETURN)
    return moved


def begun(server: Server, over: timedelta, at: datetime) -> dict[str, Any]:
    """The columns of a server whose failover ends now and that returns over this span; 0: at once."""
    if server.failover_to_id is None or over <= timedelta(0):
        return {**NO_FAILOVER, **NO_RETURN}
    back = {"returning_from_id": server.failover_to_id, "returning_since": at, "returning_until": at + over}
    return {**NO_FAILOVER, **back}


async def give_back(tx: Tx, server: Server, at: datetime, actor: Actor) -> Server | None:
    """End a server's return: who carried it before carries all of its mail again. None when it was not returning, or
    when that one cannot.
    """
    ways = await Ways.read(tx, at)
    source_id = server.returning_from_id
    if ways.returned(server) is None or source_id is None:
        return None
    await servers.change(tx, server.id, **NO_RETURN)
    source = ways.stand_in(ways.servers[source_id])
    if source.id == server.id or not ways.is_well(source.id):
        return None
    await servers.change(tx, server.id, **_carried_by(source.id, at, actor))
    return source


def _carried_by(backup_id: int, at: datetime, actor: Actor) -> dict[str, Any]:
    return {"failover_to_id": backup_id, "failover_at": at, "failover_by": actor.mention}


async def others_now(tx: Tx, server: Server, at: datetime) -> Others:
    """Who would carry the server's mail if it were left out at this moment; nobody where that would be its backup's."""
    if server.failover_to_id is not None:
        return Others((), None)
    ways = (await Ways.read(tx, at)).without(server.id)
    carriers = ways.carriers(server.id)
    if server.id in {each.id for each in carriers} or not all(ways.is_well(each.id) for each in carriers):
        return Others((), None)
    return Others(tuple(each.name for each in carriers), server.pool)


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
    of_pool = await servers.fellows(tx, [server.id])
    outage_ids = {outage.id for each in of_pool for outage in await servers.outages_of(tx, each)}
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
