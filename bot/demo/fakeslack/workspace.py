"""The state of the fake workspace: people, channels, messages, views. No network here.

Whatever changes the state calls `Workspace.changed()`, which wakes everyone who waits in `Workspace.until()`.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

from bot.clock import now

Json = dict[str, Any]
ChannelKind = Literal["channel", "group", "im", "mpim"]


class SlackRefusesError(Exception):
    """Slack answers `ok: false` with this error code and these further fields."""

    def __init__(self, code: str, **more: Any) -> None:
        super().__init__(code)
        self.code = code
        self.more = more


class PersonCannotError(AssertionError):
    """Slack's client would not let a person do this: there is no such button, a required input is empty."""


@dataclass(eq=False, slots=True)
class User:
    id: str
    name: str
    real_name: str
    email: str
    tz: str = "UTC"
    is_bot: bool = False
    deleted: bool = False
    team_id: str | None = None
    """Of a person from another workspace, in channels that are shared with it (Slack Connect)."""

    @property
    def mention(self) -> str:
        return f"<@{self.id}>"

    def tz_offset(self) -> timedelta:
        return now().astimezone(ZoneInfo(self.tz)).utcoffset() or timedelta()


class Version(NamedTuple):
    """What a message said before an edit."""

    text: str
    blocks: list[Json]


@dataclass(eq=False, slots=True)
class Message:
    """A message as it stands now; `edits` has what it said before, oldest first."""

    ts: str
    channel: "Channel"
    user: User
    text: str
    blocks: list[Json] = field(default_factory=list)
    attachments: list[Json] = field(default_factory=list)
    metadata: Json | None = None
    parent: "Message | None" = None
    thread: list["Message"] = field(default_factory=list)
    edits: list[Version] = field(default_factory=list)
    reactions: dict[str, list[str]] = field(default_factory=dict)
    files: list[Json] = field(default_factory=list)
    ephemeral_to: User | None = None
    edited_ts: str | None = None
    deleted: bool = False
    broadcast: bool = False
    pinned: bool = False

    @property
    def at(self) -> datetime:
        return datetime.fromtimestamp(float(self.ts), UTC)

    def as_version(self) -> Version:
        return Version(self.text, self.blocks)


@dataclass(eq=False, slots=True)
class Channel:
    """`members` lists ids; None means everybody, whoever joins the workspace later included."""

    id: str
    name: str
    kind: ChannelKind = "channel"
    archived: bool = False
    bot_is_member: bool = True
    members: set[str] | None = None
    bookmarks: list[Json] = field(default_factory=list)
    all_messages: list[Message] = field(default_factory=list)

    @property
    def messages(self) -> list[Message]:
        """Top level, in order, without what was deleted."""
        return [each for each in self.all_messages if each.parent is None and not each.deleted]

    @property
    def broadcasts(self) -> list[Message]:
        """Replies in threads that were also sent to the channel."""
        return [each for each in self.all_messages if each.broadcast and not each.deleted]

    def find(self, ts: str) -> Message | None:
        return next((each for each in self.all_messages if each.ts == ts and not each.deleted), None)

    def has(self, user: User) -> bool:
        return self.members is None or user.id in self.members


@dataclass(eq=False, slots=True)
class View:
    """A modal or a home tab as a person sees it. `errors` are those of the last submission, by block id."""

    id: str
    hash: str
    user: User
    data: Json
    root_id: str
    previous_id: str | None = None
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return str((self.data.get("title") or {}).get("text", ""))

    @property
    def blocks(self) -> list[Json]:
        return list(self.data["blocks"])


@dataclass(eq=False, slots=True)
class UserGroup:
    id: str
    handle: str
    name: str
    users: list[str]
    disabled_at: int = 0
    """When somebody switched it off, in seconds of Unix time; 0: it is in use."""


class Bell:
    """Rings at every change, in whatever workspace."""

    def __init__(self) -> None:
        self._wake = asyncio.Event()

    def ring(self) -> None:
        wake, self._wake = self._wake, asyncio.Event()
        wake.set()

    async def wait(self) -> None:
        await self._wake.wait()


