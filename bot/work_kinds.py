"""Work that goes on after any crash: kinds of it, and an engine that carries it out.

The rules, all of them consequences of one: *the ledger is the truth, an engine only carries work out.*

- Work is asked for by `ensure` with a key, or begun here by `begin`. Who looks at the ledger and finds that work is
  missing does so, as often as it looks; so a crash between the ledger's transaction and this call loses nothing.
- A run may begin again from its beginning: after a crash, and where its worker was only silent. It looks at the ledger
  first. Arguments are what JSON can say.
- A run that is cancelled by `stop`, or whose worker dies, is not done: it goes on elsewhere, or here at the next start.

On PostgreSQL the engine is dbos, thin (bot/work.py): what one worker leaves, another takes up. On SQLite there is
one worker, so that nobody could take anything up, and what it left its next start finds in the ledger: there a small
engine of ours does it within the process (bot/work_alone.py). dbos would take 24 MB and a file of its own for that.
"""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

Run = Callable[..., Awaitable[None]]


@dataclass(frozen=True)
class Kind:
    """One kind of work. `run` gets the arguments of `ensure` or `begin`, on the loop that called `Engine.start`.

    `queued`: whether it is asked for by `ensure`. Otherwise no worker looks whether some waits.
    """

    name: str
    run: Run
    queued: bool = True


class Engine(Protocol):
    """See the module. What a run raises is logged with its kind; it is not tried again under the same key."""

    async def start(self) -> None:
        """Begin to take work. Raises BotError when that cannot be."""

    async def stop(self) -> None:
        """Take nothing more and leave what is under way to others: its runs are cancelled here."""

    async def ensure(self, kind: str, key: str, *arguments: Any) -> None:
        """Have this work done once, by whichever worker takes it, within some seconds."""

    async def begin(self, kind: str, key: str, *arguments: Any) -> None:
        """Have this work done once, by this worker and at once; by another one if this one dies."""

    async def adopt(self, living: Callable[[], Awaitable[Collection[str]]]) -> int:
        """Let go on what is pending under a name that is not among the living. Returns how many.

        `living` is asked after the list was read: whoever took work after it was alive before. One at a time may do
        this, or what another worker has just taken would be given away once more.
        """

    async def forget(self, before: datetime) -> None:
        """Delete what ended before then. Its keys can be asked for anew after that."""


class Duty(Protocol):
    """Work of another room that workers carry out beside their own: its kind, and who asks for it."""

    kind: Kind

    async def ask(self, engine: Engine) -> None:
        """Give the engine what is missing there. Called every few seconds by every worker, so by `ensure` alone."""
