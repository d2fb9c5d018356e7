"""An open SMTP session as a state machine of callbacks: it asks for messages and says how each ended.

aiosmtplib connects, greets, encrypts and logs in; then the socket is handed to a `Wire`, because aiosmtplib can
neither pipeline nor write a message apart from its DATA. Where the server announces PIPELINING, a message's text and
final dot leave together with the envelope of the next one (RFC 2920): one write and one round trip a message. Where
it announces CHUNKING too, BDAT takes the place of DATA and dot (RFC 3030): the same round trip, but a message that
was announced and shall not leave after all costs a RSET and not the connection. Otherwise it goes step by step.

What each ending means is exact. A result with `sent=False` says that the end of the message never left this
process, so it may safely be sent again. `sent=True` without a reply is the gap of RFC 1047: nobody knows. At any
moment at most one message of a connection is in that gap.
"""

import asyncio
import math
import re
from datetime import timedelta
from typing import Any, Final, Protocol

from bot.mail.reading import NotAReplyError, Replies
from bot.mail.replies import Reply, Stage
from bot.mail.transaction import Envelopes, Features, Limits, Result, clean, excerpt, read_reply

# A message up to this size is written together with its end. Of a larger one the last octets wait until the
# transport has taken the rest, so that a connection lost meanwhile certainly lacked them.
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

# What a server that takes everything sends for one round trip, all in one piece as it mostly comes.
_OK: Final = rb"250 .{0,500}\n"
_ROUND: Final = re.compile(_OK + _OK + _OK + rb"354 .{0,500}\n")
_ROUND_BY_CHUNKS: Final = re.compile(_OK + _OK + _OK)
_NEVER: Final = re.compile(rb"(?!)")


class Feed(Protocol):
    """Who has the messages. Called in the middle of the dialogue, so nothing here may block or raise.

    A message has `sender`, `recipient` and `body`: octets with CRLF lines that end with CRLF, dot-stuffed unless
    the wire is `plain`.
    """

    def next(self, *, ahead: bool) -> Any | None:
        """The next message of this connection; None: nothing now. `ahead`: another one is under way, so that its text
        leaves a round trip later, or later still where the server is slow.
        """

    def may_leave(self, message: Any) -> bool:
        """Asked immediately before the write that holds the message's end."""

    def delivered(self, message: Any) -> None:
        """The server took it, with 250."""

    def ended(self, message: Any, result: Result) -> None:
        """It ended in any other way, or with 250 apart from the others."""

    def closed(self) -> None:
        """The connection is gone; all its messages have ended."""


