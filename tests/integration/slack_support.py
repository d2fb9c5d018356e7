"""What the tests of Slack's side share: services over a database, the real SDK, and the strict fake Slack."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from aiohttp import ClientSession, ClientTimeout, web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_sdk.web.async_client import AsyncWebClient

from bot.config import Settings
from bot.demo.fakeslack import Channel, FakeSlack, Message, User
from bot.services.bundle import Services, build
from bot.slack.announcer import Announcer, Renderer, Timing
from bot.slack.blocks import View
from bot.slack.call import Call, Click, ClickHandler, Event, EventHandler, Handler
from bot.slack.edge import Edge
from bot.slack.pace import Pace
from storage.db import Database

QUICK = Timing(
    poll=timedelta(seconds=0.02),
    live=timedelta(seconds=0.05),
    first_pause=timedelta(seconds=0.02),
    longest_pause=timedelta(seconds=0.05),
    stop_within=timedelta(seconds=2),
)


def settings(folder: Path, **more: object) -> Settings:
    return Settings.model_validate({"data_dir": folder, "channel": "email-ops", **more})


def entries(thread: Message) -> list[str]:
    """What a thread tells, entry by entry: a burst is one message with a line for each, behind its time."""
    shown = [each.blocks[0]["text"]["text"] if each.blocks else each.text for each in thread.thread]
    return [re.sub(r"^\*<!date[^>]*>\*  ", "", line) for text in shown for line in text.split("\n")]


def no_hurry() -> Pace:
    """For tests of anything but the pace itself."""
    return Pace(burst=1000, per_second=1000.0)


@asynccontextmanager
async def web_client(slack: FakeSlack, *, patience: float = 5) -> AsyncIterator[AsyncWebClient]:
    """The SDK's client, without retries of its own; `patience` in seconds."""
    async with ClientSession(timeout=ClientTimeout(total=patience)) as session:
        yield AsyncWebClient(token=slack.bot_token, base_url=slack.api_url, session=session, retry_handlers=[])


@asynccontextmanager
async def announcing(
    services: Services,
    slack: FakeSlack,
    renderers: Mapping[str, Renderer],
    *,
    patience: float = 5,
    timing: Timing = QUICK,
    pace: type[Pace] | None = None,
) -> AsyncIterator[Announcer]:
    """An announcer that runs, and is stopped in good order."""
    async with web_client(slack, patience=patience) as client:
        announcer = Announcer(services, client, renderers, timing=timing, new_pace=pace or no_hurry)
        running = asyncio.create_task(announcer.run())
        try:
            yield announcer
        finally:
            announcer.stop()
            await running


@dataclass
class Desk:
    """Handlers that write down what reached them, and do what a test tells them to."""

    calls: list[Call] = field(default_factory=list)
    clicks: list[Click] = field(default_factory=list)
    events_seen: list[Event] = field(default_factory=list)
    reply: View = field(default_factory=lambda: View("Done."))
    error: Exception | None = None
    gate: asyncio.Event | None = None
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def command(self, _: Services, call: Call) -> View:
        self.calls.append(call)
        self.arrived.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return self.reply

    async def click(self, _: Services, click: Click) -> View | None:
        self.clicks.append(click)
        if self.error is not None:
            raise self.error
        return None

    async def event(self, _: Services, event: Event) -> View | None:
        self.events_seen.append(event)
        self.arrived.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return None

    @property
    def events(self) -> dict[str, EventHandler]:
        return {"reaction_added": self.event}

    @property
    def commands(self) -> dict[str, Handler]:
        return {"/campaign": self.command, "/holdfast": self.command}

    @property
    def actions(self) -> dict[str, ClickHandler]:
        return {"outage.acknowledge": self.click}


@dataclass
class Office:
    """A workspace with two people and a channel, and an edge that listens."""

    slack: FakeSlack
    edge: Edge
    desk: Desk
    services: Services
    client: AsyncWebClient
    maria: User
    ops: Channel


@asynccontextmanager
async def office(db: Database, folder: Path, *, socket: bool = True) -> AsyncIterator[Office]:
    """The edge behind a real Bolt app, over Socket Mode or over signed HTTP."""
    async with FakeSlack() as slack, web_client(slack) as client:
        maria = slack.add_user("maria", real_name="Maria Ortiz", tz="Europe/Madrid")
        ops = slack.add_channel("email-ops")
        services = build(db, settings(folder))
        desk = Desk()
        edge = Edge(services, client, desk.commands, desk.actions, events=desk.events)
        async with _socket(slack, edge) if socket else _http(slack, edge):
            yield Office(slack, edge, desk, services, client, maria, ops)
            await edge.close()


@asynccontextmanager
async def listening(slack: FakeSlack, edge: Edge) -> AsyncIterator[None]:
    """What people type and press reaches this edge, over Socket Mode."""
    async with _socket(slack, edge):
        yield
        await edge.close()


@asynccontextmanager
async def _socket(slack: FakeSlack, edge: Edge) -> AsyncIterator[None]:
    web = AsyncWebClient(token=slack.app_token, base_url=slack.api_url)
    handler = AsyncSocketModeHandler(edge.bolt(), slack.app_token, web_client=web)
    await handler.connect_async()  # type: ignore[no-untyped-call]  # the SDK leaves it out
    try:
        await slack.wait_for_socket()
        yield
    finally:
        await handler.close_async()  # type: ignore[no-untyped-call]  # the SDK leaves it out


@asynccontextmanager
async def _http(slack: FakeSlack, edge: Edge) -> AsyncIterator[None]:
    bolt = edge.bolt(signing_secret=slack.signing_secret)

    async def events(request: web.Request) -> web.Response:
        return await to_aiohttp_response(await bolt.async_dispatch(await to_bolt_request(request)))

    application = web.Application()
    application.router.add_post("/slack/events", events)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    slack.request_url = f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events"
    try:
        yield
    finally:
        await runner.cleanup()
