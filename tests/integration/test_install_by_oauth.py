"""Holdfast is installed from a page: to Slack and back, the token encrypted, in use at once, and one workspace only."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import time_machine
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, Integer, LargeBinary, MetaData, String, Table, Text, text
from structlog.testing import capture_logs

from bot.app import Bot
from bot.clock import now
from bot.config import load_settings
from bot.errors import BotError, SettingsError
from bot.slack.checking import check_slack
from bot.slack.tokens import Vault, bot_token_of
from storage.db import alembic_config, head_revision
from storage.types import UtcDateTime
from tests.acceptance.support import Workplace, workplace
from tests.integration.install_support import PUBLIC, browser, by_oauth, install, says, secrets, workspaces

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For what the database has no part in."""

# slack_sdk 3.47 proves the app's id and secret with it.
pytestmark = pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning")


@pytest.fixture
async def office(database_url: str, tmp_path: Path) -> AsyncIterator[Workplace]:
    async with workplace(tmp_path, database_url) as here:
        by_oauth(here)
        yield here


@ON_SQLITE
async def test_slack_is_asked_for_the_scopes_that_are_needed(office: Workplace) -> None:
    async with office.bot() as bot, browser(bot) as there:
        asked = parse_qs(urlsplit(await there.at_slack()).query)

        assert asked["client_id"] == [office.slack.client_id]
        assert asked["redirect_uri"] == [f"{PUBLIC}/slack/oauth_redirect"]
        assert {"chat:write", "commands"} <= set(asked["scope"][0].split(","))
        assert asked["state"] == [there.cookie]


async def test_a_bot_without_a_token_says_where_to_install_it_and_works_as_soon_as_it_is(office: Workplace) -> None:
    async with office.bot() as bot:
        await office.terminal("/outage declare primary all is slow")
        await office.until_so(lambda: says(office, f"Open {PUBLIC}/slack/install to install it"), "where to install it")

        answer = await install(office, bot)

        assert answer.status == 200
        assert "It works in Acme now. Try /holdfast help there." in answer.text
        await office.message("all is slow")
        assert "primary" in await office.type(office.maria, "/server list")


async def test_the_token_is_encrypted_at_rest_and_used_after_a_restart(office: Workplace) -> None:
    async with office.bot() as bot:
        await install(office, bot)
    token = office.slack.bot_token

    [row] = await workspaces(office)
    assert (row.name, row.installed_by, row.removed) == ("Acme", office.maria.id, False)
    at_rest = await secrets(office)
    assert len(at_rest) == 2
    assert all(token not in each and Vault("a key of the tests").open(each) == token for each in at_rest)
    async with office.bot():
        await office.type(office.maria, "/outage declare primary all is slow")
        await office.message("all is slow")


@ON_SQLITE
async def test_it_never_reaches_the_log(office: Workplace) -> None:
    with office.environment(), capture_logs() as logged:
        bot = Bot(load_settings())
        await bot.start()
        await install(office, bot)
        await bot.stop()

    assert any(entry["event"] == "installed" for entry in logged)
    assert office.slack.bot_token not in str(logged)
    assert office.slack.client_secret not in str(logged)


async def test_another_secret_key_is_named_at_the_start(office: Workplace) -> None:
    async with office.bot() as bot:
        await install(office, bot)
    office.settings["HOLDFAST_SECRET_KEY"] = "another key"

    with office.environment(), pytest.raises(SettingsError, match="HOLDFAST_SECRET_KEY is not the one"):
        await bot_token_of(load_settings(), office.db)


async def test_a_removed_app_is_said_and_goes_on_when_it_is_installed_again(office: Workplace) -> None:
    async with office.bot() as bot:
        await install(office, bot)
        await office.type(office.maria, "/outage declare primary all is slow")
        head = await office.message("all is slow")
        office.slack.revoke_token()

        await office.terminal("/outage update the vendor is on it")
        await office.until_so(lambda: says(office, f"(token_revoked). Open {PUBLIC}/slack/install"), "the way back")
        assert (await install(office, bot)).status == 200

        await office.message("the vendor is on it", thread_of=head)


