"""Block Kit, as small functions. Each keeps within Slack's limits, so that a view cannot be refused."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bot.bidi import isolated

Block = dict[str, Any]

SECTION_MAX = 3000
FIELD_MAX = 2000
FIELDS_MAX = 10
HEADER_MAX = 150
BUTTON_TEXT_MAX = 75


@dataclass(frozen=True)
class View:
    """A message: its blocks, and the text that notifications and screen readers show instead of them."""

    text: str
    blocks: list[Block] = field(default_factory=list)
    instead: bool = False
    """It takes the place of the answer whose button was pressed."""


def clip(text: str, limit: int) -> str:
    """Shorten with an ellipsis that says so, never in silence."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def escape(text: str) -> str:
    """What a person or a server wrote, safe inside mrkdwn: no mention, no link, no markup of Slack's, and nothing that
    turns the words around it.
    """
    return literal(isolated(text))


def literal(text: str) -> str:
    """Text that is no markup of Slack's, whatever is in it."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def code(text: str) -> str:
    """A server's words, marked as such; a backtick among them would end the mark."""
    return f"`{escape(text.replace('`', chr(39)))}`"


def header(text: str) -> Block:
    return {"type": "header", "text": {"type": "plain_text", "text": clip(text, HEADER_MAX), "emoji": True}}


def section(text: str, *, accessory: Block | None = None) -> Block:
    block: Block = {"type": "section", "text": {"type": "mrkdwn", "text": clip(text, SECTION_MAX)}}
    if accessory is not None:
        block["accessory"] = accessory
    return block


def fields(pairs: Iterable[tuple[str, str]]) -> Block:
    """Label and value pairs in two columns; at most ten."""
    cells = [
        {"type": "mrkdwn", "text": clip(f"*{label}*\n{value}", FIELD_MAX)} for label, value in list(pairs)[:FIELDS_MAX]
    ]
    return {"type": "section", "fields": cells}


def context(*texts: str) -> Block:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": clip(text, FIELD_MAX)} for text in texts[:10]]}


def divider() -> Block:
    return {"type": "divider"}


def button(
    text: str, action: str, value: str, *, style: str | None = None, confirm: tuple[str, str, str] | None = None
) -> Block:
    """A button. `action` is noun.verb and unique in its message; `confirm` is (title, sentence, yes-label)."""
    block: Block = {
        "type": "button",
        "action_id": action,
        "value": value,
        "text": {"type": "plain_text", "text": clip(text, BUTTON_TEXT_MAX), "emoji": True},
    }
    if style is not None:
        block["style"] = style
    if confirm is not None:
        title, sentence, yes = confirm
        block["confirm"] = {
            "title": {"type": "plain_text", "text": clip(title, 100)},
            "text": {"type": "mrkdwn", "text": clip(sentence, 300)},
            "confirm": {"type": "plain_text", "text": clip(yes, 30)},
            "deny": {"type": "plain_text", "text": "Not now"},
        }
    return block


def actions(buttons: Sequence[Block]) -> Block:
    return {"type": "actions", "elements": list(buttons)[:25]}


def time(at: datetime, form: str = "{date_short_pretty} {time}") -> str:
    """A moment in the reader's own zone; UTC where Slack cannot tell."""
    return f"<!date^{int(at.timestamp())}^{form}|{at:%Y-%m-%d %H:%M} UTC>"


def count(number: int, noun: str, plural: str | None = None) -> str:
    """`1 recipient`, `2,000 recipients`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def some(number: int) -> str:
    """`none`, `1`, `2,000`."""
    return f"{number:,}" if number else "none"


def aligned(numbers: Sequence[int]) -> list[str]:
    """Figures under each other, the last digits in line: for a column in code, where all characters are as wide."""
    texts = [f"{number:,}" for number in numbers]
    width = max(map(len, texts), default=0)
    return [text.rjust(width) for text in texts]


def bar(done: int, total: int, width: int = 20) -> str:
    """A progress bar in text, with the percentage rounded down, so that 100 % means all."""
    share = done / total if total else 1.0
    full = int(share * width)
    return f"{'█' * full}{'░' * (width - full)} {int(share * 100)} %"
