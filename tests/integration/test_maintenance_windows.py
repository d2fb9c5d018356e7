"""A maintenance window from its proposal to its end: times as people mean them, campaigns held and let go."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine

from bot.access import Actor
from bot.errors import BadInputError, NotAllowedError, NotFoundError, WrongStateError
from bot.services.audit import Query
from storage.db import Database
from storage.models import Health, Hold, MaintenanceState
from tests.outage_world import World, world
from tests.seeds import add_campaign

MARIA = Actor(id="U0MARIA", name="maria", zone="Europe/Madrid")
BEN = Actor(id="U0BEN", name="ben", zone="America/New_York")
NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


async def planned(here: World, when: str = "tomorrow 02:00", length: str = "2h") -> int:
    proposal = await here.services.maintenance.propose(MARIA, "primary", when, length, "new disks")
    await here.services.maintenance.confirm(MARIA, proposal.window.id)
    return proposal.window.id


async def state(here: World, window_id: int) -> str:
    return (await here.services.maintenance.status(window_id)).window.state


async def test_a_proposal_says_what_was_meant_and_whom_it_hits(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        await here.campaign(10)
        with time_machine.travel(NOON, tick=False):
            shown = await here.services.maintenance.propose(MARIA, "prim", "tomorrow 02:00", "2h", "new disks")
        assert shown.window.starts_at == datetime(2026, 5, 5, 0, 0, tzinfo=UTC)
        assert shown.local == "Tue 5 May 2026 02:00 to 04:00"
        assert shown.utc == "Tue 5 May 2026 00:00 to 02:00"
        assert (shown.window.zone, shown.clock_change) == ("Europe/Madrid", None)
        assert [(each.name, each.state, each.to_go) for each in shown.collisions] == [("spring-sale", "sending", 10)]
        assert await here.posts("maintenance:") == [], "nothing is planned until somebody confirms it"


async def test_a_zone_that_is_written_out_wins_over_the_persons_own(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        with time_machine.travel(NOON, tick=False):
            shown = await here.services.maintenance.propose(MARIA, "primary", "tomorrow 02:00 Asia/Tokyo", "90 min")
        assert shown.window.zone == "Asia/Tokyo"
        assert shown.window.starts_at == datetime(2026, 5, 4, 17, 0, tzinfo=UTC)


async def test_the_spring_change_of_the_clocks(db: Database, tmp_path: Path) -> None:
    """In Madrid 02:00 to 03:00 does not exist on 29 March 2026."""
    async with world(db, tmp_path) as here:
        propose = here.services.maintenance.propose
        with time_machine.travel(datetime(2026, 3, 28, 12, 0, tzinfo=UTC), tick=False):
            with pytest.raises(BadInputError, match="never comes"):
                await propose(MARIA, "primary", "tomorrow 02:30", "1h")
            shown = await propose(MARIA, "primary", "tomorrow 01:00", "2h")
        assert shown.local == "Sun 29 Mar 2026 01:00 to 04:00"
        assert shown.window.ends_at - shown.window.starts_at == timedelta(hours=2)
        assert (
            shown.clock_change == "The clocks of Europe/Madrid go forward by 1 h in between; it lasts 2 h all the same."
        )


async def test_the_autumn_change_of_the_clocks(db: Database, tmp_path: Path) -> None:
    """In Madrid 02:00 to 03:00 comes twice on 25 October 2026."""
    async with world(db, tmp_path) as here:
        propose = here.services.maintenance.propose
        with time_machine.travel(datetime(2026, 10, 24, 12, 0, tzinfo=UTC), tick=False):
            with pytest.raises(BadInputError, match="comes twice"):
                await propose(MARIA, "primary", "tomorrow 02:30", "1h")
            shown = await propose(MARIA, "primary", "tomorrow 02:30 UTC", "1h")
            assert shown.window.zone == "UTC"
            crossing = await propose(MARIA, "primary", "tomorrow 01:30", "2h")
        assert crossing.local == "Sun 25 Oct 2026 01:30 to 02:30"
        assert crossing.clock_change is not None
        assert "go back by 1 h" in crossing.clock_change


@pytest.mark.parametrize(
    ("when", "length", "said"),
    [
        ("2026-05-04 09:00", "2h", "gone by already"),
        ("tomorrow 02:00", "8 days", "longer than 7 days"),
        ("tomorrow 02:00", "30 s", "shorter than a minute"),
        ("tomorrow 02:00", "2", "not a duration"),
        ("soon", "2h", "not a time"),
    ],
)
async def test_what_cannot_be_planned_is_refused(
    db: Database, tmp_path: Path, when: str, length: str, said: str
) -> None:
    async with world(db, tmp_path) as here:
        with time_machine.travel(NOON, tick=False), pytest.raises(BadInputError, match=said):
            await here.services.maintenance.propose(MARIA, "primary", when, length)


async def test_unknown_servers_and_people_without_the_role_are_refused(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path, roles={"responder": ["U0MARIA"]}) as here:
        with pytest.raises(NotFoundError, match="primary"):
            await here.services.maintenance.propose(MARIA, "primery", "tomorrow 02:00", "2h")
        with pytest.raises(NotAllowedError):
            await here.services.maintenance.propose(BEN, "primary", "tomorrow 02:00", "2h")


async def test_confirming_twice_plans_it_once(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        windows = here.services.maintenance
        proposal = await windows.propose(MARIA, "primary", "tomorrow 02:00", "2h")
        results = await asyncio.gather(
            *(windows.confirm(who, proposal.window.id) for who in (MARIA, BEN)), return_exceptions=True
        )
        assert sorted(type(each).__name__ for each in results) == ["MaintenanceResult", "WrongStateError"]
        assert len(await here.said("maintenance.scheduled")) == 1
        assert [post.key for post in await here.posts("maintenance:")] == [f"maintenance:{proposal.window.id}"]


async def test_two_windows_of_one_server_do_not_overlap(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        windows = here.services.maintenance
        with time_machine.travel(NOON, tick=False):
            first = await windows.propose(MARIA, "primary", "tomorrow 02:00", "2h")
            second = await windows.propose(BEN, "primary", "tomorrow 03:00 Europe/Madrid", "2h")
            results = await asyncio.gather(
                *(windows.confirm(MARIA, each.window.id) for each in (first, second)), return_exceptions=True
            )
            assert sorted(type(each).__name__ for each in results) == ["MaintenanceResult", "WrongStateError"]
            [refused] = [str(each) for each in results if isinstance(each, WrongStateError)]
            assert "has a maintenance at that time already" in refused
            with pytest.raises(WrongStateError, match="already: window"):
                await windows.propose(MARIA, "primary", "tomorrow 03:30", "5 min")
            after = await windows.propose(MARIA, "primary", "tomorrow 05:00", "1h")
            assert after.window.state == MaintenanceState.PROPOSED


async def test_a_proposal_is_void_after_an_hour(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        windows = here.services.maintenance
        with time_machine.travel(NOON, tick=False) as clock:
            proposal = await windows.propose(MARIA, "primary", "tomorrow 02:00", "2h")
            clock.shift(timedelta(hours=1))
            with pytest.raises(WrongStateError, match="too long ago"):
                await windows.confirm(MARIA, proposal.window.id)
            await windows.tick()
            assert await state(here, proposal.window.id) == MaintenanceState.CANCELLED
            with pytest.raises(WrongStateError, match="nobody confirmed it in time"):
                await windows.confirm(MARIA, proposal.window.id)
            [dropped] = (await here.services.audit.page(MARIA, Query(what="maintenance.dropped"))).rows
            assert dropped.entry.text == "Nobody confirmed the maintenance of primary in time, so it was dropped."


async def test_it_reminds_once_holds_at_its_start_and_lets_go_at_its_end(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        sale = await here.campaign(10)
        elsewhere = await here.campaign(10, name="newsletter", on_backup=True)
        windows = here.services.maintenance
        with time_machine.travel(NOON, tick=False) as clock:
            window = await planned(here)
            await windows.tick()
            assert await here.said("maintenance.reminder") == []

            clock.move_to(datetime(2026, 5, 4, 23, 45, tzinfo=UTC))
            await windows.tick()
            await windows.tick()
            [reminder] = await here.said("maintenance.reminder")
            assert "begins in 15 min" in reminder
            assert "spring-sale will be paused" in reminder

            clock.move_to(datetime(2026, 5, 5, 0, 0, tzinfo=UTC))
            await asyncio.gather(windows.tick(), windows.tick())
            held = await here.campaign_row(sale)
            assert (held.hold, held.hold_maintenance_id, held.wish) == (Hold.MAINTENANCE, window, "paused")
            assert (await here.campaign_row(elsewhere)).state == "sending"
            assert len(await here.said("maintenance.started")) == 1
            assert (await windows.status(window)).held == ("spring-sale",)

            clock.move_to(datetime(2026, 5, 5, 2, 0, tzinfo=UTC))
            await asyncio.gather(windows.tick(), windows.tick())
            assert (await here.campaign_row(sale)).state == "sending"
            assert (await here.campaign_row(sale)).hold is None
            [over] = await here.said("maintenance.ended")
            assert over == "The maintenance of primary is over. primary answers. spring-sale goes on."
        assert await here.outages() == []


async def test_no_outage_opens_while_it_lasts_and_one_opens_if_the_server_is_down_at_its_end(
    db: Database, tmp_path: Path
) -> None:
    async with world(db, tmp_path) as here:
        sale = await here.campaign(10)
        with time_machine.travel(NOON, tick=False) as clock:
            window = await planned(here)
            clock.move_to(datetime(2026, 5, 5, 0, 0, tzinfo=UTC))
            await here.services.maintenance.tick()
            with time_machine.travel(datetime(2026, 5, 5, 1, 0, tzinfo=UTC)):
                await here.break_primary()
                await here.ticks(3)
            assert await here.outages() == []

            clock.move_to(datetime(2026, 5, 5, 2, 0, tzinfo=UTC))
            await here.services.maintenance.tick()
            [outage] = await here.outages()
            row = await here.campaign_row(sale)
            assert (row.hold, row.hold_outage_id, row.hold_maintenance_id) == (Hold.OUTAGE, outage.id, None)
            assert await state(here, window) == MaintenanceState.ENDED
            [over] = await here.said("maintenance.ended")
            assert over.endswith("primary is still down: outage #1 is open. spring-sale stays held by it.")
            assert len(await here.said("outage.after_maintenance")) == 1


async def test_a_server_that_fails_one_probe_at_the_end_is_looked_at_again(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        sale = await here.campaign(10)
        with time_machine.travel(NOON, tick=False) as clock:
            window = await planned(here)
            clock.move_to(datetime(2026, 5, 5, 0, 0, tzinfo=UTC))
            await here.services.maintenance.tick()
            await here.break_primary(look=False)
            clock.move_to(datetime(2026, 5, 5, 2, 0, tzinfo=UTC))
            await here.services.maintenance.tick()
            assert await state(here, window) == MaintenanceState.ACTIVE
            assert (await here.services.maintenance.status(window)).ending
            assert (await here.campaign_row(sale)).hold == Hold.MAINTENANCE

            await here.heal_primary(look=False)
            clock.shift(timedelta(seconds=2))
            await here.services.maintenance.tick()
            assert await state(here, window) == MaintenanceState.ENDED
            assert (await here.campaign_row(sale)).state == "sending"


async def test_a_start_that_was_missed_by_hours_is_caught_up(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        sale = await here.campaign(10)
        with time_machine.travel(NOON, tick=False) as clock:
            await planned(here, length="6h")
            clock.move_to(datetime(2026, 5, 5, 4, 0, tzinfo=UTC))
            await here.services.maintenance.tick()
            assert (await here.campaign_row(sale)).hold == Hold.MAINTENANCE
            assert await here.said("maintenance.reminder") == [], "a reminder of the past helps nobody"


async def test_a_window_that_passed_while_nothing_ran_is_ended_rightly(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        sale = await here.campaign(10)
        with time_machine.travel(NOON, tick=False) as clock:
            window = await planned(here)
            clock.move_to(datetime(2026, 5, 6, 12, 0, tzinfo=UTC))
            await here.services.maintenance.tick()
            assert await state(here, window) == MaintenanceState.ENDED
            assert (await here.campaign_row(sale)).state == "sending"
            [over] = await here.said("maintenance.ended")
            assert "Holdfast did not run while it lasted" in over


async def test_what_people_paused_stays_paused_at_the_end(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        sale = await here.campaign(10)
        with time_machine.travel(NOON, tick=False) as clock:
            await planned(here)
            clock.move_to(datetime(2026, 5, 5, 0, 0, tzinfo=UTC))
            await here.services.maintenance.tick()
            await here.services.campaigns.pause(BEN, "spring-sale", "wrong price")
            clock.move_to(datetime(2026, 5, 5, 2, 0, tzinfo=UTC))
            await here.services.maintenance.tick()
            row = await here.campaign_row(sale)
            assert (row.hold, row.wish) == (Hold.PERSON, "paused")


async def test_a_window_that_follows_at_once_keeps_what_was_held(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        sale = await here.campaign(10)
        with time_machine.travel(NOON, tick=False) as clock:
            await planned(here)
            second = await planned(here, "tomorrow 04:00", "1h")
            clock.move_to(datetime(2026, 5, 5, 0, 0, tzinfo=UTC))
            await here.services.maintenance.tick()
            clock.move_to(datetime(2026, 5, 5, 2, 0, tzinfo=UTC))
            await here.services.maintenance.tick()
            assert (await here.campaign_row(sale)).hold_maintenance_id == second
            clock.move_to(datetime(2026, 5, 5, 3, 0, tzinfo=UTC))
            await here.services.maintenance.tick()
            assert (await here.campaign_row(sale)).state == "sending"


async def test_what_was_drained_meanwhile_waits_for_a_person(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        sale = await add_campaign(db, here.backup, 10, name="newsletter")
        windows = here.services.maintenance
        with time_machine.travel(NOON, tick=False) as clock:
            proposal = await windows.propose(MARIA, "backup", "in 1 h", "1h")
            await windows.confirm(MARIA, proposal.window.id)
            clock.shift(timedelta(hours=1))
            await windows.tick()
            await here.services.servers.drain(BEN, "backup")
            clock.shift(timedelta(hours=1))
            await windows.tick()
            row = await here.campaign_row(sale)
            assert (row.hold, row.wish) == (Hold.PERSON, "paused")
            assert "drained" in (row.hold_reason or "")


async def test_calling_it_off_before_its_start_holds_nothing(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        sale = await here.campaign(10)
        with time_machine.travel(NOON, tick=False) as clock:
            window = await planned(here)
            result = await here.services.maintenance.cancel(BEN)
            assert result.text == "The maintenance of primary is called off. Undo it with /holdfast undo 2"
            clock.move_to(datetime(2026, 5, 5, 0, 30, tzinfo=UTC))
            await here.services.maintenance.tick()
            assert (await here.campaign_row(sale)).state == "sending"
            assert await state(here, window) == MaintenanceState.CANCELLED
            with pytest.raises(WrongStateError, match="called off"):
                await here.services.maintenance.cancel(MARIA, window)


async def test_calling_it_off_while_it_lasts_lets_go_what_it_held(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        sale = await here.campaign(10)
        with time_machine.travel(NOON, tick=False) as clock:
            window = await planned(here)
            clock.move_to(datetime(2026, 5, 5, 0, 0, tzinfo=UTC))
            await here.services.maintenance.tick()
            clock.move_to(datetime(2026, 5, 5, 0, 20, tzinfo=UTC))
            result = await here.services.maintenance.cancel(BEN)
            assert result.text.startswith("The maintenance of primary ends now.")
            assert result.text.endswith("spring-sale goes on. This cannot be undone.")
            assert (await here.campaign_row(sale)).state == "sending"
            assert (await here.services.maintenance.status(window)).window.ends_at == datetime(
                2026, 5, 5, 0, 20, tzinfo=UTC
            )


async def test_which_one_to_call_off_is_asked_when_there_are_several(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        windows = here.services.maintenance
        with pytest.raises(NotFoundError, match="No maintenance is planned"):
            await windows.cancel(MARIA)
        with time_machine.travel(NOON, tick=False):
            await planned(here)
            other = await windows.propose(MARIA, "backup", "tomorrow 02:00", "2h")
            await windows.confirm(MARIA, other.window.id)
            with pytest.raises(BadInputError, match=r"Which window\? There is 1 \(primary"):
                await windows.cancel(MARIA)
            assert [each.server for each in await windows.list()] == ["primary", "backup"]
        assert (await here.server("primary")).health == Health.UNCHECKED
