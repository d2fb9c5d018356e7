"""The ramp of a send, its waiting and its checks as one piece of durable work.

A run lives as long as the send does without a pause, and is found again after any crash. It remembers nothing itself:
the stage, the end of the wait and since when failures count are rows, so a run that begins anew, or twice, does what
the rows say. That is why its short rests are no steps of the engine, whose every step costs more than a look.
"""

import asyncio
from datetime import datetime

import structlog

from bot.access import Access
from bot.config import Settings
from bot.services.ramps import LOOK_EVERY, Ramps
from bot.work_kinds import Engine, Kind
from storage import ramps
from storage.db import Database
from storage.errors import StorageError
from storage.ramps import Send

NAME = "ramp"
_log = structlog.get_logger(__name__)


class RampWork:
    """`kind` is carried out by any worker; `ask` gives the engine what is sending and has not been asked for here."""

    def __init__(self, db: Database, looks: Ramps) -> None:
        self._db = db
        self._ramps = looks
        self._asked: set[str] = set()
        self.kind = Kind(NAME, self.run)

    async def ask(self, engine: Engine) -> None:
        """As often as one likes: each send has one run from its start, or the word that let it go on, to its end."""
        async with self._db.read() as tx:
            found = {key_of(send, since): send for send, since in (await ramps.sending(tx)).items()}
        for key in found.keys() - self._asked:
            send = found[key]
            await engine.ensure(NAME, key, key, list(send.campaign_ids), send.resend_id)
        self._asked = set(found)

    async def run(self, key: str, campaign_ids: list[int], resend_id: int | None) -> None:
        """Look at one send every few seconds until it is not sending any more, or was let go on anew."""
        send, goes_on = Send(tuple(campaign_ids), resend_id), True
        while goes_on:
            try:
                goes_on = await self._goes_on(key, send)
                if goes_on:
                    await self._ramps.look_in_turn(send)
            except StorageError as error:  # a database that is away for a while must not end the run
                _log.warning("a ramp cannot be looked at; it is tried again", error=str(error))
            await asyncio.sleep(LOOK_EVERY.total_seconds())
        self._ramps.forget(send)

    async def _goes_on(self, key: str, send: Send) -> bool:
        async with self._db.read() as tx:
            found = await ramps.sending(tx)
        return send in found and key_of(send, found[send]) == key


def duties(db: Database, settings: Settings) -> list[RampWork]:
    """What a worker carries out beside sending."""
    access = Access(settings.roles, settings.admins, settings.break_glass)
    return [RampWork(db, Ramps(db, settings, access))]


def key_of(send: Send, since: datetime | None) -> str:
    """`campaign.7.1767225600000000`: this send, since its start or since it was last let go on."""
    what = f"campaign.{send.campaign_ids[0]}" if send.resend_id is None else f"resend.{send.resend_id}"
    return f"{what}.{int(since.timestamp() * 1_000_000) if since else 0}"
