"""The demo: the whole story with real processes, counted from what the relays took."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

Start = Callable[..., Awaitable[Process]]


@pytest.fixture
async def demo(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts `holdfast demo` in an empty folder; whatever it makes is made below it."""
    started: list[Process] = []
    folder = tmp_path / "temporary"
    folder.mkdir()

    async def start(*words: str) -> Process:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bot", "demo", "--script", *words),
            cwd=tmp_path,
            env=os.environ | {"TMPDIR": str(folder)},
            stdout=PIPE,
            stderr=PIPE,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_it_tells_the_whole_story_and_nobody_is_lost_or_mailed_twice(
    demo: Start, database_url: str, tmp_path: Path
) -> None:
    telling = await demo("--json", "--recipients", "1000", "--database-url", database_url)
    out, err = await telling.communicate()

    shown = out.decode()
    assert telling.returncode == 0, f"{shown}\n{err.decode()}"
    counts = json.loads(shown.splitlines()[-1])
    assert (counts["recipients"], counts["lost"], counts["duplicates"]) == (1000, 0, 0)
    assert counts["resent"] > 0
    assert counts["delivered"] + counts["unknown"] >= 1000
    for words in ("primary is down", "You asked for this; somebody else must approve.", "recovered", "is over"):
        assert words in shown
    assert "\x1b" not in shown
    assert list((tmp_path / "temporary").iterdir()) == []


async def test_the_relay_may_also_come_back_by_itself(demo: Start) -> None:
    telling = await demo("--json", "--recipients", "1000", "--return")
    out, err = await telling.communicate()

    shown = out.decode()
    assert telling.returncode == 0, f"{shown}\n{err.decode()}"
    counts = json.loads(shown.splitlines()[-1])
    assert (counts["lost"], counts["duplicates"]) == (0, 0)
    assert "presses [Resume campaigns]" in shown


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_it_leaves_nothing_behind_when_it_is_stopped_in_the_middle(
    demo: Start, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    telling = await demo("--recipients", "1000")
    assert telling.stdout is not None
    try:
        await telling.stdout.readuntil(b"The outage")
    except asyncio.IncompleteReadError as early:
        pytest.fail(f"{early.partial.decode()}\n{(await telling.communicate())[1].decode()}")
    # The pipes end only when the bot, its sender and the relays, which share them, have ended as well.
    telling.send_signal(number)
    _, err = await telling.communicate()

    assert telling.returncode == code
    assert "Traceback" not in err.decode()
    assert list((tmp_path / "temporary").iterdir()) == []


async def test_a_database_that_is_in_use_is_left_alone(demo: Start, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'mine.db'}"
    (tmp_path / "message.eml").write_text("From: a@shop.example\nSubject: S\n\nHello\n")
    (tmp_path / "people.csv").write_text("email\nada@example.net\n")
    importing = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "import", "mine", "message.eml", "people.csv"),
        cwd=tmp_path,
        env=os.environ | {"HOLDFAST_DATABASE_URL": url, "HOLDFAST_SERVERS__PRIMARY__HOST": "127.0.0.1"},
        stdout=PIPE,
        stderr=PIPE,
    )
    await importing.communicate()
    assert importing.returncode == 0

    telling = await demo("--database-url", url)
    _, err = await telling.communicate()

    assert telling.returncode == 1
    assert "is in use" in err.decode()
