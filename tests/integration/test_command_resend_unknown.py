"""`/resend unknown` and `/resend delivered`: who may have got it, by name, and a person who knows better."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from sqlalchemy import select

from bot.clock import now
from bot.mail.reports.report import token_for
from storage.db import Database
from storage.models import Delivery, ReportKind, Timeline
from tests.command_world import GUEST, JONAS, World, command_world
from tests.integration.reconciling_support import report
from tests.integration.test_dry_run_changes_nothing import fingerprint
from tests.seeds import KEY

GAP = "Holdfast stopped between the message and the server's answer"


@pytest.fixture
async def world(db: Database, tmp_path: Path) -> AsyncIterator[World]:
    """Three people of spring-sale may or may not have got it."""
    async with command_world(db, tmp_path) as made:
        campaign = await made.campaign(20)
        values: dict[str, object] = {"status": "unknown", "retry": "decide", "stage": "dot", "reply": GAP}
        await made.lose(campaign, 1, 3, code=None, **values)
        yield made


async def statuses(world: World) -> list[str]:
    async with world.db.read() as tx:
        return list(await tx.scalars(select(Delivery.status).where(Delivery.n <= 3).order_by(Delivery.n)))


async def said(world: World) -> str:
    async with world.db.read() as tx:
        return (await tx.scalars(select(Timeline.text).order_by(Timeline.id.desc()))).first() or ""


async def undo(world: World) -> str:
    return await world.press("holdfast.undo", world.button("holdfast.undo")) or ""


async def test_they_are_listed_by_name_with_what_is_known_and_what_can_be_done(world: World) -> None:
    for line in ("/resend unknown", "/resend unknown all", "/resend unknown spring"):
        told = await world.type(line)
        assert "3 deliveries may or may not have arrived." in told
        assert all(f"p{n}@example.com" in told for n in (1, 2, 3))
        assert "through primary" in told
        assert GAP in told
        assert f"{token_for(KEY, 'p1@example.com')}@…" in told
        assert "holdfast reconcile LOGFILE" in told
    assert world.has_buttons()
    await world.type("/resend unknown", GUEST)
    assert not world.has_buttons(), "who may not decide sees the list and no buttons"
    await world.refused("/resend unknown autumn", "There is no campaign “autumn”")


async def test_one_is_counted_as_delivered_and_the_undo_makes_it_unknown_again(world: World) -> None:
    told = await world.type("/resend delivered spring-sale P2@example.com")
    assert told.startswith("1 unknown delivery of spring-sale counts as delivered now. Undo it with /holdfast undo 1")
    assert await statuses(world) == ["unknown", "delivered", "unknown"]
    assert await said(world) == (
        "<@U0MARIA> counted 1 unknown delivery of spring-sale as delivered: p2@example.com. "
        "2 are still unknown: p1@example.com and p3@example.com."
    )
    assert await undo(world) == "Undone. 1 delivery is unknown again."
    assert await statuses(world) == ["unknown"] * 3
    async with world.db.read() as tx:
        row = await tx.get_one(Delivery, (1, 2))
    assert (row.retry, row.reply) == ("decide", GAP)
    await world.refused("/resend delivered spring-sale p9@example.com", "No delivery to p9@example.com of spring-sale")


async def test_all_of_a_campaign_are_shown_first_and_counted_once(world: World) -> None:
    told = await world.type("/resend delivered spring-sale all")
    assert told.startswith("Count 3 unknown deliveries of spring-sale as delivered? Nothing is changed yet.")
    assert await statuses(world) == ["unknown"] * 3
    number = world.button("holdfast.confirm")
    assert "3 unknown deliveries of spring-sale count as delivered now." in (
        await world.press("holdfast.confirm", number) or ""
    )
    assert await statuses(world) == ["delivered"] * 3
    assert "already" in (await world.press("holdfast.confirm", number, JONAS) or "")
    await world.refused(
        "/resend delivered spring-sale all now", "Nothing of spring-sale is unknown. Nothing was changed"
    )
    assert await world.type("/resend unknown") == (
        "No delivery is unknown: of each it is known whether the server took it."
    )


async def test_its_buttons_do_the_same(world: World) -> None:
    await world.type("/resend unknown")
    every, one = world.button("resend.delivered_all"), f"{1}:{3}"
    await world.press_refused("resend.delivered", one, "needs the role sender", GUEST)
    assert "1 unknown delivery of spring-sale counts as delivered now." in (
        await world.press("resend.delivered", one) or ""
    )
    await world.press_refused("resend.delivered", one, "That delivery is not unknown any more", JONAS)
    assert "Count 2 unknown deliveries of spring-sale" in (await world.press("resend.delivered_all", every) or "")
    await world.press("holdfast.confirm", world.button("holdfast.confirm"))
    assert await statuses(world) == ["delivered"] * 3


async def test_what_more_was_heard_of_is_not_undone(world: World) -> None:
    await world.type("/resend delivered spring-sale all now")
    number = world.button("holdfast.undo")
    await world.services.reconciling.take(
        "bounce",
        [report(1, ReportKind.BOUNCED, "5.1.1 User unknown"), report(2, ReportKind.ACCEPTED, "queued as 4XyZ")],
    )
    with time_machine.travel(now() + timedelta(minutes=29)):
        told = await world.press("holdfast.undo", number)
    assert told == "Undone. 1 delivery is unknown again. 2 are left alone: more has been heard since."
    assert await statuses(world) == ["failed_permanent", "delivered", "unknown"]


async def test_a_resend_under_way_keeps_those_that_it_was_approved_for(world: World) -> None:
    await world.lose(1, 1, 15, status="unknown", retry="decide")
    await world.type("/resend plan spring-sale with unknown")
    await world.type("/resend approve 1 canary", JONAS)
    await world.refused("/resend delivered spring-sale all now", "A resend that is under way has them")
    await world.type("/resend pause 1")


async def test_to_count_them_is_rehearsed_and_needs_the_role(world: World) -> None:
    before = await fingerprint(world.db)
    for line in ("/resend delivered spring-sale all", "/resend delivered spring-sale p1@example.com"):
        told = await world.type(f"{line} dry-run")
        assert told.startswith("Dry run: nothing was changed.\nIt would count ")
        assert "It can be undone for 30 min." in told
        for words in (line, f"{line} dry-run"):
            await world.refused(words, "You may not count unknown deliveries as delivered: that needs the role", GUEST)
    for line, words in (
        ("/resend delivered", "Say which outage or campaign"),
        ("/resend delivered spring-sale", "Say which address, or all"),
        ("/resend delivered spring-sale p1@example.com p2@example.com", "more than that takes"),
    ):
        await world.refused(line, words)
    assert await fingerprint(world.db) == before


async def test_a_long_list_has_pages(world: World) -> None:
    await world.lose(1, 1, 20, status="unknown", retry="decide")
    told = await world.type("/resend unknown")
    assert "1 to 10 of 20 · Next: /resend unknown all 2" in told
    told = await world.type("/resend unknown spring-sale 9")
    assert "11 to 20 of 20 · The first: /resend unknown spring-sale" in told
    assert "p20@example.com" in told
