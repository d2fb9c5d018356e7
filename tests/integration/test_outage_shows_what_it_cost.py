"""The headline and the summary: figures from the ledger, and no data where there is none."""

from datetime import timedelta
from pathlib import Path

from sqlalchemy import update

from bot.clock import now
from storage.db import Database
from storage.models import Delivery, DeliveryStatus, Resend, ResendState, Retry
from tests.outage_world import MARIA, World, world


async def lose(here: World, campaign_id: int, *, delivered: int, failed: int, unknown: int) -> None:
    """The first deliveries of the campaign end like this, through the primary server."""
    endings = [DeliveryStatus.DELIVERED] * delivered
    endings += [DeliveryStatus.FAILED_TEMPORARY] * failed + [DeliveryStatus.UNKNOWN] * unknown
    async with here.db.transaction() as tx:
        for n, status in enumerate(endings, 1):
            await tx.execute(
                update(Delivery)
                .where(Delivery.campaign_id == campaign_id, Delivery.n == n)
                .values(
                    status=status,
                    retry=None if status == DeliveryStatus.DELIVERED else Retry.SAFE,
                    attempts=1,
                    server_id=here.primary,
                    changed_at=now(),
                )
            )


async def test_the_summary_counts_what_was_lost_and_won_back(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        sale = await here.campaign(20)
        await here.ticks(1)
        await here.break_primary(look=False)
        await here.ticks(1)
        await lose(here, sale, delivered=8, failed=4, unknown=1)
        await here.ticks(2)
        await here.services.outages.acknowledge(MARIA, None)
        await here.heal_primary()
        async with db.transaction() as tx:
            await tx.execute(
                update(Delivery)
                .where(Delivery.campaign_id == sale, Delivery.n.between(9, 11))
                .values(status=DeliveryStatus.DELIVERED, attempts=2)
            )
        await here.services.outages.resolve(MARIA, None, "switch replaced")

        summary = await here.services.outages.summary(1)
        assert summary.totals is not None
        totals = summary.totals
        assert (totals.attempted, totals.delivered, totals.queued) == (13, 11, 7)
        assert (totals.failed, totals.recovered, totals.unknown) == (5, 3, 1)
        assert (summary.servers, summary.campaigns) == (("primary",), ("spring-sale",))
        assert summary.acknowledged_at is not None
        assert summary.resolved_at is not None
        assert summary.started_at < summary.detected_at <= summary.acknowledged_at < summary.resolved_at
        assert summary.duration == (summary.recovered_at or now()) - summary.started_at
        assert summary.to_detect > timedelta(0)


async def test_without_a_campaign_there_is_no_data_rather_than_zero(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        await here.services.outages.declare(MARIA, "primary", "mail is slow")
        assert (await here.services.outages.headline(1)).totals is None
        summary = await here.services.outages.summary(1)
        assert summary.totals is None
        assert summary.to_acknowledge is None
        assert summary.duration is None


async def test_the_buttons_are_those_that_would_do_something(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        sale = await here.campaign(20)
        await here.ticks(1)
        await lose(here, sale, delivered=8, failed=4, unknown=1)
        await here.break_primary()

        async def actions() -> list[str]:
            return [each.removeprefix("outage.") for each in (await here.services.outages.headline(1)).actions]

        assert await actions() == ["acknowledge", "failover", "plan", "resolve"]
        await here.services.outages.acknowledge(MARIA, None)
        assert await actions() == ["failover", "plan", "resolve"]
        await here.heal_primary()
        assert await actions() == ["resume", "plan", "resolve"]
        async with db.transaction() as tx:
            tx.add(_plan(sale))
        headline = await here.services.outages.headline(1)
        assert (headline.resend_id, "outage.plan" in headline.actions) == (1, False)
        await here.services.outages.resume_campaigns(MARIA, None)
        await here.services.outages.resolve(MARIA, None, "")
        assert await actions() == []


async def test_the_headline_shows_the_servers_as_they_are_now(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        await here.campaign(20)
        await here.ticks(3)
        await here.break_primary()
        headline = await here.services.outages.status()
        [server] = headline.servers
        assert (server.name, server.state, server.backup, server.backup_usable) == ("primary", "down", "backup", True)
        [campaign] = headline.held
        assert (campaign.name, campaign.through, campaign.to_go) == ("spring-sale", "primary", 20)
        told = await here.services.outages.timeline()
        assert [entry.kind for entry in told.entries] == ["outage.opened", "campaign.hold"]


def _plan(campaign_id: int) -> Resend:
    return Resend(
        outage_id=1,
        state=ResendState.PLANNED,
        campaign_ids=[campaign_id],
        plan_hash="0" * 64,
        total=4,
        requested_by="maria",
        created_at=now(),
    )
