"""`holdfast do`: every command without Slack."""

import sqlite3
from pathlib import Path

import pytest

from tests.terminal_world import Holdfast, holdfast, server_set, write_campaign

__all__ = ["holdfast", "server_set"]


def test_it_answers_as_slack_would_and_says_that_no_bot_runs(holdfast: Holdfast) -> None:
    ran = holdfast("do", "/campaign list")

    assert ran.code == 0
    assert "There is no campaign yet." in ran.out
    assert ran.err.startswith("No `holdfast run` is at work here")


@pytest.mark.usefixtures("server_set")
def test_it_knows_the_servers_of_the_settings_on_both_databases(
    holdfast: Holdfast, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_DATABASE_URL", database_url)

    ran = holdfast("do", "/server list")

    assert ran.code == 0
    assert "primary" in ran.out


@pytest.mark.usefixtures("server_set")
def test_it_acts_as_the_person_who_was_named(holdfast: Holdfast, tmp_path: Path) -> None:
    write_campaign(tmp_path)
    holdfast("import", "spring-sale", "message.eml", "recipients.csv")

    assert holdfast("do", "/campaign start spring-sale", "--as", "Ana").code == 0
    again = holdfast("do", "/campaign", "start", "spring-sale", "--as", "Bert")

    assert again.code == 1
    assert "as wished by Ana" in again.err


def test_a_refusal_is_one_sentence_and_code_1(holdfast: Holdfast) -> None:
    ran = holdfast("do", "/campaign pause nothing-like-it")

    assert (ran.code, ran.out) == (1, "")
    assert len(ran.err.splitlines()) == 1


def test_a_wrong_command_names_the_near_one(holdfast: Holdfast) -> None:
    ran = holdfast("do", "/campain list")

    assert ran.code == 1
    assert "/campaign" in ran.err


def test_an_empty_name_is_nobody(holdfast: Holdfast) -> None:
    ran = holdfast("do", "/campaign list", "--as", " ")

    assert ran.code == 1
    assert "--as needs a name" in ran.err


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../etc", "CET+1 or so"])
def test_a_wrong_zone_is_told(holdfast: Holdfast, zone: str) -> None:
    ran = holdfast("do", "/campaign list", "--zone", zone)

    assert ran.code == 1
    assert f"“{zone}” is no time zone" in ran.err


@pytest.mark.parametrize("zone", ["Europe/Madrid", ":/usr/share/zoneinfo/Europe/Madrid"])
def test_the_zone_of_the_environment_counts(holdfast: Holdfast, zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)

    assert holdfast("do", "/campaign list").code == 0


def test_the_database_of_another_version_is_left_alone(holdfast: Holdfast, tmp_path: Path) -> None:
    holdfast("migrate")
    with sqlite3.connect(tmp_path / "holdfast-data" / "holdfast.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()

    ran = holdfast("do", "/campaign list")

    assert ran.code == 1
    assert "at revision 9999" in ran.err
    assert "holdfast migrate" in ran.err
