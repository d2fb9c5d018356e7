"""The whole bot: what keeps it from starting is one sentence, what is away is waited for, and it stops cleanly."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession

from bot.app import Bot
from bot.config import load_settings
from bot.errors import BotError, SettingsError
from tests.acceptance.support import Workplace, workplace


@asynccontextmanager
async def refused(office: Workplace) -> AsyncIterator[pytest.ExceptionInfo[BotError]]:
    """A start that fails with a sentence, and leaves nothing behind."""
    with office.environment(), pytest.raises(BotError) as said:
        await Bot(load_settings()).run(asyncio.Event())
    yield said


@pytest.fixture
async def office(database_url: str, tmp_path: Path) -> AsyncIterator[Workplace]:
    async with workplace(tmp_path, database_url) as here:
        yield here


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("HOLDFAST_SLACK_BOT_TOKEN", "", "HOLDFAST_SLACK_BOT_TOKEN is missing"),
        ("HOLDFAST_SLACK_APP_TOKEN", "", "HOLDFAST_SLACK_APP_TOKEN is missing"),
        ("HOLDFAST_CHANNEL", "", "HOLDFAST_CHANNEL is missing"),
        ("HOLDFAST_SLACK_BOT_TOKEN", "xoxb-wrong", "HOLDFAST_SLACK_BOT_TOKEN is wrong: Slack says invalid_auth"),
        ("HOLDFAST_SLACK_APP_TOKEN", "xapp-wrong", "HOLDFAST_SLACK_APP_TOKEN is wrong: Slack says invalid_auth"),
    ],
)
async def test_a_setting_that_cannot_work_is_named(office: Workplace, variable: str, value: str, sentence: str) -> None:
    office.settings[variable] = value

    async with refused(office) as said:
        assert isinstance(said.value, SettingsError)
        assert sentence in str(said.value)


async def test_a_port_that_is_taken_is_named(office: Workplace) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        office.settings["HOLDFAST_HTTP_PORT"] = str(other.getsockname()[1])

        async with refused(office) as said:
            assert "HOLDFAST_HTTP_PORT" in str(said.value)
            assert "cannot be listened on" in str(said.value)


async def test_a_second_bot_over_the_same_database_is_refused(office: Workplace) -> None:
    async with office.bot():
        async with refused(office) as said:
            assert "Another Holdfast runs over this database already" in str(said.value)
        assert await office.type(office.maria, "/holdfast status")


async def test_a_slack_that_is_away_at_the_start_is_waited_for(office: Workplace) -> None:
    office.slack.down()
    with office.environment():
        bot = Bot(load_settings())
        await bot.start()
        office.slack.up()
        await office.slack.wait_for_socket()
        assert await office.type(office.maria, "/campaign list")
        await bot.stop()


@pytest.mark.parametrize("warning", [True, False], ids=["refreshed", "cut"])
async def test_a_socket_that_slack_ends_is_opened_again(office: Workplace, warning: bool) -> None:
    async with office.bot():
        await office.slack.disconnect_sockets(warning=warning)
        await office.slack.wait_until(lambda: len(office.slack.calls_to("apps.connections.open")) == 2, timeout=30)
        await office.slack.wait_for_socket()
        assert await office.type(office.maria, "/campaign list")


async def test_it_works_over_http_with_a_signing_secret(office: Workplace) -> None:
    office.settings["HOLDFAST_SLACK_APP_TOKEN"] = ""
    office.settings["HOLDFAST_SLACK_SIGNING_SECRET"] = office.slack.signing_secret
    office.settings["HOLDFAST_EVENTS_SECRET"] = "for delivery events"
    with office.environment():
        bot = Bot(load_settings())
        await bot.start()
        site = f"http://127.0.0.1:{bot.http_port}"
        office.slack.request_url = f"{site}/slack/events"
        assert "primary" in await office.type(office.maria, "/server list")
        await office.slack.open_home(office.maria)
        tab = await office.slack.wait_until(lambda: office.slack.home(office.maria), what="a home tab")
        assert "primary" in str(tab.blocks)
        async with ClientSession() as browser, browser.get(f"{site}/healthz") as answer:
            assert (await answer.json())["ok"]
        async with ClientSession() as other, other.post(f"{site}/events/delivery", data=b"[]") as answer:
            assert answer.status == 401, "it listens, and wants a signature"
        await bot.stop()


async def test_a_click_that_comes_while_it_stops_is_finished(office: Workplace) -> None:
    async with office.bot():
        await office.type(office.maria, "/outage declare primary all is slow")
        head = await office.message("all is slow")
        await office.press(office.maria, head, "outage.acknowledge")
    # What was done is shown before the bot is gone, or by the next one.
    async with office.bot():
        await office.shows(head, "acknowledged")
