"""Who joins an outage late sees it on one screen: what, since when, who, what was done, what waits, what to do."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.clock import now
from bot.services.catching_up import LINES, most_important
from storage.db import Database
from storage.models import Timeline
from tests.command_world import GUEST, JONAS, MARIA, World, command_world


@pytest.fixture
async def world(db: Database, tmp_path: Path) -> AsyncIterator[World]:
    async with command_world(db, tmp_path) as made:
        yield made


async def test_an_outage_under_way_from_both_ends(world: World) -> None:
    campaign = await world.campaign()
    await world.type("/outage declare primary customers report missing mail", JONAS)
    fresh = await world.type("/outage catchup", GUEST)
    assert fresh.startswith("🔴 Outage #1 on primary for ")
    assert "Who has it: nobody yet" in fresh
    assert "take it: /outage ack #1" in fresh
    assert "end it" not in fresh  # a guest may not, so it is not offered

    await world.type("/outage ack", MARIA)
    await world.type("/outage cause the disk is full")
    await world.type("/outage eta in 30 min")
    await world.lose(campaign, 1, 4, outage_id=1)
    await world.type("/resend plan #1")

    said = await world.type("/outage catchup #1", JONAS)
    assert "Hit: 1 campaign, 1 held: spring-sale" in said
    assert "4 messages lost" in said
    assert "Who has it: @U0MARIA, since" in said
    assert "Cause: the disk is full" in said
    assert "Back: expected" in said
    assert "named the cause: the disk is full" in said
    assert "Resend 1, 4 messages, until" in said
    assert "you may decide: /holdfast approvals" in said
    assert "end it: /outage resolve #1 TEXT" in said
    assert "take it" not in said
    assert not world.has_buttons()
    assert "somebody else decides: /holdfast approvals" in await world.type("/outage catchup", MARIA)


async def test_the_button_of_the_card_answers_who_pressed_it(world: World) -> None:
    await world.type("/outage declare primary it is slow")
    said = await world.press("outage.catchup", 1, GUEST) or ""
    assert said.startswith("🔴 Outage #1 on primary for ")
    assert "only you see this" in said
    assert "Hit: no campaign was being sent" in said


async def test_a_resolved_one_says_what_it_cost(world: World) -> None:
    campaign = await world.campaign()
    await world.type("/outage declare primary it is slow")
    await world.lose(campaign, 1, 4, outage_id=1)
    await world.type("/outage resolve a new disk")
    said = await world.type("/outage catchup", JONAS)
    assert said.startswith("🟢 Outage #1 on primary is over; it lasted")
    assert "Resolved by: a new disk" in said
    assert "4 messages lost" in said
    assert "send again what was lost: /resend plan #1" in said
    assert "Back:" not in said
    assert "/outage update" not in said


async def test_without_an_outage_it_says_so(world: World) -> None:
    await world.refused("/outage catchup", "No outage is open")


def test_of_a_long_night_the_five_lines_that_matter_are_kept_in_order() -> None:
    kinds = [
        "outage.opened", "campaign.hold", *["server.suspected"] * 40, "outage.acknowledged", "outage.updated",
        "outage.identified", *["outage.updated"] * 3, "server.failover", "notice.approved", *["server.down"] * 9,
    ]  # fmt: skip
    entries = [Timeline(id=n, at=now(), kind=kind, actor="x", text=f"{n}") for n, kind in enumerate(kinds)]
    kept = [each.kind for each in most_important(entries)]
    assert kept == ["outage.identified", "outage.updated", "outage.updated", "server.failover", "notice.approved"]
    assert len(kept) == LINES
    assert len(most_important(entries[:3])) == 3
