"""Installation by OAuth: the way to Slack's page and back, and what is kept of it.

One database belongs to one workspace, so the first that installs is the only one that may; HOLDFAST_SLACK_TEAM names
it beforehand. https://docs.slack.dev/authentication/installing-with-oauth/
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

from bot.access import HOLDFAST
from bot.clock import now
from bot.config import Settings
from bot.errors import SHOWABLE, BotError
from bot.slack.answering import SLACK_ERRORS, reason
from bot.slack.checking import SCOPES
from bot.slack.manifest import INSTALL_PATH, REDIRECT_PATH
from bot.slack.tokens import Vault
from storage import installs, timeline
from storage.db import Database
from storage.errors import StorageError
from storage.timeline import Entry

_TIME_TO_AGREE = timedelta(minutes=10)
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What the person in the browser is told."""

    title: str
    text: str
    status: int


class Installer:
    """The two pages. `installed` is called with the new token as soon as it is stored."""

    def __init__(
        self, db: Database, settings: Settings, client: AsyncWebClient, installed: Callable[[str], Awaitable[None]]
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
                installation_store=_Store(db, settings, installed),
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


class _Store(AsyncInstallationStore):
    """Bolt keeps an installation here. It asks for none: the one token there is belongs to the clients already."""

    def __init__(self, db: Database, settings: Settings, installed: Callable[[str], Awaitable[None]]) -> None:
        self._db = db
        self._vault = Vault(settings.signing_key())
        self._expected = settings.slack_team
        self._installed = installed

    async def async_save(self, installation: Installation) -> None:
        """Raises BotError for a workspace that this Holdfast does not belong to."""
        token, team_id = installation.bot_token, installation.team_id
        if not token or not team_id or installation.is_enterprise_install:
            raise BotError("Holdfast is installed in one workspace, not in an organization. Choose a workspace.")
        if self._expected not in {None, team_id}:
            raise BotError(f"This Holdfast is for the workspace {self._expected}. Nothing was changed.")
        async with self._db.transaction() as tx:
            kept = await installs.save(
                tx,
                team_id=team_id,
                team=installation.team_name or team_id,
                secret=self._vault.close(token),
                scopes=",".join(sorted(installation.bot_scopes or [])),
                installed_by=installation.user_id or "",
                at=now(),
            )
            if kept.team_id != team_id:
                raise BotError(f"This Holdfast belongs to the workspace {kept.team} already. Nothing was changed.")
            who = installation.user_id or HOLDFAST.id
            text = f"<@{who}> installed Holdfast in {kept.team}." if installation.user_id else "Holdfast was installed."
            await timeline.record(tx, Entry("slack.installed", text, who, now()), post=False)
        _log.info("installed", team=installation.team_name, by=installation.user_id)
        await self._installed(token)


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
