"""Failures of real mail are evidence, even while the probe passes."""

import asyncio
from datetime import timedelta
from pathlib import Path

from bot.clock import now
from bot.demo.relays import reply
from bot.mail.sender import Sender
from bot.services.watching import Watch
from storage.db import Database
from storage.models import Evidence, Health, Hold
from tests.outage_world import World, world
from tests.seeds import settings_for


async def saw(here: World, failed: int, *, succeeded: int = 0, ago: timedelta = timedelta(0)) -> None:
    async with here.db.transaction() as tx:
        tx.add(
            Evidence(
                server_id=here.primary,
                at=now() - ago,
                failed=failed,
                succeeded=succeeded,
                stage="mail" if failed else None,
                code=452 if failed else None,
                text="4.3.1 Insufficient system storage" if failed else None,
            )
        )


async def test_a_relay_that_greets_well_and_takes_no_mail_is_down(db: Database, tmp_path: Path) -> None:
    """`452 4.3.1` to every MAIL: the real sender, real replies, and a probe that passes all the while."""
    async with world(db, tmp_path) as here:
        sale = await here.campaign(200)
        await here.relay.behave(reply("mail", 452, "4.3.1 Insufficient system storage"))
        sender = Sender(db, settings_for(str(db.url), tmp_path))
        task = asyncio.create_task(sender.run())
        try:

            async def opened() -> bool:
                return bool(await here.outages())

            await here.ticking_until(opened)
        finally:
            sender.stop()
            await task
        [outage] = await here.outages()
        assert (outage.stage, outage.code) == ("mail", 452)
        assert "Insufficient system storage" in (outage.reply or "")
        campaign = await here.campaign_row(sale)
        assert (campaign.hold, campaign.hold_outage_id) == (Hold.OUTAGE, outage.id)
        totals = (await here.services.outages.headline(outage.id)).totals
        assert totals is not None
        assert totals.failed >= 20


async def test_a_few_failures_make_it_suspected_and_no_outage(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path, probes={"interval": 600, "retry_interval": 600}) as here:
        await here.ticks(1)
        await saw(here, 5)
        await here.watch.judge()
        assert (await here.server("primary")).health == Health.SUSPECTED
        await here.watch.reconcile()
        assert await here.outages() == []


async def test_what_was_judged_once_is_not_judged_again_by_the_next_watch(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path, probes={"interval": 600, "retry_interval": 600}) as here:
        await here.ticks(1)
        await saw(here, 12)
        await here.watch.judge()
        restarted = Watch(db, here.services.settings, here.services.servers, here.services.outages)
        for _ in range(3):
            await restarted.judge()
        assert (await here.server("primary")).health == Health.SUSPECTED


async def test_what_happened_while_nobody_watched_says_nothing_of_now(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        await here.ticks(1)
        await saw(here, 100, ago=timedelta(minutes=20))
        await here.ticks(1)
        assert (await here.server("primary")).health == Health.UP
        assert await here.outages() == []


async def test_the_outage_counts_from_the_first_failure_of_the_run(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        await here.ticks(1)
        await saw(here, 1, ago=timedelta(seconds=90))
        await saw(here, 0, succeeded=10, ago=timedelta(seconds=60))
        await saw(here, 30, ago=timedelta(seconds=40))
        await here.ticks(1)
        [outage] = await here.outages()
        assert timedelta(seconds=39) < outage.detected_at - outage.started_at < timedelta(seconds=59)
