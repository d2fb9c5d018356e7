"""Bad days: a locked database, a disk that takes nothing more, relays that fall silent at every stage."""

import asyncio
import contextlib
import resource
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import select

from bot.demo.fakeslack import Message
from bot.demo.relays import Relay, Stage, hang, refuse
from bot.services.words import stage_name
from storage.models import CampaignState, Evidence, Server
from tests.acceptance.running import PATIENCE
from tests.acceptance.support import Workplace, workplace

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
STAGES: tuple[Stage, ...] = ("greeting", "ehlo", "mail", "rcpt", "data", "dot")


@pytest.mark.slow
@ON_SQLITE
async def test_another_program_locks_the_database_during_the_outage(database_url: str, tmp_path: Path) -> None:
    async with workplace(tmp_path, database_url) as office, office.bot():
        assert isinstance(office.primary, Relay)
        campaign_id = await office.campaign(200)
        await office.type(office.maria, "/campaign start spring-sale", "spring-sale")
        await office.primary.wait_for(40)
        path = tmp_path / "holdfast.db"
        with contextlib.closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
            # In a thread: the bot of this process may be in the middle of a transaction, and ends it meanwhile.
            await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")
            await office.primary.behave(refuse())
            said = await office.type(office.ben, "/outage declare primary customers miss their mail", "locked")
            assert "Nothing was changed; try again" in said
            other.execute("ROLLBACK")

        alert = await office.message("primary is down")
        await office.message("spring-sale is paused", thread_of=alert)
        await office.press(office.maria, alert, "outage.failover")
        await office.state(campaign_id, CampaignState.FINISHED)
        await office.posted()
        assert len(await office.outages()) == 1
        office.assert_nobody_twice()


@pytest.mark.slow
@ON_SQLITE
async def test_the_disk_takes_nothing_more_while_a_campaign_is_sent(database_url: str, tmp_path: Path) -> None:
    async with workplace(tmp_path, database_url) as office:
        office.expected_errors = ("the ledger cannot be written; sending stops until it can",)
        await office.start_process()
        campaign_id = await office.campaign(300)
        await office.type(office.maria, "/campaign start spring-sale", "spring-sale")
        await office.arrived(50)
        sender = await office.sender_pid()
        # No file of the sender may grow beyond what SQLite's log has now: its next write fails for real.
        _, hard = resource.prlimit(sender, resource.RLIMIT_FSIZE)
        resource.prlimit(sender, resource.RLIMIT_FSIZE, ((tmp_path / "holdfast.db-wal").stat().st_size, hard))

        async def told() -> bool:
            return "The disk of the database reports an error" in office.log.read_text()

        await office.until_so(told, "a word about the disk in the log")
        counts = await office.counts(campaign_id)
        resource.prlimit(sender, resource.RLIMIT_FSIZE, (hard, hard))

        await office.state(campaign_id, CampaignState.FINISHED)
        await office.anywhere("spring-sale is finished")
        assert counts["queued"] > 0
        assert await office.sender_pid() == sender  # it lived through it
        office.assert_nobody_twice()
        await office.assert_nobody_lost()


@pytest.mark.slow
@ON_SQLITE
async def test_relays_fall_silent_at_every_stage(database_url: str, tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        relays = {stage: await stack.enter_async_context(Relay()) for stage in STAGES}
        hasty = {
            "sending__command_timeout": "1.5",
            "sending__dot_timeout": "0.5",
            "sending__settle_timeout": "0.5",
            "probes__sending_failures_to_open": "10",
        }
        office = await stack.enter_async_context(workplace(tmp_path, database_url, settings=hasty))
        for stage, relay in relays.items():
            name = f"HOLDFAST_SERVERS__SILENT-{stage.upper()}"
            office.settings[f"{name}__HOST"] = relay.host
            office.settings[f"{name}__PORT"] = str(relay.port)
            office.settings[f"{name}__RATE_PER_SECOND"] = "50"
        await stack.enter_async_context(office.bot())
        campaigns = {}
        for stage, relay in relays.items():
            campaigns[stage] = await office.campaign(500, f"mail-{stage}", server=f"silent-{stage}")
            await office.type(office.maria, f"/campaign start mail-{stage}", f"mail-{stage}")
            await relay.wait_for(10)
            await relay.behave(hang(stage))

        for stage, relay in relays.items():
            alert = await office.message(f"silent-{stage} is down", within=PATIENCE)
            seen = f"at {stage_name(stage)}" in _failed(office, alert)
            assert seen or stage in await _stages_of_failures(office, f"silent-{stage}")
            await office.message(f"mail-{stage} is paused", thread_of=alert, within=PATIENCE)
            counts = await office.counts(campaigns[stage])
            # A reply that came after half a second on a busy machine counts as none.
            assert 0 <= len(relay.messages) - counts["delivered"] <= counts["unknown"]
            assert sum(counts.values()) == 500
        await office.posted()
        assert len(await office.outages()) == len(STAGES)


async def _stages_of_failures(office: Workplace, server: str) -> set[str | None]:
    """Where sending saw this server fail: the headline has the last failure alone, on a busy machine another one."""
    async with office.db.read() as tx:
        query = select(Evidence.stage).join(Server, Server.id == Evidence.server_id).where(Server.name == server)
        return set(await tx.scalars(query))


def _failed(office: Workplace, alert: Message) -> str:
    """The line of the headline that says what failed."""
    return next(line for line in office.slack.plain(alert).splitlines() if line.startswith("Failed:"))
