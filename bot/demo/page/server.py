"""The page's server: files, a stream of snapshots, and one address for everything that people do.

Only pages that it served itself may drive it: it listens on loopback, every address holds a random token, the Host
must be loopback (against DNS rebinding) and a POST must name this server as its Origin.
"""

import asyncio
import hmac
import json
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import web

from bot.demo.fakeslack import FakeSlack, PersonCannotError, User
from bot.demo.fakeslack.workspace import Json
from bot.demo.page.deeds import Deeds
from bot.demo.page.panel import Panel
from bot.demo.page.shortcuts import Shortcut
from bot.demo.page.snapshot import picture_type, seen_by
from bot.demo.relays import RelayProcess
from bot.errors import BotError
from bot.slack.plain import EMOJI

STATIC = Path(__file__).parent / "static"
"""The page itself, as a browser takes it."""
_FILES = {
    name: (STATIC / name, kind)
    for name, kind in {
        "index.html": "text/html",
        "style.css": "text/css",
        "app.js": "text/javascript",
        "kit.js": "text/javascript",
        "markup.js": "text/javascript",
        "menu.js": "text/javascript",
        "modal.js": "text/javascript",
    }.items()
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' https: data:; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_BREATH = 0.1  # seconds between snapshots: a burst of changes is drawn once
_GLANCE = 1.0  # seconds after which the relays are looked at, also when nothing happened in Slack
_FOREVER = 1e6  # seconds

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Page:
    """An async context manager. While `note` says something it is shown, and nobody can press anything."""

    def __init__(
        self,
        slack: FakeSlack,
        people: Sequence[User],
        relays: Sequence[RelayProcess],
        shortcuts: Sequence[Shortcut] = (),
    ) -> None:
        self.note = ""
        self._shortcuts = shortcuts
        self._slack = slack
        self._people = {each.id: each for each in people}
        self._panel = Panel(relays)
        self._deeds = Deeds(slack, self._panel)
        self._token = secrets.token_urlsafe(16)
        self._port = 0
        self._closing = False
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/{self._token}/"

    async def __aenter__(self) -> Self:
        application = web.Application(middlewares=[self._guard])
        application.router.add_get("/{token}/", self._file)
        application.router.add_get("/{token}/emoji", self._emoji)
        application.router.add_get("/{token}/changes", self._changes)
        application.router.add_get("/{token}/file/{id}", self._upload)
        application.router.add_post("/{token}/do", self._do)
        application.router.add_get("/{token}/{file}", self._file)
        self._runner = web.AppRunner(application, handler_cancellation=True, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._port = int(self._runner.addresses[0][1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        self._slack.workspace.changed()
        if self._runner is not None:
            await self._runner.cleanup()

    def say(self, note: str) -> None:
        self.note = note
        self._slack.workspace.changed()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        hosts = {f"127.0.0.1:{self._port}", f"localhost:{self._port}"}
        token = request.match_info.get("token", "")
        if request.host not in hosts or not hmac.compare_digest(token.encode(), self._token.encode()):
            raise web.HTTPForbidden(text="This address is not complete. Open the one that the demo printed.")
        if request.method == "POST" and request.headers.get("Origin") not in {f"http://{host}" for host in hosts}:
            raise web.HTTPForbidden(text="Only the workspace page itself may do this.")
        return await handler(request)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        found = _FILES.get(request.match_info.get("file", "index.html"))
        if found is None:
            raise web.HTTPNotFound(text="There is no such page.")
        path, kind = found
        return web.Response(body=path.read_bytes(), content_type=kind, charset="utf-8", headers=_HEADERS)

    async def _emoji(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response(dict(EMOJI), headers=_HEADERS)

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        """A file that the bot sent; only pictures are shown in the page, all else is for saving."""
        stored = self._slack.workspace.files.get(request.match_info["id"])
        if stored is None or stored["content"] is None:
            raise web.HTTPNotFound(text="There is no such file.")
        kind = picture_type(stored["name"])
        headers = _HEADERS if kind else {**_HEADERS, "Content-Disposition": "attachment"}
        return web.Response(body=stored["content"], content_type=kind or "application/octet-stream", headers=headers)

    async def _changes(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: a snapshot at once, and another whenever one looks different."""
        me = self._people.get(request.query.get("as", "")) or next(iter(self._people.values()))
        response = web.StreamResponse(headers={**_HEADERS, "Content-Type": "text/event-stream"})
        await response.prepare(request)
        last = ""
        try:
            while not self._closing:
                shown = json.dumps(self._snapshot(me), ensure_ascii=False)
                # A line without meaning tells when the browser has gone.
                await response.write(f"data: {shown}\n\n".encode() if shown != last else b":\n\n")
                last = shown
                await self._news()
        except ConnectionError:
            pass  # the tab was closed
        return response

    def _snapshot(self, me: User) -> Json:
        seen = seen_by(self._slack, me, list(self._people.values()))
        shortcuts = [asdict(each) for each in self._shortcuts]
        return {**seen, "shortcuts": shortcuts, "relays": self._panel.shown(), "note": self.note}

    async def _news(self) -> None:
        """Returns after the next change, or after a glance's time; never sooner than a breath."""
        await asyncio.sleep(_BREATH)
        looks = iter([False])
        try:
            async with asyncio.timeout(_GLANCE):
                await self._slack.workspace.until(lambda: next(looks, True), _FOREVER, str)
        except TimeoutError:
            return

    async def _do(self, request: web.Request) -> web.StreamResponse:
        if self.note:
            return _refused(409, self.note)
        try:
            deed = await request.json()
            await self._deeds.do(self._people[deed["as"]], deed)
        except (PersonCannotError, ConnectionError, BotError) as error:
            return _refused(409, str(error))
        except (KeyError, TypeError, ValueError, AttributeError):
            return _refused(400, "The page asked for something unknown.")
        return web.json_response({}, headers=_HEADERS)


def _refused(status: int, sentence: str) -> web.Response:
    return web.json_response({"error": sentence}, status=status, headers=_HEADERS)
