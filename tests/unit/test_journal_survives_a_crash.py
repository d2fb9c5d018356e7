"""At whatever instruction the worker dies: no result is lost, nobody in flight is forgotten."""

import asyncio
import signal
import struct
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.mail.journal import Journal
from bot.mail.replies import Outcome

SLOTS, CAPACITY = 3, 8
ACTIONS = st.lists(
    st.tuples(st.sampled_from(["send", "answer", "refuse", "flush", "commit"]), st.integers(0, SLOTS - 1)),
    max_size=40,
)


@dataclass
class Worker:
    """A worker as the sender will be: what it knows, and what its database has."""

    journal: Journal
    n: int = 0
    flying: dict[int, int] = field(default_factory=dict)
    told: list[int] = field(default_factory=list)  # results in the order of the journal
    committed: int = 0  # how many of them the database has
    marks: list[tuple[int, int]] = field(default_factory=list)

    def do(self, action: str, slot: int) -> None:
        if action == "send" and slot not in self.flying and not self.journal.full:
            self.n += 1
            assert self.journal.intent(slot, 1, self.n)
            self.flying[slot] = self.n
        elif action == "answer" and slot in self.flying:
            n = self.flying.pop(slot)
            self.journal.result(slot, 1, n, Outcome.delivered, 250)
            self.told.append(n)
        elif action == "refuse" and slot not in self.flying and not self.journal.full:
            self.n += 1
            self.journal.result(slot, 1, self.n, Outcome.failed_permanent, 550)
            self.told.append(self.n)
        elif action == "flush":
            self.marks.append((self.journal.mark(), len(self.told)))
        elif action == "commit" and self.marks:
            mark, self.committed = self.marks[-1]
            self.marks.clear()
            self.journal.checkpoint(mark)


@settings(deadline=None, max_examples=60)
@given(ACTIONS)
def test_after_every_action_the_file_tells_all_that_the_database_lacks(actions: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "w.journal"
        copy = Path(folder) / "copy.journal"
        journal = Journal.create(path, "w", slots=SLOTS, capacity=CAPACITY)
        worker = Worker(journal)
        try:
            for action in actions:
                worker.do(*action)
                copy.write_bytes(path.read_bytes())
                recovery = Journal.recover(copy)
                assert not recovery.torn
                assert [recorded.n for recorded in recovery.results] == worker.told[worker.committed :]
                assert sorted(n for _, n in recovery.unknown) == sorted(worker.flying.values())
        finally:
            journal.close()


@settings(deadline=None, max_examples=60)
@given(ACTIONS, st.data())
def test_a_crash_in_the_middle_of_an_action_loses_nothing(actions: list[tuple[str, int]], data: st.DataObject) -> None:
    """The stores of one action reach the file in order and in part: every prefix of them, byte by byte."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "w.journal"
        copy = Path(folder) / "copy.journal"
        journal = Journal.create(path, "w", slots=SLOTS, capacity=CAPACITY)
        worker = Worker(journal)
        try:
            for action in actions:
                before = path.read_bytes()
                flying, told = set(worker.flying.values()), list(worker.told)
                stores = _recording(worker, action)
                cut = data.draw(st.integers(0, sum(len(new) for _, new in stores)), label="bytes that were stored")
                copy.write_bytes(_partly(before, stores, cut))
                recovery = Journal.recover(copy)
                found = [recorded.n for recorded in recovery.results]
                unknown = {n for _, n in recovery.unknown}
                # What was true before the action stands: results are there unless the database has them,
                # and who was in flight is either still so or has a result.
                assert set(told[worker.committed :]) <= set(found)
                assert flying <= unknown | set(found)
                assert unknown <= flying | set(worker.flying.values())
                assert set(found) <= set(worker.told)
                assert found == sorted(found, key=worker.told.index)
        finally:
            journal.close()


class Recorder:
    """Stands between a journal and its mapped memory and writes down every store, in order."""

    def __init__(self, memory: object) -> None:
        self.memory = memory
        self.stores: list[tuple[int, bytes]] = []

    def __setitem__(self, where: slice, new: bytes) -> None:
        self.stores.append((where.start, bytes(new)))
        self.memory[where] = new  # type: ignore[index]  # an mmap, which the journal typed


def _recording(worker: Worker, action: tuple[str, int]) -> list[tuple[int, bytes]]:
    memory = worker.journal._memory
    recorder = Recorder(memory)
    worker.journal._memory = recorder  # type: ignore[assignment]  # only its stores are used here
    try:
        worker.do(*action)
    finally:
        worker.journal._memory = memory
    return recorder.stores


def _partly(before: bytes, stores: list[tuple[int, bytes]], count: int) -> bytes:
    content = bytearray(before)
    for at, new in stores:
        part = new[:count]
        content[at : at + len(part)] = part
        count -= len(part)
    return bytes(content)


WORKER = """
import os, sys
from pathlib import Path
from bot.mail.journal import Journal
from bot.mail.replies import Outcome

journal = Journal.create(Path(sys.argv[1]), "w", slots=20, capacity=4096)
database = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
dots = os.open(sys.argv[3], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
print("ready", flush=True)
n, batch = 0, []
while True:
    for slot in range(20):
        n += 1
        assert journal.intent(slot, 1, n)
        os.write(dots, n.to_bytes(8, "little"))  # the dot leaves: what happened in the world
    for slot in range(20):
        journal.result(slot, 1, n - 19 + slot, Outcome.delivered, 250)
        batch.append(n - 19 + slot)
    if len(batch) >= 500:
        os.write(database, b"".join(number.to_bytes(8, "little") for number in batch))
        batch.clear()
        journal.checkpoint()
"""


@pytest.mark.parametrize("after", [1, 20_000, 100_000])
async def test_kill_9_in_the_middle_of_sending_loses_nobody(tmp_path: Path, after: int) -> None:
    path, database, dots = tmp_path / "w.journal", tmp_path / "database", tmp_path / "dots"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WORKER, str(path), str(database), str(dots), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    while not dots.exists() or dots.stat().st_size < after * 8:
        await asyncio.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    await process.stdout.read()

    recovery = Journal.recover(path)
    left = set(_numbers(dots))
    known = set(_numbers(database)) | {recorded.n for recorded in recovery.results}
    unknown = {n for _, n in recovery.unknown}
    assert recovery.same_boot
    assert left <= known | unknown
    assert not unknown & known
    assert len(unknown) <= 20
    # An intent may stand although its dot did not leave, never the other way round.
    assert len((known | unknown) - left) <= 1
    assert known <= left


def _numbers(path: Path) -> list[int]:
    content = path.read_bytes() if path.exists() else b""
    whole = len(content) // 8 * 8
    return [number for (number,) in struct.iter_unpack("<Q", content[:whole])]
