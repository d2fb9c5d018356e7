"""The work engines: once by its key, and what a worker left goes on with whoever is there."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from bot import work
from bot.clock import now
from bot.mail.engines import engine_for
from bot.work import FleetEngine
from bot.work_alone import LoneEngine
from bot.work_kinds import Engine, Kind
from storage.db import Database


class Diary:
    """A piece of work that waits in its middle and says what it did."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.waiting = asyncio.Event()
        self.go_on = asyncio.Event()
        self.done = asyncio.Event()

    async def run(self, name: str) -> None:
        self.said.append(f"{name} began")
        self.waiting.set()
        await self.go_on.wait()
        self.said.append(f"{name} ended")
        self.done.set()


@pytest.fixture(autouse=True)
def _quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "LOOK_EVERY", 0.05)


async def _soon(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not check():
            await asyncio.sleep(0.01)


def test_a_fleet_has_dbos(db: Database) -> None:
    assert isinstance(engine_for(db, "boot", []), LoneEngine if db.is_sqlite else FleetEngine)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_what_a_worker_left_goes_on_elsewhere_and_ends_once(db: Database) -> None:
    diary = Diary()
    engine = FleetEngine(db, "first-boot", [Kind("diary", diary.run)])
    await engine.start()
    for _ in range(3):
        await engine.ensure("diary", "a", "abc")
    async with asyncio.timeout(20):
        await diary.waiting.wait()
    await engine.stop()

    engine = FleetEngine(db, "second-boot", [Kind("diary", diary.run)])
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
    assert diary.said == ["abc began", "abc began", "abc ended"], "it begins anew, so it asks the ledger first"
    assert await asyncio.to_thread(lambda: 1) == 1, "the loop has threads again"


async def test_who_begins_something_has_it_at_once_and_once(db: Database) -> None:
    diary = Diary()
    engine = engine_for(db, "boot", [Kind("diary", diary.run, queued=False)])
    await engine.start()
    for _ in range(3):
        await engine.begin("diary", "a", "x")
    async with asyncio.timeout(1):
        await diary.waiting.wait()
    diary.go_on.set()
    await diary.done.wait()
    await engine.begin("diary", "a", "x")
    await engine.begin("diary", "b", "y")
    await _soon(lambda: "y ended" in diary.said)
    await engine.stop()
    assert diary.said == ["x began", "x ended", "y began", "y ended"]


async def test_a_stop_cuts_off_what_is_under_way(db: Database) -> None:
    diary = Diary()
    engine = engine_for(db, "boot", [Kind("diary", diary.run, queued=False)])
    await engine.start()
    await engine.begin("diary", "a", "x")
    async with asyncio.timeout(10):
        await diary.waiting.wait()
    await engine.stop()
    diary.go_on.set()
    await asyncio.sleep(0.05)
    assert diary.said == ["x began"]


async def test_a_run_that_fails_is_told_and_stops_no_other(db: Database, capsys: pytest.CaptureFixture[str]) -> None:
    diary = Diary()
    diary.go_on.set()

    async def fail() -> None:
        raise ZeroDivisionError("as asked")

    engine: Engine = engine_for(db, "boot", [Kind("bad", fail, queued=False), Kind("diary", diary.run, queued=False)])
    await engine.start()
    await engine.begin("bad", "a")
    await engine.begin("diary", "a", "x")
    async with asyncio.timeout(10):
        await diary.done.wait()
    said = ""

    def told() -> bool:
        nonlocal said
        said += capsys.readouterr().out
        return "as asked" in said

    await _soon(told)
    await engine.stop()
    assert "work failed" in said


async def test_old_work_is_forgotten_and_may_be_asked_for_anew(db: Database) -> None:
    diary = Diary()
    diary.go_on.set()
    engine = engine_for(db, "boot", [Kind("diary", diary.run)])
    await engine.start()
    await engine.begin("diary", "b", "x")
    await diary.done.wait()
    await engine.forget(now() - timedelta(days=1))
    await engine.ensure("diary", "b", "x")
    async with asyncio.timeout(20):
        while diary.said.count("x began") < 2:  # its end is written down a little after it
            await engine.forget(now() + timedelta(days=1))
            await engine.ensure("diary", "b", "x")
            await asyncio.sleep(0.05)
    await engine.stop()
