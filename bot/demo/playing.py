"""The workspace in a browser: served beside the story, or alone, with everything ready to be pressed."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Coroutine
from datetime import timedelta
from typing import Any

from bot.demo.page import Page
from bot.demo.page.shortcuts import of_the_manifest
from bot.demo.stage import CAMPAIGN, Stage, set_up
from bot.errors import BotError

_TERMINATED = 143  # what shells say of a process that SIGTERM ended
_TAKES = timedelta(seconds=40)
"""How long the campaign takes where people break things themselves: time to read, and to find the button."""


async def until_terminated(work: Coroutine[Any, Any, int]) -> int:
    """The work's exit code; after SIGTERM it is cancelled, tidies up and the code says so."""
    terminated = asyncio.Event()
    working = asyncio.create_task(work)

    def end() -> None:
        terminated.set()
        working.cancel()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end)
    try:
        return await working
    except asyncio.CancelledError:
        if terminated.is_set():
            return _TERMINATED
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        raise


async def open_workspace(recipients: int, database_url: str | None) -> int:
    """The workspace without the story, until it is stopped. Returns 1 when something failed."""
    return await until_terminated(_open(recipients, database_url))


async def _open(recipients: int, database_url: str | None) -> int:
    try:
        async with set_up(recipients, database_url, _TAKES) as stage, serving(stage, wanted=True) as page:
            page.say("Holdfast is starting.")
            print(await stage.import_campaign(), flush=True)
            await play(stage, page)
    except (AssertionError, ConnectionError, TimeoutError) as error:
        print(f"The demo did not go as it should. {error}", file=sys.stderr)
    return 1


@contextlib.asynccontextmanager
async def serving(stage: Stage, *, wanted: bool) -> AsyncIterator[Page]:
    """The page, its address printed; one that nobody can reach when it is not wanted."""
    page = Page(stage.slack, [stage.maria, stage.jonas, stage.ana], [stage.primary, stage.backup], of_the_manifest())
    if not wanted:
        yield page
        return
    async with page:
        print(f"The workspace is at {page.url}", flush=True)
        yield page


async def play(stage: Stage, page: Page) -> None:
    """Start the bot, and leave the buttons to whoever looks. Ends only by an error, or by being cancelled."""
    await stage.start_bot()
    page.say("")
    print(
        f"The workspace is yours: {page.url}\nThe campaign is {CAMPAIGN}. Ctrl-C ends the demo and removes everything.",
        flush=True,
    )
    await stage.bot_ends()
    raise BotError("holdfast run ended by itself; the demo cannot go on without it.")
