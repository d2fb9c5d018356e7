"""The JSON that Slack's Web API gives for what is in the workspace."""

from copy import deepcopy
from typing import Any

from bot.demo.fakeslack.workspace import Channel, Json, Message, User, UserGroup, View, Workspace


def message_json(message: Message, workspace: Workspace, *, metadata: bool = True) -> Json:
    """A message as chat.postMessage and conversations.history give it."""
    shape: Json = {
        "type": "message",
        "user": message.user.id,
        "ts": message.ts,
        "team": workspace.team_id,
        "text": message.text,
    }
    if message.user.is_bot:
        shape |= {"bot_id": workspace.bot_id, "app_id": workspace.app_id}
    shape |= _content(message, metadata=metadata)
    shape |= _threading(message)
    if message.edited_ts:
        shape["edited"] = {"user": message.user.id, "ts": message.edited_ts}
    if message.reactions:
        shape["reactions"] = reactions_json(message)
    if message.pinned:
        shape["pinned_to"] = [message.channel.id]
    return shape


def reactions_json(message: Message) -> list[Json]:
    return [{"name": name, "users": list(users), "count": len(users)} for name, users in message.reactions.items()]


def _content(message: Message, *, metadata: bool) -> Json:
    shape: Json = {}
    for name in ("blocks", "attachments", "files"):
        if getattr(message, name):
            shape[name] = deepcopy(getattr(message, name))
    if metadata and message.metadata:
        shape["metadata"] = deepcopy(message.metadata)
    return shape


def _threading(message: Message) -> Json:
    if message.parent is not None:
        shape: Json = {"thread_ts": message.parent.ts, "parent_user_id": message.parent.user.id}
        return shape | ({"subtype": "thread_broadcast"} if message.broadcast else {})
    if not message.thread:
        return {}
    writers = list(dict.fromkeys(each.user.id for each in message.thread))
    return {
        "thread_ts": message.ts,
        "reply_count": len(message.thread),
        "reply_users": writers,
        "reply_users_count": len(writers),
        "latest_reply": message.thread[-1].ts,
    }


def user_json(user: User, workspace: Workspace, *, email: bool) -> Json:
    profile: Json = {"real_name": user.real_name, "display_name": user.name}
    if email:  # needs the scope users:read.email
        profile["email"] = user.email
    return {
        "id": user.id,
        "team_id": user.team_id or workspace.team_id,
        "name": user.name,
        "real_name": user.real_name,
        "deleted": user.deleted,
        "tz": user.tz,
        "tz_label": user.tz,
        "tz_offset": int(user.tz_offset().total_seconds()),
        "is_bot": user.is_bot,
        "is_app_user": False,
        "profile": profile,
    }


def channel_json(channel: Channel) -> Json:
    direct = channel.kind == "im"
    shape: Json = {
        "id": channel.id,
        "is_channel": channel.kind == "channel",
        "is_group": channel.kind == "group",
        "is_im": direct,
        "is_mpim": channel.kind == "mpim",
        "is_private": channel.kind != "channel",
        "is_archived": channel.archived,
    }
    if direct:
        return shape | {"user": next(iter(channel.members or ()), "")}
    return shape | {
        "name": channel.name,
        "name_normalized": channel.name,
        "is_member": channel.bot_is_member,
        "topic": {"value": "", "creator": "", "last_set": 0},
        "purpose": {"value": "", "creator": "", "last_set": 0},
    }


def usergroup_json(group: UserGroup, workspace: Workspace, *, users: bool) -> Json:
    shape: Json = {
        "id": group.id,
        "team_id": workspace.team_id,
        "is_usergroup": True,
        "name": group.name,
        "handle": group.handle,
        "date_delete": group.disabled_at,
        "user_count": len(group.users),
    }
    return shape | ({"users": list(group.users)} if users else {})


def view_json(view: View, workspace: Workspace, state: Json | None = None) -> Json:
    defaults: Json = {"private_metadata": "", "callback_id": "", "external_id": "", "submit": None, "close": None}
    return {
        **defaults,
        "clear_on_close": False,
        "notify_on_close": False,
        **deepcopy(view.data),
        "id": view.id,
        "team_id": workspace.team_id,
        "hash": view.hash,
        "state": {"values": state or {}},
        "root_view_id": view.root_id,
        "previous_view_id": view.previous_id,
        "app_id": workspace.app_id,
        "app_installed_team_id": workspace.team_id,
        "bot_id": workspace.bot_id,
    }


def permalink(message: Message) -> str:
    link = f"https://acme.slack.example/archives/{message.channel.id}/p{message.ts.replace('.', '')}"
    if message.parent is None:
        return link
    return f"{link}?thread_ts={message.parent.ts}&cid={message.channel.id}"


def pin_json(message: Message, workspace: Workspace) -> Json:
    shown: dict[str, Any] = message_json(message, workspace, metadata=False)
    return {
        "type": "message",
        "channel": message.channel.id,
        "created": int(float(message.ts)),
        "created_by": message.user.id,
        "message": {**shown, "permalink": permalink(message)},
    }
