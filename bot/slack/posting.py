"""One Slack message: post it, edit it, find it again by the key in its metadata."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.slack.blocks import View, clip
from bot.slack.pace import Pace
from bot.slack.setbacks import BLOCKS_REFUSED, judge

EVENT_TYPE = "holdfast_post"
_CLOCKS_DIFFER = timedelta(minutes=5)
_TEXT_MAX = 3000
_log = structlog.get_logger(__name__)


class Place(NamedTuple):
    """Where a message goes: a channel, and in it a thread."""

    channel: str
    thread_ts: str | None = None


class Found(NamedTuple):
    """A message of ours in Slack: its ts, and the keys of all that it shows."""

    ts: str
    keys: tuple[str, ...]


def look(view: View) -> str:
    """A hash of what people see."""
    seen = json.dumps([view.text, view.blocks], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(seen.encode()).hexdigest()


class Poster:
    """Calls Slack, at the pace that it allows. `client` must not retry by itself: a retried post is a double."""

    def __init__(self, client: AsyncWebClient, new_pace: Callable[[], Pace] = Pace) -> None:
        if client.retry_handlers:
            raise ValueError("the announcer's client must have no retry handlers")
        self._client = client
        self.posts: defaultdict[str, Pace] = defaultdict(new_pace)
        self.edits: defaultdict[str, Pace] = defaultdict(new_pace)

    async def post(self, place: Place, keys: Sequence[str], view: View, *, broadcast: bool) -> str:
        """Post what shows all of `keys`, the first of which owns it. Returns the ts. Raises what the SDK raises."""

        async def send(shown: View) -> AsyncSlackResponse:
            return await self._client.chat_postMessage(
                channel=place.channel,
                thread_ts=place.thread_ts,
                reply_broadcast=True if broadcast and place.thread_ts else None,
                text=shown.text,
                blocks=shown.blocks or None,
                metadata={"event_type": EVENT_TYPE, "event_payload": _payload(keys)},
                unfurl_links=False,
                unfurl_media=False,
            )

        answer = await _send(send, view, keys[0], self.posts[place.channel])
        return str(answer["ts"])

    async def edit(self, channel: str, ts: str, key: str, view: View) -> None:
        """Raises what the SDK raises."""

        async def send(shown: View) -> AsyncSlackResponse:
            return await self._client.chat_update(channel=channel, ts=ts, text=shown.text, blocks=shown.blocks)

        await _send(send, view, key, self.edits[channel])

    async def find(self, place: Place, key: str, since: datetime) -> Found | None:
        """The message that this key owns, if Slack took it after all. Raises what the SDK raises."""
        oldest = f"{(since - _CLOCKS_DIFFER).timestamp():.6f}"
        cursor: str | None = None
        while True:
            page = await self._page(place, oldest, cursor)
            for message in page["messages"]:
                metadata = message.get("metadata") or {}
                if metadata.get("event_type") == EVENT_TYPE and metadata["event_payload"].get("key") == key:
                    return Found(str(message["ts"]), _keys(metadata["event_payload"]))
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or None
            if cursor is None:
                return None

    async def _page(self, place: Place, oldest: str, cursor: str | None) -> AsyncSlackResponse:
        more: dict[str, Any] = {"oldest": oldest, "limit": 200, "cursor": cursor, "include_all_metadata": True}
        if place.thread_ts:
            return await self._client.conversations_replies(channel=place.channel, ts=place.thread_ts, **more)
        return await self._client.conversations_history(channel=place.channel, **more)


def _payload(keys: Sequence[str]) -> dict[str, str]:
    """By `key` a message is found again; `keys` says what else it shows, in one string, as the values may be flat."""
    return {"key": keys[0]} | ({"keys": " ".join(keys)} if len(keys) > 1 else {})


def _keys(payload: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(payload.get("keys", payload["key"]).split())


async def _send(
    send: Callable[[View], Awaitable[AsyncSlackResponse]], view: View, key: str, pace: Pace
) -> AsyncSlackResponse:
    """A message whose blocks Slack refuses still says its text: a mistake in a view must not silence an alert."""
    try:
        return await send(view)
    except SlackApiError as error:
        setback = judge(error, "")
        if setback.wait is not None:
            pace.refused(setback.wait)
        if setback.code not in BLOCKS_REFUSED:
            raise
        _log.exception("Slack refused the blocks of a message", key=key, code=setback.code)
    return await send(View(clip(view.text, _TEXT_MAX)))
