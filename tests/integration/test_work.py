"""The work engine on both databases: once by its key, steps that are not repeated, and what a worker left goes on."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from bot import work
from bot.clock import now
from bot.work import Engine, Kind
from storage.db import Database


class Diary:
    """A piece of work in two parts that says what it did."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.waiting = asyncio.Event()
        self.go_on = asyncio.Event()
        self.done = asyncio.Event()

    async def first(self, name: str) -> int:
        self.said.append(f"{name} first")
        return len(name)

    async def run(self, name: str) -> None:
        length = await work.step(self.first, name)
        await work.sleep(0.01)
        self.waiting.set()
        await self.go_on.wait()
        self.said.append(f"{name} second {length}")
        self.done.set()


@pytest.fixture(autouse=True)
def _quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "LOOK_EVERY", 0.05)


async def test_what_a_worker_left_goes_on_elsewhere_and_repeats_no_step(db: Database, tmp_path: Path) -> None:
    diary = Diary()
    engine = Engine(db, tmp_path, "first-boot", [Kind("diary", diary.run)])
    await engine.start()
    for _ in range(3):
        await engine.ensure("diary", "a", "abc")
    async with asyncio.timeout(20):
        await diary.waiting.wait()
    await engine.stop()

    engine = Engine(db, tmp_path, "second-boot", [Kind("diary", diary.run)])
    await engine.start()

    async def first_boot_lives() -> list[str]:
        return ["first-boot"]

    async def nobody_lives() -> list[str]:
        return []

    assert await engine.adopt(first_boot_lives) == 0
    diary.go_on.set()
    assert await engine.adopt(nobody_lives) == 1
    async with asyncio.timeout(20):
        await diary.done.wait()
    await engine.ensure("diary", "a", "abc")
    await engine.stop()
    assert diary.said == ["abc first", "abc second 3"]
    assert await asyncio.to_thread(lambda: 1) == 1, "the loop has threads again"


async def test_old_work_is_forgotten_and_may_be_asked_for_anew(db: Database, tmp_path: Path) -> None:
    diary = Diary()
    diary.go_on.set()
    engine = Engine(db, tmp_path, "boot", [Kind("diary", diary.run)])
    await engine.start()
    await engine.begin("diary", "b", "x")
    await diary.done.wait()
    await engine.forget(now() - timedelta(days=1))
    await engine.ensure("diary", "b", "x")
    async with asyncio.timeout(20):
        while diary.said.count("x first") < 2:  # its end is written down a little after it
            await engine.forget(now() + timedelta(days=1))
            await engine.ensure("diary", "b", "x")
            await asyncio.sleep(0.05)
    await engine.stop()
