"""Buttons of a home tab come and go with roles, also when nobody types anything and another process changed them."""

from datetime import timedelta
from pathlib import Path

import time_machine

from bot.clock import now
from bot.services.bundle import build
from storage.db import Database
from tests.integration.home_support import workspace
from tests.integration.test_home_tab_has_buttons import outage, planned

WHY = "all senders are asleep and the wrong price is going out"


async def test_who_has_left_the_group_loses_the_buttons_within_a_minute(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path, roles={"approver": ["@email-approvers"]}) as here:
        group = here.slack.add_usergroup("email-approvers", users=[here.jonas])
        await planned(here)
        await here.open(here.jonas)
        await here.until(here.jonas, "[Approve]")
        await here.beats()
        assert len(here.slack.calls_to("usergroups.list")) == 1

        group.users.clear()
        with time_machine.travel(now() + timedelta(seconds=61), tick=True):
            await here.until(here.jonas, "1 approval waits for other people")

        assert "[Approve]" not in here.sees(here.jonas)
        assert len(here.slack.calls_to("usergroups.list")) == 2


async def test_while_slack_does_not_say_who_is_in_a_group_its_last_answer_counts(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path, roles={"approver": ["@email-approvers"]}) as here:
        here.slack.add_usergroup("email-approvers", users=[here.jonas])
        await planned(here)
        await here.open(here.jonas)
        await here.until(here.jonas, "[Approve]")
        here.slack.fault("usergroups.list", status=503, times=100)

        with time_machine.travel(now() + timedelta(seconds=61), tick=True):
            await here.services.outages.declare(here.actor(here.maria), "primary", "slow")
            assert "[Approve]" in await here.until(here.jonas, "nobody has it")


async def test_a_glass_that_is_broken_elsewhere_shows_to_all_and_gives_its_buttons(
    db: Database, tmp_path: Path
) -> None:
    async with workspace(db, tmp_path, roles={"responder": ["*"]}, break_glass={"who": ["*"]}) as here:
        await outage(here)
        elsewhere = build(db, here.services.settings)  # another process
        for each in (here.guest, here.jonas):
            await here.open(each)
        assert "[Resume campaigns]" not in await here.until(here.guest, "[Resolve]")

        await elsewhere.break_glass.begin(here.actor(here.guest), WHY)
        assert WHY in await here.until(here.jonas, "@Guest broke the glass")
        assert "[Resume campaigns]" not in here.sees(here.jonas)
        await here.until(here.guest, "[Resume campaigns]")

        await elsewhere.break_glass.end(here.actor(here.guest))
        both = (here.guest, here.jonas)
        await here.slack.wait_until(lambda: not any("broke the glass" in here.sees(each) for each in both))
        assert "[Resume campaigns]" not in here.sees(here.guest)
