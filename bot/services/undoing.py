"""Undo: what one deed changed is as it was before, once, for a while, and only where nothing has changed since."""

from collections.abc import Sequence
from datetime import datetime

from bot.access import Access, Actor
from bot.clock import now
from bot.errors import BotError, NotFoundError, WrongStateError
from bot.services import undo_campaigns, undo_servers
from bot.services.maintenance import MaintenanceWindows
from bot.services.plans import Plan
from bot.services.servers import Servers
from bot.services.undo_delivered import undo_delivered
from bot.services.undo_windows import undo_cancel, undo_confirm
from bot.services.when import lasting
from bot.services.words import moment
from storage import undos
from storage.db import Database, Tx
from storage.models import Undo

_REVERSE = {
    "campaign.pause": "campaign.resume",
    "campaign.resume": "campaign.pause",
    "server.drain": "server.restore",
    "server.failover": "server.restore",
    "maintenance.confirm": "maintenance.cancel",
    "maintenance.cancel": "maintenance.schedule",
    "resend.delivered": "resend.delivered",
}
"""The permission that taking it back needs: that of the deed which would do it by hand."""

_BY_HAND = {
    "campaign.pause": "/campaign resume",
    "campaign.resume": "/campaign pause",
    "server.drain": "/server restore",
    "server.failover": "/server restore",
    "server.restore": "/server drain or /server failover",
    "maintenance.confirm": "/maintenance cancel",
    "maintenance.cancel": "/maintenance schedule",
}


_AGAIN = {
    "campaign.pause": "/campaign pause",
    "campaign.resume": "/campaign resume",
    "server.drain": "/server drain",
    "server.failover": "/server failover",
    "server.restore": "/server restore",
    "maintenance.confirm": "/maintenance schedule",
    "maintenance.cancel": "/maintenance cancel",
    "resend.delivered": "/resend delivered",
}


class SpentError(WrongStateError):
    """It was undone before, or its time is over: its button does nothing any more."""


class Undoing:
    """The button, and `/holdfast undo NUMBER`."""

    def __init__(self, db: Database, access: Access, servers: Servers, windows: MaintenanceWindows) -> None:
        self._db = db
        self._access = access
        self._servers = servers
        self._windows = windows

    async def may(self, actor: Actor, undo_id: int) -> bool:
        """Whether the person could undo it now, so that nobody is shown a button that only refuses."""
        try:
            await self._ready(actor, undo_id)
        except BotError:
            return False
        return True

    async def plan(self, actor: Actor, undo_id: int) -> Plan:
        """What would be undone. Raises what `undo` raises, as far as it can be told without doing it."""
        note = await self._check(actor, undo_id)
        facts = ["What has changed since is left alone."] if note.deed.startswith(("campaign.", "resend.")) else []
        return Plan("undo", f"undo {note.what}", facts, [note.what], f"To do it again after that: {_AGAIN[note.deed]}")

    async def _check(self, actor: Actor, undo_id: int) -> Undo:
        note = await self._ready(actor, undo_id)
        if note.deed.startswith("server."):
            await undo_servers.look(self._db, self._servers, note)
        return note

    async def undo(self, actor: Actor, undo_id: int) -> str:
        """Take it back. Returns the sentence that says what is so now.

        Raises NotFoundError, NotAllowedError, SpentError (undone before, or too late) and WrongStateError (everything
        has changed since, or a server that would get mail again does not answer).
        """
        await self._check(actor, undo_id)
        at = now()
        async with self._db.transaction() as tx:
            note = await undos.take(tx, undo_id, actor.mention, at)
            if note is None:
                raise _spent(await _get(tx, undo_id), at)
            said = await _carry_out(tx, note, actor, at)
        if note.deed.startswith("maintenance."):
            self._windows.changed()
        return said

    async def _ready(self, actor: Actor, undo_id: int) -> Undo:
        at = now()
        async with self._db.read() as tx:
            note = await _get(tx, undo_id)
        for permission in _permissions(note):
            self._access.require(actor, permission)
        if note.undone_at is not None or note.expires_at <= at:
            raise _spent(note, at)
        return note


async def _carry_out(tx: Tx, note: Undo, actor: Actor, at: datetime) -> str:
    match note.deed:
        case "campaign.pause":
            return await undo_campaigns.undo_pause(tx, note, actor, at)
        case "campaign.resume":
            return await undo_campaigns.undo_resume(tx, note, actor, at)
        case "maintenance.confirm":
            return await undo_confirm(tx, note, actor, at)
        case "maintenance.cancel":
            return await undo_cancel(tx, note, actor, at)
        case "resend.delivered":
            return await undo_delivered(tx, note, actor, at)
        case _:
            return await undo_servers.undo(tx, note, actor, at)


async def _get(tx: Tx, undo_id: int) -> Undo:
    note = await undos.get(tx, undo_id)
    if note is None:
        raise NotFoundError(f"There is nothing to undo by the number {undo_id}. The reply to a command names it.")
    return note


def _permissions(note: Undo) -> Sequence[str]:
    if note.deed != "server.restore":
        return [_REVERSE[note.deed]]
    before = note.data["before"][str(note.data["server"])]
    drained, moved = before["drained_at"] is not None, before["failover_to_id"] is not None
    return [*(["server.drain"] * drained), *(["server.failover"] * moved)]


def _spent(note: Undo, at: datetime) -> SpentError:
    what = note.what[0].upper() + note.what[1:]
    if note.undone_at is not None:
        return SpentError(f"{what} was undone already by {note.undone_by}, at {moment(note.undone_at, at)}.")
    late = (
        f"{what} was more than {lasting(note.expires_at - note.done_at)} ago, so it is not undone by itself any more."
    )
    if note.deed not in _BY_HAND:
        return SpentError(f"{late} It stays as it is.")
    return SpentError(f"{late} Look at how it is now, then use {_BY_HAND[note.deed]}")
