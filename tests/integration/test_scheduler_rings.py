"""The scheduler: it does what the tables say is due, in time, and one failure ends nothing."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from sqlalchemy import func, select, update
from structlog.testing import capture_logs

from bot.access import Actor
from bot.clock import now
from bot.scheduler import Job, Scheduler
from storage.db import Database
from storage.models import DeliveryReport, Evidence, Inbound, Maintenance, MaintenanceState, Timeline
from tests.integration.notice_support import BEN, MARIA, TEXT, eventually, outage
from tests.outage_world import World, world

ANNA = Actor(id="U0ANNA", name="anna", zone="Europe/Madrid")


@asynccontextmanager
async def running(here: World) -> AsyncIterator[Scheduler]:
    scheduler = Scheduler(here.services)
    await scheduler.start()
    try:
        yield scheduler
    finally:
        await scheduler.stop()
        await asyncio.sleep(0)


def reaches(here: World, window_id: int, state: MaintenanceState) -> Callable[[], Awaitable[bool]]:
    async def so() -> bool:
        return (await here.services.maintenance.status(window_id)).window.state == state

    return so


async def plan(here: World, *, starts_in: timedelta, length: timedelta) -> int:
    """A confirmed window at times that nobody could type."""
    proposal = await here.services.maintenance.propose(ANNA, "primary", "in 1 h", "1h")
    async with here.db.transaction() as tx:
        starts_at = now() + starts_in
        await tx.execute(update(Maintenance).values(starts_at=starts_at, ends_at=starts_at + length))
    await here.services.maintenance.confirm(ANNA, proposal.window.id)
    return proposal.window.id


async def test_a_window_that_people_plan_begins_and_ends_to_the_moment(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        sale = await here.campaign(10)
        async with running(here):
            # Long enough for a busy machine, on which a window that nobody saw would count as missed.
            window = await plan(here, starts_in=timedelta(seconds=1), length=timedelta(seconds=4))
            await eventually(reaches(here, window, MaintenanceState.ACTIVE))
            started = (await here.services.maintenance.status(window)).window
            assert started.started_at is not None
            assert started.started_at >= started.starts_at
            assert (await here.campaign_row(sale)).hold == "maintenance"
            await eventually(reaches(here, window, MaintenanceState.ENDED))
            assert (await here.campaign_row(sale)).state == "sending"


async def test_a_start_that_nothing_saw_is_caught_up_when_it_starts(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        sale = await here.campaign(10)
        window = await plan(here, starts_in=timedelta(hours=-2), length=timedelta(hours=6))
        async with running(here):
            await eventually(reaches(here, window, MaintenanceState.ACTIVE))
        assert (await here.campaign_row(sale)).hold == "maintenance"


async def test_bells_follow_the_table(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        window = await plan(here, starts_in=timedelta(hours=2), length=timedelta(hours=1))
        async with running(here) as scheduler:
            row = (await here.services.maintenance.status(window)).window
            reminder = row.starts_at - timedelta(minutes=15)
            assert set(await here.services.maintenance.moments()) == {reminder, row.starts_at, row.ends_at}
            assert bells(scheduler) == {reminder, row.starts_at, row.ends_at}
            async with db.transaction() as tx:
                # Another process, the terminal for one, calls it off.
                await tx.execute(update(Maintenance).values(state=MaintenanceState.CANCELLED))
            await scheduler.refill()
            assert bells(scheduler) == set()


def bells(scheduler: Scheduler) -> set[datetime]:
    jobs = scheduler._apscheduler.get_jobs()
    return {job.next_run_time for job in jobs if job.id.startswith("maintenance step")}


async def test_a_server_that_cannot_be_judged_at_the_end_is_looked_at_again_soon(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path, probes={"retry_interval": 0.05}) as here:
        window = await plan(here, starts_in=timedelta(seconds=0.1), length=timedelta(seconds=0.3))
        await here.break_primary(look=False)
        async with running(here):
            await eventually(reaches(here, window, MaintenanceState.ENDED))
        [found] = await here.outages()
        assert found.title == "primary is down"


async def test_overdue_approvals_expire_and_it_is_said(db: Database, tmp_path: Path) -> None:
    async with outage(db, tmp_path) as here:
        await here.services.notices.draft(MARIA, TEXT)
        await here.services.notices.request(MARIA)
        scheduler = Scheduler(here.services)
        await scheduler.tick()
        assert await here.said("approval.expired") == []
        with time_machine.travel(now() + timedelta(hours=3), tick=False):
            await scheduler.tick()
            await scheduler.tick()
        [said] = await here.said("approval.expired")
        assert "/notice send" in said


async def test_notices_go_on_by_themselves(db: Database, tmp_path: Path) -> None:
    async with outage(db, tmp_path) as here:
        await here.services.notices.draft(MARIA, TEXT)
        await here.services.notices.request(MARIA)
        await here.services.notices.approve(BEN, 1)
        await here.services.notices.cancel(BEN)
        async with db.transaction() as tx:
            mailing = (await here.services.notices.status(1)).mailing
            mailing.state = "cancelled"
            await tx.merge(mailing)
        async with running(here):

            async def told() -> bool:
                return await here.said("notice.cancelled") != []

            await eventually(told)


async def test_old_requests_and_old_evidence_are_forgotten(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        old, fresh = now() - timedelta(days=30), now() - timedelta(hours=1)
        async with db.transaction() as tx:
            for key, at in (("old", old), ("fresh", fresh)):
                tx.add(Inbound(key=key, at=at, kind="command", done_at=old))
                tx.add(Evidence(server_id=here.primary, at=at, failed=1, succeeded=0))
        await Scheduler(here.services).tick()
        async with db.read() as tx:
            assert (await tx.scalars(select(Inbound.key))).all() == ["fresh"]
            assert await tx.scalar(select(func.count()).select_from(Evidence)) == 1


async def test_old_reports_that_changed_nothing_are_forgotten_and_the_others_are_not(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.scheduler._AT_ONCE", 2)
    async with world(db, tmp_path) as here:
        campaign = await here.campaign(20)
        old, fresh = now() - timedelta(days=91), now() - timedelta(days=89)
        reports: dict[str, dict[str, object]] = {
            **{f"spent {number}": {"seen_at": old} for number in range(5)},
            "too new": {"seen_at": fresh},
            "settled an unknown one": {"before": "unknown", "after": "delivered"},
            "waits for its delivery": {"settled_at": None},
            "came back": {"kind": "bounced"},
            "given up": {"kind": "gave_up"},
            "complaint": {"kind": "complaint"},
        }
        same = {"kind": "delivered", "source": "event", "reporter": "A", "seen_at": old, "words": "", "settled_at": old}
        async with db.transaction() as tx:
            for n, (name, own) in enumerate(reports.items(), 1):
                tx.add(DeliveryReport(campaign_id=campaign, n=n, digest=name, **(same | own)))
            said = await tx.scalar(select(func.count()).select_from(Timeline))
        await Scheduler(here.services).tick()
        async with db.read() as tx:
            kept = set(await tx.scalars(select(DeliveryReport.digest)))
            assert await tx.scalar(select(func.count()).select_from(Timeline)) == said
        assert kept == {name for name in reports if not name.startswith("spent")}


async def test_a_job_that_fails_keeps_nothing_else_from_running(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        with capture_logs() as logged:
            await _one_fails(here)
        assert {entry["job"] for entry in logged if entry["log_level"] == "error"} == {"fails"}


async def _one_fails(here: World) -> None:
    done = asyncio.Event()

    async def fail() -> None:
        raise ZeroDivisionError

    async def succeed() -> None:
        done.set()

    scheduler = Scheduler(here.services)
    scheduler.jobs = (
        Job("fails", timedelta(seconds=1), fail),
        Job("works", timedelta(seconds=1), succeed),
        scheduler.jobs[2],
    )
    await scheduler.tick()
    assert done.is_set()
    done.clear()
    await scheduler.start()
    async with asyncio.timeout(20):
        await done.wait()
        done.clear()
        await done.wait()
    await scheduler.stop()


async def test_stopping_twice_or_before_the_start_is_no_error(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        scheduler = Scheduler(here.services)
        await scheduler.stop()
        await scheduler.start()
        await scheduler.stop()
        await scheduler.stop()
        assert datetime.now(UTC) > (await here.server("primary")).created_at
