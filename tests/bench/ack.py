"""Signed slash commands over HTTP: acked a second and how fast, ours beside a bare Bolt app in the same run.

Each app is a process of its own on the same kind of loop, each answers every command on its response_url, and the
same load comes from here in rounds that take turns. Ours writes every command into its database before the ack. It is
measured idle and while a campaign is being sent by the sender's process over the same database; the bare app stands
under the same load in the background.
"""

import asyncio
import contextlib
import hashlib
import hmac
import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import uvloop

from storage.db import Database
from storage.models import CampaignState
from tests.bench.sink import sink
from tests.seeds import add_campaign, add_server, state_of, wish

CONNECTIONS = 16
ROUND_SECONDS = 2.0
ROUNDS = 4
RECIPIENTS = 300_000
SECRET = "a signing secret for a minute"
TOKEN = "xoxb-bench"
_SENDER = "from bot.config import load_settings; from bot.mail.worker import run_worker; run_worker(load_settings())"
_numbers = itertools.count(1)


# The two apps


async def _serve_bare(api: str) -> None:
    """As Bolt's documentation shows it."""
    from aiohttp import web
    from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond
    from slack_sdk.web.async_client import AsyncWebClient

    app = AsyncApp(client=AsyncWebClient(token=TOKEN, base_url=api), signing_secret=SECRET)

    @app.command("/campaign")
    async def campaign(ack: AsyncAck, respond: AsyncRespond) -> None:
        await ack()
        await respond("Done.")

    runner = web.AppRunner(app.web_app(), access_log=None)
    await _listen(runner)


async def _serve_ours(api: str) -> None:
    from aiohttp import ClientSession, web
    from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
    from slack_sdk.web.async_client import AsyncWebClient

    from bot.config import load_settings
    from bot.memory import keep_for_good
    from bot.services.bundle import Services, build
    from bot.slack.blocks import View
    from bot.slack.call import Call
    from bot.slack.edge import Edge

    async def campaign(_: Services, __: Call) -> View:
        return View("Done.")

    settings = load_settings()
    db = Database(settings.database)
    async with ClientSession() as session:
        client = AsyncWebClient(token=TOKEN, base_url=api, session=session, retry_handlers=[])
        bolt = Edge(build(db, settings), client, {"/campaign": campaign}, {}).bolt(signing_secret=SECRET)

        async def events(request: web.Request) -> web.Response:
            return await to_aiohttp_response(await bolt.async_dispatch(await to_bolt_request(request)))

        application = web.Application()
        application.router.add_post("/slack/events", events)
        keep_for_good()
        await _listen(web.AppRunner(application, access_log=None))


