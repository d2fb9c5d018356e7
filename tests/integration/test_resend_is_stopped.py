"""Pause, resume and cancel; and what a cancelled resend gives back."""

from pathlib import Path

import pytest

from bot.errors import BadInputError, BotError, NotAllowedError, NotFoundError, WrongStateError
from storage import resends
from storage.db import Database
from storage.models import Resend
from tests.resend_world import BEN, JOAN, MARIA, World, world


async def sending(db: Database, folder: Path) -> tuple[World, Resend]:
    it = await world(db, folder, 10)
    await it.lose([1, 2, 3])
    await it.mark([4], "unknown", "decide")
    resend = await it.resends.plan(MARIA, "spring-sale", include_unknown=True)
    return it, await it.resends.approve(JOAN, resend.id, resend.plan_hash)


async def test_a_pause_is_a_wish_until_the_sender_confirms_it(db: Database, tmp_path: Path) -> None:
    it, resend = await sending(db, tmp_path)
    pausing = await it.resends.pause(BEN)
    assert (pausing.state, pausing.wish, pausing.note) == ("pausing", "paused", "paused by <@U0BEN>")
    assert not (await it.resends.status()).sender_runs
    with pytest.raises(WrongStateError, match=r"is pausing \(paused by <@U0BEN>\). Nothing was changed"):
        await it.resends.pause(MARIA, resend.id)
    await it.become(resend.id, "paused", "paused by <@U0BEN>")
    with pytest.raises(NotAllowedError):
        await it.resends.resume(BEN, resend.id)
    going = await it.resends.resume(MARIA)
    assert (going.state, going.note) == ("sending", None)
    assert await it.queued(resend.id) == [1, 2, 3, 4]


async def test_a_resume_while_it_still_stops_takes_the_wish_back(db: Database, tmp_path: Path) -> None:
    it, resend = await sending(db, tmp_path)
    await it.resends.pause(BEN)
    assert (await it.resends.resume(MARIA, resend.id)).state == "sending"
    await it.resends.cancel(MARIA, resend.id)
    with pytest.raises(WrongStateError, match="being cancelled"):
        await it.resends.resume(MARIA, resend.id)


async def test_it_does_not_resume_through_a_server_that_is_down(db: Database, tmp_path: Path) -> None:
    it, resend = await sending(db, tmp_path)
    await it.resends.pause(BEN)
    await it.become(resend.id, "paused")
    await it.change_server(health="down")
    with pytest.raises(WrongStateError, match="primary, which would carry spring-sale, is down"):
        await it.resends.resume(MARIA, resend.id)


async def test_what_a_cancelled_resend_had_queued_is_as_before(db: Database, tmp_path: Path) -> None:
    it, resend = await sending(db, tmp_path)
    before = await it.delivery(2)
    assert (before.status, before.code, before.stage, before.retry) == ("queued", 451, "rcpt", "safe")
    await it.mark([1], "delivered")
    cancelling = await it.resends.cancel(MARIA)
    assert (cancelling.state, cancelling.wish) == ("pausing", "cancelled")
    async with db.transaction() as tx:  # what the sender does once nothing is in flight
        assert await resends.give_back(tx, resend.id) == 3
    await it.become(resend.id, "cancelled")
    assert await it.ledger() == {"delivered": 7, "failed_temporary": 2, "unknown": 1}
    after = await it.delivery(2)
    assert (after.status, after.resend_id, after.code, after.retry) == ("failed_temporary", None, 451, "safe")
    again = await it.resends.plan(MARIA, "spring-sale")
    assert list(await it.items(again.id)) == [2, 3]


async def test_a_paused_resend_is_cancelled_at_once(db: Database, tmp_path: Path) -> None:
    it, resend = await sending(db, tmp_path)
    await it.resends.pause(BEN)
    await it.become(resend.id, "paused")
    assert (await it.resends.cancel(MARIA)).state == "cancelled"
    assert await it.ledger() == {"delivered": 6, "failed_temporary": 3, "unknown": 1}
    with pytest.raises(WrongStateError, match="is cancelled"):
        await it.resends.cancel(MARIA, resend.id)


async def test_a_plan_is_cancelled_with_its_approval(db: Database, tmp_path: Path) -> None:
    it = await world(db, tmp_path, 10)
    await it.lose([1])
    resend = await it.resends.plan(MARIA, "spring-sale")
    await it.resends.cancel(MARIA)
    assert (await it.approval(resend.id)).state == "void"
    with pytest.raises(BotError, match="cancelled by <@U0MARIA>"):
        await it.resends.approve(JOAN, resend.id, resend.plan_hash)


async def test_which_one_is_asked_when_there_are_several(db: Database, tmp_path: Path) -> None:
    it = await world(db, tmp_path, 10)
    with pytest.raises(NotFoundError, match="No resend has been planned yet"):
        await it.resends.pause(MARIA)
    with pytest.raises(NotFoundError, match="No resend has been planned yet"):
        await it.resends.status()
    other = await it.add_campaign("newsletter", 10)
    for campaign, name in ((it.campaign, "spring-sale"), (other, "newsletter")):
        await it.lose([1, 2], campaign=campaign)
        resend = await it.resends.plan(MARIA, name)
        await it.resends.approve(JOAN, resend.id)
    with pytest.raises(BadInputError, match=r"Which resend\? There is 1 \(2 messages, sending\) and 2 .*pause 2"):
        await it.resends.pause(MARIA)
    assert (await it.resends.pause(MARIA, 1)).id == 1
    assert (await it.resends.pause(MARIA)).id == 2
