"""How payloads reach the app: Socket Mode, or signed HTTP where no socket is open.

https://docs.slack.dev/apis/events-api/using-socket-mode/ and
https://docs.slack.dev/authentication/verifying-requests-from-slack/
"""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal
from urllib.parse import urlencode
from uuid import uuid4

import aiohttp
from aiohttp import web

from bot.clock import now
from bot.demo.fakeslack.handles import ResponseUrl
from bot.demo.fakeslack.workspace import Json, Message, User, View, Workspace

Kind = Literal["slash_commands", "interactive", "events_api"]
MAX_SOCKETS = 10


@dataclass(eq=False, slots=True)
class Delivery:
    """One payload on its way to the app, and what became of it.

    `error` is what the person sees: operation_timeout when no ack came in time, dispatch_failed when there
    was no road or a bad status. `late_ack_in` is set when an ack came after that.
    """

    kind: Kind
    payload: Json
    user: User | None = None
    view: View | None = None
    response: ResponseUrl | None = None
    attempt: int = 0
    retry_reason: str | None = None
    road: Literal["socket", "http"] | None = None
    status: int | None = None
    acked_in: timedelta | None = None
    late_ack_in: timedelta | None = None
    ack_body: Any = None
    error: str | None = None

    @property
    def trigger_id(self) -> str:
        return str(self.payload.get("trigger_id", ""))

    @property
    def event_id(self) -> str:
        return str(self.payload.get("event_id", ""))

    @property
    def responses(self) -> list[Message]:
        """The messages that came back: in the body of the ack or on the response URL."""
        return self.response.answers if self.response else []


@dataclass(frozen=True, slots=True)
class Forgery:
    """How to spoil the signature of a request over HTTP."""

    wrong_signature: bool = False
    age: timedelta = field(default_factory=timedelta)


_HONEST = Forgery()


@dataclass(eq=False, slots=True)
class _Socket:
    ws: web.WebSocketResponse
    transport: asyncio.Transport | None
    warned: bool = False


