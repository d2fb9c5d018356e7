"""A job: one campaign, or a resend's part of one, being sent by this worker.

It leases a range of the ledger at a time, hands out its rows in order, and takes each back as an ending. Stopping a
job is a flag that is read immediately before each final dot, so nothing leaves after it is set.
"""

import asyncio
import contextlib
import functools
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from time import time

import structlog

from bot.clock import now
from bot.mail.ledger import Ledger
from bot.mail.pacing import Paces
from bot.mail.parking import Parking
from bot.mail.pool import Split
from bot.mail.preparing import Compose
from storage import leases, sendable, shards
from storage.db import Database, Tx
from storage.errors import StorageError
from storage.models import DeliveryStatus, Retry
from storage.results import Ending
from storage.sendable import Row
from storage.sending import Work

log = structlog.get_logger()

LEASE_ROWS = 1_000
"""Of one lease, and how many are kept in hand: at least. Faster servers are given more, by time."""
_LEASE_MAX, _LEASE_SECONDS = 2_000, 0.2
_IN_HAND_MAX, _IN_HAND_SECONDS = 4_000, 0.15
_MEASURE_SECONDS = 0.05
_SHARD_SECONDS = 1.5
"""When a worker's shards last no longer than this, it takes another one."""
TRIES_MAX = 3
"""Connections that one delivery may lose before it counts as failed; it must not hold up the others for ever."""
_ENDINGS_REMEMBERED = 20_000
_REMEMBERED = 600.0
"""Seconds: longer than any message is under way before its final dot."""

Key = tuple[int, int | None]
"""(campaign id, resend id or None): what a job is known by."""


