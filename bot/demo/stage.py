"""The parts of the demo: a Slack, two relays, a database and the real `holdfast run`, each a process of its own."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

from bot.clock import now
from bot.demo.certificate import Certificates
from bot.demo.fakeslack import Channel, FakeSlack, User
from bot.demo.relays import Received, RelayProcess
from bot.errors import BotError
from storage import campaigns, deliveries, workers
from storage.db import Database

CAMPAIGN = "spring-sale"
_STOP_WITHIN = timedelta(seconds=30)
_TAKES = timedelta(seconds=10)
"""How long a campaign takes at the pace of the settings, when it is not a small one."""
_MESSAGE = """\
From: Acme Shop <shop@acme.example>
Subject: Spring sale, {{ name }}: everything 20 % off
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8

Hello {{ name }},

the spring sale has begun: everything is 20 % off until Sunday.

Your Acme Shop
"""


class Stage:
    """Made by `set_up`. `settings` are the environment of every process of Holdfast."""

    def __init__(
        self, folder: Path, slack: FakeSlack, recipients: int, database_url: str | None, takes: timedelta = _TAKES
    ) -> None:
        self.folder = folder
        self.slack = slack
        self.database_url = database_url or f"sqlite:///{folder / 'holdfast.db'}"
        self.emails = [f"customer{number}@customers.example" for number in range(1, recipients + 1)]
        self.ops: Channel = slack.add_channel("email-ops")
        self.maria: User = slack.add_user("maria", real_name="Maria", tz="Europe/Madrid")
        self.jonas: User = slack.add_user("jonas", real_name="Jonas", tz="Europe/Berlin")
        self.ana: User = slack.add_user("ana", real_name="Ana")
        self.certificates = Certificates(folder, "127.0.0.1")
        self.primary, self.backup = (
            RelayProcess(
                folder / f"{name}.jsonl",
                name=name,
                certificate=self.certificates.valid,
                expired=self.certificates.expired,
            )
            for name in ("primary", "backup")
        )
        self.log = folder / "holdfast.log"
        self._takes = takes
        self._bot: Process | None = None

    @property
    def settings(self) -> dict[str, str]:
        """What a team writes into its environment or holdfast.toml; the probes are hastier, so that nobody waits."""
        pace = int(max(len(self.emails), 1000) / self._takes.total_seconds())
        return {
            "HOLDFAST_DATA_DIR": str(self.folder / "data"),
            "HOLDFAST_DATABASE_URL": self.database_url,
            "HOLDFAST_CONFIG": str(self.folder / "holdfast.toml"),
            "HOLDFAST_SLACK_API_URL": self.slack.api_url,
            "HOLDFAST_SLACK_BOT_TOKEN": self.slack.bot_token,
            "HOLDFAST_SLACK_APP_TOKEN": self.slack.app_token,
            "HOLDFAST_CHANNEL": self.ops.name,
            "HOLDFAST_HTTP_PORT": "0",
            "HOLDFAST_UNSUBSCRIBE_MAILTO": "unsubscribe@acme.example",
            "HOLDFAST_ADMINS": self.ana.id,
            "HOLDFAST_ROLES__SENDER": json.dumps([self.maria.id]),
            "HOLDFAST_ROLES__APPROVER": json.dumps([self.maria.id, self.jonas.id]),
            "HOLDFAST_SERVERS__PRIMARY__HOST": self.primary.host,
            "HOLDFAST_SERVERS__PRIMARY__PORT": str(self.primary.port),
            "HOLDFAST_SERVERS__PRIMARY__TLS": "starttls",
            "HOLDFAST_SERVERS__PRIMARY__CA_FILE": str(self.certificates.authority),
            "HOLDFAST_SERVERS__PRIMARY__BACKUP": "backup",
            "HOLDFAST_SERVERS__PRIMARY__RATE_PER_SECOND": str(pace),
            "HOLDFAST_SERVERS__BACKUP__HOST": self.backup.host,
            "HOLDFAST_SERVERS__BACKUP__PORT": str(self.backup.port),
            "HOLDFAST_SERVERS__BACKUP__TLS": "starttls",
            "HOLDFAST_SERVERS__BACKUP__CA_FILE": str(self.certificates.authority),
            "HOLDFAST_SERVERS__BACKUP__RATE_PER_SECOND": str(2 * pace),
            "HOLDFAST_PROBES__INTERVAL": "1",
            "HOLDFAST_PROBES__RETRY_INTERVAL": "0.5",
            "HOLDFAST_PROBES__HOLD": "1",
            "HOLDFAST_PROBES__STAGE_TIMEOUT": "2",
        }

    async def import_campaign(self) -> str:
        """`holdfast import`, as it is typed. Returns what it says."""
        message, people = self.folder / "message.eml", self.folder / "recipients.csv"
        message.write_text(_MESSAGE)
        rows = [f"{email},Customer {number}" for number, email in enumerate(self.emails, 1)]
        people.write_text("\n".join(["email,name", *rows]) + "\n")
        importing = await self._holdfast(
            "import", CAMPAIGN, message.name, people.name, "--server", "primary", "--as", "Maria", piped=True
        )
        said, _ = await importing.communicate()
        if importing.returncode:
            raise BotError(f"The import failed: {said.decode().strip()}")
        return said.decode().strip()

    async def start_bot(self) -> None:
        """`holdfast run`. Returns when it is connected to Slack and its sender works."""
        self._bot = await self._holdfast("run")
        opening = asyncio.create_task(self.slack.wait_for_socket(60))
        ending = asyncio.create_task(self._bot.wait())
        try:
            await asyncio.wait({opening, ending}, return_when=asyncio.FIRST_COMPLETED)
            if not opening.done():
                last = self.log.read_text().strip().rpartition("\n")[2]
                raise BotError(f"holdfast run ended at its start: {last}")
            await opening
            await self._sender_lives()
        finally:
            opening.cancel()
            ending.cancel()
            await asyncio.gather(opening, ending, return_exceptions=True)

    async def _sender_lives(self) -> None:
        async with self._database() as db:
            while True:
                async with db.read() as tx:
                    if await workers.alive(tx, now()):
                        return
                await asyncio.sleep(0.05)

    async def bot_ends(self) -> None:
        """Returns only when the bot has ended by itself, which it should not."""
        if self._bot is not None:
            await self._bot.wait()

    async def stop_bot(self) -> None:
        """SIGTERM, and the rest of its patience."""
        bot, self._bot = self._bot, None
        if bot is None or bot.returncode is not None:
            return
        bot.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_WITHIN.total_seconds()):
                await bot.wait()
        except TimeoutError:
            bot.kill()
            await bot.wait()

    async def _holdfast(self, *words: str, piped: bool = False) -> Process:
        # Nothing of the person's own settings may be mixed in: no variable, no .env, no holdfast.toml.
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
        with self.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "bot.cli", *words),
                cwd=self.folder,
                env=kept | self.settings,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if piped else log,
                stderr=asyncio.subprocess.STDOUT,
                # A session of its own: Ctrl-C in the terminal is for the demo, which then ends it in good order.
                start_new_session=True,
            )

    # The truth

    def received(self) -> list[Received]:
        """Everything that the two relays ever took, in each relay's order."""
        return [*self.primary.received(), *self.backup.received()]

    async def unknown(self) -> list[str]:
        """The addresses that the ledger lists as unknown."""
        async with self._database() as db, db.read() as tx:
            campaign = await campaigns.by_name(tx, CAMPAIGN)
            return await deliveries.unknown_names(tx, campaign.id, len(self.emails)) if campaign else []

    @contextlib.asynccontextmanager
    async def _database(self) -> AsyncIterator[Database]:
        db = Database(self.database_url)
        try:
            yield db
        finally:
            await db.close()

    async def check_database(self) -> None:
        """Raises BotError when a database was given that something else lives in."""
        async with self._database() as db:
            if await db.revision() is None:
                return
            async with db.read() as tx:
                names = await campaigns.names(tx)
        if names:
            raise BotError("The database of --database-url is in use. Give the demo an empty one, or none.")