async def test_a_start_with_a_revoked_token_still_shows_the_page(office: Workplace) -> None:
    async with office.bot() as bot:
        await install(office, bot)
    office.slack.revoke_token()

    async with office.bot() as bot:
        assert (await install(office, bot)).status == 200
        await office.type(office.maria, "/outage declare primary all is slow")
        await office.message("all is slow")


async def test_an_installation_from_before_there_could_be_several_goes_on(office: Workplace) -> None:
    """In the shape of the table that revision 0002 made, with the token that is valid at Slack."""
    closed = Vault("a key of the tests").close(office.slack.bot_token)
    async with office.db.connection() as connection:
        await connection.run_sync(_as_before, office.slack.workspace.team_id, closed.encode(), office.maria.id)
        await connection.commit()

    async with office.bot() as bot:
        [moved] = await workspaces(office)
        assert (moved.name, moved.installed_by, moved.removed) == ("Acme", office.maria.id, False)
        assert moved.installed_at == datetime(2026, 3, 29, 12, tzinfo=UTC)
        await office.type(office.maria, "/outage declare primary all is slow")
        await office.message("all is slow")
        assert (await install(office, bot)).status == 200
        assert len(await workspaces(office)) == 1


def _as_before(connection: Connection, team: str, secret: bytes, who: str) -> None:
    for table in ("slack_bots", "slack_installations"):
        connection.execute(text(f"DROP TABLE {table}"))
    before = Table(
        "installations",
        MetaData(),
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("team_id", String(20)),
        Column("team", Text),
        Column("secret", LargeBinary),
        Column("scopes", Text),
        Column("installed_by", Text),
        Column("installed_at", UtcDateTime()),
    )
    before.create(connection)
    row = {"id": 1, "team_id": team, "team": "Acme", "secret": secret, "scopes": "chat:write", "installed_by": who}
    connection.execute(before.insert().values(**row, installed_at=datetime(2026, 3, 29, 12, tzinfo=UTC)))
    config = alembic_config()
    config.attributes["connection"] = connection
    of_many = ScriptDirectory.from_config(config).get_revision("0007")
    connection.execute(text("UPDATE alembic_version SET version_num = :it"), {"it": of_many.down_revision})
    command.upgrade(config, "0007")
    connection.execute(text("UPDATE alembic_version SET version_num = :it"), {"it": head_revision()})


# What must not work


async def test_a_workspace_that_is_not_named_is_refused_and_keeps_no_bot(office: Workplace) -> None:
    beta = office.slack.add_team("Beta", "T0BETA")
    async with office.bot() as bot:
        await install(office, bot)
        before = await secrets(office)

        answer = await install(office, bot, beta.add_user("bea"))

        assert answer.status == 403
        assert "This Holdfast belongs to the workspace Acme; Beta may not install it." in answer.text
        assert "Slack has taken it away there again." in answer.text
        assert "add T0BETA to HOLDFAST_SLACK_TEAMS" in answer.text
        assert office.slack.bot_token_of(beta) == ""
        assert await secrets(office) == before


@ON_SQLITE
async def test_a_refusal_that_slack_did_not_hear_says_what_is_left_to_do(office: Workplace) -> None:
    beta = office.slack.add_team("Beta")
    async with office.bot() as bot:
        await install(office, bot)
        office.slack.fault("apps.uninstall", status=500)

        answer = await install(office, bot, beta.add_user("bea"))

        assert answer.status == 403
        assert "Remove it from Beta at Slack." in answer.text


@ON_SQLITE
async def test_a_whole_organization_is_refused_in_a_sentence(office: Workplace) -> None:
    async with office.bot() as bot:
        answer = await install(office, bot, organization=True)

        assert answer.status == 403
        assert "installed in single workspaces, not in a whole organization. Nothing was changed." in answer.text
        assert await workspaces(office) == []
        assert office.slack.bot_token == ""


async def test_only_the_workspace_of_the_settings_may_be_the_first(office: Workplace) -> None:
    office.settings["HOLDFAST_SLACK_TEAM"] = "T0EXPECTED"
    async with office.bot() as bot:
        answer = await install(office, bot)

        assert answer.status == 403
        assert "This Holdfast belongs to the workspace T0EXPECTED; Acme may not install it." in answer.text
        assert await workspaces(office) == []


