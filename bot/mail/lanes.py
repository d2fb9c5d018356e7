"""A lane: the connections of this worker to one server, and the care taken of it.

Each connection takes a row from the jobs of the lane in turn, sends it, and gives back its ending. A server that
fails again and again is left alone but for one trial at a time, so that an outage costs a bounded number of
deliveries and not the campaign.
"""

import asyncio
import math
from collections import deque
from dataclasses import replace

import structlog

from bot.config import Settings
from bot.errors import BotError
from bot.mail.attempts import REPLY_MAX, ending_of, unusable
from bot.mail.channel import Channel
from bot.mail.connection import Endpoint, Lost
from bot.mail.jobs import TRIES_MAX, Item, Job
from bot.mail.journal import Journal
from bot.mail.ledger import Ledger
from bot.mail.pacing import Paces, is_too_much
from bot.mail.replies import Judgement, Outcome, Stage, judge
from bot.mail.transaction import Limits, Result, Wants
from storage.sending import Carrier

log = structlog.get_logger()

_LOOK_EVERY = 0.25
"""Seconds between looks at connections that rest and at a server that keeps failing."""
_TRIAL_EVERY = 3.0
"""Seconds between trials of a server that keeps failing."""
_BACKOFF_FIRST, _BACKOFF_MAX = 0.2, 5.0
_POOLED_STOP_AFTER = 10
"""Failures in a row after which only trials go to a server, where others can take what it does not."""
_RECENT = 500
"""Addresses remembered of what a server took, to know how much of it goes to which provider."""
_CATCH_UP = 0.05
"""Seconds: what a limited lane may make up for when the loop was late. More would be a burst."""


