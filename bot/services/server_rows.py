"""All servers as they are now, for lists, the status of one, and the home tab."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from bot.services.server_results import Return, ServerRow, effective_state
from storage import campaigns, servers
from storage.db import Tx
from storage.models import Server
from storage.ways import Ways


async def rows(tx: Tx, at: datetime, *, campaigns_too: bool = True) -> list[ServerRow]:
    """By name. Without `campaigns_too` no campaign is looked at, and none is named."""
    ways = await Ways.read(tx, at)
    windows = await servers.active_windows(tx, at)
    outages = await servers.open_outages(tx)
    carried: Mapping[int, Sequence[str]] = await campaigns.names_by_carrier(tx, at) if campaigns_too else {}

    def name_of(server_id: int | None) -> str | None:
        return ways.servers[server_id].name if server_id is not None else None

    return [
        ServerRow(
            server=server,
            state=effective_state(server, windows.get(server.id)),
            window=windows.get(server.id),
            outage=outages.get(server.id),
            backup=name_of(server.backup_id),
            carrier=name_of(server.failover_to_id),
            carries_for=[each.name for each in ways.servers.values() if each.failover_to_id == server.id],
            campaigns=carried.get(server.id, []),
            part=_part(ways, server),
            returns=return_of(ways, server),
        )
        for server in ways.servers.values()
    ]


def _part(ways: Ways, server: Server) -> float | None:
    """What it carries of its pool's mail now; None without a pool."""
    if server.pool is None:
        return None
    return next((way.part for way in ways.of(server.id) if way.server_id == server.id), 0.0)


def return_of(ways: Ways, server: Server) -> Return | None:
    """How far a server has returned; None when it is not returning."""
    part, until, source = ways.returned(server), server.returning_until, server.returning_from_id
    if part is None or until is None or source is None:
        return None
    return Return(part, until, ways.servers[source].name)
