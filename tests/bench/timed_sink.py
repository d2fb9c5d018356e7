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

import uvloop

from tests.bench.taking import Taking

_HOST = "127.0.0.1"


class _Count:
    last = 0.0
    messages = 0


class _Session(Taking):
    def __init__(self, count: _Count) -> None:
        super().__init__()
        self._count = count

    def took(self, text: bytes) -> None:  # noqa: ARG002  only that it came counts here
        self._count.last = time.monotonic()
        self._count.messages += 1


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
