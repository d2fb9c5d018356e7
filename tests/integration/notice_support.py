"""What stories about notices share: a world with an outage, a real sender, and a receiver of webhooks."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from bot.access import Actor
from bot.demo.relays import Relay
from bot.mail.sender import Sender
from storage.db import Database
from storage.models import Notice, NoticeState
from tests.outage_world import World, world

MARIA = Actor(id="U0MARIA", name="maria")
BEN = Actor(id="U0BEN", name="ben")
TEXT = "Hello,\n\nour mail was late today. We are sorry.\n\nYour shop"
SECRET = "a secret of ours"
ALL_MAY = {"sender": ["*"], "approver": ["*"]}


@dataclass
class Receiver:
    """A webhook's other end. It answers with what is next in `answers`, then with 200."""

    url: str = ""
    answers: list[web.Response] = field(default_factory=list)
    calls: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        self.calls.append((dict(request.headers), await request.read()))
        return self.answers.pop(0) if self.answers else web.Response()

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.calls]


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    receiver.url = f"http://{host}:{port}/hook"
    try:
        yield receiver
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def outage(db: Database, folder: Path, recipients: int = 40, **sections: object) -> AsyncIterator[World]:
    """The primary is down in the middle of spring-sale; its outage is open."""
    sections.setdefault("roles", ALL_MAY)
    async with world(db, folder, **sections) as here:
        await here.campaign(recipients)
        await here.break_primary()
        yield here


@contextlib.asynccontextmanager
async def sending(here: World) -> AsyncIterator[None]:
    sender = Sender(here.db, here.services.settings)
    task = asyncio.create_task(sender.run())
    try:
        yield
    finally:
        sender.stop()
        await task


async def until(here: World, notice: Notice, *states: NoticeState) -> None:
    """Tick until the notice is in one of the states."""

    async def so() -> bool:
        await here.services.notices.tick()
        return (await here.services.notices.status(notice.id)).notice.state in states

    await eventually(so)


async def until_mailed(here: World) -> None:
    """Without a tick, until the sender has finished the newest notice's mailing."""

    async def so() -> bool:
        return (await here.services.notices.status()).mailing.state == "finished"

    await eventually(so)


async def eventually(so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await so():
            await asyncio.sleep(0.02)


async def approved(here: World, notice: Notice) -> None:
    """Maria asks, Ben approves."""
    await here.services.notices.request(MARIA, notice.id)
    await here.services.notices.approve(BEN, notice.id)


def got(relay: Relay) -> list[str]:
    return sorted(rcpt for message in relay.messages for rcpt in message.recipients)
