"""What people say in Slack, in the timeline of an outage: put in by a pin, a reaction or a shortcut, and taken out."""

from dataclasses import dataclass
from datetime import datetime

from bot.access import Access, Actor
from bot.clock import now
from bot.errors import BadInputError, NotFoundError, WrongStateError
from bot.services.outage_reading import pick
from bot.services.words import joined, moment
from storage import marks, timeline
from storage.db import Database, Tx
from storage.marks import Place
from storage.models import Outage, Timeline

KIND = "outage.message"
SHORTCUT = "shortcut"
_TEXT_MAX = 2000


@dataclass(frozen=True)
class Said:
    """A message of Slack. `author` is a mention or a name; `thread` is the timestamp of its thread's first message."""

    channel: str
    ts: str
    at: datetime
    text: str
    author: str
    permalink: str | None = None
    thread: str | None = None

    @property
    def place(self) -> Place:
        return Place(self.channel, self.ts)


@dataclass(frozen=True)
class Marked:
    """What became of it: the outage, the number of the entry, and the sentence that says so."""

    outage_id: int
    entry_id: int
    text: str


class Messages:
    """A message stands in one timeline, once, at its own time, while somebody's mark is on it."""

    def __init__(self, db: Database, access: Access) -> None:
        self._db = db
        self._access = access

    async def concerns(self, channel: str) -> bool:
        """Whether a mark in this channel can be about an outage."""
        async with self._db.read() as tx:
            return await marks.has_outages(tx, channel)

    async def check(self, said: Said) -> None:
        """Raises BadInputError for what Holdfast wrote itself."""
        async with self._db.read() as tx:
            await _check_theirs(tx, said)

    async def outage_of(self, said: Said) -> int | None:
        """The outage in whose thread it was said."""
        async with self._db.read() as tx:
            return await _outage_of(tx, said)

    async def add(
        self, actor: Actor, said: Said, how: str, at: datetime | None = None, outage_id: int | None = None
    ) -> Marked | None:
        """A mark was put on at that moment: the message belongs to the timeline of its thread's outage, or of the one
        that is named. None when it is of no outage, or when the mark was taken off later.

        Raises BadInputError for what Holdfast wrote itself, NotAllowedError and NotFoundError.
        """
        self._access.require(actor, "outage.update")
        async with self._db.transaction() as tx:
            await marks.alone(tx, said.place)
            found = outage_id or await _outage_of(tx, said)
            if found is None:
                return None
            await _check_theirs(tx, said)
            outage = await pick(tx, found)
            if not await marks.put(tx, said.place, how, is_on=True, at=at or now()):
                return None
            row = await _put(tx, actor, said, outage)
            text = f"Added to the timeline of outage #{outage.id}, at {moment(said.at, now())}. {_undo(how, row)}"
            return Marked(outage.id, row.id, text)

    async def take_off(self, actor: Actor, place: Place, how: str, at: datetime) -> str | None:
        """A mark was taken off at that moment; without another one the message leaves the timeline. What to say of
        it; None when it never stood there, or when the mark was put on again later.
        """
        self._access.require(actor, "outage.update")
        async with self._db.transaction() as tx:
            await marks.alone(tx, place)
            is_newest = await marks.put(tx, place, how, is_on=False, at=at)
            row = await marks.entry_of(tx, place)
            if not is_newest or row is None or row.removed_at is not None:
                return None
            left = await marks.still_on(tx, place)
            if left:
                return f"The message stays in the timeline of outage #{row.outage_id}: {_named(left)} still on it."
            row.removed_at = at
        return f"The message is out of the timeline of outage #{row.outage_id}."

    async def remove(self, actor: Actor, entry_id: int) -> str:
        """Take a message out by the number of its entry, whatever marks are on it. Raises NotFoundError,
        WrongStateError for an entry that is Holdfast's record.
        """
        self._access.require(actor, "outage.update")
        async with self._db.transaction() as tx:
            _, place = await to_remove(tx, entry_id)
            await marks.alone(tx, place)
            row = _still_in(await marks.entry_of(tx, place), entry_id)
            row.removed_at = at = now()
            await marks.take_all_off(tx, place, at)
        return f"The message is out of the timeline of outage #{row.outage_id}. Undo it: pin the message in Slack."


async def to_remove(tx: Tx, entry_id: int) -> tuple[Timeline, Place]:
    """The message that can be taken out, and where it stands in Slack. Nothing is locked.

    Raises NotFoundError, and WrongStateError for an entry that is Holdfast's record or is out already.
    """
    found = await timeline.get(tx, entry_id)
    if found is None or found.outage_id is None:
        raise NotFoundError(f"No timeline has an entry {entry_id}. See their numbers: /outage timeline")
    if found.channel is None or found.message_ts is None:
        raise WrongStateError(
            f"Entry {entry_id} is what Holdfast recorded, and that stays. Only messages of people can be taken out."
        )
    return _still_in(found, entry_id), Place(found.channel, found.message_ts)


def _still_in(row: Timeline | None, entry_id: int) -> Timeline:
    if row is None or row.removed_at is not None:
        raise WrongStateError(f"Entry {entry_id} is out of the timeline already.")
    return row


async def _check_theirs(tx: Tx, said: Said) -> None:
    if await marks.is_ours(tx, said.place):
        raise BadInputError("Holdfast wrote that message itself: what it says stands in the timeline already.")


async def _outage_of(tx: Tx, said: Said) -> int | None:
    return await marks.outage_of_thread(tx, Place(said.channel, said.thread or said.ts))


async def _put(tx: Tx, actor: Actor, said: Said, outage: Outage) -> Timeline:
    """The entry as the message reads now: one that comes back may have been edited."""
    row = await marks.entry_of(tx, said.place)
    if row is None:
        row = Timeline(kind=KIND, channel=said.channel, message_ts=said.ts)
        tx.add(row)
    row.at, row.actor, row.outage_id, row.removed_at = said.at, actor.mention, outage.id, None
    row.text = f"{said.author}: {said.text[:_TEXT_MAX]}"
    row.data = {"author": said.author, "permalink": said.permalink}
    await tx.flush()
    return row


def _undo(how: str, row: Timeline) -> str:
    if how == SHORTCUT:
        return f"Undo it with /outage remove {row.id}"
    return f"Take the {'pin' if how == 'pin' else 'reaction'} off to take it out."


def _named(left: list[str]) -> str:
    kinds = sorted({each.partition(":")[0] for each in left})
    return f"{joined([f'a {kind}' for kind in kinds])} {'is' if len(kinds) == 1 else 'are'}"
