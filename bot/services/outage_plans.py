"""What declaring, taking, telling about and resolving outages would do."""

import asyncio
from collections.abc import Sequence

from bot.access import Access, Actor
from bot.clock import now
from bot.config import OutageSettings
from bot.services.outage_opening import check_none_open
from bot.services.outage_picking import (
    TITLE_MAX,
    check_severity,
    is_worse,
    open_one,
    said_of,
    to_acknowledge,
    to_grade,
)
from bot.services.plans import Plan, to_go
from bot.services.server_results import by_way_of
from bot.services.servers import Servers
from bot.services.when import parse_when
from bot.services.words import few, moment, number
from storage import campaigns, outages
from storage.db import Database
from storage.models import Server


class OutagePlans:
    """Each raises what its deed would raise."""

    def __init__(self, db: Database, settings: OutageSettings, access: Access, servers: Servers) -> None:
        self._db = db
        self._policy = settings.policy
        self._access = access
        self._servers = servers

    async def declare(self, actor: Actor, server_word: str, text: str) -> Plan:
        self._access.require(actor, "outage.declare")
        said_of(text, "what is wrong", "/outage declare SERVER TEXT", TITLE_MAX)
        server = await self._servers.find(server_word)
        async with self._db.read() as tx:
            await check_none_open(tx, server)
            sending = await campaigns.sending_only_through(tx, server.id, now())
            going = await campaigns.going_on_without(tx, server.id, now())
            waiting = await to_go(tx, [each.id for each in sending])
        facts = self._by_policy(server, [each.name for each in sending], waiting) if sending or not going else []
        facts += [f"{each.campaign.name} would go on through {by_way_of(each)}." for each in going]
        does = f"open an outage on {server.name} and tell the channel"
        undo = "/outage resolve ends it, and /campaign resume lets go on what it holds."
        return Plan("outage.declare", does, facts, [f"server {server.name}"], undo)

    def _by_policy(self, server: Server, names: Sequence[str], waiting: int) -> list[str]:
        if not names:
            return [f"Nothing is being sent through {server.name}, so no campaign would be held."]
        if self._policy == "tell":
            return [f"By policy {few(names)} would go on, {number(waiting, 'recipient')} to go."]
        then = f" Then the backup of {server.name} would take over, if it can." if self._policy == "failover" else ""
        return [f"{few(names)} would be held, {number(waiting, 'recipient')} to go.{then}"]

    async def acknowledge(self, actor: Actor, outage_id: int | None) -> Plan:
        self._access.require(actor, "outage.acknowledge")
        async with self._db.read() as tx:
            number = (await to_acknowledge(tx, outage_id)).id
        undo = "Nothing else is changed by it."
        return Plan("outage.acknowledge", f"give you outage #{number}", (), [f"outage {number}"], undo)

    async def update(self, actor: Actor, outage_id: int | None, text: str) -> Plan:
        self._access.require(actor, "outage.update")
        said_of(text, "what is new", "/outage update TEXT")
        number = await self._number(outage_id)
        does = f"add that to the thread of outage #{number}"
        return Plan("outage.update", does, (), [f"outage {number}"], "What is posted stays.")

    async def cause(self, actor: Actor, outage_id: int | None, text: str) -> Plan:
        self._access.require(actor, "outage.cause")
        said_of(text, "the cause", "/outage cause TEXT")
        number = await self._number(outage_id)
        does = f"note that as the cause of outage #{number} and tell its thread"
        return Plan("outage.cause", does, (), [f"outage {number}"], f"/outage cause #{number} TEXT corrects it.")

    async def eta(self, actor: Actor, outage_id: int | None, when_text: str) -> Plan:
        self._access.require(actor, "outage.eta")
        at = now()
        eta = await asyncio.to_thread(parse_when, when_text, actor.zone, at)
        number = await self._number(outage_id)
        does = f"say that outage #{number} should be over at {moment(eta, at)}"
        return Plan("outage.eta", does, (), [f"outage {number}"], f"/outage eta #{number} WHEN corrects it.")

    async def severity(self, actor: Actor, outage_id: int | None, word: str) -> Plan:
        self._access.require(actor, "outage.severity")
        check_severity(word)
        async with self._db.read() as tx:
            outage = await to_grade(tx, outage_id, word)
        heard = "The channel would hear of it." if is_worse(word, outage.severity) else "Only its thread would hear it."
        does = f"make outage #{outage.id} {word}; it is {outage.severity} now"
        undo = f"/outage severity #{outage.id} {outage.severity} takes it back."
        return Plan("outage.severity", does, [heard], [f"outage {outage.id}"], undo)

    async def resolve(self, actor: Actor, outage_id: int | None) -> Plan:
        self._access.require(actor, "outage.resolve")
        async with self._db.read() as tx:
            outage = await open_one(tx, outage_id)
            held = [each.name for each in await outages.held_by(tx, outage.id)]
        stay = "stays" if len(held) == 1 else "stay"
        facts = [f"{few(held)} {stay} paused: /campaign resume"] if held else []
        undo = "This cannot be undone; if it is back: /outage declare SERVER TEXT"
        does = f"end outage #{outage.id} and post its summary"
        return Plan("outage.resolve", does, facts, [f"outage {outage.id}"], undo)

    async def _number(self, outage_id: int | None) -> int:
        async with self._db.read() as tx:
            return (await open_one(tx, outage_id)).id
