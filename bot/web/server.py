"""The HTTP side: health, Slack's requests in HTTP mode, delivery events, and the page behind the unsubscribe links."""

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from bot.clock import now
from bot.errors import SHOWABLE
from bot.mail.links import Links
from bot.web.pages import Page, page
from storage import posts, suppressions, workers
from storage.db import Database
from storage.errors import StorageError

EventHandler = Callable[[web.Request], Awaitable[web.Response]]
_BODY_MAX = 1024 * 1024


class Server:
    """Listens on `host` and `port` (0: any free one). `events` takes what Slack posts to /slack/events; `pages` are
    further ones by their paths, and `hooks` what other systems post to.
    """

    def __init__(
        self,
        db: Database,
        links: Links,
        *,
        host: str,
        port: int,
        events: EventHandler | None = None,
        pages: Mapping[str, EventHandler] | None = None,
        hooks: Mapping[str, EventHandler] | None = None,
    ) -> None:
        self._db = db
        self._links = links
        self._host = host
        self._port = port
        self._events = events
        self._pages = pages or {}
        self._hooks = hooks or {}
        self._runner: web.AppRunner | None = None

    async def start(self) -> int:
        """Returns the port. Raises OSError when it is taken."""
        self._runner = web.AppRunner(self.application(), access_log=None, shutdown_timeout=5)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """What is being answered is answered first."""
        if self._runner is not None:
            await self._runner.cleanup()

    def application(self) -> web.Application:
        application = web.Application(client_max_size=_BODY_MAX)
        application.router.add_get("/healthz", self._health)
        application.router.add_get("/u/{token}", self._ask)
        application.router.add_post("/u/{token}", self._unsubscribe)
        if self._events is not None:
            application.router.add_post("/slack/events", self._events)
        for path, handler in self._pages.items():
            application.router.add_get(path, handler)
        for path, handler in self._hooks.items():
            application.router.add_post(path, handler)
        return application

    async def _health(self, _: web.Request) -> web.Response:
        """200 while the database answers: without it nothing works. Slack's and the sender's state are told."""
        try:
            async with self._db.read() as tx:
                trouble = await posts.trouble(tx)
                sends = await workers.alive(tx, now())
        except StorageError as error:
            return web.json_response({"ok": False, "database": str(error)}, status=503)
        slack = {"waiting": trouble.waiting, "error": trouble.error}
        return web.json_response({"ok": True, "database": "ok", "slack": slack, "sender": sends})

    async def _ask(self, request: web.Request) -> web.Response:
        """A visit changes nothing: scanners of mail follow every link."""
        try:
            address = await self._address(request)
        except SHOWABLE as error:
            return _sorry(error)
        return page(Page("Unsubscribe?", f"{address} will get no more mail from us.", button="Unsubscribe"))

    async def _unsubscribe(self, request: web.Request) -> web.Response:
        """The button of the page, and the one click of RFC 8058, which mail programs post by themselves."""
        try:
            address = await self._address(request)
            async with self._db.transaction() as tx:
                await suppressions.add(
                    tx, address, reason="unsubscribed by a link in a mail", source="unsubscribe", at=now()
                )
        except SHOWABLE as error:
            return _sorry(error)
        return page(Page("You are unsubscribed", f"{address} gets no more mail from us."))

    async def _address(self, request: web.Request) -> str:
        """Raises BadInputError for a link that is not ours, StorageError when the database is away."""
        campaign_id, n = self._links.read(request.match_info["token"])
        async with self._db.read() as tx:
            address = await suppressions.address_of(tx, campaign_id, n)
        if address is None:
            raise web.HTTPGone(
                text="The mailing of this link is no longer stored, so nothing is sent from it any more."
            )
        return address


def _sorry(error: Exception) -> web.Response:
    away = isinstance(error, StorageError)
    text = "This is not possible at the moment. Please try again in a few minutes." if away else str(error)
    return page(Page("That did not work", text), status=503 if away else 404)
