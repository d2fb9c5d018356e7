"""The process that sends: one for a database, started and restarted by `holdfast run`."""

import asyncio
import os
import signal
from datetime import timedelta

import structlog
import uvloop

from bot.clock import now
from bot.config import Settings
from bot.errors import BotError
from bot.mail.dkim_keys import check_keys
from bot.mail.sender import Sender
from bot.memory import collect_seldom
from storage.db import Database
from storage.locks import TakenError, only_one

log = structlog.get_logger()

_CACHE_KIB = 2_000
"""The sender goes through the ledger in order, a thousand rows at a time, so it need not keep much of it in memory."""

_TAKEOVER = timedelta(seconds=45)
"""How long to wait for a predecessor that is still settling what it had in flight."""


def run_worker(settings: Settings, parent: int | None = None) -> None:
    """Send until SIGTERM or SIGINT, or until the process `parent` is gone. Raises BotError or StorageError."""
    check_keys(settings)
    collect_seldom()
    uvloop.run(_work(settings, parent))


async def _work(settings: Settings, parent: int | None) -> None:
    db = Database(settings.database, cache_kib=_CACHE_KIB)
    try:
        until = now() + _TAKEOVER
        while True:
            try:
                async with only_one(db, "worker", settings.data_dir):
                    await _send(db, settings, parent)
                    return
            except TakenError as error:
                if now() > until:
                    raise BotError(
                        "Another Holdfast is already sending from this database. Stop it first, or let it work: "
                        "two senders would mail people twice."
                    ) from error
                await asyncio.sleep(0.2)
    finally:
        await db.close()


async def _send(db: Database, settings: Settings, parent: int | None) -> None:
    sender = Sender(db, settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, sender.stop)
    watching = asyncio.create_task(_outlive(sender, parent))
    log.info("the sender runs", worker=sender.worker)
    try:
        await sender.run()
    finally:
        watching.cancel()
    log.info("the sender has stopped; nothing is in flight")


async def _outlive(sender: Sender, parent: int | None) -> None:
    """A sender whose bot is gone stops in good order: nobody could tell it to pause any more."""
    while parent is not None and os.getppid() == parent:  # noqa: ASYNC110  no event tells when a parent dies
        await asyncio.sleep(0.5)
    if parent is not None:
        log.warning("the bot is gone; the sender stops")
        sender.stop()
