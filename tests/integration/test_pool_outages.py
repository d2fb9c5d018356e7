"""Outages, drains and windows on servers of a pool: what can go on through the others is not stopped."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from bot.clock import now
from bot.demo.relays import Relay, refuse
from bot.errors import WrongStateError
from storage.db import Database
from storage.models import Campaign, CampaignState, Health, Maintenance, MaintenanceState, OutageCampaign, Server
from storage.ways import Ways
from tests.outage_world import MARIA, World, world
from tests.seeds import add_server, state_of

POOL: dict[str, Any] = {"pool": "marketing"}


@dataclass
class Pooled:
    """The primary (with a backup outside) and a second server share a pool; the campaign names the primary."""

    world: World
    relay: Relay
    second: int
    sale: int
    news: int

    async def carriers(self, server_id: int) -> list[str]:
        async with self.world.db.read() as tx:
            return [each.name for each in (await Ways.read(tx, now())).carriers(server_id)]

    async def states(self) -> list[str]:
        return [await state_of(self.world.db, each) for each in (self.sale, self.news)]

    async def break_second(self) -> None:
        await self.relay.behave(refuse())
        await self.world.until_health("second", Health.DOWN)
        await self.world.ticks(2)


@asynccontextmanager
async def pooled(db: Database, folder: Path, **outages: Any) -> AsyncIterator[Pooled]:
    async with world(db, folder, outages=outages) as here, Relay() as relay:
        second = await add_server(db, "second", relay.port, weight=3, **POOL)
        async with db.transaction() as tx:
            await tx.execute(update(Server).where(Server.id == here.primary).values(**POOL))
        sale, news = await here.campaign(), await here.campaign(name="news")
        async with db.transaction() as tx:
            await tx.execute(update(Campaign).where(Campaign.id == news).values(server_id=second))
        await here.ticks(2)
        yield Pooled(here, relay, second, sale, news)


async def test_a_member_that_goes_down_stops_nothing_and_the_thread_says_who_goes_on(
    db: Database, tmp_path: Path
) -> None:
    async with pooled(db, tmp_path) as it:
        assert await it.carriers(it.world.primary) == ["primary", "second"]
        await it.world.break_primary()
        await it.world.ticks(2)
        assert await it.states() == ["sending", "sending"]
        assert await it.carriers(it.world.primary) == ["second"]
        assert await it.world.said("outage.goes_on") == ["news and spring-sale go on through second (pool marketing)."]
        async with db.read() as tx:
            touched = {row.campaign_id: row.held for row in await tx.scalars(select(OutageCampaign))}
        assert touched == {it.sale: False, it.news: False}
        headline = await it.world.services.outages.headline(1)
        [server] = headline.servers
        assert str(server.others) == "second (pool marketing)"
        assert "outage.failover" not in headline.actions
        assert "outage.pause" not in headline.actions

        await it.world.heal_primary()
        await it.world.ticks(2)
        [said] = await it.world.said("outage.recovered")
        assert said.endswith("primary takes its part of pool marketing again.")
        assert await it.carriers(it.world.primary) == ["primary", "second"]


async def test_the_last_member_that_goes_down_holds_what_all_of_them_send(db: Database, tmp_path: Path) -> None:
    async with pooled(db, tmp_path, on_recovery="resume") as it:
        await it.world.break_primary()
        await it.world.ticks(2)
        await it.break_second()
        assert await it.states() == ["pausing", "pausing"]
        second, first = (await it.world.outages())[::-1]
        async with db.read() as tx:
            held = set(await tx.scalars(select(Campaign.hold_outage_id)))
        assert held == {second.id}
        with pytest.raises(WrongStateError, match=r"pool marketing can take it\. primary is down"):
            await it.world.services.campaigns.resume(MARIA, "spring-sale")

        await it.world.heal_primary()  # it is not the one whose outage holds them
        await it.world.ticks(2)
        assert await it.states() == ["sending", "sending"]
        assert await it.carriers(it.second) == ["primary"]
        assert first.id != second.id


async def test_with_the_policy_failover_the_backup_takes_over_only_after_the_last_member(
    db: Database, tmp_path: Path
) -> None:
    async with pooled(db, tmp_path, policy="failover") as it:
        await it.world.break_primary()
        await it.world.ticks(2)
        assert (await it.world.server("primary")).failover_to_id is None
        await it.break_second()  # which has no backup; the primary's takes all
        assert (await it.world.server("primary")).failover_to_id == it.world.backup
        assert await it.states() == ["sending", "sending"]
        assert await it.carriers(it.second) == ["backup"]
        assert await it.world.said("outage.not_failed_over") == []


async def test_an_outage_that_somebody_declares_leaves_the_member_out(db: Database, tmp_path: Path) -> None:
    async with pooled(db, tmp_path) as it:
        plan = await it.world.services.plans.outages.declare(MARIA, "primary", "mail is lost")
        assert plan.facts == [
            f"{name} would go on through second (pool marketing)." for name in ("news", "spring-sale")
        ]
        await it.world.services.outages.declare(MARIA, "primary", "mail is lost")
        assert await it.states() == ["sending", "sending"]
        assert await it.carriers(it.world.primary) == ["second"]
        await it.world.services.outages.resolve(MARIA, None)
        assert await it.carriers(it.world.primary) == ["primary", "second"]


async def test_a_member_is_drained_without_stopping_anything_and_undone(db: Database, tmp_path: Path) -> None:
    async with pooled(db, tmp_path) as it:
        plan = await it.world.services.plans.servers.drain(MARIA, "primary")
        assert plan.facts == ["news and spring-sale would go on through second (pool marketing), 20 recipients to go."]
        result = await it.world.services.servers.drain(MARIA, "primary")
        assert result.text.startswith(
            "primary is drained. news and spring-sale go on through second (pool marketing). Undo it"
        )
        assert (await it.world.server("primary")).failover_to_id is None
        assert await it.states() == ["sending", "sending"]
        last = await it.world.services.servers.drain(MARIA, "second")
        assert last.text.startswith("second is drained. It has no backup. news and spring-sale are paused.")
        assert await it.states() == ["pausing", "pausing"]
        assert last.undo is not None
        await it.world.services.undoing.undo(MARIA, last.undo)
        assert await it.states() == ["sending", "sending"]
        assert await it.carriers(it.world.primary) == ["second"]


async def test_a_member_that_is_failed_over_gives_its_part_away(db: Database, tmp_path: Path) -> None:
    async with pooled(db, tmp_path) as it:
        result = await it.world.services.servers.failover(MARIA, "primary")
        assert result.text.startswith(
            "primary is failed over to backup, which takes its part of news and spring-sale in pool marketing."
        )
        assert await it.carriers(it.second) == ["backup", "second"]
        restored = await it.world.services.servers.restore(MARIA, "primary", whole=True)
        assert restored.text.startswith("primary is in use again. news and spring-sale go through it.")


async def test_a_window_on_a_member_holds_nothing(db: Database, tmp_path: Path) -> None:
    async with pooled(db, tmp_path) as it:
        service = it.world.services.maintenance
        proposal = await service.propose(MARIA, "primary", "in 1 minute", "1h", "a disk")
        assert proposal.collisions == ()
        at = now()
        async with db.transaction() as tx:
            soon = {"state": MaintenanceState.SCHEDULED, "starts_at": at - timedelta(seconds=1)}
            await tx.execute(update(Maintenance).values(**soon))
        await service.tick()
        assert await it.states() == ["sending", "sending"]
        assert await it.carriers(it.world.primary) == ["second"]
        async with db.read() as tx:
            assert (await tx.scalars(select(Maintenance.state))).one() == MaintenanceState.ACTIVE


async def test_lists_say_through_whom_and_how_much(db: Database, tmp_path: Path) -> None:
    async with pooled(db, tmp_path) as it:
        rows = {row.name: row for row in await it.world.services.servers.list()}
        assert [rows[name].part for name in ("backup", "primary", "second")] == [None, 0.25, 0.75]
        assert list(rows["primary"].campaigns) == list(rows["second"].campaigns) == ["news", "spring-sale"]
        status = await it.world.services.campaigns.status("spring-sale")
        assert status.through == "primary and second (pool marketing)"
        assert {row.pool for row in await it.world.services.campaigns.list()} == {"marketing"}
        await it.world.break_primary()
        rows = {row.name: row for row in await it.world.services.servers.list()}
        assert [rows[name].part for name in ("primary", "second")] == [0, 1]
        assert (await it.world.services.campaigns.status("spring-sale")).through == "second (pool marketing)"
        assert await state_of(db, it.sale) == CampaignState.SENDING
