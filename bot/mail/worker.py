"""The process that sends. `holdfast run` starts one and starts it again; with PostgreSQL there may be any number of
others, on any machines: `holdfast worker`. On SQLite there is one for a database.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta

import structlog
import uvloop

from bot.clock import now
from bot.config import Settings
from bot.errors import BotError
from bot.mail.dkim_keys import check_keys
from bot.mail.sender import Sender
from bot.memory import collect_seldom, one_heap
from bot.work_kinds import Duty
from storage.db import Database
from storage.locks import TakenError, only_one

log = structlog.get_logger()

_CACHE_KIB = 500
"""The sender goes through the ledger in order, a thousand rows at a time, so it need not keep much of it in memory."""

_TAKEOVER = timedelta(seconds=45)
"""How long to wait for a predecessor that is still settling what it had in flight."""


Duties = Callable[[Database, Settings], Sequence[Duty]]
"""What a worker carries out beside sending, made by who composes the process."""


def run_worker(settings: Settings, parent: int | None = None, duties: Duties | None = None) -> None:
    """Send until SIGTERM or SIGINT, or until the process `parent` is gone. Raises BotError or StorageError."""
    check_keys(settings)
    collect_seldom()
    one_heap()
    uvloop.run(_work(settings, parent, duties))


async def _work(settings: Settings, parent: int | None, duties: Duties | None) -> None:
    db = Database(settings.database, cache_kib=_CACHE_KIB)
    try:
        async with _place(db, settings, parent):
            await _send(db, settings, parent, duties(db, settings) if duties is not None else ())
    finally:
        await db.close()


@contextlib.asynccontextmanager
async def _place(db: Database, settings: Settings, parent: int | None) -> AsyncIterator[None]:
    """On SQLite the only one that there is. The child of a bot waits a while for its predecessor's end."""
    if not db.is_sqlite:
        yield
        return
    until = now() + (_TAKEOVER if parent is not None else timedelta())
    async with contextlib.AsyncExitStack() as stack:
        while True:
            try:
                await stack.enter_async_context(only_one(db, "worker", settings.data_dir))
                break
            except TakenError as error:
                if now() > until:
                    raise BotError(
                        "Another Holdfast is already sending from this database. SQLite serves one worker, on the "
                        "machine that has the file: stop the other one first, or let it work. For several workers use "
                        "PostgreSQL (HOLDFAST_DATABASE_URL)."
                    ) from error
                await asyncio.sleep(0.2)
        yield


async def _send(db: Database, settings: Settings, parent: int | None, duties: Sequence[Duty]) -> None:
    """One sender after the other: a new one begins where others have taken over from the last, which was silent."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    watching = asyncio.create_task(_outlive(stop, parent))
    try:
        while not stop.is_set():
            sender = Sender(db, settings, duties=duties)
            ending = asyncio.create_task(_end(stop, sender))
            log.info("the sender runs", worker=sender.worker)
            try:
                await sender.run()
            finally:
                ending.cancel()
    finally:
        watching.cancel()
    log.info("the sender has stopped; nothing is in flight")


async def _end(stop: asyncio.Event, sender: Sender) -> None:
    await stop.wait()
    sender.stop()


async def _outlive(stop: asyncio.Event, parent: int | None) -> None:
    """A sender whose bot is gone stops in good order: nobody could tell it to pause any more."""
    while parent is not None and os.getppid() == parent:  # noqa: ASYNC110  no event tells when a parent dies
        await asyncio.sleep(0.5)
    if parent is not None:
        log.warning("the bot is gone; the sender stops")
        stop.set()
