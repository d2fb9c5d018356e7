"""The ramp's durable work: its process is killed in the middle of a wait, and another goes on where it stood."""

import asyncio
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from bot import work
from bot.access import Access
from bot.clock import now
from bot.config import Settings
from bot.mail.engines import engine_for
from bot.services import ramp_steps
from bot.services import ramps as looks
from bot.services.ramp_work import RampWork
from bot.services.ramps import Ramps
from bot.work_kinds import Engine
from storage import campaigns, ramps
from storage.db import Database
from storage.models import Campaign, Delivery, Ramp
from storage.ramps import Send
from tests.resend_world import ROLES
from tests.seeds import add_campaign, add_server, settings_for

# The first worker, as a process of its own that can be killed.
_WORKER = """
import asyncio, sys
from pathlib import Path
from bot import work
from bot.services import ramps
from datetime import timedelta
from storage.db import Database
from tests.integration.test_ramp_survives_kill import engine_of
work.LOOK_EVERY, ramps.LOOK_EVERY = 0.05, timedelta(seconds=0.05)

async def main(url, folder):
    engine, ramping = engine_of(Database(url), url, Path(folder), "first-boot")
    await engine.start()
    await ramping.ask(engine)
    await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


def engine_of(db: Database, url: str, folder: Path, executor: str) -> tuple[Engine, RampWork]:
    settings: Settings = settings_for(url, folder, roles=ROLES)
    ramping = RampWork(db, Ramps(db, settings, Access(settings.roles, [])))
    return engine_for(db, executor, [ramping.kind]), ramping


@pytest.fixture(autouse=True)
def _quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "LOOK_EVERY", 0.05)
    monkeypatch.setattr(looks, "LOOK_EVERY", timedelta(seconds=0.05))


async def ramp_of(db: Database, send: Send) -> Ramp:
    async with db.read() as tx:
        found = await ramps.of(tx, send)
        assert found is not None
        return found


async def sent(db: Database, up_to: int) -> None:
    """The sender has delivered what it may."""
    async with db.transaction() as tx:
        await tx.execute(update(Delivery).where(Delivery.n <= up_to).values(status="delivered", changed_at=now()))


async def test_another_process_goes_on_where_one_was_killed(db: Database, database_url: str, tmp_path: Path) -> None:
    campaign_id = await add_campaign(db, await add_server(db, "primary", 25), 400)
    send = Send((campaign_id,), None)
    async with db.transaction() as tx:
        campaign = await campaigns.get(tx, campaign_id)
        assert campaign is not None
        await ramp_steps.choose(tx, campaign_id, 400, [1, 5, 25, 100])
        await ramp_steps.begin(tx, campaign, settings_for(database_url, tmp_path).ramp, now())
    first = await asyncio.create_subprocess_exec(sys.executable, "-c", _WORKER, database_url, str(tmp_path))
    await sent(db, 4)
    async with asyncio.timeout(60):
        while (before := await ramp_of(db, send)).due_at is None:
            await asyncio.sleep(0.05)
    os.kill(first.pid, signal.SIGKILL)
    await first.wait()

    engine, ramping = engine_of(db, database_url, tmp_path, "second-boot")
    await engine.start()
    try:

        async def living() -> list[str]:
            return []

        await ramping.ask(engine)  # in a fleet what is under way already is asked for in vain
        async with asyncio.timeout(60):
            while not db.is_sqlite and not await engine.adopt(living):
                await asyncio.sleep(0.05)
        after = await ramp_of(db, send)
        assert (after.stage, after.due_at) == (0, before.due_at)
        async with db.transaction() as tx:
            await tx.execute(update(Ramp).values(due_at=now()))
        async with asyncio.timeout(60):
            while (after := await ramp_of(db, send)).stage == 0:
                await asyncio.sleep(0.05)
        async with db.read() as tx:
            assert (await tx.get_one(Campaign, campaign_id)).ramp_to_n == 20
    finally:
        await engine.stop()
