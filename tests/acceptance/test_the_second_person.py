"""What mails customers needs a second person, who has the right at the click, in time, for exactly this plan."""

import json
from pathlib import Path

from aiohttp import ClientSession

from bot.demo.fakeslack import Message
from bot.demo.relays import Received, Relay, reply
from bot.mail.links import Links
from storage.models import CampaignState
from tests.acceptance.support import NO_ALARM, Workplace, buttons, workplace


async def test_a_role_that_was_taken_away_counts_at_the_click(database_url: str, tmp_path: Path) -> None:
    async with workplace(tmp_path, database_url, settings=NO_ALARM) as office:
        async with office.bot():
            card = await _plan(office)
            await office.posted()

        office.settings["HOLDFAST_ROLES__APPROVER"] = json.dumps([office.ana.id])
        async with office.bot():
            refused = await office.press(office.jonas, card, "resend.approve")
            said = await office.answer(refused, "You may not approve a resend")
            assert "@Ana" in said
            assert len(office.received()) == 20

            await office.press(office.ana, card, "resend.approve")
            await office.shows(card, "20 of 20 recovered")
            await office.posted()
            office.assert_nobody_twice()
            await office.assert_nobody_lost()


async def test_an_approval_that_comes_too_late_sends_nothing(database_url: str, tmp_path: Path) -> None:
    soon = NO_ALARM | {"approvals__expires_after": "PT2S"}
    async with workplace(tmp_path, database_url, settings=soon) as office, office.bot():
        card = await _plan(office)
        await office.shows(card, "expired")
        assert buttons(card) == []

        late = await office.press(office.jonas, card, "resend.approve", stale=True)
        await office.answer(late, "has expired. Ask again with /resend plan")
        await office.anywhere("Nobody approved it before")
        await office.posted()
        assert len(office.received()) == 20
        assert [each.state for each in await office.resends()] == ["planned"]


async def test_a_plan_that_changed_cannot_be_approved_any_more(database_url: str, tmp_path: Path) -> None:
    async with workplace(tmp_path, database_url, settings=NO_ALARM) as office, office.bot() as bot:
        card = await _plan(office)
        # One of the twenty says in the meantime that they want no mail, by the link that every mail has.
        n = min(set(range(1, 41)) - {_number(message) for message in office.received()})
        token = Links([bot.settings.signing_key()]).make(next(iter(office.campaigns)), n)
        async with ClientSession() as http, http.post(f"http://127.0.0.1:{bot.http_port}/u/{token}") as page:
            assert "You are unsubscribed" in await page.text()
        await office.type(office.maria, "/resend plan spring-sale", "19 messages")

        await office.shows(card, "void")
        late = await office.press(office.jonas, card, "resend.approve", stale=True)
        await office.answer(late, "Resend 1 is void: replaced by plan 2")
        assert len(office.received()) == 20

        newer = await office.anywhere("19 messages to send again")
        await office.press(office.jonas, newer, "resend.approve")
        await office.shows(newer, "19 of 19 recovered")
        await office.posted()
        office.assert_nobody_twice()
        assert n not in {_number(message) for message in office.received()}


def _number(message: Received) -> int:
    """Of p7@example.com: 7."""
    return int(message.recipients[0].partition("@")[0].removeprefix("p"))


async def _plan(office: Workplace) -> Message:
    """Twenty of forty were turned away for now; Maria asks to send to them again. The card in the channel."""
    assert isinstance(office.primary, Relay)
    campaign_id = await office.campaign(40)
    await office.primary.behave(reply("rcpt", 451, "4.7.1 Greylisted, come back later", every=2))
    await office.type(office.maria, "/campaign start spring-sale", "spring-sale")
    await office.state(campaign_id, CampaignState.FINISHED)
    await office.primary.heal()
    await office.type(office.maria, "/resend plan spring-sale", "20 messages")
    return await office.anywhere("20 messages to send again")
