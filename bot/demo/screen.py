"""What the demo shows: narration, what people do, and each Slack message as text when it appears or changes."""

import asyncio
import difflib
from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from bot.demo.fakeslack import FakeSlack, Message
from bot.slack.plain import plain

_WIDEST = 110
_READ_PER_SECOND = 90
"""Characters that a person reads in a second, with a glance at the shape of it."""
_LONGEST_READ = 4.0
_FOREVER = 1e6  # seconds


class Screen:
    """`watch` shows Slack until it is cancelled. With `paced` it is left time to read, at the points of `read`."""

    def __init__(self, slack: FakeSlack, *, paced: bool, colours: bool) -> None:
        self._slack = slack
        self._paced = paced
        self._console = Console(
            highlight=False, markup=False, emoji=False, no_color=not colours, force_terminal=colours or None
        )
        self._console.width = min(self._console.width, _WIDEST) if colours else _WIDEST
        self._colours = colours
        self._seen: dict[int, int] = {}
        self._unread = 0

    async def watch(self) -> None:
        while True:
            await self._slack.workspace.until(self._has_news, _FOREVER, lambda: "")
            self.show_news()

    def show_news(self) -> None:
        """Everything that is new in Slack, in the order in which it was first posted."""
        for message in self._news():
            known = self._seen.get(id(message))
            self._seen[id(message)] = len(message.edits)
            if known is None:
                self._show(message)
            elif changed := self._changed(message, known):
                self._put(f"{self._place(message)} · edited", changed, message)

    async def read(self) -> None:
        """Time to read what came since the last time."""
        self.show_news()
        unread, self._unread = self._unread, 0
        if self._paced:
            await asyncio.sleep(min(unread / _READ_PER_SECOND, _LONGEST_READ))

    def title(self, text: str) -> None:
        self._console.print()
        self._console.rule(Text(text, style="bold cyan"), align="left", style="cyan")

    def tell(self, text: str) -> None:
        """The narrator."""
        self._unread += len(text)
        self._print("", Text(text, style="italic cyan"))

    def act(self, who: str, deed: str) -> None:
        """What a person does."""
        self._console.print(Text.assemble(("▶ ", "bold green"), (who, "bold green"), f" {deed}"))

    def plain(self, text: str) -> None:
        for line in text.splitlines() or [""]:
            self._print("  ", Text(line))

    def _print(self, margin: str, line: Text) -> None:
        """One line, wrapped by us so that each part has the margin."""
        for part in line.wrap(self._console, self._console.width - len(margin)):
            part.rstrip()
            self._console.print(Text(margin) + part, soft_wrap=True)

    def _news(self) -> Iterator[Message]:
        places = [*self._slack.workspace.channels.values()]
        posted = [message for channel in places for message in channel.all_messages]
        for message in sorted([*posted, *self._slack.workspace.ephemerals], key=lambda each: each.ts):
            if not message.deleted and self._seen.get(id(message)) != len(message.edits):
                yield message

    def _has_news(self) -> bool:
        return next(self._news(), None) is not None

    def _show(self, message: Message) -> None:
        self._put(self._place(message), self._text(message).splitlines(), message)

    def _put(self, place: str, lines: list[str], message: Message) -> None:
        margin = "      " if message.parent is not None else "  "
        self._unread += sum(map(len, lines))
        self._print(margin, Text(place, style="dim"))
        for line in lines:
            self._print(f"{margin}│ ", Text.from_ansi(line))

    def _place(self, message: Message) -> str:
        if message.ephemeral_to is not None:
            return f"Holdfast, only {message.ephemeral_to.real_name} sees it"
        where = f"#{message.channel.name}"
        if message.parent is not None:
            where = f"↳ thread in {where}" + (", also sent to the channel" if message.broadcast else "")
        return f"{where} · {message.user.real_name}"

    def _text(self, message: Message) -> str:
        return self._rendered(message.text, message.blocks)

    def _rendered(self, text: str, blocks: object) -> str:
        return plain({"text": text, "blocks": blocks}, resolve=self._slack.name_of, ansi=self._colours)

    def _changed(self, message: Message, known: int) -> list[str]:
        """The whole message under a new title; else the title, and the lines that the version shown last had not."""
        earlier = message.edits[known]
        old = self._rendered(earlier.text, earlier.blocks).splitlines()
        new = self._text(message).splitlines()
        if not old or not new or old[0] != new[0]:
            return new
        fresh = [line[2:] for line in difflib.ndiff(old, new) if line.startswith("+ ")]
        return [new[0], *(f"  {line}" for line in fresh)] if fresh else []