@contextlib.asynccontextmanager
async def set_up(recipients: int, database_url: str | None, takes: timedelta = _TAKES) -> AsyncIterator[Stage]:
    """Start the Slack and the relays; end every process and remove every file afterwards, also after Ctrl-C.

    What the bot logged is kept, and its place told, when the demo fails.
    """
    folder = Path(tempfile.mkdtemp(prefix="holdfast-demo-"))
    keep: Path | None = None
    try:
        async with contextlib.AsyncExitStack() as stack:
            stage = Stage(folder, await stack.enter_async_context(FakeSlack()), recipients, database_url, takes)
            stack.push_async_callback(stage.stop_bot)
            await stage.check_database()
            stack.push_async_callback(stage.primary.stop)
            stack.push_async_callback(stage.backup.stop)
            await stage.primary.start()
            await stage.backup.start()
            # Entered last, so that it is left first: it still has something to say to Slack and to the relays.
            stack.push_async_callback(stage.stop_bot)
            try:
                yield stage
            except (BotError, AssertionError):
                keep = stage.log
                raise
    finally:
        if keep is not None and keep.exists():
            kept = Path(tempfile.gettempdir()) / f"{folder.name}.log"
            with kept.open("wb") as whole:
                for part in (keep, folder / "data" / "errors.log"):
                    whole.write(part.read_bytes() if part.exists() else b"")
            print(f"What the bot logged is in {kept}.", file=sys.stderr)
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
