"""Times and durations as people type them. Everything that could be meant in two ways is refused."""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import dateparser
from timelength import TimeLength

from bot.errors import BadInputError
from bot.services.words import number

_EXAMPLES = "Write it like 14:30, tomorrow 02:00, 2026-03-30 02:00 or in 30 min."
_DURATIONS = "Write it like 90 min, 2h or 1h 30m."
_LONGEST = timedelta(days=366)
_TYPED_MAX = 100

_TWO_WAYS = re.compile(
    r"(?<![\d:])\d{1,2}[/.-]\d{1,2}[/.-](\d{4}|\d{2})(?!\d)|(?<![\d:/.-])\d{1,2}[/-]\d{1,2}(?![\d/.-])"
)
_CLOCK = re.compile(r"\b\d{1,2}:\d{2}(:\d{2})?\s*([ap]\.?m\.?)?|\b\d{1,2}\s*[ap]\.?m\b\.?", re.IGNORECASE)
_ISO_T = re.compile(r"(\d{4}-\d{2}-\d{2})t(\d{2}:\d{2})", re.IGNORECASE)
_OFFSET = re.compile(r"\s*([+-]\d{2}:?\d{2})$")
_RELATIVE = re.compile(r"^(?:in\s+(?P<a>.+)|(?P<b>.+?)\s+from\s+now|\+\s*(?P<c>.+))$", re.IGNORECASE)
_KNOWN = """
    today tomorrow tonight day after next this at on of the am pm a.m. p.m. a.m p.m st nd rd th
    mon monday tue tues tuesday wed wednesday thu thur thurs thursday fri friday sat saturday sun sunday
    jan january feb february mar march apr april may jun june jul july aug august sep sept september
    oct october nov november dec december
"""
_WORDS = frozenset(_KNOWN.split())
_UNITS = (
    (r"\b(an|one)\s+hour\s+and\s+a\s+half\b", "90 minutes"),
    (r"\b(\d+)\s*h\s*(\d{1,2})$", r"\1 h \2 min"),
)


def parse_when(text: str, zone: str, now: datetime) -> datetime:
    """The coming moment that `text` means to a person in the IANA zone `zone`, in UTC.

    A zone at the end (`02:00 UTC`, `02:00 Europe/Madrid`) overrides theirs. Raises BadInputError for what is no
    time, has gone by, has no clock time, or can be meant in two ways: 01/02, an hour that comes twice or never
    as the clocks change.
    """
    typed = " ".join(text.split()).strip(" .,")
    if not typed:
        raise BadInputError(f"There is no time. {_EXAMPLES}")
    if len(typed) > _TYPED_MAX:
        raise BadInputError(f"That is too long for a time. {_EXAMPLES}")
    if typed.lower() == "now":
        return now.astimezone(UTC)
    relative = _RELATIVE.match(typed)
    if relative:
        return now.astimezone(UTC) + parse_duration(relative["a"] or relative["b"] or relative["c"])
    if length := _as_length(typed):
        return now.astimezone(UTC) + length
    return _clock_time(typed, *_split_zone(typed, zone), now)


def parse_duration(text: str) -> timedelta:
    """A length of time as people type it. Raises BadInputError for one without a unit, or with anything left over."""
    typed = " ".join(text.split()).strip(" .,")
    shown = typed[:_TYPED_MAX]
    if not typed:
        raise BadInputError(f"There is no duration. {_DURATIONS}")
    plain = typed.lower()
    for pattern, replacement in _UNITS:
        plain = re.sub(pattern, replacement, plain)
    if len(typed) > _TYPED_MAX or re.search(r"[:+-]|\d[/]\d", plain) or not re.search(r"[a-z]", plain):
        raise BadInputError(f'"{shown}" is not a duration I understand. {_DURATIONS}')
    parsed = _parsed(plain)
    if parsed is None or not parsed.result.success or parsed.result.invalid or re.fullmatch(r"[a-z]+", plain):
        raise BadInputError(f'"{shown}" is not a duration I understand. {_DURATIONS}')
    length = parsed.result.delta
    if length is None or length > _LONGEST:
        raise BadInputError(f'"{shown}" is longer than a year. {_DURATIONS}')
    if length <= timedelta(0):
        raise BadInputError(f'"{shown}" is no time at all. {_DURATIONS}')
    return length


def _parsed(plain: str) -> TimeLength | None:
    """None for what timelength reads as a number and stumbles over: `inf`, `nan`, and the same with accents."""
    try:
        return TimeLength(plain)
    except (OverflowError, ValueError):
        return None


