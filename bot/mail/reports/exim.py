"""Exim's main log: `<=` is a message that it has taken and stored, `=>` one passed on, `**` one given back.

https://www.exim.org/exim-html-current/doc/html/spec_html/ch-log_files.html
"""

import re
from typing import Final

from bot.mail.replies import Stage
from bot.mail.reports.report import Queue, Queued, Report, kind_of, token_of
from storage.models import ReportKind

_LINE: Final = re.compile(
    r"(?P<at>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?(?: [+-]\d{4})?) (?:\[\d+\] )?"
    r"(?P<queue>\w{6}-\w{6,11}-\w{2,4}) (?P<mark><=|=>|->|>>|\*\*|==|Completed)(?: (?P<rest>.*))?"
)
_PREFIX_MAX: Final = 100
_MESSAGE_ID: Final = re.compile(r" id=(\S+)")
# `anna <anna@example.com>` where Exim has rewritten the address, else the address alone.
_ADDRESS: Final = re.compile(r"(?:[^\s<>]+ )?<(?P<original>[^<>\s]+)>|(?P<plain>[^\s<>:]+)")
_SAID: Final = re.compile(
    r"after (?P<command>initial connection|MAIL FROM|RCPT TO|DATA|end of data)[^:]*(?::<[^>]*>)?[^:]*: "
    r"(?P<code>[45]\d\d)[ -](?P<words>.*)$"
)
_STAGES: Final = {
    "initial connection": Stage.greeting,
    "MAIL FROM": Stage.mail,
    "RCPT TO": Stage.rcpt,
    "DATA": Stage.data,
    "end of data": Stage.dot,
}
_CONFIRMED: Final = re.compile(r' C="([^"]*)"')
_TRIED_FOR_TOO_LONG: Final = re.compile(r"retry timeout exceeded|retry time not reached for any host after a long")


class EximLog:
    """Reads one line after the other."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def read(self, line: str) -> Report | None:
        found = _LINE.match(line)
        if found is None and " exim[" in line[:_PREFIX_MAX]:
            found = _LINE.match(line.partition("]: ")[2])  # by way of syslog
        if found is None:
            return None
        queue_id, mark, rest = found["queue"], found["mark"], found["rest"] or ""
        if mark == "<=":
            return self._taken(queue_id, rest, found["at"])
        queued = self._queue.get(queue_id)
        if queued is None:
            return None
        if mark == "Completed":
            self._queue.drop(queue_id)
            return None
        address = _ADDRESS.match(rest)
        queued.recipient = (address["original"] or address["plain"]) if address else ""
        if mark == "**":
            return self._given_back(queued, rest, found["at"])
        if mark == "==":
            return None
        confirmed = _CONFIRMED.search(rest)
        words = confirmed[1] if confirmed else f"Exim has passed it on: {rest}"
        return self._queue.report(queued, ReportKind.DELIVERED, words, found["at"])

    def _taken(self, queue_id: str, rest: str, at: str) -> Report | None:
        named = _MESSAGE_ID.search(rest)
        token = token_of(named[1]) if named else None
        if token is None:
            return None
        queued = self._queue.add(queue_id, token)
        return self._queue.report(queued, ReportKind.ACCEPTED, f"Exim has taken it as {queue_id}", at)

    def _given_back(self, queued: Queued, rest: str, at: str) -> Report | None:
        said = _SAID.search(rest)
        if said is not None:
            code, stage = int(said["code"]), _STAGES[said["command"]]
            kind = kind_of(code, "")
            return self._queue.report(queued, kind, said["words"], at, code=code, stage=stage)
        kind = ReportKind.GAVE_UP if _TRIED_FOR_TOO_LONG.search(rest) else ReportKind.BOUNCED
        return self._queue.report(queued, kind, rest.partition(": ")[2] or rest, at)
