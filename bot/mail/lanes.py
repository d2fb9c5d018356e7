"""A lane: the connections of this worker to one server, and the care taken of it.

Each connection takes a row from the jobs of the lane in turn, sends it, and gives back its ending. A server that
fails again and again is left alone but for one trial at a time, so that an outage costs a bounded number of
deliveries and not the campaign.
"""

import asyncio
import contextlib
from dataclasses import replace

import structlog

from bot.clock import now
from bot.config import SendingSettings
from bot.errors import BotError
from bot.mail.connection import Connection, Endpoint, Lost
from bot.mail.jobs import TRIES_MAX, Item, Job, unusable
from bot.mail.journal import Journal
from bot.mail.ledger import Ledger
from bot.mail.replies import Judgement, Stage, judge
from bot.mail.transaction import Limits, Result
from storage.deliveries import Ending
from storage.models import Retry
from storage.sending import Carrier

log = structlog.get_logger()

REPLY_MAX = 200
_IDLE_CLOSE = 20.0
"""Seconds after which a connection without work says QUIT."""
_TRIAL_EVERY = 3.0
"""Seconds between trials of a server that keeps failing."""
_BACKOFF_FIRST, _BACKOFF_MAX = 0.1, 5.0


class Lane:
    """The connections to one server. `slots` are the journal's intent slots that they may use, one each."""

    def __init__(
        self,
        carrier: Carrier,
        endpoint: Endpoint,
        settings: SendingSettings,
        ledger: Ledger,
        journal: Journal,
        slots: list[int],
        limits: Limits,
    ) -> None:
        self.carrier = carrier
        self.slots = slots
        self._endpoint = endpoint
        self._settings = settings
        self._ledger = ledger
        self._journal = journal
        self._limits = limits
        self.jobs: list[Job] = []
        self._turn = 0
        self._work = asyncio.Event()
        self._failures = 0
        self._backoff = _BACKOFF_FIRST
        self._next_send = 0.0
        self._close_now = asyncio.Event()
        self._trial = asyncio.Lock()
        self._connections: set[Connection] = set()
        self._sending: dict[Connection, Job] = {}
        self._tasks = [asyncio.create_task(self._carry(slot)) for slot in slots]

    def wake(self) -> None:
        self._work.set()

    def add(self, job: Job) -> None:
        if job not in self.jobs:
            self.jobs.append(job)
        self.wake()

    def remove(self, job: Job) -> None:
        if job in self.jobs:
            self.jobs.remove(job)

    def abort(self, job: Job) -> None:
        """Hang up on what is in flight of this job; those sends end at once with what is known of them."""
        for connection, sending in list(self._sending.items()):
            if sending is job:
                connection.abort()

    def check(self) -> None:
        """Raise what a connection's task died of, if one did: a sender that limps is worse than one that restarts."""
        for task in self._tasks:
            if task.done() and not self._closing:
                task.result()

    def update(self, carrier: Carrier) -> None:
        """The server's row has changed: its rate, or whether it may be used."""
        self.carrier = carrier
        self.wake()

    def same_place(self, carrier: Carrier) -> bool:
        """Whether the server is still where this lane's connections go."""
        return replace(carrier, usable=True, rate_per_second=None) == replace(
            self.carrier, usable=True, rate_per_second=None
        )

    async def close(self, within: float) -> None:
        """Take no further row, let what is in flight settle, then hang up: at the latest after `within` seconds."""
        self._close_now.set()
        self.wake()
        _, late = await asyncio.wait(self._tasks, timeout=within)
        for connection in list(self._connections):
            connection.abort()  # ends its send at once, with what is known of it
        if late:
            _, late = await asyncio.wait(late, timeout=within)
        for task in late:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def _closing(self) -> bool:
        return self._close_now.is_set()

    @property
    def _tripped(self) -> bool:
        return self._failures >= self._settings.stop_after_failures

    def _next(self) -> tuple[Job, Item] | None:
        """A row of the jobs in turn, when sending is allowed at all."""
        if self._closing or not self.carrier.usable or not self._ledger.may_send:
            return None
        for _ in range(len(self.jobs)):
            self._turn = (self._turn + 1) % len(self.jobs)
            job = self.jobs[self._turn]
            item = job.take()
            job.refill(self.wake)
            if item is not None:
                return job, item
        return None

    async def _carry(self, slot: int) -> None:
        """One connection's life: until the lane closes."""
        connection: Connection | None = None
        try:
            while not self._closing:
                if self._tripped:
                    connection = await self._try_again(slot, connection)
                elif not await self._step(slot, connection):
                    connection = await self._idle(connection)
                elif connection is None or not connection.is_open:
                    connection = await self._connect()
        finally:
            if connection is not None:
                self._connections.discard(connection)
                with contextlib.suppress(OSError):
                    await connection.close()

    async def _step(self, slot: int, connection: Connection | None) -> bool:
        """Send one row. False when there is nothing to do; True without a send where a connection is missing."""
        if connection is None or not connection.is_open:
            return self._has_work()
        if self.carrier.rate_per_second is not None:
            if not self._has_work():
                return False  # a connection without work takes no place in the queue
            await self._pace(self.carrier.rate_per_second)
        taken = self._next()
        if taken is None:
            return False
        await self._send(slot, connection, *taken)
        return True

    def _has_work(self) -> bool:
        if self._closing or not self.carrier.usable or not self._ledger.may_send:
            return False
        for job in self.jobs:
            job.refill(self.wake)
        return any(job.has_rows and not job.stopped for job in self.jobs)

    async def _idle(self, connection: Connection | None) -> Connection | None:
        """Wait for work; a connection that waits too long says QUIT."""
        self._work.clear()
        if self._closing:  # the call to wake up for it came while this connection was busy
            return connection
        try:
            async with asyncio.timeout(_IDLE_CLOSE if connection is not None else None):
                await self._work.wait()
        except TimeoutError:
            if connection is not None:
                self._connections.discard(connection)
                await connection.close()
            return None
        return connection

    async def _try_again(self, slot: int, connection: Connection | None) -> Connection | None:
        """The server keeps failing: one connection at a time tries one message, the others wait."""
        async with self._trial:
            if not self._tripped or self._closing:
                return connection
            await self._rest(_TRIAL_EVERY)
            if not self._has_work():
                return connection
            if connection is None or not connection.is_open:
                connection = await self._connect()
            if connection is not None:
                await self._step(slot, connection)
        return connection

    async def _rest(self, seconds: float) -> None:
        """Wait, but not when the lane closes."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._close_now.wait()

    async def _connect(self) -> Connection | None:
        try:
            connection = await Connection.open(self._endpoint, self._limits)
        except Lost as lost:
            code = lost.reply.code if lost.reply else None
            self._failed(lost.stage, code, lost.text)
            self._backoff = min(self._backoff * 2, _BACKOFF_MAX)
            await self._rest(self._backoff)
            return None
        self._connections = {known for known in self._connections if known.is_open} | {connection}
        self._backoff = _BACKOFF_FIRST
        return connection

    async def _pace(self, rate: int) -> None:
        """Keep within `rate` messages a second, over all connections of this lane."""
        loop = asyncio.get_running_loop()
        start = max(self._next_send, loop.time())
        self._next_send = start + 1 / rate
        await asyncio.sleep(start - loop.time())

    async def _send(self, slot: int, connection: Connection, job: Job, item: Item) -> None:
        row, campaign_id = item.row, job.work.campaign_id
        try:
            body = job.compose(row)
        except BotError as error:
            job.settle(item, unusable(campaign_id, item, self.carrier.id, error))
            return
        intent, ledger = self._journal.intent, self._ledger

        def before_dot() -> bool:
            return not job.stopped and self.carrier.usable and ledger.may_send and intent(slot, campaign_id, row.n)

        self._sending[connection] = job
        result = await connection.send(job.sender, row.email, body, before_dot=before_dot)
        del self._sending[connection]
        self._settle(slot, job, item, result)

    def _settle(self, slot: int, job: Job, item: Item, result: Result) -> None:
        if result.withheld:
            job.put_back(item)
            return
        if not result.sent and (result.reply is None or result.reply.code == 421):
            # The session ended before this message's dot: no verdict about the recipient.
            self._failed(result.stage, result.reply.code if result.reply else None, result.text or str(result.reply))
            item.tries += 1
            if item.tries < TRIES_MAX:
                job.put_back(item)
                return
        judgement = judge(result.stage, result.reply)
        code = result.reply.code if result.reply else 0
        if result.sent:
            self._journal.result(slot, job.work.campaign_id, item.row.n, judgement.outcome, code)
        self._note(job, item, result, judgement)
        ours = judgement.blame not in {"nobody", "recipient"}
        job.settle(item, self._ending(job, item, result, judgement), lost_by_us=ours)

    def _note(self, job: Job, item: Item, result: Result, judgement: Judgement) -> None:
        """What the ending says of the server and of the address."""
        if judgement.suppress:
            reason = f"{judgement.why}: {result.reply}"[:REPLY_MAX]
            self._ledger.suppress(item.row.email_key, reason)
            job.suppressed.add(item.row.email_key)
        if judgement.blame in {"nobody", "recipient"}:
            self._failures = 0
            self._ledger.about(self.carrier.id).good()
        elif result.sent or (result.reply is not None and result.reply.code != 421):
            self._failed(result.stage, result.reply.code if result.reply else None, result.text or str(result.reply))

    def _failed(self, stage: Stage, code: int | None, text: str) -> None:
        self._failures += 1
        if self._failures == self._settings.stop_after_failures:
            log.warning("the server keeps failing; only trials go to it", server=self.carrier.name, last=text)
        self._ledger.about(self.carrier.id).bad(stage, code, text[:REPLY_MAX])

    def _ending(self, job: Job, item: Item, result: Result, judgement: Judgement) -> Ending:
        delivered = judgement.blame == "nobody"
        return Ending(
            campaign_id=job.work.campaign_id,
            n=item.row.n,
            status=judgement.outcome.value,
            at=now(),
            server_id=self.carrier.id,
            stage=None if delivered else result.stage.value,
            code=result.reply.code if result.reply else None,
            reply=None if delivered else (str(result.reply) if result.reply else result.text)[:REPLY_MAX],
            retry=Retry(judgement.retry).value,
        )