def zone_of(text: str, zone: str) -> str:
    """The IANA zone in which `parse_when` reads `text` for a person in `zone`. Raises BadInputError for no zone."""
    return _split_zone(" ".join(text.split()).strip(" .,"), zone)[1].key


def lasting(length: timedelta) -> str:
    """How a message says a length of time: `45 s`, `12 min`, `3 h 20 min`, `2 days 3 h`."""
    seconds = max(0, round(length.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    minutes = seconds // 60
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{number(days, 'day')} {hours} h" if hours else number(days, "day")


def _as_length(typed: str) -> timedelta | None:
    """The length, when a time is typed as nothing but one: `2h` is in two hours."""
    try:
        return parse_duration(typed)
    except BadInputError:
        return None


def _split_zone(typed: str, zone: str) -> tuple[str, ZoneInfo]:
    """The text without the zone at its end, and the zone in force."""
    words = typed.split(" ")
    last = words[-1]
    if last.upper() in {"UTC", "GMT", "Z"}:
        return " ".join(words[:-1]), ZoneInfo("UTC")
    if re.fullmatch(r"\d.*:\d{2}Z", last, re.IGNORECASE):
        return typed[:-1], ZoneInfo("UTC")
    if "/" in last and last[0].isalpha():
        return " ".join(words[:-1]), _zone(last)
    return typed, _zone(zone)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadInputError(f'I do not know the time zone "{name}". Write UTC, or a name like Europe/Madrid.') from None


def _clock_time(typed: str, bare: str, zone: ZoneInfo, now: datetime) -> datetime:
    plain = _ISO_T.sub(r"\1 \2", bare.lower()).replace("noon", "12:00").replace("midnight", "00:00")
    _refuse_unclear(typed, plain)
    here = now.astimezone(zone).replace(tzinfo=None)
    meant = dateparser.parse(plain, languages=["en"], settings={"PREFER_DATES_FROM": "future", "RELATIVE_BASE": here})
    if meant is None or meant.tzinfo is not None:
        raise BadInputError(f'"{typed}" is not a time I understand. {_EXAMPLES}')
    moment = _in_zone(typed, meant, zone)
    if moment <= now:
        raise BadInputError(f'"{typed}" has gone by already ({meant:%A %d %B %Y %H:%M}). Write a time to come.')
    if moment - now > _LONGEST:
        raise BadInputError(f'"{typed}" is more than a year away. Write a nearer time.')
    return moment


def _refuse_unclear(typed: str, plain: str) -> None:
    if _TWO_WAYS.search(plain) and not re.search(r"\d{4}-\d{2}-\d{2}", plain):
        raise BadInputError(f'"{typed}" can be read as two dates. Write the month as a word, or like 2026-03-30 02:00.')
    if _OFFSET.search(plain) and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", plain):
        raise BadInputError(
            f'"{typed}" has an offset I do not use. Write UTC, or a zone like Europe/Madrid, at the end.'
        )
    clocks = _CLOCK.findall(plain)
    if len(clocks) > 1:
        raise BadInputError(f'"{typed}" names two times. {_EXAMPLES}')
    rest = _CLOCK.sub(" ", re.sub(r"\d{4}-\d{2}-\d{2}", " ", plain))
    unknown = [word for word in re.findall(r"[^\s\d,]+", rest) if word not in _WORDS]
    if unknown:
        raise BadInputError(f'"{typed}" is not a time I understand: "{unknown[0]}" is no word of a time. {_EXAMPLES}')
    if not clocks:
        raise BadInputError(f'"{typed}" has no clock time. {_EXAMPLES}')


def _in_zone(typed: str, meant: datetime, zone: ZoneInfo) -> datetime:
    """`meant` on the clocks of `zone`, in UTC; refused when it comes twice or never there."""
    first = meant.replace(tzinfo=zone).astimezone(UTC)
    second = meant.replace(tzinfo=zone, fold=1).astimezone(UTC)
    if first == second:
        return first
    local = f"{meant:%H:%M} on {meant:%d %B %Y} in {zone.key}"
    if first.astimezone(zone).replace(tzinfo=None) != meant:
        raise BadInputError(
            f'"{typed}" never comes: {local} is skipped, as the clocks go forward. '
            f"Write {second.astimezone(zone):%H:%M} or {first.astimezone(zone):%H:%M}."
        )
    raise BadInputError(
        f'"{typed}" comes twice: {local}, as the clocks go back. '
        f"Write {first:%Y-%m-%d %H:%M} UTC or {second:%Y-%m-%d %H:%M} UTC."
    )
