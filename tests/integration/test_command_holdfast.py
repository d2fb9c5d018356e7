"""`/holdfast`, and what is common to all lines that people type."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import commands
from commands.words import Command
from storage.db import Database
from tests.command_world import JONAS, World, command_world


@pytest.fixture
async def world(db: Database, tmp_path: Path) -> AsyncIterator[World]:
    async with command_world(db, tmp_path) as made:
        yield made


async def test_the_help_names_every_command(world: World) -> None:
    said = await world.type("/holdfast help")
    for name in commands.COMMANDS:
        assert name in said
    assert await world.type("/holdfast") == said


async def test_every_command_has_help_with_each_of_its_verbs(world: World) -> None:
    for name, command in commands.COMMANDS.items():
        assert isinstance(command, Command)
        said = await world.type(f"{name} help")
        for verb in command.verbs:
            assert f"{name} {verb.name}" in said
        assert "Example: " in said


async def test_the_status_says_that_nothing_can_be_sent_without_a_sender(world: World) -> None:
    await world.campaign()
    said = await world.type("/holdfast status")
    assert said.startswith("🟡 No sender is running.")
    assert "Start it with holdfast run" in said
    assert "2 unchecked" in said
    assert "1 sending" in said


async def test_the_status_has_what_needs_somebody_first(world: World) -> None:
    campaign = await world.campaign()
    await world.type("/outage declare primary it is slow")
    await world.lose(campaign, 1, 4, outage_id=1)
    await world.type("/resend plan #1")
    await world.type("/maintenance schedule backup tomorrow 02:00 for 2h")
    await world.type("/maintenance confirm 1")
    said = await world.type("/holdfast status")
    assert said.startswith("🔴 1 outage to resolve, 1 approval to give and no sender is running.")
    assert "Outage #1 primary, open since" in said
    assert "nobody has it yet: /outage ack #1" in said
    assert "Resend 1 waits for an approval until" in said
    assert "/resend status 1" in said
    assert "Maintenance of backup planned" in said
    await world.type("/outage ack", JONAS)
    assert "@U0JONAS has it" in await world.type("/holdfast status")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("/campagin list", r"^There is no command “/campagin”\. Did you mean /campaign\? See /holdfast help$"),
        ("please help", "There is no command “please”. There is /campaign, /server"),
        ("", "Say what to do, as “/campaign list”"),
        ("/", "There is no command “/”"),
        ("/holdfast reboot", "/holdfast does not know “reboot”"),
    ],
)
async def test_a_line_that_is_no_command_is_refused(world: World, line: str, sentence: str) -> None:
    await world.refused(line, sentence)


async def test_the_slash_may_be_left_out_and_case_does_not_matter(world: World) -> None:
    assert await world.type("Campaign LIST") == await world.type("/campaign list")
