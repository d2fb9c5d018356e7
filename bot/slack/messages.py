"""A message of Slack as people see it: its text, who wrote it, when, and its permalink."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import BotError, NotFoundError
from bot.services.messages import Said
from bot.slack.answering import SLACK_ERRORS, reason

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_GONE = {"thread_not_found", "message_not_found"}
_OUTSIDE = {"not_in_channel", "channel_not_found"}
_FEW = 3


def moment_of(ts: str) -> datetime:
    """`1700000000.000100` as a moment, to the microsecond: events of one message are told apart by them."""
    seconds, _, rest = ts.partition(".")
    return _EPOCH + timedelta(seconds=int(seconds), microseconds=int(rest[:6].ljust(6, "0") or 0))


def said_of(message: Mapping[str, Any], channel: str, permalink: str | None) -> Said:
    """A message as Slack's payloads and answers give it. The text is still in Slack's own markup."""
    ts = str(message["ts"])
    return Said(
        channel=channel,
        ts=ts,
        at=moment_of(ts),
        text=message.get("text") or _instead(message),
        author=f"<@{message['user']}>" if message.get("user") else str(message.get("username") or "somebody"),
        permalink=permalink,
        thread=message.get("thread_ts"),
    )


def _instead(message: Mapping[str, Any]) -> str:
    files = [str(each.get("title") or each.get("name") or "a file") for each in message.get("files") or []]
    return f"({', '.join(files)})" if files else "(no text)"


class Messages:
    """Looks messages up. What Slack does not give is a BotError with the reason."""

    def __init__(self, client: AsyncWebClient) -> None:
        self._client = client

    async def look(self, channel: str, ts: str) -> Said:
        """As it is now. Raises NotFoundError when it is gone, BotError when Slack does not let us read it."""
        try:
            answer = await self._client.conversations_replies(
                channel=channel, ts=ts, oldest=ts, latest=ts, inclusive=True, limit=_FEW
            )
            found = [each for each in answer["messages"] if each["ts"] == ts and each.get("subtype") != "tombstone"]
            if not found:
                raise NotFoundError(_GONE_SENTENCE)
            link = await self._client.chat_getPermalink(channel=channel, message_ts=ts)
        except SLACK_ERRORS as error:
            raise _told(error) from error
        return said_of(found[0], channel, link.get("permalink"))

    async def permalink(self, channel: str, ts: str) -> str | None:
        """None when Slack does not say: a timeline can do without."""
        try:
            answer = await self._client.chat_getPermalink(channel=channel, message_ts=ts)
        except SLACK_ERRORS:
            return None
        return str(answer["permalink"])


_GONE_SENTENCE = "That message is gone from Slack, so nothing was added to the timeline."


def _told(error: BaseException) -> BotError:
    code = reason(error)
    if code in _GONE:
        return NotFoundError(_GONE_SENTENCE)
    if code in _OUTSIDE:
        return BotError(
            "Holdfast is not in that channel, so it cannot read the message and nothing was added. Invite it there "
            "with /invite @holdfast, and mark the message again."
        )
    if code == "missing_scope" and isinstance(error, SlackApiError):
        return BotError(
            f"Holdfast may not read that message, so nothing was added: its app lacks the scope "
            f"{error.response.get('needed') or 'channels:history'}. Whoever looks after it finds out more with: "
            "holdfast check"
        )
    return BotError(
        f"Slack did not give the message ({code}), so nothing was added to the timeline. Take your mark off and put "
        "it on again in a moment."
    )
