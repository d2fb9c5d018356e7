"""Results on their way from the wire to the ledger: nothing is forgotten before the database has it.

A result is in the journal from the moment the server answered. It is written to the database with the others of the
last 100 ms in one transaction, together with the per-minute counts, the evidence about servers, the suppressions and
the end of leases; only then does the journal let go of it. While the database does not take results (a full disk, a
lock), no further message leaves.
"""

import asyncio
import contextlib
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from bot.clock import now
from bot.mail.fence import Fence
from bot.mail.journal import Journal
from storage import leases, results, sending, suppressions
from storage.db import Database, Tx
from storage.errors import StorageError
from storage.models import Evidence
from storage.results import Delivered, Ending

log = structlog.get_logger()

FLUSH_EVERY = timedelta(milliseconds=100)
FLUSH_AT = 4_000
BACKLOG_MAX = 20_000
"""Results that may wait for the database before sending stops; far below what the journal holds."""


@dataclass(slots=True)
class Testimony:
    """What sending saw of one server since the last flush."""

    failed: int = 0
    succeeded: int = 0
    stage: str | None = None
    code: int | None = None
    text: str | None = None
    failing: bool = False
    """Whether the last flush saw failures: then even a mere success is worth a row."""

    def good(self) -> None:
        self.succeeded += 1

    def bad(self, stage: str, code: int | None, text: str) -> None:
        self.failed += 1
        self.stage, self.code, self.text = stage, code, text

    def take(self, server_id: int, at: datetime) -> Evidence | None:
        """The row to write, if there is anything to say; counting starts again."""
        row = None
        if self.failed or (self.succeeded and self.failing):
            row = Evidence(
                server_id=server_id,
                at=at,
                failed=self.failed,
                succeeded=self.succeeded,
                stage=self.stage if self.failed else None,
                code=self.code if self.failed else None,
                text=self.text if self.failed else None,
            )
        self.failing = bool(self.failed)
        self.failed = self.succeeded = 0
        return row


@dataclass(slots=True)
class _Batch:
    """What has come in since the last flush."""

    endings: list[Ending] = field(default_factory=list)
    lost_by_us: list[Ending] = field(default_factory=list)
    """Those of the endings that an outage may claim."""
    delivered: dict[tuple[int, int], Delivered] = field(default_factory=dict)
    """By campaign and server: nearly all results are these, so they are kept as bare numbers."""
    suppress: list[tuple[str, str]] = field(default_factory=list)
    ended_leases: list[int] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.endings or self.delivered or self.suppress or self.ended_leases)

    def absorb(self, later: "_Batch") -> None:
        self.endings += later.endings
        self.lost_by_us += later.lost_by_us
        for key, delivered in later.delivered.items():
            known = self.delivered.setdefault(key, delivered)
            if known is not delivered:
                known.numbers.extend(delivered.numbers)
        self.suppress += later.suppress
        self.ended_leases += later.ended_leases


class Ledger:
    """Collects endings and writes them. One for each worker."""

    def __init__(self, db: Database, journal: Journal, fence: Fence) -> None:
        self._db = db
        self._journal = journal
        self._fence = fence
        self._batch = _Batch()
        self._waiting = 0
        self._testimony: dict[int, Testimony] = defaultdict(Testimony)
        self._wake = asyncio.Event()
        self._flushing = asyncio.Lock()
        self.stuck: str | None = None
        """Why the database does not take results; None while it does."""

    @property
    def may_send(self) -> bool:
        return self.stuck is None and self._waiting < BACKLOG_MAX and self._fence.holds

    def delivered(self, campaign_id: int, server_id: int, n: int) -> None:
        """The server took it with 250. Its time is that of the first of its batch: within one flush of the truth."""
        known = self._batch.delivered.get((campaign_id, server_id))
        if known is None:
            known = self._batch.delivered[campaign_id, server_id] = Delivered(campaign_id, server_id, now(), [])
        known.numbers.append(n)
        self._came_in()

    def add(self, ending: Ending, *, lost_by_us: bool = False) -> None:
        """One result. `lost_by_us`: it failed for a reason that is not the recipient's, so an outage may claim it."""
        self._batch.endings.append(ending)
        if lost_by_us:
            self._batch.lost_by_us.append(ending)
        self._came_in()

    def _came_in(self) -> None:
        self._waiting += 1
        if self._waiting == FLUSH_AT:
            self._wake.set()

    def suppress(self, email_key: str, reason: str) -> None:
        self._batch.suppress.append((email_key, reason))

    def end_lease(self, lease_id: int) -> None:
        """Every delivery of the lease has a result here; the lease ends with them, in one transaction."""
        self._batch.ended_leases.append(lease_id)

    def about(self, server_id: int) -> Testimony:
        return self._testimony[server_id]

    async def run(self) -> None:
        """Flush for ever. The last flush is the caller's, by `flush`, after cancelling this."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_EVERY.total_seconds()):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await asyncio.shield(self.flush())
            except StorageError as error:
                if self.stuck is None:
                    # A known state with a sentence: a traceback would only hide it.
                    log.error("the ledger cannot be written; sending stops until it can", reason=str(error))  # noqa: TRY400
                self.stuck = str(error)
                await asyncio.sleep(1)
            else:
                self.stuck = None

    async def flush(self) -> None:
        """Write all that has come in. Raises StorageError, and then keeps everything for the next try."""
        async with self._flushing:
            evidence = [row for server, t in self._testimony.items() if (row := t.take(server, now()))]
            if not self._batch and not evidence:
                return
            batch, self._batch = self._batch, _Batch()
            waiting, mark = self._waiting, self._journal.mark()

            async def write(tx: Tx) -> None:
                await self._write(tx, batch)
                await sending.testify(tx, evidence)

            try:
                await self._db.in_one_go(write)
            except StorageError:
                for row in evidence:
                    self._testimony[row.server_id].failed += row.failed
                batch.absorb(self._batch)
                self._batch = batch
                raise
            self._journal.checkpoint(mark)
            self._waiting -= waiting

    async def _write(self, tx: Tx, batch: _Batch) -> None:
        await self._stamp(tx, batch.lost_by_us)
        await results.write(tx, batch.endings)
        for delivered in batch.delivered.values():
            await results.write_delivered(tx, delivered)
        for reason in {reason for _, reason in batch.suppress}:
            keys = [key for key, why in batch.suppress if why == reason]
            await suppressions.suppress(tx, keys, reason, now())
        await leases.end(tx, batch.ended_leases)

    async def _stamp(self, tx: Tx, lost: list[Ending]) -> None:
        if not lost:
            return
        outages = await results.open_outages(tx)
        for ending in lost:
            if ending.server_id is not None:
                ending.outage_id = outages.get(ending.server_id)
