"""Shares: how the connections and the rate of a server are divided among the workers that use it."""

from typing import NamedTuple

from sqlalchemy import delete, select, text

from storage.db import Tx
from storage.models import Share
from storage.sending import Carrier


class Part(NamedTuple):
    """What a worker may use: connections, and messages a second (None: no limit)."""

    connections: int
    rate: float | None


NOTHING = Part(0, 0.0)


async def ask(tx: Tx, carrier: Carrier, worker: str) -> tuple[Part, bool]:
    """What this worker may use of the server now: at most its even part, and never what others still have.

    More than it had is its own at once. Where it had more (then the second is True), the rest stays its own until it
    says by `settle` that it has stopped using it. So the sum of all is within the limit at every moment, whoever
    comes, goes or is slow.
    """
    await tx.execute(text("SELECT pg_advisory_xact_lock(:space, :server)"), {"space": _SPACE, "server": carrier.id})
    rows = {row.worker: row for row in await tx.scalars(select(Share).where(Share.server_id == carrier.id))}
    others = [row for name, row in rows.items() if name != worker]
    part = _fair(carrier, sorted([*rows.keys() | {worker}]), worker)
    connections = min(part.connections, max(carrier.max_connections - sum(row.connections for row in others), 0))
    rate = part.rate
    if carrier.rate_per_second is not None and rate is not None:
        rate = min(rate, max(carrier.rate_per_second - sum(row.rate or 0.0 for row in others), 0.0))
    mine = rows.get(worker)
    if mine is None:
        mine = Share(server_id=carrier.id, worker=worker, connections=connections, rate=rate)
        tx.add(mine)
    else:
        mine.connections = max(mine.connections, connections)
        mine.rate = rate if mine.rate is None or rate is None else max(mine.rate, rate)
    await tx.flush()
    return Part(connections, rate), (mine.connections, mine.rate) != (connections, rate)


def _fair(carrier: Carrier, users: list[str], worker: str) -> Part:
    """An even part; the connections that are left over go to the first by name."""
    each, left = divmod(carrier.max_connections, len(users))
    rate = None if carrier.rate_per_second is None else carrier.rate_per_second / len(users)
    return Part(each + (users.index(worker) < left), rate)


async def settle(tx: Tx, server_id: int, worker: str, part: Part) -> None:
    """The worker uses no more than this."""
    row = await tx.get(Share, (server_id, worker), with_for_update=True)
    if row is not None:
        row.connections, row.rate = part
        await tx.flush()


async def give_up(tx: Tx, server_id: int, worker: str) -> None:
    """The worker does not use the server."""
    await tx.execute(delete(Share).where(Share.server_id == server_id, Share.worker == worker))


_SPACE = 0x53686172  # "Shar": advisory locks, one for each server
