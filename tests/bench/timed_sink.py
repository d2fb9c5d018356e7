"""A server that takes all mail as fast as it can and knows when it took the last one.

In a process of its own on uvloop. Each line of its standard input is answered by the time of the last final dot, on
the clock that all processes of the machine share (time.monotonic), and by how many there were; with the input's end
it ends.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator
from typing import cast

import uvloop

_HOST = "127.0.0.1"
_FEATURES = b"250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n"


class _Count:
    last = 0.0
    messages = 0


class _Session(asyncio.Protocol):
    """Only what a well-behaved client needs; a body ends with its dot, whatever is in it."""

    def __init__(self, count: _Count) -> None:
        self._count = count
        self._rest = b""
        self._in_text = False
        self._transport: asyncio.Transport | None = None

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
        if answers and self._transport is not None:
            self._transport.write(b"".join(answers))

    def _answer(self, said: bytes) -> bytes:
        if self._in_text:
            self._in_text = False
            self._count.last = time.monotonic()
            self._count.messages += 1
            return b"250 2.0.0 Ok\r\n"
        verb = said[:4].upper()
        if verb == b"EHLO":
            return _FEATURES
        if verb == b"DATA":
            self._in_text = True
            return b"354 Go ahead\r\n"
        return b"221 Bye\r\n" if verb == b"QUIT" else b"250 Ok\r\n"


class TimedSink:
    """`port` of 127.0.0.1; `last()` gives the time of the last dot and how many there were."""

    def __init__(self, port: int, asked: asyncio.StreamWriter, answers: asyncio.StreamReader) -> None:
        self.port = port
        self._asked = asked
        self._answers = answers

    async def last(self) -> tuple[float, int]:
        self._asked.write(b"\n")
        at, messages = (await self._answers.readline()).split()
        return float(at), int(messages)


@contextlib.asynccontextmanager
async def timed_sink() -> AsyncIterator[TimedSink]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.timed_sink"), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield TimedSink(int(await process.stdout.readline()), process.stdin, process.stdout)
    finally:
        process.stdin.close()
        await process.wait()


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    count = _Count()
    server = await loop.create_server(lambda: _Session(count), _HOST, 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    asking = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(asking), sys.stdin)
    while await asking.readline():
        print(count.last, count.messages, flush=True)
    server.close()


if __name__ == "__main__":
    uvloop.run(_serve())
