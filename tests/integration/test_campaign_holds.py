"""Holding and letting go, as the outages and the maintenance windows do it."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from bot.access import HOLDFAST, Access
from bot.clock import now
from bot.services.campaigns import Campaigns
from storage import campaigns as store
from storage import outages
from storage.db import Database
from storage.models import Campaign, CampaignState, Hold, Maintenance, Outage, Post, Timeline
from tests.seeds import add_campaign, add_server, settings_for, state_of


@pytest.fixture
def campaigns(db: Database, tmp_path: Path) -> Campaigns:
    settings = settings_for("sqlite://", tmp_path)
    return Campaigns(db, settings, Access(settings.roles, []))


async def outage_on(db: Database, *server_ids: int) -> int:
    async with db.transaction() as tx:
        outage = Outage(title="it is down", opened_by="Holdfast", started_at=now(), detected_at=now())
        return (await outages.add(tx, outage, server_ids)).id


async def window_on(db: Database, server_id: int) -> int:
    async with db.transaction() as tx:
        window = Maintenance(
            server_id=server_id,
            starts_at=now(),
            ends_at=now() + timedelta(hours=1),
            zone="UTC",
            created_by="x",
            created_at=now(),
        )
        tx.add(window)
        await tx.flush()
        return window.id


async def test_an_outage_holds_what_is_sending_in_one_entry(db: Database, campaigns: Campaigns) -> None:
    server = await add_server(db, "primary", 2525)
    ids = [await add_campaign(db, server, 1, name=name) for name in ("b", "a")]
    paused = await add_campaign(db, server, 1, name="c", state=CampaignState.PAUSED)
    outage_id = await outage_on(db, server)
    async with db.transaction() as tx:
        held = await campaigns.hold(
            tx, [*ids, paused], Hold.OUTAGE, "primary is down", now(), HOLDFAST, outage_id=outage_id
        )
    assert [each.name for each in held] == ["a", "b"]
    async with db.read() as tx:
        entries = list(await tx.scalars(select(Timeline)))
        post = (await tx.scalars(select(Post).where(Post.key == f"timeline:{entries[0].id}"))).one()
        campaign = await tx.get_one(Campaign, ids[0])
        untouched = await tx.get_one(Campaign, paused)
    assert [entry.text for entry in entries] == ["Holdfast holds a and b: primary is down"]
    assert post.parent_key == f"outage:{outage_id}"
    assert (campaign.state, campaign.wish, campaign.hold_outage_id) == ("pausing", "paused", outage_id)
    assert (untouched.state, untouched.hold) == ("paused", None)


async def test_letting_go_reaches_only_what_exactly_this_holds(db: Database, campaigns: Campaigns) -> None:
    server = await add_server(db, "primary", 2525)
    one, two, three = [await add_campaign(db, server, 1, name=name) for name in ("one", "two", "three")]
    first, second, window = await outage_on(db, server), await outage_on(db, server), await window_on(db, server)
    async with db.transaction() as tx:
        await campaigns.hold(tx, [one], Hold.OUTAGE, "x", now(), HOLDFAST, outage_id=first)
        await campaigns.hold(tx, [two], Hold.OUTAGE, "x", now(), HOLDFAST, outage_id=second)
        await campaigns.hold(tx, [three], Hold.MAINTENANCE, "x", now(), HOLDFAST, maintenance_id=window)
    async with db.transaction() as tx:
        released = await campaigns.release(tx, Hold.OUTAGE, now(), HOLDFAST, outage_id=first)
    assert [each.name for each in released] == ["one"]
    assert [await state_of(db, each) for each in (one, two, three)] == ["sending", "pausing", "pausing"]
    async with db.transaction() as tx:
        released = await campaigns.release(tx, Hold.MAINTENANCE, now(), HOLDFAST, maintenance_id=window)
        assert await campaigns.release(tx, Hold.MAINTENANCE, now(), HOLDFAST, maintenance_id=window) == []
    assert [each.name for each in released] == ["three"]
    async with db.read() as tx:
        texts = list(await tx.scalars(select(Timeline.text).order_by(Timeline.id)))
    assert texts[-1] == "Holdfast lets three go on through primary."


async def test_one_server_of_an_outage_can_be_let_go(db: Database, campaigns: Campaigns) -> None:
    north, south = await add_server(db, "north", 2525), await add_server(db, "south", 2526)
    a, b = await add_campaign(db, north, 1, name="a"), await add_campaign(db, south, 1, name="b")
    outage_id = await outage_on(db, north, south)
    async with db.transaction() as tx:
        await campaigns.hold(tx, [a, b], Hold.OUTAGE, "x", now(), HOLDFAST, outage_id=outage_id)
        await campaigns.release(tx, Hold.OUTAGE, now(), HOLDFAST, outage_id=outage_id, server_ids=[north])
    assert [await state_of(db, a), await state_of(db, b)] == ["sending", "pausing"]


async def test_a_cancellation_is_not_undone_by_the_end_of_the_outage(db: Database, campaigns: Campaigns) -> None:
    server = await add_server(db, "primary", 2525)
    campaign_id = await add_campaign(db, server, 1)
    outage_id = await outage_on(db, server)
    async with db.transaction() as tx:
        await campaigns.hold(tx, [campaign_id], Hold.OUTAGE, "x", now(), HOLDFAST, outage_id=outage_id)
    await campaigns.cancel(HOLDFAST, "spring-sale")
    async with db.transaction() as tx:
        assert await campaigns.release(tx, Hold.OUTAGE, now(), HOLDFAST, outage_id=outage_id) == []


async def test_it_knows_what_a_server_carries(db: Database, campaigns: Campaigns) -> None:
    backup = await add_server(db, "backup", 2526)
    primary = await add_server(db, "primary", 2525, failover_to_id=backup)
    await add_campaign(db, primary, 1, name="moved")
    await add_campaign(db, backup, 1, name="own")
    await add_campaign(db, backup, 1, name="later", state=CampaignState.SCHEDULED)
    async with db.read() as tx:
        assert await store.sending_through(tx, primary, now()) == []
        assert [each.name for each in await store.sending_through(tx, backup, now())] == ["moved", "own"]
        assert await store.names_by_carrier(tx, now()) == {backup: ["later", "moved", "own"]}
