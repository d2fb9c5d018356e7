"""Slack is away, slow, or says no: the mail is looked after all the same, and the thread is whole afterwards."""

from datetime import timedelta
from pathlib import Path

import pytest

from bot.demo.relays import Relay, refuse, reply
from storage.models import CampaignState
from tests.acceptance.support import Workplace, workplace


@pytest.mark.slow
async def test_slack_is_down_for_the_whole_outage(database_url: str, tmp_path: Path) -> None:
    async with workplace(tmp_path, database_url) as office, office.bot():
        assert isinstance(office.primary, Relay)
        await office.campaign(150)
        await office.type(office.maria, "/campaign start spring-sale", "spring-sale")
        await office.primary.behave(reply("rcpt", 451, "4.7.1 Greylisted, come back later", every=5))
        await office.primary.wait_for(30)

        office.slack.down()
        await office.primary.behave(refuse())
        await _all_of_it_from_the_terminal(office)
        assert [each for each in office.ops.messages if office.says(each, "primary")] == []

        office.slack.up()
        alert = await office.message("Resolved: primary", within=60)
        await office.posted()
        office.assert_in_order(
            "spring-sale is paused",
            "sysop acknowledged it",
            "sysop failed primary over to backup",
            "answers again",
            "Resend 1",
            "boss approved resend 1",
            "Resend 1 is finished",
            "sysop resolved it: the cable is back",
            thread=alert,
        )
        office.assert_no_doubles()
        await office.slack.wait_for_socket(60)
        await office.type(office.maria, "/outage list", "No outage is open")
        office.assert_nobody_twice()
        await office.assert_nobody_lost(unknown=True)


async def _all_of_it_from_the_terminal(office: Workplace) -> None:
    assert isinstance(office.primary, Relay)
    campaign_id = next(iter(office.campaigns))
    await office.state(campaign_id, CampaignState.PAUSED)
    assert "#1" in await office.terminal("/outage list")
    await office.terminal("/outage ack")
    assert "held" in await office.terminal("/campaign status spring-sale")
    await office.terminal("/server failover primary now")
    await office.state(campaign_id, CampaignState.FINISHED)
    await office.probes_see("primary")
    await office.primary.heal()

    async def answers() -> bool:
        return (await office.outages())[0].recovered_at is not None

    await office.until_so(answers, "a recovery")
    assert "Resend 1 is planned" in await office.terminal("/resend plan")
    await office.terminal("/resend approve 1", who="boss")

    async def sent_again() -> bool:
        return (await office.resends())[0].state == "finished"

    await office.until_so(sent_again, "an end of the resend")
    await office.terminal("/outage resolve the cable is back")


async def test_a_message_whose_answer_was_lost_is_there_once(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.app.SLACK_PATIENCE", timedelta(seconds=1))
    async with workplace(tmp_path, database_url) as office, office.bot():
        # The alert is taken, and the line is cut; its first reply is taken, and no answer comes; then a plain 500.
        office.slack.fault("chat.postMessage", accept_then_cut=True)
        office.slack.fault("chat.postMessage", accept_then_hang=True)
        office.slack.fault("chat.postMessage", status=500)
        await office.type(office.ben, "/outage declare primary customers miss their mail", "Outage #1 is open")
        alert = await office.message("Outage on primary")
        for update in ("first", "second", "third"):
            await office.type(office.ben, f"/outage update the {update} look", "Added")
            await office.message(f"the {update} look", thread_of=alert)
        await office.type(office.maria, "/outage resolve a false alarm", "resolved")
        await office.message("is over", thread_of=alert)
        await office.posted()

        assert len(office.slack.calls_to("chat.postMessage")) > len(office.ops.all_messages)
        assert len([each for each in office.ops.messages if office.says(each, "primary")]) == 1
        office.assert_in_order("the first look", "the second look", "the third look", "a false alarm", thread=alert)
        office.assert_no_doubles()


async def test_slack_says_when_to_come_back(database_url: str, tmp_path: Path) -> None:
    async with workplace(tmp_path, database_url) as office, office.bot():
        office.slack.fault("chat.postMessage", status=429, retry_after=3)
        await office.slack.command(office.ben, office.ops, "/outage declare primary customers miss their mail")

        async def tried() -> bool:
            return len(office.slack.calls_to("chat.postMessage")) == 1

        await office.until_so(tried, "a first try")
        first_try = office.loop_time()
        await office.message("Outage on primary")

        assert office.loop_time() - first_try >= 2.5
        assert len(office.slack.calls_to("chat.postMessage")) == 2
