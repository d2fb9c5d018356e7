"""What putting off, ending and beginning the reminders of an outage would do."""

from datetime import timedelta

from bot.access import Access, Actor
from bot.clock import now
from bot.services.outage_reading import pick
from bot.services.plans import Plan
from bot.services.reminder_picking import Wish, check_length, check_open, check_wish, way_back
from bot.services.words import moment
from storage.db import Database
from storage.models import Outage


class ReminderPlans:
    """Each raises what its deed would raise."""

    def __init__(self, db: Database, access: Access) -> None:
        self._db = db
        self._access = access

    async def put_off(self, actor: Actor, outage_id: int | None, length: timedelta) -> Plan:
        self._access.require(actor, "outage.remind")
        check_length(length)
        outage, at = await self._outage(outage_id), now()
        return _plan(outage, f"remind nobody of outage #{outage.id} before {moment(at + length, at)}")

    async def never(self, actor: Actor, outage_id: int | None) -> Plan:
        return await self._wish(actor, outage_id, "never", "remind nobody of outage #{} any more")

    async def again(self, actor: Actor, outage_id: int | None) -> Plan:
        return await self._wish(actor, outage_id, "again", "switch the reminders of outage #{} on again")

    async def _wish(self, actor: Actor, outage_id: int | None, wish: Wish, does: str) -> Plan:
        self._access.require(actor, "outage.remind")
        outage = await self._outage(outage_id)
        check_wish(outage, wish)
        return _plan(outage, does.format(outage.id))

    async def _outage(self, outage_id: int | None) -> Outage:
        async with self._db.read() as tx:
            outage = await pick(tx, outage_id)
        check_open(outage)
        return outage


def _plan(outage: Outage, does: str) -> Plan:
    return Plan("outage.remind", does, (), [f"outage {outage.id}"], way_back(outage, now()))
