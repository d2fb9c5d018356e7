"""What one person sees of the workspace, as JSON."""

import mimetypes
from collections.abc import Sequence

from bot.demo.fakeslack import Channel, FakeSlack, Message, User, View
from bot.demo.fakeslack.workspace import Json

_MOST = 200
"""Messages of a channel that are shown, the newest."""
_PICTURES = {"image/png", "image/jpeg", "image/gif", "image/webp"}


def seen_by(slack: FakeSlack, me: User, people: Sequence[User]) -> Json:
    """Channels with their messages and threads, the topmost modal and the home tab of `me`."""
    workspace = slack.workspace
    channels = [each for each in workspace.channels.values() if each.has(me)]
    modals, home = slack.open_views(me), slack.home(me)
    return {
        "me": _person(me),
        "people": [_person(each) for each in people],
        "names": {each.id: each.real_name for each in workspace.users.values()},
        "groups": {each.id: each.handle for each in workspace.usergroups.values()},
        "connected": slack.open_sockets > 0,
        "channels": [_channel(each, me, slack) for each in channels],
        "modal": _view(modals[-1]) | {"depth": len(modals)} if modals else None,
        "home": _view(home) if home else None,
    }


def _person(user: User) -> Json:
    offset = int(user.tz_offset().total_seconds())
    return {"id": user.id, "name": user.real_name, "zone": user.tz, "offset": offset}


def _channel(channel: Channel, me: User, slack: FakeSlack) -> Json:
    top = [*channel.messages, *channel.broadcasts]
    own = [each for each in slack.ephemerals(me) if each.channel is channel]
    shown = [*top, *(each for each in own if each.parent is None)]
    shown.sort(key=lambda each: each.ts)
    return {
        "id": channel.id,
        "name": channel.name,
        "kind": channel.kind,
        "archived": channel.archived,
        "messages": [_message(each, slack, me, own) for each in shown[-_MOST:]],
    }


def _message(message: Message, slack: FakeSlack, me: User, own: Sequence[Message]) -> Json:
    replies = [*message.thread, *(each for each in own if each.parent is message)]
    replies.sort(key=lambda each: each.ts)
    return {
        "ts": message.ts,
        "user": message.user.real_name,
        "bot": message.user.is_bot,
        "text": message.text,
        "blocks": message.blocks or [{"type": "section", "text": {"type": "mrkdwn", "text": message.text}}],
        "attachments": message.attachments,
        "edited": len(message.edits),
        "ephemeral": message.ephemeral_to is not None,
        "parent": message.parent.ts if message.parent else None,
        "about": slack.plain(message.parent).splitlines()[0] if message.broadcast and message.parent else "",
        "pinned": message.pinned,
        "reactions": [
            {"name": name, "count": len(users), "mine": me.id in users} for name, users in message.reactions.items()
        ],
        "files": [_file(each) for each in message.files],
        "replies": [_message(each, slack, me, ()) for each in replies],
    }


def _file(file: Json) -> Json:
    shown = {name: file[name] for name in ("id", "name", "title", "size")}
    return shown | {"image": picture_type(file["name"]) is not None}


def picture_type(name: str) -> str | None:
    """The media type of a picture that a browser may draw; an SVG could carry a script, so it is none."""
    kind, _ = mimetypes.guess_type(name)
    return kind if kind in _PICTURES else None


def _view(view: View) -> Json:
    return {**view.data, "id": view.id, "hash": view.hash, "errors": view.errors}
