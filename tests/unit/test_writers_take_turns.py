"""Writers at one SQLite file stand in line, whichever process they are in."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from storage.turns import Turns

_HOLDS_UNTIL_TOLD = """
import asyncio, pathlib, sys
from storage.turns import Turns
async def main():
    async with Turns(pathlib.Path(sys.argv[1])).turn(10):
        print("held", flush=True)
        sys.stdin.readline()
asyncio.run(main())
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "holdfast.db"


async def test_one_writes_at_a_time(database: Path) -> None:
    turns = [Turns(database), Turns(database)]  # two Databases, as in two processes
    writing = 0
    most = 0

    async def write(turn: Turns) -> None:
        nonlocal writing, most
        async with turn.turn(10):
            writing += 1
            most = max(most, writing)
            await asyncio.sleep(0)
            writing -= 1

    await asyncio.gather(*(write(turns[n % 2]) for n in range(20)))

    assert most == 1
    for turn in turns:
        turn.close()


async def test_who_writes_all_the_time_lets_the_other_in_between(database: Path) -> None:
    busy, patient = Turns(database), Turns(database)
    order: list[str] = []
    begun, stop = asyncio.Event(), asyncio.Event()

    async def write_all_the_time() -> None:
        while not stop.is_set():
            async with busy.turn(10):
                order.append("busy")
                begun.set()
                await asyncio.sleep(0.005)

    writer = asyncio.create_task(write_all_the_time())
    await begun.wait()
    for _ in range(5):
        before = order.count("busy")
        async with patient.turn(10):
            order.append("patient")
        assert order.count("busy") - before <= 2
    stop.set()
    await writer
    busy.close()
    patient.close()


async def test_waiting_has_an_end(database: Path) -> None:
    first, second = Turns(database), Turns(database)
    async with first.turn(10):
        with pytest.raises(TimeoutError):
            async with second.turn(0.02):
                pytest.fail("it was not free")
    async with second.turn(10):
        pass
    first.close()
    second.close()


def test_a_killed_writer_holds_up_nobody(database: Path) -> None:
    command = [sys.executable, "-c", _HOLDS_UNTIL_TOLD, str(database)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        process.kill()

    async def write() -> None:
        turns = Turns(database)
        async with turns.turn(10):
            pass
        turns.close()

    asyncio.run(write())
