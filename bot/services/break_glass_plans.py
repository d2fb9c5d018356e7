"""What breaking the glass, and ending that, would do."""

from bot.access import Actor
from bot.clock import now
from bot.config import Settings
from bot.services.break_glass import BreakGlasses, held_already
from bot.services.plans import Plan
from bot.services.when import lasting
from bot.services.words import moment
from storage import break_glass
from storage.db import Database


class BreakGlassPlans:
    """Each raises what its deed would raise."""

    def __init__(self, db: Database, settings: Settings, glasses: BreakGlasses) -> None:
        self._db = db
        self._lasts = settings.break_glass.lasts
        self._glasses = glasses

    async def begin(self, actor: Actor, reason: str) -> Plan:
        said = self._glasses.check_begin(actor, reason)
        at = now()
        async with self._db.read() as tx:
            held = await break_glass.of(tx, actor.id)
        if held is not None and held.ends_at > at:
            raise held_already(held, at)
        does = f"make you a sender for {lasting(self._lasts)}, until {moment(at + self._lasts, at)}"
        facts = [f"The channel would be told, with your reason: {said}", "Everything that you do would be marked."]
        return Plan("glass.break", does, facts, [actor.mention], "/holdfast break-glass end gives it back.")

    async def end(self, actor: Actor, glass_id: int | None) -> Plan:
        async with self._db.read() as tx:
            glass = await self._glasses.to_end(tx, actor, glass_id, now())
        does = f"end break-glass {glass.id}: <@{glass.user_id}> could then start, resume and cancel nothing more"
        undo = "This cannot be undone; to send again they break it again, with a reason."
        return Plan("glass.end", does, (), [f"break-glass {glass.id}"], undo)
