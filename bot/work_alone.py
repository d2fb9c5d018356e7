"""The work engine where one worker does all: runs are tasks of this process, and the ledger knows what is left."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime
from typing import Any

import structlog

from bot.clock import now
from bot.work_kinds import Kind

_log = structlog.get_logger(__name__)


class LoneEngine:
    """See bot/work_kinds.py. A key is done once in the life of the process."""

    def __init__(self, kinds: Sequence[Kind]) -> None:
        self._kinds = {kind.name: kind for kind in kinds}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._ended: dict[str, datetime] = {}

    async def start(self) -> None:
        """Nothing is to be made ready."""

    async def stop(self) -> None:
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def ensure(self, kind: str, key: str, *arguments: Any) -> None:
        name = f"{kind}:{key}"
        if name not in self._running and name not in self._ended:
            self._running[name] = asyncio.create_task(self._carry_out(name, kind, arguments))

    async def begin(self, kind: str, key: str, *arguments: Any) -> None:
        await self.ensure(kind, key, *arguments)

    async def adopt(self, living: Callable[[], Awaitable[Collection[str]]]) -> int:  # noqa: ARG002  there is no other
        """Nobody else has left anything."""
        return 0

    async def forget(self, before: datetime) -> None:
        self._ended = {name: at for name, at in self._ended.items() if at >= before}

    async def _carry_out(self, name: str, kind: str, arguments: tuple[Any, ...]) -> None:
        try:
            await self._kinds[kind].run(*arguments)
        except Exception:  # noqa: BLE001  one run's mistake is not the end of the others
            _log.exception("work failed", kind=kind, arguments=arguments)
        finally:
            del self._running[name]
            self._ended[name] = now()
