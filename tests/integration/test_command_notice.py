"""`/notice` and its buttons, from what is typed or pressed to what is read."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.slack.views import notice as cards
from storage.db import Database
from tests.command_world import GUEST, JONAS, MARIA, World, command_world


@pytest.fixture
async def world(db: Database, tmp_path: Path) -> AsyncIterator[World]:
    async with command_world(db, tmp_path) as made:
        await made.campaign()
        yield made


async def decision(world: World, action: str) -> str:
    """What the button of the newest notice's card carries."""
    view = cards.card(await world.services.notices.status())
    elements = [each for block in view.blocks if block["type"] == "actions" for each in block["elements"]]
    return next(str(each["value"]) for each in elements if each["action_id"] == action)


async def test_a_draft_shows_the_exact_text_and_the_counts(world: World) -> None:
    said = await world.type("/notice draft to spring-sale: Tom &amp; Jerry's mail is *late*.\nSorry, <3")
    assert "Tom & Jerry's mail is *late*.\nSorry, <3" in said
    assert "10, of spring-sale" in said
    assert "Ask for its approval: /notice send 1" in said
    assert world.button("notice.send") == "1"


async def test_a_draft_in_an_outage_is_for_the_customers_of_its_campaigns(world: World) -> None:
    await world.type("/outage declare primary it is slow")
    said = await world.type("/notice draft Your order mail is late.")
    assert "10, of spring-sale" in said
    assert "backup" in said
    assert "10, of spring-sale" in await world.type("/notice draft to #1: Your order mail is late.")


async def test_a_quoted_text_may_begin_as_an_address_does(world: World) -> None:
    await world.type("/outage declare primary it is slow")
    await world.type('/notice draft "to all: hello"')
    assert "\nto all: hello\n" in await world.type("/notice preview")


async def test_a_notice_goes_out_when_the_second_person_approves(world: World) -> None:
    await world.type("/notice draft to spring-sale: Your order mail is late.")
    said = await world.type("/notice send")
    assert "Notice 1 waits for somebody else's approval, by its card in the channel. Nothing is sent yet." in said
    assert "Undo it with /notice cancel 1" in said
    await world.refused("/notice send 1", "<@U0MARIA> asked for it already", JONAS)
    preview = await world.type("/notice preview 1")
    assert "Approve, as somebody else: /notice approve 1" in preview
    assert not world.has_buttons()
    await world.refused("/notice approve 1", "You asked for this; somebody else must approve")
    assert "Notice 1 is approved and goes out." in await world.type("/notice approve 1", JONAS)
    await world.refused("/notice approve 1", "Already approved by <@U0JONAS>", JONAS)
    assert "🟢 sending  1 · 0 of 10 recipients delivered" in await world.type("/notice list")
    assert "is stopping; its card says how many got it" in await world.type("/notice cancel now")
    await world.refused("/notice cancel", "cancels notice 1 already", JONAS)


async def test_its_buttons_decide_once_on_the_text_that_was_seen(world: World) -> None:
    await world.type("/notice draft to spring-sale: Your order mail is late.")
    assert "waits for somebody else's approval" in (await world.press("notice.send", world.button("notice.send")) or "")
    await world.press_refused("notice.send", 1, "asked for it already", JONAS)
    value = await decision(world, "notice.approve")
    await world.press_refused("notice.approve", 1, "does not say what it decides on", JONAS)
    await world.press_refused("notice.approve", "1:another", "has changed since", JONAS)
    await world.press_refused("notice.approve", value, "somebody else must approve", MARIA)
    assert await world.press("notice.approve", value, JONAS) is None
    await world.press_refused("notice.approve", value, "Already approved by <@U0JONAS>", JONAS)
    await world.press_refused("notice.reject", value, "Already approved by <@U0JONAS>", JONAS)


async def test_it_is_rejected_or_dropped(world: World) -> None:
    await world.type("/notice draft to spring-sale: Your order mail is late.")
    await world.type("/notice send")
    assert "is rejected: nothing is sent" in await world.type("/notice reject 1", JONAS)
    await world.type("/notice draft to spring-sale: Your order mail is late.")
    assert "is cancelled: nothing of it was sent" in (await world.press("notice.cancel", 2) or "")
    await world.refused("/notice send 2", "Notice 2 is cancelled")
    await world.type("/notice draft to spring-sale: Your order mail is late.")
    await world.type("/notice send")
    assert await world.press("notice.reject", await decision(world, "notice.reject"), JONAS) is None
    assert "⚫ rejected  3" in await world.type("/notice list")


async def test_a_text_as_long_as_slack_lets_one_type_is_shown_whole(world: World) -> None:
    said = await world.type(f"/notice draft to spring-sale: {'Mail & more. ' * 300}")
    assert said.replace("\n", "").count("Mail & more.") == 300


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("/notice draft", r"^Say what the customers should know\. Write it like this: /notice draft \[to CAMPAIGN"),
        ("/notice draft to spring-sale:", r"^Say what the customers should know"),
        ("/notice draft to autumn: hello", "There is no campaign “autumn”"),
        ("/notice draft to #9: hello", "There is no outage #9"),
        ("/notice draft hello", "No outage is open"),
        ("/notice approve", r"^Say the number of the notice\."),
        ("/notice approve one", "“one” is not the number of the notice"),
        ("/notice preview", "No notice was drafted yet"),
        ("/notice preview 3", "There is no notice 3"),
        ("/notice send 1 now", "“now” is more than that takes"),
        ("/notice publish", "/notice does not know “publish”"),
    ],
)
async def test_what_does_not_fit_is_refused_with_a_sentence(world: World, line: str, sentence: str) -> None:
    await world.refused(line, sentence)


async def test_who_lacks_the_role_is_told_who_has_it(world: World) -> None:
    await world.refused("/notice draft to spring-sale: hello", "needs the role responder", GUEST)
    await world.type("/notice draft to spring-sale: hello")
    await world.refused("/notice send 1", "needs the role sender", GUEST)
    await world.refused("/notice approve 1", "needs the role approver", GUEST)
