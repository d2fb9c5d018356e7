"""The workspace page in a real browser: the whole story by its buttons."""

import asyncio
import contextlib
import os
import re
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, expect

from bot.demo.relays import read_truth
from tests.acceptance.browser import browser, needs_chromium

pytestmark = [pytest.mark.slow, needs_chromium]

RECIPIENTS = 400


@contextlib.asynccontextmanager
async def demo(folder: Path, *words: str) -> AsyncIterator[str]:
    """`holdfast demo`, with whatever it makes below `folder`. Gives the page's address, which is printed first."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "demo", *words),
        cwd=folder,
        env=os.environ | {"TMPDIR": str(folder)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
    )
    assert process.stdout is not None
    try:
        first = await process.stdout.readline()
        assert first, (await process.communicate())[1].decode()
        yield first.decode().split()[-1]
        process.terminate()
        _, err = await process.communicate()
        assert process.returncode == 143, err.decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def test_the_whole_story_by_pressing_buttons(tmp_path: Path) -> None:
    async with demo(tmp_path, "--page", "--recipients", str(RECIPIENTS)) as url, browser() as tab:
        await tab.goto(url)
        await expect(tab.locator("#note")).to_be_hidden()
        await _type(tab, "/campaign start spring-sale")
        await expect(tab.locator(".ephemeral").first).to_contain_text("Only visible to you")

        await _break_primary(tab)
        headline = tab.locator("#messages .message:not(.ephemeral)", has_text="is down")
        await headline.get_by_role("button", name="Acknowledge").click()
        await expect(headline).to_contain_text("acknowledged")
        await expect(headline).to_contain_text("(edited)")

        await headline.get_by_role("button", name="Fail over to backup").click()
        await tab.get_by_role("button", name="Not now").click()
        await expect(headline.get_by_role("button", name="Fail over to backup")).to_be_visible()
        await headline.get_by_role("button", name="Fail over to backup").click()
        await tab.get_by_role("button", name="Fail over", exact=True).click()
        await expect(headline).to_contain_text("carries its campaigns")
        await expect(headline).to_contain_text("spring-sale: finished")
        await expect(headline).to_have_count(1)

        await _send_again(tab, headline)

    taken = [*_taken(tmp_path, "primary"), *_taken(tmp_path, "backup")]
    assert len(taken) == len(set(taken))


async def _break_primary(tab: Page) -> None:
    """Some messages are turned away, then its process is killed in the middle."""
    primary = tab.get_by_role("region", name="Relay primary")
    await expect(primary.locator(".taken")).to_have_text(re.compile(r"^[1-9]\d"))
    await primary.get_by_role("button", name="Full disk").click()
    await expect(primary.locator(".state")).to_contain_text("disk full")
    before = int(await primary.locator(".taken").inner_text())
    await tab.wait_for_function(
        "before => Number(document.querySelector('[aria-label=\"Relay primary\"] .taken').textContent) > before + 30",
        arg=before,
    )
    await primary.get_by_role("button", name="Kill").click()
    await expect(primary.locator(".state")).to_contain_text("dead")
    await expect(primary.get_by_role("button", name="Heal")).to_be_enabled()


async def _send_again(tab: Page, headline: Locator) -> None:
    """Maria plans it and may not approve it herself; Jonas does."""
    await _type(tab, "/resend plan")
    await headline.get_by_role("button", name=re.compile(r"\d+ repl")).click()
    card = tab.locator("#replies .message", has=tab.get_by_role("heading", name="Resend 1"))
    await card.get_by_role("button", name="Approve").click()
    await _agree(tab)
    await expect(tab.get_by_text("somebody else must approve").first).to_be_visible()

    await tab.get_by_label("Act as").select_option(label="Jonas (Europe/Berlin)")
    await expect(tab.get_by_text("somebody else must approve")).to_have_count(0)
    await card.get_by_role("button", name="Approve").click()
    await _agree(tab)
    await expect(card).to_contain_text("100 %")
    await expect(card).to_contain_text(re.compile(r"(\d+) of \1 recovered"))


async def _agree(tab: Page) -> None:
    """Say yes where a dialog asks; not every button has one."""
    if await tab.locator("#confirm").is_visible():
        await tab.locator("#yes").click()


async def _type(tab: Page, line: str) -> None:
    await tab.get_by_label("Message or slash command").fill(line)
    await tab.get_by_role("button", name="Send", exact=True).click()


def _taken(folder: Path, relay: str) -> list[str]:
    return [to for log in folder.rglob(f"{relay}.jsonl") for each in read_truth(log) for to in each.recipients]
