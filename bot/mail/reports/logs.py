"""A server's log as a stream: Postfix's or Exim's, in lines of any length, plain or compressed by gzip.

OpenSMTPD's log has no Message-ID in it (its `msgid` is a number of its own), so nothing in it can be told to be
about one of our deliveries.
"""

import gzip
import math
import re
import sys
import zlib
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import BinaryIO, Final, cast

from bot.errors import BadInputError
from bot.mail.reports.exim import EximLog
from bot.mail.reports.postfix import PostfixLog
from bot.mail.reports.report import Queue, Report

_LINE_MAX: Final = 65_536
_GZIP: Final = b"\x1f\x8b"
_WITHOUT_YEAR: Final = re.compile(r"[A-Z][a-z]{2} [ \d]\d [\d:]{8}")
_FORMS: Final = (
    "%Y-%m-%dT%H:%M:%S.%f%z",
    "%Y-%m-%dT%H:%M:%S%z",
    "%Y-%m-%d %H:%M:%S.%f %z",
    "%Y-%m-%d %H:%M:%S %z",
    "%Y-%m-%d %H:%M:%S.%f",
    "%Y-%m-%d %H:%M:%S",
)
_A_DAY: Final = timedelta(days=1)


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The log as octets, unpacked where it is packed; `-` is standard input. Raises BadInputError."""
    try:
        if str(path) == "-":
            yield sys.stdin.buffer
            return
        with path.open("rb") as file:
            packed = file.peek(2)[:2] == _GZIP
            if not packed:
                yield file
                return
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield cast("BinaryIO", unpacked)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInputError(f"{path} is damaged: it cannot be unpacked to its end. Take another copy of it.") from error
    except OSError as error:
        raise BadInputError(f"{path} cannot be read: {error.strerror}. Check its name and its permissions.") from error


class Logs:
    """The logs of one server, read one after the other, the oldest first: a message may come in in one and leave in
    the next.

    Tells all about the tokens of `wanted`, and of the others what came back. `zone` is that of the logs where their
    lines do not say; `at` is now, since syslog's times have no year. Needs the memory of the queue ids of `wanted` and
    of 100,000 others, however long the logs are.
    """

    def __init__(self, wanted: Container[str], zone: tzinfo, at: datetime) -> None:
        queue = Queue(wanted, _clock(zone, at))
        self._readers = (PostfixLog(queue), EximLog(queue))

    def read(self, file: BinaryIO) -> Iterator[Report]:
        """Every report in a log, in its order."""
        while octets := file.readline(_LINE_MAX):
            line = octets.decode("utf-8", "replace").rstrip("\r\n")
            for reader in self._readers:
                report = reader.read(line)
                if report is not None:
                    yield report


def oldest_first(paths: Iterable[Path]) -> list[Path]:
    """By the time of their last line; what cannot be looked at, and standard input, at the end."""

    def written(path: Path) -> float:
        try:
            return path.stat().st_mtime
        except OSError:
            return math.inf

    return sorted(paths, key=written)


def _clock(zone: tzinfo, at: datetime) -> Callable[[str], datetime | None]:
    def when(text: str) -> datetime | None:
        try:
            if _WITHOUT_YEAR.fullmatch(text):
                return _in_the_past(text, zone, at)
            return _aware(text, zone)
        except ValueError:
            return None

    return when


def _in_the_past(text: str, zone: tzinfo, at: datetime) -> datetime:
    """The last time that it was this day and hour: a log tells nothing of the future."""
    year = at.astimezone(zone).year
    # In a leap year, so that February 29 can be read at all.
    parsed = datetime.strptime(f"2024 {text}", "%Y %b %d %H:%M:%S").replace(tzinfo=zone)
    while True:
        try:
            moment = parsed.replace(year=year)
        except ValueError:
            year -= 1
            continue
        if moment <= at + _A_DAY:
            return moment.astimezone(UTC)
        year -= 1


def _aware(text: str, zone: tzinfo) -> datetime | None:
    for form in _FORMS:
        try:
            parsed = datetime.strptime(text, form)  # noqa: DTZ007  the zone is put on below where the text has none
        except ValueError:
            continue
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=zone)).astimezone(UTC)
    return None
