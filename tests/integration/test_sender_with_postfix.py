"""The sender against Postfix's own test server, which pipelines and refuses as Postfix does."""

import asyncio
import contextlib
import os
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.mail.sender import Sender
from storage import deliveries
from storage.db import Database
from storage.models import CampaignState
from tests.seeds import add_campaign, add_server, settings_for, state_of

SMTP_SINK = shutil.which("smtp-sink", path=os.environ.get("PATH", "") + ":/usr/sbin")
pytestmark = pytest.mark.skipif(SMTP_SINK is None, reason="Postfix's smtp-sink is not installed")


@contextlib.asynccontextmanager
async def smtp_sink(*options: str) -> AsyncIterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    process = await asyncio.create_subprocess_exec(str(SMTP_SINK), *user, *options, f"127.0.0.1:{port}", "100")
    try:
        yield port
    finally:
        process.terminate()
        await process.wait()


async def send_to(port: int, db: Database, url: str, folder: Path, recipients: int) -> dict[str, int]:
    campaign = await add_campaign(db, await add_server(db, "postfix", port), recipients)
    sender = Sender(db, settings_for(url, folder))
    task = asyncio.create_task(sender.run())
    try:
        async with asyncio.timeout(30):
            while await state_of(db, campaign) != CampaignState.FINISHED:
                await asyncio.sleep(0.02)
    finally:
        sender.stop()
        await task
    async with db.read() as tx:
        return {status: number for status, number in (await deliveries.counts(tx, campaign)).items() if number}


async def test_postfix_takes_everything(db: Database, database_url: str, tmp_path: Path) -> None:
    async with smtp_sink() as port:
        assert await send_to(port, db, database_url, tmp_path, 500) == {"delivered": 500}


async def test_recipients_that_postfix_refuses_end_as_permanent(
    db: Database, database_url: str, tmp_path: Path
) -> None:
    # -f: a hard error, "500 5.3.0 Error: command failed", to every RCPT.
    async with smtp_sink("-f", "RCPT") as port:
        counts = await send_to(port, db, database_url, tmp_path, 30)
    assert counts == {"failed_permanent": 30}
