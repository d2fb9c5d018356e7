"""One entry of the timeline, as a reply in a thread; and the safe form of text that people and servers wrote."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from bot.bidi import untwisted
from bot.slack.blocks import View, clip, literal, section, time
from storage.models import Timeline

# A person's mention and a date are ours to keep; a call of the whole channel is nobody's.
_KEPT = re.compile(r"(<@[UW][A-Z0-9]+>|<!date\^[^<>]*>)", re.ASCII)
_GROUP = re.compile(r"<!subteam\^S[A-Z0-9]+>", re.ASCII)
_NOTIFICATION_MAX = 500


def safe(text: str) -> str:
    """Escape all markup but mentions of persons and dates: a timeline's sentence has our words and theirs."""
    parts = _KEPT.split(untwisted(text))
    return "".join(part if index % 2 else literal(part) for index, part in enumerate(parts))


def holder(name: str) -> str:
    """Who has a role, as bot/access.py names them. Only the settings say that, so a user group may be called."""
    return name if _GROUP.fullmatch(name) else safe(name)


def entry(row: Timeline) -> View:
    """What happened, in the words in which it was written down."""
    text = safe(row.text)
    return View(clip(text, _NOTIFICATION_MAX), [section(text)])


def burst(lines: Sequence[tuple[datetime, str]]) -> View:
    """Several entries as one message: when each happened, and its text as `entry` shows it, oldest first."""
    one_day = len({at.astimezone(UTC).date() for at, _ in lines}) == 1
    form = "{time}" if one_day else "{date_short_pretty} {time}"
    told = "\n".join(f"*{time(at, form)}*  {text}" for at, text in lines)
    newest = f"{len(lines)} entries, the last: {lines[-1][1]}"
    return View(clip(newest, _NOTIFICATION_MAX), [section(told)])
