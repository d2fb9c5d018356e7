"""A job whose messages take long to make, because they are signed with RSA: it lets the rest of the loop in between."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from bot.mail.jobs import Item, Job
from bot.mail.pacing import Paces

AT_ONCE = 3
"""Messages that are made one after the other before anything else has its turn: about a millisecond.

With every connection served in one go, a pause took a quarter of a second to be heeded on 500 connections.
"""


def _nobody() -> None:
    """There is no lane to wake."""


@dataclass(slots=True, eq=False)
class SignedJob(Job):
    """See the module. What a thread could do: it would have to win the interpreter back after each signature, up to
    5 ms later, so that it signs a fifth of what the loop does.
    """

    _made: int = 0
    _wake: Callable[[], None] = _nobody

    def take(self, paces: Paces, at: float) -> Item | None:
        if self._made == AT_ONCE:
            return None
        item = Job.take(self, paces, at)
        if item is not None:
            if self._made == 0:
                asyncio.get_running_loop().call_soon(self._next_turn)
            self._made += 1
        return item

    def _next_turn(self) -> None:
        self._made = 0
        (self._wake if self.split is None else self.split.wake)()

    def refill(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        Job.refill(self, wake)
