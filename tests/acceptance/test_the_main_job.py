"""The main job, end to end: a relay dies, the campaign is held, the lost mail is sent again, once."""

from pathlib import Path

import pytest

from bot.demo.relays import RelayProcess, reply
from storage.models import CampaignState
from tests.acceptance.support import Workplace, buttons, figures, workplace

RECIPIENTS = 300


@pytest.mark.slow
async def test_a_relay_dies_and_everybody_gets_the_campaign_once(database_url: str, tmp_path: Path) -> None:
    async with workplace(tmp_path, database_url, own_processes=True) as office:
        said = await office.import_campaign("spring-sale", RECIPIENTS)
        assert "300 recipients, through primary" in said
        assert "line 302" in said  # the bad row, by its line
        campaign_id = next(iter(office.campaigns))
        await office.start_process()

        await office.type(office.maria, "/campaign start spring-sale", "spring-sale")
        await _the_primary_fills_up_and_dies(office)

        alert = await office.message("primary is down")
        await office.message("spring-sale is paused", thread_of=alert)
        await office.shows(alert, "held")
        assert len([each for each in office.ops.messages if office.says(each, "primary is down")]) == 1

        await office.press(office.maria, alert, "outage.acknowledge")
        await office.shows(alert, "acknowledged")
        again = await office.press(office.jonas, alert, "outage.acknowledge", stale=True)
        await office.answer(again, "Already acknowledged by @Maria")

        over = await office.press(office.maria, alert, "outage.failover")
        await office.answer(over, "backup")
        await office.state(campaign_id, CampaignState.FINISHED)
        await office.anywhere("spring-sale is finished")
        lost = (await office.counts(campaign_id))["failed_temporary"]
        assert lost > 0

        await office.probes_see("primary")
        await office.primary.start()
        await office.shows(alert, "primary answers again")

        await office.type(office.maria, "/resend plan", f"{lost} messages")
        card = await office.message("to send again", thread_of=alert)
        own = await office.press(office.maria, card, "resend.approve")
        await office.answer(own, "somebody else must approve")
        await office.press(office.jonas, card, "resend.canary")
        await office.shows(card, "the first 1 % is out")
        await office.press(office.jonas, card, "resend.rest")
        await office.shows(card, f"{lost} of {lost} recovered")

        await office.type(office.maria, "/server restore primary", "primary")
        await office.type(office.maria, "/outage resolve the disk was full", "resolved")
        summary = await office.message("is over", thread_of=alert)
        await office.shows(alert, "Resolved: primary")
        assert buttons(alert) == []
        await office.posted()

        counts, shown = await office.counts(campaign_id), figures(summary)
        assert shown["Attempted"] == str(RECIPIENTS)
        assert shown["Delivered"] == str(counts["delivered"])
        assert shown["Failed"] == str(lost + counts["unknown"])
        assert shown["Recovered by resend"] == str(lost)
        assert shown["Still unknown"] == str(counts["unknown"])
        assert shown["Still queued"] == "0"
        assert "(after" in shown["Acknowledged"]
        assert len(alert.edits) > 3
        office.assert_nobody_twice()
        await office.assert_nobody_lost(unknown=True)


async def _the_primary_fills_up_and_dies(office: Workplace) -> None:
    """Every fifth message is turned away with 452, then the process gets SIGKILL."""
    assert isinstance(office.primary, RelayProcess)
    await office.primary.wait_for(40)
    await office.primary.behave(reply("mail", 452, "4.3.1 Insufficient system storage", every=5))
    await office.primary.wait_for(100)
    await office.primary.kill()
