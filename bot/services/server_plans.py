"""What adding, draining, failing over and restoring servers would do. The servers are looked at, as they would be."""

from collections.abc import Sequence
from datetime import timedelta

from bot.access import Access, Actor
from bot.clock import now
from bot.config import OutageSettings
from bot.services.plans import Plan, load, named, to_go
from bot.services.server_ways import carried_along, held_for, others_now, takes_over
from bot.services.servers import Servers
from bot.services.when import lasting
from bot.services.words import few, number
from storage import campaigns
from storage import servers as store
from storage.db import Database, Tx
from storage.models import Campaign, CampaignState, Server


class ServerPlans:
    """Each raises what its deed would raise."""

    def __init__(self, db: Database, settings: OutageSettings, access: Access, servers: Servers) -> None:
        self._db = db
        self._return_over = settings.return_over
        self._access = access
        self._servers = servers

    async def add(self, actor: Actor, name: str, host: str, port: int) -> Plan:
        self._access.require(actor, "server.add")
        seen = await self._servers.to_add(name, host, port)
        found = "It answers well." if seen.ok else f"It does not answer well yet: {seen.sentence}."
        undo = f"A server stays; /server drain {name} takes it out of use."
        return Plan("server.add", f"add the server {name} at {host}:{port}", [found], [f"server {name}"], undo)

    async def drain(self, actor: Actor, word: str) -> Plan:
        self._access.require(actor, "server.drain")
        server, backup, why = await self._servers.to_drain(word)
        name, at = server.name, now()
        async with self._db.read() as tx:
            sending = await campaigns.sending_through(tx, server.id, at)
            others = await others_now(tx, server, at)
            waiting = number(await to_go(tx, [each.id for each in sending]), "recipient")
            names = [each.name for each in sending]
            if others:
                facts = [f"{few(names)} would go on through {others}, {waiting} to go."] if names else []
                targets = [f"server {name}", *(f"carrier {each}" for each in others.names), *named(names)]
            elif backup is not None and takes_over(server, backup, why):
                moved = f"{few(names)} would go on through {backup.name}, {waiting} to go."
                facts = [*([moved] if names else []), await load(tx, backup, at)]
                targets = [f"server {name}", f"carrier {backup.name}", *named(names)]
            else:
                facts = [f"{why} {few(names)} would be paused, {waiting} to go.".strip()] if names else []
                targets = [f"server {name}", *(f"paused campaign {each}" for each in names)]
        rest = [] if names else ["Nothing is being sent through it."]
        return Plan("server.drain", f"drain {name}", [*rest, *facts], targets)

    async def failover(self, actor: Actor, word: str, backup_word: str | None = None) -> Plan:
        self._access.require(actor, "server.failover")
        server, backup = await self._servers.to_fail_over(word, backup_word)
        async with self._db.read() as tx:
            own = [server.id, *(each.id for each in await carried_along(tx, server, backup))]
            of_pool = await store.fellows(tx, own)
            moved = await campaigns.live_of(tx, of_pool)
            freed = await held_for(tx, server, of_pool, None, now())
            held = {each for _, _, ids in freed for each in ids}
            facts = [await _moves(tx, moved, backup, server.pool), *_freed(moved, held), await load(tx, backup, now())]
        targets = [f"server {server.name}", f"carrier {backup.name}", *named([each.name for each in moved])]
        return Plan("server.failover", f"fail {server.name} over to {backup.name}", facts, targets)

    async def restore(self, actor: Actor, word: str, *, whole: bool = False) -> Plan:
        self._access.require(actor, "server.restore")
        server = await self._servers.to_restore(word, whole=whole)
        async with self._db.read() as tx:
            back = await campaigns.live_of(tx, await store.fellows(tx, [server.id]))
            facts = [await _moves(tx, back, server, server.pool)]
        if server.failover_to_id is not None and not whole and self._return_over > timedelta(0):
            facts.append(f"Its part would grow, and reach all of its mail after {lasting(self._return_over)}.")
        paused = [each.name for each in back if each.state in {CampaignState.PAUSING, CampaignState.PAUSED}]
        facts += [f"{few(paused)} would stay paused."] if paused else []
        targets = [f"server {server.name}", *named([each.name for each in back])]
        return Plan("server.restore", f"put {server.name} back to use", facts, targets)


async def _moves(tx: Tx, moved: Sequence[Campaign], carrier: Server, pool: str | None) -> str:
    if not moved:
        return "No campaign uses it now."
    waiting = number(await to_go(tx, [each.id for each in moved]), "recipient")
    names = few([each.name for each in moved])
    if pool:
        return f"{carrier.name} would take a part of {names} in pool {pool}, {waiting} to go."
    return f"{names} would go through {carrier.name}, {waiting} to go."


def _freed(moved: Sequence[Campaign], held: set[int]) -> list[str]:
    names = [each.name for each in moved if each.id in held]
    return [f"{few(names)} {'is' if len(names) == 1 else 'are'} held now and would go on."] if names else []
