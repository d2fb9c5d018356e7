"""Events as Slack wraps them: whose they are, where they happened, and what of them is kept.

https://docs.slack.dev/apis/events-api/#events-JSON
"""

from typing import Any

Json = dict[str, Any]
REMOVALS = ("app_uninstalled", "tokens_revoked")
"""Events that nobody caused in a conversation: they are about the installation, and dealt with by the edge itself."""


def is_our_own(body: Json) -> bool:
    """Whether this bot caused it: reacting to oneself goes round in circles."""
    event = body["event"]
    ourselves = {each.get("user_id") for each in body.get("authorizations") or [] if each.get("is_bot")}
    wrote_it = event.get("app_id") is not None and event["app_id"] == body.get("api_app_id")
    return wrote_it or _user(event) in ourselves


def event_payload(body: Json) -> Json:
    """What is needed to deal with it after a restart, and where an answer to whoever caused it goes."""
    event = body["event"]
    item = event.get("item") or {}
    place = {
        "user_id": _user(event),
        "team_id": event.get("user_team") or event.get("team"),
        "channel_id": event.get("channel_id") or _id(event.get("channel")) or item.get("channel"),
        "thread_ts": event.get("thread_ts"),
        "workspace_id": body.get("team_id"),
        "at": body.get("event_time"),
    }
    return {**{key: value for key, value in place.items() if value}, "event": event}


def is_removal(event: Json) -> bool:
    """Whether a workspace removed Holdfast, or revoked its bot's token, not only that of a person."""
    if event["type"] == "tokens_revoked":
        return bool(event.get("tokens", {}).get("bot"))
    return bool(event["type"] == "app_uninstalled")


def _user(event: Json) -> str:
    """Some events name a user, some hold all of it, some have none."""
    return _id(event.get("user")) or ""


def _id(value: Any) -> str | None:
    found = value.get("id") if isinstance(value, dict) else value
    return found if isinstance(found, str) else None
