"""The edge of the terminal: every ending is a sentence and a code."""

import sqlite3
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.terminal_world import Holdfast, holdfast, server_set, write_campaign

__all__ = ["holdfast", "server_set"]


def test_a_wrong_setting_is_named_with_code_2(holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_HTTP_PORT", "many")

    ran = holdfast("do", "/campaign list")

    assert ran.code == 2
    assert ran.err.startswith("HOLDFAST_HTTP_PORT is wrong")


@pytest.mark.parametrize("url", ["postgresql://me:p@ss@host:port/db", "sqlite:////proc/1/nowhere/holdfast.db"])
def test_a_database_that_cannot_be_opened_is_a_sentence(
    holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("HOLDFAST_DATABASE_URL", url)

    ran = holdfast("do", "/campaign list")

    assert ran.code == 1
    assert "HOLDFAST_DATABASE_URL" in ran.err
    assert "p@ss" not in ran.err


def test_running_without_tokens_names_the_first_that_is_missing(holdfast: Holdfast) -> None:
    ran = holdfast("run")

    assert ran.code == 2
    assert "HOLDFAST_SLACK_BOT_TOKEN is missing." in ran.err


def test_an_unknown_command_is_a_usage_error(holdfast: Holdfast) -> None:
    assert holdfast("dance").code == 2


def test_the_version_is_that_of_the_package(holdfast: Holdfast) -> None:
    assert holdfast("version").out == f"holdfast {version('holdfast')}\n"


@pytest.mark.usefixtures("server_set")
def test_a_fault_of_ours_gives_an_id_and_keeps_the_details(
    holdfast: Holdfast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_SECRET_KEY", "a-very-secret-key")
    write_campaign(tmp_path)
    holdfast("import", "spring-sale", "message.eml", "recipients.csv")
    with sqlite3.connect(tmp_path / "holdfast-data" / "holdfast.db") as connection:
        connection.execute("UPDATE campaigns SET state = 'a-very-secret-key'")
    connection.close()

    ran = holdfast("do", "/campaign start spring-sale")

    assert ran.code == 70
    assert ran.err.startswith("Something broke on our side (id ")
    log = (tmp_path / "holdfast-data" / "errors.log").read_text()
    assert "Traceback" in log
    assert "a-very-secret-key" not in log
