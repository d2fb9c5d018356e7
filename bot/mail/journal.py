"""What a worker knows about its deliveries and the database does not yet: a memory-mapped file.

Before the final dot leaves, the delivery stands in its connection's intent slot; its result is
appended on the server's reply, and only then is the intent cleared. The database takes results in
batches; until it has, they are here. After kill -9 the page cache still holds every store made, so
no fsync is needed; after a power loss (another boot id) the tail of the file cannot be trusted.

Layout, little endian. A page of header, then the slots, then the ring of results:

    header  magic (with the version), slots, capacity, boot id, worker, checksum; then two tail cells
    slot    sequence, campaign, recipient number, checksum          (zeros: nothing in flight)
    result  sequence, campaign, recipient number, outcome, code, checksum

Every result has the next sequence number and lies at that number modulo the capacity. The tail is
the first sequence that the database has not taken; it is written to the two cells in turn, so that a
torn write leaves the other. A torn record fails its checksum and counts as not written. That is safe
at each instruction: a torn intent means that the dot had not been written, a torn result leaves its
intent standing, and an old tail only means that results are replayed, which does no harm.
"""

import contextlib
import fcntl
import mmap
import os
import struct
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Self
from zlib import crc32

from bot.errors import BotError
from bot.mail.replies import Outcome

_MAGIC: Final = b"HFJRNL01"
_PAGE: Final = 4096
_HEADER: Final = struct.Struct("<8sII36s64s")  # magic, slots, capacity, boot id, worker
_INTENT: Final = struct.Struct("<qqq")
_RESULT: Final = struct.Struct("<qqqBxh")
_CELL: Final = struct.Struct("<q")
_CHECK: Final = struct.Struct("<I")
_SIZE: Final = 32  # from one slot or result to the next
_TAILS: Final = (1024, 1088)  # offsets of the two cells, on different cache lines
_INTENT_SIZE: Final = _INTENT.size + _CHECK.size
_CLEAR: Final = bytes(_INTENT_SIZE)
_EMPTY: Final = bytes(_SIZE)

# What the file says for an outcome. Never renumber: another version may replay it.
_DELIVERED: Final = 1
_NUMBERS: Final = {
    Outcome.delivered: _DELIVERED,
    Outcome.failed_temporary: 2,
    Outcome.failed_permanent: 3,
    Outcome.unknown: 4,
}
_OUTCOMES: Final = {number: outcome for outcome, number in _NUMBERS.items()}


class JournalError(BotError):
    """The journal cannot be made, read or written as asked."""


class InUseError(JournalError):
    """Its worker is still running."""


class Recorded(NamedTuple):
    """One result as found in a journal. `reply_code` is 0 where the server gave none."""

    campaign_id: int
    n: int
    outcome: Outcome
    reply_code: int


@dataclass(frozen=True, slots=True)
class Recovery:
    """What a dead worker's journal says.

    Apply `results` first, in their order, then hold `unknown`: a recipient can be in both, when an
    earlier attempt failed and a later one was in flight. Results stand even if `same_boot` is False;
    but then some may be missing, so leased deliveries without one are unknown too. `torn`: something
    in the file was only half written.
    """

    worker: str
    boot_id: str
    same_boot: bool
    results: list[Recorded]
    unknown: list[tuple[int, int]]
    torn: bool

    @property
    def is_empty(self) -> bool:
        """Whether the file can be thrown away without asking the database anything."""
        return self.same_boot and not self.results and not self.unknown


