"""An answer to one person: through the response_url of what they did, else as an ephemeral message."""

from collections.abc import Mapping
from typing import Any

import structlog
from aiohttp import ClientError
from slack_sdk.errors import SlackClientError
from slack_sdk.webhook.async_client import AsyncWebhookClient

from bot.slack.blocks import View
from bot.slack.workspaces import Workspaces

SLACK_ERRORS = (SlackClientError, ClientError, TimeoutError)
"""What a call of Slack's SDK may raise when Slack refuses, is away or is slow."""
_CANNOT_SPEAK = frozenset({"channel_not_found", "not_in_channel", "user_not_in_channel", "is_archived"})
_log = structlog.get_logger(__name__)


class Answers:
    """`place` says where: user_id, channel_id, and where there are such, response_url, thread_ts, and the workspaces:
    workspace_id, where it was asked, and team_id, that of the person.

    A response_url works 5 times within 30 minutes, and not while Slack's hooks are away; so there is a second road.
    """

    def __init__(self, workspaces: Workspaces) -> None:
        self._workspaces = workspaces

    async def say(self, place: Mapping[str, Any], view: View) -> bool:
        """Show the view to the person alone. False, and a line in the log, when no road led there."""
        if await self._respond(place, view):
            return True
        error = await self._post(place, view)
        if error == "invalid_blocks":
            error = await self._post(place, View(view.text))
        if error is not None:
            _log.warning("an answer could not be delivered", user=place["user_id"], error=error)
        return error is None

    async def _respond(self, place: Mapping[str, Any], view: View) -> bool:
        if not place.get("response_url"):
            return False
        hook = AsyncWebhookClient(place["response_url"], session=self._workspaces.client.session, retry_handlers=[])
        body: dict[str, Any] = {"response_type": "ephemeral", "replace_original": view.instead, "text": view.text}
        if view.blocks:
            body["blocks"] = view.blocks
        if place.get("thread_ts"):
            body["thread_ts"] = place["thread_ts"]
        try:
            answer = await hook.send_dict(body)
        except SLACK_ERRORS as error:
            _log.info("response_url failed", error=reason(error))
            return False
        if answer.status_code != 200:
            _log.info("response_url refused", status=answer.status_code, body=str(answer.body)[:200])
        return answer.status_code == 200

    async def _post(self, place: Mapping[str, Any], view: View) -> str | None:
        """The error, if there was one. Where the bot cannot speak, or there is no channel, the answer is a direct
        message.
        """
        try:
            client = self._workspaces.of_request(place)
            if place.get("channel_id"):
                await client.chat_postEphemeral(
                    channel=place["channel_id"],
                    user=place["user_id"],
                    text=view.text,
                    blocks=view.blocks or None,
                    thread_ts=place.get("thread_ts"),
                )
            else:
                await client.chat_postMessage(channel=place["user_id"], text=view.text, blocks=view.blocks or None)
        except SLACK_ERRORS as error:
            code = reason(error)
            if code in _CANNOT_SPEAK and place.get("channel_id"):
                return await self._post({**place, "channel_id": None}, view)
            return code
        return None


def reason(error: BaseException) -> str:
    """Slack's error code, or the kind of exception; never the request, which holds a token."""
    response = getattr(error, "response", None)
    code = response.get("error") if response is not None and isinstance(response.data, dict) else None
    return str(code or type(error).__name__)
