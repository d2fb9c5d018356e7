"""What people do to campaigns: start, pause, resume, cancel, and the refusals."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from bot.access import Access, Actor
from bot.clock import now
from bot.errors import NotAllowedError, NotFoundError, WrongStateError
from bot.services.campaigns import Campaigns
from storage import outages, sending
from storage.db import Database
from storage.models import Campaign, CampaignState, Health, Hold, Maintenance, MaintenanceState, Outage, Post, Timeline
from tests.seeds import add_campaign, add_server, settings_for, state_of

MARIA = Actor("U1", "Maria")
TOM = Actor("U2", "Tom")


@pytest.fixture
def campaigns(db: Database, tmp_path: Path) -> Campaigns:
    settings = settings_for("sqlite://", tmp_path, roles={"sender": ["U1", "U2"]})
    return Campaigns(db, settings, Access(settings.roles, []))


async def confirm(db: Database, campaign_id: int) -> None:
    """What the sender does once nothing is in flight."""
    async with db.transaction() as tx:
        assert await sending.stop_campaign(tx, campaign_id, now(), slipped=0)


async def open_outage(db: Database, server_id: int, campaign_id: int) -> int:
    async with db.transaction() as tx:
        at = now()
        outage = Outage(title="primary is down", opened_by="Holdfast", started_at=at, detected_at=at)
        await outages.add(tx, outage, [server_id])
        await outages.touch(tx, outage.id, [campaign_id], held=True)
    return outage.id


async def texts(db: Database) -> list[str]:
    async with db.read() as tx:
        return list(await tx.scalars(select(Timeline.text).order_by(Timeline.id)))


async def row(db: Database, campaign_id: int) -> Campaign:
    async with db.read() as tx:
        return await tx.get_one(Campaign, campaign_id)


async def test_a_scheduled_campaign_is_started(db: Database, campaigns: Campaigns) -> None:
    server = await add_server(db, "primary", 2525)
    campaign_id = await add_campaign(db, server, 3, state=CampaignState.SCHEDULED)
    result = await campaigns.start(MARIA, "spring")
    assert "spring-sale is being sent to 3 recipients through primary." in result.text
    assert "No sender is running" in result.text
    campaign = await row(db, campaign_id)
    assert (campaign.state, campaign.wish, campaign.started_at is not None) == ("sending", "sending", True)
    assert await texts(db) == ["<@U1> started spring-sale."]


async def test_a_pause_is_a_wish_until_the_sender_confirms_it(db: Database, campaigns: Campaigns) -> None:
    server = await add_server(db, "primary", 2525)
    campaign_id = await add_campaign(db, server, 3)
    result = await campaigns.pause(MARIA, "spring-sale", "sale page is down")
    assert [(each.name, each.before, each.after, each.to_go) for each in result.moved] == [
        ("spring-sale", "sending", "pausing", 3)
    ]
    assert "3 recipients still to go" in result.text
    assert result.text.endswith("Undo it with /holdfast undo 1")
    campaign = await row(db, campaign_id)
    assert (campaign.state, campaign.wish, campaign.hold) == ("pausing", "paused", Hold.PERSON)
    assert (campaign.hold_reason, campaign.wished_by) == ("sale page is down", "<@U1>")
    await confirm(db, campaign_id)
    assert await state_of(db, campaign_id) == "paused"
    assert await texts(db) == ["<@U1> paused spring-sale: sale page is down"]


async def test_pausing_twice_says_who_was_first(db: Database, campaigns: Campaigns) -> None:
    await add_campaign(db, await add_server(db, "primary", 2525), 1)
    await campaigns.pause(MARIA, "spring-sale")
    with pytest.raises(WrongStateError, match=r"paused already by <@U1>, at <!date\^\d+\^{time}\|\d\d:\d\d UTC>"):
        await campaigns.pause(TOM, "spring-sale")


@pytest.mark.parametrize("verb", ["start", "pause", "resume", "cancel"])
async def test_of_two_at_the_same_moment_one_wins_and_the_other_is_told(
    db: Database, campaigns: Campaigns, verb: str
) -> None:
    before = {"start": CampaignState.SCHEDULED, "resume": CampaignState.PAUSED}.get(verb, CampaignState.SENDING)
    await add_campaign(db, await add_server(db, "primary", 2525), 1, state=before)
    act = getattr(campaigns, verb)
    outcomes = await asyncio.gather(*(act(actor, "spring-sale") for actor in (MARIA, TOM) * 3), return_exceptions=True)
    told = [each for each in outcomes if isinstance(each, WrongStateError)]
    assert len(told) == 5, outcomes
    assert len(await texts(db)) == 1
    winner = (await texts(db))[0].split()[0]
    assert all(winner in str(each) for each in told)


async def test_pause_all_stops_what_is_sending_and_nothing_else(db: Database, campaigns: Campaigns) -> None:
    server = await add_server(db, "primary", 2525)
    await add_campaign(db, server, 2, name="a")
    await add_campaign(db, server, 3, name="b")
    waiting = await add_campaign(db, server, 4, name="c", state=CampaignState.SCHEDULED)
    result = await campaigns.pause(MARIA, "all", "storm")
    assert [each.name for each in result.moved] == ["a", "b"]
    assert "Pausing a and b, with 5 recipients still to go." in result.text
    assert await state_of(db, waiting) == "scheduled"
    assert await texts(db) == ["<@U1> paused a and b: storm"]


async def test_pause_all_with_nothing_sending_says_so(db: Database, campaigns: Campaigns) -> None:
    await add_campaign(db, await add_server(db, "primary", 2525), 1, state=CampaignState.SCHEDULED)
    result = await campaigns.pause(MARIA, "ALL")
    assert (list(result.moved), result.text) == ([], "Nothing is being sent, so there is nothing to pause.")
    assert await texts(db) == []


async def test_a_paused_campaign_goes_on(db: Database, campaigns: Campaigns) -> None:
    campaign_id = await add_campaign(db, await add_server(db, "primary", 2525), 2)
    await campaigns.pause(MARIA, "spring-sale", "why not")
    await confirm(db, campaign_id)
    result = await campaigns.resume(TOM, "spring-sale")
    assert "spring-sale goes on, with 2 recipients to go." in result.text
    campaign = await row(db, campaign_id)
    assert (campaign.state, campaign.hold, campaign.hold_reason) == ("sending", None, None)


async def test_resume_comes_before_the_confirmation(db: Database, campaigns: Campaigns) -> None:
    campaign_id = await add_campaign(db, await add_server(db, "primary", 2525), 2)
    await campaigns.pause(MARIA, "spring-sale")
    await campaigns.resume(MARIA, "spring-sale")
    async with db.transaction() as tx:
        assert await sending.stop_campaign(tx, campaign_id, now(), slipped=0) is None
    assert await state_of(db, campaign_id) == "sending"


async def test_resume_is_refused_while_the_server_is_down(db: Database, campaigns: Campaigns) -> None:
    server = await add_server(db, "primary", 2525, health=Health.DOWN)
    campaign_id = await add_campaign(db, server, 2, state=CampaignState.PAUSED)
    outage_id = await open_outage(db, server, campaign_id)
    with pytest.raises(
        WrongStateError, match=rf"stays paused\. primary is down \(outage #{outage_id}\).*failover primary"
    ):
        await campaigns.resume(MARIA, "spring-sale")
    result = await campaigns.resume(MARIA, "all")
    assert list(result.moved) == []
    assert result.refused["spring-sale"].startswith("primary is down")
    assert "spring-sale stays paused. primary is down" in result.text
    assert await state_of(db, campaign_id) == "paused"


async def test_resume_all_lets_go_on_what_can(db: Database, campaigns: Campaigns) -> None:
    up = await add_server(db, "up", 2525, health=Health.UP)
    down = await add_server(db, "down", 2526, health=Health.DOWN)
    await add_campaign(db, up, 2, name="good", state=CampaignState.PAUSED)
    await add_campaign(db, down, 2, name="stuck", state=CampaignState.PAUSED)
    result = await campaigns.resume(MARIA, "all")
    assert [each.name for each in result.moved] == ["good"]
    assert list(result.refused) == ["stuck"]


async def test_a_failover_takes_the_obstacle_away(db: Database, campaigns: Campaigns) -> None:
    backup = await add_server(db, "backup", 2526, health=Health.UP)
    primary = await add_server(db, "primary", 2525, health=Health.DOWN, failover_to_id=backup)
    campaign_id = await add_campaign(db, primary, 2, state=CampaignState.SCHEDULED)
    result = await campaigns.start(MARIA, "spring-sale")
    assert "through backup" in result.text
    assert await state_of(db, campaign_id) == "sending"


async def test_an_open_outage_of_a_healthy_server_keeps_it_paused_until_it_recovers(
    db: Database, campaigns: Campaigns
) -> None:
    server = await add_server(db, "primary", 2525, health=Health.UP)
    campaign_id = await add_campaign(db, server, 2, state=CampaignState.PAUSED)
    outage_id = await open_outage(db, server, campaign_id)
    with pytest.raises(WrongStateError, match=f"Outage #{outage_id} of primary is still open"):
        await campaigns.resume(MARIA, "spring-sale")
    async with db.transaction() as tx:
        await outages.change(tx, outage_id, recovered_at=now(), state="monitoring")
    await campaigns.resume(MARIA, "spring-sale")
    assert await state_of(db, campaign_id) == "sending"


async def test_nothing_starts_in_a_maintenance_window_or_through_a_drained_server(
    db: Database, campaigns: Campaigns
) -> None:
    server = await add_server(db, "primary", 2525)
    await add_campaign(db, server, 2, state=CampaignState.SCHEDULED)
    drained = await add_server(db, "old", 2526, drained_at=now(), drained_by="<@U2>")
    await add_campaign(db, drained, 2, name="news", state=CampaignState.SCHEDULED)
    at = now()
    async with db.transaction() as tx:
        window = Maintenance(
            server_id=server,
            state=MaintenanceState.SCHEDULED,
            starts_at=at - timedelta(minutes=1),
            ends_at=at + timedelta(hours=1),
            zone="UTC",
            created_by="<@U1>",
            created_at=at,
        )
        tx.add(window)
    with pytest.raises(WrongStateError, match=r"was not started\. primary is in maintenance until"):
        await campaigns.start(MARIA, "spring-sale")
    with pytest.raises(WrongStateError, match=r"old is drained. Put it back with /server restore old"):
        await campaigns.start(MARIA, "news")


async def test_nothing_of_an_offer_that_has_ended_is_sent(db: Database, campaigns: Campaigns) -> None:
    server = await add_server(db, "primary", 2525)
    await add_campaign(db, server, 2, state=CampaignState.SCHEDULED, expires_at=now() - timedelta(minutes=1))
    with pytest.raises(WrongStateError, match="Its offer ended at"):
        await campaigns.start(MARIA, "spring-sale")


async def test_a_campaign_that_was_not_begun_is_cancelled_at_once(db: Database, campaigns: Campaigns) -> None:
    campaign_id = await add_campaign(db, await add_server(db, "primary", 2525), 2, state=CampaignState.SCHEDULED)
    result = await campaigns.cancel(MARIA, "spring-sale")
    assert "spring-sale is cancelled: 2 recipients will not get it." in result.text
    assert await state_of(db, campaign_id) == "cancelled"
    with pytest.raises(WrongStateError, match="was cancelled by <@U1>"):
        await campaigns.start(TOM, "spring-sale")


async def test_a_campaign_under_way_is_cancelled_when_the_sender_confirms(db: Database, campaigns: Campaigns) -> None:
    campaign_id = await add_campaign(db, await add_server(db, "primary", 2525), 2)
    await campaigns.cancel(MARIA, "spring-sale")
    assert await state_of(db, campaign_id) == "pausing"
    with pytest.raises(WrongStateError, match="is being cancelled already by <@U1>"):
        await campaigns.resume(TOM, "spring-sale")
    await confirm(db, campaign_id)
    assert await state_of(db, campaign_id) == "cancelled"


async def test_a_pause_under_way_becomes_a_cancellation(db: Database, campaigns: Campaigns) -> None:
    campaign_id = await add_campaign(db, await add_server(db, "primary", 2525), 2)
    await campaigns.pause(MARIA, "spring-sale")
    first_wish = (await row(db, campaign_id)).wished_at
    await campaigns.cancel(TOM, "spring-sale")
    campaign = await row(db, campaign_id)
    assert (campaign.state, campaign.wish, campaign.wished_at) == ("pausing", "cancelled", first_wish)


async def test_a_person_takes_over_what_an_outage_holds(db: Database, campaigns: Campaigns) -> None:
    server = await add_server(db, "primary", 2525)
    campaign_id = await add_campaign(db, server, 2)
    outage_id = await open_outage(db, server, campaign_id)
    async with db.transaction() as tx:
        await campaigns.hold(tx, [campaign_id], Hold.OUTAGE, "it is down", now(), MARIA, outage_id=outage_id)
    result = await campaigns.pause(TOM, "spring-sale", "wrong price")
    assert "stood still already and now stays paused until a person lets it go on" in result.text
    async with db.transaction() as tx:
        assert await campaigns.release(tx, Hold.OUTAGE, now(), MARIA, outage_id=outage_id) == []
    campaign = await row(db, campaign_id)
    assert (campaign.hold, campaign.hold_reason, campaign.state) == (Hold.PERSON, "wrong price", "pausing")


@pytest.mark.parametrize(
    ("state", "verb", "sentence"),
    [
        (CampaignState.SCHEDULED, "pause", "has not begun, so there is nothing to pause. Begin with /campaign start"),
        (CampaignState.SCHEDULED, "resume", "has not begun"),
        (CampaignState.SENDING, "start", "is being sent already"),
        (CampaignState.SENDING, "resume", "is being sent already"),
        (CampaignState.PAUSED, "start", "has begun and is paused.*Let it go on with /campaign resume"),
        (CampaignState.FINISHED, "pause", "was finished at .*/resend plan spring-sale"),
        (CampaignState.FINISHED, "cancel", "was finished at"),
        (CampaignState.CANCELLED, "resume", "was cancelled.*import it under another name"),
    ],
)
async def test_a_verb_in_the_wrong_state_is_refused_with_what_to_do(
    db: Database, campaigns: Campaigns, state: CampaignState, verb: str, sentence: str
) -> None:
    await add_campaign(db, await add_server(db, "primary", 2525), 1, state=state)
    with pytest.raises(WrongStateError, match=sentence):
        await getattr(campaigns, verb)(MARIA, "spring-sale")
    assert await texts(db) == []


async def test_an_unknown_name_is_answered_with_near_ones(db: Database, campaigns: Campaigns) -> None:
    with pytest.raises(NotFoundError, match=r"There is no campaign yet. Import one"):
        await campaigns.find("x")
    await add_campaign(db, await add_server(db, "primary", 2525), 1)
    with pytest.raises(NotFoundError, match="Did you mean spring-sale"):
        await campaigns.pause(MARIA, "sprng-sale")


async def test_who_lacks_the_role_changes_nothing(db: Database, campaigns: Campaigns) -> None:
    campaign_id = await add_campaign(db, await add_server(db, "primary", 2525), 1, state=CampaignState.SCHEDULED)
    with pytest.raises(NotAllowedError, match="needs the role sender"):
        await campaigns.start(Actor("U9", "Guest"), "spring-sale")
    assert await state_of(db, campaign_id) == "scheduled"


async def test_a_pause_in_an_outage_is_told_in_its_thread_and_on_its_card(db: Database, campaigns: Campaigns) -> None:
    server = await add_server(db, "primary", 2525)
    campaign_id = await add_campaign(db, server, 2)
    other = await add_campaign(db, await add_server(db, "other", 2526), 2, name="other")
    outage_id = await open_outage(db, server, campaign_id)
    await campaigns.pause(MARIA, "all")
    async with db.read() as tx:
        posts = {post.key: post for post in await tx.scalars(select(Post))}
        entries = list(await tx.scalars(select(Timeline).order_by(Timeline.id)))
    assert f"outage:{outage_id}" in posts
    threads = {entry.text: posts[f"timeline:{entry.id}"].parent_key for entry in entries}
    assert threads == {"<@U1> paused other.": None, "<@U1> paused spring-sale.": f"outage:{outage_id}"}
    assert (await row(db, campaign_id)).hold_outage_id == outage_id
    assert (await row(db, other)).hold_outage_id is None
