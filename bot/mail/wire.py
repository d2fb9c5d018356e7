"""One SMTP transaction at a time on an open socket, as a state machine of callbacks.

aiosmtplib connects, greets, encrypts and logs in; then the socket is handed to a `Wire`, because
aiosmtplib can neither pipeline nor write a message apart from its DATA. One future a message and one
write a round trip keep it cheap.

What each ending means is exact. A result with `sent=False` says that the final dot never left this
process, so the message may safely be sent again. `sent=True` without a reply is the gap of RFC 1047:
nobody knows.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Final, cast

from bot.mail.replies import Reply, Stage
from bot.mail.transaction import Features, Limits, Result, clean, envelope, excerpt, read_reply

MAX_LINE: Final = 2048
"""Octets of one reply line; RFC 5321 4.5.3.1.5 allows 512, real servers exceed it."""
MAX_LINES: Final = 100
"""Lines of one reply."""

# A message up to this size is written together with its dot. A larger one waits until the transport
# has taken the text, so that a connection lost meanwhile certainly lacked the dot.
_WHOLE: Final = 32 * 1024

_RSET, _MAIL, _RCPT, _DATA, _BODY, _DOT, _QUIT, _IDLE = range(8)
_STAGES: Final = (
    Stage.mail,
    Stage.mail,
    Stage.rcpt,
    Stage.data,
    Stage.body,
    Stage.dot,
    Stage.quit,
    Stage.mail,
)
_WANTED: Final = b"2223\x0022\x00"  # the first digit that lets each step pass; no reply is right in the zero ones


class Wire(asyncio.Protocol):
    """The client's side of an SMTP session after its greeting and login. Not for several tasks at once.

    `leftover` is what arrived before the socket was handed over. Works on asyncio's loop and on
    uvloop, in the clear and over TLS.
    """

    def __init__(self, transport: asyncio.Transport, features: Features, limits: Limits, leftover: bytes = b"") -> None:
        self.why_closed = ""
        self._transport = transport
        self._features = features
        self._loop = asyncio.get_running_loop()
        self._closed: asyncio.Future[None] = self._loop.create_future()
        spans = (limits.mail, limits.mail, limits.rcpt, limits.data, limits.body, limits.dot, limits.quit)
        self._seconds = [span.total_seconds() for span in spans]
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0
        self._step = _IDLE
        self._waiter: asyncio.Future[Result] | None = None
        self._commands: list[bytes] = []
        self._body = b""
        self._unsent = 0
        self._before_dot: Callable[[], bool] = bool  # bool() is False: without a message there is no dot
        self._refusal: Result | None = None
        self._reset_due = False
        self._paused = False
        self._rest = b""
        self._lines: list[bytes] = []
        transport.set_protocol(self)
        # Any unsent octet pauses us. (TLS transports compare with >=, so 0 would pause for ever.)
        transport.set_write_buffer_limits(high=1)
        if leftover:
            self.data_received(leftover)

    @property
    def is_open(self) -> bool:
        """Whether another message may be tried. It can still fail: the server may be hanging up just now."""
        return not self.why_closed and not self._transport.is_closing()

    def transmit(
        self, sender: str, recipient: str, body: bytes, before_dot: Callable[[], bool]
    ) -> asyncio.Future[Result]:
        """Begin a transaction. `body` ends with CRLF and is dot-stuffed, without the final dot.

        `before_dot` is called immediately before the write that holds the final dot and must not raise.
        Raises ValueError for a body that would break the dialogue, RuntimeError while another is under way.
        """
        if self._waiter is not None or self._step == _QUIT:
            raise RuntimeError("a connection carries one message at a time")
        if not body.endswith(b"\r\n") or b"\r\n.\r\n" in body or body.startswith(b".\r\n"):
            raise ValueError("the body must end with CRLF and be dot-stuffed")
        waiter = self._loop.create_future()
        commands = envelope(self._features, sender, recipient, body)
        if isinstance(commands, Result):
            waiter.set_result(commands)
        elif not self.is_open:
            waiter.set_result(
                Result(Stage.mail, None, sent=False, text=self.why_closed or "The connection is closing.")
            )
        else:
            self._waiter, self._commands, self._body, self._before_dot = waiter, commands, body, before_dot
            self._refusal = None
            self._begin()
        return waiter

    def _begin(self) -> None:
        first = _RSET if self._reset_due else _MAIL
        self._reset_due = False
        if self._features.pipelining:
            self._transport.write(b"".join(self._commands[first:]))
        else:
            self._transport.write(self._commands[first])
        self._expect(first)

    async def quit(self, limit: timedelta) -> None:
        """Say QUIT, wait for the server to hang up, at most `limit`; then hang up ourselves."""
        if self._step == _IDLE and self.is_open:
            self._seconds[_QUIT] = limit.total_seconds()
            self.why_closed = "The connection was closed by us."
            self._transport.write(b"QUIT\r\n")
            self._expect(_QUIT)
            try:
                await self.wait_closed()
            finally:
                self.abort()
        else:
            self.abort()
            await self.wait_closed()

    async def wait_closed(self) -> None:
        await asyncio.shield(self._closed)

    def abort(self, text: str = "The connection was closed by us.") -> None:
        """Hang up at once. A transaction under way ends here with what is known of it."""
        self._lose(text)

    # What the loop calls.

    def data_received(self, data: bytes) -> None:
        """Cut the stream into lines; bounded, whatever the server sends."""
        if self._rest:
            data = self._rest + data
        start = 0
        size = len(data)
        while (end := data.find(b"\n", start)) >= 0:
            line = data[start:end]
            start = end + 1
            self._take_line(line, more=start < size)
            if self.why_closed and self._step != _QUIT:
                return
        self._rest = data[start:]
        if size - start > MAX_LINE:
            self._lose(f"The server sent a reply line of more than {MAX_LINE} bytes.")

    def eof_received(self) -> None:
        """Nothing more can come; the transport closes itself."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone, by either side."""
        self._lose(f"The connection was lost: {clean(str(exc))}." if exc else "The server closed the connection.")
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._closed.done():
            self._closed.set_result(None)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        """A large text has left; its dot may follow."""
        self._paused = False
        if self._step == _BODY:
            self._write_dot(b".\r\n")

    # Replies.

    def _take_line(self, line: bytes, *, more: bool) -> None:
        mark = line[3:4]
        if not 3 <= len(line) <= MAX_LINE or not line[:3].isdigit() or mark not in b" -\r":
            self._lose(f"The server sent what is not an SMTP reply: {excerpt(line)}.")
            return
        lines = self._lines
        if lines and lines[0][:3] != line[:3]:
            self._lose(f"The server changed the code within one reply: {excerpt(line)}.")
            return
        lines.append(line)
        if mark != b"-":
            self._lines = []
            self._take_reply(lines, more=more)
        elif len(lines) >= MAX_LINES:
            self._lose(f"The server sent a reply of more than {MAX_LINES} lines.")

    def _take_reply(self, lines: list[bytes], *, more: bool) -> None:
        step = self._step
        kind = lines[0][0]
        if step == _QUIT:
            self._transport.close()
        elif kind == _WANTED[step]:
            self._pass(step, lines, more=more)
        elif step == _IDLE:
            self._lose(f"The server spoke without being asked: {excerpt(b' '.join(lines))}.")
        elif kind in b"45" and (step != _RSET or lines[0][:3] == b"421"):
            self._refuse(step, read_reply(lines))
        else:
            self._lose(f"The server gave an answer that does not fit: {excerpt(b' '.join(lines))}.")

    def _pass(self, step: int, lines: list[bytes], *, more: bool) -> None:
        if step == _DOT:
            self._finish(Result(Stage.dot, read_reply(lines), sent=True))
        elif step == _DATA:
            self._write_body(early=more)
        elif self._features.pipelining:
            self._expect(step + 1)
        elif more:
            # Read as the answer to the next command it would shift all others by one.
            self._lose("The server sent more answers than it was asked for.")
        else:
            self._transport.write(self._commands[step + 1])
            self._expect(step + 1)

    def _refuse(self, step: int, reply: Reply) -> None:
        refusal = self._refusal
        if refusal is None:
            refusal = self._refusal = Result(_STAGES[step], reply, sent=step == _DOT)
        if reply.code == 421 or step == _BODY:
            self._lose(f"The server said: {reply.code} {reply.text}")
        elif step < _DATA and self._features.pipelining:
            # The answers to the rest of the group are on their way.
            self._expect(step + 1)
        else:
            self._reset_due = True
            self._finish(refusal)

    # The message.

    def _write_body(self, *, early: bool) -> None:
        if self._refusal is not None:
            # A server that wants the text of a message it just refused: hanging up is the only way
            # out of DATA that delivers nothing (RFC 2920 3.1 would have us send an empty message).
            self._lose("The server asked for the text of a message that it had refused.")
        elif early:
            self._lose("The server answered before the message was sent.")
        elif self._transport.is_closing():
            self._lose("The connection was lost.")
        elif len(self._body) <= _WHOLE:
            self._write_dot(self._body + b".\r\n")
        else:
            self._unsent = len(self._body) + 1
            self._expect(_BODY)
            self._transport.write(self._body)
            if not self._paused:
                self._write_dot(b".\r\n")

    def _write_dot(self, last: bytes) -> None:
        if not self._before_dot():
            self._finish(Result(Stage.body, None, sent=False, text="The message was withheld.", withheld=True))
            # Inside DATA nothing but the dot ends a message, so the session ends with it.
            self._lose("The message was withheld.")
            return
        self._expect(_DOT)
        self._transport.write(last)

    # Time and endings.

    def _expect(self, step: int) -> None:
        """Await a reply. One timer a connection, moved only when it would ring too late."""
        self._step = step
        self._deadline = deadline = self._loop.time() + self._seconds[step]
        timer = self._timer
        if timer is None or deadline < timer.when():
            if timer is not None:
                timer.cancel()
            self._timer = self._loop.call_at(deadline, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._step == _IDLE:
            return
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._ring)
        elif self._step == _BODY and self._transport.get_write_buffer_size() < self._unsent:
            # RFC 5321 limits the wait for each block of the text, not the whole: it goes on while it moves.
            self._unsent = self._transport.get_write_buffer_size()
            self._expect(_BODY)
        else:
            self._lose(f"No answer within {self._seconds[self._step]:g} s.")

    def _finish(self, result: Result) -> None:
        waiter = cast("asyncio.Future[Result]", self._waiter)
        self._step = _IDLE
        self._waiter = None
        self._body = b""
        self._before_dot = bool
        if not waiter.done():
            waiter.set_result(result)

    def _lose(self, text: str) -> None:
        self.why_closed = self.why_closed or text
        if self._waiter is not None:
            step = self._step
            self._finish(self._refusal or Result(_STAGES[step], None, sent=step == _DOT, text=text))
        self._step = _IDLE
        self._transport.abort()
