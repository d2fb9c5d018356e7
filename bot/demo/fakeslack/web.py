"""The table of Web API methods: each with its scopes, its arguments and the function that answers it."""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bot.demo.fakeslack.faults import Faults
from bot.demo.fakeslack.handles import Handles
from bot.demo.fakeslack.limits import (
    MESSAGE_SIZE,
    MESSAGE_TEXT,
    Surface,
    block_problems,
    metadata_problems,
    text_size,
)
from bot.demo.fakeslack.oauth import Tokens
from bot.demo.fakeslack.workspace import Channel, Json, Message, SlackRefusesError, User, Workspace

# Arguments that every method takes, or that the SDK adds to every call.
_COMMON = {"token", "team_id", "pretty"}
_KIND_SCOPES = {"channel": "channels", "group": "groups", "im": "im", "mpim": "mpim"}


@dataclass(frozen=True, slots=True)
class Slack:
    """What the methods work on."""

    workspace: Workspace
    handles: Handles
    faults: Faults
    granted: frozenset[str]
    violations: list[str]
    base_url: str
    socket_url: Callable[[], str]
    limit_rate: bool
    tokens: Tokens
    teams: Mapping[str, Workspace]

    def within(self, workspace: Workspace) -> "Slack":
        """As it is seen from this workspace: that of the token, or of the person."""
        return self if workspace is self.workspace else replace(self, workspace=workspace)


@dataclass(frozen=True, slots=True)
class Call:
    """One call while it is answered."""

    slack: Slack
    method: str
    args: Mapping[str, Any]
    credentials: str = ""
    """The token, or what stands in its place in the header."""

    @property
    def workspace(self) -> Workspace:
        return self.slack.workspace

    def violate(self, problem: str) -> None:
        self.slack.violations.append(f"{self.method}: {problem}")

    def refuse(self, code: str, problems: Sequence[str]) -> None:
        """Refuse the call, when there are problems, with the details Slack gives."""
        if not problems:
            return
        for problem in problems:
            self.violate(problem)
        messages = [f"[ERROR] {problem}" for problem in problems]
        raise SlackRefusesError(code, response_metadata={"messages": messages}, errors=list(problems))

    def flag(self, name: str) -> bool:
        """Booleans come as JSON, or as 1, 0, true, false in a form or a query."""
        return str(self.args.get(name, "")).lower() in {"1", "true"}

    def text(self, name: str) -> str | None:
        value = self.args.get(name)
        return None if value is None else str(value)

    def number(self, name: str, default: int) -> int:
        try:
            return int(self.args.get(name) or default)
        except ValueError:
            raise SlackRefusesError("invalid_arguments") from None

    def need_scope(self, *alternatives: str) -> None:
        if alternatives and not self.slack.granted & set(alternatives):
            provided = ",".join(sorted(self.slack.granted))
            raise SlackRefusesError("missing_scope", needed=alternatives[0], provided=provided)

    def need_kind_scope(self, channel: Channel, right: str) -> None:
        """The scopes of conversations.* depend on the kind of the conversation."""
        self.need_scope(f"{_KIND_SCOPES[channel.kind]}:{right}")

    def user(self, name: str = "user") -> User:
        user = self.workspace.users.get(str(self.args.get(name)))
        if user is None:
            raise SlackRefusesError("user_not_found")
        return user

    def channel(self, name: str = "channel") -> Channel:
        """A conversation by its id. A private one that the bot is not in does not exist for it."""
        channel = self.workspace.channels.get(str(self.args.get(name)))
        if channel is None or (channel.kind == "group" and not channel.bot_is_member):
            raise SlackRefusesError("channel_not_found")
        return channel

    def channel_inside(self, name: str = "channel") -> Channel:
        channel = self.channel(name)
        if not channel.bot_is_member:
            raise SlackRefusesError("not_in_channel")
        return channel

    def message(self, channel: Channel, name: str = "ts") -> Message:
        message = channel.find(str(self.args.get(name)))
        if message is None:
            raise SlackRefusesError("message_not_found")
        return message


Answer = Callable[[Call], Json]


