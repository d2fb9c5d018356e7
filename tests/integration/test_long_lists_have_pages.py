"""Five hundred of everything: each list is read to its end, page by page, and Slack takes every page."""

import re
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import commands
from bot.clock import now
from bot.demo.fakeslack import block_problems
from bot.demo.fakeslack.limits import MESSAGE_SIZE, text_size
from bot.slack.blocks import View
from bot.slack.call import Call
from bot.slack.plain import plain
from storage.db import Database
from storage.models import Campaign, Notice, Outage, OutageServer, OutageState, Resend, Timeline
from tests.command_world import MARIA, World, command_world

MANY = 500
NEXT = re.compile(r"Next: (/\w+ list \d+)")


@pytest.fixture
async def world(db: Database, tmp_path: Path) -> AsyncIterator[World]:
    async with command_world(db, tmp_path) as made:
        yield made


async def _add(world: World, make: Callable[[int], Any]) -> None:
    async with world.db.transaction() as tx:
        tx.add_all([make(number) for number in range(1, MANY + 1)])


async def _page(world: World, line: str) -> str:
    view = await commands.run(world.services, Call(MARIA, ""), line)
    assert list(_problems(view)) == []
    return plain(view.blocks)


def _problems(view: View) -> Iterator[str]:
    yield from block_problems(view.blocks)
    if text_size(view.blocks) >= MESSAGE_SIZE:
        yield "longer than a message may be"


async def _read(world: World, line: str) -> list[str]:
    """All pages, from the first to where none is next."""
    pages = [await _page(world, line)]
    while found := NEXT.search(pages[-1]):
        pages.append(await _page(world, found[1]))
    return pages


async def test_campaigns(world: World) -> None:
    await _add(
        world,
        lambda number: Campaign(
            name=f"mailing-{number:03}",
            state_since=now(),
            server_id=world.primary,
            subject="Sale",
            created_by="tests",
            created_at=now(),
        ),
    )
    pages = await _read(world, "/campaign list")
    assert len(pages) == 13
    assert sorted(re.findall(r"mailing-\d+", "\n".join(pages))) == [f"mailing-{n:03}" for n in range(1, MANY + 1)]


async def test_outages_and_a_long_timeline(world: World) -> None:
    await _add(
        world,
        lambda number: Outage(
            id=number,
            title=f"customers report missing mail {number}",
            state=OutageState.RESOLVED,
            opened_by="<@U0MARIA>",
            started_at=now(),
            detected_at=now(),
            resolved_at=now(),
        ),
    )
    await _add(world, lambda number: OutageServer(outage_id=number, server_id=world.primary))
    pages = await _read(world, "/outage list")
    assert [int(number) for number in re.findall(r"#(\d+) primary", "\n".join(pages))] == list(range(MANY, 0, -1))

    await _add(
        world,
        lambda number: Timeline(at=now(), kind="outage.updated", actor="tests", text=f"Step {number:03}", outage_id=7),
    )
    assert "Step 500" in await _page(world, "/outage timeline #7")
    steps: list[str] = []
    for page in range(1, 14):
        steps = re.findall(r"Step (\d+)", await _page(world, f"/outage timeline #7 {page}")) + steps
    assert steps == [f"{n:03}" for n in range(1, MANY + 1)]


async def test_resends_and_notices(world: World) -> None:
    await _add(
        world, lambda number: Resend(id=number, plan_hash="ab" * 32, total=1, requested_by="Ben", created_at=now())
    )
    await _add(
        world,
        lambda number: Notice(id=number, subject="Late", text="It is late", created_by="Ben", created_at=now()),
    )
    for line, row in (("/resend list", r"planned\s+(\d+) "), ("/notice list", r"draft\s+(\d+) ")):
        pages = await _read(world, line)
        assert len(pages) == 25
        assert [int(number) for number in re.findall(row, "\n".join(pages))] == list(range(MANY, 0, -1)), line
