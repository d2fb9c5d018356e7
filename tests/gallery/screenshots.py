"""Pictures of the gallery: each group as a desktop and as a phone shows it, cut between scenes."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.acceptance.browser import browser
from tests.gallery.page import page
from tests.gallery.scene import Scenes

WIDTHS: Mapping[str, int] = {"desktop": 800, "phone": 390}
_TALLEST = 2_600
"""Pixels of a picture; a browser draws no picture of any height."""
_SCENES = """
() => [...document.querySelectorAll("article")].map((each) => {
  const { top, bottom } = each.getBoundingClientRect();
  return [top, bottom];
})
"""


async def shoot(folder: Path, groups: Mapping[str, Scenes]) -> list[Path]:
    """Writes GROUP-desktop-1.png, GROUP-phone-1.png and so on, and returns them."""
    folder.mkdir(parents=True, exist_ok=True)
    made: list[Path] = []
    for look, width in WIDTHS.items():
        async with browser(width=width, height=900) as tab:
            for group, scenes in groups.items():
                await tab.set_content(page({group: scenes}))
                await tab.wait_for_selector("body[data-drawn]")
                for number, (top, bottom) in enumerate(_cuts(await tab.evaluate(_SCENES)), 1):
                    made.append(folder / f"{group}-{look}-{number}.png")
                    clip = {"x": 0, "y": top, "width": width, "height": bottom - top}
                    await tab.screenshot(path=made[-1], full_page=True, clip=clip)  # type: ignore[arg-type]  # a TypedDict
    return made


async def picture(address: str, file: Path) -> None:
    """The workspace page of a demo that is running, once its first snapshot is drawn."""
    async with browser() as tab:
        await tab.goto(address)
        await tab.wait_for_selector("#channels button")
        await tab.screenshot(path=file)


def _cuts(scenes: list[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """From and to, with as many whole scenes in each as fit; the first begins at the top of the page."""
    first, last = 0.0, 0.0
    for top, bottom in scenes:
        if bottom - first > _TALLEST and last > first:
            yield first, last
            first = top
        last = bottom
    yield first, last
