"""Maintenance: planned in words, kept to the minute, ended by a look at the server. The clock is moved, not waited for.

The sender is another process and keeps the true time; it needs no clock for what a window asks of it.
"""

from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import time_machine

from bot.demo.fakeslack import Message
from bot.demo.relays import Relay, refuse
from storage.models import CampaignState, Health
from tests.acceptance.support import Workplace, workplace

MADRID = ZoneInfo("Europe/Madrid")


async def test_a_window_holds_what_is_sent_and_lets_it_go_on(database_url: str, tmp_path: Path) -> None:
    async with workplace(tmp_path, database_url) as office, office.bot():
        campaign_id = await office.campaign(400)
        card = await _planned(office)
        await office.type(office.maria, "/campaign start spring-sale", "spring-sale")
        await office.arrived(30)

        with time_machine.travel(_tomorrow_at(2), tick=True) as clock:
            await office.message("The maintenance of primary has begun", thread_of=card)
            await office.message("spring-sale is paused", thread_of=card)
            at_rest = len(office.received())
            await _primary_is_away(office)
            assert len(await office.outages()) == 0
            await office.shows(card, "primary is in maintenance")
            refused = await office.type(office.maria, "/campaign resume spring-sale", "stays paused")
            assert "maintenance" in refused
            assert len(office.received()) == at_rest

            assert isinstance(office.primary, Relay)
            await office.primary.heal()
            clock.move_to(_tomorrow_at(4))
            await office.message("primary answers. spring-sale goes on.", thread_of=card)
            await office.shows(card, "The maintenance of primary is over")
            await office.state(campaign_id, CampaignState.FINISHED)
            await office.posted()

        assert len(await office.outages()) == 0
        office.assert_nobody_twice()
        await office.assert_nobody_lost()


async def test_a_server_that_does_not_come_back_is_an_outage(database_url: str, tmp_path: Path) -> None:
    async with workplace(tmp_path, database_url) as office, office.bot():
        campaign_id = await office.campaign(400)
        card = await _planned(office)
        await office.type(office.maria, "/campaign start spring-sale", "spring-sale")
        await office.arrived(30)

        with time_machine.travel(_tomorrow_at(2), tick=True) as clock:
            await office.message("spring-sale is paused", thread_of=card)
            await _primary_is_away(office)

            clock.move_to(_tomorrow_at(4))
            alert = await office.message("primary is down")
            await office.message("primary was still down when its maintenance window ended", thread_of=alert)
            await office.shows(card, "primary is still down: outage #1 is open")
            await office.shows(alert, "1 held")
            assert (await office.campaign_row(campaign_id)).hold == "outage"

            await office.press(office.maria, alert, "outage.failover")
            await office.state(campaign_id, CampaignState.FINISHED)
            await office.posted()

        office.assert_nobody_twice()
        await office.assert_nobody_lost()


async def test_a_restart_between_the_plan_and_its_start_loses_nothing(database_url: str, tmp_path: Path) -> None:
    async with workplace(tmp_path, database_url) as office:
        async with office.bot():
            campaign_id = await office.campaign(400)
            card = await _planned(office)
            await office.type(office.maria, "/campaign start spring-sale", "spring-sale")
            await office.arrived(30)

        # Nothing runs as the window begins. The next start finds it in the table.
        with time_machine.travel(_tomorrow_at(3), tick=True) as clock:
            async with office.bot():
                await office.message("The maintenance of primary has begun", thread_of=card)
                await office.message("spring-sale is paused", thread_of=card)
                await office.press(office.ben, card, "maintenance.cancel")
                await office.shows(card, "The maintenance of primary is over")
                await office.state(campaign_id, CampaignState.FINISHED)
                await office.posted()
                clock.move_to(_tomorrow_at(5))
                await office.type(office.ben, "/maintenance list", "over")

        assert len(await office.outages()) == 0
        office.assert_nobody_twice()
        await office.assert_nobody_lost()


async def _planned(office: Workplace) -> Message:
    """From two in the night until four, on Maria's clock. The card in the channel."""
    line = "/maintenance schedule primary tomorrow 02:00 for 2h new disks"
    asked = await office.slack.command(office.maria, office.ops, line)
    said = await office.answer(asked, "Maintenance of primary: is this right?")
    assert "02:00" in said
    assert "Europe/Madrid" in said
    assert f"{_tomorrow_at(2).astimezone(ZoneInfo('UTC')):%H:%M}" in said
    assert office.ops.messages == []  # nothing is planned until it is confirmed
    await office.press(office.maria, asked.responses[0], "maintenance.confirm")
    return await office.message("Maintenance of primary is planned")


async def _primary_is_away(office: Workplace) -> None:
    """Returns when the monitor has seen it."""
    assert isinstance(office.primary, Relay)
    await office.primary.behave(refuse())

    async def seen() -> bool:
        return (await office.server_row("primary")).health == Health.DOWN

    await office.until_so(seen, "a monitor that finds primary down")


def _tomorrow_at(hour: int) -> datetime:
    """A second after the hour, so that it is past it. Today is the day on which the clock was last true."""
    return datetime.combine(_TOMORROW, datetime.min.time(), MADRID) + timedelta(hours=hour, seconds=1)


_TOMORROW = datetime.now(MADRID).date() + timedelta(days=1)
