"""Whatever is logged, by us or by a library, no token gets into the log."""

import io
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from bot.config import Settings
from bot.logs import configure

BOT_TOKEN = "xoxb-1111-2222-abcdef"
APP_TOKEN = "xapp-1-A11-222-fedcba"
PASSWORD = "open-sesame-7"


@pytest.fixture
def log(tmp_path: Path) -> Iterator[io.StringIO]:
    stream = io.StringIO()
    settings = Settings.model_validate(
        {
            "data_dir": tmp_path,
            "log_level": "debug",
            "slack_bot_token": BOT_TOKEN,
            "slack_app_token": APP_TOKEN,
            "servers": {"primary": {"host": "mx1", "username": "shop", "password": PASSWORD}},
        }
    )
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    configure(settings, stream)
    yield stream
    root.handlers[:], root.level = handlers, level
    for name in ("slack_bolt", "slack_sdk", "apscheduler"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    structlog.reset_defaults()


def test_our_own_lines_are_clean(log: io.StringIO) -> None:
    ours = structlog.get_logger("bot.test")
    ours.info("settings", token=BOT_TOKEN, nested={"inner": [PASSWORD, APP_TOKEN]})
    ours.warning(f"the token {BOT_TOKEN} was refused")

    written = log.getvalue()

    assert "the token (hidden) was refused" in written
    for secret in (BOT_TOKEN, APP_TOKEN, PASSWORD):
        assert secret not in written


def test_exceptions_are_clean(log: io.StringIO) -> None:
    try:
        int(f"login failed for shop with {PASSWORD}")
    except ValueError:
        structlog.get_logger("bot.test").exception("it broke")

    assert "login failed for shop with (hidden)" in log.getvalue()
    assert PASSWORD not in log.getvalue()


def test_lines_of_libraries_are_clean(log: io.StringIO) -> None:
    library = logging.getLogger("aiohttp.client")
    library.warning("GET %s", f"https://slack.com/api/auth.test?token={BOT_TOKEN}")
    library.info("posted to https://hooks.slack.com/commands/T0/1/secret")

    written = log.getvalue()

    assert "auth.test?token=(hidden)" in written
    assert "commands/T0/1/secret" not in written
    assert BOT_TOKEN not in written


def test_a_token_that_is_no_setting_is_known_by_its_shape(log: io.StringIO) -> None:
    structlog.get_logger("bot.test").info("another", token="xoxp-9-8-7-user")

    assert "xoxp-9-8-7-user" not in log.getvalue()