async def _listen(runner: Any) -> None:
    from aiohttp import web

    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def _process(*command: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, env={**os.environ, **environment}, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.terminate()
        await process.wait()


@contextlib.asynccontextmanager
async def _app(name: str, api: str, **environment: str) -> AsyncIterator[int]:
    """The port of one of the two apps."""
    async with _process("-m", "tests.bench.ack", name, api, **environment) as process:
        assert process.stdout is not None
        yield int(await process.stdout.readline())


# The load


class _Slack(asyncio.Protocol):
    """Answers every call of the Web API and of response_urls with as little work as possible."""

    _BODY = json.dumps(
        {
            "ok": True,
            "user_id": "U0BOT",
            "bot_id": "B0BOT",
            "team_id": "T0",
            "user": {"id": "U1", "name": "maria", "tz": "Europe/Madrid", "profile": {"display_name": "maria"}},
        }
    ).encode()
    _ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._got = b""

    def data_received(self, data: bytes) -> None:
        self._got += data
        while b"\r\n\r\n" in self._got:
            head, _, rest = self._got.partition(b"\r\n\r\n")
            length = _content_length(head)
            if len(rest) < length:
                return
            self._got = rest[length:]
            self._transport.write(self._ANSWER)


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        if line[:15].lower() == b"content-length:":
            return int(line[15:])
    return 0


def _request(api: str) -> bytes:
    trigger = f"{next(_numbers)}.{time.time_ns()}"
    fields = {
        "token": "x", "team_id": "T0", "team_domain": "acme", "channel_id": "C1", "channel_name": "email-ops",
        "user_id": "U1", "user_name": "maria", "command": "/campaign", "text": "pause spring-sale",
        "api_app_id": "A0", "is_enterprise_install": "false", "response_url": api + "response",
        "trigger_id": trigger,
    }  # fmt: skip
    body = urlencode(fields).encode()
    stamp = str(int(time.time()))
    digest = hmac.new(SECRET.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()
    head = (
        "POST /slack/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        f"X-Slack-Request-Timestamp: {stamp}\r\nX-Slack-Signature: v0={digest}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _person(port: int, api: str, until: float, took: list[float]) -> None:
    """Types the next command when the last one is acked."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.perf_counter() < until:
        request = _request(api)
        begun = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(_content_length(head))
        took.append(time.perf_counter() - begun)
        assert head.startswith(b"HTTP/1.1 200"), (head, body)
    writer.close()
    await writer.wait_closed()


async def _round(port: int, api: str, seconds: float = ROUND_SECONDS) -> list[float]:
    took: list[float] = []
    until = time.perf_counter() + seconds
    await asyncio.gather(*(_person(port, api, until, took) for _ in range(CONNECTIONS)))
    await asyncio.sleep(0.3)  # the answers that are still on their way belong to nobody's next round
    return took


async def _turns(ours: int, bare: int, api: str) -> tuple[list[float], list[float]]:
    """Latencies in seconds, ours and the bare app's, from rounds that take turns."""
    of_ours: list[float] = []
    of_bare: list[float] = []
    for _ in range(ROUNDS):
        of_bare += await _round(bare, api)
        of_ours += await _round(ours, api)
    return of_ours, of_bare


def _at(latencies: list[float], share: float) -> float:
    """A percentile, in milliseconds."""
    return sorted(latencies)[min(len(latencies) - 1, int(len(latencies) * share))] * 1000


# The whole


async def run() -> dict[str, Any]:
    """Keys as in tests/bench/__main__.py's table; times in milliseconds, rates in commands a second."""
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryDirectory() as name:
        slack = await loop.create_server(_Slack, "127.0.0.1", 0)
        api = f"http://127.0.0.1:{slack.sockets[0].getsockname()[1]}/"
        environment = {
            "HOLDFAST_DATABASE_URL": f"sqlite:///{Path(name) / 'bench.db'}",
            "HOLDFAST_DATA_DIR": name,
            "HOLDFAST_SECRET_KEY": "x",
        }
        db = Database(environment["HOLDFAST_DATABASE_URL"])
        await db.migrate()
        async with _app("ours", api, **environment) as ours, _app("bare", api) as bare, sink() as (_, port):
            for app in (ours, bare):
                await _round(app, api, 0.5)  # to warm them up
            idle = await _turns(ours, bare, api)
            campaign = await _start_campaign(db, port)
            async with _process("-c", _SENDER, **environment):
                await asyncio.sleep(2)  # its start is not what is measured
                busy = await _turns(ours, bare, api)
                still_sending = await state_of(db, campaign) == CampaignState.SENDING
        await db.close()
        slack.close()
    return _report(idle, busy, still_sending=still_sending)


async def _start_campaign(db: Database, port: int) -> int:
    server = await add_server(db, "sink", port, max_connections=20)
    campaign = await add_campaign(db, server, RECIPIENTS, state=CampaignState.SCHEDULED)
    await wish(db, campaign, CampaignState.SENDING, CampaignState.SENDING)
    return campaign


def _report(
    idle: tuple[list[float], list[float]], busy: tuple[list[float], list[float]], *, still_sending: bool
) -> dict[str, Any]:
    (idle_ours, idle_bare), (ours, bare) = idle, busy
    seconds = ROUNDS * ROUND_SECONDS
    return {
        "rate": round(len(ours) / seconds),
        "p50_ms": round(_at(ours, 0.5), 2),
        "p99_ms": round(_at(ours, 0.99), 2),
        "bare_rate": round(len(bare) / seconds),
        "bare_p50_ms": round(_at(bare, 0.5), 2),
        "bare_p99_ms": round(_at(bare, 0.99), 2),
        "ratio_p99": round(_at(ours, 0.99) / _at(bare, 0.99), 2),
        "ratio_p99_idle": round(_at(idle_ours, 0.99) / _at(idle_bare, 0.99), 2),
        "rate_idle": round(len(idle_ours) / seconds),
        "bare_rate_idle": round(len(idle_bare) / seconds),
        "connections": CONNECTIONS,
        "sending_to_the_end": still_sending,
    }


if __name__ == "__main__":
    uvloop.run({"ours": _serve_ours, "bare": _serve_bare}[sys.argv[1]](sys.argv[2]))
