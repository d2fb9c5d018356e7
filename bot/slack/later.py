"""Answers that are more than one message: shown at once and followed, or with a file."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from bot.slack.blocks import View


@dataclass(frozen=True, kw_only=True)
class Later(View):
    """Shown at once; `then` makes what follows it, which takes seconds."""

    then: Callable[[], Awaitable[View]]


@dataclass(frozen=True, kw_only=True)
class Attached(View):
    """An answer with a file of text, for this person alone. The view says what is in it."""

    filename: str
    lines: AsyncIterator[str]
