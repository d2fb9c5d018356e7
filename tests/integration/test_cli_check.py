"""`holdfast check` says in sentences what is wrong, and what to do next."""

import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from bot import terminal
from bot.config import Settings
from bot.demo.fakeslack import DEFAULT_SCOPES, FakeSlack
from bot.demo.relays import Relay, reply
from bot.services.checking import Finding
from bot.slack.checking import SCOPES
from bot.slack.doctor import examine
from storage.db import Database
from tests.seeds import add_server, settings_for
from tests.terminal_world import Holdfast, holdfast

__all__ = ["holdfast"]


def settings(slack: FakeSlack, url: str, folder: Path, **changes: Any) -> Settings:
    """Everything as it should be, but for the changes."""
    whole: dict[str, Any] = {
        "slack_api_url": slack.api_url,
        "slack_bot_token": slack.bot_token,
        "slack_app_token": slack.app_token,
        "channel": "email-ops",
        "roles": {"sender": ["U1"], "approver": ["U1", "U2"]},
    }
    return settings_for(url, folder / "data", **(whole | changes))


async def look(given: Settings) -> dict[str, Finding]:
    return {finding.what: finding for finding in await terminal.check(given, examine)}


def wrong(found: dict[str, Finding]) -> list[str]:
    return [what for what, finding in found.items() if not finding.ok]


async def test_when_all_is_well_every_line_says_so(database_url: str, tmp_path: Path) -> None:
    async with FakeSlack() as slack, Relay() as relay:
        slack.add_channel("email-ops")
        servers = {"primary": {"host": relay.host, "port": relay.port}}

        found = await look(settings(slack, database_url, tmp_path, servers=servers))

        assert wrong(found) == []
        assert "Slack knows it as holdfast in the workspace Acme." in found["bot token"].sentence
        assert "The bot is in #email-ops." in found["channel"].sentence
        assert "passed every stage" in found["server primary"].sentence
        assert "It has no backup" in found["server primary"].sentence
        slack.assert_no_violations()


async def test_it_says_which_servers_share_a_pool_and_which_is_alone(tmp_path: Path, database_url: str) -> None:
    async with FakeSlack() as slack, Relay() as one, Relay() as two, Relay() as three:
        slack.add_channel("email-ops")
        servers = {
            "relay-a": {"host": one.host, "port": one.port, "pool": "marketing", "weight": 3},
            "relay-b": {"host": two.host, "port": two.port, "pool": "marketing", "backup": "relay-c"},
            "relay-c": {"host": three.host, "port": three.port, "pool": "alerts"},
        }

        found = await look(settings(slack, database_url, tmp_path, servers=servers))

        assert wrong(found) == []
        assert (
            "It takes 75 % of pool marketing, with relay-b; where none of them can take its part, it has no backup."
            in found["server relay-a"].sentence
        )
        assert "It takes 25 % of pool marketing, with relay-a" in found["server relay-b"].sentence
        assert "relay-c is its backup" in found["server relay-b"].sentence
        assert "It is alone in pool alerts" in found["server relay-c"].sentence
        assert [found[f"server relay-{name}"].warn for name in "abc"] == [False, False, True]


async def test_it_posts_nothing_and_joins_nothing(tmp_path: Path) -> None:
    async with FakeSlack() as slack:
        ops = slack.add_channel("email-ops", member=False)

        found = await look(settings(slack, f"sqlite:///{tmp_path}/h.db", tmp_path))

        assert found["channel"].ok
        assert "joins it by itself" in found["channel"].sentence
        assert not ops.bot_is_member
        assert not ops.messages


async def test_each_scope_that_is_missing_is_named_with_what_it_is_for(tmp_path: Path) -> None:
    async with FakeSlack(scopes=DEFAULT_SCOPES - {"groups:history", "channels:join"}) as slack:
        slack.add_channel("email-ops")

        found = await look(settings(slack, f"sqlite:///{tmp_path}/h.db", tmp_path))

        assert not found["scopes"].ok
        assert "lacks channels:join (to join it) and groups:history (to look" in found["scopes"].sentence


async def test_tokens_that_slack_refuses_say_where_the_right_ones_are(tmp_path: Path) -> None:
    async with FakeSlack() as slack:
        tokens = {"slack_bot_token": "xoxb-old", "slack_app_token": "xapp-old"}

        found = await look(settings(slack, f"sqlite:///{tmp_path}/h.db", tmp_path, **tokens))

        assert "Slack refuses the bot's token (invalid_auth)" in found["bot token"].sentence
        assert "Basic Information" in found["app token"].sentence
        assert "could not be looked up" in found["channel"].sentence


async def test_a_slack_that_is_away_says_nothing_of_the_tokens(tmp_path: Path) -> None:
    async with FakeSlack() as slack:
        slack.down()

        found = await look(settings(slack, f"sqlite:///{tmp_path}/h.db", tmp_path))

        assert "Slack did not answer" in found["bot token"].sentence
        assert "Slack did not answer" in found["app token"].sentence


