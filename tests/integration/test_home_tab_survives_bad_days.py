"""A Slack that is away, slow or strict, and a database that does not answer: the tabs are right as soon as they can."""

import asyncio
from datetime import timedelta
from pathlib import Path

import time_machine

from bot.clock import now
from bot.demo.fakeslack.workspace import View as ShownView
from bot.slack.blocks import View, actions, button
from bot.slack.pace import Pace
from storage.db import Database
from tests.integration.home_support import Workspace, showing, workspace
from tests.seeds import add_server


async def both_look(here: Workspace) -> None:
    await add_server(here.db, "primary", 2525, health="up", health_since=now())
    await here.open(here.maria)
    await here.open(here.jonas)
    await here.settled()


async def declared(here: Workspace) -> None:
    await here.services.outages.declare(here.actor(here.guest), "primary", "slow")


async def test_a_slack_that_is_away_is_given_the_newest_state_when_it_is_back(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        await both_look(here)
        here.slack.down()
        await declared(here)
        await here.beats()
        await here.services.outages.acknowledge(here.actor(here.jonas), 1)
        here.slack.up()

        for each in (here.maria, here.jonas):
            await here.until(each, "@Jonas has it")


async def test_an_answer_that_never_came_leaves_no_old_tab_behind(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        await both_look(here)
        here.slack.fault("views.publish", times=2, accept_then_hang=True)

        await declared(here)
        await here.until(here.maria, "nobody has it")  # Slack took it, and did not say so
        await here.services.outages.resolve(here.actor(here.maria), 1)

        for each in (here.maria, here.jonas):
            await here.until(each, "No sender is running")  # as before the outage


async def test_a_rate_limit_is_kept_to(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        await both_look(here)
        before = len(here.slack.calls_to("views.publish"))
        here.slack.fault("views.publish", times=1, status=429, retry_after=1)
        began = asyncio.get_running_loop().time()
        await declared(here)

        for each in (here.maria, here.jonas):
            await here.until(each, "nobody has it")

        assert asyncio.get_running_loop().time() - began > 0.9
        assert len(here.slack.calls_to("views.publish")) - before <= 4


async def test_one_whose_tab_is_refused_does_not_hold_up_the_others(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        await both_look(here)
        here.slack.fault("views.publish", times=1, error="user_not_found")
        await declared(here)

        both = (here.maria, here.jonas)
        await here.slack.wait_until(lambda: any("nobody has it" in here.sees(each) for each in both))
        await here.beats()
        (refused,) = [each for each in both if "nobody has it" not in here.sees(each)]
        await here.open(refused)
        await here.until(refused, "nobody has it")


async def test_a_tab_that_slack_refuses_to_show_says_so_and_is_not_tried_for_ever(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        await both_look(here)
        here.slack.fault("views.publish", times=1, error="view_too_large")
        await declared(here)

        def both() -> str:
            return here.sees(here.maria) + here.sees(here.jonas)

        await here.slack.wait_until(lambda: "This tab cannot be drawn." in both() and "nobody has it" in both())
        before = here.published()
        await here.beats()
        assert here.published() == before


async def test_whoever_pressed_something_is_next_however_many_wait(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path, pace=lambda: Pace(burst=1, per_second=10)) as here:
        await add_server(db, "primary", 2525, health="up", health_since=now())
        await here.open(here.maria)
        for number in range(20):
            colleague = here.slack.add_user(f"colleague-{number}")
            await here.services.home.opened(here.actor(colleague), now() + timedelta(seconds=1))
        await declared(here)
        await here.slack.wait_until(lambda: here.published() > 3, what="the first of many tabs")

        with time_machine.travel(now() + timedelta(seconds=5), tick=True):
            await here.press(here.maria, "No such button any more", on=an_old_tab(here))
            await here.until(here.maria, "belongs to another version")

        assert here.published() < 15


def an_old_tab(here: Workspace) -> ShownView:
    view = here.slack.home(here.maria)
    assert view is not None
    old = actions([button("No such button any more", "outage.ancient", "1")])
    view.data = {**view.data, "blocks": here.slack.workspace.with_ids([old])}
    return view


async def test_without_a_database_a_press_is_answered_all_the_same(tmp_path: Path) -> None:
    db = Database(f"sqlite:///{tmp_path / 'holdfast.db'}")
    async with workspace(db, tmp_path) as here, showing(here.services, here.slack) as tabs:
        sentence = "The database does not answer. Nothing was changed; try again in a moment."
        assert await tabs.say({"user_id": here.maria.id}, View(sentence))
        assert sentence in here.sees(here.maria)

        await db.migrate()
        await here.open(here.maria)
        await here.until(here.maria, "No sender is running")
    await db.close()
