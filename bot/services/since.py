"""Moments that have gone by, as people type them after `since`: 2h, yesterday, 14:30, 2026-03-01."""

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from bot.errors import BadInputError
from bot.services.when import parse_duration, zone_of

_EXAMPLES = "Write it like 2h, yesterday, monday, 14:30, 2026-03-01 or 2026-03-01 02:00."
_FORM = re.compile(r"(?P<day>\d{4}-\d{2}-\d{2}|[a-z]+)?(?:[ t]?(?P<clock>\d{1,2}:\d{2})(?::\d{2})?)?", re.IGNORECASE)
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_TYPED_MAX = 100


def parse_since(text: str, zone: str, now: datetime) -> datetime:
    """The past moment that `text` means to a person in the IANA zone `zone`, in UTC; a day alone is its beginning.

    A zone at the end overrides theirs. An hour that comes twice as the clocks change is its first. Raises
    BadInputError for what is no time, or has yet to come.
    """
    typed = " ".join(text.split()).strip(" .,")
    if not typed or len(typed) > _TYPED_MAX:
        raise BadInputError(f"Since when? {_EXAMPLES}")
    ago = re.sub(r"\s+ago$", "", typed, flags=re.IGNORECASE)
    if re.fullmatch(r"\d.*[a-z]", ago, re.IGNORECASE) and not re.match(r"\d{4}-|\d{1,2}:", ago):
        return now.astimezone(UTC) - parse_duration(ago)
    here = ZoneInfo(zone_of(typed, zone))
    moment = _moment(typed, here, now.astimezone(here))
    if moment > now:
        raise BadInputError(f"“{typed}” has yet to come. {_EXAMPLES}")
    return moment


def _moment(typed: str, zone: ZoneInfo, here: datetime) -> datetime:
    bare = re.sub(r"(?<=\d)Z$|\s+(?:UTC|GMT|Z|[A-Za-z_]+/[A-Za-z_/+-]+)$", "", typed, flags=re.IGNORECASE)
    form = _FORM.fullmatch(bare)
    if form is None or not (form["day"] or form["clock"]):
        raise BadInputError(f"“{typed}” is no time that I understand. {_EXAMPLES}")
    clock = _clock(typed, form["clock"])
    day = _day(typed, form["day"], here) if form["day"] else here.date()
    moment = datetime.combine(day, clock, zone)
    if not form["day"] and moment > here:  # 23:00, said at 01:00, was last night
        moment = datetime.combine(day - timedelta(days=1), clock, zone)
    return moment.astimezone(UTC)


def _clock(typed: str, text: str | None) -> time:
    hours, _, minutes = (text or "0:00").partition(":")
    try:
        return time(int(hours), int(minutes))
    except ValueError:
        raise BadInputError(f"“{typed}” has no such time of the day. {_EXAMPLES}") from None


def _day(typed: str, text: str, here: datetime) -> date:
    word = text.casefold()
    if word in {"today", "yesterday"}:
        return here.date() - timedelta(days=word == "yesterday")
    if len(word) > 2 and (named := [number for number, name in enumerate(_DAYS) if name.startswith(word)]):
        return here.date() - timedelta(days=(here.weekday() - named[0]) % 7)
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadInputError(f"“{typed}” names no day that I know. {_EXAMPLES}") from None
