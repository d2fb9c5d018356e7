"""What noting and closing actions, and taking messages out of a timeline, would do."""

from bot.access import Access, Actor
from bot.services.action_items import checked, to_close
from bot.services.messages import to_remove
from bot.services.outage_reading import pick
from bot.services.outage_shapes import action_of
from bot.services.plans import Plan
from storage.db import Database


class EntryPlans:
    """Each raises what its deed would raise."""

    def __init__(self, db: Database, access: Access) -> None:
        self._db = db
        self._access = access

    async def action(self, actor: Actor, outage_id: int | None, text: str, owner: str | None) -> Plan:
        self._access.require(actor, "outage.update")
        said = checked(text)
        async with self._db.read() as tx:
            outage = await pick(tx, outage_id, or_latest=True)
        whose = f"for {owner}" if owner else "that nobody has yet"
        does = f"note an action of outage #{outage.id} {whose}: {said}"
        undo = "This cannot be undone; /outage done closes it, by the number in the reply."
        return Plan("outage.action", does, ["Its thread would hear of it."], [f"outage {outage.id}"], undo)

    async def done(self, actor: Actor, number: int) -> Plan:
        self._access.require(actor, "outage.update")
        async with self._db.read() as tx:
            row, outage_id = await to_close(tx, number)
        does = f"note that action {number} of outage #{outage_id} is done: {action_of(row).text}"
        undo = f"This cannot be undone; to note it again: /outage action #{outage_id} TEXT"
        return Plan("outage.done", does, (), [f"action {number}"], undo)

    async def remove(self, actor: Actor, number: int) -> Plan:
        self._access.require(actor, "outage.update")
        async with self._db.read() as tx:
            row, _ = await to_remove(tx, number)
        does = f"take this out of the timeline of outage #{row.outage_id}: {row.text}"
        undo = "The message stays in Slack; pin it there to put it back."
        return Plan("outage.remove", does, (), [f"entry {number}"], undo)
