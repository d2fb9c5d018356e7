"""One house, several workspaces of a company: each with a token of its own, and one channel of outages at home."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine

from bot.access import Actor
from bot.clock import now
from bot.config import ApprovalSettings, load_settings
from bot.demo.fakeslack import Channel, User, Workspace
from bot.errors import NotAllowedError
from bot.slack import installed
from bot.slack.checking import check_slack
from bot.slack.plain import plain
from bot.slack.tokens import Vault, token_store
from storage import installs
from storage.db import Database
from storage.models import SlackBot
from tests.acceptance.support import Workplace, workplace
from tests.integration.install_support import PUBLIC, by_oauth, install, over, says, secrets, workspaces

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For what the database has no part in."""

# slack_sdk 3.47 proves the app's id and secret with it.
pytestmark = pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning")


@dataclass
class Company:
    """Acme, where the channel of the outages is, and Beta, whose Bea may send."""

    acme: Workplace
    beta: Workspace
    bea: User
    room: Channel
    """A channel of Beta's."""

    async def type(self, line: str, words: str = "") -> str:
        """Bea types in Beta; the answer that she sees there."""
        delivery = await self.acme.slack.command(self.bea, self.room, line)
        said = await self.acme.answer(delivery, words)
        assert [each.channel for each in delivery.responses] == [self.room] * len(delivery.responses)
        return said


@pytest.fixture
async def company(database_url: str, tmp_path: Path) -> AsyncIterator[Company]:
    async with workplace(tmp_path, database_url) as acme:
        by_oauth(acme)
        beta = acme.slack.add_team("Beta", "T0BETA")
        bea = beta.add_user("bea", real_name="Bea", tz="Asia/Tokyo")
        acme.settings["HOLDFAST_SLACK_TEAMS"] = beta.team_id
        acme.settings["HOLDFAST_ROLES__RESPONDER"] = f'["{bea.id}"]'
        yield Company(acme, beta, bea, beta.add_channel("marketing"))


# Both are at work


@pytest.mark.parametrize(
    ("database_url", "road"), [("sqlite", "socket"), ("postgresql", "http")], indirect=["database_url"]
)
async def test_both_install_it_and_both_use_it(company: Company, road: str) -> None:
    acme = company.acme
    async with over(acme, road) as bot:
        assert (await install(acme, bot)).status == 200
        answer = await install(acme, bot, company.bea)
        assert "It works in Beta now." in answer.text

        assert "primary" in await company.type("/server list")
        assert "primary" in await acme.type(acme.maria, "/server list")

        # What happens is told in the one channel, and names who is not known there.
        assert "is open on primary" in await company.type("/outage declare primary mail is late in Tokyo")
        head = await acme.message("mail is late in Tokyo")
        assert "(bea of Beta)" in acme.slack.plain(head)
        await acme.message("Holdfast is installed in the workspace Beta as well")
        # Where somebody of Beta sees it, because the channel is shared, the buttons work.
        assert (await acme.press(company.bea, head, "outage.acknowledge")).error is None
        await acme.message("(bea of Beta) acknowledged it", thread_of=head)
    assert {each.name: each.removed for each in await workspaces(acme)} == {"Acme": False, "Beta": False}
    tokens = {acme.slack.bot_token, acme.slack.bot_token_of(company.beta)}
    at_rest = await secrets(acme)
    assert len(at_rest) == 4
    assert {Vault("a key of the tests").open(each) for each in at_rest} == tokens
    assert {acme.slack.postman.deliveries[-1].road} == {road}


@ON_SQLITE
async def test_an_answer_that_needs_a_token_takes_that_of_the_workspace(company: Company) -> None:
    acme = company.acme
    async with over(acme, "http") as bot:
        await install(acme, bot)
        await install(acme, bot, company.bea)
    async with over(acme, "http"):  # and after a restart
        acme.slack.fault("response_url", status=500)

        await acme.slack.command(company.bea, company.room, "/maintenance schedule primary tomorrow 09:00 for 2h disks")

        shown = await acme.until(lambda: acme.slack.ephemerals(company.bea), "an answer to her alone")
        assert isinstance(shown, list)
        # Her zone is known in Beta alone; this is how times are typed in it.
        assert re.search(r"20\d\d 00:00", acme.slack.plain(shown[0]))
        assert shown[0].channel is company.room


@ON_SQLITE
async def test_a_form_opens_for_somebody_of_another_workspace(company: Company) -> None:
    acme = company.acme
    async with over(acme, "http") as bot:
        await install(acme, bot)
        await install(acme, bot, company.bea)

        await acme.slack.command(company.bea, company.room, "/outage declare")
        await acme.until(lambda: acme.slack.open_views(company.bea), "the form")
        sent = await acme.slack.submit_view(company.bea, None, {"server": "primary", "text": "all is slow"})

        assert sent.error is None
        await acme.message("all is slow")


