"""Undo reverses exactly what one deed changed, once, for a while, and leaves alone what has changed since."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine

from bot.clock import now
from bot.demo.relays import refuse
from bot.services.bundle import build
from storage.db import Database
from storage.models import Campaign, Hold, Server
from tests.command_world import GUEST, JONAS, MARIA, World, command_world
from tests.seeds import settings_for


@pytest.fixture
async def world(db: Database, tmp_path: Path) -> AsyncIterator[World]:
    async with command_world(db, tmp_path) as made:
        await made.campaign(20)
        await made.campaign(30, name="news")
        yield made


async def row(world: World, name: str) -> Campaign:
    return await world.services.campaigns.find(name)


async def server(world: World, name: str = "primary") -> Server:
    return await world.services.servers.find(name)


async def undo(world: World) -> str:
    return await world.press("holdfast.undo", world.button("holdfast.undo")) or ""


# Campaigns


async def test_a_pause_of_all_is_undone_for_those_that_it_paused(world: World) -> None:
    await world.campaign(40, name="held-before")
    await world.type("/campaign pause held-before")
    await world.type("/campaign pause all now")
    said = await undo(world)
    assert said == "Undone. news and spring-sale go on."
    assert world.views[-1].instead
    assert (await row(world, "held-before")).state == "pausing"
    assert {(await row(world, name)).state for name in ("news", "spring-sale")} == {"sending"}


async def test_what_has_changed_since_is_left_alone_and_told(world: World) -> None:
    await world.type("/campaign pause all now")
    number = world.button("holdfast.undo")
    await world.type("/campaign resume news")
    await world.type("/campaign pause news the price is wrong")
    said = await world.press("holdfast.undo", number)
    assert said == "Undone. spring-sale goes on. 1 campaign has changed since and is left alone."
    assert (await row(world, "news")).hold_reason == "the price is wrong"


async def test_where_all_has_changed_since_nothing_is_undone_and_it_stays_undoable(world: World) -> None:
    await world.type("/campaign pause spring-sale")
    number = world.button("holdfast.undo")
    await world.type("/campaign cancel spring-sale now")
    for _ in range(2):
        await world.press_refused("holdfast.undo", number, "Nothing was undone. It has been changed since")


async def test_it_is_undone_once_by_whoever_is_first(world: World) -> None:
    await world.type("/campaign pause all now")
    number = world.button("holdfast.undo")
    assert "go on" in (await world.press("holdfast.undo", number) or "")
    await world.type("/campaign pause all now")
    said = await world.press("holdfast.undo", number, JONAS) or ""
    assert said.startswith("The pause of news and spring-sale was undone already by @U0MARIA, at ")
    assert (await row(world, "news")).state == "pausing"


async def test_two_who_undo_at_the_same_moment_undo_it_once(world: World) -> None:
    await world.type("/campaign pause all now")
    number = world.button("holdfast.undo")
    said = await asyncio.gather(*(world.press("holdfast.undo", number, who) for who in (MARIA, JONAS)))
    assert sum((each or "").startswith("Undone. news and spring-sale go on.") for each in said) == 1
    assert sum("was undone already by" in (each or "") for each in said) == 1


async def test_it_can_be_undone_for_half_an_hour_also_after_a_restart(world: World, tmp_path: Path) -> None:
    await world.type("/campaign pause spring-sale")
    first = world.button("holdfast.undo")
    await world.type("/campaign pause news")
    second = world.button("holdfast.undo")
    world.services = build(world.db, world.services.settings)
    with time_machine.travel(now() + timedelta(minutes=29)):
        assert await world.press("holdfast.undo", first) == "Undone. spring-sale goes on."
    with time_machine.travel(now() + timedelta(minutes=30, seconds=1)):
        said = await world.press("holdfast.undo", second) or ""
    assert said.startswith("The pause of news was more than 30 min ago, so it is not undone by itself any more.")
    assert said.endswith("then use /campaign resume")
    assert (await row(world, "news")).state == "pausing"


async def test_it_needs_the_role_of_the_reverse_deed_at_the_click(world: World, tmp_path: Path) -> None:
    await world.type("/campaign pause spring-sale")
    number = world.button("holdfast.undo")
    await world.press_refused("holdfast.undo", number, "You may not resume a campaign", GUEST)
    responders = settings_for(str(world.db.url), tmp_path, roles={"responder": ["*"], "sender": [JONAS.id]})
    world.services = build(world.db, responders)
    await world.press_refused("holdfast.undo", number, "You may not resume a campaign.*<@U0JONAS>")
    # Who could not press it is not shown it.
    assert "Undo it with /holdfast undo 2" in await world.type("/campaign pause news")
    assert not world.has_buttons()
    assert await world.press("holdfast.undo", number, JONAS) == "Undone. spring-sale goes on."


async def test_what_an_outage_held_is_the_outages_again(world: World) -> None:
    await world.type("/outage declare primary it is slow")
    await world.type("/campaign pause spring-sale the price is wrong")
    assert (await row(world, "spring-sale")).hold == Hold.PERSON
    assert await undo(world) == "Undone. spring-sale is held as before."
    held = await row(world, "spring-sale")
    assert (held.hold, held.hold_outage_id, held.wish) == (Hold.OUTAGE, 1, "paused")


async def test_what_cannot_be_sent_now_stays_paused_with_the_reason(world: World) -> None:
    await world.type("/campaign pause spring-sale")
    number = world.button("holdfast.undo")
    await world.type("/server drain backup now")
    await world.type("/outage declare primary it is slow")
    await world.press_refused("holdfast.undo", number, "Nothing was undone.*spring-sale stays paused. Outage #1")


async def test_resuming_is_undone_with_the_hold_as_it_was(world: World) -> None:
    await world.type("/campaign pause all the price is wrong now")
    await world.type("/campaign resume all now")
    assert await undo(world) == "Undone. news and spring-sale are paused again; what has gone out stays out."
    again = await row(world, "news")
    assert (again.state, again.hold, again.hold_reason) == ("pausing", Hold.PERSON, "the price is wrong")


async def test_the_buttons_of_an_outage_can_be_undone_too(world: World) -> None:
    await world.type("/campaign pause all now")
    await world.type("/outage declare primary it is slow")
    await world.type("/outage resolve it was nothing")
    await world.type("/campaign resume all now")
    await world.type("/outage declare primary it is slow again")
    assert (await row(world, "news")).hold == Hold.OUTAGE
    await world.press("outage.resume", 2)
    assert "are paused again" in await undo(world)
    assert (await row(world, "news")).hold_outage_id == 2


async def test_the_words_of_the_terminal_do_the_same(world: World) -> None:
    assert "Undo it with /holdfast undo 1" in await world.type("/campaign pause all now")
    assert "It would undo the pause of news and spring-sale." in await world.type("/holdfast undo 1 dry-run")
    assert await world.type("/holdfast undo #1") == "news and spring-sale go on."
    await world.refused("/holdfast undo 1", "was undone already by <@U0MARIA>")
    await world.refused("/holdfast undo 7", "nothing to undo by the number 7")
    await world.refused("/holdfast undo", "Say the number of what is to be undone")


# Servers


async def test_a_drain_is_undone(world: World) -> None:
    await world.type("/server drain primary now")
    assert (await server(world)).failover_to_id == world.backup
    assert await undo(world) == "Undone. The drain of primary is undone: mail goes the way it went before."
    back = await server(world)
    assert (back.drained_at, back.failover_to_id) == (None, None)


async def test_a_drain_that_paused_campaigns_lets_exactly_them_go_on(world: World) -> None:
    await world.type("/campaign pause news")
    await world.backup_relay.behave(refuse())
    await world.type("/server drain primary now")
    number = world.button("holdfast.undo")
    await world.relay.behave(refuse())
    await world.press_refused("holdfast.undo", number, "Nothing was undone. primary cannot take the campaigns")
    assert (await server(world)).drained_at is not None
    await world.relay.heal()
    assert "spring-sale goes on." in (await world.press("holdfast.undo", number) or "")
    assert [(await row(world, name)).state for name in ("news", "spring-sale")] == ["pausing", "sending"]


async def test_a_failover_is_undone_and_what_it_let_go_is_held_again(world: World) -> None:
    await world.type("/outage declare primary it is slow")
    await world.relay.behave(refuse())
    await world.press("outage.failover", 1)
    assert (await row(world, "news")).state == "sending"
    # Everything is held again, so it does not matter that primary refuses.
    assert "news and spring-sale are held again." in await undo(world)
    held = await row(world, "news")
    assert (held.hold, held.hold_outage_id) == (Hold.OUTAGE, 1)
    assert (await server(world)).failover_to_id is None


async def test_a_failover_is_not_undone_over_what_somebody_did_since(world: World) -> None:
    await world.type("/server failover primary now")
    number = world.button("holdfast.undo")
    await world.type("/server restore primary")
    await world.press_refused("holdfast.undo", number, "Somebody has changed the servers since")


async def test_a_restore_is_undone(world: World) -> None:
    await world.type("/server failover primary now")
    before = await server(world)
    await world.type("/server restore primary")
    assert "mail goes the way it went before" in await undo(world)
    after = await server(world)
    assert (after.failover_to_id, after.failover_at) == (world.backup, before.failover_at)


# Maintenance


async def test_a_planned_window_is_called_off_and_planned_again(world: World) -> None:
    await world.type("/maintenance schedule primary tomorrow 02:00 for 1h")
    await world.press("maintenance.confirm", 1)
    assert await undo(world) == "Undone. The maintenance of primary is called off."
    await world.type("/maintenance schedule primary tomorrow 02:00 for 1h")
    await world.type("/maintenance confirm 2")
    await world.type("/maintenance cancel 2")
    number = world.button("holdfast.undo")
    assert "The maintenance of primary is planned again:" in (await world.press("holdfast.undo", number) or "")
    assert (await world.services.maintenance.status(2)).window.state == "scheduled"


async def test_a_window_is_not_planned_again_once_its_time_has_come_or_is_taken(world: World) -> None:
    await world.type("/maintenance schedule primary in 20 min for 1h")
    await world.type("/maintenance confirm 1")
    await world.type("/maintenance cancel 1")
    number = world.button("holdfast.undo")
    with time_machine.travel(now() + timedelta(minutes=21)):
        await world.press_refused("holdfast.undo", number, "It would have begun at")
    await world.type("/maintenance schedule primary in 25 min for 1h")
    await world.type("/maintenance confirm 2")
    await world.press_refused("holdfast.undo", number, "has a maintenance at that time already")