@ON_SQLITE
async def test_another_browser_cannot_finish_what_it_did_not_begin(office: Workplace) -> None:
    async with office.bot() as bot, browser(bot) as there:
        back = office.slack.agree(office.maria, await there.at_slack())

        async with browser(bot) as other:
            answer = await other.get(back)

        assert answer.status == 400
        assert "begun in another browser" in answer.text
        assert await workspaces(office) == []


async def test_a_way_back_is_taken_once(office: Workplace) -> None:
    async with office.bot() as bot, browser(bot) as there:
        back = office.slack.agree(office.maria, await there.at_slack())
        assert (await there.get(back)).status == 200

        answer = await there.get(back)

        assert answer.status == 400
        assert "or is finished already" in answer.text


async def test_a_way_back_is_open_for_ten_minutes(office: Workplace) -> None:
    async with office.bot() as bot, browser(bot) as there:
        back = office.slack.agree(office.maria, await there.at_slack())

        with time_machine.travel(now() + timedelta(minutes=11)):
            answer = await there.get(back)

        assert answer.status == 400
        assert "more than 10 minutes ago" in answer.text


@ON_SQLITE
async def test_a_code_that_slack_does_not_know_is_told(office: Workplace) -> None:
    async with office.bot() as bot, browser(bot) as there:
        await there.at_slack()

        answer = await there.get(f"/slack/oauth_redirect?code=wrong&state={there.cookie}")

        assert answer.status == 400
        assert "Slack does not accept the code." in answer.text
        assert f"Begin again at {PUBLIC}/slack/install" in answer.text


@ON_SQLITE
async def test_somebody_who_declines_is_told_that_nothing_happened(office: Workplace) -> None:
    async with office.bot() as bot, browser(bot) as there:
        answer = await there.get("/slack/oauth_redirect?error=access_denied&state=x")

        assert answer.status == 403
        assert "declined at Slack. Nothing was changed." in answer.text


@ON_SQLITE
async def test_what_stands_in_the_address_is_not_repeated_on_the_page(office: Workplace) -> None:
    async with office.bot() as bot, browser(bot) as there:
        answer = await there.get("/slack/oauth_redirect?error=%3Cscript%3Ealert(1)%3C/script%3E")

        assert answer.status == 400
        assert "alert" not in answer.text


@ON_SQLITE
async def test_a_slack_that_is_away_is_told(office: Workplace) -> None:
    async with office.bot() as bot, browser(bot) as there:
        back = office.slack.agree(office.maria, await there.at_slack())
        office.slack.fault("oauth.v2.access", accept_then_cut=True)

        answer = await there.get(back)

        assert answer.status == 503
        assert "Slack did not answer. Nothing was changed." in answer.text


@ON_SQLITE
async def test_without_oauth_there_are_no_such_pages(office: Workplace) -> None:
    office.settings["HOLDFAST_SLACK_BOT_TOKEN"] = office.slack.bot_token
    async with office.bot() as bot, browser(bot) as there:
        assert (await there.get("/slack/install")).status == 404


# Settings


@ON_SQLITE
@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HOLDFAST_SLACK_CLIENT_SECRET", ""),
        ("HOLDFAST_PUBLIC_URL", ""),
        ("HOLDFAST_PUBLIC_URL", "http://holdfast.example.com"),
    ],
)
async def test_what_the_installation_needs_is_named(office: Workplace, variable: str, value: str) -> None:
    office.settings[variable] = value
    with office.environment(), pytest.raises(BotError, match=f"{variable} is missing"):
        bot = Bot(load_settings())
        try:
            await bot.start()
        finally:
            await bot.stop()


async def test_holdfast_check_says_where_to_install_it_and_that_it_is(office: Workplace) -> None:
    with office.environment():
        settings = load_settings()
    before = {finding.what: finding for finding in await check_slack(settings)}
    async with office.bot() as bot:
        await install(office, bot)
    after = {finding.what: finding for finding in await check_slack(settings)}

    assert f"Open {PUBLIC}/slack/install to install it." in before["bot token"].sentence
    assert after["bot token"].ok
    assert after["channel"].ok


def test_what_one_key_closes_no_other_opens() -> None:
    closed = Vault("one").close("xoxb-token")

    assert Vault("one").open(closed) == "xoxb-token"
    with pytest.raises(SettingsError):
        Vault("two").open(closed)
