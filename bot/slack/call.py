"""What a command, a click or an event is to the code that handles it, and what it gives back."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from bot.access import Actor
from bot.errors import NotFoundError
from bot.services.bundle import Services
from bot.services.messages import Said
from bot.slack.blocks import View


@dataclass(frozen=True)
class Call:
    """A typed command, from Slack or from the terminal: `/campaign pause x` has words `pause x`."""

    actor: Actor
    words: str
    channel: str | None = None
    trigger: str | None = None
    thread: str | None = None


@dataclass(frozen=True)
class Click:
    """A pressed button: its action id (noun.verb) and the value that the view gave it."""

    actor: Actor
    action: str
    value: str
    channel: str | None = None
    message_ts: str | None = None
    trigger: str | None = None


Look = Callable[[str, str], Awaitable[Said]]


async def _nowhere(channel: str, ts: str) -> Said:
    raise NotFoundError(f"There is no Slack here to read the message {ts} of {channel} from.")


@dataclass(frozen=True)
class Event:
    """Something happened in Slack: `kind` is the event's type and `body` the event, as Slack's Events API gives it."""

    actor: Actor
    kind: str
    body: dict[str, Any]
    channel: str | None = None
    team: str = ""
    """The id of the workspace in which it happened."""
    look: Look = _nowhere
    """Reads a message of Slack, by channel and timestamp."""


Handler = Callable[[Services, Call], Awaitable[View]]
"""Answers a command. The view is shown to the caller alone; what all should see goes through the timeline."""

ClickHandler = Callable[[Services, Click], Awaitable[View | None]]
"""Answers a click. None where the edited message says it all; a view is shown to the person who clicked."""

EventHandler = Callable[[Services, Event], Awaitable[View | None]]
"""Deals with an event. It may be called again after a crash, late, and in another order than things happened: it makes
things as the event says they are. A view is shown to the person who caused it; mostly there is nothing to say.
"""
