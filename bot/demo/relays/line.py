"""The line under an SMTP conversation: octets in and replies out, TLS, and every fault a line can have."""

import asyncio
import socket
import ssl
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import cast

from bot.demo.relays.desk import Desk
from bot.demo.relays.faults import Fault

_GUSH = b"x" * 16_384
_GARBAGE = b"\x00this is no handshake\xff" * 8


def lines_of(code: int, text: str) -> bytes:
    """A reply as it goes over the wire; several lines of text make a multi-line reply."""
    parts = text.split("\n")
    marks = ["-"] * (len(parts) - 1) + [" "]
    return "".join(f"{code}{mark}{part}\r\n" for mark, part in zip(marks, parts, strict=True)).encode()


class Line(asyncio.Protocol, ABC):
    """Replies to pipelined commands leave in one write. While `_held`, what comes in only waits.

    What is said on it is the affair of the conversation that inherits from it.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._profile = desk.profile
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._out: list[bytes] = []
        self._held = False
        self._deaf = False
        self._gone = False
        self._secure = False
        self._expired = False
        self._handshake: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._desk.join(self)
        context = self._profile.tls if self._profile.implicit_tls else None
        if context:
            self._at("starttls", lambda: self._encrypt(context, self._greet))
        else:
            self._greet()
        self._advance()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  the signature is asyncio's
        self._leave()

    def data_received(self, data: bytes) -> None:
        if self._deaf or self._gone:
            return
        self._buffer += data
        if not self._held:
            self._advance()

    def abort(self, *, reset: bool) -> None:
        """Ends the connection now; with `reset` the peer sees RST."""
        self._leave()
        if reset:
            plain = self._transport.get_extra_info("socket")
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def dismiss(self, code: int, text: str) -> None:
        """Says something unasked and closes."""
        self._say(lines_of(code, text))
        self._close()

    @abstractmethod
    def _greet(self) -> None:
        """Says the first line of the conversation."""

    @abstractmethod
    def _take(self) -> bool:
        """Takes one command or message out of the buffer; False when there is no whole one yet."""

    @abstractmethod
    def _start_over(self) -> None:
        """Forgets what was said in the clear."""

    def _advance(self) -> None:
        while not (self._held or self._gone) and self._take():
            pass
        self._flush()

    def _say(self, answer: bytes) -> None:
        self._out.append(answer)

    def _flush(self) -> None:
        if self._out and not self._transport.is_closing():
            self._transport.write(b"".join(self._out))
        self._out.clear()

    def _close(self) -> None:
        self._flush()
        self._leave()
        self._transport.close()

    def _leave(self) -> None:
        self._gone = True
        self._desk.leave(self)
        if self._timer:
            self._timer.cancel()
        if self._handshake and self._handshake is not asyncio.current_task():
            self._handshake.cancel()

    def _at(self, stage: str, proceed: Callable[[], None], concerned: Iterable[str] = ()) -> None:
        fault = self._desk.faults.strike(stage, concerned) if self._desk.faults else None
        if fault is None:
            proceed()
        else:
            self._undergo(fault, proceed)

    def _undergo(self, fault: Fault, proceed: Callable[[], None]) -> None:
        if fault.delay > timedelta(0):
            self._flush()
            self._held = True
            self._timer = self._loop.call_later(
                fault.delay.total_seconds(), self._resume, lambda: self._suffer(fault, proceed)
            )
        else:
            self._suffer(fault, proceed)

    def _resume(self, then: Callable[[], None]) -> None:
        self._held = False
        then()
        self._advance()

    def _suffer(self, fault: Fault, proceed: Callable[[], None]) -> None:
        match fault.action:
            case "slow":
                proceed()
            case "reply":
                self._answer_instead(fault, proceed)
            case "cut":
                self._flush()
                if fault.reset:
                    self.abort(reset=True)
                else:
                    self._close()
            case "garbage":
                self._say((b"" if self._profile.implicit_tls else b"220 2.0.0 Ready for TLS\r\n") + _GARBAGE)
                self._close()
            case "expired":
                self._expired = True
                proceed()
            case "hang":
                self._fall_silent()
            case "endless":
                self._fall_silent()
                self._transport.write(b"250-")
                self._gush()
            case "refuse":
                self.abort(reset=True)

    def _answer_instead(self, fault: Fault, proceed: Callable[[], None]) -> None:
        if fault.code < 400:
            said = len(self._out)
            proceed()
            del self._out[said:]
        self._say(lines_of(fault.code, fault.text))
        if fault.close:
            self._close()

    def _fall_silent(self) -> None:
        self._flush()
        self._held = self._deaf = True
        self._buffer.clear()

    def _gush(self) -> None:
        # A few megabytes a second: enough to show a client that keeps it all, without a busy loop.
        if self._gone:
            return
        if self._transport.get_write_buffer_size() < len(_GUSH):
            self._transport.write(_GUSH)
        self._timer = self._loop.call_later(0.005, self._gush)

    def _encrypt(self, context: ssl.SSLContext, then: Callable[[], None]) -> None:
        # What came in the clear behind STARTTLS is thrown away (RFC 3207).
        self._held = True
        self._buffer.clear()
        self._transport.pause_reading()
        self._handshake = self._loop.create_task(self._shake_hands(context, then))

    async def _shake_hands(self, context: ssl.SSLContext, then: Callable[[], None]) -> None:
        if self._expired:
            context = self._profile.expired_tls or context
        try:
            transport = await self._loop.start_tls(self._transport, self, context, server_side=True)
        except OSError:
            transport = None
        if transport is None or self._gone:
            self.abort(reset=False)
            return
        self._transport = transport
        self._secure = True
        self._start_over()
        self._resume(then)
