"""chat.*, pins.*, reactions.*, files.*: what the bot says. https://docs.slack.dev/reference/methods"""

import re

from bot.demo.fakeslack.limits import UPDATE_TEXT
from bot.demo.fakeslack.shapes import message_json, permalink, pin_json, reactions_json
from bot.demo.fakeslack.web import Call, content, metadata, method
from bot.demo.fakeslack.workspace import Channel, Json, Message, SlackRefusesError

_BODY = "text blocks attachments markdown_text link_names parse as_user"


@method(
    "chat.postMessage",
    scopes="chat:write",
    needs="channel",
    takes=f"{_BODY} thread_ts reply_broadcast metadata mrkdwn unfurl_links unfurl_media username icon_emoji icon_url",
)
def post_message(call: Call) -> Json:
    channel = _to_post(call)
    body, event = content(call), metadata(call)
    parent = _parent(call, channel)
    if call.slack.limit_rate:
        call.slack.faults.spend(channel.id)
    broadcast = call.flag("reply_broadcast")
    if broadcast and parent is None:
        call.violate("reply_broadcast without thread_ts")
    message = call.workspace.post(
        channel,
        call.workspace.bot,
        body.text or "",
        blocks=body.blocks or (),
        attachments=body.attachments or (),
        metadata=event,
        parent=parent,
        broadcast=broadcast and parent is not None,
    )
    return {"channel": channel.id, "ts": message.ts, "message": message_json(message, call.workspace)}


@method(
    "chat.update",
    scopes="chat:write",
    needs="channel ts",
    takes=f"{_BODY} metadata reply_broadcast file_ids",
)
def update(call: Call) -> Json:
    channel = call.channel()
    message = call.message(channel)
    if message.user is not call.workspace.bot:
        raise SlackRefusesError("cant_update_message")
    if channel.archived:
        raise SlackRefusesError("is_archived")
    body, event = content(call, most=UPDATE_TEXT), metadata(call)
    call.workspace.edit(message, text=body.text, blocks=body.blocks, attachments=body.attachments, metadata=event)
    if call.flag("reply_broadcast") and message.parent is not None:
        message.broadcast = True
    shown = message_json(message, call.workspace)
    return {"channel": channel.id, "ts": message.ts, "text": message.text, "message": shown}


@method("chat.delete", scopes="chat:write", needs="channel ts", takes="as_user")
def delete(call: Call) -> Json:
    channel = call.channel()
    message = call.message(channel)
    if message.user is not call.workspace.bot:
        raise SlackRefusesError("cant_delete_message")
    call.workspace.delete(message)
    return {"channel": channel.id, "ts": message.ts}


@method(
    "chat.postEphemeral",
    scopes="chat:write",
    needs="channel user",
    takes=f"{_BODY} thread_ts username icon_emoji icon_url",
)
def post_ephemeral(call: Call) -> Json:
    channel = call.channel_inside()
    if channel.archived:
        raise SlackRefusesError("is_archived")
    user, body = call.user(), content(call)
    if not channel.has(user):
        raise SlackRefusesError("user_not_in_channel")
    message = call.workspace.post(
        channel,
        call.workspace.bot,
        body.text or "",
        blocks=body.blocks or (),
        attachments=body.attachments or (),
        parent=None,
        ephemeral_to=user,
    )
    message.parent = _parent(call, channel)
    return {"message_ts": message.ts}


@method("chat.getPermalink", needs="channel message_ts")
def get_permalink(call: Call) -> Json:
    channel = call.channel()
    return {"channel": channel.id, "permalink": permalink(call.message(channel, "message_ts"))}


@method("pins.add", scopes="pins:write", needs="channel timestamp")
def pins_add(call: Call) -> Json:
    message = call.message(call.channel_inside(), "timestamp")
    if message.pinned:
        raise SlackRefusesError("already_pinned")
    message.pinned = True
    call.workspace.changed()
    return {}


@method("pins.remove", scopes="pins:write", needs="channel timestamp")
def pins_remove(call: Call) -> Json:
    message = call.message(call.channel_inside(), "timestamp")
    if not message.pinned:
        raise SlackRefusesError("no_pin")
    message.pinned = False
    call.workspace.changed()
    return {}


@method("pins.list", scopes="pins:read", needs="channel")
def pins_list(call: Call) -> Json:
    messages = call.channel_inside().all_messages
    pinned = [each for each in messages if each.pinned and not each.deleted]
    return {"items": [pin_json(each, call.workspace) for each in pinned]}


