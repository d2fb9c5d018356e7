"""A server returns after a failover: slowly, by a person or by policy, and not when it fails again."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from sqlalchemy import update

from bot.clock import now
from bot.errors import WrongStateError
from storage.db import Database
from storage.models import CampaignState, Health, Post, Server
from storage.ways import Ways
from tests.outage_world import BEN, MARIA, World, world

NIGHT = datetime(2026, 5, 4, 3, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NIGHT, tick=True) as moved:
        yield moved


@asynccontextmanager
async def returning(db: Database, folder: Path, **outages: Any) -> AsyncIterator[World]:
    """The primary went down and came up again; its backup carries its campaign."""
    async with world(db, folder, outages={"policy": "failover", **outages}) as here:
        await here.campaign()
        await here.ticks(2)
        await here.break_primary()
        await here.ticks(3)
        assert (await here.server("primary")).failover_to_id == here.backup
        await here.heal_primary()
        await here.ticks(3)
        yield here


async def parts(here: World) -> dict[str, float]:
    async with here.db.read() as tx:
        ways = await Ways.read(tx, now())
        return {ways.servers[way.server_id].name: round(way.part, 2) for way in ways.of(here.primary)}


async def test_a_restored_server_carries_more_and_more_of_its_mail(
    db: Database, tmp_path: Path, clock: time_machine.Traveller
) -> None:
    async with returning(db, tmp_path) as here:
        assert await parts(here) == {"backup": 1}
        result = await here.services.servers.restore(BEN, "primary")
        assert "primary is in use again and returns slowly: 5 % of its mail now, all at" in result.text
        assert "backup carries the rest. All of it at once: /server restore primary whole." in result.text
        assert await parts(here) == {"primary": 0.05, "backup": 0.95}
        clock.shift(5 * MINUTE)
        assert (await parts(here))["primary"] == pytest.approx(0.53, abs=0.02)
        status = await here.services.servers.status("primary")
        assert status.returns is not None
        assert status.returns.part == pytest.approx(0.53, abs=0.02)
        assert status.returns.source == "backup"
        [card] = await here.posts("outage:")
        await here.services.returns.tick()
        assert (await here.posts("outage:"))[0].wanted > card.wanted, "the card shows how far it is"
        with pytest.raises(WrongStateError, match="primary is returning already and carries all of its mail at"):
            await here.services.servers.restore(MARIA, "primary")

        clock.shift(5 * MINUTE)
        assert await parts(here) == {"primary": 1}
        await here.services.returns.tick()
        await here.services.returns.tick()
        assert await here.said("server.returned") == ["primary has returned: it carries all of its mail again."]
        assert result.undo is not None
        await here.services.undoing.undo(MARIA, result.undo)
        assert await parts(here) == {"backup": 1}, "what only went on by the clock is no change since"


async def test_all_of_it_may_return_at_once(db: Database, tmp_path: Path, clock: time_machine.Traveller) -> None:
    async with returning(db, tmp_path) as here:
        await here.services.servers.restore(BEN, "primary")
        result = await here.services.servers.restore(MARIA, "primary", whole=True)
        assert result.text.startswith("primary is in use again. spring-sale goes through it.")
        assert await parts(here) == {"primary": 1}


async def test_policy_restores_what_policy_failed_over_and_says_so_in_the_thread(
    db: Database, tmp_path: Path, clock: time_machine.Traveller
) -> None:
    async with returning(db, tmp_path, return_to_primary="auto", return_after=600, return_over=1200) as here:
        clock.shift(9 * MINUTE)
        await here.services.returns.tick()
        assert await parts(here) == {"backup": 1}, "it has not been well for long enough"
        await here.services.outages.resolve(MARIA, None)
        clock.shift(2 * MINUTE)
        await here.services.returns.tick()
        assert await parts(here) == {"primary": 0.05, "backup": 0.95}
        [said] = await here.said("server.restore")
        assert said.startswith(
            "primary has been well for long enough and is put back to use by policy. It returns: 5 %"
        )
        assert "Undo it with /holdfast undo" in said
        posts: list[Post] = await here.posts("timeline:")
        assert posts[-1].parent_key == "outage:1", "in the thread of its outage, though that is over"

        number = int(said.rpartition(" ")[2])
        await here.services.undoing.undo(MARIA, number)
        clock.shift(60 * MINUTE)
        await here.services.returns.tick()
        assert await parts(here) == {"backup": 1}, "what a person took back stays so"


async def test_a_persons_failover_stays_until_a_person_says_otherwise(
    db: Database, tmp_path: Path, clock: time_machine.Traveller
) -> None:
    async with world(db, tmp_path, outages={"return_to_primary": "auto"}) as here:
        await here.campaign()
        await here.ticks(2)
        await here.services.servers.failover(BEN, "primary")
        clock.shift(60 * MINUTE)
        await here.ticks(2)
        await here.services.returns.tick()
        assert await parts(here) == {"backup": 1}


async def test_a_server_that_fails_while_it_returns_gives_everything_back(
    db: Database, tmp_path: Path, clock: time_machine.Traveller
) -> None:
    async with returning(db, tmp_path, policy="failover") as here:
        await here.services.servers.restore(BEN, "primary")
        clock.shift(3 * MINUTE)
        await here.break_primary()
        assert await parts(here) == {"backup": 1}, "at once, before anything is decided"
        await here.ticks(2)
        primary = await here.server("primary")
        assert (primary.failover_to_id, primary.returning_since) == (here.backup, None)
        assert await here.said("server.return_ended") == [
            "primary failed while it returned: backup carries all of its mail again."
        ]
        assert await here.kinds("campaign.hold") == ["campaign.hold"], "only when it first went down"
        await here.heal_primary()
        clock.shift(60 * MINUTE)
        await here.services.returns.tick()
        assert await parts(here) == {"backup": 1}, "nobody said that it may return by itself"


async def test_an_outage_that_somebody_declares_ends_a_return_too(
    db: Database, tmp_path: Path, clock: time_machine.Traveller
) -> None:
    async with returning(db, tmp_path) as here:
        await here.services.outages.resolve(MARIA, None)
        await here.services.servers.restore(BEN, "primary")
        await here.services.outages.declare(BEN, "primary", "customers get nothing")
        assert await parts(here) == {"backup": 1}
        assert (await here.server("primary")).failover_to_id == here.backup
        assert await here.kinds("server.return_ended") == ["server.return_ended"]
        assert (await here.campaign_row(1)).state == CampaignState.SENDING


async def test_a_server_that_is_drained_while_it_returns_gives_everything_back(
    db: Database, tmp_path: Path, clock: time_machine.Traveller
) -> None:
    async with returning(db, tmp_path) as here:
        await here.services.servers.restore(BEN, "primary")
        drained = await here.services.servers.drain(BEN, "primary")
        assert drained.text.startswith("primary is drained. spring-sale goes on through backup.")
        assert (await here.server("primary")).failover_to_id == here.backup
        assert drained.undo is not None
        await here.services.undoing.undo(BEN, drained.undo)
        assert await parts(here) == {"primary": 0.05, "backup": 0.95}


async def test_who_carried_it_fails_in_the_middle_and_the_rest_returns_at_once(
    db: Database, tmp_path: Path, clock: time_machine.Traveller
) -> None:
    async with returning(db, tmp_path) as here:
        await here.services.servers.restore(BEN, "primary")
        async with db.transaction() as tx:
            await tx.execute(update(Server).where(Server.id == here.backup).values(health=Health.DOWN))
        assert await parts(here) == {"primary": 1}
