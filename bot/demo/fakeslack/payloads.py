"""The payloads Slack sends to an app, in their real shapes, and the state of what people fill in.

https://docs.slack.dev/reference/interaction-payloads/ and https://docs.slack.dev/interactivity/implementing-slash-commands/
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bot.clock import now
from bot.demo.fakeslack.shapes import message_json, permalink, view_json
from bot.demo.fakeslack.workspace import Channel, Json, Message, PersonCannotError, User, View, Workspace

# Deprecated by Slack in favour of signatures, but still part of every payload.
VERIFICATION_TOKEN = "verification-token-is-deprecated"

# element type -> the field of its state and of its action
_FIELDS: Mapping[str, str] = {
    "static_select": "selected_option", "external_select": "selected_option", "radio_buttons": "selected_option",
    "overflow": "selected_option", "checkboxes": "selected_options", "multi_static_select": "selected_options",
    "multi_external_select": "selected_options", "users_select": "selected_user",
    "multi_users_select": "selected_users", "channels_select": "selected_channel",
    "multi_channels_select": "selected_channels", "conversations_select": "selected_conversation",
    "multi_conversations_select": "selected_conversations", "datepicker": "selected_date",
    "timepicker": "selected_time", "datetimepicker": "selected_date_time", "plain_text_input": "value",
    "email_text_input": "value", "url_text_input": "value", "number_input": "value",
    "rich_text_input": "rich_text_value", "file_input": "files",
}  # fmt: skip
_INITIAL: Mapping[str, str] = {"value": "initial_value", "rich_text_value": "initial_value"}


def envelope(workspace: Workspace) -> Json:
    """The fields common to all interactive payloads."""
    return {
        "team": {"id": workspace.team_id, "domain": workspace.name.lower()},
        "api_app_id": workspace.app_id,
        "token": VERIFICATION_TOKEN,
        "enterprise": None,
        "is_enterprise_install": False,
    }


def person(user: User, workspace: Workspace) -> Json:
    return {"id": user.id, "username": user.name, "name": user.name, "team_id": user.team_id or workspace.team_id}


def slash_command(workspace: Workspace, user: User, channel: Channel, text: str, handles: Json) -> Json:
    """Flat and all strings, as in the form that Slack posts."""
    command, _, words = text.partition(" ")
    return {
        "token": VERIFICATION_TOKEN,
        "team_id": user.team_id or workspace.team_id,
        "team_domain": workspace.name.lower() if user.team_id is None else "elsewhere",
        "channel_id": channel.id,
        "channel_name": {"im": "directmessage", "group": "privategroup"}.get(channel.kind, channel.name),
        "user_id": user.id,
        "user_name": user.name,
        "command": command,
        "text": words.strip(),
        "api_app_id": workspace.app_id,
        "is_enterprise_install": "false",
        **handles,
    }


def message_action(
    workspace: Workspace, user: User, message: Message, action: Json, blocks: Sequence[Json], handles: Json
) -> Json:
    """A press on something in a message; `blocks` are those the person sees, which may be old ones."""
    ephemeral = message.ephemeral_to is not None
    container: Json = {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": message.channel.id,
        "is_ephemeral": ephemeral,
    }
    shown = {**message_json(message, workspace), "blocks": list(blocks)}
    if message.parent is not None:
        container["thread_ts"] = message.parent.ts
    return {
        "type": "block_actions",
        **envelope(workspace),
        "user": person(user, workspace),
        "container": container,
        "channel": {"id": message.channel.id, "name": message.channel.name},
        **({} if ephemeral else {"message": shown}),
        "state": {"values": state(blocks, {})},
        "actions": [action],
        **handles,
    }


def view_action(workspace: Workspace, user: User, view: View, action: Json, handles: Json) -> Json:
    return {
        "type": "block_actions",
        **envelope(workspace),
        "user": person(user, workspace),
        "container": {"type": "view", "view_id": view.id},
        "view": view_json(view, workspace, state(view.blocks, {})),
        "actions": [action],
        **handles,
    }


def view_submission(workspace: Workspace, user: User, view: View, values: Json, handles: Json) -> Json:
    return {
        "type": "view_submission",
        **envelope(workspace),
        "user": person(user, workspace),
        "view": view_json(view, workspace, values),
        "response_urls": [],
        **handles,
    }


def view_closed(workspace: Workspace, user: User, view: View, *, cleared: bool) -> Json:
    return {
        "type": "view_closed",
        **envelope(workspace),
        "user": person(user, workspace),
        "view": view_json(view, workspace),
        "is_cleared": cleared,
    }


def shortcut(workspace: Workspace, user: User, callback_id: str, message: Message | None, handles: Json) -> Json:
    """A global shortcut, or one on a message."""
    common = {**envelope(workspace), "user": person(user, workspace), "callback_id": callback_id, **handles}
    common["action_ts"] = workspace.new_ts()
    if message is None:
        return {"type": "shortcut", **common}
    return {
        "type": "message_action",
        **common,
        "channel": {"id": message.channel.id, "name": message.channel.name},
        "message_ts": message.ts,
        "message": message_json(message, workspace),
    }


def event(workspace: Workspace, body: Json) -> Json:
    """The wrapper of the Events API; `event_id` is what redeliveries have in common."""
    stamp = workspace.new_ts()
    return {
        "type": "event_callback",
        "token": VERIFICATION_TOKEN,
        "team_id": workspace.team_id,
        "api_app_id": workspace.app_id,
        "event": {**body, "event_ts": stamp},
        "event_id": workspace.new_id("Ev"),
        "event_time": int(now().timestamp()),
        "is_ext_shared_channel": False,
        "authorizations": [
            {
                "enterprise_id": None,
                "team_id": workspace.team_id,
                "user_id": workspace.bot.id,
                "is_bot": True,
                "is_enterprise_install": False,
            }
        ],
    }


def reaction_event(kind: str, user: User, message: Message, name: str) -> Json:
    item = {"type": "message", "channel": message.channel.id, "ts": message.ts}
    return {"type": kind, "user": user.id, "reaction": name, "item": item, "item_user": message.user.id}


def pin_event(kind: str, user: User, message: Message, workspace: Workspace) -> Json:
    shown = {**message_json(message, workspace, metadata=False), "permalink": permalink(message)}
    count = sum(each.pinned for each in message.channel.all_messages)
    return {
        "type": kind,
        "user": user.id,
        "channel_id": message.channel.id,
        "item": {
            "type": "message",
            "channel": message.channel.id,
            "message": shown,
            "created": int(now().timestamp()),
            "created_by": user.id,
        },
        "item_user": message.user.id,
        "pin_count": count,
        "has_pins": count > 0,
    }


def action_of(element: Json, block_id: str, value: Any, ts: str) -> Json:
    """What is in `actions` when a person uses this element; `value` is what was chosen, for menus."""
    action = {
        "action_id": element["action_id"],
        "block_id": block_id,
        "type": element["type"],
        "action_ts": ts,
    }
    if element["type"] in {"button", "workflow_button", "icon_button"}:
        return action | {name: element[name] for name in ("text", "value", "style") if name in element}
    name = _FIELDS[element["type"]]
    return action | {name: _chosen(element, name, value)}


def state(blocks: Sequence[Json], values: Mapping[str, Any], *, submitted: bool = False) -> Json:
    """`view.state.values`: what is filled in, by block id and action id. Keys of `values` are either of the two.

    At a submission Slack's client insists on the inputs that are not optional.
    """
    result: Json = {}
    for block in blocks:
        for element in _stateful(block):
            name = _FIELDS[element["type"]]
            given = values.get(block["block_id"], values.get(element["action_id"]))
            filled = _initial(element, name) if given is None else _chosen(element, name, given)
            if submitted and block["type"] == "input" and not filled and not block.get("optional"):
                raise PersonCannotError(f"Slack asks for {block['label']['text']!r} before it submits the view.")
            entry = {"type": element["type"], name: filled}
            result.setdefault(block["block_id"], {})[element["action_id"]] = entry
    return result


def _stateful(block: Json) -> list[Json]:
    candidates = [block.get("accessory"), block.get("element")]
    candidates += block.get("elements") or [] if block.get("type") == "actions" else []
    return [each for each in candidates if each and each["type"] in _FIELDS and each["type"] != "overflow"]


def _initial(element: Json, name: str) -> Any:
    key = _INITIAL.get(name, name.replace("selected_", "initial_"))
    return element.get(key, [] if name.endswith("s") else None)


def _chosen(element: Json, name: str, value: Any) -> Any:
    if name == "selected_option":
        return _option(element, value)
    if name == "selected_options":
        return [_option(element, each) for each in value]
    return value if isinstance(value, list | int | dict) else str(value)


def _option(element: Json, wanted: Any) -> Json:
    options = list(element.get("options") or [])
    for group in element.get("option_groups") or []:
        options += group["options"]
    for option in options:
        if wanted in (option["value"], option["text"]["text"]):
            return dict(option)
    known = ", ".join(str(option["text"]["text"]) for option in options)
    raise PersonCannotError(f"There is no option {wanted!r}; there are: {known}.")