class Lane:
    """The connections to one server. Each takes an intent slot of the journal from `free_slots`, and gives it back."""

    def __init__(
        self,
        carrier: Carrier,
        endpoint: Endpoint,
        settings: Settings,
        ledger: Ledger,
        journal: Journal,
        free_slots: list[int],
        limits: Limits,
        paces: Paces,
    ) -> None:
        self.carrier = carrier
        self.jobs: list[Job] = []
        self._endpoint = endpoint
        self._patience = self._stop_after = settings.sending.stop_after_failures
        self._settle_timeout = settings.sending.settle_timeout
        self._paces = paces
        self._ledger = ledger
        self._testimony = ledger.about(carrier.id)
        self._journal = journal
        self._free_slots = free_slots
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._down_since = self._loop.time()
        self._channels: list[Channel] = []
        self._turn = 0
        self._taken = 0
        self._flow = 0.0
        self._recent: deque[str] = deque(maxlen=_RECENT)
        self._failures = 0
        self._backoff = _BACKOFF_FIRST
        self._connect_after = 0.0
        self._next_send = 0.0
        self._next_trial = 0.0
        self._trial: Channel | None = None
        self._closing = False
        self._looking = False
        self._pacing: asyncio.TimerHandle | None = None
        self._pacing_at = 0.0
        self._death: Exception | None = None
        self._goodbyes: set[asyncio.Task[None]] = set()
        self._tending = asyncio.create_task(self._tend())
        self._fit()

    def wake(self) -> None:
        """There may be work. Looked at in a moment: never in the middle of a connection's dialogue."""
        if not self._looking and not self._closing:
            self._looking = True
            self._loop.call_soon(self._look)

    def add(self, job: Job) -> None:
        if job not in self.jobs:
            self.jobs.append(job)
        self._set_patience()
        self.wake()

    def remove(self, job: Job) -> None:
        if job in self.jobs:
            self.jobs.remove(job)
            self._set_patience()

    def _set_patience(self) -> None:
        pooled = any(job.split is not None for job in self.jobs)
        self._stop_after = min(self._patience, _POOLED_STOP_AFTER) if pooled else self._patience

    def abort(self, job: Job) -> None:
        """Hang up on what is in flight of this job; those sends end at once with what is known of them."""
        for channel in list(self._channels):
            channel.abort(job)

    def check(self) -> None:
        """Raise what went wrong inside, if anything did: a sender that limps is worse than one that restarts."""
        if self._death is not None:
            raise self._death
        if self._tending.done() and not self._closing:
            self._tending.result()

    def update(self, carrier: Carrier) -> None:
        """The server's row has changed: its limits, or whether it may be used."""
        if carrier.down and not self.carrier.down:
            self._down_since = self._loop.time()
        self.carrier = carrier
        self._fit()
        self.wake()

    @property
    def connections(self) -> int:
        """How many it has or may open now, those that are ending included."""
        return len(self._channels)

    def same_place(self, carrier: Carrier) -> bool:
        """Whether the server is still where this lane's connections go."""
        here = self.carrier
        return here == replace(
            carrier,
            usable=here.usable,
            down=here.down,
            rate_per_second=here.rate_per_second,
            max_connections=here.max_connections,
        )

    @property
    def is_busy(self) -> bool:
        """Whether anything is under way."""
        return any(channel.connection is not None and not channel.connection.is_idle for channel in self._channels)

    @property
    def is_out(self) -> bool:
        """Whether a job that has other lanes goes on without this one: its server fails, or may not be used."""
        cut_off = self._backoff > _BACKOFF_FIRST and all(channel.connection is None for channel in self._channels)
        return cut_off or self._tripped or self._closing or not self.carrier.usable

    async def close(self, within: float) -> None:
        """Take no further row, let what is in flight settle, then hang up: at the latest after `within` seconds."""
        self._closing = True
        self._tending.cancel()
        if self._pacing is not None:
            self._pacing.cancel()
        await asyncio.gather(*(channel.close(within) for channel in self._channels), *self._goodbyes)
        self._free_slots += [channel.slot for channel in self._channels]
        self._channels.clear()
        await asyncio.wait([self._tending])

    # Its connections.

    def _fit(self) -> None:
        """As many channels as the server's limit allows; what is too many ends after its message."""
        staying = [channel for channel in self._channels if not channel.retired]
        for channel in staying[self.carrier.max_connections :]:
            channel.retired = True
            if channel.is_empty:
                self.gone(channel)
        for _ in range(self.carrier.max_connections - len(staying)):
            if not self._free_slots:
                break
            self._channels.append(Channel(self, self._free_slots.pop(), self._journal))

    def _look(self) -> None:
        """Give idle connections the chance to take a row, and open those that are missing."""
        self._looking = False
        if self._closing or not self._may_send():
            return
        connecting = sum(channel.is_connecting for channel in self._channels)
        for channel in self._channels:
            if channel.retired:
                continue
            connection = channel.connection
            if connection is not None:
                connection.go()
                if connection.is_open and connection.is_idle and not self._tripped:
                    return  # there is nothing for it now, so there is nothing for any other
            elif not channel.is_connecting and self._wants_connection(connecting):
                channel.connect(self._endpoint, self._limits)
                connecting += 1

    def _wants_connection(self, connecting: int) -> bool:
        if self._loop.time() < self._connect_after or (self._tripped and (self._trial is None or connecting)):
            return False
        return sum(job.rows for job in self._running()) > connecting

    def _running(self) -> list[Job]:
        """The jobs that have something to send; those with few rows left are given more."""
        for job in self.jobs:
            job.refill(self.wake)
        return [job for job in self.jobs if job.rows and not job.stopped]

    async def _tend(self) -> None:
        """What nobody else notices: connections that rest, a server that keeps failing and is to be tried again."""
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            at = self._loop.time()
            self._measure()
            for job in self.jobs:
                if job.split is not None:
                    job.split.tick(at, job.in_flight)
            if self.carrier.down and at - self._down_since > self._settle_timeout:
                self._hang_up()
            for channel in self._channels:
                if channel.connection is not None and (channel.rest(at) or channel.retired):
                    self._part_with(channel)
            if self._tripped and at >= self._next_trial and self._running():
                self._next_trial = at + _TRIAL_EVERY
                staying = [channel for channel in self._channels if not channel.retired]
                open_ones = [channel for channel in staying if channel.connection is not None]
                self._trial = next(iter(open_ones + staying), None)
            self.wake()

    def _measure(self) -> None:
        """How many messages a second the server takes, smoothed over some seconds; and which paces have ended."""
        self._flow += (self._taken / _LOOK_EVERY - self._flow) * _LOOK_EVERY / 2
        self._taken = 0
        for provider in self._paces.forget(self._loop.time()):
            log.info("the provider takes mail at full pace again", server=self.carrier.name, provider=provider)

    def _hang_up(self) -> None:
        """What a dead server has not answered would keep its campaign from its end; as after a pause, it ends now."""
        for channel in list(self._channels):
            if channel.connection is not None and not channel.connection.is_idle:
                channel.abort()

    def _part_with(self, channel: Channel) -> None:
        if channel.connection is not None and channel.connection.is_idle:
            goodbye = asyncio.create_task(channel.close(0))
            self._goodbyes.add(goodbye)
            goodbye.add_done_callback(self._goodbyes.discard)

    def connected(self) -> None:
        self._backoff = _BACKOFF_FIRST

    def not_connected(self, lost: Lost) -> None:
        self._failed(lost.stage, lost.reply.code if lost.reply else None, lost.text)
        self._connect_after = self._loop.time() + self._backoff
        self._backoff = min(self._backoff * 2, _BACKOFF_MAX)
        self._trial = None

    def gone(self, channel: Channel) -> None:
        """Its connection is gone: another is opened if there is work, or its place goes."""
        if channel.retired and not self._closing and channel in self._channels:
            self._channels.remove(channel)
            self._free_slots.append(channel.slot)
        self.wake()

    def died(self, error: Exception) -> None:
        self._death = self._death or error

    # Its messages.

    @property
    def _tripped(self) -> bool:
        return self._failures >= self._stop_after

    def _may_send(self) -> bool:
        return self.carrier.usable and self._ledger.may_send

    def may_leave(self, job: Job) -> bool:
        """Asked right before the end of a message leaves: nothing does after a wish to stop was seen."""
        return not job.stopped and self.carrier.usable and self._ledger.may_send

    def take(self, channel: Channel, *, ahead: bool) -> Item | None:
        """A row of the jobs in turn with its message, when sending is allowed at all."""
        # Ahead of another one, whose end `may_leave` has just let go: what it looked at has not changed since.
        if self._closing or channel.retired or not (ahead or self._may_send()):
            return None
        if self._tripped and self._trial is not channel:
            return None
        at = self._loop.time()
        rate = self.carrier.rate_per_second
        if rate is not None and at < self._next_send:
            self._look_at(self._next_send)
            return None
        item = self._take(at, ahead=ahead, wants=channel.wants)
        if item is not None:
            self._trial = None
            if rate is not None:
                self._next_send = max(self._next_send, at - _CATCH_UP) + 1 / rate
        return item

    def _take(self, at: float, *, ahead: bool, wants: Wants) -> Item | None:
        jobs = self.jobs
        paces = self._paces
        for _ in range(len(jobs)):
            self._turn = (self._turn + 1) % len(jobs)
            job = jobs[self._turn]
            if job.runs_low:
                job.refill(self.wake)
                if ahead and job.rows <= len(self._channels):
                    continue  # one that is at rest takes it sooner
            split = job.split
            if split is not None and not split.may_take(self.carrier.id, at):
                continue
            while (item := job.take(paces, at)) is not None:
                try:
                    item.body = job.compose(item.row, wants)
                except BotError as error:
                    job.settle(item, unusable(item, self.carrier.id, error))
                else:
                    if paces.limited and (pace := paces.of(item.row.email_key)) is not None:
                        pace.sent(at)
                    if split is not None:
                        split.took(self.carrier.id)
                    return item
        if (due := paces.next_at()) is not None and due > at:
            self._look_at(due)
        return None

    def _look_at(self, at: float) -> None:
        """Wake up at this time of the loop, because nothing may be taken before."""
        if self._pacing is None or at < self._pacing_at:
            if self._pacing is not None:
                self._pacing.cancel()
            self._pacing_at = at
            # Not before it: uvloop counts whole milliseconds, and rounds down what is less than half of one.
            self._pacing = self._loop.call_at(math.ceil(at * 1000) / 1000, self._in_time)

    def _in_time(self) -> None:
        self._pacing = None
        self.wake()

    def went_well(self, item: Item) -> None:
        """The server took a message."""
        self._failures = 0
        self._taken += 1
        self._recent.append(item.row.email_key)
        if self._paces.limited and (pace := self._paces.of(item.row.email_key)) is not None:
            pace.ended()
            pace.took(self._loop.time())
        self._testimony.good()
        item.job.delivered(item, self.carrier.id)

    def settle(self, channel: Channel, item: Item, result: Result) -> None:
        """Any ending: back into the queue, or into the ledger."""
        judgement = judge(result.stage, result.reply)
        code = result.reply.code if result.reply else 0
        if result.sent:
            self._journal.result(channel.slot, item.job.campaign_id, item.row.n, judgement.outcome, code)
        if judgement.blame == "nobody" and code == 250:
            self.went_well(item)
            return
        if (pace := self._paces.of(item.row.email_key)) is not None:
            pace.ended()
        if result.withheld or self._once_more(channel, item, result, judgement):
            item.job.put_back(item)
            return
        self._note(item, result, judgement)
        ours = judgement.blame not in {"nobody", "recipient"}
        item.job.settle(item, ending_of(item, self.carrier.id, result, judgement), lost_by_us=ours)

    def _once_more(self, channel: Channel, item: Item, result: Result, judgement: Judgement) -> bool:
        """Whether this was no verdict about the recipient, so that the message waits again: a few times at most."""
        if not result.sent and (result.reply is None or result.reply.code == 421):
            # The session ended before this message's end. Nor is it a verdict about the server where the session
            # had carried messages: many servers end a session after so many of them.
            if channel.carried:
                return True
            self._failed(result.stage, result.reply.code if result.reply else None, result.text or str(result.reply))
        elif (
            judgement.outcome is Outcome.failed_temporary
            and judgement.blame == "sender"
            and is_too_much(str(result.reply))
            and self._is_well
        ):
            self._slow_down(item, str(result.reply))
        else:
            return False
        item.tries += 1
        return item.tries < TRIES_MAX

    @property
    def _is_well(self) -> bool:
        """Whether the server takes messages at all."""
        return self._taken > 0 or self._flow > 1

    def _slow_down(self, item: Item, why: str) -> None:
        """A provider put us off by its policy while the server takes the mail of others."""
        provider = self._paces.provider(item.row.email_key)
        known = sum(self._paces.provider(address) == provider for address in self._recent)
        flow = max(self._flow, self._taken / _LOOK_EVERY) * known / max(len(self._recent), 1)
        learned = self._paces.limited.get(provider)
        pace = self._paces.put_off(item.row.email_key, self._loop.time(), flow, why[:REPLY_MAX])
        if learned is None:
            log.warning(
                "the provider puts us off", server=self.carrier.name, provider=provider, rate=pace.rate, why=why
            )

    def _note(self, item: Item, result: Result, judgement: Judgement) -> None:
        """What the ending says of the server and of the address."""
        if judgement.suppress:
            reason = f"{judgement.why}: {result.reply}"[:REPLY_MAX]
            self._ledger.suppress(item.row.email_key, reason)
        if judgement.blame in {"nobody", "recipient"}:
            self._failures = 0
            self._testimony.good()
        elif result.sent or (result.reply is not None and result.reply.code != 421):
            self._failed(result.stage, result.reply.code if result.reply else None, result.text or str(result.reply))

    def _failed(self, stage: Stage, code: int | None, text: str) -> None:
        self._failures += 1
        if self._failures == self._stop_after:
            log.warning("the server keeps failing; only trials go to it", server=self.carrier.name, last=text)
            self._next_trial = self._loop.time() + _TRIAL_EVERY
        self._testimony.bad(stage, code, text[:REPLY_MAX])
