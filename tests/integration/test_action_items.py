"""What is to be done because of an outage: noted, told in the thread, closed once, and shown in the summary."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select

from bot.slack.views.outage import summary
from storage.db import Database
from storage.models import Post
from tests.command_world import GUEST, JONAS, World, command_world


@pytest.fixture
async def world(db: Database, tmp_path: Path) -> AsyncIterator[World]:
    async with command_world(db, tmp_path) as made:
        await made.type("/outage declare primary customers report missing mail")
        yield made


async def summary_versions(world: World) -> int:
    async with world.db.read() as tx:
        return await tx.scalar(select(Post.wanted).where(Post.key == "summary:1")) or 0


async def test_an_action_is_noted_with_its_owner_and_closed_once(world: World) -> None:
    said = await world.type("/outage action <@U0JONAS|jonas> watch the disks &amp; fans", GUEST)
    number = said.split()[3]
    assert said.startswith(f"Noted as action {number} of outage #1. @U0JONAS has it.")
    assert "Nobody has it yet" in await world.type("/outage action #1 call the host")
    shown = await world.type("/outage actions")
    assert "2 open actions of 2" in shown
    assert "watch the disks & fans · @U0JONAS has it" in shown
    assert f"noted action {number} for @U0JONAS: watch the disks & fans" in await world.type("/outage timeline")

    assert await world.type(f"/outage done {number}", JONAS) == f"Action {number} is done: watch the disks & fans"
    await world.refused(f"/outage done {number}", "was done already: <@U0JONAS> said so")
    await world.refused("/outage done 1", "There is no action 1. See them with: /outage actions")
    assert "1 open action of 2" in await world.type("/outage actions")
    assert "says that action" in await world.type("/outage timeline")


async def test_the_summary_follows_its_actions_after_the_end(world: World) -> None:
    number = (await world.type("/outage action buy disks")).split()[3]
    await world.type("/outage resolve a new disk")
    before = await summary_versions(world)

    await world.type("/outage action write it down")
    await world.type(f"/outage done {number}")

    assert await summary_versions(world) == before + 2
    shown = world._seen(summary(await world.services.outages.summary(1)))
    assert "To do: 1 of 2 actions" in shown
    assert "write it down" in shown
    assert "buy disks" not in shown


async def test_what_is_no_action_is_refused(world: World) -> None:
    await world.refused("/outage action", "Say what is to be done.")
    await world.refused("/outage action <@U0JONAS>", "Say what is to be done")
    await world.refused(f"/outage action {'x' * 501}", "501 characters long. Keep an action to 500")
    await world.refused("/outage action #7 call", "There is no outage #7")
