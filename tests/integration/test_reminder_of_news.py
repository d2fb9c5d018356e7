"""An outage of which nothing new was said for longer than its severity allows reminds its lead, once a lapse."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from sqlalchemy import select

from bot.clock import now
from bot.demo.fakeslack import FakeSlack
from bot.errors import WrongStateError
from bot.services.bundle import build
from bot.slack.cards import CARDS
from storage.db import Database
from storage.models import Health, Reminder, Server
from tests.command_world import GUEST, JONAS, MARIA, World, command_world
from tests.integration.slack_support import announcing, settings

NIGHT = datetime(2026, 5, 4, 3, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def world(db: Database, tmp_path: Path) -> AsyncIterator[World]:
    async with command_world(db, tmp_path, outages={"remind_after": {"minor": 60, "critical": 20}}) as made:
        yield made


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NIGHT, tick=False) as moved:
        yield moved


async def sent(world: World) -> list[Reminder]:
    async with world.db.read() as tx:
        return list(await tx.scalars(select(Reminder).order_by(Reminder.id)))


async def after(world: World, clock: time_machine.Traveller, minutes: float) -> list[Reminder]:
    """Time goes by and the scheduler looks, twice; all reminders so far."""
    clock.shift(minutes * MINUTE)
    await world.services.reminders.tick()
    await world.services.reminders.tick()
    return await sent(world)


async def test_it_comes_once_a_lapse_and_an_update_begins_the_time_anew(
    world: World, clock: time_machine.Traveller
) -> None:
    await world.type("/outage declare primary mail is slow")
    await world.type("/outage ack")
    assert await after(world, clock, 59) == []
    [first] = await after(world, clock, 1)
    assert (first.lead, first.severity, first.at - first.since) == (MARIA.mention, "minor", 60 * MINUTE)
    assert len(await after(world, clock, 300)) == 1, "a reminder that nobody answers is not repeated"

    await world.type("/outage update still looking", GUEST)
    [first] = await sent(world)
    assert (first.answer, first.answered_by) == ("update", GUEST.mention)
    assert len(await after(world, clock, 59)) == 1
    [_, second] = await after(world, clock, 1)
    assert second.answer is None

    await world.type("/outage severity critical")
    assert (await after(world, clock, 20))[-1].severity == "critical"
    await world.type("/outage resolve a new disk")
    assert [each.answer for each in await after(world, clock, 600)] == ["update", "update", "over"]


async def test_it_is_put_off_by_a_button_and_of_two_who_press_one_is_told_of_the_other(
    world: World, clock: time_machine.Traveller
) -> None:
    await world.type("/outage declare primary mail is slow")
    [first] = await after(world, clock, 60)
    presses = (world.press("outage.halfhour", first.id, MARIA), world.press("outage.hour", first.id, JONAS))
    results = await asyncio.gather(*presses, return_exceptions=True)
    [refused] = [each for each in results if each is not None]
    assert isinstance(refused, WrongStateError)
    assert "put it off until" in str(refused)
    [first] = await sent(world)
    assert first.until is not None

    until = (first.until - first.at) / MINUTE
    assert until in {30, 60}
    assert len(await after(world, clock, until - 1)) == 1
    assert len(await after(world, clock, 1)) == 2
    await world.press_refused("outage.never", first.id, "put it off until")
    assert "/outage update #1 TEXT" in str(await world.press("outage.say", 1))


async def test_never_is_for_this_outage_and_can_be_undone(world: World, clock: time_machine.Traveller) -> None:
    await world.type("/outage declare primary mail is slow")
    [first] = await after(world, clock, 60)
    await world.press("outage.never", first.id)
    assert len(await after(world, clock, 600)) == 1
    await world.refused("/outage remind never", "are off already")
    await world.refused("/outage remind never", "role responder", GUEST)
    assert "are on again" in await world.type("/outage remind again")
    assert len(await after(world, clock, 59)) == 1
    assert len(await after(world, clock, 1)) == 2
    assert "before 15:42. " in await world.type("/outage remind #1 30 min")
    await world.refused("/outage remind 3 days", "longer than 2 days")
    await world.type("/outage resolve a new disk")
    await world.refused("/outage remind #1 30 min", "is over, so nobody is reminded")


async def test_while_the_server_answers_again_nobody_is_reminded(world: World, clock: time_machine.Traveller) -> None:
    await world.type("/outage declare primary mail is slow")
    [first] = await after(world, clock, 60)
    async with world.db.transaction() as tx:
        server = await tx.get_one(Server, world.primary)
        server.health = Health.DOWN
        server.health_since = now()
    await world.services.outages.open_down(server)
    async with world.db.transaction() as tx:
        (await tx.get_one(Server, world.primary)).health = Health.UP
    await world.services.outages.recovered(server)

    [first] = await after(world, clock, 600)
    assert first.answer == "over"


async def test_a_restart_between_the_lapse_and_the_reminder_changes_nothing(
    world: World, clock: time_machine.Traveller, tmp_path: Path
) -> None:
    await world.type("/outage declare primary mail is slow")
    clock.shift(61 * MINUTE)
    for _ in range(2):
        await build(world.db, world.services.settings).reminders.tick()
    assert len(await sent(world)) == 1


async def test_the_message_stands_in_the_thread_and_says_what_became_of_it(db: Database, tmp_path: Path) -> None:
    services = build(db, settings(tmp_path, outages={"remind_after": {"minor": 0.0001}}))
    async with command_world(db, tmp_path) as world, FakeSlack() as slack:
        ops = slack.add_channel("email-ops")
        await world.type("/outage declare primary mail is slow")
        await asyncio.sleep(0.01)
        await services.reminders.tick()
        async with announcing(services, slack, CARDS):
            head = await slack.wait_for_message(ops, "mail is slow")
            reminder = await slack.wait_for_message(ops, "Nothing was said for", thread_of=head)
            [made] = await sent(world)
            await world.press("outage.halfhour", made.id)
            await slack.wait_until(lambda: "put the reminder off until" in slack.plain(reminder))
        assert len(reminder.edits) == 1
        assert slack.violations == []
