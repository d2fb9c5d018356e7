"""Messages a second, end to end with the ledger on SQLite, in one process, to Postfix's smtp-sink.

`ratio` is to `smtp-source -d -s50`, a client in C without a ledger, measured before and after in the same run because
the machine's speed drifts. `cpu_us`: what the sending process, ledger and database included, takes of the processor
for a message.
"""

import asyncio
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from storage.db import Database
from storage.models import CampaignState
from tests.bench.sink import sink
from tests.seeds import add_campaign, add_server, state_of, wish

RECIPIENTS = 200_000
SOURCE_MESSAGES = 60_000
CONNECTIONS = 50
BODY = ("The sale has begun, and everything must go before the end of the week.\n" * 70)[:5000]
_START = "from bot.config import load_settings; from bot.mail.worker import run_worker; run_worker(load_settings())"


async def with_smtp_source(port: int, messages: int, connections: int = CONNECTIONS) -> float:
    """Messages a second."""
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


async def with_holdfast(port: int, recipients: int, connections: int = CONNECTIONS) -> tuple[float, float]:
    """Messages a second, from the start of the campaign to its end in the ledger; microseconds of CPU a message."""
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
            used = _cpu_seconds(worker.pid)
            begun = time.perf_counter()
            await wish(db, campaign, CampaignState.SENDING, CampaignState.SENDING)
            while await state_of(db, campaign) != CampaignState.FINISHED:
                await asyncio.sleep(0.1)
            rate = recipients / (time.perf_counter() - begun)
            return rate, (_cpu_seconds(worker.pid) - used) / recipients * 1_000_000
        finally:
            worker.terminate()
            await worker.wait()
            await db.close()


def _cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def run() -> dict[str, Any]:
    """Messages a second of both, their ratio, and the CPU time of ours."""
    async with sink() as (name, port):
        before = await with_smtp_source(port, SOURCE_MESSAGES)
        ours, cpu = await with_holdfast(port, RECIPIENTS)
        after = await with_smtp_source(port, SOURCE_MESSAGES)
    theirs = (before + after) / 2
    return {
        "sink": name,
        "rate": round(ours),
        "smtp_source": round(theirs),
        "ratio": round(ours / theirs, 2),
        "cpu_us": round(cpu, 1),
    }
