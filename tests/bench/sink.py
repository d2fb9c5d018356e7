"""A mail sink for benchmarks: Postfix's smtp-sink where it is installed, otherwise the demo's relay in a process."""

import asyncio
import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from bot.demo.relays import RelayProcess


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _listening(port: int) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                await writer.wait_closed()
                return


@contextlib.asynccontextmanager
async def sink() -> AsyncIterator[tuple[str, int]]:
    """(name, port) of a server on loopback that takes all mail."""
    program = shutil.which("smtp-sink", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if program is None:
        with tempfile.TemporaryDirectory() as folder:
            async with RelayProcess(Path(folder) / "sink.jsonl") as relay:
                yield "relay", relay.port
        return
    port = _free_port()
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    process = await asyncio.create_subprocess_exec(program, *user, f"127.0.0.1:{port}", "1000")
    try:
        await _listening(port)
        yield "smtp-sink", port
    finally:
        process.terminate()
        await process.wait()
