"""The sender's process is kept alive, and stopped in good order."""

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

from bot.child import Child

_NOTES_ITS_START = "import sys; open(sys.argv[1], 'a').write('started ')"
_ENDS_IN_GOOD_ORDER = """
import pathlib, signal, sys, threading
done = threading.Event()
def leave(*_):
    pathlib.Path(sys.argv[1]).write_text("settled")
    done.set()
signal.signal(signal.SIGTERM, leave)
pathlib.Path(sys.argv[1]).write_text("ready")
done.wait()
"""
_ENDS_NEVER = _ENDS_IN_GOOD_ORDER.replace("    done.set()\n", "")


async def says(path: Path, text: str, times: int = 1) -> None:
    """Returns when the child has written this."""
    async with asyncio.timeout(20):
        # A file tells nobody that it was written, so it is looked at.
        while not await asyncio.to_thread(lambda: path.exists() and path.read_text().count(text) >= times):
            await asyncio.sleep(0.01)


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_child_that_ends_is_started_again(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    running = asyncio.create_task(Child("test", [sys.executable, "-c", _NOTES_ITS_START, str(starts)]).run())

    await says(starts, "started", times=2)

    await ended(running)


async def test_a_child_is_asked_to_end_and_waited_for(tmp_path: Path) -> None:
    note = tmp_path / "note"
    child = Child("test", [sys.executable, "-c", _ENDS_IN_GOOD_ORDER, str(note)])
    running = asyncio.create_task(child.run())
    await says(note, "ready")

    await ended(running)

    await says(note, "settled")
    assert child.pid is None


async def test_a_child_that_does_not_end_is_killed(tmp_path: Path) -> None:
    note = tmp_path / "note"
    child = Child("test", [sys.executable, "-c", _ENDS_NEVER, str(note)], stop_within=timedelta(seconds=0.3))
    running = asyncio.create_task(child.run())
    await says(note, "ready")

    await ended(running)

    assert child.pid is None
