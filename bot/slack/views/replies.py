"""What the answers to commands have in common. They go to the person who asked, and to nobody else."""

from collections.abc import Sequence
from datetime import timedelta

from bot.services.when import lasting
from bot.slack import blocks
from bot.slack.blocks import Block, View, clip, escape
from bot.slack.views.timeline import safe

NO_DATA = "no data"
_CELL_MAX = 63  # as long as a name may be: a name that is cut cannot be typed
_TEXT_MAX = 3_800
# Slack refuses messages of about 13,200 characters (https://github.com/slackapi/bolt-js/issues/2509).
_MESSAGE_MAX = 9_000
_CHUNK = 2_800
_PAGE = 40
_LINES = 20  # of markup: each may take three lines on a phone


def said(text: str) -> View:
    """The sentences of a service, in which what people and servers wrote is harmless."""
    return View(safe(clip(text, _TEXT_MAX)))


def usage(about: str, lines: Sequence[tuple[str, str]], example: str) -> View:
    """The help of a command: each of `lines` is what to type and what it does."""
    rows = [f"`{escape(typed)}`  {does}" for typed, does in lines]
    made = [blocks.section(f"*{about}*"), *_sections(rows), blocks.context(f"Example: `{escape(example)}`")]
    return View(about, made)


def table(title: str, rows: Sequence[Sequence[str]], command: str, page: int = 1) -> View:
    """Rows in columns that stand under each other, a page of them; the foot says how to see the others.

    `command` with a number behind it shows another page. Pages count from 1; one that there is not is the last.
    """
    cells = [[clip(cell, _CELL_MAX) for cell in row] for row in rows]
    widths = [max(map(len, column), default=0) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    pages = _pages([_code(line) for line in lines], _PAGE)
    number = min(max(page, 1), len(pages))
    shown = [blocks.section(f"```\n{chunk}\n```") for chunk in _chunks(pages[number - 1])]
    return View(title, [blocks.section(f"*{title}*"), *shown, *_foot([len(each) for each in pages], number, command)])


def _pages(lines: Sequence[str], most: int) -> list[list[str]]:
    pages, left = [], list(lines)
    while left:
        kept = _fitting(left[:most])
        pages.append(kept)
        left = left[len(kept) :]
    return pages


def _foot(sizes: Sequence[int], number: int, command: str) -> list[Block]:
    if len(sizes) == 1:
        return []
    first, last = sum(sizes[: number - 1]) + 1, sum(sizes[:number])
    way = f"Next: {command} {number + 1}" if number < len(sizes) else f"The first: {command}"
    return [blocks.context(f"{first:,} to {last:,} of {sum(sizes):,} · {way}")]


def listed(title: str, lines: Sequence[str], command: str, page: int = 1, hint: str = "") -> View:
    """One line of markup each, a page of them; for what shows times, which code cannot. Pages are those of `table`."""
    pages = _pages(lines, _LINES)
    number = min(max(page, 1), len(pages))
    foot = _foot([len(each) for each in pages], number, command)
    told = [blocks.context(hint)] if hint else []
    return View(title, [blocks.section(f"*{title}*"), *_sections(pages[number - 1]), *foot, *told])


def latest(title: str, lines: Sequence[str], command: str, page: int = 1) -> View:
    """Lines of markup in the order of time, the last page of them first: what is new is what is looked for."""
    pages = _pages(lines[::-1], _PAGE)
    number = min(max(page, 1), len(pages))
    made = [blocks.section(f"*{title}*")]
    if number < len(pages):
        earlier = sum(map(len, pages[number:]))
        made.append(blocks.context(f"{earlier:,} earlier: {command} {number + 1}"))
    made += _sections(pages[number - 1][::-1])
    if number > 1:
        made.append(blocks.context(f"Later: {command} {number - 1}"))
    return View(title, made)


def without_buttons(view: View, *hints: str) -> View:
    """A live card as an answer: it is not edited later, so commands stand in the place of its buttons."""
    kept = [block for block in view.blocks if block["type"] != "actions"]
    told = [blocks.context("\n".join(hints))] if hints else []
    return View(view.text, [*kept, *told])


def how_long(length: timedelta | None, rate: float | None) -> str:
    """An estimate with what it rests on; `no data` when it rests on nothing."""
    if length is None or not rate:
        return NO_DATA
    return f"about {lasting(length)}, at {rate:,.0f} delivered a minute lately"


def _code(line: str) -> str:
    return escape(line.replace("`", "'"))


def _fitting(lines: Sequence[str]) -> list[str]:
    kept, size = [], 0
    for line in lines:
        size += len(line) + 1
        if size > _MESSAGE_MAX:
            break
        kept.append(line)
    return kept


def _chunks(lines: Sequence[str]) -> list[str]:
    """As few texts as hold the lines, each within what a section may hold."""
    chunks: list[list[str]] = []
    size = _CHUNK
    for line in lines:
        if size + len(line) + 1 > _CHUNK:
            chunks.append([])
            size = 0
        chunks[-1].append(line)
        size += len(line) + 1
    return ["\n".join(chunk) for chunk in chunks]


def _sections(lines: Sequence[str]) -> list[Block]:
    return [blocks.section(chunk) for chunk in _chunks(lines)]
