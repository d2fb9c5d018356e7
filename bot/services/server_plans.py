"""What adding, draining, failing over and restoring servers would do. The servers are looked at, as they would be."""

from collections.abc import Sequence

from bot.access import Access, Actor
from bot.clock import now
from bot.services.plans import Plan, load, named, to_go
from bot.services.server_ways import carried_along, held_for, takes_over
from bot.services.servers import Servers
from bot.services.words import few, number
from storage import campaigns
from storage.db import Database, Tx
from storage.models import Campaign, CampaignState, Server


class ServerPlans:
    """Each raises what its deed would raise."""

    def __init__(self, db: Database, access: Access, servers: Servers) -> None:
        self._db = db
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
        name = server.name
        async with self._db.read() as tx:
            sending = await campaigns.sending_through(tx, server.id)
            waiting = number(await to_go(tx, [each.id for each in sending]), "recipient")
            names = [each.name for each in sending]
            if backup is not None and takes_over(server, backup, why):
                moved = f"{few(names)} would go on through {backup.name}, {waiting} to go."
                facts = [*([moved] if names else []), await load(tx, backup)]
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
            moved = await campaigns.live_of(tx, own)
            freed = await held_for(tx, server, own, None, now())
            held = {each for _, _, ids in freed for each in ids}
            facts = [await _moves(tx, moved, backup), *_freed(moved, held), await load(tx, backup)]
        targets = [f"server {server.name}", f"carrier {backup.name}", *named([each.name for each in moved])]
        return Plan("server.failover", f"fail {server.name} over to {backup.name}", facts, targets)

    async def restore(self, actor: Actor, word: str) -> Plan:
        self._access.require(actor, "server.restore")
        server = await self._servers.to_restore(word)
        async with self._db.read() as tx:
            back = await campaigns.live_of(tx, [server.id])
            facts = [await _moves(tx, back, server)]
        paused = [each.name for each in back if each.state in {CampaignState.PAUSING, CampaignState.PAUSED}]
        facts += [f"{few(paused)} would stay paused."] if paused else []
        targets = [f"server {server.name}", *named([each.name for each in back])]
        return Plan("server.restore", f"put {server.name} back to use", facts, targets)


async def _moves(tx: Tx, moved: Sequence[Campaign], carrier: Server) -> str:
    if not moved:
        return "No campaign uses it now."
    waiting = number(await to_go(tx, [each.id for each in moved]), "recipient")
    return f"{few([each.name for each in moved])} would go through {carrier.name}, {waiting} to go."


def _freed(moved: Sequence[Campaign], held: set[int]) -> list[str]:
    names = [each.name for each in moved if each.id in held]
    return [f"{few(names)} {'is' if len(names) == 1 else 'are'} held now and would go on."] if names else []
