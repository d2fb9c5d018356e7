"""Everything that the bot shows, in every state: Slack takes it, it reads as it was meant, and nothing is left out."""

import importlib
import inspect
import pkgutil
import re
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType

import pytest

from bot.slack import views
from commands import COMMANDS
from tests.acceptance.browser import browser, needs_chromium
from tests.gallery import FOLDER, GROUPS, golden, problems
from tests.gallery.page import page
from tests.gallery.screenshots import WIDTHS, shoot

SCENES = [(group, name) for group, scenes in GROUPS.items() for name in scenes]
COLOURS = re.compile("[🔴🟠🟡🟢🔵🟣🟤⚪⚫🟥🟧🟨🟩]")
# One thing, and its noun in the plural; what is no noun may end in s.
ONE_OF_MANY = re.compile(
    r"(?<![\d,.#:] )(?<![\d,.#:-])\b1 (?!is\b|was\b|has\b|of\b|this\b|waits\b|goes\b|stays\b)[a-z]+s\b"
)


@pytest.mark.parametrize(("group", "name"), SCENES)
def test_slack_takes_it(group: str, name: str) -> None:
    assert problems(GROUPS[group][name]()) == []


@pytest.mark.parametrize("group", GROUPS)
def test_it_reads_as_it_was_meant(group: str) -> None:
    meant = (FOLDER / f"{group}.txt").read_text(encoding="utf-8")
    assert golden(group) == meant, "look at the difference; if it is meant: python -m tests.gallery --update"


def test_there_is_no_golden_text_without_its_scenes() -> None:
    assert {each.stem for each in FOLDER.glob("*.txt")} == set(GROUPS)


@pytest.mark.parametrize("group", GROUPS)
def test_one_is_never_told_as_many(group: str) -> None:
    assert [found[0] for found in ONE_OF_MANY.finditer(golden(group))] == []


@pytest.mark.parametrize("group", GROUPS)
def test_nothing_of_the_code_shows_through(group: str) -> None:
    text = golden(group)
    for trace in ("None", "<!", "<@", "State.", "datetime", "{}"):
        assert trace not in text.replace("<!channel>", ""), trace


@pytest.mark.parametrize("group", GROUPS)
def test_a_colour_is_never_the_only_sign(group: str) -> None:
    coloured = [line for line in golden(group).splitlines() if COLOURS.search(line)]
    assert [line for line in coloured if not re.search(r"[^\W\d_]{2}", COLOURS.split(line)[1])] == []


def test_every_view_is_in_the_gallery() -> None:
    drawn = _drawn()
    missing = [name for name, code in _public() if code not in drawn]
    assert missing == [], "give it a scene in tests/gallery"


def test_every_command_shows_its_help_in_the_gallery() -> None:
    assert {f"help: {name}" for name in COMMANDS} <= set(GROUPS["answers"])


def test_the_page_has_every_scene() -> None:
    html = page(GROUPS)
    assert html.count("<h2>") == len(SCENES)
    assert 'class="wrong"' not in html
    assert "<!channel>" not in html


@needs_chromium
async def test_a_browser_draws_a_group_as_a_desktop_and_a_phone_show_it(tmp_path: Path) -> None:
    made = await shoot(tmp_path, {"servers": GROUPS["servers"]})

    heights: dict[str, list[int]] = {look: [] for look in WIDTHS}
    for picture in made:
        # The header of a PNG: eight octets of signature, a length, IHDR, width, height.
        signature, width, height = struct.unpack(">8s8xII", picture.read_bytes()[:24])
        look = picture.stem.split("-")[1]
        assert (signature, width) == (b"\x89PNG\r\n\x1a\n", WIDTHS[look])
        heights[look].append(height)
    assert min(map(max, heights.values())) > 500, "the last of each is what is left, perhaps a single line"


@needs_chromium
async def test_everything_fits_the_width_of_a_phone_and_nothing_is_left_undrawn() -> None:
    async with browser(width=WIDTHS["phone"], height=900) as tab:
        await tab.set_content(page(GROUPS))
        await tab.wait_for_selector("body[data-drawn]")
        assert await tab.locator("article").count() == len(SCENES)
        assert await tab.locator(".drawn:empty, .absent").count() == 0
        assert await tab.evaluate("document.documentElement.scrollWidth") <= WIDTHS["phone"]


def _public() -> Iterator[tuple[str, CodeType]]:
    """Every public function of bot/slack/views."""
    for found in pkgutil.walk_packages(views.__path__, f"{views.__name__}."):
        module = importlib.import_module(found.name)
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__ and not name.startswith("_"):
                yield f"{module.__name__}.{name}", function.__code__


def _drawn() -> set[CodeType]:
    """The code of every function that runs while the gallery is drawn."""
    seen: set[CodeType] = set()
    before = sys.getprofile()
    sys.setprofile(lambda frame, event, _: seen.add(frame.f_code) if event == "call" else None)
    try:
        for scenes in GROUPS.values():
            for draw in scenes.values():
                draw()
    finally:
        sys.setprofile(before)
    return seen
