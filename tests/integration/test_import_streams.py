"""A large import takes no more memory than a small one."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.access import Access, Actor
from bot.mail.composing import Source
from bot.services.importing import Importing
from storage.db import Database
from tests.seeds import add_server, settings_for

ROOT = Actor("root", "root", source="terminal")
HELLO = Source(subject="Hello {{ name }}", text="Hello {{ name }}!", sender="Shop <shop@example.com>")


def rows(count: int) -> Iterator[str]:
    yield "email,name,city\n"
    for n in range(count):
        yield f"person{n}@example.com,Person number {n},City of the person number {n}\n"


async def peak_while_importing(importing: Importing, folder: Path, count: int) -> int:
    """The most octets that were allocated at one time in Python during the import, beyond what was before."""
    path = folder / f"{count}.csv"
    with path.open("w") as file:
        file.writelines(rows(count))
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        result = await importing.create(ROOT, f"people-{count}", HELLO, path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (result.recipients, result.duplicates, result.bad) == (count, 0, 0)
    return peak - before


@pytest.mark.slow
async def test_memory_does_not_grow_with_the_rows(db: Database, tmp_path: Path) -> None:
    await add_server(db, "primary", 2525)
    settings = settings_for("sqlite://", tmp_path)
    importing = Importing(db, settings, Access(settings.roles, []))
    await peak_while_importing(importing, tmp_path, 1_000)  # what is loaded and compiled once
    small = await peak_while_importing(importing, tmp_path, 5_000)
    large = await peak_while_importing(importing, tmp_path, 25_000)
    assert large < small + 1_000_000, (small, large)  # an address alone is more than 50 octets in Python
