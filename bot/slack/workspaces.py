"""The workspaces that Holdfast is installed in, each with the client that speaks to it. All of it is in memory."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from slack_sdk.web.async_client import AsyncWebClient


class _Other(NamedTuple):
    name: str
    client: AsyncWebClient
    quiet: AsyncWebClient


class Workspaces:
    """`client` belongs to the home workspace, in which the channel of the outages is. So does `quiet`, which tries
    nothing again by itself.

    `home` is None as long as nobody knows: with a token from the settings only Slack can tell.
    """

    def __init__(self, client: AsyncWebClient, quiet: AsyncWebClient | None = None) -> None:
        self.client = client
        self.home: str | None = None
        self._quiet = quiet or client
        self._others: dict[str, _Other] = {}

    def of(self, *teams: str | None) -> AsyncWebClient:
        """The client of the first of these workspaces that Holdfast is installed in, else that of the home one."""
        for team in teams:
            if team == self.home:
                return self.client
            if team in self._others:
                return self._others[team].client
        return self.client

    def of_request(self, request: Mapping[str, Any]) -> AsyncWebClient:
        """The client for what somebody asked: of `workspace_id`, where they did, else of their own `team_id`."""
        return self.of(request.get("workspace_id"), request.get("team_id"))

    def quiet_of(self, team: str) -> AsyncWebClient | None:
        """The client of exactly this workspace that tries nothing again; None where Holdfast is not installed. Without
        an id it is the home one, and so is every workspace as long as nobody knows which one that is.
        """
        if team in self._others:
            return self._others[team].quiet
        return self._quiet if not team or self.home in {None, team} else None

    def knows(self, team: str) -> bool:
        """Whether its people are ours."""
        return team == self.home or team in self._others

    def name(self, team: str | None) -> str:
        """The name of another workspace than the home one; empty for that, and for strangers."""
        return self._others[team].name if team in self._others else ""

    def put(self, team: str, name: str, token: str) -> None:
        """Holdfast is installed there, or has a new token."""
        if team == self.home:
            self.client.token = self._quiet.token = token
        elif team in self._others:
            other = self._others[team]
            other.client.token = other.quiet.token = token
        else:
            self._others[team] = _Other(name, _like(self.client, token), _like(self._quiet, token))

    def drop(self, team: str) -> None:
        """Holdfast is not installed there any more."""
        if team == self.home:
            self.client.token = self._quiet.token = None
        self._others.pop(team, None)


def _like(client: AsyncWebClient, token: str) -> AsyncWebClient:
    return AsyncWebClient(
        token=token, base_url=client.base_url, session=client.session, retry_handlers=client.retry_handlers
    )
