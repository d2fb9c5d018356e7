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
from tests.seeds import add_campaign, add_server, state_of, wish

BODY = ("The sale has begun, and everything must go before the end of the week.\n" * 70)[:5000]
_START = "from bot.config import load_settings; from bot.mail.worker import run_worker; run_worker(load_settings())"


@dataclass(frozen=True, slots=True)
class Stage:
    """A campaign that waits to be started, and a process that will send it."""

    db: Database
    folder: Path
    campaign: int
    recipients: int
    pid: int

    async def run(self) -> tuple[float, float]:
        """Messages a second, from the start to the end in the ledger; microseconds of CPU a message."""
        used, begun = cpu_seconds(self.pid), time.perf_counter()
        await wish(self.db, self.campaign, CampaignState.SENDING, CampaignState.SENDING)
        while await state_of(self.db, self.campaign) != CampaignState.FINISHED:
            await asyncio.sleep(0.1)
        rate = self.recipients / (time.perf_counter() - begun)
        return rate, (cpu_seconds(self.pid) - used) / self.recipients * 1_000_000


@contextlib.asynccontextmanager
async def staged(port: int, recipients: int, connections: int) -> AsyncIterator[Stage]:
    """On SQLite, to 127.0.0.1:port, messages of 5 KB."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = f"sqlite:///{folder / 'bench.db'}"
        db = Database(url)
        await db.migrate()
        server = await add_server(db, "sink", port, max_connections=connections)
        campaign = await add_campaign(db, server, recipients, state=CampaignState.SCHEDULED, text=BODY)
        environment = {
            **os.environ,
            "HOLDFAST_DATABASE_URL": url,
            "HOLDFAST_DATA_DIR": name,
            "HOLDFAST_SECRET_KEY": "x",
        }
        worker = await asyncio.create_subprocess_exec(sys.executable, "-c", _START, env=environment)
        try:
            await asyncio.sleep(2)  # its start is not what is measured
            yield Stage(db, folder, campaign, recipients, worker.pid)
        finally:
            worker.terminate()
            await worker.wait()
            await db.close()


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