@method("reactions.add", scopes="reactions:write", needs="channel name timestamp")
def reactions_add(call: Call) -> Json:
    message, users = _reaction(call)
    if call.workspace.bot.id in users:
        raise SlackRefusesError("already_reacted")
    message.reactions[str(call.args["name"])] = [*users, call.workspace.bot.id]
    call.workspace.changed()
    return {}


@method("reactions.remove", scopes="reactions:write", needs="name", takes="channel timestamp file file_comment")
def reactions_remove(call: Call) -> Json:
    message, users = _reaction(call)
    if call.workspace.bot.id not in users:
        raise SlackRefusesError("no_reaction")
    users.remove(call.workspace.bot.id)
    if not users:
        del message.reactions[str(call.args["name"])]
    call.workspace.changed()
    return {}


@method("reactions.get", scopes="reactions:read", takes="channel timestamp full file file_comment")
def reactions_get(call: Call) -> Json:
    message = call.message(call.channel_inside(), "timestamp")
    shown = message_json(message, call.workspace, metadata=False)
    return {
        "type": "message",
        "channel": message.channel.id,
        "message": {**shown, "reactions": reactions_json(message), "permalink": permalink(message)},
    }


@method(
    "files.getUploadURLExternal",
    scopes="files:write",
    needs="filename length",
    takes="alt_txt snippet_type",
)
def get_upload_url(call: Call) -> Json:
    file_id = call.workspace.new_id("F")
    name, size = call.args["filename"], call.number("length", 0)
    if size < 1:
        raise SlackRefusesError("invalid_arguments")
    call.workspace.files[file_id] = {"id": file_id, "name": name, "title": name, "size": size, "content": None}
    return {"file_id": file_id, "upload_url": f"{call.slack.base_url}/upload/v1/{file_id}"}


@method(
    "files.completeUploadExternal",
    scopes="files:write",
    needs="files",
    takes="channel_id channels initial_comment thread_ts blocks",
)
def complete_upload(call: Call) -> Json:
    files = [_uploaded(call, str(each.get("id")), each.get("title")) for each in call.args["files"]]
    target = call.args.get("channel_id")
    if target is not None:
        channel = call.channel_inside("channel_id")
        parent = _parent(call, channel)
        comment = call.text("initial_comment") or ""
        call.workspace.post(channel, call.workspace.bot, comment, files=files, parent=parent)
    return {"files": files}


def _uploaded(call: Call, file_id: str, title: str | None) -> Json:
    stored = call.workspace.files.get(file_id)
    if stored is None or stored["content"] is None:
        raise SlackRefusesError("file_not_found")
    stored["title"] = title or stored["title"]
    return {name: value for name, value in stored.items() if name != "content"}


def _reaction(call: Call) -> tuple[Message, list[str]]:
    name = str(call.args["name"])
    if not re.fullmatch(r"[a-z0-9_+'-]+", name):
        call.refuse("invalid_name", [f"reaction {name!r} is no emoji name; colons do not belong to it"])
    message = call.message(call.channel_inside(), "timestamp")
    return message, message.reactions.get(name, [])


def _to_post(call: Call) -> Channel:
    """A channel's id, a channel's name or a user's id: chat.postMessage takes all three."""
    target = str(call.args["channel"])
    if target in call.workspace.users:
        return call.workspace.direct(call.workspace.users[target])
    named = [each for each in call.workspace.channels.values() if each.name == target.lstrip("#")]
    if named and target not in call.workspace.channels:
        call.violate(f"channel {target!r} by its name: names change, ids do not")
        channel = named[0]
    else:
        channel = call.channel()
    if channel.archived:
        raise SlackRefusesError("is_archived")
    if not channel.bot_is_member and "chat:write.public" not in call.slack.granted:
        raise SlackRefusesError("not_in_channel")
    return channel


def _parent(call: Call, channel: Channel) -> Message | None:
    """Slack takes a reply's ts for a thread and loses the message; the fake is stricter and refuses it."""
    if not call.args.get("thread_ts"):
        return None
    parent = channel.find(str(call.args["thread_ts"]))
    if parent is None:
        raise SlackRefusesError("thread_not_found")
    if parent.parent is not None:
        call.refuse("thread_not_found", ["thread_ts is a reply's; it must be the first message's"])
    return parent
