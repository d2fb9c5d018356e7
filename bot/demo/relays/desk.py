"""What the sessions of one relay share: how it introduces itself, its faults, and what it has taken."""

import asyncio
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from pathlib import Path
from typing import Protocol

from bot.clock import now
from bot.demo.relays.faults import Faults
from bot.demo.relays.truth import Received, TruthLog

_HEADER = {
    name: re.compile(rb"^" + name.encode() + rb":[ \t]*(.*(?:\r\n[ \t].*)*)", re.IGNORECASE | re.MULTILINE)
    for name in ("message-id", "subject")
}


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What a relay offers. `size` in octets. With `tls`, AUTH is offered only once the line is encrypted.

    `expired_tls` is shown instead of `tls` while that is the fault; without it the fault changes nothing.
    """

    name: str = "relay"
    pipelining: bool = True
    chunking: bool = False
    smtputf8: bool = True
    size: int = 35 * 1024 * 1024
    tls: ssl.SSLContext | None = None
    implicit_tls: bool = False
    expired_tls: ssl.SSLContext | None = None
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    keep_messages: bool = True
    keep_bodies: bool = False

    def __post_init__(self) -> None:
        if self.implicit_tls and not self.tls:
            raise ValueError("a relay that speaks TLS from the first octet needs an ssl context")


class Guest(Protocol):
    """An open connection, as the relay sees it."""

    def abort(self, *, reset: bool) -> None: ...

    def dismiss(self, code: int, text: str) -> None: ...


class Desk:
    """Raises OSError from `accept` when the truth log cannot be written."""

    def __init__(self, profile: Profile, log: Path | None) -> None:
        self.profile = profile
        self.faults = Faults()
        self.guests: set[Guest] = set()
        self.messages: list[Received] = []
        self._log = TruthLog(log) if log else None
        self.count = self._log.count if self._log else 0
        self._waiters: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    def join(self, guest: Guest) -> None:
        self.guests.add(guest)
        self._wake()

    def leave(self, guest: Guest) -> None:
        self.guests.discard(guest)
        self._wake()

    def accept(self, mail_from: str, recipients: tuple[str, ...], body: bytes) -> None:
        """Writes the message down; only then may the session answer 250."""
        head = body[: body.find(b"\r\n\r\n") + 2]
        received = Received(
            recipients=recipients,
            mail_from=mail_from,
            message_id=_header(head, "message-id"),
            subject=_header(head, "subject"),
            size=len(body),
            at=now(),
            server=self.profile.name,
            raw=body if self.profile.keep_bodies else None,
        )
        if self._log:
            self._log.append(received)
        if self.profile.keep_messages:
            self.messages.append(received)
        self.count += 1
        self._wake()

    async def until(self, reached: Callable[[], bool], within: timedelta) -> None:
        """Returns once `reached()` is true; raises TimeoutError when that takes longer than `within`."""
        if reached():
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = (reached, woken)
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(within.total_seconds()):
                await woken
        finally:
            self._waiters.remove(waiter)

    def close(self) -> None:
        if self._log:
            self._log.close()

    def _wake(self) -> None:
        for reached, woken in self._waiters:
            if not woken.done() and reached():
                woken.set_result(None)


def _header(head: bytes, name: str) -> str:
    found = _HEADER[name].search(head)
    if not found:
        return ""
    text = found[1].replace(b"\r\n", b"").strip().decode("utf-8", "replace")
    if "=?" not in text:
        return text
    try:
        return str(make_header(decode_header(text)))
    except (HeaderParseError, LookupError, UnicodeError):
        return text