class Wire(asyncio.Protocol):
    """The client's side of an SMTP session after its greeting and login. Not for several threads.

    `leftover` is what arrived before the socket was handed over. Works on asyncio's loop and on
    uvloop, in the clear and over TLS.
    """

    def __init__(self, transport: asyncio.Transport, features: Features, limits: Limits, leftover: bytes = b"") -> None:
        self.why_closed = ""
        self.plain = features.pipelining and features.chunking
        """Whether bodies are wanted as they are, not dot-stuffed."""
        self._transport = transport
        self._pipelining = features.pipelining
        self._envelopes = Envelopes(features)
        self._round = _NEVER if not self._pipelining else _ROUND_BY_CHUNKS if self.plain else _ROUND
        self._last = _RCPT if self.plain else _DATA
        self._loop = asyncio.get_running_loop()
        self._closed: asyncio.Future[None] = self._loop.create_future()
        spans = (limits.mail, limits.mail, limits.rcpt, limits.data, limits.body, limits.dot, limits.quit)
        self._seconds = [span.total_seconds() for span in spans]
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = math.inf
        self._deadline = 0.0
        self._step = _IDLE
        self._feed: Feed | None = None
        self._announced: Any | None = None  # its envelope has left, its end has not
        self._flying: Any | None = None  # its end has left, the reply has not come
        self._commands: list[bytes] = []
        self._unsent = 0
        self._refusal: Result | None = None
        self._reset_due = False
        self._paused = False
        self._reading = False
        self._replies = Replies()
        transport.set_protocol(self)
        # Any unsent octet pauses us. (TLS transports compare with >=, so 0 would pause for ever.)
        transport.set_write_buffer_limits(high=1)
        if leftover:
            self.data_received(leftover)

    @property
    def is_open(self) -> bool:
        """Whether another message may be tried. It can still fail: the server may be hanging up just now."""
        return not self.why_closed and not self._transport.is_closing()

    @property
    def is_idle(self) -> bool:
        return self._step == _IDLE

    @property
    def under_way(self) -> tuple[Any, ...]:
        """The messages that have no ending yet."""
        return tuple(message for message in (self._flying, self._announced) if message is not None)

    def feed(self, feed: Feed) -> None:
        """From now on messages come from `feed`. Raises RuntimeError while one is under way."""
        if self._step != _IDLE:
            raise RuntimeError("a connection carries one message at a time")
        self._feed = feed
        if self._closed.done():
            feed.closed()
        else:
            self.go()

    def go(self) -> None:
        """There may be a message: ask, if none is under way."""
        if self._step == _IDLE and self.is_open and not self._reading and (commands := self._announce(ahead=False)):
            self._transport.write(commands)

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
        """Hang up at once. What is under way ends here with what is known of it."""
        self._lose(text)

    # What the loop calls.

    def data_received(self, data: bytes) -> None:
        """First what a server that takes everything sends, in one step; then whatever else it may be."""
        if (
            self._step == _DOT
            and self._announced is not None
            and not self._replies.rest
            and self._round.fullmatch(data)
        ):
            flying, self._flying = self._flying, None
            self._feed.delivered(flying)  # type: ignore[union-attr]  # a message under way has come from a feed
            self._send_text()
            return
        self._reading = True
        try:
            for lines, more in self._replies.cut(data):
                self._take_reply(lines, more=more)
                if self.why_closed and self._step != _QUIT:
                    return
        except NotAReplyError as error:
            self._lose(str(error))
            return
        self._reading = False
        if not self._replies.rest:
            # Only here: a reply that follows in the same piece must not be taken for one to what is asked now.
            self.go()

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
            if self._feed is not None:
                self._feed.closed()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        """A large text has left; its end may follow."""
        self._paused = False
        if self._step == _BODY:
            self._send_end()

    # Replies.

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
            self._land(read_reply(lines))
        elif step == self._last:
            self._all_passed(more=more)
        elif self._pipelining:
            self._expect(step + 1)
        elif more:
            # Read as the answer to the next command it would shift all others by one.
            self._lose("The server sent more answers than it was asked for.")
        else:
            self._transport.write(self._commands[step])
            self._expect(step + 1)

    def _refuse(self, step: int, reply: Reply) -> None:
        if step == _DOT:
            self._reset_due = self._announced is None
            self._land(reply)
            if reply.code == 421:
                self._lose(f"The server said: {reply.code} {reply.text}")
            return
        if self._refusal is None:
            self._refusal = Result(_STAGES[step], reply, sent=False)
        if reply.code == 421 or step == _BODY:
            self._lose(f"The server said: {reply.code} {reply.text}")
        elif step < self._last and self._pipelining:
            # The answers to the rest of the group are on their way.
            self._expect(step + 1)
        else:
            self._turn_away(self._refusal)

    def _land(self, reply: Reply) -> None:
        """The answer to the end of the message. Then come those to the envelope that left with it, if one did."""
        flying, self._flying = self._flying, None
        if self._announced is None:
            self._step = _IDLE
        else:
            self._expect(_MAIL)
        self._end(flying, Result(Stage.dot, reply, sent=True))

    def _turn_away(self, result: Result) -> None:
        """The announced message is not wanted, or not to leave; the session goes on with a RSET."""
        message, self._announced = self._announced, None
        self._step = _IDLE
        self._reset_due = True
        self._end(message, result)

    # The message.

    def _announce(self, *, ahead: bool) -> bytes:
        """Take the feed's next message: the commands that are to be written now, none when there is no message."""
        feed = self._feed
        while feed is not None and (message := feed.next(ahead=ahead)) is not None:
            commands = self._envelopes.of(message.sender, message.recipient, message.body)
            if isinstance(commands, Result):
                feed.ended(message, commands)
                continue
            self._announced = message
            self._refusal = None
            first = _RSET if self._reset_due else _MAIL
            self._reset_due = False
            if self._step == _IDLE:
                self._expect(first)
            if self._pipelining:
                return b"RSET\r\n" + commands if first == _RSET else commands
            self._commands = commands.splitlines(keepends=True)
            return b"RSET\r\n" if first == _RSET else self._commands[0]
        return b""

    def _all_passed(self, *, more: bool) -> None:
        if self._refusal is not None:
            if self.plain:
                self._turn_away(self._refusal)
            else:
                # A server that wants the text of a message it just refused: hanging up is the only way
                # out of DATA that delivers nothing (RFC 2920 3.1 would have us send an empty message).
                self._lose("The server asked for the text of a message that it had refused.")
        elif more:
            self._lose("The server answered before the message was sent.")
        else:
            self._send_text()

    def _send_text(self) -> None:
        message = self._announced
        if self._transport.is_closing():
            self._lose("The connection was lost.")
        elif len(message.body) > _WHOLE:  # type: ignore[union-attr]
            self._send_large(message)
        elif not self._feed.may_leave(message):  # type: ignore[union-attr]
            self._withhold()
        else:
            self._flying, self._announced = message, None
            self._expect(_DOT)
            following = self._announce(ahead=True) if self._pipelining else b""
            body = message.body  # type: ignore[union-attr]
            if self.plain:
                self._transport.write(b"".join((b"BDAT %d LAST\r\n" % len(body), body, following)))
            else:
                self._transport.write(b"".join((body, b".\r\n", following)))

    def _send_large(self, message: Any) -> None:
        """All but the end: the dot, or the last octets of the chunk."""
        body = message.body
        text = b"BDAT %d LAST\r\n%b" % (len(body), body[:-2]) if self.plain else body
        self._unsent = len(text) + 1
        self._expect(_BODY)
        self._transport.write(text)
        if not self._paused:
            self._send_end()

    def _send_end(self) -> None:
        message = self._announced
        if not self._feed.may_leave(message):  # type: ignore[union-attr]
            self._withhold()
            return
        self._flying, self._announced = message, None
        self._expect(_DOT)
        following = self._announce(ahead=True) if self._pipelining else b""
        self._transport.write((b"\r\n" if self.plain else b".\r\n") + following)

    def _withhold(self) -> None:
        result = Result(Stage.body, None, sent=False, text="The message was withheld.", withheld=True)
        if self.plain and self._step != _BODY:
            self._turn_away(result)
            self.go()
        else:
            # Inside DATA nothing but the dot ends a message, so the session ends with it.
            message, self._announced = self._announced, None
            self._step = _IDLE
            self._end(message, result)
            self._lose(result.text)

    # Time and endings.

    def _expect(self, step: int) -> None:
        """Await a reply. One timer a connection, moved only when it would ring too late."""
        self._step = step
        self._deadline = deadline = self._loop.time() + self._seconds[step]
        if deadline < self._rings_at:
            self._ring_at(deadline)

    def _ring_at(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._rings_at = self._loop.call_at(at, self._ring), at

    def _ring(self) -> None:
        self._timer, self._rings_at = None, math.inf
        if self._step == _IDLE:
            return
        if self._loop.time() < self._deadline:
            self._ring_at(self._deadline)
        elif self._step == _BODY and self._transport.get_write_buffer_size() < self._unsent:
            # RFC 5321 limits the wait for each block of the text, not the whole: it goes on while it moves.
            self._unsent = self._transport.get_write_buffer_size()
            self._expect(_BODY)
        else:
            self._lose(f"No answer within {self._seconds[self._step]:g} s.")

    def _end(self, message: Any, result: Result) -> None:
        if self._feed is not None:
            self._feed.ended(message, result)

    def _lose(self, text: str) -> None:
        self.why_closed = self.why_closed or text
        step, self._step = self._step, _IDLE
        flying, self._flying = self._flying, None
        announced, self._announced = self._announced, None
        if flying is not None:
            self._end(flying, Result(Stage.dot, None, sent=True, text=text))
        if announced is not None:
            stage = Stage.mail if step == _DOT else _STAGES[step]
            self._end(announced, self._refusal or Result(stage, None, sent=False, text=text))
        self._transport.abort()
