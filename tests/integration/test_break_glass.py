"""Break-glass: in an emergency a responder sends without the role, for a while, and everybody sees what they did."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from sqlalchemy import select

from bot.access import Actor, Glass
from bot.clock import now
from bot.demo.fakeslack import FakeSlack
from bot.errors import NotAllowedError, RoleMissingError, WrongStateError
from bot.scheduler import Scheduler
from bot.services.bundle import build
from bot.slack.cards import CARDS
from bot.slack.edge import Edge
from bot.slack.plain import plain
from commands import ACTIONS, COMMANDS
from storage.db import Database
from storage.models import CampaignState, Timeline
from tests.command_world import ANA, GUEST, JONAS, World, command_world
from tests.integration.slack_support import announcing, listening, settings, web_client
from tests.seeds import add_campaign, add_server

EVA = Actor("U0EVA", "eva")
"""A responder, and the only one who is awake."""
WHY = "all senders are asleep and the wrong price goes out"
ROLES = {"responder": [EVA.id, JONAS.id], "sender": ["U0MARIA"], "approver": [JONAS.id], "admin": [ANA.id]}


@asynccontextmanager
async def night(db: Database, folder: Path, **sections: object) -> AsyncIterator[World]:
    async with command_world(db, folder, roles=ROLES, **sections) as world:
        yield world


async def card(world: World, glass_id: int = 1) -> str:
    view = await CARDS["glass"](world.services, glass_id)
    assert view is not None
    return plain(view.blocks, view.text)


async def entries(world: World) -> list[Timeline]:
    async with world.db.read() as tx:
        return list(await tx.scalars(select(Timeline).order_by(Timeline.id)))


async def test_the_only_one_awake_stops_the_wrong_mail_and_everybody_sees_it(db: Database, tmp_path: Path) -> None:
    async with night(db, tmp_path) as world:
        sale = await world.campaign()
        news = await world.campaign(name="news", state=CampaignState.SCHEDULED)
        await world.refused("/campaign cancel spring-sale", "cannot wait: /holdfast break-glass REASON", EVA)
        await world.refused("/holdfast break-glass help me", "Say why, in a few words", EVA)
        assert "Nobody holds a broken glass" in await world.type("/holdfast break-glass", EVA)

        said = await world.type(f"/holdfast break-glass {WHY}", EVA)
        assert "You are a sender until" in said
        await world.type("/campaign cancel spring-sale now", EVA)
        await world.type("/campaign pause all now", JONAS)

        assert await world.state(sale) == CampaignState.PAUSING
        shown = await card(world)
        assert f"Reason: {WHY}" in shown
        assert "Done under it, 1 deed:" in shown
        assert "@U0EVA cancelled spring-sale" in shown
        marks = {entry.kind: entry.data.get("break_glass") for entry in await entries(world)}
        assert marks["campaign.cancel"] == 1
        assert marks.get("campaign.pause") is None, "the deed of another person"
        assert WHY in await world.type("/holdfast break-glass", JONAS)

        await world.refused(f"/holdfast break-glass {WHY}", "already until .* It is not made longer", EVA)
        await world.refused("/server add mx3 mx3.example.com", "needs the role admin", EVA)
        with time_machine.travel(now() + timedelta(minutes=60), tick=False):
            await world.refused("/campaign start news", "needs the role sender", EVA)
            scheduler = Scheduler(world.services)
            await scheduler.tick()
            await scheduler.tick()
            assert "The break-glass is over" in await card(world)
            assert "its time was over" in await card(world)
        assert [entry.kind for entry in await entries(world)].count("glass.ended") == 1
        assert await world.state(news) == CampaignState.SCHEDULED


async def test_of_two_clicks_at_the_same_moment_one_counts(db: Database, tmp_path: Path) -> None:
    async with night(db, tmp_path) as world:
        glasses = world.services.break_glass
        begun = await asyncio.gather(
            glasses.begin(EVA, WHY), glasses.begin(EVA, "somebody else's finger on it"), return_exceptions=True
        )
        assert [type(each) for each in begun].count(WrongStateError) == 1

        ended = await asyncio.gather(glasses.end(EVA, 1), glasses.end(ANA, 1), return_exceptions=True)
        [late] = [each for each in ended if isinstance(each, WrongStateError)]
        assert "It was ended already by <@U0" in str(late)
        kinds = [entry.kind for entry in await entries(world)]
        assert kinds == ["glass.broken", "glass.ended"]


async def test_after_its_time_it_can_be_broken_again_though_nothing_has_marked_it_as_over(
    db: Database, tmp_path: Path
) -> None:
    async with night(db, tmp_path, break_glass={"lasts": "PT5M"}) as world:
        await world.type(f"/holdfast break-glass {WHY}", EVA)
        with time_machine.travel(now() + timedelta(minutes=6), tick=False):
            await world.press_refused("holdfast.end", 1, "Its time was over at", EVA)
            await world.type(f"/holdfast break-glass {WHY} again", EVA)
            assert [each.glass.id for each in await world.services.break_glass.held()] == [2]
            assert "The break-glass is over" in await card(world, 1)


async def test_it_outlives_a_restart_and_ends_at_its_moment(db: Database, tmp_path: Path) -> None:
    async with night(db, tmp_path) as world:
        await world.type(f"/holdfast break-glass {WHY}", EVA)
        again = build(db, world.services.settings)
        assert not again.access.allows(EVA, "campaign.start")
        await again.break_glass.refresh()
        assert again.access.allows(EVA, "campaign.start")
        with time_machine.travel(now() + timedelta(minutes=61), tick=False):
            assert not again.access.allows(EVA, "campaign.start")


async def test_who_holds_it_an_approver_or_an_admin_ends_it(db: Database, tmp_path: Path) -> None:
    async with night(db, tmp_path) as world:
        await world.refused("/holdfast break-glass end", "Nobody holds a broken glass now", EVA)
        for number, actor in enumerate((EVA, JONAS, ANA, replace(ANA, source="terminal")), start=1):
            await world.type(f"/holdfast break-glass {WHY}", EVA)
            await world.press_refused("holdfast.end", number, r"Only <@U0EVA>, an approver or an admin may", GUEST)
            assert "is over" in await world.type("/holdfast break-glass end", actor)
            await world.refused("/campaign cancel x", "needs the role sender", EVA)
        await world.press_refused("holdfast.end", 1, "ended already by <@U0EVA>", JONAS)
        await world.refused("/holdfast break-glass end 9", "There is no break-glass 9", JONAS)


async def test_who_may_break_it(db: Database, tmp_path: Path) -> None:
    viewers = {"responder": ["*"], "viewer": ["U0LEA"], "sender": ["U0MARIA"]}
    async with command_world(db, tmp_path, roles=viewers) as world:
        line = f"/holdfast break-glass {WHY}"
        await world.refused(line, "You are a viewer", Actor("U0LEA", "lea"))
        await world.refused(line, "from another workspace", Actor("U0OUT", "out", outsider=True))
        await world.refused(line, "You are a sender already", Actor("U0MARIA", "maria"))
        await world.refused(line, "At the terminal you are an admin already", replace(ANA, source="terminal"))

        def of(*who: str) -> World:
            changed = world.services.settings.model_copy(deep=True)
            changed.break_glass.who = [*who]
            return replace(world, services=build(db, changed))

        await of().refused(line, r"switched off here: break_glass.who is empty. Ask <@U0MARIA>", EVA)
        await of("U0JONAS").refused(line, "does not name you", EVA)
        assert "You are a sender until" in await of(EVA.id).type(line, EVA)


async def test_nobody_approves_their_own_request_under_it_however_few_it_mails(db: Database, tmp_path: Path) -> None:
    roles = {"responder": ["*"], "approver": [JONAS.id]}
    async with command_world(db, tmp_path, roles=roles, approvals={"second_person_above": 100}) as world:
        world.services.approvals.check_second_person(JONAS, JONAS.mention, 5)
        await world.services.break_glass.begin(JONAS, WHY)
        with pytest.raises(NotAllowedError, match="You asked for this; somebody else must approve"):
            world.services.approvals.check_second_person(JONAS, JONAS.mention, 5)
        with pytest.raises(RoleMissingError, match="needs the role approver"):
            world.services.access.require(EVA, "resend.approve")


async def test_while_the_database_cannot_be_read_a_broken_glass_gives_nothing(tmp_path: Path) -> None:
    db = Database("postgresql://nobody@127.0.0.1:1/none")
    services = build(db, settings(tmp_path))
    services.access.learn_glasses({EVA.id: Glass(1, now() + timedelta(minutes=60))})
    assert services.access.allows(EVA, "campaign.start")
    await services.break_glass.refresh()
    assert not services.access.allows(EVA, "campaign.start")
    assert services.access.allows(EVA, "campaign.pause")
    await db.close()


async def test_the_channel_is_told_once_and_the_button_there_ends_it(db: Database, tmp_path: Path) -> None:
    async with FakeSlack() as slack, web_client(slack) as client:
        eva, jonas = slack.add_user("eva"), slack.add_user("jonas")
        ops = slack.add_channel("email-ops")
        services = build(db, settings(tmp_path, roles={"approver": [jonas.id]}))
        await add_campaign(db, await add_server(db, "primary", 25), 10)
        edge = Edge(services, client, COMMANDS, ACTIONS)
        async with announcing(services, slack, CARDS), listening(slack, edge):
            await slack.command(eva, ops, "/holdfast break-glass <!channel> the sale must be stopped")
            told = await slack.wait_for_message(ops, "Break-glass: somebody")
            assert eva.mention in told.text
            assert "@channel the sale" in told.text, "as plain text, which calls nobody"

            await slack.command(eva, ops, "/campaign cancel spring-sale now")
            await slack.wait_until(lambda: "@Eva cancelled spring-sale" in slack.plain(told))
            await slack.click(jonas, told, "holdfast.end")
            await slack.wait_until(lambda: "The break-glass is over" in slack.plain(told))
            assert "ended by @Jonas" in slack.plain(told)
            refused = await slack.command(eva, ops, "/campaign start nothing")
            await slack.wait_for_reply(refused, "needs the role sender")
        assert [each for each in ops.messages if "glass" in slack.plain(each)] == [told]
        slack.assert_no_violations()
