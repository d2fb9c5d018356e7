"""What is shown of campaigns: the list, the status, the estimate."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from bot.access import Access, Actor
from bot.clock import now
from bot.errors import NotFoundError
from bot.services.campaigns import Campaigns
from storage.db import Database
from storage.models import Campaign, CampaignState, Delivery, Health, SendMinute, Worker
from tests.seeds import add_campaign, add_server, settings_for

MARIA = Actor("maria", "Maria", source="terminal")


@pytest.fixture
def campaigns(db: Database, tmp_path: Path) -> Campaigns:
    settings = settings_for("sqlite://", tmp_path)
    return Campaigns(db, settings, Access(settings.roles, []))


async def test_the_list_shows_states_counts_and_servers(db: Database, campaigns: Campaigns) -> None:
    backup = await add_server(db, "backup", 2526)
    primary = await add_server(db, "primary", 2525, failover_to_id=backup)
    campaign_id = await add_campaign(db, primary, 3)
    await add_campaign(db, backup, 1, name="news", state=CampaignState.SCHEDULED)
    async with db.transaction() as tx:
        await tx.execute(
            update(Delivery).where(Delivery.campaign_id == campaign_id, Delivery.n == 1).values(status="delivered")
        )
    news, sale = await campaigns.list()
    assert (news.name, news.state, news.server, news.carrier) == ("news", "scheduled", "backup", "backup")
    assert (sale.name, sale.state, sale.server, sale.carrier) == ("spring-sale", "sending", "primary", "backup")
    assert (sale.recipients, sale.counts["delivered"], sale.counts["queued"]) == (3, 1, 2)


async def test_the_mailing_of_a_notice_is_no_campaign(db: Database, campaigns: Campaigns) -> None:
    campaign_id = await add_campaign(db, await add_server(db, "primary", 2525), 1, name="notice-1")
    async with db.transaction() as tx:
        await tx.execute(update(Campaign).where(Campaign.id == campaign_id).values(kind="notice"))
    assert await campaigns.list() == []
    with pytest.raises(NotFoundError):
        await campaigns.find("notice-1")


async def test_without_data_there_is_no_rate_and_no_estimate(db: Database, campaigns: Campaigns) -> None:
    await add_campaign(db, await add_server(db, "primary", 2525), 3)
    status = await campaigns.status("spring")
    assert (status.rate_per_minute, status.remaining, status.hold, status.obstacle) == (None, None, "", None)
    assert (status.to_go, status.sender_alive, status.outage_id) == (3, False, None)


async def test_the_estimate_follows_from_the_rate(db: Database, campaigns: Campaigns) -> None:
    server = await add_server(db, "primary", 2525)
    campaign_id = await add_campaign(db, server, 30)
    minute = now().replace(second=0, microsecond=0) - timedelta(minutes=1)
    async with db.transaction() as tx:
        tx.add(SendMinute(campaign_id=campaign_id, minute=minute, server_id=server, status="delivered", count=10))
        tx.add(Worker(id="w", host="h", pid=1, boot_id="b", journal="j", started_at=now(), seen_at=now()))
    status = await campaigns.status("spring-sale")
    assert (status.rate_per_minute, status.remaining, status.sender_alive) == (10, timedelta(minutes=3), True)


async def test_the_status_says_who_paused_it_and_why_it_cannot_go_on(db: Database, campaigns: Campaigns) -> None:
    await add_campaign(db, await add_server(db, "primary", 2525, health=Health.DOWN), 3)
    await campaigns.pause(MARIA, "spring-sale", "wrong price")
    status = await campaigns.status("spring-sale")
    assert status.hold.startswith("paused by Maria at ")
    assert status.hold.endswith("UTC>: wrong price")
    assert status.obstacle is not None
    assert status.obstacle.startswith("primary is down.")
    assert status.remaining is None


async def test_a_finished_campaign_has_no_obstacle(db: Database, campaigns: Campaigns) -> None:
    server = await add_server(db, "primary", 2525, health=Health.DOWN)
    await add_campaign(db, server, 3, state=CampaignState.FINISHED)
    assert (await campaigns.status("spring-sale")).obstacle is None
