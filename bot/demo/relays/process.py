"""A relay in a process of its own, which can be killed.

The parent writes commands to its standard input, one JSON object a line, and reads one answer for each from
its standard output. When the input ends, because the parent is gone, the relay ends as well.
"""

import asyncio
import itertools
import json
import socket
import sys
from asyncio.subprocess import PIPE, Process
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bot.demo.relays.faults import Fault
from bot.demo.relays.relay import hold_port
from bot.demo.relays.truth import Received, read_truth
from bot.errors import BotError


class RelayProcess:
    """The same behaviour as Relay, by the same methods; `log` is its truth log and outlives every kill.

    The parent holds the port, so that it stays refused while the relay is dead and free for the next start.
    Methods raise ConnectionError when the relay is not running, or dies before it answers.
    """

    def __init__(
        self,
        log: Path,
        *,
        name: str = "relay",
        host: str = "127.0.0.1",
        port: int = 0,
        pipelining: bool = True,
        certificate: Path | None = None,
        key: Path | None = None,
        expired: Path | None = None,
        login: tuple[str, str] | None = None,
    ) -> None:
        self.log = log
        self.name = name
        self.host = host
        self.port = port
        self._options = [] if pipelining else ["--no-pipelining"]
        self._options += ["--certificate", str(certificate)] if certificate else []
        self._options += ["--key", str(key)] if key else []
        self._options += ["--expired", str(expired)] if expired else []
        self._options += ["--login", ":".join(login)] if login else []
        self._holder: socket.socket | None = None
        self._process: Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Starts it, or starts it again, and returns when it listens."""
        if self.running:
            return
        if not self._holder:
            self._holder = hold_port(self.host, self.port)
            self.port = self._holder.getsockname()[1]
        command = ["-m", "bot.demo.relays", "--host", self.host, "--port", str(self.port)]
        command += ["--name", self.name, "--log", str(self.log), *self._options]
        self._process = await asyncio.create_subprocess_exec(sys.executable, *command, stdin=PIPE, stdout=PIPE)
        self._reading = asyncio.create_task(self._read(self._process))
        try:
            await self._ask("ping")
        except ConnectionError:
            raise BotError(
                f"The relay {self.name} did not start on port {self.port}; its own output says why."
            ) from None

    async def restart(self) -> None:
        """Kills it if it still runs, and starts it on the same port and the same log."""
        await self.kill()
        await self.start()

    async def kill(self) -> None:
        """SIGKILL: it ends in the middle of whatever it does. Returns when it is gone."""
        if self._process and self._process.returncode is None:
            self._process.kill()
        await self._gone()

    async def stop(self) -> None:
        """Ends it in order, and gives the port back."""
        if self._process and self._process.stdin:
            self._process.stdin.close()
        await self._gone()
        if self._holder:
            self._holder.close()
            self._holder = None

    async def behave(self, *faults: Fault) -> None:
        await self._ask("behave", faults=[fault.to_json() for fault in faults])

    async def heal(self) -> None:
        await self.behave()

    async def wait_for(self, count: int, within: timedelta = timedelta(seconds=30)) -> None:
        """Returns once the truth log holds `count` messages; TimeoutError says how many came."""
        answer = await self._ask("wait_for", count=count, seconds=within.total_seconds())
        if "late" in answer:
            raise TimeoutError(answer["late"])

    def received(self) -> list[Received]:
        """Everything it ever took, over all its lives, from the truth log."""
        return read_truth(self.log)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        """Raises ConnectionError when it was never started."""
        if self._process is None:
            raise ConnectionError(f"the relay {self.name} was never started")
        return self._process.pid

    async def _ask(self, what: str, **details: object) -> dict[str, Any]:
        if not self.running or self._process is None or self._process.stdin is None:
            raise ConnectionError(f"the relay {self.name} is not running")
        number = next(self._numbers)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        self._process.stdin.write(json.dumps({"number": number, "do": what, **details}).encode() + b"\n")
        try:
            await self._process.stdin.drain()
            return await answer
        finally:
            self._asked.pop(number, None)

    async def _read(self, process: Process) -> None:
        if process.stdout is None:
            return
        async for line in process.stdout:
            answer = json.loads(line)
            asked = self._asked.get(answer["number"])
            if asked and not asked.done():
                asked.set_result(answer)
        await process.wait()
        for asked in self._asked.values():
            if not asked.done():
                asked.set_exception(ConnectionError(f"the relay {self.name} has ended"))

    async def _gone(self) -> None:
        if self._process:
            await self._process.wait()
        if self._reading:
            await self._reading
            self._reading = None
