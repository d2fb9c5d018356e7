"""Pause means paused: the confirmation says what slipped out, nothing arrives after it, and resume completes."""

import re
from pathlib import Path

from storage.models import CampaignState
from tests.acceptance.support import workplace


async def test_everything_is_paused_while_it_is_being_sent(database_url: str, tmp_path: Path) -> None:
    async with workplace(tmp_path, database_url) as office, office.bot():
        spring = await office.campaign(300, "spring-sale")
        summer = await office.campaign(300, "summer-sale", server="backup")
        await office.type(office.maria, "/campaign start spring-sale", "spring-sale")
        await office.type(office.maria, "/campaign start summer-sale", "summer-sale")
        await office.arrived(60)

        delivery = await office.slack.command(office.ben, office.ops, "/campaign pause all the price is wrong")
        asked = await office.answer(delivery, "Pause spring-sale and summer-sale? Nothing is changed yet.")
        assert "recipients still to go, through backup and primary." in asked
        card = delivery.responses[0]
        await office.press(office.ben, card, "holdfast.confirm")
        await office.until(lambda: office.says(card, "Pausing spring-sale and summer-sale"), "what was done")
        told = {name: await office.anywhere(f"{name} is paused") for name in ("spring-sale", "summer-sale")}
        at_rest = len(office.received())
        for name, campaign_id in (("spring-sale", spring), ("summer-sale", summer)):
            said = office.slack.plain(told[name])
            sent = re.search(r"(\d+) of 300 were sent", said)
            assert sent, said
            assert int(sent[1]) == (await office.counts(campaign_id))["delivered"]
            slipped = re.search(r"(\d+) slipped out after the request", said)
            assert (await office.campaign_row(campaign_id)).slipped == (int(slipped[1]) if slipped else 0)
            assert "confirmed in" in said

        # Other things happen meanwhile, and nothing more goes out.
        await office.type(office.ben, "/campaign list", "paused")
        again = await office.type(office.ben, "/campaign pause all", "")
        assert "othing" in again or "No campaign" in again
        await office.type(office.ben, "/campaign status spring-sale", "the price is wrong")
        await office.posted()
        assert len(office.received()) == at_rest
        refused = await office.type(office.ben, "/campaign resume all", "You may not resume a campaign")
        assert "@Maria" in refused

        await office.type(office.maria, "/campaign resume all now", "spring-sale")
        await office.state(spring, CampaignState.FINISHED)
        await office.state(summer, CampaignState.FINISHED)
        await office.anywhere("summer-sale is finished: 300 of 300 delivered")
        await office.posted()
        office.assert_nobody_twice()
        await office.assert_nobody_lost()
