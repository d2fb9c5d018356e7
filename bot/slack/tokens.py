"""Where the bot token comes from: the settings, or an installation by OAuth, whose token is encrypted at rest."""

import base64

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bot.config import Settings
from bot.errors import SettingsError
from storage import installs
from storage.db import Database


class Vault:
    """Encrypts tokens with a key made from HOLDFAST_SECRET_KEY, or from the one in the data directory."""

    def __init__(self, secret: str) -> None:
        key = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"holdfast.slack-token").derive(secret.encode())
        self._fernet = Fernet(base64.urlsafe_b64encode(key))

    def close(self, token: str) -> bytes:
        return self._fernet.encrypt(token.encode())

    def open(self, closed: bytes) -> str:
        """Raises SettingsError when it was closed with another key."""
        try:
            return self._fernet.decrypt(closed).decode()
        except InvalidToken:
            raise SettingsError(
                "HOLDFAST_SECRET_KEY is not the one with which the Slack token was stored. Set the old one (or put "
                "back secret.key in the data directory), or set HOLDFAST_SLACK_BOT_TOKEN."
            ) from None


async def bot_token_of(settings: Settings, db: Database) -> str | None:
    """The bot token: of the settings, else of the installation, else None. Raises SettingsError and StorageError."""
    if settings.slack_bot_token is not None:
        return settings.slack_bot_token.get_secret_value()
    if settings.install_url is None:
        return None
    async with db.read() as tx:
        row = await installs.get(tx)
    return Vault(settings.signing_key()).open(row.secret) if row else None
