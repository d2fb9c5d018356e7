"""Messages a second of one worker and of two on PostgreSQL, on this machine, beside one on SQLite in the same run.

All of them send to smtp-sink. PostgreSQL, the sink and the workers share the machine's processors, so that on two
cores a second worker finds little left. `ratio`: one worker on PostgreSQL to one on SQLite.

`engine_share`: the part of the sending process's CPU that the work engine takes. `engine_ms_shard` is what it costs to
write down, hand out and close one piece of work, measured on pieces that do nothing; `engine_ms_second` is what it
costs to look for work (ramps), measured while there is none. The share is (shards x the one + seconds x the other) of
the CPU that the run of one worker on PostgreSQL took.
"""

import asyncio
import math
import os
import time
from typing import Any

from bot.work import FleetEngine
from bot.work_kinds import Kind
from storage import shards
from storage.db import Database
from tests.bench.sending import postgresql, staged
from tests.bench.sink import sink
from tests.databases import clone, url_of

RECIPIENTS = 200_000
CONNECTIONS = 50
PIECES = 40
_SETTLED = 62.0  # seconds after which the engine looks at its pace; at first it looks for schedules every second
_WATCHED = 10.0  # seconds without work


async def _engine(url: str) -> tuple[float, float]:
    """Milliseconds of CPU for a piece of work, and for a second of looking."""
    done: set[int] = set()
    all_done = asyncio.Event()

    async def nothing(number: int) -> None:
        done.add(number)
        if len(done) == PIECES:
            all_done.set()

    db = Database(url)
    engine = FleetEngine(db, f"bench-{os.getpid()}", [Kind("nothing", nothing, queued=False), Kind("ramp", nothing)])
    await engine.start()
    await asyncio.sleep(_SETTLED)
    used, begun = time.process_time(), time.perf_counter()
    await asyncio.sleep(_WATCHED)
    looking = (time.process_time() - used) / (time.perf_counter() - begun)
    used, begun = time.process_time(), time.perf_counter()
    for number in range(PIECES):
        await engine.begin("nothing", f"{time.time_ns()}", number)
    await all_done.wait()
    await asyncio.sleep(1)  # the last end is written down after it
    working = time.process_time() - used - looking * (time.perf_counter() - begun)
    await engine.stop()
    await db.close()
    return working / PIECES * 1000, looking * 1000


async def run() -> dict[str, Any]:
    """Keys as above; rates in messages a second, the share as a fraction."""
    async with sink() as (name, port), postgresql() as admin:
        for each in ("one", "two"):
            clone(admin, each)
        async with staged(port, RECIPIENTS, CONNECTIONS) as stage:
            sqlite = await stage.run()
        async with staged(port, RECIPIENTS, CONNECTIONS, url=url_of(admin, "one")) as stage:
            one = await stage.run()
        async with staged(port, RECIPIENTS, CONNECTIONS, url=url_of(admin, "two"), workers=2) as stage:
            two = await stage.run()
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
        "cpu_us": round(one.cpu_us, 1),
        "cpu_us_2": round(two.cpu_us, 1),
        "shard_rows": shards.ROWS,
    }
