"""Tokens, and how an app comes by one: somebody agrees on Slack's page, and a code is exchanged once.

https://docs.slack.dev/authentication/installing-with-oauth/ and https://docs.slack.dev/authentication/using-token-rotation/
"""

import base64
import binascii
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from urllib.parse import parse_qs, urlencode, urlsplit

from bot.clock import now
from bot.demo.fakeslack.workspace import PersonCannotError, SlackRefusesError, User

CLIENT_ID = "1111111111.2222222222"
CLIENT_SECRET = "fake-client-secret"
TOKEN_LIFE = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Grant:
    """What somebody agreed to, for a workspace or for a whole organization."""

    user: User
    team: str
    scopes: tuple[str, ...]
    redirect_uri: str
    organization: bool = False


@dataclass(frozen=True, slots=True)
class Pair:
    """A token that ends by itself, and what it is renewed with."""

    token: str
    refresh: str


@dataclass(slots=True)
class Tokens:
    """Those that are valid, and the codes that can be made into one."""

    app: str
    bots: dict[str, str] = field(default_factory=dict)
    """Team id -> the bot token of its newest installation."""
    revoked: set[str] = field(default_factory=set)
    rotates: bool = False
    """Whether the app has switched token rotation on."""
    _teams: dict[str, str] = field(default_factory=dict)
    _ends: dict[str, datetime] = field(default_factory=dict)
    _refresh: dict[str, Grant] = field(default_factory=dict)
    _codes: dict[str, Grant] = field(default_factory=dict)
    _numbers: "count[int]" = field(default_factory=lambda: count(2))

    def give(self, team: str, token: str) -> None:
        """From now on this is the bot token of the team; the one before is no longer valid."""
        self.forget(team)
        self.bots[team] = token
        self._teams[token] = team

    def forget(self, team: str) -> None:
        token = self.bots.pop(team, None)
        if token is not None:
            self.revoked.add(token)

    def check(self, token: str, *, wants_app: bool) -> str | None:
        """The team of a bot token, None for the app's."""
        if not token:
            raise SlackRefusesError("not_authed")
        if token in self.revoked:
            raise SlackRefusesError("token_revoked")
        if token in self._ends and self._ends[token] <= now():
            raise SlackRefusesError("token_expired")
        if token != self.app and token not in self._teams:
            raise SlackRefusesError("invalid_auth")
        if (token == self.app) != wants_app:
            raise SlackRefusesError("not_allowed_token_type")
        return self._teams.get(token)

    def agree(self, url: str, user: User, team: str, *, organization: bool = False) -> str:
        """Press "Allow" on the page at `url`. Returns the address to which the browser is sent."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        if asked.get("client_id") != CLIENT_ID:
            raise PersonCannotError("Slack says: Invalid client_id parameter.")
        if not asked.get("scope"):
            raise PersonCannotError("Slack says: the app asks for no scopes.")
        code = f"code-{next(self._numbers)}"
        scopes = tuple(asked["scope"].split(","))
        self._codes[code] = Grant(user, team, scopes, asked["redirect_uri"], organization)
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def exchange(self, code: str, credentials: str, redirect_uri: str | None) -> tuple[Grant, Pair]:
        """The code becomes a new bot token, once; the one before is no longer valid."""
        _prove(credentials)
        grant = self._codes.pop(code, None)
        if grant is None:
            raise SlackRefusesError("invalid_code")
        if redirect_uri != grant.redirect_uri:
            raise SlackRefusesError("bad_redirect_uri")
        return grant, self._new(grant)

    def renew(self, refresh: str, credentials: str) -> tuple[Grant, Pair]:
        """A refresh token becomes a new pair, once; the old token stays valid until its time is up."""
        _prove(credentials)
        grant = self._refresh.pop(refresh, None)
        if grant is None or grant.team not in self.bots:
            raise SlackRefusesError("invalid_refresh_token")
        self.bots.pop(grant.team)
        return grant, self._new(grant)

    def _new(self, grant: Grant) -> Pair:
        number = next(self._numbers)
        token = f"xoxb-fake-bot-token-{number}"
        if self.rotates:
            # As long as the real ones are, which begin in this way.
            token = f"xoxe.xoxb-1-{number}-{'x' * 150}"
            self._ends[token] = now() + TOKEN_LIFE
        self.give(grant.team, token)
        pair = Pair(token, f"xoxe-1-{number}-{'x' * 140}")
        if self.rotates:
            self._refresh[pair.refresh] = grant
        return pair


def _prove(credentials: str) -> None:
    if _basic(credentials) != (CLIENT_ID, CLIENT_SECRET):
        raise SlackRefusesError("invalid_client_id")


def _basic(header: str) -> tuple[str, str]:
    try:
        user, _, password = base64.b64decode(header.removeprefix("Basic ")).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise SlackRefusesError("bad_client_secret") from None
    return user, password
