"""Numbers, lists and moments as sentences say them."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

_DATE = re.compile(r"<!date\^[^|<>]*\|([^<>]*)>")
_STAGES = {"dns": "DNS", "ehlo": "EHLO", "starttls": "STARTTLS", "auth": "AUTH", "mail": "MAIL FROM", "rcpt": "RCPT TO"}
_HALF_A_DAY = timedelta(hours=12)  # nearer than that a time alone is clear on every clock


def joined(words: Sequence[str], last_word: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last_word} {words[-1]}"


def number(count: int, noun: str) -> str:
    """`1 recipient`, `1,240 recipients`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def stage_name(stage: str) -> str:
    """A stage of SMTP by the name of its command, as `STARTTLS`; the others are words of everybody."""
    return _STAGES.get(stage, stage)


def moment(at: datetime, now: datetime) -> str:
    """`03:12`, with the date when it is half a day away or more: `03:12 on May 3, 2026`; on the reader's own clock.

    That is Slack's markup for dates, which the terminal reads as well; what reads neither shows UTC:
    https://docs.slack.dev/messaging/formatting-message-text/#date-formatting
    """
    near = abs(at - now) < _HALF_A_DAY
    return _dated(at, "{time}" if near else "{time} on {date_short}", "%H:%M" if near else "%H:%M on %Y-%m-%d")


def to_the_second(at: datetime) -> str:
    """`03:12:45` on the reader's own clock, as `moment`."""
    return _dated(at, "{time_secs}", "%H:%M:%S")


def _dated(at: datetime, form: str, fallback: str) -> str:
    return f"<!date^{int(at.timestamp())}^{form}|{at.astimezone(UTC):{fallback}} UTC>"


def in_utc(text: str) -> str:
    """A sentence whose dates stand as their fallbacks say them, which name UTC: where nobody reads Slack's markup."""
    return _DATE.sub(lambda found: found[1], text)


def few(words: Sequence[str], most: int = 8) -> str:
    """As `joined`, but of a long list only the first ones: `a, b, c and 9 more`."""
    more = len(words) - most
    return joined([*words[:most], f"{more:,} more"] if more > 0 else words)
