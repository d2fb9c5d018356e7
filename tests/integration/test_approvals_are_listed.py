"""`/holdfast approvals`: what waits for a decision, for whom, until when, and the buttons to decide it."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from sqlalchemy import update

from bot.clock import now
from storage.db import Database
from storage.models import CampaignState, Delivery, Resend
from tests.command_world import ANA, GUEST, JONAS, MARIA, World, command_world

SENDER = {"sender": "Shop <shop@example.com>"}


@pytest.fixture
async def world(db: Database, tmp_path: Path) -> AsyncIterator[World]:
    async with command_world(db, tmp_path, notices=SENDER) as made:
        yield made


async def plan(world: World, name: str = "spring-sale", recipients: int = 10, lost: int = 4) -> None:
    """Maria plans a resend of what a campaign lost."""
    campaign = await world.campaign(recipients, name=name)
    await world.lose(campaign, 1, lost)
    await world.type(f"/resend plan {name}")


async def test_it_has_what_you_may_decide_first_and_says_for_whom_the_rest_is(world: World) -> None:
    await plan(world)
    await world.type("/notice draft to spring-sale: Your order mail is late.", JONAS)
    await world.type("/notice send 1", JONAS)

    said = await world.type("/holdfast approvals", MARIA)

    assert said.startswith("2 decisions wait, 1 for you.")
    assert said.index("Notice 1 to 10 recipients of spring-sale") < said.index("Resend 1: 4 messages to send again")
    assert "Your order mail is late." in said
    assert "Asked by @U0JONAS" in said
    assert "It expires in 2 h" in said
    assert "Not for you: you asked for it, so somebody else decides. For @U0JONAS or @U0ANA." in said
    theirs = await world.type("/holdfast approvals mine", GUEST)
    assert theirs.startswith("Nothing waits for you.")
    assert "needs the role approver" in await world.type("/holdfast approvals", GUEST)
    assert not world.has_buttons()


async def test_it_is_decided_where_it_is_listed(world: World) -> None:
    await plan(world)
    await world.type("/holdfast approvals", JONAS)
    value = world.button("holdfast.approve")

    said = await world.press("holdfast.approve", value, JONAS) or ""

    assert world.views[-1].instead
    assert "Resend 1 is approved: it goes out. Stop it with /resend pause 1" in said
    assert "Nothing waits for a decision." in said
    assert "🟢 approved: resend 1 by @U0JONAS" in said
    assert "sending" in await world.type("/resend list")
    await world.press_refused("holdfast.approve", value, "Already approved by <@U0JONAS>", ANA)


async def test_who_asked_cannot_decide_by_a_button_that_they_do_not_have(world: World) -> None:
    await plan(world)
    await world.type("/holdfast approvals", JONAS)
    await world.press_refused("holdfast.approve", world.button("holdfast.approve"), "somebody else must approve", MARIA)
    await world.press_refused("holdfast.approve", "resend:1", "does not say what it decides on")
    await world.press_refused("holdfast.approve", "server:1:aa", "does not say what it decides on")


async def test_a_plan_that_changed_is_not_approved_by_an_old_list(world: World) -> None:
    await plan(world)
    await world.type("/holdfast approvals", JONAS)
    old = world.button("holdfast.reject").replace(":1:", ":1:00")
    await world.press_refused("holdfast.reject", old, "has changed since that message was shown", JONAS)
    said = await world.press("holdfast.reject", world.button("holdfast.reject"), JONAS) or ""
    assert "Resend 1 is rejected: nothing of it is sent." in said
    assert "🔴 rejected: resend 1 by @U0JONAS" in said


async def test_one_per_cent_first_and_then_the_rest_waits_here_too(world: World) -> None:
    await plan(world, recipients=300, lost=200)
    await world.type("/holdfast approvals", JONAS)
    said = await world.press("holdfast.canary", world.button("holdfast.canary"), JONAS) or ""
    assert "Resend 1 is approved: its first 1 % goes out." in said
    assert "Nothing waits" in said

    async with world.db.transaction() as tx:  # the sender has sent it
        await tx.execute(update(Delivery).where(Delivery.status == "queued").values(status="delivered"))
        await tx.execute(update(Resend).values(state="paused", wish="paused"))
    said = await world.type("/holdfast approvals", JONAS)
    assert "The rest of resend 1: 198 messages of spring-sale" in said
    assert "Yes: /resend rest 1" in said
    said = await world.press("holdfast.approve", world.button("holdfast.approve"), JONAS) or ""
    assert "Resend 1 goes on. Stop it with /resend pause 1" in said


async def test_what_is_overdue_waits_for_nobody(world: World) -> None:
    with time_machine.travel("2026-03-01T02:00:00Z", tick=False) as clock:
        await plan(world)
        clock.shift(timedelta(hours=2, seconds=1))
        assert "Nothing waits for a decision." in await world.type("/holdfast approvals", JONAS)
        async with world.db.transaction() as tx:
            await world.services.approvals.expire(tx, now())
        assert "⚪ not decided in time: resend 1" in await world.type("/holdfast approvals", JONAS)


async def test_a_long_list_has_pages(world: World) -> None:
    for number in range(6):
        await plan(world, f"mailing-{number}")
    first = await world.type("/holdfast approvals", JONAS)
    assert "6 decisions wait, 6 for you." in first
    assert "Page 1 of 2: /holdfast approvals all 2" in first
    assert "mailing-5" not in first
    assert "mailing-5" in await world.type("/holdfast approvals 2", JONAS)


async def test_large_campaigns_are_listed_by_name_and_decided_there(db: Database, tmp_path: Path) -> None:
    async with command_world(db, tmp_path, approvals={"campaigns_above": 9}) as world:
        sale = await world.campaign(10, state=CampaignState.SCHEDULED)
        offer = await world.campaign(10, name="old-offer")
        await world.type("/campaign start spring-sale")
        await world.type("/campaign cancel old-offer now")

        own = await world.type("/holdfast approvals", MARIA)
        assert own.startswith("2 decisions wait, none for you.")
        assert "Not for you: you asked for it, so somebody else decides." in own
        said = await world.type("/holdfast approvals", JONAS)
        assert "Start spring-sale? It has 10 recipients" in said
        assert "Look: /campaign status spring-sale · Yes: /campaign approve spring-sale" in said
        assert "Cancel old-offer for good?" in said

        value = world.button("holdfast.approve")
        said = await world.press("holdfast.approve", value, JONAS) or ""
        assert "is being sent to 10 recipients" in said
        assert await world.state(sale) == CampaignState.SENDING
        assert "🟢 approved: start of spring-sale by @U0JONAS" in said
        said = await world.press("holdfast.reject", world.button("holdfast.reject"), JONAS) or ""
        assert "old-offer is not cancelled" in said
        assert "🔴 rejected: cancellation of old-offer by @U0JONAS" in said
        assert await world.state(offer) == CampaignState.SENDING
        await world.press_refused("holdfast.approve", value, "Already approved by <@U0JONAS>", ANA)
