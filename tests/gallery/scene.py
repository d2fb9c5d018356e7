"""A scene of the gallery: one message, modal or home tab in one state, and the text that stands for it."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, TypeVar

from bot.demo.fakeslack import block_problems, view_problems
from bot.demo.fakeslack.limits import MESSAGE_SIZE, UPDATE_TEXT, text_size
from bot.slack.blocks import View
from bot.slack.plain import mrkdwn, plain
from tests.gallery.things import NAMES

T = TypeVar("T")
Payload = Mapping[str, Any]
"""A modal or a home tab, as views.open and views.publish take it."""
Scenes = Mapping[str, Callable[[], View | Payload]]
"""What is shown, in words -> how it is drawn."""


def each(title: str, view: Callable[[T], View | Payload], states: Mapping[str, T]) -> Scenes:
    """One scene for each of the states, all drawn by the same view."""
    return {f"{title}: {name}": partial(view, state) for name, state in states.items()}


def problems(shown: View | Payload) -> list[str]:
    """What Slack would refuse, and what a screen reader or a phone would miss."""
    if not isinstance(shown, View):
        return view_problems(shown)
    found = block_problems(shown.blocks)
    if text_size(shown.blocks) >= MESSAGE_SIZE:
        found.append("the message is longer than Slack takes")
    if not shown.text.strip() or len(shown.text) > UPDATE_TEXT:
        found.append(f"the text beside the blocks has {len(shown.text)} characters")
    return found


def text_of(shown: View | Payload) -> str:
    """What a phone shows, what stands in the channel, and what each button asks before it acts."""
    if not isinstance(shown, View):
        return plain(shown, resolve=NAMES.get)
    phone = mrkdwn(shown.text, resolve=NAMES.get)
    body = plain(shown.blocks, resolve=NAMES.get) if shown.blocks else ""
    return "\n".join(part for part in (f"(phone) {phone}", body, *questions(shown)) if part)


def questions(shown: View | Payload) -> Iterator[str]:
    """What each button of a message asks before it acts."""
    for block in shown.blocks if isinstance(shown, View) else []:
        for each in block.get("elements", []):
            if ask := each.get("confirm"):
                title, sentence = ask["title"]["text"], mrkdwn(ask["text"]["text"], resolve=NAMES.get)
                answers = f"[{ask['confirm']['text']}] [{ask['deny']['text']}]"
                yield f"({each['text']['text']} asks) {title} {sentence} {answers}"
