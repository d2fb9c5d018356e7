"""The composition root: from settings to a bot that runs."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import structlog
from aiohttp import ClientSession, ClientTimeout, web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.async_app import AsyncApp
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient

from bot.child import Child
from bot.config import Settings
from bot.errors import BotError, SettingsError
from bot.mail.dkim_keys import check_keys
from bot.mail.links import Links
from bot.scheduler import Scheduler
from bot.services.bundle import Services, build
from bot.services.watching import Watch
from bot.slack.announcer import Announcer
from bot.slack.answering import SLACK_ERRORS, reason
from bot.slack.cards import CARDS
from bot.slack.edge import Edge
from bot.slack.groups import UserGroups
from bot.slack.home import HomeTabs
from bot.slack.installed import Installations
from bot.slack.installs import Installer, Outcome
from bot.slack.manifest import INSTALL_PATH, REDIRECT_PATH
from bot.slack.setbacks import TOKEN_REFUSED, judge
from bot.slack.socket import Socket
from bot.slack.workspaces import Workspaces
from bot.web.delivery_events import delivery_hook
from bot.web.pages import Page, page
from bot.web.server import EventHandler, Server
from commands import ACTIONS, COMMANDS, EVENTS, FORMS
from storage.db import Database
from storage.locks import TakenError, only_one

SLACK_PATIENCE = timedelta(seconds=15)
"""How long one call to Slack may take; with a session of ours the SDK's own limit does not count."""
_log = structlog.get_logger(__name__)


