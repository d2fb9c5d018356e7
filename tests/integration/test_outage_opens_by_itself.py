"""A relay dies while a campaign is being sent: the outage opens, holds the campaign, and says so once."""

from datetime import timedelta
from pathlib import Path

from sqlalchemy import update

from bot.clock import now
from bot.demo.relays import reply
from storage.db import Database
from storage.models import (
    CampaignState,
    Delivery,
    DeliveryStatus,
    Health,
    Hold,
    Maintenance,
    MaintenanceState,
    OutageState,
    Retry,
    Server,
)
from tests.outage_world import MARIA, world


async def test_three_failed_probes_open_an_outage_and_hold_the_campaign(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        sale = await here.campaign()
        elsewhere = await here.campaign(name="newsletter", on_backup=True)
        await here.ticks(1)
        await here.break_primary(look=False)
        before = now()
        await here.ticks(2)
        assert (await here.server("primary")).health == Health.SUSPECTED
        assert await here.outages() == []
        await here.ticks(1)

        [outage] = await here.outages()
        assert outage.title == "primary is down"
        assert outage.state == OutageState.OPEN
        assert outage.stage == "connect"
        assert "refused" in (outage.reply or "")
        assert before <= outage.started_at < outage.detected_at
        campaign = await here.campaign_row(sale)
        assert (campaign.state, campaign.wish) == (CampaignState.PAUSING, CampaignState.PAUSED)
        assert (campaign.hold, campaign.hold_outage_id) == (Hold.OUTAGE, outage.id)
        assert (await here.campaign_row(elsewhere)).state == CampaignState.SENDING


async def test_it_is_announced_by_one_card_and_told_in_its_thread(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        await here.campaign()
        await here.break_primary()
        await here.ticks(5)

        [card] = await here.posts("outage:")
        assert (card.key, card.parent_key) == ("outage:1", None)
        assert {post.parent_key for post in await here.posts("timeline:")} == {"outage:1"}
        entries = [entry for entry in await here.entries() if entry.outage_id]
        assert [entry.kind for entry in entries] == ["outage.opened", "campaign.hold"]
        assert entries[0].text.startswith("primary is down: ")
        assert "connection refused" in entries[0].text


async def test_one_failure_opens_nothing(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        await here.ticks(1)
        await here.relay.behave(reply("greeting", 421, "4.3.2 busy", times=2))
        await here.ticks(6)
        assert (await here.server("primary")).health == Health.UP
        assert await here.outages() == []


async def test_the_outage_keeps_the_reply_that_failed_first(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        await here.relay.behave(reply("greeting", 421, "4.3.2 busy"))
        await here.until_health("primary", Health.DOWN)
        await here.relay.behave(reply("greeting", 554, "5.3.2 no"))
        await here.ticks(2)
        [outage] = await here.outages()
        assert (outage.stage, outage.code) == ("greeting", 421)
        headline = await here.services.outages.headline(outage.id)
        assert headline.servers[0].code == 554


async def test_what_was_lost_before_it_was_noticed_belongs_to_it(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        sale = await here.campaign(4)
        await here.ticks(1)
        await here.break_primary(look=False)
        await here.ticks(1)
        async with db.transaction() as tx:
            lost = {"status": DeliveryStatus.FAILED_TEMPORARY, "retry": Retry.SAFE, "server_id": here.primary}
            await tx.execute(
                update(Delivery).where(Delivery.campaign_id == sale, Delivery.n <= 2).values(**lost, changed_at=now())
            )
        await here.until_health("primary", Health.DOWN)
        await here.ticks(1)
        totals = (await here.services.outages.headline(1)).totals
        assert totals is not None
        assert totals.failed == 2


async def test_what_was_written_down_while_it_opened_belongs_to_it_too(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        sale = await here.campaign(4)
        await here.break_primary()
        async with db.transaction() as tx:
            lost = {"status": DeliveryStatus.FAILED_TEMPORARY, "retry": Retry.SAFE, "server_id": here.primary}
            await tx.execute(
                update(Delivery).where(Delivery.campaign_id == sale, Delivery.n == 1).values(**lost, changed_at=now())
            )
        await here.ticks(1)
        totals = (await here.services.outages.headline(1)).totals
        assert totals is not None
        assert totals.failed == 1


async def test_it_recovers_and_keeps_the_campaign_held_for_a_person(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        sale = await here.campaign()
        await here.break_primary()
        await here.heal_primary()
        await here.ticks(3)

        [outage] = await here.outages()
        assert outage.state == OutageState.MONITORING
        assert outage.recovered_at is not None
        [told] = await here.said("outage.recovered")
        assert told.startswith("primary answers again")
        assert "1 campaign is still held" in told
        assert (await here.campaign_row(sale)).hold == Hold.OUTAGE

        result = await here.services.outages.resume_campaigns(MARIA, None)
        assert result.campaigns == ("spring-sale",)
        assert (await here.campaign_row(sale)).state == CampaignState.SENDING


async def test_the_settings_can_let_campaigns_go_on_by_themselves(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path, outages={"on_recovery": "resume"}) as here:
        sale = await here.campaign()
        await here.break_primary()
        await here.heal_primary()
        assert (await here.campaign_row(sale)).state == CampaignState.SENDING
        assert "1 campaign goes on by policy" in (await here.said("outage.recovered"))[0]


async def test_down_again_before_it_is_resolved_is_the_same_outage(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path, outages={"on_recovery": "resume"}) as here:
        sale = await here.campaign()
        await here.break_primary()
        await here.services.outages.acknowledge(MARIA, None)
        await here.heal_primary()
        await here.break_primary()

        [outage] = await here.outages()
        assert (outage.state, outage.recurrences) == (OutageState.OPEN, 1)
        assert outage.recovered_at is None
        assert (await here.campaign_row(sale)).hold == Hold.OUTAGE
        [told] = await here.said("outage.recurred")
        assert "down again" in told
        assert len(await here.posts("outage:")) == 1
        broadcast = [post.key for post in await here.posts("timeline:") if post.broadcast]
        assert len(broadcast) == 1  # down again; that it was back stands in the thread


async def test_a_flapping_server_is_one_outage(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path, probes={"successes_to_close": 1}) as here:
        for _ in range(4):
            await here.break_primary()
            await here.relay.heal()
            await here.ticks(2)
        assert len(await here.outages()) == 1
        assert len(await here.posts("outage:")) == 1


async def test_policy_tell_touches_no_campaign(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path, outages={"policy": "tell"}) as here:
        sale = await here.campaign()
        await here.break_primary()
        assert (await here.campaign_row(sale)).state == CampaignState.SENDING
        assert "none was paused" in (await here.said("outage.told"))[0]
        assert [each.name for each in (await here.services.outages.headline(1)).campaigns] == ["spring-sale"]


async def test_policy_failover_moves_the_campaign_to_the_backup(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path, outages={"policy": "failover"}) as here:
        sale = await here.campaign()
        await here.ticks(1)
        await here.break_primary()
        assert (await here.server("primary")).failover_to_id == here.backup
        assert (await here.campaign_row(sale)).state == CampaignState.SENDING
        [campaign] = (await here.services.outages.headline(1)).campaigns
        assert campaign.through == "backup"


async def test_policy_failover_holds_when_the_backup_is_gone_too(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path, outages={"policy": "failover"}) as here:
        sale = await here.campaign()
        await here.ticks(1)
        await here.backup_relay.stop()
        await here.break_primary()
        assert (await here.server("primary")).failover_to_id is None
        assert (await here.campaign_row(sale)).hold == Hold.OUTAGE
        [told] = await here.said("outage.not_failed_over")
        assert "backup" in told
        assert "1 campaign stays held" in told


async def test_a_server_in_maintenance_is_recorded_and_opens_nothing(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        async with db.transaction() as tx:
            tx.add(_window(here.primary))
        await here.break_primary()
        await here.ticks(3)
        server = await here.server("primary")
        assert server.last_stage == "connect"
        assert await here.outages() == []


async def test_a_server_that_is_down_when_its_window_ends_opens_an_outage(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        async with db.transaction() as tx:
            tx.add(_window(here.primary))
        await here.break_primary()
        async with db.transaction() as tx:
            await tx.execute(update(Maintenance).values(ends_at=now(), state=MaintenanceState.ENDED))
        await here.ticks(1)
        assert [outage.title for outage in await here.outages()] == ["primary is down"]


async def test_a_drained_server_opens_nothing(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        async with db.transaction() as tx:
            await tx.execute(update(Server).where(Server.id == here.primary).values(drained_at=now(), drained_by="x"))
        await here.break_primary()
        await here.ticks(1)
        assert await here.outages() == []


async def test_one_that_was_resolved_while_the_server_is_down_opens_again_only_after_it_was_up(
    db: Database, tmp_path: Path
) -> None:
    async with world(db, tmp_path) as here:
        await here.break_primary()
        result = await here.services.outages.resolve(MARIA, None, "moved for good")
        assert "primary is still down" in result.text
        await here.ticks(3)
        assert len(await here.outages()) == 1
        await here.heal_primary()
        await here.break_primary()
        assert [outage.state for outage in await here.outages()] == [OutageState.RESOLVED, OutageState.OPEN]


def _window(server_id: int) -> Maintenance:
    return Maintenance(
        server_id=server_id,
        state=MaintenanceState.ACTIVE,
        starts_at=now() - timedelta(minutes=5),
        ends_at=now() + timedelta(hours=1),
        zone="UTC",
        created_by="maria",
        created_at=now() - timedelta(hours=2),
    )