class Postman:
    """Delivers payloads and waits for their acks."""

    def __init__(self, workspace: Workspace, signing_secret: str, violations: list[str]) -> None:
        self.request_url: str | None = None
        self.signing_secret = signing_secret
        self.ack_limit = timedelta(seconds=3)
        self.event_retries = (timedelta(), timedelta(minutes=1), timedelta(minutes=5))
        self.deliveries: list[Delivery] = []
        self.sockets: list[_Socket] = []
        self._workspace = workspace
        self._violations = violations
        self._tickets: set[str] = set()
        self._acks: dict[str, Callable[[Any], None]] = {}
        self._turn = 0
        self._retrying: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None

    async def deliver(self, delivery: Delivery, forgery: Forgery = _HONEST) -> None:
        """Send it over a socket, else to the request URL, and wait for the ack as long as Slack does."""
        self.deliveries.append(delivery)
        open_sockets = [each for each in self.sockets if not each.ws.closed]
        if open_sockets and forgery is _HONEST:
            await self._over_socket(delivery, self._choose(open_sockets))
        elif self.request_url is not None:
            await self._over_http(delivery, self.request_url, forgery)
        else:
            delivery.error = "dispatch_failed"
        self._workspace.changed()

    async def deliver_event(self, delivery: Delivery) -> None:
        """Events that are not acked come again: at once, after a minute, after five."""
        await self.deliver(delivery)
        if delivery.error is not None and delivery.attempt < len(self.event_retries):
            task = asyncio.create_task(self._retry(delivery))
            self._retrying.add(task)
            task.add_done_callback(self._retrying.discard)

    def ticket(self) -> str:
        ticket = uuid4().hex
        self._tickets.add(ticket)
        return ticket

    async def serve_socket(self, request: web.Request) -> web.StreamResponse:
        """One Socket Mode connection, from hello to its end."""
        ticket = request.query.get("ticket", "")
        if ticket not in self._tickets:
            raise web.HTTPForbidden(text="no such ticket")
        ws = web.WebSocketResponse(timeout=1.0)
        await ws.prepare(request)
        self._tickets.discard(ticket)
        socket = _Socket(ws, request.transport)
        if len(self.sockets) >= MAX_SOCKETS:
            await ws.send_json({"type": "disconnect", "reason": "too_many_websockets"})
            await ws.close()
            return ws
        self.sockets.append(socket)
        try:
            await ws.send_json(self._hello())
            self._workspace.changed()
            async for frame in ws:
                if frame.type is aiohttp.WSMsgType.TEXT:
                    self._take_ack(frame.json())
        finally:
            self.sockets.remove(socket)
            self._workspace.changed()
        return ws

    async def warn_sockets(self) -> None:
        """Slack's notice that a connection is about to be refreshed; the client opens another one."""
        for socket in list(self.sockets):
            socket.warned = True
            debug = {"host": "applink-fake"}
            await socket.ws.send_json({"type": "disconnect", "reason": "refresh_requested", "debug_info": debug})

    def cut_sockets(self) -> None:
        for socket in list(self.sockets):
            if socket.transport is not None:
                socket.transport.abort()

    async def close(self) -> None:
        for task in list(self._retrying):
            task.cancel()
        await asyncio.gather(*self._retrying, return_exceptions=True)
        for socket in list(self.sockets):
            await socket.ws.close()
        if self._session is not None:
            await self._session.close()

    def _hello(self) -> Json:
        return {
            "type": "hello",
            "num_connections": len(self.sockets),
            "connection_info": {"app_id": self._workspace.app_id},
            "debug_info": {"host": "applink-fake", "approximate_connection_time": 18060},
        }

    def _choose(self, sockets: list[_Socket]) -> _Socket:
        """Any of the connections may get a payload: they take turns, those that were warned come last."""
        fresh = [each for each in sockets if not each.warned] or sockets
        self._turn += 1
        return fresh[self._turn % len(fresh)]

    async def _over_socket(self, delivery: Delivery, socket: _Socket) -> None:
        delivery.road = "socket"
        loop = asyncio.get_running_loop()
        started = loop.time()
        acked = asyncio.Event()

        def take(body: Any) -> None:
            spent = timedelta(seconds=loop.time() - started)
            if delivery.error is None:
                delivery.acked_in, delivery.status, delivery.ack_body = spent, 200, body
            else:
                delivery.late_ack_in = spent
            acked.set()

        frame = _frame(delivery)
        self._acks[frame["envelope_id"]] = take
        try:
            async with asyncio.timeout(self.ack_limit.total_seconds()):
                await socket.ws.send_json(frame)
                await acked.wait()
        except TimeoutError:
            delivery.error = "operation_timeout"
        except ConnectionError:
            delivery.error = "dispatch_failed"

    def _take_ack(self, frame: Json) -> None:
        take = self._acks.pop(str(frame.get("envelope_id")), None)
        if take is None:
            self._violations.append(f"socket: an ack for an unknown or acked envelope: {frame}")
        else:
            take(frame.get("payload"))
            self._workspace.changed()

    async def _over_http(self, delivery: Delivery, url: str, forgery: Forgery) -> None:
        delivery.road = "http"
        content_type, body = _http_body(delivery)
        headers = self._signed(body, forgery) | {"Content-Type": content_type}
        if delivery.attempt:
            headers["X-Slack-Retry-Num"] = str(delivery.attempt)
            headers["X-Slack-Retry-Reason"] = delivery.retry_reason or "http_timeout"
        self._session = self._session or aiohttp.ClientSession()
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            async with (
                asyncio.timeout(self.ack_limit.total_seconds()),
                self._session.post(url, data=body, headers=headers) as reply,
            ):
                is_json = reply.content_type == "application/json"
                delivery.ack_body = await (reply.json() if is_json else reply.text())
                delivery.status = reply.status
        except TimeoutError:
            delivery.error = "operation_timeout"
        except aiohttp.ClientError:
            delivery.error = "dispatch_failed"
        else:
            if delivery.status == 200:
                delivery.acked_in = timedelta(seconds=loop.time() - started)
            else:
                delivery.error = "dispatch_failed"

    def _signed(self, body: bytes, forgery: Forgery) -> dict[str, str]:
        stamp = str(int((now() - forgery.age).timestamp()))
        secret = self.signing_secret + ("-wrong" if forgery.wrong_signature else "")
        digest = hmac.new(secret.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()
        return {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={digest}"}

    async def _retry(self, first: Delivery) -> None:
        reason = "timeout" if first.error == "operation_timeout" else "http_error"
        for attempt, delay in enumerate(self.event_retries, 1):
            await asyncio.sleep(delay.total_seconds())
            again = Delivery(first.kind, first.payload, first.user, attempt=attempt, retry_reason=reason)
            await self.deliver(again)
            if again.error is None:
                return


def _frame(delivery: Delivery) -> Json:
    frame: Json = {
        "envelope_id": str(uuid4()),
        "type": delivery.kind,
        "payload": delivery.payload,
        "accepts_response_payload": delivery.kind != "events_api",
    }
    if delivery.kind == "events_api":
        frame |= {"retry_attempt": delivery.attempt, "retry_reason": delivery.retry_reason or ""}
    return frame


def _http_body(delivery: Delivery) -> tuple[str, bytes]:
    form = "application/x-www-form-urlencoded"
    if delivery.kind == "slash_commands":
        fields: Mapping[str, str] = delivery.payload
        return form, urlencode(fields).encode()
    if delivery.kind == "interactive":
        return form, urlencode({"payload": json.dumps(delivery.payload)}).encode()
    return "application/json", json.dumps(delivery.payload).encode()