@ON_SQLITE
async def test_the_home_tab_is_where_its_person_is_and_outlives_an_end_of_it(company: Company) -> None:
    acme, maria, bea = company.acme, company.acme.maria, company.bea

    def sees(user: User, words: str) -> bool:
        view = acme.slack.home(user)
        return view is not None and words in plain(view.data["blocks"])

    async with over(acme, "http") as bot:
        await install(acme, bot)
        await install(acme, bot, bea)
        await acme.slack.open_home(maria)
        await acme.slack.open_home(bea)
        await acme.until(lambda: sees(maria, "Servers") and sees(bea, "Servers"), "their home tabs")

        await acme.slack.uninstall(bea)
        await acme.message("The workspace Beta removed Holdfast")
        await acme.type(maria, "/outage declare primary all is slow")
        await acme.until(lambda: sees(maria, "nobody has it"), "the outage in Acme")
        assert not sees(bea, "nobody has it")

        await install(acme, bot, bea)
        await acme.until(lambda: sees(bea, "nobody has it"), "the outage in Beta")


@ON_SQLITE
async def test_people_of_a_workspace_without_it_stay_outsiders(company: Company) -> None:
    acme = company.acme
    guest = acme.slack.add_user("guest")
    guest.team_id = "T0STRANGE"
    async with over(acme, "http") as bot:
        await install(acme, bot)
        await install(acme, bot, company.bea)

        said = await acme.type(guest, "/outage declare primary all is slow")

        assert "You are from another workspace, so you may look and no more." in said


@ON_SQLITE
async def test_a_workspace_that_is_no_longer_named_is_a_strange_one(company: Company) -> None:
    acme = company.acme
    async with over(acme, "http") as bot:
        await install(acme, bot)
        await install(acme, bot, company.bea)
    del acme.settings["HOLDFAST_SLACK_TEAMS"]

    async with over(acme, "http"):
        said = await company.type("/outage declare primary all is slow")

    assert "You are from another workspace" in said
    assert not await says(acme, "Beta")


@pytest.mark.parametrize("renamed", ["bea", "Somebody Else"])
async def test_a_new_name_makes_nobody_a_second_person(tmp_path: Path, renamed: str) -> None:
    from bot.access import Access
    from bot.config import RoleSettings, Settings
    from bot.services.approvals import Approvals

    settings = Settings(data_dir=tmp_path, approvals=ApprovalSettings())
    approvals = Approvals(settings, Access(RoleSettings(), []))
    asked = Actor(id="U0BEA", name="bea", workspace="Beta")
    other = Actor(id="U0BEN", name=renamed, workspace="Beta")

    approvals.check_second_person(other, asked.mention, 10)
    with pytest.raises(NotAllowedError, match="somebody else must approve"):
        approvals.check_second_person(Actor(id="U0BEA", name=renamed, workspace="Beta"), asked.mention, 10)


# One of them removes it


async def test_a_workspace_that_removes_it_is_told_of_once_and_its_tokens_are_forgotten(company: Company) -> None:
    acme = company.acme
    async with over(acme, "http") as bot:
        await install(acme, bot)
        await install(acme, bot, company.bea)

        await acme.slack.uninstall(company.bea)  # two events

        await acme.message("The workspace Beta removed Holdfast: its people cannot use it any more.")
        assert await says(acme, "Acme and Beta (removed it)")
        assert "You are from another workspace" in await company.type("/outage declare primary all is slow")
        assert len(await acme.entries("workspace.removed")) == 1
        with acme.environment():
            store, findings = token_store(load_settings(), acme.db), await check_slack(load_settings())
        assert await store.async_find_bot(enterprise_id=None, team_id=company.beta.team_id) is None
        assert len(await secrets(acme)) == 2  # Acme's, in either table
        [finding] = [each for each in findings if each.what == "workspace Beta"]
        assert "Holdfast is not installed there. Open" in finding.sentence

        assert (await install(acme, bot, company.bea)).status == 200
        assert "is open on primary" in await company.type("/outage declare primary all is slow")


@ON_SQLITE
async def test_the_home_workspace_removes_it_and_everything_waits_until_it_is_back(company: Company) -> None:
    acme = company.acme
    async with over(acme, "http") as bot:
        await install(acme, bot)
        await install(acme, bot, company.bea)
        await acme.type(acme.maria, "/outage declare primary all is slow")
        head = await acme.message("all is slow")

        await acme.slack.uninstall(acme.maria)
        await acme.until_so(lambda: says(acme, "Acme has removed Holdfast."), "that it is gone")
        assert await says(
            acme, f"Nothing can be posted: open {PUBLIC}/slack/install to install Holdfast in Acme again."
        )
        # Beta's people work on, and what they do is not lost.
        assert "Added to the thread" in await company.type("/outage update the vendor is on it")
        with acme.environment():
            findings = {each.what: each for each in await check_slack(load_settings())}
        assert "is not installed in its workspace. Open" in findings["bot token"].sentence

    async with over(acme, "http") as bot:  # a restart in the middle changes nothing
        assert (await install(acme, bot)).status == 200
        await acme.message("Holdfast was removed from Acme.")
        await acme.message("the vendor is on it", thread_of=head)
        assert not await says(acme, "has removed")


