"""One SMTP connection for the probe: whole replies, in bounds, from a server that may do anything.

Written here because a client library hides the stage at which a server failed.
"""

import asyncio
import re
import ssl
from dataclasses import dataclass
from typing import cast

# RFC 5321 allows 512 octets a reply line; servers exceed it, but none needs these.
LINE_LIMIT = 2048
LINES_LIMIT = 100
TEXT_LIMIT = 300

_LINE = re.compile(rb"([2-5]\d\d)([ -]|$)(.*)", re.DOTALL)
_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s+|$)")


class ReplyError(Exception):
    """What came is no SMTP reply; the message is the sentence's middle, without the server's name."""


@dataclass(frozen=True)
class Answer:
    """A whole reply. `lines` are without code, as they came; `text` is fit for people."""

    code: int
    lines: tuple[str, ...]

    @property
    def enhanced(self) -> str | None:
        """The code of RFC 3463, when there is one and its class agrees with the reply's."""
        found = _ENHANCED.match(self.lines[0])
        return found[1] if found and found[1][0] == str(self.code)[0] else None

    @property
    def text(self) -> str:
        """The lines in one, without the enhanced code that each of them repeats."""
        enhanced = self.enhanced
        parts = [line.removeprefix(enhanced) if enhanced else line for line in self.lines]
        return printable(" ".join(parts))


def printable(text: str) -> str:
    """Without control, format and other invisible characters, on one line, and cut at TEXT_LIMIT."""
    visible = "".join(sign if sign.isprintable() else " " for sign in text[: TEXT_LIMIT * 4])
    short = " ".join(visible.split())
    return short if len(short) <= TEXT_LIMIT else short[: TEXT_LIMIT - 1] + "…"


class Conversation(asyncio.Protocol):
    """Commands out, replies in. Raises ConnectionError when the server ends it, ReplyError when it babbles."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._arrived = asyncio.Event()
        self._ended: ConnectionError | None = None
        self._transport: asyncio.Transport | None = None
        self._plain: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = self._plain = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) > LINE_LIMIT * LINES_LIMIT and self._transport:
            self._transport.pause_reading()
        self._arrived.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = ConnectionResetError() if exc else ConnectionAbortedError()
        self._arrived.set()

    def write(self, command: bytes) -> None:
        if self._transport and not self._transport.is_closing():
            self._transport.write(command + b"\r\n")

    async def answer(self) -> Answer:
        """The next reply, read whole."""
        code = 0
        lines: list[str] = []
        while len(lines) < LINES_LIMIT:
            line = await self._line()
            found = _LINE.fullmatch(line)
            if not found or (lines and int(found[1]) != code):
                raise ReplyError(f"an answer that is not SMTP (“{printable(_decoded(line[:80]))}”)")
            code = int(found[1])
            lines.append(_decoded(found[3]))
            if found[2] != b"-":
                return Answer(code, tuple(lines))
        raise ReplyError(f"an answer of more than {LINES_LIMIT} lines")

    async def encrypt(self, context: ssl.SSLContext, server_name: str) -> ssl.SSLObject:
        """Raises ssl.SSLError, ConnectionError, or ReplyError when something was said before the handshake."""
        if self._buffer:
            # RFC 3207: what came in the clear must not be taken for something said under TLS.
            raise ReplyError("something in the clear where TLS should begin,")
        if self._ended or not self._transport:
            raise self._ended or ConnectionAbortedError
        loop = asyncio.get_running_loop()
        transport = await loop.start_tls(
            self._transport, self, context, server_hostname=server_name, ssl_shutdown_timeout=1.0
        )
        if transport is None:
            raise ConnectionAbortedError
        self._transport = transport
        return cast("ssl.SSLObject", transport.get_extra_info("ssl_object"))

    def abort(self) -> None:
        """Closes the socket at once, whatever state the conversation is in."""
        for transport in (self._transport, self._plain):
            if transport:
                transport.abort()

    async def _line(self) -> bytes:
        while (end := self._buffer.find(b"\n", 0, LINE_LIMIT + 2)) < 0:
            if len(self._buffer) > LINE_LIMIT:
                raise ReplyError("an answer whose line does not end")
            if self._ended:
                raise self._ended
            self._arrived.clear()
            await self._arrived.wait()
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line.removesuffix(b"\r")


def _decoded(line: bytes) -> str:
    return line.decode("utf-8", "replace")
