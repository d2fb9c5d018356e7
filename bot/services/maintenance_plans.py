"""What proposing, confirming and cancelling maintenance windows would do."""

from bot.access import Access, Actor
from bot.clock import now
from bot.services.maintenance import MaintenanceWindows
from bot.services.maintenance_picking import check_confirmable, collisions_of, to_cancel, window_of
from bot.services.maintenance_shapes import Collision, collision_text
from bot.services.plans import Plan
from bot.services.when import lasting
from bot.services.words import few, moment
from storage import campaigns, maintenance, servers
from storage.db import Database
from storage.models import MaintenanceState


class MaintenancePlans:
    """Each raises what its deed would raise."""

    def __init__(self, db: Database, access: Access, windows: MaintenanceWindows) -> None:
        self._db = db
        self._access = access
        self._windows = windows

    async def schedule(self, actor: Actor, server_word: str, when: str, duration: str, reason: str) -> Plan:
        self._access.require(actor, "maintenance.schedule")
        at = now()
        server, window = await self._windows.to_propose(actor, server_word, when, duration, reason)
        async with self._db.read() as tx:
            hit = await collisions_of(tx, server.id, now())
        length = lasting(window.ends_at - window.starts_at)
        does = f"propose a maintenance of {server.name}, {moment(window.starts_at, at)} for {length}"
        facts = [*_collisions(hit), "It counts once somebody confirms it."]
        return Plan("maintenance.schedule", does, facts, [f"server {server.name}"], "/maintenance cancel drops it.")

    async def confirm(self, actor: Actor, window_id: int) -> Plan:
        self._access.require(actor, "maintenance.schedule")
        at = now()
        async with self._db.read() as tx:
            window = await window_of(tx, window_id)
            server = (await servers.lock(tx, [window.server_id]))[window.server_id]
            await check_confirmable(tx, window, server, at)
            hit = await collisions_of(tx, server.id, now())
        does = f"plan the maintenance of {server.name}, {moment(window.starts_at, at)} to {moment(window.ends_at, at)}"
        return Plan("maintenance.confirm", does, _collisions(hit), [f"window {window.id}"])

    async def cancel(self, actor: Actor, window_id: int | None) -> Plan:
        self._access.require(actor, "maintenance.cancel")
        async with self._db.read() as tx:
            window = await to_cancel(tx, window_id, now())
            server = (await servers.lock(tx, [window.server_id]))[window.server_id]
            held = await campaigns.placed_by_id(tx, await maintenance.held_by(tx, window.id), now())
        names = sorted(each.campaign.name for each in held)
        if window.state != MaintenanceState.ACTIVE:
            return Plan("maintenance.cancel", f"call off the maintenance of {server.name}", (), [f"window {window.id}"])
        goes = "goes" if len(names) == 1 else "go"
        facts = [f"{server.name} is looked at; if it answers, {few(names)} {goes} on."] if names else []
        undo = "This cannot be undone; a new window can be planned: /maintenance schedule"
        does = f"end the maintenance of {server.name} now"
        return Plan("maintenance.end", does, facts, [f"window {window.id}"], undo)


def _collisions(hit: tuple[Collision, ...]) -> list[str]:
    return [f"It would hold {collision_text(hit)}."] if hit else ["No campaign collides with it."]
