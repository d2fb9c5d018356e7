"""What people asked for, as it is written down before the ack: what is kept of it, and where its answer goes."""

from typing import Any

from storage.inbound import Arrival

Json = dict[str, Any]
_OF_A_COMMAND = (
    "command", "text", "user_id", "user_name", "team_id", "channel_id", "trigger_id", "response_url", "thread_ts",
)  # fmt: skip


def command_payload(body: Json) -> Json:
    return {key: body[key] for key in _OF_A_COMMAND if body.get(key)}


def place_of(body: Json) -> Json:
    """Where an answer to an interaction goes."""
    place = {
        "user_id": body["user"]["id"],
        "user_name": body["user"].get("username") or body["user"].get("name", ""),
        "team_id": body["user"].get("team_id"),
        "workspace_id": (body.get("team") or {}).get("id"),
        "channel_id": (body.get("channel") or {}).get("id"),
        "trigger_id": body.get("trigger_id"),
        "response_url": body.get("response_url"),
        "message_ts": (body.get("message") or {}).get("ts"),
        "thread_ts": (body.get("message") or {}).get("thread_ts"),
    }
    return {key: value for key, value in place.items() if value}


def click_payload(body: Json) -> Json:
    action = body["actions"][0]
    chosen = action.get("selected_option") or {}
    value = action.get("value") or chosen.get("value") or ""
    return {**place_of(body), **_home(body, action), "action_id": action["action_id"], "value": value}


def _home(body: Json, action: Json) -> Json:
    """A home tab is in no channel, and has no response_url: whatever answers a press there stands in the tab itself."""
    if (body.get("view") or {}).get("type") != "home":
        return {}
    return {"home": True, "label": (action.get("text") or {}).get("text", action["action_id"])}


def typed(arrival: Arrival) -> str:
    """As a person would say what they asked for."""
    payload = arrival.payload
    if arrival.kind == "command":
        return f"{payload['command']} {payload.get('text', '')}".strip()
    if arrival.kind == "event":
        return str(payload["event"]["type"])
    return str(payload.get("title") or payload.get("callback_id") or payload["action_id"])


def is_safe_again(arrival: Arrival) -> bool:
    """An event tells how something is now, and its handler makes it so: nobody decided anything that could be doubled,
    and nobody is there who would do it again.
    """
    return arrival.kind == "event"


def tried(arrival: Arrival) -> str:
    """As `typed`, and with a button what it was about; never the hash that it carries."""
    about = str(arrival.payload.get("value", "")).partition(":")[0] if arrival.kind == "action" else ""
    return f"{typed(arrival)} {about}".strip()
