"""What the benches of sending share: a campaign, the process that sends it, and smtp-source beside it."""

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from storage.db import Database
from storage.models import CampaignState
from storage.workers import every
from tests.databases import start_server
from tests.seeds import add_campaign, add_server, state_of, wish

BODY = ("The sale has begun, and everything must go before the end of the week.\n" * 70)[:5000]
_START = "from bot.config import load_settings; from bot.mail.worker import run_worker; run_worker(load_settings())"


@dataclass(frozen=True, slots=True)
class Run:
    """Messages a second, from the start to the end in the ledger; seconds; the workers' CPU in seconds."""

    rate: float
    seconds: float
    cpu: float

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU a message."""
        return self.cpu / (self.rate * self.seconds) * 1_000_000


@dataclass(frozen=True, slots=True)
class Stage:
    """A campaign that waits to be started, and processes that will send it."""

    db: Database
    campaign: int
    recipients: int
    pids: list[int]

    async def run(self) -> Run:
        """Send it, from the start to the end in the ledger."""
        used, begun = self._cpu(), time.perf_counter()
        await wish(self.db, self.campaign, CampaignState.SENDING, CampaignState.SENDING)
        while await state_of(self.db, self.campaign) != CampaignState.FINISHED:
            await asyncio.sleep(0.1)
        seconds = time.perf_counter() - begun
        return Run(self.recipients / seconds, seconds, self._cpu() - used)

    def _cpu(self) -> float:
        return sum(map(cpu_seconds, self.pids))


@contextlib.asynccontextmanager
async def staged(
    port: int,
    recipients: int,
    connections: int,
    *,
    url: str | None = None,
    workers: int = 1,
    text: str = BODY,
    html: str | None = None,
) -> AsyncIterator[Stage]:
    """To 127.0.0.1:port, messages of 5 KB, on the empty database at `url` or in an SQLite file."""
    async with contextlib.AsyncExitStack() as stack:
        if url is None:
            url = f"sqlite:///{stack.enter_context(tempfile.TemporaryDirectory())}/bench.db"
        db = Database(url)
        stack.push_async_callback(db.close)
        await db.migrate()
        server = await add_server(db, "sink", port, max_connections=connections)
        campaign = await add_campaign(db, server, recipients, state=CampaignState.SCHEDULED, text=text, html=html)
        processes = [await stack.enter_async_context(_worker(url)) for _ in range(workers)]
        while await _at_work(db) < workers:  # their start is not what is measured
            await asyncio.sleep(0.1)
        await asyncio.sleep(1)
        yield Stage(db, campaign, recipients, [process.pid for process in processes])


async def _at_work(db: Database) -> int:
    async with db.read() as tx:
        return len(await every(tx))


@contextlib.asynccontextmanager
async def _worker(url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """With a data directory of its own, as on another machine. What it logs stays out of the figures."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "HOLDFAST_DATABASE_URL": url,
            "HOLDFAST_DATA_DIR": folder,
            "HOLDFAST_SECRET_KEY": "x",
        }
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", _START, env=environment, stdout=sys.stderr)
        try:
            yield process
        finally:
            process.terminate()
            await process.wait()


@contextlib.asynccontextmanager
async def postgresql() -> AsyncIterator[str]:
    """The URL of a server as it is installed, which waits for its disk."""
    folder = tempfile.mkdtemp(prefix="holdfast-bench-")
    server = await asyncio.to_thread(start_server, folder)
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def with_smtp_source(port: int, messages: int, connections: int) -> float:
    """Messages a second of `smtp-source -d`, which keeps its connections, with messages of the same size."""
    program = shutil.which("smtp-source", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if program is None:
        raise FileNotFoundError("smtp-source is missing: install Debian's package postfix")
    options = ["-d", "-s", str(connections), "-m", str(messages), "-l", str(len(BODY))]
    addresses = ["-f", "shop@example.com", "-t", "p@example.com", f"127.0.0.1:{port}"]
    begun = time.perf_counter()
    process = await asyncio.create_subprocess_exec(program, *options, *addresses)
    if await process.wait() != 0:
        raise RuntimeError(f"smtp-source ended with {process.returncode}")
    return messages / (time.perf_counter() - begun)
