"""What is pressed in a home tab is done once, by those who may, and answered in the tab itself."""

from pathlib import Path

import pytest
from sqlalchemy import update

import commands
from bot.clock import now
from bot.demo.fakeslack.workspace import interactive
from bot.errors import BadInputError
from bot.services.home import NEEDS, NOTE_FOR
from bot.slack.call import Click
from bot.slack.views import home as views
from storage.db import Database
from storage.models import Campaign, CampaignState, Delivery, Health, HomeTab
from tests.gallery import home
from tests.integration.home_support import Workspace, workspace
from tests.seeds import add_campaign, add_server, state_of


async def outage(here: Workspace) -> tuple[int, int]:
    """An outage that nobody has, and the campaign that it holds."""
    server = await add_server(here.db, "primary", 2525, health=Health.UP, health_since=now())
    campaign = await add_campaign(here.db, server, 10)
    opened = await here.services.outages.declare(here.actor(here.guest), "primary", "customers miss mail")
    return opened.outage.id, campaign


async def planned(here: Workspace) -> int:
    """A resend of three messages that Maria asked for."""
    server = await add_server(here.db, "primary", 2525, health=Health.UP, health_since=now())
    campaign = await add_campaign(here.db, server, 10)
    async with here.db.transaction() as tx:
        await tx.execute(update(Campaign).values(state="finished", wish="finished"))
        ledger = update(Delivery).where(Delivery.campaign_id == campaign)
        await tx.execute(ledger.values(status="delivered", attempts=1, server_id=server, changed_at=now()))
        await tx.execute(ledger.where(Delivery.n <= 3).values(status="failed_temporary", retry="safe", code=451))
    return (await here.services.resends.plan(here.actor(here.maria), "spring-sale")).id


