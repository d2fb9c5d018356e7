"""A person opens the home tab in their own workspace, and what befalls that one makes nobody else wait."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.clock import now
from bot.demo.fakeslack import User
from bot.demo.fakeslack import Workspace as Team
from storage import homes
from storage.db import Database
from tests.integration.home_support import Workspace, workspace
from tests.seeds import add_server
from tests.unit.fakeslack_support import client_of

# slack_sdk 3.47 proves the app's id and secret with it.
pytestmark = pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning")


@dataclass
class Company:
    """Acme is at home, with Jonas; Bea is of Beta, where Holdfast is installed too. Both look at their tabs."""

    acme: Workspace
    beta: Team
    bea: User

    async def install(self) -> None:
        """Bea installs it in Beta."""
        slack = self.acme.slack
        page = f"https://x/authorize?client_id={slack.client_id}&scope=commands&redirect_uri=https://me/back&state=s"
        code = slack.agree(self.bea, page).partition("code=")[2].partition("&")[0]
        answer = await client_of(slack, "none").oauth_v2_access(
            client_id=slack.client_id, client_secret=slack.client_secret, code=code, redirect_uri="https://me/back"
        )
        self.acme.workspaces.put(self.beta.team_id, "Beta", str(answer["access_token"]))
        self.acme.tabs.retry()

    async def declare(self) -> None:
        await self.acme.services.outages.declare(self.acme.actor(self.acme.guest), "primary", "slow")

    async def acknowledge(self) -> None:
        await self.acme.services.outages.acknowledge(self.acme.actor(self.acme.jonas), 1)


@pytest.fixture
async def company(db: Database, tmp_path: Path) -> AsyncIterator[Company]:
    async with workspace(db, tmp_path, roles={"responder": ["*"]}) as acme:
        beta = acme.slack.add_team("Beta", "T0BETA")
        acme.workspaces.home = acme.slack.workspace.team_id
        here = Company(acme, beta, beta.add_user("bea", real_name="Bea"))
        await here.install()
        await add_server(db, "primary", 2525, health="up", health_since=now())
        await acme.open(acme.jonas)
        await acme.open(here.bea)
        await acme.settled()
        yield here


async def test_a_tab_is_given_and_pressed_in_the_workspace_of_who_opened_it(company: Company) -> None:
    acme = company.acme
    await company.declare()
    await acme.until(company.bea, "[Acknowledge]")

    await acme.press(company.bea, "Acknowledge", "outage:1")

    assert "(bea of Beta) has it" in await acme.until(company.bea, "Done: Acknowledge.")
    assert "Done" not in await acme.until(acme.jonas, "of Beta) has it")


async def test_a_revoked_token_makes_its_own_workspace_wait_and_no_other(company: Company) -> None:
    acme = company.acme
    acme.slack.revoke_token(company.beta)
    await company.declare()
    await acme.until(acme.jonas, "nobody has it")
    await company.acknowledge()
    await acme.until(acme.jonas, "@Jonas has it")
    assert "Outage" not in acme.sees(company.bea)

    await company.install()
    await acme.until(company.bea, "has it")
    acme.slack.revoke_token()  # that of the home workspace
    await acme.services.outages.resolve(acme.actor(acme.maria), 1)
    await acme.until(company.bea, "No sender is running")
    assert "@Jonas has it" in acme.sees(acme.jonas)


async def test_a_limit_that_one_workspace_has_reached_slows_no_other(company: Company) -> None:
    acme = company.acme
    acme.slack.fault("views.publish", times=1, status=429, retry_after=60)
    await acme.slack.open_home(company.bea)
    async with asyncio.timeout(30):
        while acme.published(company.bea) < 2:  # what is refused rings no bell
            await asyncio.sleep(0.01)
    await acme.beats()
    assert acme.published(company.bea) == 2, "it was refused once, and nobody asks again"

    await company.declare()

    await acme.until(acme.jonas, "nobody has it")
    assert acme.published(company.bea) == 2


async def test_a_workspace_that_removed_it_is_left_alone_until_it_is_back(company: Company) -> None:
    acme = company.acme
    acme.workspaces.drop(company.beta.team_id)
    before = acme.published(company.bea)
    await company.declare()
    await acme.until(acme.jonas, "nobody has it")
    await acme.beats()
    assert acme.published(company.bea) == before, "nor is its person looked for in the home workspace"

    await company.install()
    await acme.until(company.bea, "nobody has it")


async def test_one_id_in_two_workspaces_is_two_tabs(company: Company) -> None:
    acme = company.acme
    await acme.services.home.opened(acme.actor(acme.jonas), now(), company.beta.team_id)
    async with acme.db.read() as tx:
        used = await homes.used_since(tx, now().replace(year=2000))
    assert [each.team_id for each in used if each.user_id == acme.jonas.id] == [
        company.beta.team_id,
        acme.slack.workspace.team_id,
    ]