class Bot:
    """One of these runs over a database: the Slack edge, the monitor, the scheduler, the announcer and the sender.

    The sender is a process of its own, so that nothing it does delays an ack.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.db = Database(settings.database)
        self.http_port: int | None = None
        """The port that HTTP listens on, once started."""
        self._open = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self, stop: asyncio.Event) -> None:
        """Start, work until `stop` is set, stop. Raises what `start` raises."""
        try:
            await self.start()
            await self._until(stop)
        finally:
            await self.stop()

    async def start(self) -> None:
        """Raises SettingsError for what must be set otherwise, BotError when another Holdfast runs already, and
        StorageError when the database cannot be used. A Slack that is away is no error: the mail must be watched.
        """
        _require_tokens(self.settings)
        check_keys(self.settings)
        await self._open.enter_async_context(_Closing(self.db.close))
        await self._be_the_only_one()
        await self.db.migrate()
        services = build(self.db, self.settings)
        await services.servers.sync_settings()

        session = await self._open.enter_async_context(
            ClientSession(timeout=ClientTimeout(total=SLACK_PATIENCE.total_seconds()))
        )
        quiet = self._client(session)
        workspaces = Workspaces(self._client(session, patient=True), quiet)
        installations = await self._installations(session, workspaces)
        await _check_token(quiet, self.settings)
        announcer = Announcer(services, quiet, CARDS)
        await self._announce(announcer)
        groups = UserGroups(workspaces.client, services.access)
        await self._open.enter_async_context(_Closing(groups.close))
        tabs = HomeTabs(services, workspaces, groups)
        await self._spawn("home tabs", tabs.run())

        def wake() -> None:
            announcer.wake()
            tabs.wake()

        async def installed() -> None:
            await announcer.retry()
            tabs.retry()

        edge = Edge(
            services,
            workspaces.client,
            COMMANDS,
            ACTIONS,
            events=EVENTS,
            forms=FORMS,
            wake=wake,
            home=tabs,
            workspaces=workspaces,
            groups=groups,
            removed=installations.removed if installations else None,
        )
        hooks = delivery_hook(services.reconciling, self.settings.events_secret)
        await self._listen(edge, session, self._pages(session, installations, installed), hooks)
        await self._work(services)
        await edge.resume()
        _log.info("Holdfast runs", channel=self.settings.channel, http_port=self.http_port)

    async def stop(self) -> None:
        """In the reverse order of the start: nothing new comes in, what was begun is finished, then the rest ends."""
        await self._open.aclose()
        _log.info("Holdfast has stopped")

    async def _until(self, stop: asyncio.Event) -> None:
        """A part that ends by itself is a fault of ours: better to stop and be restarted than to limp."""
        waiting = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait({waiting, *self._tasks}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        for task in done - {waiting}:
            task.result()

    async def _be_the_only_one(self) -> None:
        try:
            await self._open.enter_async_context(only_one(self.db, "run", self.settings.data_dir))
        except TakenError as error:
            raise BotError(
                "Another Holdfast runs over this database already. Stop it first: two would post everything twice."
            ) from error

    async def _installations(self, session: ClientSession, workspaces: Workspaces) -> Installations | None:
        """Those by OAuth, taken up; None where the bot token is a setting. Raises SettingsError and StorageError."""
        if self.settings.install_url is None:
            return None
        client = AsyncWebClient(base_url=self.settings.slack_api_url, session=session, retry_handlers=[])
        installations = Installations(self.db, self.settings, client, workspaces)
        await installations.load()
        await installations.renew()
        await self._spawn("tokens", installations.keep())
        return installations

    def _pages(
        self, session: ClientSession, installations: Installations | None, installed: Callable[[], Awaitable[None]]
    ) -> dict[str, EventHandler]:
        """The pages of the installation by OAuth, where the bot token comes from it."""
        if installations is None:
            return {}
        client = AsyncWebClient(base_url=self.settings.slack_api_url, session=session, retry_handlers=[])
        installer = Installer(self.db, self.settings, client, installations, installed)
        return {INSTALL_PATH: _browser(installer.begin), REDIRECT_PATH: _browser(installer.finish)}

    def _client(self, session: ClientSession, *, patient: bool = False) -> AsyncWebClient:
        """Of the home workspace. A `patient` one tries again after a 429, which says that nothing was done; after a
        lost connection that is not known.
        """
        token = self.settings.slack_bot_token
        return AsyncWebClient(
            token=token.get_secret_value() if token else None,
            base_url=self.settings.slack_api_url,
            session=session,
            retry_handlers=[AsyncRateLimitErrorRetryHandler(max_retry_count=2)] if patient else [],
        )

    async def _listen(
        self, edge: Edge, session: ClientSession, pages: dict[str, EventHandler], hooks: dict[str, EventHandler]
    ) -> None:
        secret, app_token = self.settings.slack_signing_secret, self.settings.slack_app_token
        await self._open.enter_async_context(_Closing(edge.close))
        bolt = edge.bolt(signing_secret=secret.get_secret_value() if secret else None)
        await self._serve_http(None if app_token or not secret else _events(bolt), pages, hooks)
        if app_token is not None:
            socket = Socket(bolt, app_token.get_secret_value(), self.settings.slack_api_url, session)
            await self._connect(socket)
            await self._spawn("socket", socket.run())

    async def _connect(self, socket: Socket) -> None:
        """The first try, so that a wrong token is told at the start; everything else is left to the loop."""
        await self._open.enter_async_context(_Closing(socket.close))
        try:
            await socket.connect()
        except SLACK_ERRORS as error:
            if reason(error) in TOKEN_REFUSED:
                raise SettingsError(
                    f"HOLDFAST_SLACK_APP_TOKEN is wrong: Slack says {reason(error)}. It begins with xapp- and needs "
                    "the scope connections:write; copy it from the app's page under Basic Information."
                ) from error
            _log.warning("Slack cannot be reached yet; it is tried again and again", error=reason(error))

    async def _serve_http(
        self, events: EventHandler | None, pages: dict[str, EventHandler], hooks: dict[str, EventHandler]
    ) -> None:
        links = Links([self.settings.signing_key()])
        host, port = self.settings.http_host, self.settings.http_port
        server = Server(self.db, links, host=host, port=port, events=events, pages=pages, hooks=hooks)
        await self._open.enter_async_context(_Closing(server.stop))
        try:
            self.http_port = await server.start()
        except OSError as error:
            raise SettingsError(
                f"HOLDFAST_HTTP_PORT: {self.settings.http_host}:{self.settings.http_port} cannot be listened on "
                f"({os.strerror(error.errno) if error.errno else error}). Choose another port, or 0 for any."
            ) from error

    async def _announce(self, announcer: Announcer) -> None:
        """Begun first, so that it ends last: the others still have something to say."""
        announcing = asyncio.create_task(announcer.run(), name="announcer")
        self._tasks.append(announcing)

        async def end() -> None:
            announcer.stop()
            await asyncio.gather(announcing, return_exceptions=True)

        await self._open.enter_async_context(_Closing(end))

    async def _work(self, services: Services) -> None:
        """Everything that goes on by itself."""
        sender = Child("sender", [sys.executable, "-m", "bot.cli", "worker", "--parent", str(os.getpid())])
        await self._spawn("sender", sender.run())
        scheduler = Scheduler(services)
        await scheduler.start()
        await self._open.enter_async_context(_Closing(scheduler.stop))
        watch = Watch(self.db, self.settings, services.servers, services.outages)
        await self._spawn("watch", watch.run())

    async def _spawn(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.append(task)

        async def end() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        await self._open.enter_async_context(_Closing(end))


class _Closing:
    """Calls `end` when the stack is left."""

    def __init__(self, end: Callable[[], Awaitable[None]]) -> None:
        self._end = end

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, *_: object) -> None:
        await self._end()


def _require_tokens(settings: Settings) -> None:
    """Raises SettingsError, which names what is missing."""
    if settings.slack_bot_token is None and settings.slack_client_id is None:
        raise SettingsError(
            "HOLDFAST_SLACK_BOT_TOKEN is missing. It begins with xoxb-; copy it from the app's page under OAuth & "
            "Permissions. To try Holdfast without Slack, run: holdfast demo"
        )
    if settings.slack_bot_token is None:
        _require_oauth(settings)
    if settings.slack_app_token is None and settings.slack_signing_secret is None:
        raise SettingsError(
            "HOLDFAST_SLACK_APP_TOKEN is missing. Set it for Socket Mode, or set HOLDFAST_SLACK_SIGNING_SECRET to "
            "receive Slack's requests over HTTP."
        )
    if not settings.channel:
        raise SettingsError("HOLDFAST_CHANNEL is missing. Set it to the id or name of the channel for outages.")


def _require_oauth(settings: Settings) -> None:
    if settings.slack_client_secret is None:
        raise SettingsError(
            "HOLDFAST_SLACK_CLIENT_SECRET is missing. Copy it from the app's page under Basic Information, or set "
            "HOLDFAST_SLACK_BOT_TOKEN instead of installing by OAuth."
        )
    if not (settings.public_url or "").startswith("https://"):
        raise SettingsError(
            "HOLDFAST_PUBLIC_URL is missing or not https. Slack sends people back to it after they have installed "
            "Holdfast by OAuth. Set it to the https address that leads to the HTTP port."
        )


async def _check_token(client: AsyncWebClient, settings: Settings) -> None:
    """A wrong token is told at the start; a Slack that is away is waited for later, and so is an installation."""
    try:
        who = await client.auth_test()
    except SlackApiError as error:
        if settings.install_url is not None:
            _log.warning(judge(error, "", settings.install_url).sentence)
            return
        if reason(error) in TOKEN_REFUSED:
            raise SettingsError(
                f"HOLDFAST_SLACK_BOT_TOKEN is wrong: Slack says {reason(error)}. Copy it again from the app's page "
                "under OAuth & Permissions."
            ) from error
        _log.warning("Slack did not answer auth.test", error=reason(error))
    except SLACK_ERRORS as error:
        _log.warning("Slack cannot be reached yet", error=reason(error))
    else:
        _log.info("Slack knows us", team=who.get("team"), user=who.get("user"))


def _browser(step: Callable[[AsyncBoltRequest], Awaitable[BoltResponse | Outcome]]) -> EventHandler:
    async def handle(request: web.Request) -> web.Response:
        answer = await step(await to_bolt_request(request))
        if isinstance(answer, Outcome):
            return page(Page(answer.title, answer.text), status=answer.status)
        return await to_aiohttp_response(answer)

    return handle


def _events(bolt: AsyncApp) -> EventHandler:
    async def handle(request: web.Request) -> web.Response:
        return await to_aiohttp_response(await bolt.async_dispatch(await to_bolt_request(request)))

    return handle
