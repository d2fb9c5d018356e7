"""What is reported later of deliveries goes into the ledger once, by rules, and whoever watches hears of it."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from bot.clock import now
from bot.errors import WrongStateError
from bot.mail.links import Links
from bot.mail.replies import Stage
from bot.services.reconciling import Reconciling
from storage import reports, timeline
from storage.db import Database
from storage.models import Post, ReportKind
from tests.integration.reconciling_support import kept, reconciling, report, status, suppressed
from tests.resend_world import JOAN, MARIA, World, world

ACCEPTED, DELIVERED, BOUNCED = ReportKind.ACCEPTED, ReportKind.DELIVERED, ReportKind.BOUNCED
GAVE_UP, COMPLAINT = ReportKind.GAVE_UP, ReportKind.COMPLAINT
GONE = "5.1.1 User unknown"
FULL = "5.2.2 Mailbox full"


@pytest.fixture
async def lost(db: Database, tmp_path: Path) -> World:
    """Ten people; of the first four nobody knows whether they got it."""
    made = await world(db, tmp_path, 10)
    await made.mark(range(1, 5), "unknown", "decide")
    return made


@pytest.fixture
def service(db: Database, tmp_path: Path) -> Reconciling:
    return reconciling(db, tmp_path)


async def test_unknown_deliveries_become_what_is_reported_and_the_reports_are_kept(
    lost: World, service: Reconciling
) -> None:
    found = [
        report(1, ACCEPTED, "Postfix has queued it as 4XyZ"),
        report(1, DELIVERED, "250 2.0.0 Ok"),
        report(2, BOUNCED, GONE, code=550, stage=Stage.rcpt),
        report(3, GAVE_UP, "4.4.1 no answer", code=451),
    ]
    tally = await service.take("bounce", found)
    assert tally.settled == {
        "spring-sale": {
            "delivered": ["p1@example.com"],
            "failed_temporary": ["p3@example.com"],
            "failed_permanent": ["p2@example.com"],
        }
    }
    assert [await status(lost, n) for n in (1, 2, 3, 4)] == [
        ("delivered", "never"),
        ("failed_permanent", "never"),
        ("failed_temporary", "safe"),
        ("unknown", "decide"),
    ]
    assert await suppressed(lost, 2) == "bounce"
    first, second = await kept(lost, 1)
    assert {(first.before, first.after), (second.before, second.after)} == {("unknown", "delivered"), (None, None)}
    assert (await lost.delivery(2)).reply == GONE


async def test_the_thread_that_listed_them_hears_of_it_and_the_headline_is_drawn_anew(
    lost: World, service: Reconciling
) -> None:
    outage = await lost.open_outage()
    await lost.mark([1, 2], "unknown", "decide", outage=outage)
    async with lost.db.transaction() as tx:
        await timeline.ensure_post(tx, f"outage:{outage}", now())
    await service.take("event", [report(1, DELIVERED, "250 ok")])
    kind, text = (await lost.said())[-1]
    assert kind == "campaign.reconciled"
    assert text == (
        "A delivery event: 1 unknown delivery of spring-sale is known now, 1 delivered (p1@example.com). "
        "3 are still unknown: p2@example.com, p3@example.com and p4@example.com."
    )
    async with lost.db.read() as tx:
        headline = await tx.get_one(Post, 1)
    assert headline.wanted == 2
    assert (await lost.posts())["timeline:1"] == f"outage:{outage}"
    async with lost.db.read() as tx:
        assert (await reports.count_unknown(tx))["spring-sale"] == 3


async def test_a_report_counts_once_however_often_and_from_wherever_it_comes(lost: World, service: Reconciling) -> None:
    found = [report(1, DELIVERED, "250 ok"), report(2, BOUNCED, GONE), report(2, BOUNCED, GONE)]
    tallies = await asyncio.gather(*(service.take("event", found) for _ in range(3)))
    assert sum(each.number_settled for each in tallies) == 2
    assert sum(each.again for each in tallies) == 7
    assert sum(len(each.suppressed) for each in tallies) == 1
    assert len(await lost.said()) == 1


async def test_a_bounce_of_what_was_delivered_corrects_the_ledger_and_the_next_campaigns_leave_them_out(
    lost: World, service: Reconciling
) -> None:
    found = [report(7, BOUNCED, GONE), report(8, BOUNCED, FULL), report(9, GAVE_UP, "4.4.7 expired", code=451)]
    tally = await service.take("bounce", found)
    assert (tally.came_back, tally.kept, tally.suppressed) == (2, 1, ["p7@example.com"])
    assert [await status(lost, n) for n in (7, 8, 9)] == [
        ("failed_permanent", "never"),
        ("failed_permanent", "after_fix"),
        ("delivered", None),
    ]
    # Nobody waited for these, and there may be thousands: the reports are kept, the channel is not told.
    assert await lost.said() == []
    await service.take("event", [report(7, DELIVERED, "late and out of order")])
    assert (await status(lost, 7))[0] == "failed_permanent"
    async with lost.db.read() as tx:
        assert await reports.counts(tx, lost.campaign) == {"bounced": 2, "gave_up": 1, "delivered": 1}


async def test_what_a_log_shows_in_the_queue_and_then_given_up_was_not_delivered(
    lost: World, service: Reconciling
) -> None:
    queued, given_up = "Exim has taken it as 1xVsJS-0006mI-0F", "retry timeout exceeded"
    in_a_log = [report(1, ACCEPTED, queued), report(1, GAVE_UP, given_up)]
    tally = await service.take("event", in_a_log)
    assert tally.settled == {"spring-sale": {"failed_temporary": ["p1@example.com"]}}
    await service.take("event", in_a_log)
    # Later, and in another order; and one that was passed on before somebody else says that he gave it up.
    await service.take("event", [report(2, ACCEPTED, queued)])
    await service.take("event", [report(2, GAVE_UP, given_up)])
    await service.take("event", [report(3, GAVE_UP, given_up), report(3, ACCEPTED, queued)])
    await service.take("event", [report(4, ACCEPTED, queued), report(4, DELIVERED, "250 ok"), report(4, GAVE_UP, "x")])
    assert [await status(lost, n) for n in (1, 2, 3, 4)] == [("failed_temporary", "safe")] * 3 + [
        ("delivered", "never")
    ]


async def test_a_complaint_suppresses_and_proves_that_it_arrived(lost: World, service: Reconciling) -> None:
    tally = await service.take("bounce", [report(1, COMPLAINT, "abuse"), report(6, COMPLAINT, "abuse")])
    assert tally.suppressed == ["p1@example.com", "p6@example.com"]
    assert [(await status(lost, n))[0] for n in (1, 6)] == ["delivered", "delivered"]
    assert await suppressed(lost, 6) == "complaint"


async def test_an_earlier_attempt_that_was_taken_after_all_is_never_made_again(
    lost: World, service: Reconciling
) -> None:
    await lost.lose([5, 6])
    await service.take("bounce", [report(6, GAVE_UP, "4.4.7 expired")])
    tally = await service.take("event", [report(5, ACCEPTED, "queued"), report(6, ACCEPTED, "queued")])
    assert tally.arrived == 1
    assert [(await status(lost, n))[0] for n in (5, 6)] == ["delivered", "failed_temporary"]


async def test_a_bounce_of_an_earlier_attempt_says_nothing_of_the_later_one(lost: World, service: Reconciling) -> None:
    plan = await lost.resends.plan(MARIA, "spring-sale", include_unknown=True)
    await lost.resends.approve(JOAN, plan.id)
    await lost.settle(plan.id)
    await lost.become(plan.id, "finished")
    before = now() - timedelta(hours=1)
    tally = await service.take("bounce", [report(1, BOUNCED, FULL, at=before), report(2, BOUNCED, FULL, at=now())])
    assert (tally.kept, tally.came_back) == (1, 1)
    assert [(await status(lost, n))[0] for n in (1, 2)] == ["delivered", "failed_permanent"]


async def test_what_is_being_sent_gets_its_result_first(lost: World, service: Reconciling) -> None:
    await lost.mark([9], "queued")
    tally = await service.take("bounce", [report(9, BOUNCED, GONE)])
    assert (tally.waiting, tally.suppressed) == (1, ["p9@example.com"])
    await service.tick()
    assert (await status(lost, 9))[0] == "queued"
    await lost.mark([9], "delivered")
    await service.tick()
    await service.tick()
    assert await status(lost, 9) == ("failed_permanent", "never")
    (row,) = await kept(lost, 9)
    assert (row.before, row.after) == ("delivered", "failed_permanent")


async def test_an_approved_resend_keeps_what_it_was_approved_for_and_gives_it_back_to_the_reports(
    lost: World, service: Reconciling
) -> None:
    await lost.mark(range(1, 11), "unknown", "decide")
    plan = await lost.resends.plan(MARIA, "spring-sale", include_unknown=True)
    await lost.resends.approve(JOAN, plan.id, choice="canary")
    assert len(await lost.queued(plan.id)) == 1
    tally = await service.take("event", [report(n, DELIVERED, "250 ok") for n in (1, 2, 3)])
    assert (tally.waiting, tally.number_settled) == (3, 0)
    await service.tick()
    assert (await lost.ledger())["unknown"] == 9

    await lost.settle(plan.id)
    await lost.become(plan.id, "paused")
    await lost.resends.cancel(JOAN, plan.id)
    await service.tick()
    assert [(await status(lost, n))[0] for n in (1, 2, 3, 4)] == ["delivered", "delivered", "delivered", "unknown"]
    assert (await lost.said())[-1][1].startswith("A delivery event: 2 unknown deliveries of spring-sale are known now")


async def test_a_plan_that_nobody_approved_yet_is_void_when_its_unknown_are_known(
    lost: World, service: Reconciling
) -> None:
    plan = await lost.resends.plan(MARIA, "spring-sale", include_unknown=True)
    assert (await service.take("event", [report(1, DELIVERED, "250 ok")])).number_settled == 1
    with pytest.raises(WrongStateError, match="is void: one of its deliveries has changed since it was planned"):
        await lost.resends.approve(JOAN, plan.id)
    assert (await lost.ledger())["queued"] == 0


async def test_where_the_addresses_are_blacked_out_the_unsubscribe_link_leads_there(
    lost: World, service: Reconciling
) -> None:
    links = Links(["test-key"])
    complaint = replace(report(7, COMPLAINT, "abuse"), recipients=("redacted@example.net",))
    for link in (links.make(lost.campaign, 8), links.make(99, 7), Links(["forged"]).make(lost.campaign, 7), "x"):
        assert (await service.take("bounce", [replace(complaint, link=link)])).not_ours == 1
    tally = await service.take("bounce", [replace(complaint, link=links.make(lost.campaign, 7))])
    assert tally.suppressed == ["p7@example.com"]


async def test_a_report_that_fits_no_message_id_of_ours_changes_nothing(lost: World, service: Reconciling) -> None:
    await lost.add_campaign("autumn", 3)
    right = report(1, BOUNCED, GONE)
    forged = [
        # Somebody else's Message-ID with Anna's address; a made-up one; a campaign that there is not.
        replace(report(2, BOUNCED, GONE), recipients=right.recipients),
        replace(right, token="0" * 40),
        report(99, BOUNCED, GONE, campaign="no-such"),
    ]
    tally = await service.take("bounce", forged)
    assert tally.not_ours == 3
    assert await suppressed(lost, 1) is None
    assert (await status(lost, 1))[0] == "unknown"