async def test_of_two_who_acknowledge_the_first_has_it_and_the_second_is_told(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        number, _ = await outage(here)
        await here.open(here.maria)
        before = await here.open(here.jonas)
        await here.until(here.jonas, "[Acknowledge]")
        stale = before.data["blocks"]

        await here.press(here.maria, "Acknowledge", f"outage:{number}")
        seen = await here.until(here.maria, "Done: Acknowledge.")
        assert "@Maria has it" in seen
        assert "[Acknowledge]" not in seen

        await here.until(here.jonas, "@Maria has it")
        before.data = {**before.data, "blocks": stale}  # his screen is a moment behind
        await here.press(here.jonas, "Acknowledge", f"outage:{number}", on=before)
        seen = await here.until(here.jonas, "Already acknowledged")
        assert seen.index("Already acknowledged by @Maria") < seen.index(f"Outage #{number}")
        entries = await here.services.outages.timeline(number)
        assert [entry.kind for entry in entries.entries].count("outage.acknowledged") == 1


async def test_buttons_are_for_those_who_may_and_a_refusal_stands_in_the_tab(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        number, campaign = await outage(here)
        as_maria = await here.open(here.maria)
        await here.until(here.maria, "[Resolve]")
        await here.open(here.guest)

        assert "[Acknowledge]" in await here.until(here.guest, "nobody has it")
        assert "[Resolve]" not in here.sees(here.guest)
        assert "[Resume campaigns]" not in here.sees(here.guest)

        await here.press(here.guest, "Resolve", f"outage:{number}", on=as_maria)  # a role that was taken away since
        assert "You may not resolve an outage" in await here.until(here.guest, "needs the role responder")
        assert await state_of(db, campaign) == "pausing"
        assert here.slack.ephemerals(here.guest) == []


async def test_somebody_of_another_workspace_looks_and_no_more(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        await outage(here)
        here.guest.team_id = "T0ELSEWHERE"
        await here.open(here.guest)

        seen = await here.until(here.guest, "nobody has it")
        assert "You are from another workspace, so you may look and no more." in seen
        assert "[" not in seen


async def test_an_answer_is_gone_when_the_tab_is_opened_again(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        number, _ = await outage(here)
        await here.open(here.maria)
        await here.until(here.maria, "[Acknowledge]")
        await here.press(here.maria, "Acknowledge", f"outage:{number}")
        await here.until(here.maria, "Done: Acknowledge.")

        await here.open(here.maria)
        await here.slack.wait_until(lambda: "Done:" not in here.sees(here.maria), what="a tab without the answer")

        house = await here.services.home.house()
        tab = HomeTab(user_id=here.maria.id, note={"text": "Done.", "blocks": []}, noted_at=house.at - NOTE_FOR)
        assert here.services.home.seen_by(here.actor(here.maria), house, tab).note is None, "nor for ever without that"


async def test_a_decision_waits_for_the_second_person_and_shows_what_it_is_about(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        number = await planned(here)
        for each in (here.maria, here.jonas, here.guest):
            await here.open(each)

        seen = await here.until(here.jonas, f"Resend {number} waits for your decision")
        assert "3 messages to send again" in seen
        assert "[Approve]" in seen
        for each in (here.maria, here.guest):
            assert "1 approval waits for other people" in await here.until(each, "other people")
            assert "[Approve]" not in here.sees(each)

        await here.press(here.jonas, "Approve", f"resend:{number}")

        seen = await here.until(here.jonas, "Done: Approve.")
        assert f"Resend {number} of 3 messages is going out · hardly begun" in seen
        assert "[Pause]" in seen
        await here.press(here.jonas, "Pause", f"resend:{number}")
        await here.until(here.maria, "is stopping")


async def test_a_large_campaign_waits_in_the_tab_of_the_second_person(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path, approvals={"campaigns_above": 9}) as here:
        server = await add_server(db, "primary", 2525, health=Health.UP, health_since=now())
        sale = await add_campaign(db, server, 10, state=CampaignState.SCHEDULED)
        await here.services.campaigns.start(here.actor(here.maria), "spring-sale")
        for each in (here.maria, here.jonas):
            await here.open(each)

        seen = await here.until(here.jonas, "The start of spring-sale waits for your decision")
        assert "Shop <shop@example.com>" in seen
        assert "1 approval waits for other people" in await here.until(here.maria, "other people")
        assert "[Approve and start]" not in here.sees(here.maria)

        await here.press(here.jonas, "Approve and start", f"campaign:{sale}")

        await here.until(here.jonas, "Done: Approve and start.")
        assert await state_of(db, sale) == CampaignState.SENDING


async def test_what_was_pressed_is_taken_back_in_the_tab(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path, roles={"responder": ["*"]}) as here:
        await add_server(db, "primary", 2525, health=Health.UP, health_since=now())
        maria = here.actor(here.maria)
        proposed = await here.services.maintenance.propose(maria, "primary", "tomorrow 02:00", "2h", "disks")
        await here.services.maintenance.confirm(maria, proposed.window.id)
        await here.open(here.maria)
        await here.until(here.maria, "[Call off]")
        await here.press(here.maria, "Call off")
        await here.until(here.maria, "[Undo]")

        await here.press(here.maria, "Undo")

        assert "[Undo]" not in await here.until(here.maria, "Undone.")
        assert "[Call off]" in await here.until(here.maria, "Maintenance of primary")


async def test_a_campaign_is_paused_and_let_go_on_in_the_tab(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        server = await add_server(here.db, "primary", 2525, health=Health.UP, health_since=now())
        campaign = await add_campaign(here.db, server, 10)
        await here.open(here.maria)
        await here.until(here.maria, "spring-sale is being sent")
        await here.press(here.maria, "Pause", "campaign:spring-sale")
        await here.until(here.maria, "paused by @Maria")
        seen = await here.until(here.maria, "[Undo]")
        assert await state_of(here.db, campaign) == CampaignState.PAUSING
        assert "/campaign resume spring-sale" not in seen, "there is a button for it"

        await here.open(here.guest)
        seen = await here.until(here.guest, "paused by @Maria")
        assert "[Resume]" not in seen
        assert "/campaign resume spring-sale" in seen

        await here.press(here.maria, "Resume", "campaign:spring-sale")
        await here.until(here.maria, "spring-sale is being sent")
        assert await state_of(here.db, campaign) == CampaignState.SENDING


async def test_a_button_without_a_campaign_changes_none(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        for value in ("", "all"):
            click = Click(actor=here.actor(here.maria), action="campaign.pause", value=value)
            with pytest.raises(BadInputError, match="does not say which campaign"):
                await commands.ACTIONS["campaign.pause"](here.services, click)


async def test_every_button_of_the_tab_has_a_handler() -> None:
    drawn = [*home.STATES.values(), *(each[0] for each in home.ANSWERS.values())]
    made = [element for shown in drawn for block in views.tab(shown) for element in interactive(block)]
    assert {each["action_id"] for each in made} <= commands.ACTIONS.keys()
    assert {each["action_id"] for each in made} >= NEEDS.keys() - {"notice.cancel"}


async def test_a_notice_is_decided_on_where_all_of_its_text_stands(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        await add_server(db, "backup", 2526, health=Health.UP, health_since=now())
        await outage(here)
        text = "Your order mail is late.\n" + "We are sorry about that. " * 150
        notice = await here.services.notices.draft(here.actor(here.maria), text)
        await here.services.notices.request(here.actor(here.maria), notice.id)
        await here.open(here.jonas)

        seen = await here.until(here.jonas, f"Notice {notice.id} to 10 recipients")
        assert seen.count("We are sorry about that.") == 150
        await here.press(here.jonas, "Reject", f"notice:{notice.id}")

        await here.until(here.jonas, "Done: Reject.")
        assert (await here.services.notices.status(notice.id)).notice.state == "rejected"


async def test_a_button_that_says_more_than_it_is_done_says_it_in_the_tab(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        number, _ = await outage(here)
        await here.open(here.maria)
        await here.until(here.maria, "[Resolve]")

        await here.press(here.maria, "Resolve", f"outage:{number}")

        assert f"Outage #{number} is resolved." in await here.until(here.maria, "/campaign resume")
