"""`/maintenance` and its buttons, from what is typed or pressed to what is read."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import time_machine

from storage.db import Database
from storage.models import CampaignState
from tests.command_world import GUEST, JONAS, World, command_world

MONDAY = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.fixture
async def world(db: Database, tmp_path: Path) -> AsyncIterator[World]:
    with time_machine.travel(MONDAY):
        async with command_world(db, tmp_path) as made:
            yield made


async def test_a_window_is_shown_in_every_clock_and_confirmed(world: World) -> None:
    await world.campaign(state=CampaignState.SCHEDULED)
    said = await world.type("/maintenance schedule prim tomorrow 02:00 for 2h new disks &amp; fans")
    assert "Tue 3 Mar 2026 02:00 to 04:00" in said
    assert "Europe/Madrid" in said
    assert "Tue 3 Mar 2026 01:00 to 03:00" in said
    assert "new disks & fans" in said
    assert "spring-sale" in said
    assert "Or type /maintenance confirm 1, within 1 h · Drop it: /maintenance cancel 1" in said
    assert "No maintenance is planned" in await world.type("/maintenance list")
    said = await world.press("maintenance.confirm", 1) or ""
    assert "The maintenance of primary is planned" in said
    assert "Undo it with /holdfast undo 1" in said
    await world.press_refused("maintenance.confirm", 1, "Window 1 is planned already", JONAS)
    listed = await world.type("/maintenance list")
    assert listed.startswith("1 maintenance window under way or ahead")
    assert "🔵 planned  1 primary" in listed
    assert "called off" in (await world.press("maintenance.cancel", 1) or "")
    await world.press_refused("maintenance.cancel", 1, "Window 1 was called off", JONAS)


async def test_it_is_confirmed_and_called_off_by_command(world: World) -> None:
    await world.type("/maintenance schedule primary 2026-03-03 02:00 UTC for 90 min")
    assert world.button("maintenance.confirm") == "1"
    assert "The maintenance of primary is planned" in await world.type("/maintenance confirm 1")
    assert "The maintenance of primary is called off." in await world.type("/maintenance cancel")


@pytest.mark.parametrize(
    ("typed", "lasts", "reason"),
    [
        ("2h", "2 h", None),
        ("90 min", "1 h 30 min", None),
        ("1 hour and 30 minutes new disks for good", "1 h 30 min", "new disks for good"),
        ("2h 30 new disks", "2 h 30 min", "new disks"),
        ("1h 15m because of 2 fans", "1 h 15 min", "because of 2 fans"),
    ],
)
async def test_what_follows_the_duration_is_the_reason(
    world: World, typed: str, lasts: str, reason: str | None
) -> None:
    said = await world.type(f"/maintenance schedule primary tomorrow 02:00 for {typed}")
    assert re.search(rf"Lasts +Reason\n{lasts} +{reason}" if reason else rf"Lasts\n{lasts}\n", said)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("schedule", r"^Say which server\. Write it like this: /maintenance schedule SERVER WHEN for HOW LONG"),
        ("schedule primary", r"^Say when\."),
        ("schedule primary tomorrow 02:00", r"^Say when, then the word “for”, then how long\."),
        ("schedule primary tomorrow 02:00 for", "Say when, then the word “for”, then how long"),
        ("schedule primary for 2h", "Say when, then the word “for”, then how long"),
        ("schedule primary tomorrow 02:00 for ages", '"ages" is not a duration I understand'),
        ("schedule primary tomorrow 02:00 for 9 days", "longer than 7 days"),
        ("schedule primary 01/02 02:00 for 2h", "can be read as two dates"),
        ("schedule primary 2026-03-29 02:30 for 2h", "never comes"),
        ("schedule primary 2026-03-01 02:30 for 2h", "has gone by already"),
        ("schedule smtp9 tomorrow 02:00 for 2h", "There is no server “smtp9”"),
        ("confirm", r"^Say the number of the maintenance window"),
        ("confirm 3", "There is no maintenance window 3"),
        ("cancel", "No maintenance is planned or under way"),
        ("list all", "“all” is more than that takes"),
    ],
)
async def test_what_does_not_fit_is_refused_with_a_sentence(world: World, line: str, sentence: str) -> None:
    await world.refused(f"/maintenance {line}", sentence)


async def test_two_windows_do_not_overlap(world: World) -> None:
    await world.type("/maintenance schedule primary tomorrow 02:00 for 2h")
    await world.type("/maintenance confirm 1")
    await world.refused("/maintenance schedule primary tomorrow 03:00 for 2h", "at that time already: window 1")


async def test_who_lacks_the_role_is_told_who_has_it(world: World) -> None:
    await world.refused("/maintenance schedule primary tomorrow 02:00 for 2h", "needs the role responder", GUEST)
