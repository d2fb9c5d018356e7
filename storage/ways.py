"""Which ways mail goes: through which servers the mail of a server leaves now, and how much of it through each.

Pools, weights, failover and return meet here, and nowhere else: the sender, the services and the views all ask this.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import literal, select, union_all

from storage.db import Tx
from storage.models import Health, Maintenance, MaintenanceState, Outage, OutageServer, OutageState, Server

_HOPS = 5
_FIRST_PART = 0.05
"""What a server that returns carries of its mail at once."""


class Way(NamedTuple):
    """`part` of the mail goes through this server, above 0 and at most 1; all ways of one mail make 1 together."""

    server_id: int
    part: float
    returning: bool = False
    """The server grows back into its work: it never runs ahead of the others, however slow they are."""


class _Claim(NamedTuple):
    server_id: int
    weight: float
    returning: bool = False


class Ways:
    """The ways at one moment, computed from rows that were read together and from the time alone.

    A server is left out while it is down, drained, in maintenance or part of an outage that goes on: the others of its
    pool take its part. Where there is no other, everything stays where it is: what becomes of it then is the outage's
    policy.
    """

    def __init__(
        self, servers: Iterable[Server], away: AbstractSet[int], troubled: AbstractSet[int], at: datetime
    ) -> None:
        self.servers = {server.id: server for server in servers}
        self._away = away
        self._troubled = troubled
        self._at = at
        self._pools: dict[str, list[Server]] = defaultdict(list)
        for server in self.servers.values():
            if server.pool is not None:
                self._pools[server.pool].append(server)

    @classmethod
    async def read(cls, tx: Tx, at: datetime) -> "Ways":
        servers = await tx.scalars(select(Server).order_by(Server.name).execution_options(populate_existing=True))
        away = select(Maintenance.server_id, literal(value=True)).where(
            Maintenance.state.in_([MaintenanceState.SCHEDULED, MaintenanceState.ACTIVE]),
            Maintenance.starts_at <= at,
            Maintenance.ends_at > at,
        )
        troubled = (
            select(OutageServer.server_id, literal(value=False))
            .join(Outage, Outage.id == OutageServer.outage_id)
            .where(
                Outage.state.not_in([OutageState.RESOLVED, OutageState.MONITORING]),
                Outage.recovered_at.is_(None),
            )
        )
        # In one statement, for the sender asks this again and again.
        out = (await tx.execute(union_all(away, troubled))).all()
        return cls(
            servers.all(),
            {each for each, is_away in out if is_away},
            {each for each, is_away in out if not is_away},
            at,
        )

    def without(self, server_id: int) -> "Ways":
        """As if that server were left out."""
        return Ways(self.servers.values(), {*self._away, server_id}, self._troubled, self._at)

    def usable(self, server: Server) -> bool:
        """Whether mail may leave through it: it is not down, drained or in maintenance."""
        return server.health != Health.DOWN and server.drained_at is None and server.id not in self._away

    def fellows(self, server_id: int) -> list[Server]:
        """All servers of its pool, itself among them, by name; itself alone without a pool."""
        server = self.servers[server_id]
        return [server] if server.pool is None else self._pools[server.pool]

    def of(self, server_id: int) -> tuple[Way, ...]:
        """The ways of this server's mail, heaviest first. Never none."""
        claims = self._claims(server_id)
        fits: tuple[Callable[[int], bool], ...] = (self.is_well, self._is_usable, lambda _: True)
        for fit in fits:
            found = [claim for claim in claims if fit(claim.server_id)]
            if found:
                return _shared(found)
        return _shared(claims)

    def carriers(self, server_id: int) -> tuple[Server, ...]:
        """The servers of `of`, by name."""
        found = {way.server_id for way in self.of(server_id)}
        return tuple(server for server in self.servers.values() if server.id in found)

    def stand_in(self, server: Server) -> Server:
        """The server itself, or the one that it is failed over to."""
        return self.servers[self._follow(server.id)]

    def carried_by(self, server_id: int) -> list[int]:
        """The servers whose mail goes through this one now."""
        return [each for each in self.servers if any(way.server_id == server_id for way in self.of(each))]

    def claimed_by(self, server_id: int) -> list[int]:
        """The servers whose mail would go through this one if it could."""
        return [each for each in self.servers if any(claim.server_id == server_id for claim in self._claims(each))]

    def others(self, server: Server) -> tuple[Server, ...]:
        """Those that carry its mail now beside it, by name."""
        return tuple(each for each in self.carriers(server.id) if each.id != server.id)

    def returned(self, server: Server) -> float | None:
        """The part of its own mail that a returning server carries at this moment; None: it is not returning."""
        since, until = server.returning_since, server.returning_until
        if since is None or until is None or server.returning_from_id is None or self._at >= until:
            return None
        gone = max((self._at - since) / (until - since), 0.0)
        return _FIRST_PART + (1 - _FIRST_PART) * gone

    def _claims(self, server_id: int) -> list[_Claim]:
        server = self.servers[server_id]
        if server.pool is None:
            return list(self._claims_for(server, 1.0))
        return [claim for each in self._pools[server.pool] for claim in self._claims_for(each, float(each.weight))]

    def _claims_for(self, server: Server, weight: float) -> Iterator[_Claim]:
        """Who carries one server's own part: itself, whom it is failed over to, or both while it returns."""
        carrier = self._follow(server.id)
        returned = self.returned(server)
        if carrier != server.id or returned is None or server.returning_from_id is None:
            yield _Claim(carrier, weight)
            return
        source = self._follow(server.returning_from_id)
        if source == server.id or not self.is_well(source):
            yield _Claim(server.id, weight)
        elif not self.is_well(server.id):
            yield _Claim(source, weight)
        else:
            yield _Claim(server.id, weight * returned, returning=True)
            yield _Claim(source, weight * (1 - returned))

    def _follow(self, server_id: int) -> int:
        for _ in range(_HOPS):
            carrier = self.servers[server_id].failover_to_id
            if carrier is None:
                break
            server_id = carrier
        return server_id

    def _is_usable(self, server_id: int) -> bool:
        return self.usable(self.servers[server_id])

    def is_well(self, server_id: int) -> bool:
        """Usable, and no part of an outage that goes on."""
        return self._is_usable(server_id) and server_id not in self._troubled


def _shared(claims: list[_Claim]) -> tuple[Way, ...]:
    """Parts by weight. A weight of 0 counts only where all have it."""
    heavy = [claim for claim in claims if claim.weight > 0] or [claim._replace(weight=1.0) for claim in claims]
    weights: dict[int, float] = defaultdict(float)
    steady = {claim.server_id for claim in heavy if not claim.returning}
    for claim in heavy:
        weights[claim.server_id] += claim.weight
    whole = sum(weights.values())
    ways = [Way(each, weight / whole, each not in steady) for each, weight in weights.items()]
    return tuple(sorted(ways, key=lambda way: (-way.part, way.server_id)))
