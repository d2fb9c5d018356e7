"""To start a large campaign, or to end one for good, somebody else must say yes to exactly that."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from sqlalchemy import select, update

from bot.clock import now
from bot.demo.fakeslack import FakeSlack
from bot.errors import WrongStateError
from bot.scheduler import Scheduler
from bot.services.bundle import build
from bot.slack.cards import CARDS
from bot.slack.edge import Edge
from bot.slack.plain import plain
from commands import ACTIONS, COMMANDS
from storage.db import Database
from storage.models import Approval, CampaignState, Message, Server, Timeline
from tests.command_world import ANA, GUEST, JONAS, MARIA, World, command_world
from tests.integration.slack_support import announcing, listening, settings, web_client
from tests.seeds import add_campaign, add_server, state_of

SMALL, LARGE = 9, 10


@pytest.fixture
async def world(db: Database, tmp_path: Path) -> AsyncIterator[World]:
    async with command_world(db, tmp_path, approvals={"campaigns_above": SMALL}) as made:
        yield made


async def card(world: World, approval_id: int = 1) -> str:
    view = await CARDS["ask"](world.services, approval_id)
    assert view is not None
    return plain(view.blocks, view.text)


async def states(world: World) -> list[str]:
    async with world.db.read() as tx:
        return list(await tx.scalars(select(Approval.state).order_by(Approval.id)))


async def said(world: World) -> list[str]:
    async with world.db.read() as tx:
        return list(await tx.scalars(select(Timeline.text).order_by(Timeline.id)))


async def test_a_large_campaign_begins_when_a_second_person_says_so(world: World) -> None:
    sale = await world.campaign(LARGE, state=CampaignState.SCHEDULED)

    answer = await world.type("/campaign start spring-sale")
    assert "Nothing is sent yet. spring-sale has 10 recipients, more than 9" in answer
    shown = await card(world)
    assert "Start spring-sale?" in shown
    assert "@U0MARIA asks for it. Waits for a second person" in shown
    assert "Shop <shop@example.com>" in shown
    assert "Campaign spring-sale waits for an approval" in await world.type("/holdfast status")
    assert "@U0MARIA asks to start it" in await world.type("/campaign status spring-sale")
    await world.refused("/campaign start spring-sale", "<@U0MARIA> asked for it already at", JONAS)

    await world.refused("/campaign approve spring-sale", "You asked for this; somebody else must approve", MARIA)
    await world.refused("/campaign approve spring-sale", "needs the role approver", GUEST)
    assert await world.state(sale) == CampaignState.SCHEDULED
    assert "is being sent to 10 recipients through primary" in await world.type("/campaign approve spring-sale", JONAS)

    assert await world.state(sale) == CampaignState.SENDING
    assert "✅ spring-sale: start approved" in await card(world)
    assert (await said(world))[-1] == "<@U0JONAS> approved and started spring-sale: asked for by <@U0MARIA>"
    await world.refused("/campaign approve spring-sale", "Already approved by <@U0JONAS>", ANA)


async def test_a_dry_run_says_that_a_second_person_is_asked_and_no_question_comes_first(world: World) -> None:
    sale = await world.campaign(LARGE, state=CampaignState.SCHEDULED)
    rehearsed = await world.type("/campaign start spring-sale dry-run")
    assert "It would ask a second person to let you send spring-sale to 10 recipients through primary." in rehearsed
    assert "It may be approved by @U0JONAS and @U0ANA.\n/campaign reject spring-sale takes it back." in rehearsed
    assert await states(world) == []
    await world.type("/campaign start spring-sale")
    for typed in ("start spring-sale dry-run", "start spring-sale"):
        await world.refused(f"/campaign {typed}", "<@U0MARIA> asked for it already at", JONAS)
    await world.refused("/campaign approve spring-sale dry-run", "You asked for this; somebody else", MARIA)
    rehearsed = await world.type("/campaign approve spring-sale dry-run", JONAS)
    assert (
        "It would approve it and send spring-sale to 10 recipients through primary.\nAsked for by @U0MARIA."
        in rehearsed
    )
    assert "reject the wish of @U0MARIA to start" in await world.type("/campaign reject spring-sale dry-run", JONAS)

    rehearsed = await world.type("/campaign cancel spring-sale dry-run")
    assert "What @U0MARIA asked for, to start it, would be void." in rehearsed
    assert await states(world) == ["pending"]
    answer = await world.type("/campaign cancel spring-sale")
    assert answer.startswith("Nothing is cancelled yet.")
    assert answer.endswith("Take it back with /campaign reject spring-sale")
    assert not world.has_buttons()
    await world.refused("/campaign cancel spring-sale dry-run", "<@U0MARIA> asked for it already at", JONAS)
    assert await world.state(sale) == CampaignState.SCHEDULED

    async with world.db.transaction() as tx:
        await tx.execute(update(Approval).where(Approval.id == 2).values(plan_hash="cancel-another"))
    await world.refused("/campaign approve spring-sale dry-run", "has changed since it was asked for", JONAS)
    assert await states(world) == ["void", "pending"], "only the deed makes it void"


async def test_a_small_one_needs_nobody_else(world: World) -> None:
    sale = await world.campaign(SMALL, state=CampaignState.SCHEDULED)
    await world.type("/campaign start spring-sale")
    assert await world.state(sale) == CampaignState.SENDING
    await world.type("/campaign cancel spring-sale")
    assert await states(world) == []


async def test_a_large_one_is_ended_for_good_by_two(world: World) -> None:
    sale = await world.campaign(LARGE)
    answer = await world.type("/campaign cancel spring-sale")
    assert "To stop it meanwhile: /campaign pause spring-sale" in answer
    await world.type("/campaign pause spring-sale")
    assert "Would not get it any more" in await card(world)
    assert "This cannot be undone" in await world.type("/campaign approve spring-sale", JONAS)
    assert await world.state(sale) == CampaignState.PAUSING
    await world.refused("/campaign resume spring-sale", "is being cancelled already by <@U0JONAS>")


async def test_two_who_approve_at_the_same_moment_start_it_once(world: World) -> None:
    await world.campaign(LARGE, state=CampaignState.SCHEDULED)
    both = await asyncio.gather(
        *(world.services.campaigns.start(MARIA, "spring-sale") for _ in range(2)), return_exceptions=True
    )
    assert [type(each) for each in both].count(WrongStateError) == 1

    approved = await asyncio.gather(
        *(world.services.campaigns.approve(who, "spring-sale") for who in (JONAS, ANA)), return_exceptions=True
    )
    assert [type(each) for each in approved].count(WrongStateError) == 1
    assert len([text for text in await said(world) if "approved and started" in text]) == 1
    assert await states(world) == ["approved"]


@pytest.mark.parametrize("what", ["message", "server"])
async def test_what_changes_meanwhile_makes_it_void(world: World, what: str) -> None:
    sale = await world.campaign(LARGE, state=CampaignState.SCHEDULED)
    await world.type("/campaign start spring-sale")
    async with world.db.transaction() as tx:
        if what == "message":
            await tx.execute(update(Message).values(subject="Another price"))
        else:
            await tx.execute(update(Server).where(Server.id == world.primary).values(failover_to_id=world.backup))

    await world.refused("/campaign approve spring-sale", "has changed since it was asked for", JONAS)
    assert await world.state(sale) == CampaignState.SCHEDULED
    assert "this question is void" in await card(world)
    await world.refused("/campaign approve spring-sale", "This approval is void", JONAS)
    await world.type("/campaign start spring-sale")
    await world.type("/campaign approve spring-sale", JONAS)
    assert await world.state(sale) == CampaignState.SENDING


async def test_a_server_that_went_down_lets_the_approval_wait(world: World) -> None:
    await world.campaign(LARGE, state=CampaignState.SCHEDULED)
    await world.type("/campaign start spring-sale")
    async with world.db.transaction() as tx:
        await tx.execute(update(Server).where(Server.id == world.primary).values(health="down"))
    await world.refused("/campaign approve spring-sale", "was not started", JONAS)
    assert await states(world) == ["pending"]


async def test_nobody_who_decides_lets_it_expire(world: World) -> None:
    await world.campaign(LARGE, state=CampaignState.SCHEDULED)
    await world.type("/campaign start spring-sale")
    with time_machine.travel(now() + timedelta(hours=3), tick=False):
        await Scheduler(world.services).tick()
        assert "Nobody decided in time. Ask again: /campaign start spring-sale" in await card(world)
        await world.refused("/campaign approve spring-sale", "has expired", JONAS)
        await world.type("/campaign start spring-sale")
    assert await states(world) == ["expired", "pending"]
    assert any(text.startswith("spring-sale: Nobody approved it before") for text in await said(world))


async def test_it_is_rejected_or_taken_back(world: World) -> None:
    sale = await world.campaign(LARGE, state=CampaignState.SCHEDULED)
    await world.type("/campaign start spring-sale")
    await world.refused("/campaign reject spring-sale", "needs the role approver", GUEST)
    assert "spring-sale is not started" in await world.type("/campaign reject spring-sale", JONAS)
    await world.refused("/campaign approve spring-sale", "Already rejected by <@U0JONAS>", ANA)
    await world.type("/campaign start spring-sale")
    await world.type("/campaign reject spring-sale", MARIA)
    assert await world.state(sale) == CampaignState.SCHEDULED
    assert await states(world) == ["rejected", "rejected"]
    assert any("<@U0MARIA> took back the wish to start spring-sale" in text for text in await said(world))


async def test_to_ask_for_the_end_takes_back_the_question_of_the_start(world: World) -> None:
    await world.campaign(LARGE, state=CampaignState.SCHEDULED)
    await world.type("/campaign start spring-sale")
    asked = await world.services.campaigns.asked(1)
    old = f"{asked.campaign.id}:{asked.approval.plan_hash}"
    await world.type("/campaign cancel spring-sale", JONAS)
    assert await states(world) == ["void", "pending"]
    await world.press_refused("campaign.approve", old, "has changed since that message was shown", ANA)


async def test_it_is_asked_and_answered_by_a_button_in_the_channel(db: Database, tmp_path: Path) -> None:
    async with FakeSlack() as slack, web_client(slack) as client:
        maria, jonas = slack.add_user("maria"), slack.add_user("jonas")
        ops = slack.add_channel("email-ops")
        group = slack.add_usergroup("email-approvers", users=[maria, jonas])
        roles = {"sender": [maria.id], "approver": ["@email-approvers"]}
        services = build(db, settings(tmp_path, roles=roles, approvals={"campaigns_above": SMALL}))
        sale = await add_campaign(db, await add_server(db, "primary", 25), LARGE, state=CampaignState.SCHEDULED)
        async with announcing(services, slack, CARDS), listening(slack, Edge(services, client, COMMANDS, ACTIONS)):
            await slack.command(maria, ops, "/campaign start spring-sale")
            asked = await slack.wait_for_message(ops, "Start spring-sale?")
            assert f"<!subteam^{group.id}>" in asked.blocks[1]["text"]["text"]
            own = await slack.click(maria, asked, "campaign.approve")
            await slack.wait_for_reply(own, "You asked for this; somebody else must approve")

            group.users.remove(jonas.id)
            with time_machine.travel(now() + timedelta(seconds=61)):
                gone = await slack.click(jonas, asked, "campaign.approve")
                await slack.wait_for_reply(gone, "needs the role approver")
            assert await state_of(db, sale) == CampaignState.SCHEDULED

            group.users.append(jonas.id)
            with time_machine.travel(now() + timedelta(seconds=122)):
                await slack.click(jonas, asked, "campaign.approve")
                await slack.wait_until(lambda: "spring-sale: start approved" in slack.plain(asked))
                late = await slack.click(jonas, asked, "campaign.approve", stale=True)
                await slack.wait_for_reply(late, "Already approved by")
        slack.assert_no_violations()
