"""A headless Chromium, Debian's, for the tests of the workspace page."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright, expect

CHROMIUM = Path("/usr/bin/chromium")
PATIENCE = 40_000
"""Milliseconds until something that should be on the page counts as missing; machines are slow at times."""

needs_chromium = pytest.mark.skipif(not CHROMIUM.exists(), reason="Debian's package chromium is not installed")


@contextlib.asynccontextmanager
async def browser(width: int = 1280, height: int = 800) -> AsyncIterator[Page]:
    """A tab, whose context takes more of them. An error in a page's own script fails the test."""
    broken: list[str] = []
    expect.set_options(timeout=PATIENCE)
    async with async_playwright() as playwright:
        # --no-sandbox: Chromium refuses to run as root, as in containers, with it.
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            context = await chromium.new_context(viewport={"width": width, "height": height})
            context.set_default_timeout(PATIENCE)
            context.on("weberror", lambda error: broken.append(str(error.error)))
            yield await context.new_page()
        finally:
            await chromium.close()
    assert broken == []
