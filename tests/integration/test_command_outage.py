"""`/outage` and the buttons of its card, from what is typed or pressed to what is read."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import update

from storage.db import Database
from storage.models import Server
from tests.command_world import GUEST, JONAS, MARIA, World, command_world


@pytest.fixture
async def world(db: Database, tmp_path: Path) -> AsyncIterator[World]:
    async with command_world(db, tmp_path) as made:
        yield made


async def test_an_outage_from_its_declaration_to_its_end(world: World) -> None:
    campaign = await world.campaign()
    said = await world.type("/outage declare prim customers report missing mail", GUEST)
    assert said.startswith("Outage #1 is open on primary. Held: spring-sale. Take it with /outage ack #1.")
    assert "Undo it with /outage resolve #1 TEXT and /campaign resume spring-sale" in said
    assert await world.state(campaign) == "pausing"
    assert (await world.type("/outage ack")).startswith("You have outage #1 now.")
    assert "Added to the thread of outage #1." in await world.type("/outage update ask <@U0JONAS|jonas> &amp; co")
    assert "Noted as the cause of outage #1." in await world.type("/outage cause the disk is full")
    assert "Expected to be over at " in await world.type("/outage eta in 30 min")
    said = await world.type("/outage resolve a new disk")
    assert "Outage #1 is resolved." in said
    assert "1 campaign is still paused: spring-sale" in said
    timeline = await world.type("/outage timeline")
    assert "maria" not in timeline  # people are named by mentions, which Slack draws
    for each in ("@U0JONAS & co", "named the cause: the disk is full", "resolved it: a new disk"):
        assert each in timeline
    assert "🟢 resolved  #1 primary" in await world.type("/outage list")


async def test_the_status_shows_the_card_with_commands_for_its_buttons(world: World) -> None:
    await world.campaign()
    await world.type("/outage declare primary it is slow")
    said = await world.type("/outage status")
    assert "it is slow" in said
    assert not world.has_buttons()
    assert "Take it: /outage ack #1" in said
    assert "End it: /outage resolve #1 TEXT" in said
    assert await world.type("/outage status 1") == await world.type("/outage status #1")


async def test_without_outages_the_list_says_how_to_declare_one(world: World) -> None:
    assert "Declare one with: /outage declare SERVER TEXT" in await world.type("/outage list")
    await world.refused("/outage ack", "No outage is open")


async def test_of_several_the_number_says_which(world: World) -> None:
    await world.type("/outage declare primary it is slow")
    await world.type("/outage declare backup it is slow too")
    await world.refused("/outage ack", "Several outages are open: #1 primary, #2 backup. Say which one, as #1")
    assert "outage #2" in await world.type("/outage ack #2")
    assert "outage #1" in await world.type("/outage ack 1")
    assert "outage #2" in await world.type("/outage update #2 still looking")
    assert "outage #1" in await world.type("/outage update 1 still looking")
    assert "Correct it with /outage eta #2 WHEN" in await world.type("/outage eta 2 in 2 hours")
    listed = await world.type("/outage list")
    assert listed.startswith("2 unresolved outages, the newest first")
    assert "🟠 acknowledged  #1 primary" in listed


async def test_a_text_or_a_time_may_begin_with_a_number(world: World) -> None:
    await world.type("/outage declare primary it is slow")
    await world.type("/outage update 1 of 3 disks is full")
    assert "1 of 3 disks is full" in await world.type("/outage timeline")
    await world.type("/outage declare backup it is slow too")
    await world.refused("/outage eta 1 hour", "Several outages are open")
    await world.refused("/outage update 3 disks are full", "Several outages are open")


async def test_a_quoted_or_right_to_left_text_stays_as_it_is(world: World) -> None:
    await world.type("/outage declare primary “שרת הדואר לא עונה 🔥”")
    assert "שרת הדואר לא עונה 🔥" in await world.type("/outage status")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("/outage declare", r"^Say on which server\. Write it like this: /outage declare SERVER TEXT$"),
        ("/outage declare primary", r"^Say what is wrong\."),
        ("/outage declare smtp9 gone", "There is no server “smtp9”"),
        (f"/outage declare primary {'x' * 3900}", r"That is 3,900 characters long\. Keep it to 300\."),
        ("/outage update", r"^Say what is new\. Write it like this: /outage update \[#ID\] TEXT$"),
        ("/outage resolve #1", r"^Say how it was resolved\."),
        ("/outage status one", "“one” is not the number of the outage"),
        ("/outage status #7", r"There is no outage #7\. See them with: /outage list"),
        ("/outage ack 1 please", "“please” is more than that takes"),
        ("/outage eta soon", '"soon" is no word of a time'),
        ("/outage clear", "/outage does not know “clear”"),
    ],
)
async def test_what_does_not_fit_is_refused_with_a_sentence(world: World, line: str, sentence: str) -> None:
    await world.type("/outage declare backup it is slow")
    await world.refused(line, sentence)


async def test_what_is_closed_to_others_is_refused(world: World) -> None:
    await world.type("/outage declare primary it is slow", GUEST)
    await world.type("/outage ack", GUEST)
    await world.type("/outage update it is not my fault", GUEST)
    await world.refused("/outage resolve over", "You may not resolve an outage: that needs the role responder", GUEST)


async def test_the_second_who_takes_it_is_told_of_the_first(world: World) -> None:
    await world.type("/outage declare primary it is slow")
    assert await world.press("outage.acknowledge", 1) is None
    sentence = r"Already acknowledged by <@U0MARIA> at <!date\^\d+\^{time}\|\d\d:\d\d UTC>\."
    await world.press_refused("outage.acknowledge", 1, sentence, JONAS)
    await world.refused("/outage ack", sentence, JONAS)


async def test_its_buttons_pause_fail_over_resume_and_resolve_once(world: World) -> None:
    await world.type("/outage declare primary it is slow")
    campaign = await world.campaign()
    said = await world.press("outage.pause", 1) or ""
    assert said == "Paused: spring-sale. Each is confirmed in the thread. Undo it with /holdfast undo 1\n[Undo]"
    await world.press_refused("outage.pause", 1, "Paused already: spring-sale", JONAS)
    await world.confirm(campaign)
    said = await world.press("outage.failover", 1) or ""
    assert "primary is failed over to backup" in said
    assert "Undo it with /holdfast undo" in said
    await world.press_refused("outage.failover", 1, "failed over to backup already by <@U0MARIA>", JONAS)
    assert await world.state(campaign) == "sending"
    await world.press_refused("outage.resume", 1, "Outage #1 holds no campaign")
    assert "Outage #1 is resolved." in (await world.press("outage.resolve", 1) or "")
    await world.press_refused("outage.resolve", 1, "Outage #1 was resolved by <@U0MARIA>", JONAS)


async def test_its_button_resumes_what_it_holds_when_the_server_is_back(world: World) -> None:
    campaign = await world.campaign()
    await world.type("/outage declare primary it is slow")
    await world.confirm(campaign)
    async with world.db.transaction() as tx:
        await tx.execute(update(Server).where(Server.id == world.primary).values(health="up"))
    said = await world.press("outage.resume", 1) or ""
    assert said == "spring-sale goes on. Undo it with /holdfast undo 1\n[Undo]"
    assert await world.state(campaign) == "sending"


async def test_its_button_plans_the_resend(world: World) -> None:
    campaign = await world.campaign()
    await world.type("/outage declare primary it is slow")
    await world.lose(campaign, 1, 4, outage_id=1)
    said = await world.press("outage.plan", 1) or ""
    assert "Resend 1 is planned: 4 messages. Nothing is sent yet; its card is in the thread of outage #1." in said
    assert not world.has_buttons()


@pytest.mark.parametrize("action", ["outage.acknowledge", "outage.resolve", "outage.plan"])
async def test_a_button_of_another_version_is_refused(world: World, action: str) -> None:
    await world.press_refused(action, "primary", "This button belongs to another version of Holdfast", MARIA)
