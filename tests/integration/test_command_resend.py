"""`/resend` and the buttons of its card, from what is typed or pressed to what is read."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import update

from bot.slack.views import resend as cards
from storage.db import Database
from storage.models import Delivery, Resend
from tests.command_world import GUEST, JONAS, MARIA, World, command_world


@pytest.fixture
async def world(db: Database, tmp_path: Path) -> AsyncIterator[World]:
    async with command_world(db, tmp_path) as made:
        campaign = await made.campaign(500)
        await made.lose(campaign, 1, 200)
        await made.lose(campaign, 1, 200)
        yield made


async def button(world: World, action: str) -> str:
    """What the button of the newest resend's card carries."""
    view = cards.card(await world.services.resends.status())
    elements = [each for block in view.blocks if block["type"] == "actions" for each in block["elements"]]
    return next(str(each["value"]) for each in elements if each["action_id"] == action)


async def stopped(world: World, state: str) -> None:
    """The sender has done what was wished of the only resend."""
    async with world.db.transaction() as tx:
        await tx.execute(update(Resend).values(state=state, wish=state))


async def test_a_plan_says_what_would_be_sent_and_how_to_take_it_back(world: World) -> None:
    said = await world.type("/resend plan spring")
    assert "Resend 1 is planned: 200 messages. Nothing is sent yet; its card is in the channel." in said
    assert "Safe to send again" in said
    assert "Approve: /resend approve 1\nIn stages: /resend approve 1 ramp\n1 % first: /resend approve 1 canary" in said
    assert "Take it back: /resend cancel 1" in said
    assert "Resend 1 is cancelled." in await world.type("/resend cancel now")


async def test_what_is_left_out_is_included_by_words(world: World) -> None:
    async with world.db.transaction() as tx:
        unknown = update(Delivery).where(Delivery.n > 490)
        await tx.execute(unknown.values(status="unknown", retry="decide"))
    assert "200 messages" in await world.type("/resend plan spring-sale")
    assert "210 messages" in await world.type("/resend plan spring-sale with unknown")
    for line in ("with refused with unknown", "with unknown and refused", "WITH unknown refused"):
        assert "210 messages" in await world.type(f"/resend plan spring-sale {line}")


async def test_the_second_person_approves_by_command(world: World) -> None:
    await world.type("/resend plan spring-sale")
    await world.refused("/resend approve 1", "You asked for this; somebody else must approve")
    said = await world.type("/resend approve #1", JONAS)
    assert said == "Resend 1 is approved and goes out. Stop it with /resend pause 1"
    await world.refused(
        "/resend approve 1", r"Already approved by <@U0JONAS> at <!date\^\d+\^{time}\|\d\d:\d\d UTC>", JONAS
    )


async def test_it_is_paused_resumed_and_cancelled_by_command(world: World) -> None:
    await world.type("/resend plan spring-sale")
    await world.type("/resend approve 1", JONAS)
    assert "Undo it with /resend resume 1" in await world.type("/resend pause")
    await stopped(world, "paused")
    assert "Go on: /resend resume 1" in await world.type("/resend status")
    assert await world.type("/resend resume 1") == "Resend 1 goes on. Undo it with /resend pause 1"
    assert "is being cancelled; its card says when it has stopped." in await world.type("/resend cancel 1 now")
    await world.refused("/resend pause 1", "Resend 1 is being cancelled")


async def test_one_per_cent_goes_first_and_then_the_rest(world: World) -> None:
    await world.type("/resend plan spring-sale")
    assert "1 % of it goes out first" in await world.type("/resend approve 1 canary", JONAS)
    await world.refused("/resend rest 1", "The canary of resend 1 is not done yet", JONAS)
    async with world.db.transaction() as tx:
        await tx.execute(update(Delivery).where(Delivery.resend_id == 1).values(status="delivered"))
    await stopped(world, "paused")
    said = await world.type("/resend status 1")
    assert "Send the rest: /resend rest 1" in said
    await world.refused("/resend rest 1", "You asked for this; somebody else must approve")
    assert "goes on with the rest" in await world.type("/resend rest 1", JONAS)


async def test_it_is_rejected_and_the_list_says_so(world: World) -> None:
    assert await world.type("/resend list") == "No resend has been planned yet: /resend plan"
    await world.type("/resend plan spring-sale")
    assert "🟡 planned  1 · 200 messages" in await world.type("/resend list")
    assert "is rejected: nothing of it is sent" in await world.type("/resend reject 1", JONAS)
    assert "⚫ rejected  1 · 200 messages" in await world.type("/resend list")


async def test_its_buttons_decide_once_on_what_was_seen(world: World) -> None:
    await world.type("/resend plan spring-sale")
    value = await button(world, "resend.approve")
    await world.press_refused("resend.approve", "1", "does not say what it decides on", JONAS)
    await world.press_refused("resend.approve", "1:another", "has changed since that message was shown", JONAS)
    await world.press_refused("resend.approve", value, "somebody else must approve", MARIA)
    await world.press_refused("resend.reject", value, "needs the role approver", GUEST)
    assert await world.press("resend.canary", await button(world, "resend.canary"), JONAS) is None
    await world.press_refused("resend.approve", value, r"Already approved by <@U0JONAS> at", JONAS)
    assert await world.press("resend.pause", await button(world, "resend.pause")) is None
    await world.press_refused("resend.pause", 1, "Resend 1 is pausing", JONAS)
    assert await world.press("resend.resume", 1) is None
    async with world.db.transaction() as tx:
        await tx.execute(update(Delivery).where(Delivery.resend_id == 1).values(status="delivered"))
    await stopped(world, "paused")
    assert await world.press("resend.rest", await button(world, "resend.rest"), JONAS) is None
    assert await world.press("resend.cancel", await button(world, "resend.cancel")) is None


async def test_its_button_rejects(world: World) -> None:
    await world.type("/resend plan spring-sale")
    assert await world.press("resend.reject", await button(world, "resend.reject"), JONAS) is None
    await world.press_refused("resend.approve", "1:x", "Already rejected by <@U0JONAS>", JONAS)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("/resend plan autumn", "There is no campaign “autumn”"),
        ("/resend plan", "There has been no outage. Name a campaign"),
        ("/resend plan #9", "There is no outage #9"),
        (
            "/resend plan spring-sale with everything",
            r"^With what: unknown or refused\? Write it like this: /resend plan",
        ),
        ("/resend plan spring-sale now", "“now” is more than that takes"),
        (
            "/resend approve",
            r"^Say the number of the resend\. Write it like this: /resend approve ID \[canary\|ramp\|whole\]$",
        ),
        ("/resend approve spring-sale", "“spring-sale” is not the number of the resend"),
        ("/resend approve 1 half", "“half” is more than that takes"),
        ("/resend status 7", r"There is no resend 7\. /resend list shows them"),
        ("/resend pause", "No resend has been planned yet"),
        ("/resend re 1", "“re” can mean reject, rest or resume"),
    ],
)
async def test_what_does_not_fit_is_refused_with_a_sentence(world: World, line: str, sentence: str) -> None:
    await world.refused(line, sentence)


async def test_who_lacks_the_role_is_told_who_has_it(world: World) -> None:
    await world.refused("/resend plan spring-sale", "needs the role responder", GUEST)
    await world.type("/resend plan spring-sale")
    await world.refused("/resend approve 1", "needs the role approver.*<@U0MARIA>", GUEST)
