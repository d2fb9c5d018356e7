"""A report: what somebody else says of one delivery, whatever it was read from.

It is about a delivery when it carries that delivery's Message-ID. The part before the @ is a keyed hash of the
address under the message's own random key (bot/mail/composing.py), 160 bits of it: nobody can make one up for
somebody else's address, so a report with a Message-ID that fits needs no other proof of where it comes from.
Nothing else in a bounce is proof of anything: anybody can write one.
"""

import re
from collections.abc import Callable, Container
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from bot.mail.composing import stable_message_id
from bot.mail.replies import Judgement, Reply, Stage, judge
from storage.models import ReportKind

_OURS: Final = re.compile(r"<?([0-9a-f]{40})@[^<>@\s]+>?")
_TRACKED_AT_MOST: Final = 100_000
_WORDS_MAX: Final = 400


@dataclass(frozen=True, slots=True)
class Report:
    """One sentence about one delivery.

    `token` is the part of its Message-ID before the @. `recipients` are the addresses that may be its own, as the
    source names them; forwarding may have added others. `campaign` is its name where the source tells, `link` the
    token of its unsubscribe link, which leads there where the addresses were blacked out. `code` and `words` are the
    last server's reply, an enhanced status code first where there is one; `stage` says to what.
    """

    token: str
    kind: ReportKind
    words: str
    recipients: tuple[str, ...] = ()
    campaign: str = ""
    code: int | None = None
    stage: Stage = Stage.dot
    at: datetime | None = None
    link: str = ""

    @property
    def judgement(self) -> Judgement:
        """What the refusal means, by the table of bot/mail/replies.py. Without a code of its class it is no more than
        a refusal.
        """
        plain = 451 if self.kind == ReportKind.GAVE_UP else 550
        fits = self.code is not None and self.code // 100 == plain // 100
        return judge(self.stage, Reply(self.code if self.code and fits else plain, self.words))


def token_of(message_id: str) -> str | None:
    """The part that proves it, of a Message-ID with or without its brackets; None when it cannot be ours."""
    found = _OURS.fullmatch(message_id.strip())
    return found[1] if found else None


def token_for(key: str, email: str) -> str:
    """What the Message-ID of a message with this key (hex) begins with, for this recipient's normalised address."""
    return stable_message_id(bytes.fromhex(key), email, "x")[1:41]


def tidy(words: str) -> str:
    """What a server said, on one line, without what no line can show, and not too long."""
    clean = " ".join("".join(char if char.isprintable() else " " for char in words).split())
    return clean if len(clean) <= _WORDS_MAX else clean[: _WORDS_MAX - 1] + "…"


def kind_of(code: int | None, enhanced: str) -> ReportKind:
    """Whether a server that tries no more was refused for good, or put off for too long.

    The enhanced code has the word where the reply itself has none (RFC 3463, section 3).
    """
    first = str(code)[0] if code else enhanced[:1]
    return ReportKind.GAVE_UP if first == "4" else ReportKind.BOUNCED


@dataclass(slots=True)
class Queued:
    """A message in a server's queue: whose it is, and what its log has said of it so far."""

    token: str
    recipient: str = ""
    accepted: bool = False
    code: int | None = None
    words: str = ""


class Queue:
    """Which of a server's queue ids are messages of ours, while its log is read.

    `when` turns the time of a line into a moment. Those that are looked for (`wanted`) are kept until they have left
    the server. Of the others, which matter only if they bounce, the oldest are forgotten, so that a log of any length
    needs little memory.
    """

    def __init__(self, wanted: Container[str], when: Callable[[str], datetime | None]) -> None:
        self.wanted = wanted
        self._when = when
        self._wanted: dict[str, Queued] = {}
        self._others: dict[str, Queued] = {}

    def add(self, queue_id: str, token: str) -> Queued:
        queued = Queued(token)
        if token in self.wanted:
            self._wanted[queue_id] = queued
            return queued
        self._others[queue_id] = queued
        if len(self._others) > _TRACKED_AT_MOST:
            del self._others[next(iter(self._others))]
        return queued

    def get(self, queue_id: str) -> Queued | None:
        return self._wanted.get(queue_id) or self._others.get(queue_id)

    def drop(self, queue_id: str) -> None:
        """It has left the server."""
        self._others.pop(queue_id, None)
        self._wanted.pop(queue_id, None)

    def report(
        self,
        queued: Queued,
        kind: ReportKind,
        words: str,
        at: str,
        *,
        code: int | None = None,
        stage: Stage = Stage.dot,
    ) -> Report | None:
        """A report; `at` is as the line has it. None where it says what the ledger knows anyway, of a delivery that
        nobody looks for.
        """
        good = kind in {ReportKind.ACCEPTED, ReportKind.DELIVERED}
        if good and queued.token not in self.wanted:
            return None
        recipients = (queued.recipient,) if queued.recipient else ()
        return Report(queued.token, kind, tidy(words), recipients, code=code, stage=stage, at=self._when(at))
