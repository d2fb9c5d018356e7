"""Installations by OAuth over time: which workspaces may have one, the tokens in use, their renewal and their end."""

import asyncio
from datetime import datetime, timedelta

import structlog
from slack_sdk.errors import SlackTokenRotationError
from slack_sdk.oauth.installation_store import Installation
from slack_sdk.oauth.token_rotation.async_rotator import AsyncTokenRotator
from slack_sdk.web.async_client import AsyncWebClient

from bot.access import HOLDFAST
from bot.clock import now
from bot.config import Settings
from bot.errors import BotError
from bot.slack.answering import SLACK_ERRORS, reason
from bot.slack.tokens import token_of, token_store
from bot.slack.workspaces import Workspaces
from storage import installs, timeline
from storage.db import Database
from storage.errors import StorageError
from storage.timeline import Entry

_RENEW_BEFORE = timedelta(hours=2)
"""Tokens with an end live 12 hours: https://docs.slack.dev/authentication/using-token-rotation/"""
_LOOK_EVERY = timedelta(minutes=5)
_log = structlog.get_logger(__name__)


class Installations:
    """Keeps the database and the clients of `workspaces` in step. `client` carries no token of its own."""

    def __init__(self, db: Database, settings: Settings, client: AsyncWebClient, workspaces: Workspaces) -> None:
        secret = settings.slack_client_secret
        self._app = {
            "client_id": settings.slack_client_id or "",
            "client_secret": secret.get_secret_value() if secret else "",
        }
        self._db = db
        self._settings = settings
        self._client = client
        self._workspaces = workspaces
        self._store = token_store(settings, db)
        self._rotator = AsyncTokenRotator(**self._app, client=client)
        # Only one Holdfast runs over a database, so nobody else installs at the same moment.
        self._one_at_a_time = asyncio.Lock()

    async def load(self) -> None:
        """Take up what is installed. Raises StorageError, and SettingsError for another secret key."""
        async with self._db.transaction() as tx:
            await installs.adopt(tx, self._app["client_id"])
        known = await self._known()
        self._workspaces.home = installs.home_of(known, self._settings.slack_team)
        for each in known:
            token = await token_of(self._store, each)
            if token and self._may(each.team_id):
                self._workspaces.put(each.team_id, each.name, token)

    async def install(self, installation: Installation) -> None:
        """Raises BotError for a workspace that may not have it; Slack is then told to take it away there again."""
        async with self._one_at_a_time:
            team, token = installation.team_id, installation.bot_token
            if not team or not token or installation.is_enterprise_install:
                await self._leave(token)
                raise BotError(
                    "Holdfast is installed in single workspaces, not in a whole organization. Nothing was changed. "
                    "Begin again, and choose a workspace on Slack's page."
                )
            name = installation.team_name or team
            if self._workspaces.home is not None and not self._may(team):
                left = await self._leave(token)
                raise BotError(await self._refusal(name, team, left=left))
            await self._store.async_save(installation)
            self._workspaces.home = self._workspaces.home or team
            await self._record_installed(installation, team, name)
        self._workspaces.put(team, name, token)
        _log.info("installed", team=name, team_id=team, by=installation.user_id)

    async def removed(self, team: str, at: datetime) -> None:
        """Slack says that a workspace removed Holdfast, or revoked its token. Raises StorageError."""
        async with self._one_at_a_time:
            await self._remove(team, at)

    async def renew(self) -> None:
        """Exchange the tokens that end soon for new ones. Raises StorageError and SettingsError."""
        async with self._one_at_a_time:
            for each in await self._known():
                if not each.removed and self._may(each.team_id):
                    await self._renew(each)

    async def keep(self) -> None:
        """Renew until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_EVERY.total_seconds())
            try:
                await self.renew()
            except StorageError as error:
                _log.warning("tokens could not be renewed", error=str(error))

    # The parts of it

    @property
    def _url(self) -> str:
        return self._settings.install_url or ""

    def _may(self, team: str) -> bool:
        return team == self._workspaces.home or team in self._settings.slack_teams

    async def _known(self) -> list[installs.Workspace]:
        async with self._db.read() as tx:
            return list(await installs.workspaces(tx))

    async def _record_installed(self, installation: Installation, team: str, name: str) -> None:
        """People of the channel are told of another workspace; they need not be told of their own."""
        text = f"Holdfast is installed in the workspace {name} as well: its people can use it from now on."
        if team == self._workspaces.home:
            text = f"<@{installation.user_id}> installed Holdfast in {name}."
        async with self._db.transaction() as tx:
            entry = _entry("workspace.installed", text, now())
            await timeline.record(tx, entry, post=team != self._workspaces.home)

    async def _refusal(self, name: str, team: str, *, left: bool) -> str:
        home = self._workspaces.home
        names = {each.team_id: each.name for each in await self._known()}
        here = "Slack has taken it away there again." if left else f"Remove it from {name} at Slack."
        return (
            f"This Holdfast belongs to the workspace {names.get(home or '', home)}; {name} may not install it. {here} "
            f"To let its people use it, add {team} to HOLDFAST_SLACK_TEAMS, restart Holdfast, and begin again."
        )

    async def _leave(self, token: str | None) -> bool:
        """A workspace that is refused keeps no bot. Whether Slack has seen to it."""
        if not token:
            return False
        try:
            await self._client.apps_uninstall(**self._app, token=token)
        except SLACK_ERRORS as error:
            _log.warning("an installation that was refused stays at Slack", error=reason(error))
            return False
        return True

    async def _still_works(self, team: str) -> bool:
        """An event may come late, and be about a token from before. Where Slack is away, its event counts."""
        if not self._workspaces.knows(team):
            return False
        try:
            await self._workspaces.of(team).auth_test()
        except SLACK_ERRORS:
            return False
        return True

    async def _remove(self, team: str, at: datetime) -> None:
        known = {each.team_id: each for each in await self._known()}
        if team not in known or await self._still_works(team):
            _log.info("an end of no installation of ours", team_id=team)
            return
        home, name = team == self._workspaces.home, known[team].name
        async with self._db.transaction() as tx:
            gone = await installs.remove(tx, team, at)
            if gone:
                await timeline.record(tx, _entry("workspace.removed", _removed(name, self._url, home=home), at))
        if gone:
            self._workspaces.drop(team)
            _log.warning("a workspace removed Holdfast", team=name, team_id=team, install=self._url)

    async def _renew(self, workspace: installs.Workspace) -> None:
        kept = await self._store.async_find_installation(
            enterprise_id=workspace.enterprise_id, team_id=workspace.team_id
        )
        if kept is None:
            return
        try:
            new = await self._rotator.perform_token_rotation(
                installation=kept, minutes_before_expiration=int(_RENEW_BEFORE.total_seconds() / 60)
            )
        except SLACK_ERRORS as error:
            cause = error.api_error if isinstance(error, SlackTokenRotationError) else error
            _log.warning("a token could not be renewed", team=workspace.name, error=reason(cause), install=self._url)
            return
        if new is not None and new.bot_token:
            await self._store.async_save(new)
            self._workspaces.put(workspace.team_id, workspace.name, new.bot_token)
            _log.info("a token was renewed", team=workspace.name)


def _removed(name: str, url: str, *, home: bool) -> str:
    """Where it was the home workspace, people read this once Holdfast is back."""
    if home:
        return (
            f"Holdfast was removed from {name}. Nothing could be posted until it was installed again; what happened "
            "meanwhile comes now."
        )
    return f"The workspace {name} removed Holdfast: its people cannot use it any more. To undo it, open {url}"


def _entry(kind: str, text: str, at: datetime) -> Entry:
    return Entry(kind=kind, text=text, actor=HOLDFAST.id, at=at)
