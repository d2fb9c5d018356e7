"""auth, conversations, users, user groups, team, bookmarks: what the bot asks and joins.

https://docs.slack.dev/reference/methods
"""

from collections.abc import Sequence

from bot.demo.fakeslack.shapes import channel_json, message_json, user_json, usergroup_json
from bot.demo.fakeslack.web import Call, method, page
from bot.demo.fakeslack.workspace import Json, Message, SlackRefusesError, User

_READ = "channels:read groups:read im:read mpim:read"
_HISTORY = "channels:history groups:history im:history mpim:history"
_WINDOW = "cursor inclusive include_all_metadata latest limit oldest"
_TYPES = {"public_channel": "channel", "private_channel": "group", "im": "im", "mpim": "mpim"}


@method("auth.test")
def auth_test(call: Call) -> Json:
    workspace = call.workspace
    return {
        "url": "https://acme.slack.example/",
        "team": workspace.name,
        "user": workspace.bot.name,
        "team_id": workspace.team_id,
        "user_id": workspace.bot.id,
        "bot_id": workspace.bot_id,
        "is_enterprise_install": False,
    }


@method("team.info", scopes="team:read", takes="team domain")
def team_info(call: Call) -> Json:
    workspace = call.workspace
    team = {"id": workspace.team_id, "name": workspace.name, "domain": "acme", "email_domain": "acme.example"}
    return {"team": team}


@method("conversations.info", scopes=_READ, needs="channel", takes="include_locale include_num_members")
def conversations_info(call: Call) -> Json:
    channel = call.channel()
    call.need_kind_scope(channel, "read")
    shape = channel_json(channel)
    if call.flag("include_num_members"):
        shape["num_members"] = len(_members(call))
    return {"channel": shape}


@method("conversations.list", scopes=_READ, takes="cursor exclude_archived limit types")
def conversations_list(call: Call) -> Json:
    kinds = set()
    for name in (call.text("types") or "public_channel").split(","):
        if name.strip() not in _TYPES:
            raise SlackRefusesError("invalid_types")
        kinds.add(_TYPES[name.strip()])
    found = [
        each
        for each in call.workspace.channels.values()
        if each.kind in kinds
        and not (each.kind == "group" and not each.bot_is_member)
        and not (each.archived and call.flag("exclude_archived"))
    ]
    for channel in found:
        call.need_kind_scope(channel, "read")
    shown, following = page(found, call)
    return {"channels": [channel_json(each) for each in shown], **following}


@method("conversations.join", scopes="channels:join", needs="channel")
def conversations_join(call: Call) -> Json:
    channel = call.channel()
    if channel.kind != "channel":
        raise SlackRefusesError("method_not_supported_for_channel_type")
    if channel.archived:
        raise SlackRefusesError("is_archived")
    more: Json = {"warning": "already_in_channel"} if channel.bot_is_member else {}
    channel.bot_is_member = True
    call.workspace.changed()
    return {"channel": channel_json(channel), **more}


@method("conversations.members", scopes=_READ, needs="channel", takes="cursor limit")
def conversations_members(call: Call) -> Json:
    call.need_kind_scope(call.channel(), "read")
    shown, following = page(_members(call), call)
    return {"members": shown, **following}


@method("conversations.open", scopes="im:write mpim:write", takes="channel users return_im prevent_creation")
def conversations_open(call: Call) -> Json:
    if call.args.get("channel"):
        return {"channel": channel_json(call.channel())}
    people = [_person(call, each) for each in (call.text("users") or "").split(",") if each]
    if not people:
        raise SlackRefusesError("users_list_not_supplied")
    if len(people) > 1:
        call.need_scope("mpim:write")
    channel = call.workspace.direct(*people)
    shape = channel_json(channel) if call.flag("return_im") else {"id": channel.id}
    return {"channel": shape}


@method("conversations.history", scopes=_HISTORY, needs="channel", takes=_WINDOW)
def conversations_history(call: Call) -> Json:
    channel = call.channel_inside()
    call.need_kind_scope(channel, "history")
    shown = [each for each in channel.all_messages if each.parent is None or each.broadcast]
    newest_first = [each for each in reversed(shown) if not each.deleted and _within(call, each)]
    return {**_messages(call, newest_first), "pin_count": sum(each.pinned for each in channel.all_messages)}


