"""The words of an SMTP transaction: its limits, its commands, its replies and how it ended."""

import re
import sys
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, NamedTuple

from bot.mail.replies import Reply, Stage

MAX_TEXT: Final = 2000
"""Characters kept of one reply."""

_EIGHT_BIT: Final = " BODY=8BITMIME"
_FORBIDDEN: Final = re.compile("[\x00-\x1f\x7f<>\ud800-\udfff]")
_is_plain: Final = re.compile("[!-;=?-~]+").fullmatch
_CONTROLS: Final = re.compile(r"(?:[^\S\n]|[\x00-\x09\x0b-\x1f\x7f-\x9f])+")


@dataclass(frozen=True, slots=True)
class Limits:
    """How long each stage may take. The defaults are those of RFC 5321 4.5.3.2; it sets none for
    connecting, TLS, login and QUIT.
    """

    dns: timedelta = timedelta(seconds=30)
    connect: timedelta = timedelta(seconds=30)
    greeting: timedelta = timedelta(minutes=5)
    ehlo: timedelta = timedelta(minutes=5)
    starttls: timedelta = timedelta(minutes=1)
    auth: timedelta = timedelta(minutes=1)
    mail: timedelta = timedelta(minutes=5)
    rcpt: timedelta = timedelta(minutes=5)
    data: timedelta = timedelta(minutes=2)
    body: timedelta = timedelta(minutes=3)
    dot: timedelta = timedelta(minutes=10)
    quit: timedelta = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Features:
    """What the server announced after EHLO. `size` in octets: None when not announced, 0 for no limit."""

    pipelining: bool = False
    eight_bit: bool = False
    smtputf8: bool = False
    size: int | None = None
    chunking: bool = False


class Wants(NamedTuple):
    """In which form a connection takes the text of a message."""

    stuffed: bool = True
    """Dots that begin a line are doubled, since a dot ends the message."""
    eight_bit: bool = False
    """The server announces 8BITMIME (RFC 6152)."""


class Result(NamedTuple):
    """How a transaction ended.

    `stage` is where it ended; `reply` the server's answer there, None when the connection was lost,
    timed out or spoke nonsense (`text` then says why). `sent`: the final dot was written. `withheld`:
    who has the messages said no, nothing was sent, the recipient stays queued.
    """

    stage: Stage
    reply: Reply | None
    sent: bool
    text: str = ""
    withheld: bool = False


def clean(text: str) -> str:
    """A reply's text made fit to store and show: printable, lines kept, bounded."""
    return _CONTROLS.sub(" ", text).strip()[:MAX_TEXT]


def read_reply(lines: list[bytes]) -> Reply:
    """A reply from its lines, which all begin with the same three digits."""
    text = b"\n".join(line[4:].strip() for line in lines).decode("utf-8", "replace")
    return Reply(int(lines[-1][:3]), text[:MAX_TEXT] if text.isprintable() else clean(text))


class Envelopes:
    """The commands that announce a message to one server, by what it announced itself."""

    def __init__(self, features: Features) -> None:
        self._features = features
        self._largest = features.size or sys.maxsize
        self._last = "" if features.pipelining and features.chunking else "DATA\r\n"
        self._known: set[str] = set()
        """Senders that need no care."""

    def of(self, sender: str, recipient: str, body: bytes) -> bytes | Result:
        """MAIL, RCPT and, unless the text goes by BDAT, DATA, a line each; or a refusal that needs no server."""
        features, size = self._features, len(body)
        kind = "" if body.isascii() else _EIGHT_BIT
        if sender not in self._known or not _is_plain(recipient) or size > self._largest:
            return self._with_care(sender, recipient, body)
        if kind and not features.eight_bit:
            return self._with_care(sender, recipient, body)
        announced = "" if features.size is None else f" SIZE={size}"
        return f"MAIL FROM:<{sender}>{announced}{kind}\r\nRCPT TO:<{recipient}>\r\n{self._last}".encode()

    def _with_care(self, sender: str, recipient: str, body: bytes) -> bytes | Result:
        features = self._features
        if _FORBIDDEN.search(sender):
            return _refused(Stage.mail, 553, "5.1.7 The sender's address contains characters that SMTP forbids.")
        if _FORBIDDEN.search(recipient) or not recipient:
            return _refused(
                Stage.rcpt, 553, "5.1.3 The recipient's address is empty or contains characters that SMTP forbids."
            )
        if len(body) > self._largest:
            text = (
                f"5.3.4 The message has {len(body):,} bytes, the server takes at most {self._largest:,}. "
                "Make it smaller or raise the server's limit."
            )
            return _refused(Stage.mail, 552, text)
        options = "" if features.size is None else f" SIZE={len(body)}"
        if not body.isascii():
            if not features.eight_bit:
                # RFC 6152 3: without the announcement 8-bit text must not be sent.
                return _refused(
                    Stage.mail, 554, "5.6.3 The message contains 8-bit text, and the server does not announce 8BITMIME."
                )
            options += _EIGHT_BIT
        if not (sender.isascii() and recipient.isascii()):
            if not features.smtputf8:
                return _refused(
                    Stage.mail, 553, "5.6.7 The address is not ASCII, and the server does not announce SMTPUTF8."
                )
            options += " SMTPUTF8"
        elif _is_plain(sender):
            self._known.add(sender)
        return f"MAIL FROM:<{sender}>{options}\r\nRCPT TO:<{recipient}>\r\n{self._last}".encode()


def _refused(stage: Stage, code: int, text: str) -> Result:
    return Result(stage, Reply(code, text), sent=False)


def excerpt(line: bytes) -> str:
    """The beginning of what a server said, quoted for a sentence."""
    return repr(clean(line[:120].decode("utf-8", "replace")))
