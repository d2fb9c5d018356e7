"""`/campaign`, from what is typed to what is read."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import update

from storage.db import Database
from storage.models import CampaignState, Server
from tests.command_world import GUEST, JONAS, World, command_world


@pytest.fixture
async def world(db: Database, tmp_path: Path) -> AsyncIterator[World]:
    async with command_world(db, tmp_path) as made:
        yield made


async def test_no_words_are_a_request_for_help(world: World) -> None:
    said = await world.type("/campaign")
    assert "/campaign pause NAME|all [reason]  stop it" in said
    assert "Example: /campaign pause spring-sale" in said
    assert await world.type("campaign help") == said
    assert "/campaign resume" not in await world.type("/campaign help pause")


async def test_pause_and_resume_say_what_they_did_and_how_to_undo_it(world: World) -> None:
    campaign = await world.campaign()
    said = await world.type("/campaign pau spring the price is <wrong> &amp; old")
    assert "Pausing spring-sale, with 10 recipients still to go." in said
    assert said.endswith("Undo it with /holdfast undo 1\n[Undo]")
    assert await world.state(campaign) == "pausing"
    await world.confirm(campaign)
    assert "the price is <wrong> & old" in await world.type("/campaign status spring-sale")
    assert "spring-sale goes on, with 10 recipients to go." in await world.type("/campaign resume spring-sale")
    assert await world.state(campaign) == "sending"


async def test_a_reason_as_long_as_slack_lets_one_type_is_kept_and_shown_in_short(world: World) -> None:
    await world.campaign()
    await world.type(f"/campaign pause spring-sale {'<price> & more ' * 260}")
    said = await world.type("/campaign status spring-sale")
    assert "paused by @U0MARIA" in said
    assert "<price> & more" in said


async def test_all_campaigns_are_paused_and_resumed_at_once(world: World) -> None:
    await world.campaign()
    await world.campaign(name="news")
    assert "Pausing news and spring-sale, with 20 recipients" in await world.type("/campaign pause all power cut now")
    assert "news and spring-sale go on" in await world.type("/campaign resume all now")


async def test_a_campaign_is_started_and_cancelled(world: World) -> None:
    await world.campaign(state=CampaignState.SCHEDULED)
    said = await world.type("/campaign start spring-sale")
    assert "spring-sale is being sent to 10 recipients through primary." in said
    assert "Stop it with /campaign pause spring-sale" in said
    assert "This cannot be undone" in await world.type("/campaign cancel spring-sale now")


async def test_the_list_has_what_is_under_way_first_in_columns(world: World) -> None:
    await world.campaign(2, name="old-news", state=CampaignState.FINISHED)
    await world.campaign(2000)
    await world.campaign(30, name="autumn", state=CampaignState.PAUSED)
    lines = (await world.type("/campaign list")).splitlines()
    assert lines[0] == "3 campaigns: 1 sending, 1 paused and 1 finished, all through primary"
    assert [line.split()[1] for line in lines[1:]] == ["sending", "paused", "finished"]
    assert len({line.index(" of ") for line in lines[1:] if " of 2,000" not in line}) == 1
    assert lines[1].startswith("🟢 sending   spring-sale  0 of 2,000")


async def test_a_long_list_has_pages_and_says_how_to_see_the_next(world: World) -> None:
    for number in range(45):
        await world.campaign(1, name=f"campaign-with-a-rather-long-name-{number}")
    assert "1 to 40 of 45 · Next: /campaign list 2" in await world.type("/campaign list")
    assert "41 to 45 of 45 · The first: /campaign list" in await world.type("/campaign list 2")


async def test_the_list_can_be_narrowed_to_one_state(world: World) -> None:
    await world.campaign(2, name="old-news", state=CampaignState.FINISHED)
    await world.campaign(30, name="autumn", state=CampaignState.PAUSED)
    answer = await world.type("/campaign list Paused")
    assert answer.splitlines()[0] == "1 campaign paused"
    assert "old-news" not in answer
    assert "No campaign is sending. Of 2 campaigns: 1 paused and 1 finished." in await world.type(
        "/campaign list sending"
    )


async def test_without_campaigns_the_list_says_how_to_get_one(world: World) -> None:
    assert "Import one with: holdfast import" in await world.type("/campaign list")


async def test_the_status_shows_counts_and_what_is_not_known(world: World) -> None:
    campaign = await world.campaign()
    await world.lose(campaign, 1, 2, status="unknown", retry="decide")
    said = await world.type("/campaign status SPRING-SALE")
    assert "spring-sale is being sent through primary." in said
    assert "8 of 10" in said
    assert "no data" in said
    assert "No sender is running" in said
    assert "Unknown, so not sent again without a person's decision: p1@example.com, p2@example.com" in said
    assert "Stop it: /campaign pause spring-sale" in said


async def test_the_status_says_what_stands_in_the_way(world: World) -> None:
    await world.campaign()
    async with world.db.transaction() as tx:
        await tx.execute(update(Server).where(Server.id == world.primary).values(health="down"))
    assert "primary is down. Wait until it is up, or move its campaigns" in await world.type("/campaign status spring")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("/campaign pause", r"^Say which campaign, or all\. Write it like this: /campaign pause NAME\|all \[reason\]$"),
        ("/campaign start", r"^Say which campaign\. Write it like this: /campaign start NAME \[ramp\|whole\]$"),
        ("/campaign start spring-sale now", "“now” is more than that takes; nothing was done"),
        ("/campaign list all", "“all” is more than that takes"),
        ("/campaign s spring-sale", "“s” can mean status or start"),
        ("/campaign puase spring-sale", r"does not know “puase”\. Did you mean pause\?"),
        ("/campaign pause autumn", r"There is no campaign “autumn”\. There is spring-break and spring-sale"),
        ("/campaign pause spring", "“spring” fits several campaigns: spring-break and spring-sale"),
        ("/campaign pause sprng-sale", r"Did you mean spring-sale or spring-break\?"),
        ("/campaign resume spring-sale", "spring-sale is being sent already"),
        ("/campaign start spring-sale", "spring-sale is being sent already"),
    ],
)
async def test_what_does_not_fit_is_refused_with_a_sentence(world: World, line: str, sentence: str) -> None:
    campaign = await world.campaign()
    await world.campaign(name="spring-break", state=CampaignState.FINISHED)
    await world.refused(line, sentence)
    assert await world.state(campaign) == "sending"


async def test_who_lacks_the_role_is_told_who_has_it(world: World) -> None:
    await world.campaign()
    await world.refused("/campaign cancel spring-sale", "You may not cancel a campaign.*<@U0MARIA>", GUEST)
    await world.refused("/campaign pause all", "needs the role responder", GUEST)
    assert "spring-sale" in await world.type("/campaign list", GUEST)


async def test_the_second_of_two_people_is_told_of_the_first(world: World) -> None:
    await world.campaign()
    await world.type("/campaign pause spring-sale")
    await world.refused("/campaign pause spring-sale", "paused already by <@U0MARIA>", JONAS)


@pytest.mark.parametrize("name", ["🔥" * 500, "حملة الربيع", "x" * 4000, "<!channel>", "'; DROP TABLE campaigns; --"])
async def test_strange_names_are_refused_in_short(world: World, name: str) -> None:
    await world.campaign()
    with pytest.raises(Exception, match="There is no campaign") as refused:
        await world.type(f"/campaign status “{name}”")
    assert len(str(refused.value)) < 300
