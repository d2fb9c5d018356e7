"""kill -9 of the sending process at random moments, at full speed: who was lost, and who was mailed twice?

A sink writes down what it took before it says so, and keeps it through every kill. On SQLite and on PostgreSQL with one
process, and on PostgreSQL with two of which one is killed at a time. Most kills come after a random number of messages,
some after a random time, so that the start and the recovery are struck too.

`lost`: recipients whom the sink never got and whom the ledger does not call unknown. `duplicates`: messages that the
sink got once more. `unknown_max`: the most deliveries that one recovery found unknown, of at most one for each of the
`connections` of a process; `unknown` is their sum over all kills.
"""

import asyncio
import contextlib
import os
import random
import sys
import tempfile
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select

from storage.db import Database
from storage.models import Campaign, CampaignState, Delivery, DeliveryStatus, Recipient, Timeline
from tests.bench.truthful_sink import TruthfulSink, truthful_sink
from tests.databases import start_server
from tests.seeds import add_campaign, add_server, state_of

RUNS = (("sqlite", 1), ("postgresql", 1), ("postgresql", 2))
"""Which database, with how many processes."""
KILLS = 30
"""In each run."""
CONNECTIONS = 20
RECIPIENTS = 60_000
"""Of one campaign. There is another one whenever too few are left to be killed in the middle of."""
_MESSAGES = 8_000
"""The most between a start and a kill."""
_START_STRUCK = 0.2
_START_SECONDS = 1.5
_START = "from bot.config import load_settings; from bot.mail.worker import run_worker; run_worker(load_settings())"


@dataclass
class Field:
    """A database, the processes that send from it, and the sink that knows the truth."""

    db: Database
    url: str
    folder: Path
    sink: TruthfulSink
    server: int
    chance: random.Random
    campaigns: dict[str, int] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list)

    async def start(self) -> None:
        environment = {
            **os.environ,
            "HOLDFAST_DATABASE_URL": self.url,
            "HOLDFAST_DATA_DIR": str(self.folder),
            "HOLDFAST_SECRET_KEY": "x",
        }
        command = (sys.executable, "-c", _START)
        process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=sys.stderr)
        self.processes.append(process)

    async def kill(self) -> None:
        """One of them, at a random moment; another one takes its place."""
        await self._enough_to_do()
        if self.chance.random() < _START_STRUCK:
            await asyncio.sleep(self.chance.uniform(0, _START_SECONDS))
        else:
            await self._sent(self.chance.randrange(1, _MESSAGES))
        process = self.processes.pop(self.chance.randrange(len(self.processes)))
        process.kill()
        await process.wait()
        await self.start()

    async def _enough_to_do(self) -> None:
        if len(self.campaigns) * RECIPIENTS - self.sink.count < RECIPIENTS // 2:
            name = f"sale-{len(self.campaigns) + 1}"
            self.campaigns[name] = await add_campaign(self.db, self.server, RECIPIENTS, name=name)

    async def _sent(self, messages: int) -> None:
        """So many more. Raises RuntimeError when nobody is left who could send them."""
        enough = min(self.sink.count + messages, len(self.campaigns) * RECIPIENTS)
        while self.sink.count < enough:
            if all(process.returncode is not None for process in self.processes):
                raise RuntimeError("the sending process ended by itself; its own output says why")
            await asyncio.sleep(0.001)

    async def finish(self) -> None:
        for campaign in self.campaigns.values():
            while await state_of(self.db, campaign) != CampaignState.FINISHED:
                await asyncio.sleep(0.05)

    async def stop(self) -> None:
        for process in self.processes:
            if process.returncode is None:
                process.terminate()
            await process.wait()

    async def verdict(self) -> Counter[str]:
        taken = self.sink.taken()
        everybody = {(name, f"p{n}@example.com") for name in self.campaigns for n in range(1, RECIPIENTS + 1)}
        same = (Delivery.campaign_id == Recipient.campaign_id) & (Delivery.n == Recipient.n)
        query = select(Campaign.name, Recipient.email).join(Recipient, Recipient.campaign_id == Campaign.id)
        async with self.db.read() as tx:
            named = await tx.execute(query.join(Delivery, same).where(Delivery.status == DeliveryStatus.UNKNOWN))
            unknown = {(name, email) for name, email in named}
            found = (await tx.scalars(select(Timeline.data).where(Timeline.kind == "campaign.unknown"))).all()
        return Counter(
            messages=taken.total(),
            lost=len(everybody - taken.keys() - unknown),
            duplicates=taken.total() - len(taken),
            unknown=len(unknown),
            unknown_max=max((len(data["numbers"]) for data in found), default=0),
        )


async def run() -> dict[str, Any]:
    """The sums over all runs, and of `unknown_max` the largest."""
    verdicts = [await _run(database, processes) for database, processes in RUNS]
    return {
        "kills": KILLS * len(RUNS),
        "lost": sum(verdict["lost"] for verdict in verdicts),
        "duplicates": sum(verdict["duplicates"] for verdict in verdicts),
        "unknown_max": max(verdict["unknown_max"] for verdict in verdicts),
        "connections": CONNECTIONS,
        "unknown": sum(verdict["unknown"] for verdict in verdicts),
        "messages": sum(verdict["messages"] for verdict in verdicts),
    }


async def _run(database: str, processes: int) -> Counter[str]:
    with tempfile.TemporaryDirectory() as name, _url(database, Path(name)) as url:
        folder = Path(name)
        db = Database(url)
        await db.migrate()
        async with truthful_sink(folder / "truth") as sink:
            server = await add_server(db, "sink", sink.port, max_connections=CONNECTIONS)
            scene = Field(db, url, folder, sink, server, random.Random(processes))
            try:
                for _ in range(processes):
                    await scene.start()
                for _ in range(KILLS):
                    await scene.kill()
                await scene.finish()
            finally:
                await scene.stop()
            verdict = await scene.verdict()
        await db.close()
        return verdict


@contextlib.contextmanager
def _url(database: str, folder: Path) -> Iterator[str]:
    if database == "sqlite":
        yield f"sqlite:///{folder / 'bench.db'}"
        return
    server = start_server(folder / "postgres")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