@dataclass(slots=True, eq=False)
class Slice:
    """A shard in this process: a range of the ledger, of which this worker leases a smaller range at a time."""

    shard_id: int
    after: int
    """The number up to which it is leased."""
    last: int
    exhausted: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when this worker has nothing of it any more and the database knows."""


@dataclass(slots=True)
class _Range:
    """A lease in this process: how many of its rows have no ending yet."""

    lease_id: int
    open: int
    slice: Slice


@dataclass(slots=True, eq=False)
class Item:
    """One row of a job, and its message once it was handed out."""

    job: "Job"
    row: Row
    range: _Range
    tries: int = 0
    body: bytes = b""

    @property
    def sender(self) -> str:
        return self.job.sender

    @property
    def recipient(self) -> str:
        return self.row.email


@dataclass(slots=True, eq=False)
class Job:
    """See the module. `sender` is the envelope's sender; `compose` makes the message of a row."""

    db: Database
    ledger: Ledger
    worker: str
    boot_id: str
    work: Work
    sender: str
    compose: Compose
    at_end: Callable[[], None]
    """Called when a slice has come to its end: see `done`."""
    campaign_id: int = field(init=False)
    stopped: bool = False
    in_flight: int = 0
    slices: list[Slice] = field(default_factory=list)
    suppressed: set[str] = field(default_factory=set)
    """Addresses that were suppressed lately: what is under way to them is looked at once more before it leaves."""
    _noted: deque[tuple[float, set[str]]] = field(default_factory=deque)
    """The same, by the loop's time at which they came."""
    split: Split | None = None
    """How its rows are split among several lanes; None: one lane has them all."""
    _waiting: deque[Item] = field(default_factory=deque)
    _parked: Parking = field(default_factory=Parking)
    _ranges: dict[int, _Range] = field(default_factory=dict)
    _ended_at: deque[float] = field(default_factory=lambda: deque(maxlen=_ENDINGS_REMEMBERED))
    _filling: asyncio.Task[None] | None = None
    _portion: int = LEASE_ROWS
    _in_hand: int = LEASE_ROWS
    _flow: float = 0.0
    _leased: int = 0
    _measured: tuple[float, int] = (0.0, 0)
    """When the flow was measured last, and how many rows had been sent by then."""
    _settled: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.campaign_id = self.work.campaign_id

    @property
    def key(self) -> Key:
        return self.work.campaign_id, self.work.resend_id

    @property
    def rows(self) -> int:
        """How many wait here to be handed out."""
        return len(self._waiting) + len(self._parked)

    @property
    def runs_low(self) -> bool:
        """Whether `refill` has something to do, mostly."""
        return len(self._waiting) < self._in_hand

    @property
    def wants_shard(self) -> bool:
        """Whether what this worker has of it is sent soon."""
        left = sum(part.last - part.after for part in self.slices) + self.rows
        return left <= self._flow * _SHARD_SECONDS

    def take(self, paces: Paces, at: float) -> Item | None:
        """The next row to send at the loop's time `at`, or None. Suppressed addresses and expired offers end here."""
        while not self.stopped:
            item = self._next(paces, at)
            if item is None:
                return None
            if item.row.suppressed:
                self._set_aside(item, DeliveryStatus.SUPPRESSED, "the address is suppressed")
            elif self._expired():
                self._set_aside(item, DeliveryStatus.EXPIRED, "the offer has expired")
            else:
                self.in_flight += 1
                return item
        return None

    def _next(self, paces: Paces, at: float) -> Item | None:
        """The first row whose provider may be written to; those before it are parked."""
        if self._parked and (parked := self._parked.take(paces, at)) is not None:
            return parked
        while self._waiting:
            item = self._waiting.popleft()
            pace = paces.of(item.row.email_key)
            if pace is None or pace.may_send(at):
                return item
            self._parked.put(paces.provider(item.row.email_key), item)
        return None

    def _expired(self) -> bool:
        return self.work.expires_at is not None and now() >= self.work.expires_at

    def may_leave(self, item: Item) -> bool:
        """What `take` looked at, once more: its message was announced a round trip before it leaves."""
        return item.row.email_key not in self.suppressed and not self._expired()

    def suppress(self, keys: set[str]) -> None:
        """These addresses (in lower case) were suppressed a moment ago: nothing goes to them any more.

        What waits here is marked, as what is leased from now on is by the database. So only what is under way has to
        be looked up, and a set of the last minutes is enough, however long the campaign is.
        """
        at = asyncio.get_running_loop().time()
        while self._noted and self._noted[0][0] < at - _REMEMBERED:
            self.suppressed -= self._noted.popleft()[1]
        fresh = keys - self.suppressed
        if fresh:
            self.suppressed |= fresh
            self._noted.append((at, fresh))
            for item in chain(self._waiting, self._parked.items()):
                self._mark(item)

    def _mark(self, item: Item) -> None:
        if item.row.email_key in self.suppressed:
            item.row = item.row._replace(suppressed=True)

    def put_back(self, item: Item) -> None:
        """Nothing of it left: it waits again, first in line."""
        self._landed()
        self._mark(item)
        item.body = b""
        self._waiting.appendleft(item)

    def delivered(self, item: Item, server_id: int) -> None:
        """The server took it, into the ledger."""
        self._landed()
        self._ended_at.append(time())
        self.ledger.delivered(self.campaign_id, server_id, item.row.n)
        self._close(item)

    def settle(self, item: Item, ending: Ending, *, lost_by_us: bool = False) -> None:
        """The end of one attempt, into the ledger."""
        self._landed()
        self._ended_at.append(ending.at.timestamp())
        self._end(item, ending, lost_by_us=lost_by_us)

    def _landed(self) -> None:
        self.in_flight -= 1
        if self.in_flight == 0:
            self._settled.set()

    def _set_aside(self, item: Item, status: DeliveryStatus, why: str) -> None:
        ending = Ending(
            campaign_id=self.work.campaign_id,
            n=item.row.n,
            status=status,
            at=now(),
            reply=why,
            retry=Retry.NEVER,
            attempted=False,
        )
        self._end(item, ending)

    def _end(self, item: Item, ending: Ending, *, lost_by_us: bool = False) -> None:
        self.ledger.add(ending, lost_by_us=lost_by_us)
        self._close(item)

    def _close(self, item: Item) -> None:
        item.body = b""
        leased = item.range
        leased.open -= 1
        if leased.open == 0:
            self._ranges.pop(leased.lease_id, None)
            self.ledger.end_lease(leased.lease_id)
            if leased.slice.exhausted:
                self.at_end()

    def ended_since(self, moment: datetime) -> int:
        """How many attempts ended since then: what slipped out after a wish to stop."""
        begun = moment.timestamp()
        return sum(at > begun for at in self._ended_at)

    def refill(self, wake: Callable[[], None]) -> None:
        """Lease more rows in the background when few are left. `wake` is called when there are some."""
        if self._filling is not None:
            if not self._filling.done():
                return
            self._filling.result()
            self._filling = None
        if self.stopped:
            return
        part = next((part for part in self.slices if not part.exhausted), None)
        if part is not None and self.runs_low:
            self._filling = asyncio.create_task(self._lease(part, wake))
        elif (wanted := self._parked.to_read()) is not None:
            self._filling = asyncio.create_task(self._read_again(*wanted, wake))

    async def _lease(self, part: Slice, wake: Callable[[], None]) -> None:
        self._measure()
        try:
            rows, lease_id = await self.db.in_one_go(functools.partial(self._take_range, part))
        except StorageError as error:
            log.warning("no rows can be leased", reason=str(error))
            await asyncio.sleep(1)
            return
        if not rows:
            part.exhausted = True
            self.at_end()
            return
        part.after = rows[-1].n
        self._leased += len(rows)
        leased = _Range(lease_id, len(rows), part)
        self._ranges[lease_id] = leased
        self._waiting.extend(self._items(rows, lambda _: leased))
        (wake if self.split is None else self.split.wake)()

    def _items(self, rows: Sequence[Row], range_of: Callable[[int], _Range]) -> list[Item]:
        """Their addresses may have been suppressed while they were being read."""
        items = [Item(self, row, range_of(row.n)) for row in rows]
        if self.suppressed:
            for item in items:
                self._mark(item)
        return items

    def _measure(self) -> None:
        """How many rows a second are sent, and so how many to keep in hand."""
        at, sent = asyncio.get_running_loop().time(), self._leased - self.rows
        since, before = self._measured
        if at - since < _MEASURE_SECONDS:
            return
        if since:
            self._flow += ((sent - before) / (at - since) - self._flow) / 2
            self._portion = min(max(LEASE_ROWS, int(self._flow * _LEASE_SECONDS)), _LEASE_MAX)
            self._in_hand = min(max(LEASE_ROWS, int(self._flow * _IN_HAND_SECONDS)), _IN_HAND_MAX)
        self._measured = at, sent

    async def _read_again(self, provider: str, numbers: dict[int, int], wake: Callable[[], None]) -> None:
        """Rows of a provider that could not be kept whole: number -> lease."""
        campaign_id, resend_id = self.key
        try:
            async with self.db.read() as tx:
                rows = await sendable.queued_among(tx, campaign_id, resend_id, list(numbers))
        except StorageError as error:
            log.warning("no rows can be read", reason=str(error))
            await asyncio.sleep(1)
            self._parked.fill(provider, 0, [])
            return
        ranges = {lease: self._ranges[lease] for lease in set(numbers.values()) if lease in self._ranges}
        wanted = [row for row in rows if numbers[row.n] in ranges]
        items = self._items(wanted, lambda n: ranges[numbers[n]])
        self._parked.fill(provider, len(numbers), items)
        wake()

    async def _take_range(self, part: Slice, tx: Tx) -> tuple[list[Row], int]:
        """Rows and the id of their lease. No rows: the shard has none left, or it is no longer ours."""
        campaign_id, resend_id = self.key
        if not await shards.held(tx, part.shard_id, self.worker):
            return [], 0
        for first, last in await leases.gaps(tx, campaign_id, resend_id, part.after + 1, part.last):
            rows = await self._rows(tx, first - 1, last)
            if rows:
                at = now()
                lease = leases.new(campaign_id, resend_id, rows[0].n, rows[-1].n, self.worker, self.boot_id, at)
                await leases.take(tx, lease)
                return rows, lease.id
        return [], 0

    async def _rows(self, tx: Tx, after: int, last: int) -> list[Row]:
        campaign_id, resend_id = self.key
        if resend_id is None:
            up_to = last if self.work.up_to is None else min(last, self.work.up_to)
            return await sendable.queued(tx, campaign_id, after, self._portion, up_to)
        return await sendable.queued_again(tx, campaign_id, resend_id, self.work.wave, after, self._portion, last)

    @property
    def runs_out(self) -> bool:
        """Whether a slice has nothing left to lease, so that its end is near."""
        return any(part.exhausted for part in self.slices)

    def done(self) -> list[Slice]:
        """The slices that have nothing left to lease, and an ending for all that was leased."""
        unfinished = {id(leased.slice) for leased in self._ranges.values()}
        filling = self._filling is not None and not self._filling.done()
        return [part for part in self.slices if part.exhausted and id(part) not in unfinished and not filling]

    def halt(self) -> None:
        """No further dot leaves."""
        self.stopped = True

    async def stop(self) -> None:
        """Halt, and wait for a lease that is being taken, so that none is forgotten."""
        self.halt()
        if self._filling is not None:
            await asyncio.wait([self._filling])

    async def wait_settled(self, within: float | None) -> bool:
        """Wait until nothing is in flight, at most `within` seconds."""
        self._settled.clear()
        if self.in_flight == 0:
            return True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._settled.wait()
        return self.in_flight == 0

    async def give_up_leases(self, tx: Tx) -> None:
        """Return what was leased and not sent. Only when nothing is in flight and the ledger is flushed."""
        await leases.end(tx, list(self._ranges))

    def forget(self) -> None:
        """What was given up has been committed."""
        self._waiting.clear()
        self._parked.clear()
        self._ranges.clear()
