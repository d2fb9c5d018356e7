"""Roles from Slack's user groups: as they are at the click, as they last were while Slack is away, then nobody's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from structlog.testing import capture_logs

from bot.access import Access, Actor
from bot.clock import now
from bot.config import RoleSettings
from bot.demo.fakeslack import DEFAULT_SCOPES, FakeSlack, User
from bot.demo.fakeslack.workspace import UserGroup
from bot.errors import RoleMissingError
from bot.services.bundle import build
from bot.slack.checking import check_slack
from bot.slack.edge import Edge
from bot.slack.groups import UserGroups
from commands import ACTIONS, COMMANDS
from storage.db import Database
from tests.integration.slack_support import listening, settings, web_client


@dataclass
class House:
    slack: FakeSlack
    access: Access
    groups: UserGroups
    maria: User
    senders: UserGroup

    def may(self, user: User) -> bool:
        return self.access.allows(Actor(user.id, user.name), "campaign.start")


@asynccontextmanager
async def house(*senders: str, scopes: frozenset[str] = DEFAULT_SCOPES) -> AsyncIterator[House]:
    async with FakeSlack(scopes=scopes) as slack, web_client(slack) as client:
        maria = slack.add_user("maria")
        group = slack.add_usergroup("email-senders", users=[maria])
        access = Access(RoleSettings(sender=[*senders] or ["@email-senders"]), [])
        groups = UserGroups(client, access)
        yield House(slack, access, groups, maria, group)
        await groups.close()
        slack.assert_no_violations()


async def test_a_handle_or_an_id_names_a_group() -> None:
    async with house("@Email-Senders") as here:
        await here.groups.refresh()
        assert here.may(here.maria)
        by_id = Access(RoleSettings(sender=[here.senders.id]), [])
        async with web_client(here.slack) as client:
            await UserGroups(client, by_id).refresh()
        assert by_id.allows(Actor(here.maria.id, "maria"), "campaign.start")
        with pytest.raises(RoleMissingError, match=rf"Ask <!subteam\^{here.senders.id}>\."):
            by_id.require(Actor("U0EVA", "eva"), "campaign.start")


async def test_slack_is_asked_once_a_minute_and_not_at_all_without_groups() -> None:
    async with house() as here:
        await here.groups.refresh()
        await here.groups.refresh()
        assert len(here.slack.calls_to("usergroups.list")) == 1
        async with web_client(here.slack) as client:
            await UserGroups(client, Access(RoleSettings(), [])).refresh()
        assert len(here.slack.calls_to("usergroups.list")) == 1


async def test_who_left_the_group_has_lost_the_role_a_minute_later() -> None:
    async with house() as here:
        await here.groups.refresh()
        here.senders.users.clear()
        with time_machine.travel(now() + timedelta(seconds=61), tick=False):
            await here.groups.refresh()
            assert not here.may(here.maria)


async def test_while_slack_is_away_its_last_word_counts_for_an_hour_and_the_settings_for_ever() -> None:
    async with house("@email-senders", "U0BEN") as here:
        await here.groups.refresh()
        here.slack.fault("usergroups.list", times=9, error="internal_error")
        with time_machine.travel(now() + timedelta(minutes=59), tick=False):
            await here.groups.refresh()
            assert here.may(here.maria)
        with time_machine.travel(now() + timedelta(minutes=62), tick=False), capture_logs() as logged:
            await here.groups.refresh()
            await here.groups.refresh()
            assert not here.may(here.maria)
            here.access.require(Actor("U0BEN", "ben"), "campaign.start")
            with pytest.raises(RoleMissingError, match=r"did not say who is in the user groups \(internal_error\)"):
                here.access.require(Actor(here.maria.id, "maria"), "campaign.start")
        assert len(here.slack.calls_to("usergroups.list")) == 3, "after a failure not every click waits for Slack"
        assert [entry["event"] for entry in logged] == [], "it was said when it began"


async def test_without_its_scope_only_the_settings_count_and_the_refusal_says_so() -> None:
    async with house("@email-senders", "U0BEN", scopes=DEFAULT_SCOPES - {"usergroups:read"}) as here:
        await here.groups.refresh()
        here.access.require(Actor("U0BEN", "ben"), "campaign.start")
        with pytest.raises(RoleMissingError, match="lacks the scope usergroups:read"):
            here.access.require(Actor(here.maria.id, "maria"), "campaign.start")


async def test_a_group_that_is_unknown_or_switched_off_is_named_in_the_log() -> None:
    async with house("@email-senders", "@emial-senders") as here:
        here.slack.disable_usergroup(here.senders)
        with capture_logs() as logged:
            await here.groups.refresh()
        [entry] = logged
        assert "There is no user group @emial-senders: correct it" in entry["trouble"]
        assert "The user group @email-senders is switched off" in entry["trouble"]
        assert not here.may(here.maria)


async def test_holdfast_check_says_which_groups_can_be_read(tmp_path: Path) -> None:
    async with FakeSlack() as slack:
        slack.add_channel("email-ops")
        slack.add_usergroup("email-senders", users=[slack.add_user("maria")])
        slack.add_usergroup("nobody", users=[])

        async def said(*senders: str) -> tuple[bool, str]:
            asked = settings(
                tmp_path,
                slack_bot_token=slack.bot_token,
                slack_api_url=slack.api_url,
                database_url=f"sqlite:///{tmp_path}/h.db",
                roles={"sender": [*senders]},
            )
            return next((each.ok, each.sentence) for each in await check_slack(asked) if each.what == "user groups")

        assert await said("@email-senders") == (True, "@email-senders can be read, with 1 person in all.")
        assert await said("@nobody") == (False, "Nobody is in @nobody.")
        assert (await said("@typo"))[1].startswith("There is no user group @typo")


async def test_a_role_is_looked_at_when_the_button_is_pressed(db: Database, tmp_path: Path) -> None:
    """The message with the button is old; who may is asked at the click, and the refusal calls the right group."""
    async with FakeSlack() as slack, web_client(slack) as client:
        maria, eva = slack.add_user("maria"), slack.add_user("eva")
        ops = slack.add_channel("email-ops")
        senders = slack.add_usergroup("email-senders", users=[maria])
        services = build(db, settings(tmp_path, roles={"sender": ["@email-senders"]}))
        async with listening(slack, Edge(services, client, COMMANDS, ACTIONS)):
            allowed = await slack.command(maria, ops, "/campaign start nothing")
            await slack.wait_for_reply(allowed, "There is no campaign")
            refused = await slack.command(eva, ops, "/campaign start <!channel>")
            reply = await slack.wait_for_reply(refused, "needs the role sender")
            assert f"Ask <!subteam^{senders.id}>" in reply.text
            assert "<!channel" not in reply.text
        slack.assert_no_violations()
