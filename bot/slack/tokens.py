"""Where the bot token comes from: the settings, or an installation by OAuth, whose tokens are encrypted at rest."""

import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from copy import copy
from typing import TypeVar

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from slack_sdk.oauth.installation_store import Bot, Installation
from slack_sdk.oauth.installation_store.async_installation_store import AsyncInstallationStore
from slack_sdk.oauth.installation_store.sqlalchemy import AsyncSQLAlchemyInstallationStore

from bot.config import Settings
from bot.errors import SettingsError
from storage import installs
from storage.db import Database

_SECRETS = ("bot_token", "bot_refresh_token", "user_token", "user_refresh_token", "incoming_webhook_url")
_Kept = TypeVar("_Kept", Bot, Installation)


class Vault:
    """Encrypts tokens with a key made from HOLDFAST_SECRET_KEY, or from the one in the data directory."""

    def __init__(self, secret: str) -> None:
        key = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"holdfast.slack-token").derive(secret.encode())
        self._fernet = Fernet(base64.urlsafe_b64encode(key))

    def close(self, token: str) -> str:
        return self._fernet.encrypt(token.encode()).decode()

    def open(self, closed: str) -> str:
        """Raises SettingsError when it was closed with another key."""
        try:
            return self._fernet.decrypt(closed.encode()).decode()
        except InvalidToken:
            raise SettingsError(
                "HOLDFAST_SECRET_KEY is not the one with which the Slack token was stored. Set the old one (or put "
                "back secret.key in the data directory), or set HOLDFAST_SLACK_BOT_TOKEN."
            ) from None


class TokenStore(AsyncInstallationStore):
    """slack_sdk's own store, in our database, which never sees a token: each is encrypted on its way in.

    It writes its two tables in two transactions, and every method raises StorageError; `async_find_...` also
    SettingsError, as `Vault.open` does. https://docs.slack.dev/tools/python-slack-sdk/oauth/
    """

    def __init__(self, db: Database, client_id: str, vault: Vault) -> None:
        self._db = db
        self._client_id = client_id
        self._vault = vault

    async def async_save(self, installation: Installation) -> None:
        async with self._store() as store:
            await store.async_save(_turned(installation, self._vault.close))

    async def async_save_bot(self, bot: Bot) -> None:
        async with self._store() as store:
            await store.async_save_bot(_turned(bot, self._vault.close))

    async def async_find_bot(
        self, *, enterprise_id: str | None, team_id: str | None, is_enterprise_install: bool | None = False
    ) -> Bot | None:
        async with self._store() as store:
            bot = await store.async_find_bot(
                enterprise_id=enterprise_id, team_id=team_id, is_enterprise_install=is_enterprise_install
            )
        return _turned(bot, self._vault.open) if bot else None

    async def async_find_installation(
        self,
        *,
        enterprise_id: str | None,
        team_id: str | None,
        user_id: str | None = None,
        is_enterprise_install: bool | None = False,
    ) -> Installation | None:
        async with self._store() as store:
            found = await store.async_find_installation(
                enterprise_id=enterprise_id,
                team_id=team_id,
                user_id=user_id,
                is_enterprise_install=is_enterprise_install,
            )
        return _turned(found, self._vault.open) if found else None

    async def async_delete_bot(self, *, enterprise_id: str | None, team_id: str | None) -> None:
        async with self._store() as store:
            await store.async_delete_bot(enterprise_id=enterprise_id, team_id=team_id)

    async def async_delete_installation(
        self, *, enterprise_id: str | None, team_id: str | None, user_id: str | None = None
    ) -> None:
        async with self._store() as store:
            await store.async_delete_installation(enterprise_id=enterprise_id, team_id=team_id, user_id=user_id)

    @asynccontextmanager
    async def _store(self) -> AsyncIterator[AsyncSQLAlchemyInstallationStore]:
        async with self._db.lent() as engine:
            yield AsyncSQLAlchemyInstallationStore(self._client_id, engine)


def _turned(kept: _Kept, turn: Callable[[str], str]) -> _Kept:
    """A copy whose secrets are closed, or open again."""
    made = copy(kept)
    for name in _SECRETS:
        if value := getattr(made, name, None):
            setattr(made, name, turn(value))
    return made


def token_store(settings: Settings, db: Database) -> TokenStore:
    """The store of the app in the settings. Raises SettingsError when there is no key and none can be made."""
    return TokenStore(db, settings.slack_client_id or "", Vault(settings.signing_key()))


async def bot_token_of(settings: Settings, db: Database) -> str | None:
    """The bot token of the home workspace: of the settings, else of the installation, else None.

    Raises SettingsError and StorageError.
    """
    if settings.slack_bot_token is not None:
        return settings.slack_bot_token.get_secret_value()
    if settings.install_url is None:
        return None
    async with db.read() as tx:
        known = await installs.workspaces(tx)
    home = installs.home_of(known, settings.slack_team)
    of_home = next((each for each in known if each.team_id == home), None)
    return await token_of(token_store(settings, db), of_home) if of_home else None


async def token_of(store: TokenStore, workspace: installs.Workspace) -> str | None:
    """None where Holdfast was removed. Raises SettingsError and StorageError."""
    bot = await store.async_find_bot(enterprise_id=workspace.enterprise_id, team_id=workspace.team_id)
    return bot.bot_token if bot else None
