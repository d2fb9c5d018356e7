"""The HTTP server of the fake Slack: Web API, response URLs, uploads and the socket."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from email.utils import format_datetime
from typing import Any, NamedTuple, NoReturn

from aiohttp import web

from bot.clock import now

# The three modules register their methods in the table when they are imported.
from bot.demo.fakeslack import web_lookups, web_messages, web_views
from bot.demo.fakeslack.answers import respond
from bot.demo.fakeslack.delivery import Postman
from bot.demo.fakeslack.faults import Fault, Faults
from bot.demo.fakeslack.oauth import CLIENT_ID, CLIENT_SECRET, TOKEN_LIFE, Tokens
from bot.demo.fakeslack.web import METHODS, Call, Method, Slack, method
from bot.demo.fakeslack.workspace import Json, SlackRefusesError

__all__ = ["MadeCall", "Server", "web_lookups", "web_messages", "web_views"]

_STRUCTURED = {"blocks", "attachments", "metadata", "view", "files"}


class MadeCall(NamedTuple):
    """One call of the app, as it came in."""

    method: str
    args: Json


@method("apps.connections.open", app_token=True)
def connections_open(call: Call) -> Json:
    return {"url": call.slack.socket_url()}


@method("oauth.v2.access", takes="code redirect_uri grant_type refresh_token", without_token=True)
def oauth_access(call: Call) -> Json:
    """A code for a token, or, with token rotation, a refresh token for the next pair."""
    tokens = call.slack.tokens
    if call.text("grant_type") == "refresh_token":
        grant, pair = tokens.renew(call.text("refresh_token") or "", call.credentials)
    else:
        call.refuse("invalid_arguments", [] if call.text("code") else ["missing required field: code"])
        grant, pair = tokens.exchange(str(call.args["code"]), call.credentials, call.text("redirect_uri"))
    workspace = call.slack.teams[grant.team]
    workspace.changed()
    rotating: Json = {"refresh_token": pair.refresh, "expires_in": int(TOKEN_LIFE.total_seconds())}
    return {
        "access_token": pair.token,
        "token_type": "bot",
        "scope": ",".join(grant.scopes),
        "bot_user_id": workspace.bot.id,
        "app_id": workspace.app_id,
        "team": None if grant.organization else {"id": workspace.team_id, "name": workspace.name},
        "enterprise": {"id": "E0ACME", "name": "Acme Corp"} if grant.organization else None,
        "is_enterprise_install": grant.organization,
        "authed_user": {"id": grant.user.id},
        **(rotating if tokens.rotates else {}),
    }


@method("apps.uninstall", needs="client_id client_secret")
def apps_uninstall(call: Call) -> Json:
    if (call.args["client_id"], call.args["client_secret"]) != (CLIENT_ID, CLIENT_SECRET):
        raise SlackRefusesError("invalid_client_id")
    call.slack.tokens.forget(call.workspace.team_id)
    return {}


class Server:
    """aiohttp on 127.0.0.1. `slack` gives the state to work on, at each call."""

    def __init__(self, slack: Callable[[], Slack], postman: Postman, faults: Faults, tokens: Tokens) -> None:
        self.calls: list[MadeCall] = []
        self.tokens = tokens
        self.port = 0
        self._slack = slack
        self._postman = postman
        self._faults = faults
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self, port: int) -> None:
        application = web.Application(client_max_size=64 * 1024 * 1024)
        application.router.add_route("*", "/api/{method}", self._api)
        application.router.add_post("/response/{identity}", self._response)
        application.router.add_post("/upload/v1/{file}", self._upload)
        application.router.add_get("/link/", self._link)
        # handler_cancellation: a call that hangs on purpose ends when its client gives up.
        self._runner = web.AppRunner(application, handler_cancellation=True, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        self.port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _api(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["method"]
        if (refusal := await self._away(request)) is not None:
            return refusal
        slack = self._slack()
        try:
            args = await _arguments(request)
        except json.JSONDecodeError:
            slack.violations.append(f"{name}: an argument is no valid JSON")
            return _refused(SlackRefusesError("invalid_arguments"))
        token = _token(request, args)
        self.calls.append(MadeCall(name, args))
        fault = self._faults.take(name)
        if fault is not None and not fault.accepts:
            return _faulty(fault)
        answer = self._answer(slack, name, args, token)
        if fault is not None:
            await self._lose(request, fault)
        return answer

    def _answer(self, slack: Slack, name: str, args: Json, token: str) -> web.Response:
        call = Call(slack, name, args, token)
        entry = METHODS.get(name)
        try:
            team = self._authorise(entry, token)
            call = Call(slack.within(slack.teams[team]) if team else slack, name, args, token)
            entry = entry or _unknown(call)
            entry.check(call)
            body = entry.answer(call)
        except SlackRefusesError as error:
            return _refused(error)
        scopes = ",".join(sorted(slack.granted))
        accepted = ",".join(entry.scopes)
        date = now() + timedelta(seconds=self._faults.clock_ahead_seconds)
        headers = {
            "Date": format_datetime(date, usegmt=True),
            "x-oauth-scopes": scopes,
            "x-accepted-oauth-scopes": accepted,
        }
        return web.json_response({"ok": True, **body}, headers=headers)

    def _authorise(self, entry: Method | None, token: str) -> str | None:
        """The team whose bot calls, where it is one."""
        if entry is not None and entry.without_token:
            return None
        return self.tokens.check(token, wants_app=entry is not None and entry.app_token)

    async def _response(self, request: web.Request) -> web.StreamResponse:
        if (refusal := await self._away(request)) is not None:
            return refusal
        slack = self._slack()
        try:
            args = json.loads(await request.text())
        except json.JSONDecodeError:
            slack.violations.append("response_url: the body is no valid JSON")
            return web.Response(status=400, text="invalid_payload")
        self.calls.append(MadeCall("response_url", args))
        fault = self._faults.take("response_url")
        if fault is not None and not fault.accepts:
            return _faulty(fault)
        answer = _respond(Call(slack, "response_url", args), request.match_info["identity"])
        if fault is not None:
            await self._lose(request, fault)
        return answer

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        if (refusal := await self._away(request)) is not None:
            return refusal
        stored = self._slack().workspace.files.get(request.match_info["file"])
        if stored is None:
            return web.Response(status=404, text="no such file")
        content = await _uploaded(request)
        if len(content) != stored["size"]:
            self._slack().violations.append(f"upload: {len(content)} bytes for a file announced with {stored['size']}")
            return web.Response(status=400, text="wrong size")
        stored["content"] = content
        return web.Response(text=f"OK - {len(content)}")

    async def _link(self, request: web.Request) -> web.StreamResponse:
        if (refusal := await self._away(request)) is not None:
            return refusal
        return await self._postman.serve_socket(request)

    async def _away(self, request: web.Request) -> web.Response | None:
        """Slack is slow, or not there at all."""
        if self._faults.delay_seconds:
            await asyncio.sleep(self._faults.delay_seconds)
        if not self._faults.is_down:
            return None
        if self._faults.down_status is None:
            return _cut(request)
        return web.Response(status=self._faults.down_status, text="Slack is down")

    async def _lose(self, request: web.Request, fault: Fault) -> None:
        """The call was carried out; its answer never arrives."""
        if fault.accept_then_hang:
            await self._faults.over.wait()
        _cut(request)


def _unknown(call: Call) -> NoReturn:
    call.violate("no such method")
    raise SlackRefusesError("unknown_method")


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=503)


def _faulty(fault: Fault) -> web.Response:
    if fault.error is not None:
        return _refused(SlackRefusesError(fault.error))
    if fault.status == 429:
        return _rate_limited(fault.retry_after or 1)
    return web.Response(status=fault.status or 500, text="fault on demand")


def _refused(error: SlackRefusesError) -> web.Response:
    if error.code == "ratelimited":
        return _rate_limited(error.more.get("retry_after", 1))
    return web.json_response({"ok": False, "error": error.code, **error.more})


def _rate_limited(seconds: float) -> web.Response:
    body = {"ok": False, "error": "ratelimited"}
    return web.json_response(body, status=429, headers={"Retry-After": f"{seconds:g}"})


def _respond(call: Call, identity: str) -> web.Response:
    try:
        response = call.slack.handles.find_response(identity)
        response.spend()
        home = next((each for each in call.slack.teams.values() if response.user.id in each.users), call.workspace)
        respond(Call(call.slack.within(home), call.method, call.args), response)
    except SlackRefusesError as error:
        status = 404 if error.code.endswith("_url") else 400
        return web.json_response({"ok": False, "error": error.code, **error.more}, status=status)
    return web.Response(text="ok")


async def _arguments(request: web.Request) -> Json:
    """Arguments come in the query, a form or a JSON body, and the SDK uses all of them, at times together."""
    args: Json = dict(request.query)
    if request.can_read_body:
        if request.content_type == "application/json":
            args |= await request.json()
        else:
            args |= {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
    for name in _STRUCTURED & set(args):
        if isinstance(args[name], str):
            args[name] = json.loads(args[name])
    return args


def _token(request: web.Request, args: Json) -> str:
    """Tokens are taken out, so that they are in no list of calls."""
    given = str(args.pop("token", ""))
    return request.headers.get("Authorization", "").removeprefix("Bearer ").strip() or given


async def _uploaded(request: web.Request) -> bytes:
    if not request.content_type.startswith("multipart/"):
        return await request.read()
    parts: Any = await request.multipart()
    part = await parts.next()
    return bytes(await part.read()) if part is not None else b""
