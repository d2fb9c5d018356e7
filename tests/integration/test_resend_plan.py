"""What a plan takes in, what it leaves out and says so, and what it replaces."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from bot.clock import now
from bot.errors import BadInputError, BotError, NotAllowedError, NotFoundError
from storage import resends
from storage.db import Database
from storage.models import Delivery, Recipient
from storage.resends import Scope
from tests.resend_world import BEN, JOAN, MARIA, World, services, world


async def test_it_counts_every_kind_and_takes_only_what_is_safe(db: Database, tmp_path: Path) -> None:
    it = await world(db, tmp_path, 40)
    await it.lose(range(1, 11))
    await it.suppress("p10@example.com", "p20@example.com")
    await it.mark([11, 12], "failed_permanent", "after_fix")
    await it.mark([13], "unknown", "decide")
    await it.mark([14, 15, 20], "failed_permanent", "never")
    await it.mark([16, 17], "suppressed")
    await it.mark([18], "expired")
    await it.mark([19, 21, 22], "queued")
    resend = await it.resends.plan(MARIA, "spring")
    assert resend.counts == {
        "safe": 9,
        "refused": 2,
        "unknown": 1,
        "permanent": 3,
        "suppressed": 3,
        "expired": 1,
        "elsewhere": 0,
        "never_attempted": 3,
        "canary": 1,
    }
    assert (resend.state, resend.total, resend.campaign_ids) == ("planned", 9, [it.campaign])
    assert list(await it.items(resend.id)) == list(range(1, 10))
    assert (await it.ledger())["queued"] == 3, "a plan alone changes nothing in the ledger"


async def test_unknown_and_refused_come_along_when_they_are_chosen(db: Database, tmp_path: Path) -> None:
    it = await world(db, tmp_path, 10)
    await it.lose([1, 2])
    await it.mark([3], "unknown", "decide")
    await it.mark([4, 5], "failed_permanent", "after_fix")
    await it.mark([6], "failed_permanent", "never")
    resend = await it.resends.plan(MARIA, "spring-sale", include_unknown=True, include_refused=True)
    assert list(await it.items(resend.id)) == [1, 2, 3, 4, 5]
    assert (resend.counts["unknown"], resend.counts["refused"], resend.total) == (1, 2, 5)


async def test_the_canary_is_one_per_cent_spread_evenly(db: Database, tmp_path: Path) -> None:
    it = await world(db, tmp_path, 1000)
    await it.lose(range(101, 351))
    resend = await it.resends.plan(MARIA, "spring-sale")
    waves = await it.items(resend.id)
    assert [n for n, wave in waves.items() if wave == 0] == [101, 201, 301]
    assert (resend.counts["canary"], resend.total) == (3, 250)


async def test_an_outage_takes_what_was_lost_in_it_from_all_its_campaigns(db: Database, tmp_path: Path) -> None:
    it = await world(db, tmp_path, 20)
    other = await it.add_campaign("newsletter", 20)
    outage = await it.open_outage([it.campaign, other])
    await it.lose([1, 2], outage=outage)
    await it.lose([3])  # failed on another day
    await it.lose([7, 8, 9], campaign=other, outage=outage)
    for word in (None, str(outage), f"#{outage}"):
        resend = await it.resends.plan(MARIA, word)
        assert (resend.outage_id, resend.total) == (outage, 5)
        assert resend.campaign_ids == [it.campaign, other]


async def test_the_card_belongs_in_the_thread_of_the_outage(db: Database, tmp_path: Path) -> None:
    it = await world(db, tmp_path, 5)
    outage = await it.open_outage()
    await it.lose([1], outage=outage)
    resend = await it.resends.plan(MARIA, "spring-sale")
    assert (await it.posts())[f"resend:{resend.id}"] == f"outage:{outage}"
    assert await it.said() == [("resend.planned", f"<@U0MARIA> planned resend {resend.id}: 1 message.")]


async def test_without_a_word_it_is_the_latest_outage_once_all_are_resolved(db: Database, tmp_path: Path) -> None:
    it = await world(db, tmp_path, 5)
    await it.open_outage(resolved=True)
    latest = await it.open_outage(resolved=True)
    await it.lose([1], outage=latest)
    assert (await it.resends.plan(MARIA)).outage_id == latest


async def test_several_outages_are_listed_and_none_is_said(db: Database, tmp_path: Path) -> None:
    it = await world(db, tmp_path, 5)
    with pytest.raises(NotFoundError, match="no outage"):
        await it.resends.plan(MARIA)
    await it.open_outage()
    await it.open_outage()
    with pytest.raises(BadInputError, match=r"#1 primary, #2 primary are unresolved.*/resend plan 1"):
        await it.resends.plan(MARIA)
    with pytest.raises(NotFoundError, match="There is no outage #9"):
        await it.resends.plan(MARIA, "#9")
    with pytest.raises(NotFoundError, match="spring-sale"):
        await it.resends.plan(MARIA, "spring-sell")


async def test_nothing_to_send_again_says_what_there_is_instead(db: Database, tmp_path: Path) -> None:
    it = await world(db, tmp_path, 10)
    with pytest.raises(BotError, match="nothing of it has failed"):
        await it.resends.plan(MARIA, "spring-sale")
    await it.mark([1, 2, 3], "unknown", "decide")
    await it.mark([4], "failed_permanent", "never")
    await it.mark([5], "queued")
    with pytest.raises(BotError) as refused:
        await it.resends.plan(MARIA, "spring-sale")
    assert str(refused.value) == (
        "There is nothing to send again for spring-sale: 3 messages may have arrived already, 1 message failed for "
        "good, as the addresses do not take mail and 1 message not tried yet, which the campaign sends when it goes "
        "on. To include them: /resend plan spring-sale with unknown"
    )
    assert await it.resends.list() == []


async def test_an_offer_that_has_ended_is_not_sent_again(db: Database, tmp_path: Path) -> None:
    it = World(db, tmp_path)
    await it.build(5, expires_at=now() - timedelta(minutes=1))
    await it.lose([1, 2])
    with pytest.raises(BotError, match="2 messages of an offer that has ended"):
        await it.resends.plan(MARIA, "spring-sale")


async def test_the_same_plan_asked_for_twice_is_one_plan(db: Database, tmp_path: Path) -> None:
    it = await world(db, tmp_path, 5)
    await it.lose([1, 2])
    first = await it.resends.plan(MARIA, "spring-sale")
    second = await it.resends.plan(JOAN, "spring-sale")
    assert second.id == first.id
    assert [resend.id for resend in await it.resends.list()] == [first.id]
    assert (await it.approval(first.id)).requested_by == "<@U0MARIA>"


async def test_two_who_plan_at_the_same_moment_make_one_plan(db: Database, tmp_path: Path) -> None:
    it = await world(db, tmp_path, 5)
    await it.lose([1, 2])
    plans = await asyncio.gather(*[it.resends.plan(actor, "spring-sale") for actor in (MARIA, JOAN, BEN)])
    assert len({plan.id for plan in plans}) == 1
    assert [resend.state for resend in await it.resends.list()] == ["planned"]


async def test_a_new_plan_over_the_same_campaign_replaces_the_old_one(db: Database, tmp_path: Path) -> None:
    it = await world(db, tmp_path, 5)
    await it.lose([1, 2])
    first = await it.resends.plan(MARIA, "spring-sale")
    await it.lose([3])
    second = await it.resends.plan(MARIA, "spring-sale")
    old = await it.resend(first.id)
    assert (old.state, old.note) == ("void", f"replaced by plan {second.id}")
    assert (await it.approval(first.id)).state == "void"
    with pytest.raises(BotError, match=f"void: replaced by plan {second.id}"):
        await it.resends.approve(JOAN, first.id, first.plan_hash)


async def test_a_plan_leaves_out_what_a_running_resend_has(db: Database, tmp_path: Path) -> None:
    it = await world(db, tmp_path, 500)
    await it.lose(range(1, 301))
    running = await it.resends.plan(MARIA, "spring-sale")
    await it.resends.approve(JOAN, running.id, running.plan_hash, "canary")
    with pytest.raises(BotError, match="297 messages in another resend"):
        await it.resends.plan(MARIA, "spring-sale")
    await it.lose([400])
    second = await it.resends.plan(MARIA, "spring-sale")
    assert list(await it.items(second.id)) == [400]
    assert second.counts["elsewhere"] == 297
    await it.resends.approve(JOAN, second.id, second.plan_hash)
    assert await it.queued(running.id) == [1, 101, 201]
    assert await it.queued(second.id) == [400]


async def test_a_delivery_that_failed_again_can_be_planned_again(db: Database, tmp_path: Path) -> None:
    it = await world(db, tmp_path, 5)
    await it.lose([1, 2])
    first = await it.resends.plan(MARIA, "spring-sale")
    await it.resends.approve(JOAN, first.id, first.plan_hash)
    await it.settle(first.id, "failed_temporary", "safe")
    await it.become(first.id, "finished")
    second = await it.resends.plan(MARIA, "spring-sale")
    await it.resends.approve(JOAN, second.id, second.plan_hash)
    assert await it.queued(second.id) == [1, 2]
    assert (await it.resends.status(first.id)).progress.left == 2


async def test_planning_needs_its_role(db: Database, tmp_path: Path) -> None:
    it = await world(db, tmp_path, 5)
    await it.lose([1])
    strict = services(db, tmp_path, roles={"responder": ["U0ANN"]})
    with pytest.raises(NotAllowedError, match="needs the role responder"):
        await strict.plan(BEN, "spring-sale")


async def test_the_plan_reads_the_failed_and_never_walks_the_ledger(db: Database, tmp_path: Path) -> None:
    """The promise behind a plan in under a second: partial indices of what was lost serve it on both databases."""
    it = await world(db, tmp_path, 3000)
    await it.lose([7, 8], outage=1)
    async with db.transaction() as tx:
        if not db.is_sqlite:
            await tx.execute(text("REINDEX TABLE deliveries"))  # other tests used this database before
            await tx.execute(text("ANALYZE"))
        for scope, index in (
            (Scope(None, it.campaign), "ix_deliveries_lost"),
            (Scope(1, None), "ix_deliveries_outage"),
        ):
            query = (await resends._lost(tx, scope, now())).with_only_columns(Delivery.n, Recipient.email_key)
            compiled = query.compile(tx.get_bind(), compile_kwargs={"literal_binds": True})
            explain = "EXPLAIN QUERY PLAN " if db.is_sqlite else "EXPLAIN "
            steps = [str(row) for row in (await tx.execute(text(f"{explain}{compiled}"))).all()]
            reads = [
                step
                for step in steps
                if "deliveries" in step and ("Scan" in step or "SEARCH" in step or "SCAN" in step)
            ]
            assert len(reads) == 1, steps
            assert index in reads[0], steps


async def test_what_was_not_tried_is_counted_without_a_look_at_the_ledger(db: Database, tmp_path: Path) -> None:
    """The queued that a campaign has left are known from its counts, less those that a resend has queued again."""
    it = await world(db, tmp_path, 10)
    await it.lose([1, 2, 3])
    await it.mark([8, 9, 10], "queued")
    first = await it.resends.plan(MARIA, "spring-sale")
    assert first.counts["never_attempted"] == 3
    await it.resends.approve(JOAN, first.id, first.plan_hash)
    await it.lose([4])
    assert (await it.resends.plan(MARIA, "spring-sale")).counts["never_attempted"] == 3
