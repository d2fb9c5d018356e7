"""Who leads an outage is reminded when nothing new was said of it for longer than its severity allows.

One reminder a lapse: an update begins the time anew, putting it off sets a moment before which there is none, and a
reminder that nobody answers is not repeated. What is due follows from the tables alone, so a restart changes nothing.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.access import HOLDFAST, Access, Actor
from bot.clock import now
from bot.config import RemindSettings, Settings
from bot.errors import NotFoundError, WrongStateError
from bot.services.outage_reading import pick
from bot.services.reminder_picking import ALREADY_OFF, ALREADY_ON, OVER, check_length, check_open, check_wish, way_back
from bot.services.when import lasting
from bot.services.words import moment
from storage import outages, reminders, timeline
from storage.db import Database, Tx
from storage.models import Outage, Reminder
from storage.timeline import Entry


@dataclass(frozen=True)
class ReminderCard:
    """What the message of a reminder shows."""

    reminder: Reminder
    outage: Outage
    servers: tuple[str, ...]
    every: timedelta | None
    """How often people should hear something, by the severity of then; None: the setting is off by now."""


class Reminders:
    """Decisions are conditional: of two who answer the same reminder the second is told of the first."""

    def __init__(self, db: Database, settings: Settings, access: Access) -> None:
        self._db = db
        self._after = settings.outages.remind_after
        self._access = access

    async def tick(self) -> None:
        """For the scheduler: send what is due, and close what was answered by an update or by the end."""
        at = now()
        async with self._db.read() as tx:
            due = [each.id for each in await outages.unresolved(tx) if await self._due(tx, each, at) is not None]
            waiting = await reminders.waiting(tx)
        for outage_id in due:
            await self._remind(outage_id, at)
        for reminder, outage in waiting:
            await self._close(reminder, outage, at)

    async def card(self, reminder_id: int) -> ReminderCard:
        """Raises NotFoundError."""
        async with self._db.read() as tx:
            reminder = await reminders.get(tx, reminder_id)
            outage = await outages.get(tx, reminder.outage_id) if reminder else None
            if reminder is None or outage is None:
                raise NotFoundError(f"There is no reminder {reminder_id}.")
            names = await outages.server_names(tx, [outage.id])
        return ReminderCard(reminder, outage, tuple(names[outage.id]), allowed(self._after, reminder.severity))

    # What people do with it

    async def put_off(
        self, actor: Actor, outage_id: int | None, length: timedelta, *, reminder_id: int | None = None
    ) -> str:
        """No reminder for so long, whatever is said until then. With `reminder_id` by a button of that one.

        This and the others return the sentence that says so, with the way back.
        """
        self._access.require(actor, "outage.remind")
        check_length(length)
        async with self._db.transaction() as tx:
            at = now()
            outage = await self._open(tx, outage_id, reminder_id)
            until, back = at + length, way_back(outage, at)
            await self._answer(tx, outage, "later", actor, at, until=until, reminder_id=reminder_id)
            if await reminders.put_off(tx, outage.id, until) is None:
                raise WrongStateError(OVER.format(outage.id))
            text = f"{actor.mention} wants no reminder before {moment(until, at)}."
            await _note(tx, outage, "put_off", text, actor, at)
        return f"No reminder of outage #{outage.id} before {moment(until, at)}. {back}"

    async def never(self, actor: Actor, outage_id: int | None, *, reminder_id: int | None = None) -> str:
        """No reminder of this outage any more."""
        self._access.require(actor, "outage.remind")
        async with self._db.transaction() as tx:
            at = now()
            outage = await self._open(tx, outage_id, reminder_id)
            back = way_back(outage, at)
            await self._answer(tx, outage, "never", actor, at, reminder_id=reminder_id)
            check_wish(outage, "never")
            if await reminders.end(tx, outage.id, at) is None:
                raise WrongStateError(ALREADY_OFF.format(outage.id))
            await _note(tx, outage, "off", f"{actor.mention} switched the reminders off.", actor, at)
        return f"Nobody is reminded of outage #{outage.id} any more. {back}"

    async def again(self, actor: Actor, outage_id: int | None) -> str:
        """Reminders are on again; the time to the next begins now."""
        self._access.require(actor, "outage.remind")
        async with self._db.transaction() as tx:
            at = now()
            outage = await self._open(tx, outage_id, None)
            back = way_back(outage, at)
            check_wish(outage, "again")
            after = allowed(self._after, outage.severity)
            if await reminders.begin_again(tx, outage.id, at + after if after else None) is None:
                raise WrongStateError(ALREADY_ON.format(outage.id))
            await _note(tx, outage, "on", f"{actor.mention} switched the reminders on again.", actor, at)
        return f"Reminders of outage #{outage.id} are on again. {back}"

    # Steps

    async def _due(self, tx: Tx, outage: Outage, at: datetime) -> datetime | None:
        """When its reminder was due, if that has come and none has gone out since."""
        after = allowed(self._after, outage.severity)
        if after is None or outage.state in reminders.QUIET or outage.reminders_off_at is not None:
            return None
        due = await reminders.news(tx, outage, HOLDFAST.id) + after
        due = max(due, outage.reminders_from or due)
        gone_out = outage.reminded_at is not None and outage.reminded_at >= due
        return due if due <= at and not gone_out else None

    async def _remind(self, outage_id: int, at: datetime) -> None:
        async with self._db.transaction() as tx:
            outage = await outages.get(tx, outage_id)
            due = await self._due(tx, outage, at) if outage is not None else None
            if outage is None or due is None or await reminders.fire(tx, outage_id, due, at) is None:
                return
            # The one before it was put off, or nobody cared: only the newest waits for an answer.
            await reminders.answer(tx, outage_id, "over", None, at)
            since = await reminders.news(tx, outage, HOLDFAST.id)
            lead = outage.lead or outage.acknowledged_by
            made = Reminder(outage_id=outage_id, at=at, since=since, severity=outage.severity, lead=lead)
            key = f"reminder:{(await reminders.add(tx, made)).id}"
            await timeline.ensure_post(tx, key, at, parent=f"outage:{outage_id}")
            text = f"{lead or 'Everybody'} was reminded: nothing new was said for {lasting(at - since)}."
            await _note(tx, outage, "sent", text, HOLDFAST, at)

    async def _close(self, reminder: Reminder, outage: Outage, at: datetime) -> None:
        """What was done by another road than a button of the card or a command that closes it itself."""
        async with self._db.read() as tx:
            told = await reminders.news(tx, outage, HOLDFAST.id) > reminder.at
        if not told and outage.state not in reminders.QUIET:
            return
        async with self._db.transaction() as tx:
            await reminders.answer(tx, outage.id, "update" if told else "over", None, at, only=reminder.id)

    async def _open(self, tx: Tx, outage_id: int | None, reminder_id: int | None) -> Outage:
        if reminder_id is not None:
            reminder = await reminders.get(tx, reminder_id)
            if reminder is None:
                raise NotFoundError(f"There is no reminder {reminder_id} any more. Nothing was changed.")
            outage_id = reminder.outage_id
        outage = await reminders.lock(tx, (await pick(tx, outage_id)).id)
        check_open(outage)
        return outage

    async def _answer(
        self,
        tx: Tx,
        outage: Outage,
        what: str,
        actor: Actor,
        at: datetime,
        *,
        until: datetime | None = None,
        reminder_id: int | None,
    ) -> None:
        """Raises WrongStateError when the reminder of a button was answered already."""
        answered = await reminders.answer(tx, outage.id, what, actor.mention, at, until=until, only=reminder_id)
        if reminder_id is not None and not answered:
            reminder = await reminders.get(tx, reminder_id)
            raise WrongStateError(f"{_answered(reminder, at)} Nothing was changed.")


def allowed(after: RemindSettings, severity: str) -> timedelta | None:
    """How long nothing new may be said of an outage of this severity; None: as long as it takes."""
    minutes = float(getattr(after, severity))
    return timedelta(minutes=minutes) if minutes else None


def _answered(reminder: Reminder | None, at: datetime) -> str:
    who = (reminder.answered_by if reminder else None) or "Somebody"
    if reminder is not None and reminder.answer == "later" and reminder.until is not None:
        return f"{who} put it off until {moment(reminder.until, at)} already."
    if reminder is not None and reminder.answer == "never":
        return f"{who} switched the reminders of this outage off already."
    return "This reminder is over: something new was said since."


async def _note(tx: Tx, outage: Outage, verb: str, text: str, actor: Actor, at: datetime) -> None:
    """For the timeline only: the card of the reminder says it in the thread."""
    await timeline.record(tx, Entry(f"reminder.{verb}", text, actor.id, at, outage_id=outage.id), post=False)
