"""What people ask for happens once: Slack delivers it again, two press at the same moment, a screen is old."""

import asyncio
from pathlib import Path

from bot.demo.relays import Relay, refuse
from storage.models import CampaignState
from tests.acceptance.support import buttons, workplace


async def test_a_redelivered_command_and_click_are_done_once(database_url: str, tmp_path: Path) -> None:
    async with workplace(tmp_path, database_url) as office, office.bot():
        campaign_id = await office.campaign(300)
        started = await office.slack.command(office.maria, office.ops, "/campaign start spring-sale")
        await office.answer(started, "spring-sale")
        paused = await office.slack.command(office.maria, office.ops, "/campaign pause spring-sale wrong price")
        await office.answer(paused, "spring-sale")
        await office.state(campaign_id, CampaignState.PAUSED)
        await office.type(office.maria, "/campaign resume spring-sale", "spring-sale")
        await office.state(campaign_id, CampaignState.SENDING)

        # Slack did not hear of the acks: both come once more, late.
        await office.slack.redeliver(paused)
        await office.slack.redeliver(started)
        await office.type(office.ben, "/outage declare backup it is slow", "Outage #1 is open")
        alert = await office.message("Outage on backup")
        acknowledged = await office.press(office.ben, alert, "outage.acknowledge")
        await asyncio.gather(*(office.slack.redeliver(acknowledged) for _ in range(3)))
        await office.shows(alert, "acknowledged")

        await office.state(campaign_id, CampaignState.FINISHED)
        assert len(await office.entries("campaign.pause")) == 1
        assert len(await office.entries("campaign.start")) == 1
        assert len(await office.entries("outage.acknowledged")) == 1
        assert (len(paused.responses), len(acknowledged.responses)) == (1, 0)
        await office.posted()
        office.assert_nobody_twice()
        await office.assert_nobody_lost()


async def test_of_two_people_one_is_first_and_the_other_is_told(database_url: str, tmp_path: Path) -> None:
    async with workplace(tmp_path, database_url) as office, office.bot():
        await office.type(office.ben, "/outage declare primary customers miss their mail", "Outage #1 is open")
        alert = await office.message("Outage on primary")

        both = await asyncio.gather(
            office.press(office.maria, alert, "outage.acknowledge"),
            office.press(office.jonas, alert, "outage.acknowledge"),
        )
        told = await office.until(lambda: [each for each in both if each.responses], "an answer to the second")
        assert isinstance(told, list)
        first = office.maria if both[0] not in told else office.jonas
        await office.answer(told[0], f"Already acknowledged by @{first.real_name}")
        await office.shows(alert, f"@{first.real_name}")
        assert len(await office.entries("outage.acknowledged")) == 1

        await office.press(office.ana, alert, "outage.resolve")
        await office.shows(alert, "Resolved")
        await office.posted()
        assert len([each for each in both if each.responses]) == 1


async def test_an_old_copy_of_the_message_does_nothing_twice(database_url: str, tmp_path: Path) -> None:
    async with workplace(tmp_path, database_url) as office, office.bot():
        assert isinstance(office.primary, Relay)
        campaign_id = await office.campaign(200)
        await office.type(office.maria, "/campaign start spring-sale", "spring-sale")
        await office.primary.wait_for(30)
        await office.primary.behave(refuse())
        alert = await office.message("primary is down")
        await office.message("spring-sale is paused", thread_of=alert)

        await office.press(office.maria, alert, "outage.failover")
        await office.shows(alert, "backup carries its campaigns")
        assert "outage.failover" not in buttons(alert)
        again = await office.press(office.jonas, alert, "outage.failover", stale=True)
        await office.answer(again, "already")
        await office.state(campaign_id, CampaignState.FINISHED)

        await office.press(office.maria, alert, "outage.resolve")
        await office.shows(alert, "Resolved: primary")
        late = await office.press(office.jonas, alert, "outage.resolve", stale=True)
        await office.answer(late, "was resolved by @Maria")
        too_late = await office.press(office.ben, alert, "outage.acknowledge", stale=True)
        await office.answer(too_late, "was resolved by @Maria")
        await office.posted()
        assert len(await office.entries("outage.resolved")) == 1
        office.assert_nobody_twice()
