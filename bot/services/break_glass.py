"""Break-glass: in an emergency a responder takes the role sender, with a reason, for a while, before everybody's eyes.

It gives neither the role approver nor admin, and nobody approves what they asked for themselves.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from bot.access import HOLDFAST, Access, Actor, Glass, Role
from bot.clock import now
from bot.config import Settings
from bot.errors import BadInputError, NotAllowedError, NotFoundError, RoleMissingError, WrongStateError
from bot.services.when import lasting
from bot.services.words import moment
from storage import break_glass, timeline
from storage.db import Database, Tx
from storage.errors import StorageError
from storage.models import BreakGlass, Timeline
from storage.timeline import Entry

_FEWEST_WORDS = 3
_FEWEST_CHARACTERS = 12
_MOST_CHARACTERS = 500
_PATIENCE = timedelta(seconds=1)
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class GlassStatus:
    """One broken glass, and what was done under it, in order."""

    glass: BreakGlass
    deeds: Sequence[Timeline]
    at: datetime

    @property
    def in_force(self) -> bool:
        return self.glass.ended_at is None and self.glass.ends_at > self.at


class BreakGlasses:
    """Begun and ended by conditional changes: of two clicks, or of two people, one is told of the other."""

    def __init__(self, db: Database, settings: Settings, access: Access) -> None:
        self._db = db
        self._settings = settings.break_glass
        self._access = access
        self._look: asyncio.Task[Sequence[BreakGlass]] | None = None
        self._next_look: asyncio.Task[None] | None = None

    async def refresh(self) -> None:
        """Learn who holds one now. Never raises: while the database cannot be read, or not soon, nobody does.

        People who press at the same moment share one look, which begins after the last of them pressed.
        """
        if self._next_look is None:
            self._next_look = asyncio.create_task(self._look_after(self._look))
        await asyncio.shield(self._next_look)

    async def _look_after(self, other: asyncio.Task[Sequence[BreakGlass]] | None) -> None:
        if other is not None:
            await asyncio.wait({other}, timeout=_PATIENCE.total_seconds())
        self._next_look = None
        self._look = asyncio.create_task(self._read())
        # Not awaited to its end: a connection that hangs takes longer to be given up than people can wait.
        done, _ = await asyncio.wait({self._look}, timeout=_PATIENCE.total_seconds())
        if not done:
            self._look.cancel()
            self._look = None
            _log.warning("broken glasses cannot be read in time, so none counts")
        held = done.pop().result() if done else ()
        self._access.learn_glasses({each.user_id: Glass(each.id, each.ends_at) for each in held})

    async def _read(self) -> Sequence[BreakGlass]:
        try:
            async with self._db.read() as tx:
                return await break_glass.in_force(tx, now())
        except StorageError as error:
            _log.warning("broken glasses cannot be read, so none counts", error=str(error))
            return ()

    async def begin(self, actor: Actor, reason: str) -> GlassStatus:
        """Take the role sender. Raises NotAllowedError, WrongStateError (held already, or not needed) and
        BadInputError (no reason).
        """
        said = self.check_begin(actor, reason)
        at = now()
        async with self._db.transaction() as tx:
            await self._end_overdue(tx, at)
            until = at + self._settings.lasts
            glass_id = await break_glass.begin(tx, actor.id, said, at, until)
            if glass_id is None:
                raise held_already(await break_glass.of(tx, actor.id), at)
            text = f"{actor.mention} broke the glass for {lasting(self._settings.lasts)}: {said}"
            await _tell(tx, glass_id, "glass.broken", text, actor.id, at)
        await self.refresh()
        return await self.status(glass_id)

    def check_begin(self, actor: Actor, reason: str) -> str:
        """The reason as it would be told. Raises what `begin` raises, but for one that is held already."""
        self._check_may(actor)
        return _checked(reason)

    def _check_may(self, actor: Actor) -> None:
        if actor.source != "slack":
            raise WrongStateError("At the terminal you are an admin already, so there is no glass to break.")
        self._access.require(actor, "glass.break")
        if not self._settings.who:
            raise NotAllowedError(
                f"Break-glass is switched off here: break_glass.who is empty. {self._access.ask(Role.SENDER)}"
            )
        if not self._access.may_break(actor):
            raise RoleMissingError(
                f"You may not break the glass: break_glass.who in the settings does not name you. "
                f"{self._access.ask(Role.SENDER)}"
            )
        # Under a glass that is in force they are told of that instead.
        if Role.SENDER in self._access.roles_of(actor) and self._access.glass_of(actor) is None:
            raise WrongStateError("You are a sender already, so there is no glass to break. Nothing was changed.")

    async def end(self, actor: Actor, glass_id: int | None = None) -> GlassStatus:
        """End one before its time: one's own, or anybody's for an approver or an admin. None: the only one, or one's
        own. Raises NotAllowedError, NotFoundError and WrongStateError.
        """
        at = now()
        async with self._db.transaction() as tx:
            glass = await self.to_end(tx, actor, glass_id, at)
            if not await break_glass.end(tx, glass.id, at, actor.mention):
                raise _ended(await break_glass.get(tx, glass.id) or glass, at)
            text = f"{actor.mention} ended the break-glass of <@{glass.user_id}>."
            await _tell(tx, glass.id, "glass.ended", text, actor.id, at)
        await self.refresh()
        return await self.status(glass.id)

    async def to_end(self, tx: Tx, actor: Actor, glass_id: int | None, at: datetime) -> BreakGlass:
        """The one that this person may end now. Nothing is written. Raises what `end` raises."""
        glass = await self._chosen(tx, actor, glass_id, at)
        self._check_may_end(actor, glass)
        if glass.ended_at is not None:
            raise _ended(glass, at)
        if glass.ends_at <= at:
            raise WrongStateError(f"Its time was over at {moment(glass.ends_at, at)}. Nothing was changed.")
        return glass

    async def _chosen(self, tx: Tx, actor: Actor, glass_id: int | None, at: datetime) -> BreakGlass:
        if glass_id is not None:
            glass = await break_glass.get(tx, glass_id)
            if glass is None:
                raise NotFoundError(f"There is no break-glass {glass_id}. /holdfast break-glass shows who holds one.")
            return glass
        held = await break_glass.in_force(tx, at)
        fitting = [each for each in held if each.user_id == actor.id] or held
        if not fitting:
            raise NotFoundError("Nobody holds a broken glass now, so there is nothing to end.")
        if len(fitting) > 1:
            raise BadInputError(f"Which one? Write its number: /holdfast break-glass end {fitting[0].id}")
        return fitting[0]

    def _check_may_end(self, actor: Actor, glass: BreakGlass) -> None:
        if actor.outsider:
            self._access.require(actor, "glass.break")
        if glass.user_id == actor.id or self._access.roles_of(actor) & {Role.APPROVER, Role.ADMIN}:
            return
        raise RoleMissingError(
            f"Only <@{glass.user_id}>, an approver or an admin may end it. {self._access.ask(Role.APPROVER)}"
        )

    async def status(self, glass_id: int) -> GlassStatus:
        """Raises NotFoundError."""
        async with self._db.read() as tx:
            glass = await break_glass.get(tx, glass_id)
            if glass is None:
                raise NotFoundError(f"There is no break-glass {glass_id}.")
            return GlassStatus(glass, await break_glass.deeds(tx, glass), now())

    async def held(self) -> list[GlassStatus]:
        """Those in force, oldest first."""
        at = now()
        async with self._db.read() as tx:
            return [
                GlassStatus(each, await break_glass.deeds(tx, each), at) for each in await break_glass.in_force(tx, at)
            ]

    async def tick(self) -> None:
        """Mark those whose time is over, and show it. They stopped counting at that moment by themselves."""
        at = now()
        async with self._db.read() as tx:
            late = await break_glass.overdue(tx, at)
        if late:
            async with self._db.transaction() as tx:
                await self._end_overdue(tx, at)

    async def _end_overdue(self, tx: Tx, at: datetime) -> None:
        for glass in await break_glass.overdue(tx, at):
            if await break_glass.end(tx, glass.id, glass.ends_at, None):
                text = f"The break-glass of <@{glass.user_id}> is over."
                await _tell(tx, glass.id, "glass.ended", text, HOLDFAST.name, at)


def _checked(reason: str) -> str:
    """Raises BadInputError for what would tell nobody anything."""
    said = " ".join(reason.split())
    if len(said.split()) < _FEWEST_WORDS or len(said) < _FEWEST_CHARACTERS:
        raise BadInputError(
            "Say why, in a few words that everybody will read: /holdfast break-glass all senders are asleep and the "
            "wrong price is going out"
        )
    if len(said) > _MOST_CHARACTERS:
        raise BadInputError(f"That reason is {len(said):,} characters long. Keep it to {_MOST_CHARACTERS}.")
    return said


def held_already(glass: BreakGlass | None, at: datetime) -> WrongStateError:
    until = f" until {moment(glass.ends_at, at)}" if glass else ""
    return WrongStateError(
        f"You hold a broken glass already{until}, so nothing was changed. It is not made longer: when it is over, you "
        "can break it again with a reason."
    )


def _ended(glass: BreakGlass, at: datetime) -> WrongStateError:
    by = f" by {glass.ended_by}" if glass.ended_by else ""
    when = f" at {moment(glass.ended_at, at)}" if glass.ended_at else ""
    return WrongStateError(f"It was ended already{by}{when}. Nothing was changed.")


async def _tell(tx: Tx, glass_id: int, kind: str, text: str, actor: str, at: datetime) -> None:
    """The audit log has the line; the channel has the card, which is made once and edited in place."""
    await timeline.record(
        tx, Entry(kind=kind, text=text, actor=actor, at=at, data={"break_glass": glass_id}), post=False
    )
    await timeline.ensure_post(tx, f"glass:{glass_id}", at)
