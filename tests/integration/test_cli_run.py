"""`holdfast run` ends in good order when it is asked to."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from bot.demo.fakeslack import FakeSlack


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_with_code_0_and_closes_its_connection(number: signal.Signals, tmp_path: Path) -> None:
    async with FakeSlack() as slack:
        slack.add_channel("email-ops")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
        given = {
            "HOLDFAST_SLACK_API_URL": slack.api_url,
            "HOLDFAST_SLACK_BOT_TOKEN": slack.bot_token,
            "HOLDFAST_SLACK_APP_TOKEN": slack.app_token,
            "HOLDFAST_CHANNEL": "email-ops",
            "HOLDFAST_HTTP_PORT": "0",
        }
        with (tmp_path / "log").open("wb") as log:
            bot = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "bot", "run"), cwd=tmp_path, env=kept | given, stdout=log, stderr=log
            )
        try:
            await slack.wait_for_socket(30)
            bot.send_signal(number)
            assert await bot.wait() == 0
        finally:
            if bot.returncode is None:
                bot.kill()
                await bot.wait()
        said = (tmp_path / "log").read_text()
        assert "Holdfast has stopped" in said
        assert "Traceback" not in said
        assert slack.bot_token not in said
        await slack.wait_until(lambda: not slack.open_sockets, what="the connection closed")
