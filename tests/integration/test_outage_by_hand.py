"""An outage that people declare, take, work on and resolve."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from bot.access import Actor
from bot.clock import now
from bot.errors import BadInputError, NotAllowedError, NotFoundError, WrongStateError
from storage.db import Database
from storage.models import CampaignState, Hold, OutageState
from tests.outage_world import BEN, MARIA, world


async def test_it_is_declared_for_a_server_that_looks_healthy(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        sale = await here.campaign()
        await here.ticks(3)
        result = await here.services.outages.declare(MARIA, "prim", "half of our mail bounces")
        assert result.campaigns == ("spring-sale",)
        assert "Held: spring-sale" in result.text

        [outage] = await here.outages()
        assert (outage.title, outage.state) == ("half of our mail bounces", OutageState.OPEN)
        assert outage.opened_by == "<@U0MARIA>"
        assert outage.stage is None
        assert (await here.campaign_row(sale)).hold == Hold.OUTAGE
        await here.ticks(5)
        assert (await here.unresolved())[0].state == OutageState.OPEN, "a passing probe does not close it"


async def test_a_second_one_on_the_same_server_is_refused_with_its_number(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        await here.services.outages.declare(MARIA, "primary", "mail is slow")
        with pytest.raises(WrongStateError, match=r"primary has outage #1 already \(open\)"):
            await here.services.outages.declare(BEN, "primary", "mail is very slow")


async def test_two_who_declare_at_the_same_moment_open_one(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        declare = here.services.outages.declare
        results = await asyncio.gather(
            *(declare(who, "primary", "it is down") for who in (MARIA, BEN)), return_exceptions=True
        )
        assert sorted(type(each).__name__ for each in results) == ["OutageResult", "WrongStateError"]
        assert len(await here.outages()) == 1


async def test_the_monitor_confirms_what_was_declared(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        await here.services.outages.declare(MARIA, "primary", "mail is slow")
        await here.break_primary()
        await here.ticks(3)
        [outage] = await here.outages()
        assert (outage.stage, outage.recurrences) == ("connect", 0)
        assert outage.title == "mail is slow"
        assert len(await here.said("outage.confirmed")) == 1
        await here.heal_primary()
        assert (await here.outages())[0].state == OutageState.MONITORING


async def test_what_is_declared_without_words_or_with_too_many_is_refused(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        with pytest.raises(BadInputError, match="Say what is wrong: /outage declare SERVER TEXT"):
            await here.services.outages.declare(MARIA, "primary", "  ")
        with pytest.raises(BadInputError, match="301 characters long"):
            await here.services.outages.declare(MARIA, "primary", "x" * 301)
        with pytest.raises(NotFoundError):
            await here.services.outages.declare(MARIA, "nowhere", "it is down")


async def test_the_first_who_acknowledges_has_it_and_the_second_is_told_who(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        await here.break_primary()
        acknowledge = here.services.outages.acknowledge
        results = await asyncio.gather(*(acknowledge(who, 1) for who in (MARIA, BEN)), return_exceptions=True)
        [refused] = [each for each in results if isinstance(each, WrongStateError)]
        [outage] = await here.outages()
        assert outage.state == OutageState.ACKNOWLEDGED
        assert outage.lead in {MARIA.mention, BEN.mention}
        assert str(refused).startswith(f"Already acknowledged by {outage.lead} at ")
        assert len(await here.said("outage.acknowledged")) == 1


async def test_after_a_recurrence_it_can_be_acknowledged_anew_and_keeps_its_first_time(
    db: Database, tmp_path: Path
) -> None:
    async with world(db, tmp_path) as here:
        await here.break_primary()
        await here.services.outages.acknowledge(MARIA, None)
        first = (await here.outages())[0].acknowledged_at
        await here.heal_primary()
        with pytest.raises(WrongStateError, match="Already acknowledged by <@U0MARIA>"):
            await here.services.outages.acknowledge(BEN, None)
        await here.break_primary()
        await here.services.outages.acknowledge(BEN, None)
        [outage] = await here.outages()
        assert (outage.acknowledged_at, outage.lead) == (first, "<@U0BEN>")


async def test_updates_cause_and_eta_are_told_in_the_thread(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        outages = here.services.outages
        await here.break_primary()
        await outages.update(BEN, None, "Calling the data centre")
        await outages.cause(MARIA, None, "A switch has died")
        result = await outages.eta(MARIA, None, "in 2h")

        [outage] = await here.outages()
        assert (outage.state, outage.cause) == (OutageState.IDENTIFIED, "A switch has died")
        assert (outage.lead, outage.acknowledged_by) == ("<@U0MARIA>", "<@U0MARIA>")
        assert outage.eta is not None
        assert abs(outage.eta - now() - timedelta(hours=2)) < timedelta(minutes=1)
        in_two_hours = f"<!date^{int(outage.eta.timestamp())}^{{time}}|{outage.eta:%H:%M} UTC>"
        assert result.text == f"Expected to be over at {in_two_hours}."
        assert (await here.said("outage.updated")) == ["<@U0BEN>: Calling the data centre"]
        assert (await here.said("outage.identified")) == ["<@U0MARIA> named the cause: A switch has died"]
        with pytest.raises(BadInputError, match="two dates"):
            await outages.eta(MARIA, None, "01/02 14:00")


async def test_a_cause_found_after_the_recovery_does_not_reopen_it(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        await here.break_primary()
        await here.heal_primary()
        await here.services.outages.cause(MARIA, None, "A full disk")
        assert (await here.outages())[0].state == OutageState.MONITORING


async def test_resolving_posts_the_summary_and_the_last_headline(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        await here.campaign()
        await here.services.outages.declare(MARIA, "primary", "mail is slow")
        before = (await here.posts("outage:1"))[0].wanted
        result = await here.services.outages.resolve(BEN, 1, "It was a false alarm")

        assert result.text == ("Outage #1 is resolved. 1 campaign is still paused: spring-sale. /campaign resume")
        [outage] = await here.outages()
        assert (outage.state, outage.resolution) == (OutageState.RESOLVED, "It was a false alarm")
        [summary] = await here.posts("summary:")
        assert (summary.key, summary.parent_key, summary.broadcast) == ("summary:1", "outage:1", True)
        assert (await here.posts("outage:1"))[0].wanted > before
        with pytest.raises(WrongStateError, match="Outage #1 was resolved by <@U0BEN> at"):
            await here.services.outages.resolve(MARIA, 1, "")
        for late in (here.services.outages.acknowledge(MARIA, 1), here.services.outages.update(MARIA, 1, "well")):
            with pytest.raises(WrongStateError, match="was resolved by"):
                await late


async def test_what_it_holds_can_go_on_after_it_is_resolved(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        sale = await here.campaign()
        await here.services.outages.declare(MARIA, "primary", "mail is slow")
        await here.services.outages.resolve(MARIA, None, "")
        assert "outage.resume" in (await here.services.outages.headline(1)).actions
        await here.services.outages.resume_campaigns(MARIA, 1)
        assert (await here.campaign_row(sale)).state == CampaignState.SENDING


async def test_with_several_open_one_has_to_be_named(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        await here.services.outages.declare(MARIA, "primary", "mail is slow")
        await here.services.outages.declare(MARIA, "backup", "mail is slow here too")
        with pytest.raises(BadInputError, match=r"Several outages are open: #1 primary, #2 backup\. Say which one"):
            await here.services.outages.acknowledge(BEN, None)
        await here.services.outages.acknowledge(BEN, 2)
        rows = await here.services.outages.list()
        assert [(row.outage.id, row.names, row.outage.state) for row in rows] == [
            (2, "backup", "acknowledged"),
            (1, "primary", "open"),
        ]


async def test_without_any_it_says_how_to_declare_one(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        with pytest.raises(NotFoundError, match=r"No outage is open\. Declare one with"):
            await here.services.outages.update(MARIA, None, "hello")
        with pytest.raises(NotFoundError, match="There is no outage #7"):
            await here.services.outages.status(7)


async def test_pausing_by_hand_says_what_it_paused_and_then_that_nothing_is_left(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path, outages={"policy": "tell"}) as here:
        sale = await here.campaign()
        await here.break_primary()
        assert "outage.pause" in (await here.services.outages.headline(1)).actions
        result = await here.services.outages.pause_campaigns(BEN, None)
        assert result.campaigns == ("spring-sale",)
        assert (await here.campaign_row(sale)).hold == Hold.OUTAGE
        assert "outage.pause" not in (await here.services.outages.headline(1)).actions
        with pytest.raises(WrongStateError, match="Paused already: spring-sale"):
            await here.services.outages.pause_campaigns(MARIA, None)


async def test_campaigns_do_not_go_on_through_a_server_that_is_down(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        await here.campaign()
        await here.break_primary()
        with pytest.raises(WrongStateError, match=r"Nothing can go on yet\. primary is down"):
            await here.services.outages.resume_campaigns(MARIA, None)


async def test_failing_over_lets_the_held_campaign_go_on_through_the_backup(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        sale = await here.campaign()
        await here.break_primary()
        assert "outage.failover" in (await here.services.outages.headline(1)).actions
        result = await here.services.outages.fail_over(MARIA, None)
        assert "backup" in result.text
        assert (await here.campaign_row(sale)).state == CampaignState.SENDING
        assert "outage.failover" not in (await here.services.outages.headline(1)).actions
        await here.heal_primary()
        resolved = await here.services.outages.resolve(MARIA, None, "")
        assert "Another server carries the campaigns of primary: /server restore primary" in resolved.text


async def test_roles_are_asked_at_the_click(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path, roles={"responder": ["U0BEN"], "sender": []}) as here:
        eve = Actor(id="U0EVE", name="eve")
        await here.break_primary()
        for refused in (
            here.services.outages.resolve(eve, None, ""),
            here.services.outages.pause_campaigns(eve, None),
            here.services.outages.fail_over(eve, None),
            here.services.outages.resume_campaigns(BEN, None),
        ):
            with pytest.raises(NotAllowedError, match="needs the role"):
                await refused
        await here.services.outages.acknowledge(eve, None)