def boot_id() -> str:
    """This boot of the machine, by Linux's word for it. Elsewhere a new word each time: never trusted."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return str(uuid.uuid4())


class Journal:
    """The journal of one worker while it runs. For one thread; about a microsecond a call."""

    def __init__(self, path: Path, file: int, memory: mmap.mmap, slots: int, capacity: int) -> None:
        self.path = path
        self._file = file
        self._memory = memory
        self._slots = slots
        self._capacity = capacity
        self._ring = _PAGE + slots * _SIZE
        self._head = 1
        self._tail = 1
        self._cell = 0
        self._in_flight: list[tuple[int, int] | None] = [None] * slots
        self._flying = 0

    @classmethod
    def create(cls, path: Path, worker: str, *, slots: int, capacity: int = 32_768) -> Self:
        """Make a fresh journal for `slots` connections and `capacity` results awaiting the database.

        Raises JournalError when the disk is full, when another process uses the file, or when it still
        holds what the database has not taken: `recover`, commit, `discard`, then create.
        """
        if slots < 1 or capacity < slots:
            raise ValueError("a journal needs a slot, and room for a result of each")
        with contextlib.ExitStack() as old:
            if path.exists():
                old.callback(os.close, _lock(path))
                if not Journal._read(path).is_empty:
                    raise JournalError(
                        f"The journal {path} holds results that the database has not taken. "
                        "Recover it before making a new one."
                    )
            try:
                file, memory = _make(path, worker, slots, capacity)
            except OSError as error:
                raise JournalError(
                    f"The journal {path} cannot be made: {error.strerror}. It needs "
                    f"{_PAGE + (slots + capacity) * _SIZE:,} bytes in a folder that can be written to; "
                    "nothing is sent without it."
                ) from error
        return cls(path, file, memory, slots, capacity)

    @property
    def full(self) -> bool:
        """Whether a result of every slot would no longer fit: start no message until a checkpoint."""
        return self._head - self._tail + self._slots > self._capacity

    @property
    def pending(self) -> int:
        """How many results the database has not taken."""
        return self._head - self._tail

    def intent(self, slot: int, campaign_id: int, n: int) -> bool:
        """Write down, immediately before the final dot, that this delivery leaves on connection `slot`.

        False, and nothing written, when there would be no room for its result: send no dot then.
        Raises ValueError when the slot's last delivery has no result yet.
        """
        if self._in_flight[slot] is not None:
            raise ValueError(f"slot {slot} is in flight with {self._in_flight[slot]}")
        if self._head - self._tail + self._flying >= self._capacity:
            return False
        record = _INTENT.pack(self._head, campaign_id, n)
        at = _PAGE + slot * _SIZE
        self._memory[at : at + _INTENT_SIZE] = record + _CHECK.pack(crc32(record))
        self._in_flight[slot] = (campaign_id, n)
        self._flying += 1
        return True

    def result(self, slot: int, campaign_id: int, n: int, outcome: Outcome, reply_code: int) -> None:
        """Append a result, then clear the slot's intent. `reply_code` is 0 where there was no reply.

        Raises JournalError when the ring is full, which cannot happen to a delivery with an intent nor
        to a caller that heeds `full`; ValueError when the slot is in flight with another delivery.
        """
        flying = self._in_flight[slot]
        if flying is None:
            if self._head - self._tail + self._flying >= self._capacity:
                raise JournalError(
                    f"The journal {self.path} is full: the database has not taken its {self.pending:,} results. "
                    "Sending stops here until the database answers."
                )
        elif flying != (campaign_id, n):
            raise ValueError(f"slot {slot} is in flight with {flying}, not with {(campaign_id, n)}")
        # By a name of its own what nearly all are: an outcome is looked up by a hash that is made in Python.
        number = _DELIVERED if outcome is Outcome.delivered else _NUMBERS[outcome]
        record = _RESULT.pack(self._head, campaign_id, n, number, reply_code)
        at = self._ring + self._head % self._capacity * _SIZE
        self._memory[at : at + _SIZE] = record + _CHECK.pack(crc32(record))
        self._head += 1
        if flying is not None:
            at = _PAGE + slot * _SIZE
            self._memory[at : at + _INTENT_SIZE] = _CLEAR
            self._in_flight[slot] = None
            self._flying -= 1

    def mark(self) -> int:
        """The place after the last result; take it with the batch that goes to the database."""
        return self._head

    def checkpoint(self, mark: int | None = None) -> None:
        """The database has committed every result before `mark` (default: all): forget them."""
        mark = self._head if mark is None else mark
        if not self._tail <= mark <= self._head:
            raise ValueError(f"mark {mark} is not between {self._tail} and {self._head}")
        if mark == self._tail:
            return
        self._cell ^= 1
        _write_tail(self._memory, self._cell, mark)
        self._tail = mark

    def close(self) -> None:
        """Let go of the file; what it holds stays for `recover`."""
        self._memory.close()
        os.close(self._file)

    @staticmethod
    def is_free(path: Path) -> bool:
        """Whether its worker is gone. False also when the file is."""
        try:
            os.close(_lock(path))
        except JournalError:
            return False
        return True

    @staticmethod
    def recover(path: Path) -> Recovery:
        """Read the journal of a worker that is gone. Changes nothing, so it can be repeated.

        Raises JournalError when there is no such file or its worker is still alive.
        """
        file = _lock(path)
        try:
            return Journal._read(path)
        finally:
            os.close(file)

    @staticmethod
    def discard(path: Path) -> None:
        """Remove a recovered journal, after the database has committed what it said."""
        file = _lock(path)
        try:
            path.unlink()
        finally:
            os.close(file)

    @staticmethod
    def _read(path: Path) -> Recovery:
        content = path.read_bytes()
        if content[:6] == _MAGIC[:6] and content[:8] != _MAGIC:
            raise JournalError(
                f"The journal {path} was written by another version of Holdfast. Start that version once more, "
                "let it finish, then start this one."
            )
        header = _checked(content[: _HEADER.size + _CHECK.size])
        if header is None:
            return Recovery("", "", same_boot=False, results=[], unknown=[], torn=True)
        _, slots, capacity, boot, worker = _HEADER.unpack(header)
        boot, worker = boot.rstrip(b"\0").decode(), worker.rstrip(b"\0").decode("utf-8", "replace")
        if len(content) != _PAGE + (slots + capacity) * _SIZE:
            return Recovery(worker, boot, same_boot=False, results=[], unknown=[], torn=True)
        ring = _PAGE + slots * _SIZE
        tail, torn_tail = _read_tail(content)
        results, torn_ring = _read_results(content[ring:], capacity, tail)
        unknown, torn_slots = _read_intents(content[_PAGE:ring], results)
        return Recovery(
            worker,
            boot,
            same_boot=boot == boot_id(),
            results=[recorded for _, recorded in results],
            unknown=unknown,
            torn=torn_tail or torn_ring or torn_slots,
        )


def _read_tail(content: bytes) -> tuple[int, bool]:
    tails = [record for at in _TAILS if (record := _checked(content[at : at + _CELL.size + _CHECK.size]))]
    return max((_CELL.unpack(record)[0] for record in tails), default=1), len(tails) < len(_TAILS)


def _read_results(ring: bytes, capacity: int, tail: int) -> tuple[list[tuple[int, Recorded]], bool]:
    """The results from `tail` on, in order, each with its sequence; and whether something is torn."""
    found: list[tuple[int, Recorded]] = []
    torn = False
    for index in range(capacity):
        cell = ring[index * _SIZE : (index + 1) * _SIZE]
        if cell == _EMPTY:
            continue
        record = _checked(cell)
        if record is None:
            torn = True
            continue
        sequence, campaign_id, n, outcome, code = _RESULT.unpack(record)
        if sequence >= tail and sequence % capacity == index and outcome in _OUTCOMES:
            found.append((sequence, Recorded(campaign_id, n, _OUTCOMES[outcome], code)))
    found.sort()
    gaps = [sequence for sequence, _ in found] != list(range(tail, tail + len(found)))
    return found, torn or gaps


def _read_intents(slots: bytes, results: list[tuple[int, Recorded]]) -> tuple[list[tuple[int, int]], bool]:
    """The deliveries in flight without a later result; and whether something is torn."""
    last = {(recorded.campaign_id, recorded.n): sequence for sequence, recorded in results}
    unknown: list[tuple[int, int]] = []
    torn = False
    for at in range(0, len(slots), _SIZE):
        cell = slots[at : at + _INTENT_SIZE]
        record = _checked(cell)
        if record is None:
            torn = torn or cell != _CLEAR
            continue
        sequence, campaign_id, n = _INTENT.unpack(record)
        # An earlier attempt's result says nothing about this one.
        if last.get((campaign_id, n), 0) < sequence:
            unknown.append((campaign_id, n))
    return unknown, torn


def _checked(cell: bytes) -> bytes | None:
    """A record without its checksum, or None if that does not fit."""
    record, check = cell[: -_CHECK.size], cell[-_CHECK.size :]
    return record if check == _CHECK.pack(crc32(record)) else None


def _write_tail(memory: mmap.mmap, cell: int, tail: int) -> None:
    record = _CELL.pack(tail)
    at = _TAILS[cell]
    memory[at : at + _CELL.size + _CHECK.size] = record + _CHECK.pack(crc32(record))


def _lock(path: Path) -> int:
    """Open a journal as its only user. The lock ends with the process, however that ends."""
    try:
        file = os.open(path, os.O_RDWR)
    except OSError as error:
        raise JournalError(f"The journal {path} cannot be opened: {error.strerror}.") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(file), path.stat()):
            raise BlockingIOError  # replaced by a new journal since it was opened
    except OSError as error:
        os.close(file)
        raise InUseError(
            f"The journal {path} is in use: its worker is still running. Stop it first, or give this one another name."
        ) from error
    return file


def _make(path: Path, worker: str, slots: int, capacity: int) -> tuple[int, mmap.mmap]:
    """A new file, complete before it takes its name, so that no crash leaves half a journal."""
    size = _PAGE + (slots + capacity) * _SIZE
    fresh = path.with_name(path.name + ".new")
    with contextlib.ExitStack() as undo:
        file = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        undo.callback(os.close, file)
        undo.callback(fresh.unlink, missing_ok=True)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _reserve(file, size)
        memory = mmap.mmap(file, size)
        undo.callback(memory.close)
        header = _HEADER.pack(_MAGIC, slots, capacity, boot_id().encode(), worker.encode()[:64])
        memory[: _HEADER.size + _CHECK.size] = header + _CHECK.pack(crc32(header))
        for cell in range(len(_TAILS)):
            _write_tail(memory, cell, 1)
        memory.flush()
        fresh.replace(path)
        undo.pop_all()
    return file, memory


def _reserve(file: int, size: int) -> None:
    """Take the disk's space now: a store into a mapped page without space would kill the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    else:  # macOS
        os.pwrite(file, bytes(size), 0)
