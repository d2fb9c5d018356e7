"""Tokens, and how an app comes by one: somebody agrees on Slack's page, and a code is exchanged once.

https://docs.slack.dev/authentication/installing-with-oauth/
"""

import base64
import binascii
from dataclasses import dataclass, field
from itertools import count
from urllib.parse import parse_qs, urlencode, urlsplit

from bot.demo.fakeslack.workspace import PersonCannotError, SlackRefusesError, User

CLIENT_ID = "1111111111.2222222222"
CLIENT_SECRET = "fake-client-secret"


@dataclass(frozen=True, slots=True)
class Grant:
    """What somebody agreed to."""

    user: User
    scopes: tuple[str, ...]
    redirect_uri: str


@dataclass(slots=True)
class Tokens:
    """Those that are valid, and the codes that can be made into one."""

    bot: str
    app: str
    revoked: set[str] = field(default_factory=set)
    _codes: dict[str, Grant] = field(default_factory=dict)
    _numbers: "count[int]" = field(default_factory=lambda: count(2))

    def check(self, token: str, *, wants_app: bool) -> None:
        if not token:
            raise SlackRefusesError("not_authed")
        if token in self.revoked:
            raise SlackRefusesError("token_revoked")
        if token not in {self.bot, self.app}:
            raise SlackRefusesError("invalid_auth")
        if (token == self.app) != wants_app:
            raise SlackRefusesError("not_allowed_token_type")

    def agree(self, url: str, user: User) -> str:
        """Press "Allow" on the page at `url`. Returns the address to which the browser is sent."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        if asked.get("client_id") != CLIENT_ID:
            raise PersonCannotError("Slack says: Invalid client_id parameter.")
        if not asked.get("scope"):
            raise PersonCannotError("Slack says: the app asks for no scopes.")
        code = f"code-{next(self._numbers)}"
        self._codes[code] = Grant(user, tuple(asked["scope"].split(",")), asked["redirect_uri"])
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def exchange(self, code: str, credentials: str, redirect_uri: str | None) -> Grant:
        """The code becomes a new bot token, once; the one before is no longer valid."""
        if _basic(credentials) != (CLIENT_ID, CLIENT_SECRET):
            raise SlackRefusesError("invalid_client_id")
        grant = self._codes.pop(code, None)
        if grant is None:
            raise SlackRefusesError("invalid_code")
        if redirect_uri != grant.redirect_uri:
            raise SlackRefusesError("bad_redirect_uri")
        self.bot = f"xoxb-fake-bot-token-{next(self._numbers)}"
        return grant


def _basic(header: str) -> tuple[str, str]:
    try:
        user, _, password = base64.b64decode(header.removeprefix("Basic ")).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise SlackRefusesError("bad_client_secret") from None
    return user, password
