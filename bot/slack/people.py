"""Who is who: a Slack user id becomes an Actor with a name and a time zone."""

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog
from aiohttp import ClientError
from slack_sdk.errors import SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from bot.access import Actor
from bot.clock import now

FRESH = timedelta(hours=1)
_PATIENCE = timedelta(seconds=2)
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Known:
    actor: asyncio.Task[Actor]
    at: datetime


class People:
    """users.info with a memory. When Slack does not answer, a person is still somebody: by id, in UTC."""

    def __init__(self, client: AsyncWebClient) -> None:
        self._client = client
        self._known: dict[str, _Known] = {}
        self._home: str | None = None
        self._teams: dict[str, str] = {}

    async def actor(self, user_id: str, name: str = "", team: str | None = None) -> Actor:
        """The person with this id. `name` is what the request called them, for when Slack cannot be asked; `team` is
        the workspace that the request says they are of; a reaction does not say it, and then it is their profile's.
        """
        person = await self._person(user_id, name)
        team = team or self._teams.get(user_id)
        return replace(person, outsider=True) if team and await self._is_elsewhere(team) else person

    async def _is_elsewhere(self, team: str) -> bool:
        """Whether this is another workspace than the bot's. Asked once, then known."""
        if self._home is None:
            try:
                async with asyncio.timeout(_PATIENCE.total_seconds()):
                    self._home = str((await self._client.auth_test())["team_id"])
            except (TimeoutError, ClientError, SlackClientError) as error:
                # Rather trust somebody for that moment than keep everybody out during a night with a shaky Slack.
                _log.warning("auth.test failed", error=type(error).__name__)
                return False
        return team != self._home

    async def _person(self, user_id: str, name: str) -> Actor:
        known = self._known.get(user_id)
        if known is None or now() - known.at > FRESH:
            known = _Known(asyncio.create_task(self._ask(user_id)), now())
            self._known[user_id] = known
        try:
            async with asyncio.timeout(_PATIENCE.total_seconds()):
                return await asyncio.shield(known.actor)
        except (TimeoutError, ClientError, SlackClientError) as error:
            self._known.pop(user_id, None)
            _log.warning("users.info failed", user=user_id, error=type(error).__name__)
            return Actor(id=user_id, name=name or user_id)

    async def _ask(self, user_id: str) -> Actor:
        answer = await self._client.users_info(user=user_id)
        user = answer["user"]
        profile = user.get("profile", {})
        if user.get("team_id") and not user.get("enterprise_user"):  # an organisation's people are of many workspaces
            self._teams[user_id] = user["team_id"]
        name = profile.get("display_name") or user.get("real_name") or user.get("name") or user_id
        return Actor(id=user_id, name=name, zone=_zone(user.get("tz")))

    async def close(self) -> None:
        """Ask no more."""
        for known in self._known.values():
            known.actor.cancel()
        await asyncio.gather(*(known.actor for known in self._known.values()), return_exceptions=True)


def _zone(name: str | None) -> str:
    try:
        return ZoneInfo(name or "UTC").key
    except (ZoneInfoNotFoundError, ValueError):
        return "UTC"