@ON_SQLITE
async def test_an_end_that_is_told_late_ends_no_newer_installation(company: Company) -> None:
    acme = company.acme
    async with over(acme, "http") as bot:
        await install(acme, bot)
        await install(acme, bot, company.bea)
        [first, _] = await acme.slack.uninstall(company.bea)
        await acme.message("The workspace Beta removed Holdfast")
        await install(acme, bot, company.bea)
        late = {**first.payload, "event_id": "Ev0LATE"}
        first.payload.update(late)

        asked = len(acme.slack.calls_to("auth.test"))

        assert (await acme.slack.redeliver(first)).error is None
        await acme.until(lambda: len(acme.slack.calls_to("auth.test")) > asked, "a look at the token")

        assert "is open on primary" in await company.type("/outage declare primary all is slow")
        assert len(await acme.entries("workspace.removed")) == 1


async def test_without_slacks_answer_the_time_of_an_end_decides(db: Database) -> None:
    aware = datetime(2026, 3, 29, 12, 0, 0, 400_000, UTC)
    naive = aware.replace(tzinfo=None)  # as slack_sdk keeps it
    row = SlackBot(client_id="1.2", app_id="A", team_id="T1", bot_token="closed", installed_at=naive)
    async with db.transaction() as tx:
        tx.add(row)

    async with db.transaction() as tx:
        assert not await installs.remove(tx, "T1", aware - timedelta(seconds=1))
        assert not await installs.remove(tx, "T2", aware)
        assert await installs.remove(tx, "T1", aware.replace(microsecond=0))  # Slack's events have whole seconds
        assert not await installs.remove(tx, "T1", aware)


@ON_SQLITE
async def test_a_person_whose_own_token_is_revoked_changes_nothing(company: Company) -> None:
    acme = company.acme
    async with over(acme, "http") as bot:
        await install(acme, bot)
        [told, _] = await acme.slack.uninstall(company.bea)  # not installed there: nothing to end
        told.payload["event"]["tokens"] = {"oauth": [acme.maria.id], "bot": []}
        told.payload.update(team_id=acme.slack.workspace.team_id, event_id="Ev0PERSON")

        await acme.slack.redeliver(told)

        assert "primary" in await acme.type(acme.maria, "/server list")
        assert await acme.entries("workspace.removed") == []


# Tokens that end by themselves


@ON_SQLITE
async def test_a_token_is_renewed_before_its_end_without_anybody(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installed, "_LOOK_EVERY", timedelta(seconds=0.05))
    acme = company.acme
    acme.slack.rotates_tokens = True
    async with over(acme, "http") as bot:  # a socket would not outlive the leaps of the clock
        await install(acme, bot)
        await install(acme, bot, company.bea)
        before = {acme.slack.bot_token, acme.slack.bot_token_of(company.beta)}

        with time_machine.travel(now() + timedelta(hours=11)):
            await acme.until(
                lambda: not before & {acme.slack.bot_token, acme.slack.bot_token_of(company.beta)}, "new tokens"
            )
        with time_machine.travel(now() + timedelta(hours=13)):  # the first ones have ended
            assert "is open on primary" in await company.type("/outage declare primary all is slow")
            await acme.message("all is slow")

    opened = {Vault("a key of the tests").open(each) for each in await secrets(acme)}
    assert {acme.slack.bot_token, acme.slack.bot_token_of(company.beta)} < opened
    assert not before & opened


@ON_SQLITE
async def test_a_token_that_ended_while_holdfast_was_off_is_renewed_at_the_start(company: Company) -> None:
    acme = company.acme
    acme.slack.rotates_tokens = True
    async with over(acme, "http") as bot:
        await install(acme, bot)

    with time_machine.travel(now() + timedelta(days=3)):
        async with over(acme, "http"):
            await acme.type(acme.maria, "/outage declare primary all is slow")
            await acme.message("all is slow")


@ON_SQLITE
async def test_a_token_that_slack_does_not_renew_says_how_to_go_on(company: Company) -> None:
    acme = company.acme
    acme.slack.rotates_tokens = True
    async with over(acme, "http") as bot:
        await install(acme, bot)
    acme.slack.fault("oauth.v2.access", error="invalid_refresh_token", times=100)

    with time_machine.travel(now() + timedelta(days=3)):
        async with over(acme, "http") as bot:
            await acme.terminal("/outage declare primary all is slow")
            await acme.until_so(lambda: says(acme, "(token_expired). Open"), "the way back")
            acme.slack.clear_faults()
            assert (await install(acme, bot)).status == 200
            await acme.message("all is slow")