@pytest.mark.parametrize(
    ("channel", "sentence"),
    [
        ({"name": "email-ops", "archived": True}, "archived"),
        ({"name": "email-ops", "private": True, "member": False}, "a private channel must invite the bot"),
        ({"name": "other"}, "knows no channel email-ops"),
    ],
)
async def test_a_channel_that_cannot_be_used_says_why(tmp_path: Path, channel: dict[str, Any], sentence: str) -> None:
    async with FakeSlack() as slack:
        slack.add_channel(**channel)

        found = await look(settings(slack, f"sqlite:///{tmp_path}/h.db", tmp_path))

        assert not found["channel"].ok
        assert sentence in found["channel"].sentence


async def test_http_needs_no_app_token(tmp_path: Path) -> None:
    async with FakeSlack() as slack:
        slack.add_channel("email-ops")
        road = {"slack_app_token": None, "slack_signing_secret": slack.signing_secret}

        found = await look(settings(slack, f"sqlite:///{tmp_path}/h.db", tmp_path, **road))

        assert "/slack/events" in found["signing secret"].sentence


async def test_servers_of_settings_and_database_are_probed(db: Database, database_url: str, tmp_path: Path) -> None:
    async with FakeSlack() as slack, Relay() as good, Relay() as full:
        await full.behave(reply("greeting", 421, "4.3.2 Too busy"))
        await add_server(db, "added", good.port)
        servers = {"primary": {"host": full.host, "port": full.port, "backup": "spare"}}
        servers["spare"] = {"host": "no such host", "port": 25}

        found = await look(settings(slack, database_url, tmp_path, servers=servers))

        assert found["server added"].ok
        assert "Too busy" in found["server primary"].sentence
        assert "cannot be a name" in found["server spare"].sentence


async def test_without_a_second_approver_it_says_so(tmp_path: Path) -> None:
    async with FakeSlack() as slack:
        url = f"sqlite:///{tmp_path}/h.db"

        nobody = await look(settings(slack, url, tmp_path, roles={"sender": ["U1"]}))
        one = await look(settings(slack, url, tmp_path, roles={"sender": ["U1"], "approver": ["U1"]}))

        assert "Nobody in Slack has the role approver" in nobody["roles"].sentence
        assert one["roles"].ok
        assert "Only U1 may approve" in one["roles"].sentence

        groups = {"sender": ["@senders"], "approver": ["@approvers"]}
        shared = await look(settings(slack, url, tmp_path, roles=groups))
        slip = await look(settings(slack, url, tmp_path, roles=groups | {"admin": ["email-admins", "maria"]}))
        assert shared["roles"].ok
        assert "email-admins and maria under [roles] can be nobody" in slip["roles"].sentence


async def test_a_folder_that_cannot_be_made_and_a_database_url_that_cannot_be_read(tmp_path: Path) -> None:
    async with FakeSlack() as slack:
        (tmp_path / "data").write_text("in the way")

        found = await look(settings(slack, "postgresql://a:b@c:d/e", tmp_path))

        assert "Set HOLDFAST_DATA_DIR to a folder of your own" in found["data directory"].sentence
        assert "HOLDFAST_DATABASE_URL cannot be read" in found["database"].sentence


def test_with_nothing_set_it_says_what_to_set_and_where_to_get_it(holdfast: Holdfast) -> None:
    ran = holdfast("check")

    assert ran.code == 1
    for words in (
        "✗ fail  bot token: HOLDFAST_SLACK_BOT_TOKEN is not set.",
        "✗ fail  app token: HOLDFAST_SLACK_APP_TOKEN is not set.",
        "✗ fail  channel: HOLDFAST_CHANNEL is not set.",
        "✗ fail  servers: There is no mail server.",
        "✓ ok    database: ",
        "things to put right",
    ):
        assert words in ran.out


def test_a_wrong_setting_is_a_line_of_the_report(holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_HTTP_PORT", "many")

    ran = holdfast("check")

    assert ran.code == 2
    assert ran.out.startswith("✗ fail  settings: HOLDFAST_HTTP_PORT is wrong")


def test_a_database_of_another_version_says_what_to_run(holdfast: Holdfast, tmp_path: Path) -> None:
    holdfast("migrate")
    with sqlite3.connect(tmp_path / "holdfast-data" / "holdfast.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0000'")
    connection.close()

    assert "Run: holdfast migrate" in holdfast("check").out


def test_the_scopes_are_those_of_the_manifest() -> None:
    manifest = (Path(__file__).parents[2] / "manifest.yml").read_text()
    listed = manifest.split("scopes:")[1].split("settings:")[0]

    assert set(re.findall(r"- (\S+)", listed)) == SCOPES.keys()
