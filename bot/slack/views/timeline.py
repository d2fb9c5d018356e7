"""One entry of the timeline, as a reply in a thread; and the safe form of text that people and servers wrote."""

import re

from bot.bidi import untwisted
from bot.slack.blocks import View, clip, literal, section
from storage.models import Timeline

# A person's mention and a date are ours to keep; a call of the whole channel is nobody's.
_KEPT = re.compile(r"(<@[UW][A-Z0-9]+>|<!date\^[^<>]*>)", re.ASCII)
_NOTIFICATION_MAX = 500


def safe(text: str) -> str:
    """Escape all markup but mentions of persons and dates: a timeline's sentence has our words and theirs."""
    parts = _KEPT.split(untwisted(text))
    return "".join(part if index % 2 else literal(part) for index, part in enumerate(parts))


def entry(row: Timeline) -> View:
    """What happened, in the words in which it was written down."""
    text = safe(row.text)
    return View(clip(text, _NOTIFICATION_MAX), [section(text)])
