"""Opening a connection in a test, and a server that says exactly what a test tells it to."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from bot.mail.connection import Connection, Endpoint
from bot.mail.transaction import Limits, Result

SENDER = "news@example.com"
RECIPIENT = "ada@example.net"
BODY = b"Subject: hello\r\n\r\nDear Ada,\r\n..hidden\r\n"
SHORT = timedelta(milliseconds=300)
HASTY = Limits(SHORT, SHORT, SHORT, SHORT, SHORT, SHORT, SHORT, SHORT, SHORT, SHORT, SHORT, SHORT)


def yes() -> bool:
    return True


async def eventually(happened: Callable[[], bool]) -> None:
    """Lets the others work until this is so; what never happens ends with pytest's own time limit."""
    while not happened():
        await asyncio.sleep(0.001)


class Intents:
    """A `before_dot` that counts its calls and agrees or not."""

    def __init__(self, *, agree: bool = True) -> None:
        self.agree = agree
        self.count = 0
        self.asked = asyncio.Event()

    def __call__(self) -> bool:
        self.count += 1
        self.asked.set()
        return self.agree


@asynccontextmanager
async def connected(port: int, limits: Limits | None = None) -> AsyncIterator[Connection]:
    async with connected_to(Endpoint("127.0.0.1", port, helo="me.example.com"), limits) as connection:
        yield connection


@asynccontextmanager
async def connected_to(endpoint: Endpoint, limits: Limits | None = None) -> AsyncIterator[Connection]:
    connection = await Connection.open(endpoint, limits)
    try:
        yield connection
    finally:
        await connection.close()


async def send(connection: Connection, recipient: str = RECIPIENT, body: bytes = BODY) -> Result:
    return await connection.send(SENDER, recipient, body, before_dot=yes)


class Script:
    """Turns of (what to wait for, what to say then); None hangs up. Afterwards it only listens.

    With a `pace` it reads a megabyte at most in that time.
    """

    def __init__(self, turns: Sequence[tuple[bytes, bytes | None]], pace: timedelta = timedelta(0)) -> None:
        self.turns = turns
        self.pace = pace
        self.heard = b""
        self.unread = b""
        self.port = 0
        self.gone = asyncio.Event()

    async def wait_for(self, cue: bytes, reader: asyncio.StreamReader) -> None:
        """Until the cue was heard, or the other side has hung up."""
        while cue not in self.unread:
            piece = await reader.read(2**20)
            self.heard += piece
            self.unread += piece
            if not piece:
                return
            if self.pace:
                await asyncio.sleep(self.pace.total_seconds())
        self.unread = self.unread[self.unread.index(cue) + len(cue) :]

    async def play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for cue, line in self.turns:
                await self.wait_for(cue, reader)
                if line is None:
                    return
                writer.write(line)
                await asyncio.sleep(0)
            await self.wait_for(b"QUIT\r\n", reader)
        except OSError:
            self.heard += b"(reset)"
        finally:
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)
            self.gone.set()


@asynccontextmanager
async def speaking(*turns: tuple[bytes, bytes | None], pace: timedelta = timedelta(0)) -> AsyncIterator[Script]:
    """A server that plays these turns for one connection."""
    script = Script(turns, pace)
    server = await asyncio.start_server(script.play, "127.0.0.1", 0, limit=2**20)
    script.port = server.sockets[0].getsockname()[1]
    try:
        yield script
        await script.gone.wait()
    finally:
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def scripted(
    *turns: tuple[bytes, bytes | None],
    features: tuple[bytes, ...] = (b"mx.example.com", b"PIPELINING"),
    more: bytes = b"",
    pace: timedelta = timedelta(0),
) -> AsyncIterator[Script]:
    """The same after an ordinary welcome. `more` follows the answer to EHLO in the same packet."""
    greeting = (b"", b"220 mx.example.com ESMTP\r\n")
    welcome = (b"EHLO me.example.com\r\n", b"250-" + b"\r\n250-".join(features) + b"\r\n250 HELP\r\n" + more)
    async with speaking(greeting, welcome, *turns, pace=pace) as script:
        yield script
