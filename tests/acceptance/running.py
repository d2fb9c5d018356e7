"""Holdfast at work in a story: its settings, its processes, and how they are killed.

The bot runs in the test's own process, or as `holdfast run` where a story kills it; its sender is always a process of
its own.
"""

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from unittest import mock

from sqlalchemy import select
from structlog.testing import capture_logs

from bot.app import Bot
from bot.config import load_settings
from bot.demo.fakeslack import Channel, FakeSlack, User
from bot.demo.relays import Relay, RelayProcess
from bot.slack.pace import Pace
from storage.db import Database
from storage.models import Worker

PATIENCE = 60.0
"""Seconds until something that should be seen counts as missing; machines are slow at times, and a story that goes well
waits for none of it."""


class Running:
    """Made by `workplace`. `settings` are the environment of every process of Holdfast; a story may change them."""

    def __init__(
        self,
        folder: Path,
        database_url: str,
        slack: FakeSlack,
        primary: Relay | RelayProcess,
        backup: Relay | RelayProcess,
    ) -> None:
        self.folder = folder
        self.database_url = database_url
        self.db = Database(database_url)
        self.slack = slack
        self.primary = primary
        self.backup = backup
        self.ops: Channel = slack.add_channel("email-ops")
        self.maria: User = slack.add_user("maria", real_name="Maria", tz="Europe/Madrid")
        self.jonas: User = slack.add_user("jonas", real_name="Jonas", tz="Europe/Berlin")
        self.ben: User = slack.add_user("ben", real_name="Ben")
        self.ana: User = slack.add_user("ana", real_name="Ana")
        self.log = folder / "holdfast.log"
        self.settings = self._settings()
        self.expected_errors: tuple[str, ...] = ()
        """What Holdfast logs as an error in this story, and should."""
        self.process: Process | None = None
        self.campaigns: dict[int, int] = {}
        """Campaign id -> how many recipients it has; the truth is compared with these."""

    def _settings(self) -> dict[str, str]:
        return {
            "HOLDFAST_DATA_DIR": str(self.folder / "data"),
            "HOLDFAST_DATABASE_URL": self.database_url,
            "HOLDFAST_CONFIG": str(self.folder / "holdfast.toml"),
            "HOLDFAST_SLACK_API_URL": self.slack.api_url,
            "HOLDFAST_SLACK_BOT_TOKEN": self.slack.bot_token,
            "HOLDFAST_SLACK_APP_TOKEN": self.slack.app_token,
            "HOLDFAST_CHANNEL": self.ops.id,
            "HOLDFAST_HTTP_PORT": "0",
            "HOLDFAST_SECRET_KEY": "a key of the tests",
            "HOLDFAST_ADMINS": self.ana.id,
            "HOLDFAST_ROLES__SENDER": json.dumps([self.maria.id]),
            "HOLDFAST_ROLES__APPROVER": json.dumps([self.maria.id, self.jonas.id]),
            "HOLDFAST_SERVERS__PRIMARY__HOST": self.primary.host,
            "HOLDFAST_SERVERS__PRIMARY__PORT": str(self.primary.port),
            "HOLDFAST_SERVERS__PRIMARY__BACKUP": "backup",
            "HOLDFAST_SERVERS__PRIMARY__RATE_PER_SECOND": "100",
            "HOLDFAST_SERVERS__BACKUP__HOST": self.backup.host,
            "HOLDFAST_SERVERS__BACKUP__PORT": str(self.backup.port),
            "HOLDFAST_SERVERS__BACKUP__RATE_PER_SECOND": "300",
            "HOLDFAST_PROBES__INTERVAL": "0.3",
            "HOLDFAST_PROBES__RETRY_INTERVAL": "0.1",
            "HOLDFAST_PROBES__HOLD": "0",
            "HOLDFAST_PROBES__STAGE_TIMEOUT": "0.5",
            "HOLDFAST_SENDING__COMMAND_TIMEOUT": "2",
            "HOLDFAST_SENDING__DOT_TIMEOUT": "2",
            "HOLDFAST_SENDING__SETTLE_TIMEOUT": "2",
        }

    # The bot

    @contextlib.contextmanager
    def environment(self) -> Iterator[None]:
        """The settings, and nothing else of Holdfast's, in the environment of this process and of its children."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
        with mock.patch.dict(os.environ, kept | self.settings, clear=True):
            yield

    @contextlib.asynccontextmanager
    async def bot(self) -> AsyncIterator[Bot]:
        """The bot in this process, connected, with its sender at work. What it logs as an error fails the story."""
        # One message a second is what Slack takes; this one takes more, and nobody has to wait for it.
        hasty = mock.patch.dict(Pace.__init__.__kwdefaults__, {"burst": 100, "per_second": 100.0})
        with self.environment(), hasty, capture_logs() as logged:
            bot = Bot(load_settings())
            try:
                await bot.start()
                await self.slack.wait_for_socket(PATIENCE)
                await self.sender_runs()
                yield bot
            finally:
                await bot.stop()
        wrong = [entry for entry in logged if entry["log_level"] in {"error", "critical"}]
        assert [entry for entry in wrong if entry["event"] not in self.expected_errors] == []

    async def start_process(self) -> None:
        """`holdfast run`, connected, with its sender at work."""
        with self.environment(), self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "bot.cli", "run"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        await self.slack.wait_for_socket(PATIENCE)
        await self.sender_runs()

    async def stop_process(self) -> None:
        """SIGTERM; a bot that does not end by itself in time fails the story."""
        process, self.process = self.process, None
        if process is None or process.returncode is not None:
            return
        process.terminate()
        async with asyncio.timeout(PATIENCE):
            await process.wait()

    async def kill_process(self) -> None:
        """SIGKILL of the bot and of its sender, at once."""
        process, self.process = self.process, None
        assert process is not None
        sender = await self.sender_pid()
        os.kill(sender, signal.SIGKILL)
        process.kill()
        await process.wait()
        await self.until(lambda: not self.slack.open_sockets, "the socket's end")

    async def kill_sender(self) -> int:
        """SIGKILL of the sender alone. Returns the pid that it had."""
        killed = await self.sender_pid()
        os.kill(killed, signal.SIGKILL)
        return killed

    async def sender_pid(self) -> int:
        async with self.db.read() as tx:
            newest = select(Worker).order_by(Worker.started_at.desc()).limit(1)
            return (await tx.scalars(newest)).one().pid

    async def sender_runs(self, other_than: int = 0) -> None:
        async def runs() -> bool:
            async with self.db.read() as tx:
                found = await tx.scalars(select(Worker))
                return any(_lives(each.pid) and each.pid != other_than for each in found)

        await self.until_so(runs, "a sender at work")

    async def until(self, check: Callable[[], object], what: str) -> object:
        return await self.slack.wait_until(check, PATIENCE, what=what)

    async def until_so(self, check: Callable[[], Awaitable[bool]], what: str) -> None:
        """Wait for what only the database shows."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not await check():
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"There never was {what}.\n{self.slack.describe(self.ops)}") from None

    async def close(self) -> None:
        """Ends every process that is left. What the process logged as broken fails the story."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        await self.db.close()

    def assert_nothing_broke(self) -> None:
        """The log of `holdfast run` has no error."""
        text = self.log.read_text() if self.log.exists() else ""
        plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
        wrong = [line for line in plain.splitlines() if re.search(r"\[(error|critical) *\]", line)]
        assert [line for line in wrong if not any(words in line for words in self.expected_errors)] == []


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
