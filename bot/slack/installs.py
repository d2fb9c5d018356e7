"""Installation by OAuth: the way to Slack's page and back, and what is kept of it.

https://docs.slack.dev/authentication/installing-with-oauth/
"""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urljoin

import structlog
from slack_bolt.oauth.async_callback_options import AsyncCallbackOptions, AsyncFailureArgs, AsyncSuccessArgs
from slack_bolt.oauth.async_oauth_flow import AsyncOAuthFlow
from slack_bolt.oauth.async_oauth_settings import AsyncOAuthSettings
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.oauth.installation_store import Installation
from slack_sdk.oauth.installation_store.async_installation_store import AsyncInstallationStore
from slack_sdk.oauth.state_store.async_state_store import AsyncOAuthStateStore
from slack_sdk.web.async_client import AsyncWebClient

from bot.clock import now
from bot.config import Settings
from bot.errors import SHOWABLE
from bot.slack.answering import SLACK_ERRORS, reason
from bot.slack.checking import SCOPES
from bot.slack.installed import Installations
from bot.slack.manifest import INSTALL_PATH, REDIRECT_PATH
from storage import installs
from storage.db import Database
from storage.errors import StorageError

_TIME_TO_AGREE = timedelta(minutes=10)
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What the person in the browser is told."""

    title: str
    text: str
    status: int


class Installer:
    """The two pages. `installed` is called as soon as an installation is stored and in use."""

    def __init__(
        self,
        db: Database,
        settings: Settings,
        client: AsyncWebClient,
        installations: Installations,
        installed: Callable[[], Awaitable[None]],
    ) -> None:
        """`client` carries no token: what it sends is proved by the client's id and secret."""
        self._again = f"Begin again at {settings.install_url}"
        self._flow = AsyncOAuthFlow(
            client=client,
            settings=AsyncOAuthSettings(
                client_id=settings.slack_client_id,
                client_secret=settings.slack_client_secret.get_secret_value() if settings.slack_client_secret else None,
                scopes=sorted(SCOPES),
                user_scopes=[],
                redirect_uri=(settings.install_url or "").replace(INSTALL_PATH, REDIRECT_PATH),
                install_page_rendering_enabled=False,
                authorization_url=urljoin(settings.slack_api_url, "/oauth/v2/authorize"),
                installation_store=_Door(installations, installed),
                state_store=_States(db),
                state_expiration_seconds=int(_TIME_TO_AGREE.total_seconds()),
                callback_options=AsyncCallbackOptions(success=_succeeded, failure=self._failed),
            ),
        )

    async def begin(self, request: AsyncBoltRequest) -> BoltResponse | Outcome:
        """Send the browser to Slack, with a state that only it can come back with."""
        try:
            return await self._flow.handle_installation(request)
        except StorageError as error:
            return _sorry(str(error), 503)

    async def finish(self, request: AsyncBoltRequest) -> Outcome:
        """The browser comes back from Slack."""
        try:
            answer = await self._flow.handle_callback(request)
        except SHOWABLE as error:
            return _sorry(str(error), 503 if isinstance(error, StorageError) else 403)
        except SLACK_ERRORS as error:
            _log.warning("an installation got no answer from Slack", error=reason(error))
            return _sorry(f"Slack did not answer. Nothing was changed. {self._again}", 503)
        if answer.status == 200:
            return Outcome("Holdfast is installed", answer.body, 200)
        return _sorry(answer.body, answer.status)

    async def _failed(self, args: AsyncFailureArgs) -> BoltResponse:
        said = _FAILURES.get(args.reason, "Slack reported an error. Nothing was changed.")
        _log.warning("an installation failed", reason=args.reason[:40])
        return BoltResponse(status=403 if args.reason == "access_denied" else 400, body=f"{said} {self._again}")


_STALE = "The installation was begun in another browser, more than 10 minutes ago, or is finished already."
_FAILURES = {
    "access_denied": "The installation was declined at Slack. Nothing was changed.",
    "invalid_browser": _STALE,
    "invalid_state": _STALE,
    "missing_code": "Slack sent no code. Nothing was changed.",
    "invalid_code": (
        "Slack does not accept the code. Nothing was changed. Check HOLDFAST_SLACK_CLIENT_ID, "
        "HOLDFAST_SLACK_CLIENT_SECRET and HOLDFAST_PUBLIC_URL."
    ),
}
"""Bolt's words -> ours."""


def _sorry(text: str, status: int) -> Outcome:
    return Outcome("That did not work", text, status)


async def _succeeded(args: AsyncSuccessArgs) -> BoltResponse:
    team = args.installation.team_name or args.installation.team_id
    return BoltResponse(status=200, body=f"It works in {team} now. Try /holdfast help there.")


class _Door(AsyncInstallationStore):
    """Bolt hands over an installation here. It asks for none: the clients have their tokens already."""

    def __init__(self, installations: Installations, installed: Callable[[], Awaitable[None]]) -> None:
        self._installations = installations
        self._installed = installed

    async def async_save(self, installation: Installation) -> None:
        """Raises BotError for a workspace that may not have it, and StorageError."""
        await self._installations.install(installation)
        await self._installed()


class _States(AsyncOAuthStateStore):
    """What proves that somebody who comes back from Slack was sent there by us; used once."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def async_issue(self, *_: Any, **__: Any) -> str:
        state, at = secrets.token_urlsafe(32), now()
        async with self._db.transaction() as tx:
            await installs.issue(tx, state, at=at, expires_at=at + _TIME_TO_AGREE)
        return state

    async def async_consume(self, state: str) -> bool:
        async with self._db.transaction() as tx:
            return await installs.consume(tx, state, now())