@dataclass(frozen=True, slots=True)
class Method:
    scopes: tuple[str, ...]
    needs: frozenset[str]
    takes: frozenset[str]
    answer: Answer
    app_token: bool = False
    without_token: bool = False
    """It is proved by the app's own id and secret."""

    def check(self, call: Call) -> None:
        """Refuse what lacks an argument; note arguments Slack would silently ignore, which hide slips."""
        missing = sorted(name for name in self.needs if call.args.get(name) in (None, ""))
        call.refuse("invalid_arguments", [f"missing required field: {name}" for name in missing])
        for name in sorted(set(call.args) - self.needs - self.takes - _COMMON):
            call.violate(f"unknown argument {name}")
        call.need_scope(*self.scopes)


METHODS: dict[str, Method] = {}


def method(
    name: str,
    *,
    scopes: str = "",
    needs: str = "",
    takes: str = "",
    app_token: bool = False,
    without_token: bool = False,
) -> Callable[[Answer], Answer]:
    """Register the answer of one Web API method. `scopes` are alternatives: one of them is enough."""

    def register(answer: Answer) -> Answer:
        wanted, optional = frozenset(needs.split()), frozenset(takes.split())
        METHODS[name] = Method(tuple(scopes.split()), wanted, optional, answer, app_token, without_token)
        return answer

    return register


@dataclass(frozen=True, slots=True)
class Content:
    """The checked content of a message; None stands for an argument that was not given."""

    text: str | None
    blocks: list[Json] | None
    attachments: list[Json] | None


def content(call: Call, *, most: int = MESSAGE_TEXT) -> Content:
    """Text, blocks and attachments of a call, refused where Slack would refuse them."""
    blocks, attachments = call.args.get("blocks"), call.args.get("attachments")
    text = call.text("text")
    if call.args.get("markdown_text") is not None:
        if text or blocks:
            raise SlackRefusesError("markdown_text_conflict")
        text = call.text("markdown_text")
    if not text and not blocks and not attachments:
        call.refuse("no_text", ["neither text nor blocks"])
    if text is not None and len(text) > most:
        call.refuse("msg_too_long", [f"text: {len(text)} characters, more than {most}"])
    if blocks is not None:
        check_blocks(call, blocks, "message")
    if blocks and not text:
        call.violate("blocks without text: notifications and screen readers would have nothing to say")
    check_attachments(call, attachments)
    return Content(text, blocks, attachments)


def check_blocks(call: Call, blocks: Any, surface: Surface) -> None:
    if not isinstance(blocks, list):
        call.refuse("invalid_blocks_format", ["blocks: must be a list of blocks"])
    call.refuse("invalid_blocks", block_problems(blocks, surface))
    if surface == "message" and (size := text_size(blocks)) > MESSAGE_SIZE:
        call.refuse("msg_blocks_too_long", [f"blocks: {size} characters in all, more than {MESSAGE_SIZE}"])


def check_attachments(call: Call, attachments: Any) -> None:
    if attachments is None:
        return
    if not isinstance(attachments, list) or not all(isinstance(each, dict) for each in attachments):
        call.refuse("invalid_attachments", ["attachments: must be a list of objects"])
    if len(attachments) > 100:
        call.refuse("too_many_attachments", [f"attachments: {len(attachments)}, more than 100"])
    for each in attachments:
        if each.get("blocks") is not None:
            check_blocks(call, each["blocks"], "message")


def metadata(call: Call) -> Json | None:
    value = call.args.get("metadata")
    if value in (None, {}):
        return value
    problems = metadata_problems(value)
    too_large = any("larger than" in problem for problem in problems)
    call.refuse("metadata_too_large" if too_large else "invalid_metadata_format", problems)
    return dict(value)


def page(items: Sequence[Any], call: Call, *, limit: int = 100) -> tuple[list[Any], Json]:
    """One page of a list, and the fields that lead to the next."""
    size = max(1, min(call.number("limit", limit), 999))
    start = _position(call.text("cursor"))
    following = start + size
    more = following < len(items)
    cursor = base64.b64encode(f"next:{following}".encode()).decode() if more else ""
    return list(items[start:following]), {"response_metadata": {"next_cursor": cursor}}


def _position(cursor: str | None) -> int:
    if not cursor:
        return 0
    try:
        return int(base64.b64decode(cursor).decode().removeprefix("next:"))
    except (ValueError, binascii.Error):
        raise SlackRefusesError("invalid_cursor") from None
