"""A long line to a server: a TCP proxy on loopback that holds everything back for a while, in both directions.

    async with line(port, one_way=timedelta(milliseconds=10)) as far:
        ...  # 127.0.0.1:far is the same server, 20 ms of round trip away

It is made for benches: a process of its own on uvloop, and one timer for all connections, so that 200 connections with
10,000 messages a second leave the processor to those who are measured. For faults there is bot/demo/faultproxy.py.

Nothing passes early; it may be up to 2 ms late, since libuv's timers count whole milliseconds. What one side has
written arrives in order, and so does its end. Making a connection costs no delay, the greeting on it does.
"""

import asyncio
import contextlib
import sys
from collections import deque
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import cast

import uvloop

ROUND_TRIP = timedelta(milliseconds=20)
_BACKLOG = 1024
_HOST = "127.0.0.1"


class _Delay:
    """What is under way on all connections, oldest first: the delay is the same for all, so one queue is in order."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._under_way: deque[tuple[float, _End, bytes | None]] = deque()
        self._ringing = False

    def put(self, to: "_End", piece: bytes | None) -> None:
        """None is the end of what that side has to say."""
        due = self._loop.time() + self._seconds
        self._under_way.append((due, to, piece))
        if not self._ringing:
            self._ringing = True
            self._loop.call_at(due, self._ring)

    def _ring(self) -> None:
        now = self._loop.time()
        waiting = self._under_way
        while waiting and waiting[0][0] <= now:
            _, to, piece = waiting.popleft()
            to.give(piece)
        self._ringing = bool(waiting)
        if waiting:
            self._loop.call_at(max(waiting[0][0], now + 0.001), self._ring)


class _End(asyncio.Protocol):
    """One end of a connection through the line; `other` is where its words come out."""

    def __init__(self, delay: _Delay) -> None:
        self._delay = delay
        self.other: _End | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self.other is not None:
            self._delay.put(self.other, data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  the signature is asyncio's
        if self.other is not None:
            self._delay.put(self.other, None)

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None and not self.other.transport.is_closing():
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None and not self.other.transport.is_closing():
            self.other.transport.resume_reading()

    def give(self, piece: bytes | None) -> None:
        """What has come through the line leaves here."""
        if self.transport is None or self.transport.is_closing():
            return
        if piece is None:
            self.transport.close()
        else:
            self.transport.write(piece)


class _Near(_End):
    """The client's end: it calls the server, and reads nothing until that answers."""

    def __init__(self, delay: _Delay, port: int, calls: set[asyncio.Task[None]]) -> None:
        super().__init__(delay)
        self._port = port
        self._calls = calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        cast("asyncio.Transport", transport).pause_reading()
        call = asyncio.create_task(self._call())
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)

    async def _call(self) -> None:
        near = cast("asyncio.Transport", self.transport)
        far = _End(self._delay)
        self.other, far.other = far, self
        try:
            await asyncio.get_running_loop().create_connection(lambda: far, _HOST, self._port)
        except OSError:
            near.abort()
            return
        if near.is_closing():
            far.give(None)
        else:
            near.resume_reading()


async def _serve(port: int, seconds: float) -> None:
    """Until the standard input ends, because whoever started it is gone."""
    loop = asyncio.get_running_loop()
    delay = _Delay(seconds)
    calls: set[asyncio.Task[None]] = set()
    server = await loop.create_server(lambda: _Near(delay, port, calls), _HOST, 0, backlog=_BACKLOG)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


@contextlib.asynccontextmanager
async def line(port: int, one_way: timedelta = ROUND_TRIP / 2) -> AsyncIterator[int]:
    """The port of a line to the server on this port of 127.0.0.1."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.line", str(port), str(one_way.total_seconds())),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield int(await process.stdout.readline())
    finally:
        process.stdin.close()
        await process.wait()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), float(sys.argv[2])))
