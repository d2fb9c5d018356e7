"""Socket Mode, kept alive: the SDK reconnects by itself, and when it does not manage to, it is begun anew."""

import asyncio
from datetime import timedelta

import structlog
from aiohttp import ClientSession
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.answering import SLACK_ERRORS, reason

_CONNECT_WITHIN = timedelta(seconds=15)
_GIVE_UP_AFTER = timedelta(seconds=30)
"""How long the SDK may try to reconnect: its own loop can go on for ever with an address that is used up."""
_LOOK_EVERY = timedelta(seconds=2)
_PAUSES = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0)
_log = structlog.get_logger(__name__)


class Socket:
    """Carries Slack's requests to a Bolt app over a WebSocket. It needs a client with the app-level token."""

    def __init__(self, app: AsyncApp, app_token: str, base_url: str, session: ClientSession) -> None:
        self._app = app
        self._token = app_token
        self._web = AsyncWebClient(token=app_token, base_url=base_url, session=session)
        self._handler: AsyncSocketModeHandler | None = None

    async def run(self) -> None:
        """Until cancelled."""
        failures = 0
        try:
            while True:
                try:
                    await self.connect()
                    failures = 0
                    await self._watch()
                except SLACK_ERRORS as error:
                    pause = _PAUSES[min(failures, len(_PAUSES) - 1)]
                    failures += 1
                    _log.warning("no connection to Slack", error=reason(error), next_try_seconds=pause)
                    await asyncio.sleep(pause)
        finally:
            await self.close()

    async def connect(self) -> None:
        """A new connection, unless there is one. Raises what the SDK raises."""
        if self._handler is not None and await self._handler.client.is_connected():
            return
        await self.close()
        answer = await self._web.apps_connections_open(app_token=self._token)
        self._handler = AsyncSocketModeHandler(self._app, self._token, web_client=self._web, ping_interval=5)
        self._handler.client.wss_uri = answer["url"]
        async with asyncio.timeout(_CONNECT_WITHIN.total_seconds()):
            await self._handler.connect_async()  # type: ignore[no-untyped-call]  # the SDK leaves it out
        _log.info("connected to Slack")

    async def close(self) -> None:
        handler, self._handler = self._handler, None
        if handler is not None:
            await handler.close_async()  # type: ignore[no-untyped-call]  # the SDK leaves it out

    async def _watch(self) -> None:
        """Returns when the connection has been lost for too long."""
        lost = timedelta()
        while self._handler is not None and lost < _GIVE_UP_AFTER:
            await asyncio.sleep(_LOOK_EVERY.total_seconds())
            lost = timedelta() if await self._handler.client.is_connected() else lost + _LOOK_EVERY
        _log.warning("the connection to Slack is lost and begun anew")
