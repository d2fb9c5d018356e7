"""A child process that is started, started again when it ends, and stopped in good order."""

import asyncio
import signal
from collections.abc import Sequence
from datetime import timedelta

import structlog

_PAUSES = (0.2, 1.0, 2.0, 5.0, 10.0)
_STEADY = timedelta(seconds=30)
"""A child that lived this long did not fail at its start."""
_log = structlog.get_logger(__name__)


class Child:
    """`command` is run again and again, with growing pauses while it ends soon after its start."""

    def __init__(self, name: str, command: Sequence[str], *, stop_within: timedelta = timedelta(seconds=30)) -> None:
        self._name = name
        self._command = command
        self._stop_within = stop_within
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def run(self) -> None:
        """Until cancelled; then the child gets SIGTERM, and SIGKILL when it does not end in time."""
        failures = 0
        loop = asyncio.get_running_loop()
        try:
            while True:
                began = loop.time()
                # A session of its own: Ctrl-C in the terminal is for us, and we end it when its turn has come.
                # (A group of its own would be enough, but uvloop knows no process_group.)
                self._process = await asyncio.create_subprocess_exec(
                    *self._command, stdin=asyncio.subprocess.DEVNULL, start_new_session=True
                )
                _log.info("started", child=self._name, pid=self._process.pid)
                code = await self._process.wait()
                failures = 0 if loop.time() - began > _STEADY.total_seconds() else failures + 1
                pause = _PAUSES[min(failures, len(_PAUSES) - 1)]
                _log.warning("ended by itself and is started again", child=self._name, code=code, in_seconds=pause)
                await asyncio.sleep(pause)
        finally:
            await self._end()

    async def _end(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(self._stop_within.total_seconds()):
                await process.wait()
        except TimeoutError:
            _log.warning("does not end and is killed", child=self._name, pid=process.pid)
            process.kill()
            await process.wait()
