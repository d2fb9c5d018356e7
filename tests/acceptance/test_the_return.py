"""The relay comes back by itself, and the campaign goes on through it."""

from pathlib import Path

from bot.demo.relays import Relay, refuse, reply
from storage.models import CampaignState
from tests.acceptance.support import buttons, workplace


async def test_the_campaign_goes_on_when_the_relay_is_back(database_url: str, tmp_path: Path) -> None:
    async with workplace(tmp_path, database_url) as office, office.bot():
        assert isinstance(office.primary, Relay)
        campaign_id = await office.campaign(200)
        await office.primary.behave(reply("rcpt", 451, "4.7.1 Greylisted, come back later", every=10))
        await office.type(office.maria, "/campaign start spring-sale", "spring-sale")
        await office.primary.wait_for(60)

        await office.primary.behave(refuse())
        alert = await office.message("primary is down")
        await office.message("spring-sale is paused", thread_of=alert)
        assert "outage.resume" not in buttons(alert)
        refused = await office.type(office.maria, "/campaign resume spring-sale", "stays paused")
        assert "primary" in refused
        at_rest = len(office.received())

        await office.probes_see("primary")
        await office.primary.heal()
        await office.shows(alert, "primary answers again")
        # Nothing goes on by itself: somebody decides.
        assert (await office.campaign_row(campaign_id)).state == CampaignState.PAUSED
        assert len(office.received()) == at_rest

        await office.press(office.maria, alert, "outage.resume")
        await office.state(campaign_id, CampaignState.FINISHED)
        planned = await office.press(office.maria, alert, "outage.plan")
        await office.answer(planned, "is planned")
        card = await office.message("to send again", thread_of=alert)
        await office.press(office.jonas, card, "resend.approve")
        await office.shows(card, "recovered")
        await office.press(office.maria, alert, "outage.resolve")
        await office.shows(alert, "Resolved: primary")
        await office.message("is over", thread_of=alert)
        await office.posted()

        assert len(office.backup.messages if isinstance(office.backup, Relay) else []) == 0
        office.assert_nobody_twice()
        await office.assert_nobody_lost(unknown=True)
