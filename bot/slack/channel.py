"""The channel of the outages: from the name or id in the settings to the id that Slack wants."""

import re
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import BotError

_ID = re.compile(r"[CGD][A-Z0-9]{8,}", re.ASCII)
_KINDS = "public_channel,private_channel"


class ChannelError(BotError):
    """The channel of the settings cannot be used; the sentence says what to do."""


class HomeChannel:
    """Looked up once; forgotten when Slack says that it is wrong."""

    def __init__(self, client: AsyncWebClient, setting: str | None) -> None:
        self.setting = (setting or "").lstrip("#")
        self._client = client
        self._id: str | None = None

    async def id(self) -> str:
        """Raises ChannelError, or what the SDK raises when Slack is away."""
        if self._id is None:
            self._id = await self._find()
        return self._id

    def forget(self) -> None:
        self._id = None

    async def look(self) -> dict[str, Any]:
        """The channel as Slack describes it; nothing is changed. Raises what `id` raises."""
        if not self.setting:
            raise ChannelError("HOLDFAST_CHANNEL is not set. Set it to the id or name of the channel for outages.")
        if _ID.fullmatch(self.setting):
            answer = await self._client.conversations_info(channel=self.setting)
            channel = dict(answer["channel"])
        else:
            channel = await self._by_name()
        if channel.get("is_archived"):
            raise ChannelError(
                f"The channel {self.setting} is archived. Unarchive it, or set HOLDFAST_CHANNEL to another."
            )
        return channel

    async def _find(self) -> str:
        channel = await self.look()
        if not channel.get("is_member") and not channel.get("is_im"):
            await self._join(channel)
        return str(channel["id"])

    async def _by_name(self) -> dict[str, Any]:
        cursor = ""
        while True:
            page = await self._client.conversations_list(
                types=_KINDS, exclude_archived=False, limit=1000, cursor=cursor or None
            )
            for channel in page["channels"]:
                if channel["name"] == self.setting:
                    return dict(channel)
            cursor = (page.get("response_metadata") or {}).get("next_cursor", "")
            if not cursor:
                raise ChannelError(
                    f"Slack knows no channel {self.setting}, or the bot may not see it. Correct HOLDFAST_CHANNEL; a "
                    "private channel must invite the bot."
                )

    async def _join(self, channel: dict[str, Any]) -> None:
        if channel.get("is_private"):
            raise ChannelError(f"The bot is not in the channel {self.setting}. Invite it with /invite @holdfast.")
        await self._client.conversations_join(channel=str(channel["id"]))
