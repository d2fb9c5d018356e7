"""Moving campaigns between servers: failover, drain and restore, each after a real look at the server."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from bot.access import Access, Actor
from bot.clock import now
from bot.demo.relays import Relay, refuse, reply
from bot.errors import BadInputError, NotAllowedError, WrongStateError
from bot.services import holding
from bot.services.servers import Servers
from storage import outages
from storage import servers as store
from storage.db import Database
from storage.models import CampaignState, Health, Hold, Maintenance, MaintenanceState, Outage, Post, Server, Timeline
from tests.seeds import add_campaign, add_server, settings_for, state_of

MARIA = Actor("U1", "Maria")
TOM = Actor("U2", "Tom")


@dataclass
class World:
    """A primary and its backup, both real, with their ids."""

    db: Database
    servers: Servers
    first: Relay
    second: Relay
    primary: int
    backup: int

    async def server(self, server_id: int) -> Server:
        async with self.db.read() as tx:
            found = await store.get(tx, server_id)
        assert found is not None
        return found

    async def texts(self) -> list[str]:
        async with self.db.read() as tx:
            return list(await tx.scalars(select(Timeline.text).order_by(Timeline.id)))


@pytest.fixture
async def world(db: Database, tmp_path: Path) -> AsyncIterator[World]:
    settings = settings_for("sqlite://", tmp_path, probes={"stage_timeout": 2})
    async with Relay() as first, Relay() as second:
        backup = await add_server(db, "backup", second.port, health=Health.UP)
        primary = await add_server(db, "primary", first.port, health=Health.DOWN, backup_id=backup)
        servers = Servers(db, settings, Access(settings.roles, []))
        yield World(db, servers, first, second, primary, backup)


async def hold_by_outage(world: World, campaign_id: int) -> int:
    async with world.db.transaction() as tx:
        at = now()
        outage = Outage(title="primary is down", opened_by="Holdfast", started_at=at, detected_at=at)
        await outages.add(tx, outage, [world.primary])
        await holding.hold(tx, [campaign_id], Hold.OUTAGE, "it is down", at, MARIA, outage_id=outage.id)
        await outages.touch(tx, outage.id, [campaign_id], held=True)
    return outage.id


async def window_on(world: World, server_id: int) -> int:
    at = now()
    async with world.db.transaction() as tx:
        window = Maintenance(
            server_id=server_id,
            state=MaintenanceState.ACTIVE,
            starts_at=at - timedelta(minutes=1),
            ends_at=at + timedelta(hours=1),
            zone="UTC",
            created_by="x",
            created_at=at,
        )
        tx.add(window)
        await tx.flush()
        return window.id


async def test_a_backup_takes_over_what_the_outage_holds(world: World) -> None:
    campaign_id = await add_campaign(world.db, world.primary, 2)
    person = await add_campaign(world.db, world.primary, 2, name="by-hand", state=CampaignState.PAUSED)
    outage_id = await hold_by_outage(world, campaign_id)
    result = await world.servers.failover(MARIA, "primary")
    assert (list(result.campaigns), list(result.released)) == (["by-hand", "spring-sale"], ["spring-sale"])
    assert "primary is failed over to backup" in str(result)
    assert "Undo it with /holdfast undo 1" in str(result)
    assert [await state_of(world.db, each) for each in (campaign_id, person)] == ["sending", "paused"]
    primary = await world.server(world.primary)
    assert (primary.failover_to_id, primary.failover_by) == (world.backup, "<@U1>")
    assert (await world.texts())[-2:] == [
        "<@U1> lets spring-sale go on through backup.",
        "<@U1> failed primary over to backup.",
    ]
    async with world.db.read() as tx:
        threads = set(await tx.scalars(select(Post.parent_key).where(Post.key.startswith("timeline:"))))
        card = (await tx.scalars(select(Post).where(Post.key == f"outage:{outage_id}"))).one()
    assert threads == {f"outage:{outage_id}"}
    assert card.wanted > card.posted


async def test_a_backup_that_does_not_answer_is_refused_with_the_stage(world: World) -> None:
    campaign_id = await add_campaign(world.db, world.primary, 2)
    await hold_by_outage(world, campaign_id)
    await world.second.behave(reply("greeting", 421, "4.3.2 busy", close=True))
    with pytest.raises(
        WrongStateError, match=r"primary was not failed over, since backup cannot.*421 4\.3\.2 busy at gr"
    ):
        await world.servers.failover(MARIA, "primary")
    assert (await world.server(world.primary)).failover_to_id is None
    assert await state_of(world.db, campaign_id) == "pausing"


async def test_a_backup_that_is_known_to_be_unusable_is_refused_at_once(world: World) -> None:
    async with world.db.transaction() as tx:
        await store.change(tx, world.backup, health=Health.DOWN)
    with pytest.raises(WrongStateError, match=r"backup is down\. Name another server"):
        await world.servers.failover(MARIA, "primary")
    async with world.db.transaction() as tx:
        await store.change(tx, world.backup, health=Health.UP, drained_at=now(), drained_by="<@U2>")
    with pytest.raises(WrongStateError, match="backup is drained by <@U2>"):
        await world.servers.failover(MARIA, "primary")
    async with world.db.transaction() as tx:
        await store.change(tx, world.backup, drained_at=None)
    await window_on(world, world.backup)
    with pytest.raises(WrongStateError, match="backup is in maintenance until"):
        await world.servers.failover(MARIA, "primary")


async def test_a_server_without_a_backup_needs_one_named(world: World) -> None:
    with pytest.raises(BadInputError, match=r"backup has no backup\. Name the server that takes over"):
        await world.servers.failover(MARIA, "backup")
    with pytest.raises(BadInputError, match="cannot be its own backup"):
        await world.servers.failover(MARIA, "backup", "backup")


async def test_of_two_who_fail_over_one_is_told_of_the_other(world: World) -> None:
    outcomes = await asyncio.gather(
        world.servers.failover(MARIA, "primary"), world.servers.failover(TOM, "primary"), return_exceptions=True
    )
    told = [str(each) for each in outcomes if isinstance(each, WrongStateError)]
    assert len(told) == 1, outcomes
    winner = (await world.server(world.primary)).failover_by
    assert f"failed over to backup already by {winner}" in told[0]


async def test_failover_never_makes_a_chain(world: World) -> None:
    await world.servers.failover(MARIA, "primary")
    async with Relay() as third:
        spare = await add_server(world.db, "spare", third.port, health=Health.UP)
        await add_campaign(world.db, world.primary, 2)
        result = await world.servers.failover(MARIA, "backup", "spare")
    assert list(result.campaigns) == ["spring-sale"]
    assert (await world.server(world.primary)).failover_to_id == spare
    with pytest.raises(WrongStateError, match="backup is itself carried by spare"):
        await world.servers.failover(MARIA, "primary", "backup")


async def test_two_servers_can_change_roles(world: World) -> None:
    await world.servers.failover(MARIA, "primary")
    async with world.db.transaction() as tx:
        await store.change(tx, world.primary, health=Health.UP)
    await world.servers.failover(MARIA, "backup", "primary")
    primary, backup = await world.server(world.primary), await world.server(world.backup)
    assert (primary.failover_to_id, backup.failover_to_id) == (None, world.primary)


async def test_what_maintenance_holds_goes_on_through_the_backup(world: World) -> None:
    campaign_id = await add_campaign(world.db, world.primary, 2)
    window = await window_on(world, world.primary)
    async with world.db.transaction() as tx:
        await holding.hold(tx, [campaign_id], Hold.MAINTENANCE, "new disks", now(), MARIA, maintenance_id=window)
    result = await world.servers.failover(MARIA, "primary")
    assert list(result.released) == ["spring-sale"]


async def test_restore_puts_campaigns_back_once_the_server_answers(world: World) -> None:
    await add_campaign(world.db, world.primary, 2)
    await add_campaign(world.db, world.primary, 2, name="by-hand", state=CampaignState.PAUSED)
    await world.servers.failover(MARIA, "primary")
    with pytest.raises(WrongStateError, match=r"primary was not restored\. It is down\. Repair it"):
        await world.servers.restore(MARIA, "primary")
    async with world.db.transaction() as tx:
        await store.change(tx, world.primary, health=Health.UP)
    await world.first.behave(refuse())
    with pytest.raises(WrongStateError, match=r"was not restored: connection refused at connect to 127\.0\.0\.1"):
        await world.servers.restore(MARIA, "primary")
    await world.first.heal()
    result = await world.servers.restore(MARIA, "primary", whole=True)
    assert result.text == (
        "primary is in use again. spring-sale goes through it. by-hand is still paused: /campaign resume by-hand. "
        "Undo it with /holdfast undo 2"
    )
    with pytest.raises(WrongStateError, match="primary is in use already"):
        await world.servers.restore(MARIA, "primary")


async def test_a_drained_server_hands_its_campaigns_to_its_backup(world: World) -> None:
    async with world.db.transaction() as tx:
        await store.change(tx, world.primary, health=Health.UP)
    campaign_id = await add_campaign(world.db, world.primary, 2)
    result = await world.servers.drain(MARIA, "primary")
    assert (result.carrier, list(result.moved), list(result.held)) == ("backup", ["spring-sale"], [])
    assert await state_of(world.db, campaign_id) == "sending"
    with pytest.raises(WrongStateError, match="primary is drained already by <@U1>, since"):
        await world.servers.drain(TOM, "primary")
    assert (await world.servers.status("primary")).state == "drained"
    await world.servers.restore(MARIA, "primary")
    status = await world.servers.status("primary")
    assert (status.state, status.carrier, list(status.campaigns)) == ("up", None, ["spring-sale"])


async def test_a_drained_server_without_a_healthy_backup_pauses_its_campaigns(world: World) -> None:
    campaign_id = await add_campaign(world.db, world.primary, 2)
    await world.second.behave(refuse())
    result = await world.servers.drain(MARIA, "primary")
    assert (result.carrier, list(result.held)) == (None, ["spring-sale"])
    assert "backup cannot take over: connection refused" in result.text
    assert "spring-sale is paused. Undo it with /holdfast undo 1" in result.text
    assert await state_of(world.db, campaign_id) == "pausing"


async def test_draining_a_server_that_is_failed_over_leaves_its_campaigns_where_they_are(world: World) -> None:
    async with Relay() as third:
        spare = await add_server(world.db, "spare", third.port, health=Health.UP)
        campaign_id = await add_campaign(world.db, world.primary, 2)
        await world.servers.failover(MARIA, "primary", "spare")
        result = await world.servers.drain(MARIA, "primary")
    assert (result.carrier, list(result.moved), list(result.held)) == ("spare", [], [])
    assert "What is started meanwhile goes through spare." in result.text
    assert (await world.server(world.primary)).failover_to_id == spare
    assert await state_of(world.db, campaign_id) == "sending"


async def test_draining_a_backup_moves_nothing_back_to_a_broken_primary(world: World) -> None:
    campaign_id = await add_campaign(world.db, world.primary, 2)
    await world.servers.failover(MARIA, "primary")
    result = await world.servers.drain(MARIA, "backup")
    assert list(result.held) == ["spring-sale"]
    assert "It has no backup." in result.text
    assert await state_of(world.db, campaign_id) == "pausing"


async def test_only_those_with_the_role_may(world: World, tmp_path: Path) -> None:
    settings = settings_for("sqlite://", tmp_path, roles={"responder": ["U1"]})
    servers = Servers(world.db, settings, Access(settings.roles, []))
    for act in (servers.failover, servers.drain, servers.restore):
        with pytest.raises(NotAllowedError, match="needs the role responder"):
            await act(TOM, "primary")
