"""What is wide or final shows what it hits and asks; Confirm acts once, and only on what was shown."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from sqlalchemy import update

from bot.access import Actor
from bot.clock import now
from bot.services.bundle import build
from storage.db import Database
from storage.models import Campaign, CampaignState
from tests.command_world import GUEST, JONAS, MARIA, World, command_world
from tests.seeds import settings_for

SYSOP = Actor("sysop", "sysop", source="terminal")


@pytest.fixture
async def world(db: Database, tmp_path: Path) -> AsyncIterator[World]:
    async with command_world(db, tmp_path) as made:
        await made.campaign(20)
        await made.campaign(30, name="news")
        yield made


async def states(world: World) -> set[str]:
    return {row.state for row in await world.services.campaigns.list()}


async def finish(world: World, name: str) -> None:
    """It came to its end while the question stood there."""
    async with world.db.transaction() as tx:
        over = {"state": CampaignState.FINISHED, "wish": CampaignState.FINISHED}
        await tx.execute(update(Campaign).where(Campaign.name == name).values(over))


async def test_pausing_all_names_what_it_hits_and_acts_once(world: World) -> None:
    said = await world.type("/campaign pause all the price is &lt;wrong&gt;")
    assert "Pause news and spring-sale? Nothing is changed yet.\n50 recipients still to go, through primary." in said
    assert "It can be undone for 30 min." in said
    assert "Or type /campaign pause all the price is <wrong> now" in said
    assert await states(world) == {"sending"}

    number = world.button("holdfast.confirm")
    said = await world.press("holdfast.confirm", number) or ""
    assert "Pausing news and spring-sale, with 50 recipients still to go." in said
    assert world.views[-1].instead
    assert await states(world) == {"pausing"}
    assert "the price is <wrong>" in await world.type("/campaign status news")

    # Somebody lets them go on; the old button must not stop them again.
    await world.type("/campaign resume all now")
    said = await world.press("holdfast.confirm", number, JONAS) or ""
    assert said.startswith("Carried out by @U0MARIA at ")
    assert await states(world) == {"sending"}


async def test_of_two_who_confirm_at_the_same_moment_one_is_told_of_the_other(world: World) -> None:
    await world.type("/campaign cancel spring-sale")
    number = world.button("holdfast.confirm")
    both = (world.press("holdfast.confirm", number, who) for who in (MARIA, JONAS))
    said = [str(each) for each in await asyncio.gather(*both, return_exceptions=True)]
    assert sum(each.startswith("Cancelling spring-sale") for each in said) == 1
    told = next(each for each in said if not each.startswith("Cancelling"))
    assert "Carried out by" in told or "is being cancelled already by" in told


async def test_never_mind_changes_nothing_and_is_an_answer(world: World) -> None:
    await world.type("/campaign cancel spring-sale")
    assert "This cannot be undone" in str(world.views[-1].blocks)
    number = world.button("holdfast.drop")
    assert await world.press("holdfast.drop", number) == "Nothing was changed."
    assert (await world.press("holdfast.confirm", number) or "").startswith("Dropped by @U0MARIA")
    assert (await world.press("holdfast.drop", number) or "").startswith("Dropped by @U0MARIA")
    assert await states(world) == {"sending"}


async def test_an_old_question_is_not_carried_out(world: World) -> None:
    await world.type("/server drain primary")
    number = world.button("holdfast.confirm")
    with time_machine.travel(now() + timedelta(minutes=10, seconds=1)):
        said = await world.press("holdfast.confirm", number)
    assert said == "This was asked more than 10 min ago. Nothing was changed; type it again: /server drain primary"
    assert (await world.services.servers.find("primary")).drained_at is None
    with time_machine.travel(now() + timedelta(days=3)):
        await world.type("/campaign pause all")
        await world.press_refused("holdfast.confirm", number, "too old")


async def test_what_has_come_to_it_is_asked_anew_and_what_has_ended_is_not(world: World) -> None:
    await world.type("/campaign pause all")
    number = world.button("holdfast.confirm")
    await finish(world, "news")
    await world.campaign(7, name="summer-sale")
    said = await world.press("holdfast.confirm", number) or ""
    assert said.startswith("It has changed since you asked: campaign summer-sale has come to it.\n")
    assert "Pause spring-sale and summer-sale?" in said
    assert world.views[-1].instead
    number = world.button("holdfast.confirm")
    await finish(world, "summer-sale")
    assert "Pausing spring-sale, with 20 recipients" in (await world.press("holdfast.confirm", number) or "")


async def test_it_is_carried_out_only_for_who_may_do_it_now(world: World, tmp_path: Path) -> None:
    await world.type("/campaign cancel spring-sale")
    number = world.button("holdfast.confirm")
    await world.press_refused("holdfast.confirm", number, "You may not cancel a campaign", GUEST)
    # Maria's role is taken away, and the bot restarted with it.
    alone = settings_for(str(world.db.url), tmp_path, roles={"sender": [JONAS.id]})
    world.services = build(world.db, alone)
    await world.press_refused("holdfast.confirm", number, "You may not cancel a campaign: .*<@U0JONAS>")
    assert await states(world) == {"sending"}
    # After the restart the question still stands, for whoever may.
    assert "Cancelling spring-sale" in (await world.press("holdfast.confirm", number, JONAS) or "")


async def test_where_a_second_person_is_asked_by_now_the_button_asks_them(world: World, tmp_path: Path) -> None:
    await world.type("/campaign cancel spring-sale")
    number = world.button("holdfast.confirm")
    roles = {"sender": [MARIA.id], "approver": [JONAS.id]}
    stricter = settings_for(str(world.db.url), tmp_path, roles=roles, approvals={"campaigns_above": 9})
    world.services = build(world.db, stricter)
    said = await world.press("holdfast.confirm", number) or ""
    assert said.startswith("Nothing is cancelled yet. spring-sale has 20 recipients, more than 9")
    assert not world.has_buttons()
    assert await states(world) == {"sending"}


async def test_a_refusal_after_the_confirmation_takes_the_place_of_the_buttons(world: World) -> None:
    await world.type("/server failover primary")
    number = world.button("holdfast.confirm")
    await world.type("/server failover primary now", JONAS)
    await world.press_refused("holdfast.confirm", number, "failed over to backup already by <@U0JONAS>")


async def test_now_and_yes_skip_the_question(world: World) -> None:
    assert "Pausing news and spring-sale" in await world.type("/campaign pause all NOW")
    assert "news and spring-sale go on" in await world.type("/campaign resume all yes")
    assert "primary is drained." in await world.type("/server drain primary now")


async def test_where_nothing_is_asked_now_belongs_to_the_reason(world: World) -> None:
    assert "Pausing spring-sale" in await world.type("/campaign pause spring-sale mend the price now")
    assert "mend the price now" in await world.type("/campaign status spring-sale")


async def test_with_nothing_to_do_nothing_is_asked(world: World) -> None:
    await world.type("/campaign pause all now")
    assert await world.type("/campaign pause all") == "Nothing is being sent, so there is nothing to pause."


async def test_at_a_terminal_the_answer_says_what_to_type(world: World) -> None:
    said = await world.type("/campaign pause all", SYSOP)
    assert said.endswith("To do it, type /campaign pause all now")
    assert not world.has_buttons()
    assert await states(world) == {"sending"}
    said = await world.type("/campaign pause all now", SYSOP)
    assert said.endswith("Undo it with /holdfast undo 1")
    assert not world.has_buttons()


async def test_a_confirmed_drain_says_who_takes_over(world: World) -> None:
    said = await world.type("/server drain primary")
    assert "news and spring-sale would go on through backup, 50 recipients to go." in said
    assert "backup is sending nothing now." in said
    done = await world.press("holdfast.confirm", world.button("holdfast.confirm")) or ""
    assert "primary is drained. news and spring-sale go on through backup. Undo it with /holdfast undo 1" in done


async def test_ending_a_window_that_has_begun_asks_and_calling_one_off_does_not(world: World) -> None:
    await world.type("/maintenance schedule primary in 20 min for 2h")
    await world.type("/maintenance confirm 1")
    with time_machine.travel(now() + timedelta(minutes=21)):
        await world.services.maintenance.tick()
        said = await world.type("/maintenance cancel 1")
        assert "End the maintenance of primary now?" in said
        assert "if it answers, news and spring-sale go on." in said
        done = await world.press("holdfast.confirm", world.button("holdfast.confirm")) or ""
        assert "The maintenance of primary ends now." in done
        assert "This cannot be undone." in done
