"""A server that takes all mail as fast as it can, and writes down each message before it says so.

In a process of its own on uvloop. A record of the log has RECORD octets: the campaign and the recipient of one message,
in the order of their final dots. It is in the operating system's hands before the 250 leaves, whoever is killed then.
"""

import asyncio
import contextlib
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import uvloop

from tests.bench.taking import Taking

RECORD = 64
_HOST = "127.0.0.1"
_CAMPAIGN = b"X-Holdfast-Campaign: "


class _Session(Taking):
    def __init__(self, log: int) -> None:
        super().__init__()
        self._log = log
        self._taken: list[bytes] = []

    def took(self, text: bytes) -> None:
        campaign = text.partition(_CAMPAIGN)[2].partition(b"\r\n")[0]
        self._taken.append((campaign + b" " + self.recipient).ljust(RECORD - 1) + b"\n")

    def before_answers(self) -> None:
        if self._taken:
            os.write(self._log, b"".join(self._taken))
            self._taken.clear()


class TruthfulSink:
    """`port` of 127.0.0.1, and what it took."""

    def __init__(self, port: int, log: Path) -> None:
        self.port = port
        self._log = log

    @property
    def count(self) -> int:
        return self._log.stat().st_size // RECORD

    def taken(self) -> Counter[tuple[str, str]]:
        """(campaign, recipient) -> how many messages."""
        lines = self._log.read_text().splitlines()
        return Counter(cast("tuple[str, str]", tuple(line.split())) for line in lines)


@contextlib.asynccontextmanager
async def truthful_sink(log: Path) -> AsyncIterator[TruthfulSink]:
    """`log` is made, and stays."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.truthful_sink", str(log)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield TruthfulSink(int(await process.stdout.readline()), log)
    finally:
        process.stdin.close()
        await process.wait()


async def _serve(path: str) -> None:
    """Until the standard input ends, because whoever started it is gone."""
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Session(log), _HOST, 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1]))
