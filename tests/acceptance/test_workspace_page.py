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
        # The note is hidden too until the page knows anything.
        await expect(tab.locator("#link")).to_have_text("● Holdfast is connected")
        await expect(tab.locator("#note")).to_be_hidden()
        await _type(tab, "/campaign start spring-sale")
        await expect(tab.locator(".ephemeral").first).to_contain_text("Only visible to you")

        await _break_primary(tab)
        headline = tab.locator("#messages .message:not(.ephemeral)", has_text="Outage #1 ·")
        await expect(headline).to_contain_text("primary is down")
        await _two_take_it_at_once(tab, headline)

        await headline.get_by_role("button", name="Fail over to backup").click()
        await tab.get_by_role("button", name="Not now").click()
        await expect(headline.get_by_role("button", name="Fail over to backup")).to_be_visible()
        await headline.get_by_role("button", name="Fail over to backup").click()
        await tab.get_by_role("button", name="Fail over", exact=True).click()
        await expect(headline).to_contain_text("carries its campaigns")
        await _pause_and_resume(tab, headline)
        await expect(headline).to_contain_text("spring-sale: finished")
        await expect(headline).to_have_count(1)

        await _send_again(tab, headline)
        await _heal_and_resolve(tab, headline)
        await _an_expired_certificate_is_named(tab)

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


async def _two_take_it_at_once(tab: Page, headline: Locator) -> None:
    """Maria and Jonas press in the same moment, each in a window of their own: one has it, the other is told."""
    other = await tab.context.new_page()
    await other.goto(tab.url)
    await other.get_by_label("Act as").select_option(label="Jonas (Europe/Berlin)")
    theirs = other.locator("#messages .message:not(.ephemeral)", has_text="Outage #1 ·")
    both = [each.get_by_role("button", name="Acknowledge") for each in (headline, theirs)]
    buttons = [await each.element_handle() for each in both]
    await asyncio.gather(*(button.evaluate("each => each.click()") for button in buttons))

    await expect(headline).to_contain_text("(edited)")
    await expect(headline.get_by_role("button", name="Acknowledge")).to_have_count(0)
    for window in (tab, other):
        await window.get_by_role("button", name=re.compile(r"\d+ repl")).click()
        await expect(window.locator("#replies .message:not(.ephemeral)", has_text="acknowledged it.")).to_have_count(1)
    winner = "Maria" if "@Maria" in await headline.inner_text() else "Jonas"
    loser, lucky = (other, tab) if winner == "Maria" else (tab, other)
    told = f"Already acknowledged by @{winner}"
    answer = loser.locator("#replies .ephemeral", has_text=told)
    await expect(answer).to_contain_text(re.compile(r"at \d\d:\d\d\."))  # on their own clock
    await expect(lucky.get_by_text(told)).to_have_count(0)
    await other.close()
    await tab.get_by_role("button", name="Close the thread").click()


async def _pause_and_resume(tab: Page, headline: Locator) -> None:
    await _type(tab, "/campaign pause spring-sale")
    await expect(headline).to_contain_text("spring-sale: paused")
    await _type(tab, "/campaign resume spring-sale")


async def _heal_and_resolve(tab: Page, headline: Locator) -> None:
    """The mail that was sent again has arrived; then the repaired relay answers, and Jonas ends the outage."""
    await expect(tab.get_by_role("region", name="Relay backup").locator(".mails")).to_contain_text("Spring sale")
    await tab.get_by_role("region", name="Relay primary").get_by_role("button", name="Heal").click()
    await expect(headline).to_contain_text("primary answers again")
    await headline.get_by_role("button", name="Resolve").click()
    await _agree(tab)
    await expect(headline).to_contain_text("Resolved: primary")
    await expect(headline.get_by_role("button", name="Resolve")).to_have_count(0)


async def _an_expired_certificate_is_named(tab: Page) -> None:
    await tab.get_by_role("region", name="Relay backup").get_by_role("button", name="Expired certificate").click()
    second = tab.locator("#messages .message:not(.ephemeral)", has_text="Outage #2 ·")
    await expect(second).to_contain_text("backup is down")
    await expect(second).to_contain_text("certificate expired at STARTTLS")


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
