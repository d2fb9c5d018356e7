"""Postfix's log: which of our messages it has queued, passed on, given back.

A line of cleanup with our Message-ID proves nothing yet: it is written while the message still comes in, before the
final dot. Accepted is what the queue manager has active, or what a delivery agent has tried.
https://www.postfix.org/OVERVIEW.html
"""

import re
from typing import Final

from bot.mail.replies import Stage
from bot.mail.reports.report import Queue, Queued, Report, kind_of, token_of
from storage.models import ReportKind

# `Nov 24 11:55:08 mx1 postfix/smtp[812]: 4XyZ: to=<...>`; the name before the slash is a setting (syslog_name).
_LINE: Final = re.compile(
    r"(?:<\d+>)?(?P<at>[A-Z][a-z]{2} [ \d]\d [\d:]{8}|\d{4}-\d\d-\d\dT\S+) \S+ \S+/(?P<daemon>[a-z-]+)\[\d+\]: "
    r"(?P<queue>[0-9A-Za-z]{6,25}): (?P<rest>.*)"
)
_MESSAGE_ID: Final = re.compile(r"(?:resent-)?message-id=(\S+)")
_REFUSED: Final = re.compile(r"(?:milter-)?reject: .*: (?P<enhanced>[45]\.\d+\.\d+) (?P<words>[^;]*)")
_TO: Final = re.compile(
    r"to=<(?P<to>[^>]*)>, (?:orig_to=<(?P<orig>[^>]*)>, )?.*?status=(?P<status>\w+) \((?P<said>.*)\)$"
)
_DSN: Final = re.compile(r"dsn=([245]\.\d+\.\d+)")
_EXPIRED: Final = re.compile(r"from=<[^>]*>, status=(?:force-)?expired")
_SAID: Final = re.compile(
    r" said: (?P<code>[245]\d\d)[ -](?P<words>.*?)(?: \(in reply to (?P<command>[^()]*) command\))?$"
)
_STAGES: Final = {"MAIL FROM": Stage.mail, "RCPT TO": Stage.rcpt, "DATA": Stage.data, "end of DATA": Stage.dot}


class PostfixLog:
    """Reads one line after the other."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def read(self, line: str) -> Report | None:
        found = _LINE.match(line)
        if found is None:
            return None
        queue_id, rest = found["queue"], found["rest"]
        if found["daemon"] == "cleanup":
            return self._cleanup(queue_id, rest, found["at"])
        queued = self._queue.get(queue_id)
        if queued is None:
            return None
        if found["daemon"] == "qmgr":
            return self._manager(queue_id, queued, rest, found["at"])
        return self._agent(queue_id, queued, rest, found["at"])

    def _cleanup(self, queue_id: str, rest: str, at: str) -> Report | None:
        named = _MESSAGE_ID.match(rest)
        if named is not None:
            token = token_of(named[1])
            if token is not None:
                self._queue.add(queue_id, token)
            return None
        queued, refused = self._queue.get(queue_id), _REFUSED.match(rest)
        if queued is None or refused is None:
            return None
        # A milter or a header check said no to the whole message: this was the answer to the final dot.
        self._queue.drop(queue_id)
        words = f"{refused['enhanced']} {refused['words']}"
        return self._queue.report(queued, kind_of(None, refused["enhanced"]), words, at)

    def _manager(self, queue_id: str, queued: Queued, rest: str, at: str) -> Report | None:
        if rest == "removed":
            self._queue.drop(queue_id)
            return None
        if _EXPIRED.match(rest):
            words = queued.words or "4.4.7 Postfix has tried for too long"
            return self._queue.report(queued, ReportKind.GAVE_UP, words, at, code=queued.code)
        return self._accepted(queue_id, queued, at) if rest.endswith("(queue active)") else None

    def _accepted(self, queue_id: str, queued: Queued, at: str) -> Report | None:
        if queued.accepted:
            return None
        queued.accepted = True
        return self._queue.report(queued, ReportKind.ACCEPTED, f"Postfix has queued it as {queue_id}", at)

    def _agent(self, queue_id: str, queued: Queued, rest: str, at: str) -> Report | None:
        told = _TO.match(rest)
        if told is None:
            return None
        queued.recipient = told["orig"] or told["to"]
        said = _SAID.search(told["said"])
        dsn = _DSN.search(rest)
        queued.code = int(said["code"]) if said else None
        queued.words = said["words"] if said else f"{dsn[1] if dsn else ''} {told['said']}".strip()
        stage = _STAGES.get(said["command"] or "", Stage.dot) if said else Stage.dot
        match told["status"]:
            case "sent":
                return self._queue.report(queued, ReportKind.DELIVERED, told["said"], at)
            case "bounced":
                kind = kind_of(queued.code, dsn[1] if dsn else "")
                return self._queue.report(queued, kind, queued.words, at, code=queued.code, stage=stage)
            case _:
                return self._accepted(queue_id, queued, at)
