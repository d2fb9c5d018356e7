"""A channel: the place of one connection in a lane, with its intent slot in the journal.

The connection asks it for messages and tells it their endings, in callbacks: between two messages no task is
switched and nothing is awaited.
"""

import asyncio
from typing import Final, Protocol

from bot.mail.connection import Connection, Endpoint, Lost
from bot.mail.jobs import Item, Job
from bot.mail.journal import Journal
from bot.mail.replies import Outcome
from bot.mail.transaction import Limits, Result, Wants

IDLE_CLOSE: Final = 20.0
"""Seconds after which a connection without work says QUIT."""


class Owner(Protocol):
    """What a channel needs of its lane."""

    def take(self, channel: "Channel", *, ahead: bool) -> Item | None:
        """The next item, with its message, when this channel may send one now, or when it has sent another."""

    def may_leave(self, job: Job) -> bool: ...
    def went_well(self, item: Item) -> None: ...
    def settle(self, channel: "Channel", item: Item, result: Result) -> None: ...
    def connected(self) -> None: ...
    def not_connected(self, lost: Lost) -> None: ...
    def gone(self, channel: "Channel") -> None: ...
    def died(self, error: Exception) -> None: ...


class Channel:
    """See the module. At most one connection at a time."""

    def __init__(self, lane: Owner, slot: int, journal: Journal) -> None:
        self.slot: Final = slot
        self.connection: Connection | None = None
        self.retired = False
        """It takes nothing more, and its place goes when its connection is gone."""
        self.carried = 0
        """Messages that this connection has carried."""
        self.wants = Wants()
        """In which form this connection takes messages."""
        self._lane = lane
        self._journal = journal
        self._connecting: asyncio.Task[None] | None = None
        self._idle_since: float | None = None

    @property
    def is_empty(self) -> bool:
        """Without a connection, and none is being made."""
        return self.connection is None and self._connecting is None

    @property
    def is_connecting(self) -> bool:
        return self._connecting is not None

    def connect(self, endpoint: Endpoint, limits: Limits) -> None:
        """Begin to. What came of it is told to the lane."""
        self._connecting = asyncio.create_task(self._connect(endpoint, limits))

    async def _connect(self, endpoint: Endpoint, limits: Limits) -> None:
        try:
            connection = await Connection.open(endpoint, limits)
        except Lost as lost:
            self._connecting = None
            self._lane.not_connected(lost)
            self._lane.gone(self)
            return
        self.connection, self._connecting = connection, None
        self.carried = 0
        self.wants = connection.wants
        self._idle_since = None
        self._lane.connected()
        connection.carry(self)

    def rest(self, at: float) -> bool:
        """Note whether the connection has work, at the loop's time `at`. True when it has had none for too long."""
        if self.connection is None or not self.connection.is_idle:
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = at
        return self._idle_since is not None and at - self._idle_since > IDLE_CLOSE

    def abort(self, job: Job | None = None) -> None:
        """Hang up, or only if something of this job is under way; it ends at once with what is known of it."""
        connection = self.connection
        if connection is not None and (job is None or any(item.job is job for item in connection.under_way)):
            connection.abort()

    async def close(self, within: float) -> None:
        """Let what is under way come to its end, then say QUIT; after `within` seconds hang up."""
        end = asyncio.get_running_loop().time() + within
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
            self._connecting = None
        while (connection := self.connection) is not None:
            if connection.is_idle:
                await connection.close()
            elif asyncio.get_running_loop().time() > end:
                connection.abort()
                await connection.wait_closed()
            else:
                await asyncio.sleep(0.005)

    # The feed of the connection.

    def next(self, *, ahead: bool) -> Item | None:
        try:
            return self._lane.take(self, ahead=ahead)
        except Exception as error:
            self._lane.died(error)
            raise

    def may_leave(self, item: Item) -> bool:
        job = item.job
        return (
            self._lane.may_leave(job)
            and job.may_leave(item)
            and self._journal.intent(self.slot, job.campaign_id, item.row.n)
        )

    def delivered(self, item: Item) -> None:
        try:
            self._journal.result(self.slot, item.job.campaign_id, item.row.n, Outcome.delivered, 250)
            self.carried += 1
            self._lane.went_well(item)
        except Exception as error:
            self._lane.died(error)
            raise

    def ended(self, item: Item, result: Result) -> None:
        try:
            self._lane.settle(self, item, result)
        except Exception as error:
            self._lane.died(error)
            raise
        if result.sent:
            self.carried += 1

    def closed(self) -> None:
        self.connection = None
        self._lane.gone(self)