@method("conversations.replies", scopes=_HISTORY, needs="channel ts", takes=_WINDOW)
def conversations_replies(call: Call) -> Json:
    channel = call.channel_inside()
    call.need_kind_scope(channel, "history")
    found = channel.find(str(call.args["ts"]))
    if found is None:
        raise SlackRefusesError("thread_not_found")
    parent = found.parent or found
    replies = [each for each in parent.thread if _within(call, each)]
    return _messages(call, [parent, *replies])


@method("users.info", scopes="users:read", needs="user", takes="include_locale")
def users_info(call: Call) -> Json:
    return {"user": _user(call, call.user())}


@method("users.list", scopes="users:read", takes="cursor include_locale limit")
def users_list(call: Call) -> Json:
    shown, following = page(list(call.workspace.users.values()), call)
    return {"members": [_user(call, each) for each in shown], **following}


@method("users.lookupByEmail", scopes="users:read.email", needs="email")
def users_lookup(call: Call) -> Json:
    wanted = str(call.args["email"]).casefold()
    for user in call.workspace.users.values():
        if user.email.casefold() == wanted and not user.deleted:
            return {"user": _user(call, user)}
    raise SlackRefusesError("users_not_found")


@method("usergroups.list", scopes="usergroups:read", takes="include_count include_disabled include_users")
def usergroups_list(call: Call) -> Json:
    disabled, users = call.flag("include_disabled"), call.flag("include_users")
    groups = [each for each in call.workspace.usergroups.values() if disabled or not each.disabled_at]
    return {"usergroups": [usergroup_json(each, call.workspace, users=users) for each in groups]}


@method("usergroups.users.list", scopes="usergroups:read", needs="usergroup", takes="include_disabled")
def usergroups_users(call: Call) -> Json:
    group = call.workspace.usergroups.get(str(call.args["usergroup"]))
    if group is None or (group.disabled_at and not call.flag("include_disabled")):
        raise SlackRefusesError("no_such_subteam")
    return {"users": list(group.users)}


@method(
    "bookmarks.add",
    scopes="bookmarks:write",
    needs="channel_id title type",
    takes="emoji entity_id link parent_id access_level",
)
def bookmarks_add(call: Call) -> Json:
    channel = call.channel_inside("channel_id")
    if call.args["type"] != "link" or not call.args.get("link"):
        call.refuse("invalid_arguments", ["a bookmark is of the type link and has a link"])
    bookmark = {
        "id": call.workspace.new_id("Bk"),
        "channel_id": channel.id,
        **{name: call.args.get(name) for name in ("title", "link", "emoji", "type")},
    }
    channel.bookmarks.append(bookmark)
    call.workspace.changed()
    return {"bookmark": bookmark}


def _user(call: Call, user: User) -> Json:
    return user_json(user, call.workspace, email="users:read.email" in call.slack.granted)


def _person(call: Call, identity: str) -> User:
    user = call.workspace.users.get(identity.strip())
    if user is None:
        raise SlackRefusesError("user_not_found")
    return user


def _members(call: Call) -> list[str]:
    channel = call.channel()
    people = [each.id for each in call.workspace.users.values() if not each.is_bot and channel.has(each)]
    return [*people, *([call.workspace.bot.id] if channel.bot_is_member else [])]


def _within(call: Call, message: Message) -> bool:
    oldest, latest = call.text("oldest"), call.text("latest")
    ts, inclusive = _moment(message.ts), call.flag("inclusive")
    if oldest and (ts < _moment(oldest) or (ts == _moment(oldest) and not inclusive)):
        return False
    return not (latest and (ts > _moment(latest) or (ts == _moment(latest) and not inclusive)))


def _moment(ts: str) -> int:
    """Microseconds; a float of this size would lose the last digits."""
    seconds, _, rest = ts.partition(".")
    try:
        return int(seconds) * 1_000_000 + int(rest[:6].ljust(6, "0"))
    except ValueError:
        raise SlackRefusesError("invalid_ts_oldest") from None


def _messages(call: Call, messages: Sequence[Message]) -> Json:
    shown, following = page(messages, call)
    more = bool(following["response_metadata"]["next_cursor"])
    wanted = call.flag("include_all_metadata")
    shapes = [message_json(each, call.workspace, metadata=wanted) for each in shown]
    return {"messages": shapes, "has_more": more, **(following if more else {})}
