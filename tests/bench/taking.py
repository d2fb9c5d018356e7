"""The server's side of SMTP for sinks that take all mail as fast as they can: only what a well-behaved client needs."""

import asyncio
from abc import ABC, abstractmethod
from typing import cast

_FEATURES = b"250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n"


class Taking(asyncio.Protocol, ABC):
    """A text ends with its dot, whatever is in it; what has no dot when the client is gone was not taken."""

    def __init__(self) -> None:
        self.recipient = b""
        self._rest = b""
        self._in_text = False
        self._transport: asyncio.Transport | None = None

    @abstractmethod
    def took(self, text: bytes) -> None:
        """A whole message has come."""

    def before_answers(self) -> None:
        """What was taken from one piece is about to be confirmed."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(b"220 sink ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        heard = self._rest + data
        answers: list[bytes] = []
        start = 0
        while True:
            mark = b"\r\n.\r\n" if self._in_text else b"\r\n"
            end = heard.find(mark, start)
            if end < 0:
                break
            answers.append(self._answer(heard[start:end]))
            start = end + len(mark)
        self._rest = heard[start:]
        self.before_answers()
        if answers and self._transport is not None:
            self._transport.write(b"".join(answers))

    def _answer(self, said: bytes) -> bytes:
        if self._in_text:
            self._in_text = False
            self.took(said)
            return b"250 2.0.0 Ok\r\n"
        verb = said[:4].upper()
        if verb == b"EHLO":
            return _FEATURES
        if verb == b"RCPT":
            self.recipient = said[9:-1]
        if verb == b"DATA":
            self._in_text = True
            return b"354 Go ahead\r\n"
        return b"221 Bye\r\n" if verb == b"QUIT" else b"250 Ok\r\n"
