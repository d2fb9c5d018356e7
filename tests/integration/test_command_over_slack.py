"""Commands and buttons through the real Bolt and SDK, over Socket Mode, against the strict fake Slack."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import commands
from bot.demo.fakeslack import Channel, FakeSlack, Message, User
from bot.services.bundle import Services, build
from bot.slack.cards import CARDS
from bot.slack.edge import Edge
from storage.db import Database
from tests.integration import slack_support
from tests.integration.slack_support import announcing, web_client
from tests.seeds import add_campaign, add_server


@dataclass
class Workspace:
    db: Database
    slack: FakeSlack
    edge: Edge
    services: Services
    ops: Channel
    maria: User
    jonas: User

    async def type(self, line: str, user: User | None = None) -> str:
        delivery = await self.slack.command(user or self.maria, self.ops, line)
        return self.slack.plain(await self.slack.wait_for_reply(delivery))

    async def click(self, user: User, message: Message, label: str, *, stale: bool = False) -> str | None:
        """What the person alone was answered, when the handler is done."""
        delivery = await self.slack.click(user, message, label, stale=stale)
        await self.edge.drain()
        return self.slack.plain(delivery.responses[-1]) if delivery.responses else None


@asynccontextmanager
async def workspace(db: Database, folder: Path) -> AsyncIterator[Workspace]:
    async with FakeSlack() as slack, web_client(slack) as client:
        maria, jonas = slack.add_user("maria", tz="Europe/Madrid"), slack.add_user("jonas")
        ops = slack.add_channel("email-ops")
        roles = {"sender": [maria.id, jonas.id], "approver": [maria.id, jonas.id], "admin": [maria.id]}
        services = build(db, slack_support.settings(folder, roles=roles))
        edge = Edge(services, client, commands.COMMANDS, commands.ACTIONS, events=commands.EVENTS, forms=commands.FORMS)
        async with slack_support._socket(slack, edge), announcing(services, slack, CARDS):
            yield Workspace(db, slack, edge, services, ops, maria, jonas)
            await edge.drain()
        slack.assert_no_violations()


async def test_every_help_and_list_is_one_that_slack_takes(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        await add_campaign(db, await add_server(db, "primary", 2525), 10)
        for name in commands.COMMANDS:
            assert name in await here.type(f"{name} help")
        for line in ("/campaign list", "/server list", "/campaign status spring", "/server status primary"):
            assert "primary" in await here.type(line)
        for line in ("/outage list", "/resend list", "/notice list", "/maintenance list", "/holdfast status"):
            assert await here.type(line)
        assert "Did you mean pause?" in await here.type("/campaign puase spring-sale")


async def test_an_outage_is_declared_taken_and_resolved_by_buttons(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        await add_campaign(db, await add_server(db, "primary", 2525), 10)
        said = await here.type("/outage declare primary customers say &lt;nothing comes&gt;")
        assert "Outage #1 is open on primary. Held: spring-sale." in said
        card = await here.slack.wait_for_message(here.ops, "customers say <nothing comes>")

        assert await here.click(here.maria, card, "Acknowledge") is None
        await here.slack.wait_until(lambda: "acknowledged" in here.slack.plain(card), what="an edited card")
        said = await here.click(here.jonas, card, "Acknowledge", stale=True) or ""
        assert "Already acknowledged by @Maria" in said
        said = await here.click(here.maria, card, "Resolve") or ""
        assert "Outage #1 is resolved." in said
        assert "/campaign resume" in said
        await here.slack.wait_for_message(here.ops, "is over")


async def test_a_draft_asks_for_its_approval_by_its_own_button(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        await add_campaign(db, await add_server(db, "primary", 2525), 10)
        await here.type("/notice draft to spring-sale: Your order mail is late.")
        draft = here.slack.ephemerals(here.maria)[-1]
        assert "waits for somebody else's approval" in (await here.click(here.maria, draft, "notice.send") or "")


async def test_a_window_is_confirmed_by_the_button_of_its_proposal(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        await add_server(db, "primary", 2525)
        said = await here.type("/maintenance schedule primary tomorrow 02:00 for 2h new disks")
        assert "02:00 to 04:00" in said
        assert "Europe/Madrid" in said
        proposal = here.slack.ephemerals(here.maria)[-1]
        assert "is planned" in (await here.click(here.maria, proposal, "Confirm") or "")
        assert "is planned already" in (await here.click(here.maria, proposal, "Confirm") or "")