class Workspace:
    """Everything in the workspace. Identifiers have Slack's shapes and count up, so tests repeat exactly.

    `beside`: another workspace of the same Slack, with which it has no identifier in common.
    """

    def __init__(self, *, name: str = "Acme", team_id: str = "T0ACME0001", beside: "Workspace | None" = None) -> None:
        self.name = name
        self.team_id = team_id
        self.app_id = "A0HOLDFAST"
        self.bot_id = "B0HOLDFAST"
        self.users: dict[str, User] = {}
        self.channels: dict[str, Channel] = {}
        self.usergroups: dict[str, UserGroup] = {}
        self.ephemerals: list[Message] = []
        self.modals: dict[str, list[View]] = {}
        self.homes: dict[str, View] = {}
        self.files: dict[str, Json] = {}
        self.numbers: count[int] = beside.numbers if beside else count(1)
        self._last_ts = 0
        self.bell: Bell = beside.bell if beside else Bell()
        self.bot = self.add_user("holdfast", real_name="Holdfast", is_bot=True)

    def new_id(self, prefix: str) -> str:
        return f"{prefix}0{next(self.numbers):08d}"

    def new_ts(self) -> str:
        """Unique and rising, in microseconds as Slack's are, also when a test moves the clock back."""
        self._last_ts = max(int(now().timestamp() * 1_000_000), self._last_ts + 1)
        return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06d}"

    def changed(self) -> None:
        self.bell.ring()

    async def until(self, check: Callable[[], Any], within: float, failure: Callable[[], str]) -> Any:
        """Wait until `check` gives something true, looking again at every change; `within` in seconds."""
        try:
            async with asyncio.timeout(within):
                while not (found := check()):
                    await self.bell.wait()
        except TimeoutError:
            raise AssertionError(failure()) from None
        return found

    def add_user(
        self, name: str, *, real_name: str = "", tz: str = "UTC", email: str = "", is_bot: bool = False
    ) -> User:
        user = User(self.new_id("U"), name, real_name or name.title(), email or f"{name}@acme.example", tz, is_bot)
        self.users[user.id] = user
        return user

    def add_channel(
        self,
        name: str,
        *,
        kind: ChannelKind = "channel",
        member: bool = True,
        archived: bool = False,
        members: Sequence[User] | None = None,
    ) -> Channel:
        prefix = {"channel": "C", "group": "C", "im": "D", "mpim": "G"}[kind]
        ids = None if members is None else {each.id for each in members}
        channel = Channel(self.new_id(prefix), name, kind, archived, member, ids)
        self.channels[channel.id] = channel
        return channel

    def direct(self, *people: User) -> Channel:
        """The conversation of the bot with these people, made when there is none yet."""
        ids = {each.id for each in people}
        for channel in self.channels.values():
            if channel.kind in {"im", "mpim"} and channel.members == ids:
                return channel
        name = "mpdm-" + "--".join(each.name for each in people) if len(people) > 1 else people[0].name
        return self.add_channel(name, kind="mpim" if len(people) > 1 else "im", members=people)

    def post(
        self,
        channel: Channel,
        user: User,
        text: str,
        *,
        blocks: Sequence[Mapping[str, Any]] = (),
        attachments: Sequence[Mapping[str, Any]] = (),
        metadata: Mapping[str, Any] | None = None,
        parent: Message | None = None,
        broadcast: bool = False,
        ephemeral_to: User | None = None,
        files: Sequence[Json] = (),
    ) -> Message:
        """A new message, in the channel or, ephemeral, seen by one person only."""
        message = Message(
            ts=self.new_ts(),
            channel=channel,
            user=user,
            text=text,
            blocks=self.with_ids(blocks),
            attachments=[dict(deepcopy(each)) for each in attachments],
            metadata=dict(deepcopy(metadata)) if metadata else None,
            parent=parent,
            broadcast=broadcast,
            ephemeral_to=ephemeral_to,
            files=list(files),
        )
        if ephemeral_to is not None:
            self.ephemerals.append(message)
        else:
            channel.all_messages.append(message)
            if parent is not None:
                parent.thread.append(message)
        self.changed()
        return message

    def edit(
        self,
        message: Message,
        *,
        text: str | None,
        blocks: Sequence[Mapping[str, Any]] | None,
        attachments: Sequence[Mapping[str, Any]] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Text without blocks takes the blocks away, as Slack's does; what is not given besides stays."""
        message.edits.append(message.as_version())
        if blocks is not None:
            message.blocks = self.with_ids(blocks)
        elif text is not None:
            message.blocks = []
        if text is not None:
            message.text = text
        if attachments is not None:
            message.attachments = [dict(deepcopy(each)) for each in attachments]
        if metadata is not None:
            message.metadata = dict(deepcopy(metadata)) or None
        message.edited_ts = self.new_ts()
        self.changed()

    def delete(self, message: Message) -> None:
        message.deleted = True
        if message.parent is not None:
            message.parent.thread.remove(message)
        self.changed()

    def with_ids(self, blocks: Sequence[Mapping[str, Any]]) -> list[Json]:
        """Slack names the blocks and the elements that have no name, and so do we."""
        copies = [dict(deepcopy(block)) for block in blocks]
        for block in copies:
            if not block.get("block_id"):
                block["block_id"] = f"b{next(self.numbers):04x}"
            for element in interactive(block):
                if not element.get("action_id"):
                    element["action_id"] = f"a{next(self.numbers):04x}"
        return copies

    def new_view(self, user: User, data: Mapping[str, Any], below: View | None = None) -> View:
        identity = self.new_id("V")
        root, previous = (below.root_id, below.id) if below else (identity, None)
        return View(identity, self.new_ts(), user, self.view_data(data), root, previous)

    def view_data(self, data: Mapping[str, Any]) -> Json:
        return {**deepcopy(dict(data)), "blocks": self.with_ids(data["blocks"])}

    def find_view(self, view_id: str | None, external_id: str | None = None) -> View | None:
        every = [*self.homes.values(), *(view for stack in self.modals.values() for view in stack)]
        for view in every:
            if view.id == view_id or (external_id and view.data.get("external_id") == external_id):
                return view
        return None

    def replace_view(self, view: View, data: Mapping[str, Any]) -> None:
        view.data = self.view_data(data)
        view.hash = self.new_ts()
        view.errors = {}
        self.changed()


def interactive(block: Mapping[str, Any]) -> Iterator[Json]:
    """The elements of a block that people can use."""
    candidates = [block.get("accessory"), block.get("element"), *(block.get("elements") or [])]
    candidates += block.get("actions") or []
    for each in candidates:
        silent = {"plain_text", "mrkdwn", "image"}
        if isinstance(each, dict) and each.get("type") not in silent and "rich_text" not in each["type"]:
            yield each
    for child in block.get("child_blocks") or []:
        yield from interactive(child)
