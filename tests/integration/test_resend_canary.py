"""One per cent first, a look at what came of it, then the rest by an approver's word."""

from pathlib import Path

import pytest

from bot.errors import NotAllowedError, WrongStateError
from storage import resends
from storage.db import Database
from storage.models import Resend
from tests.resend_world import BEN, JOAN, KIM, MARIA, World, world


async def canary_out(db: Database, folder: Path) -> tuple[World, Resend]:
    it = await world(db, folder, 400)
    await it.lose(range(1, 251))
    resend = await it.resends.plan(MARIA, "spring-sale")
    return it, await it.resends.approve(JOAN, resend.id, resend.plan_hash, "canary")


async def canary_done(db: Database, folder: Path) -> tuple[World, Resend]:
    it, resend = await canary_out(db, folder)
    await it.settle(resend.id)
    await it.become(resend.id, "paused", "the canary is done")
    return it, resend


async def test_only_one_per_cent_is_queued(db: Database, tmp_path: Path) -> None:
    it, resend = await canary_out(db, tmp_path)
    assert (resend.state, resend.wave) == ("sending", 0)
    assert await it.queued(resend.id) == [1, 101, 201]
    progress = (await it.resends.status(resend.id)).progress
    assert (progress.queued, progress.held_back, progress.done) == (3, 247, 0)
    assert (await it.said())[-1][1] == (
        f"<@U0JOAN> approved resend {resend.id}: 1 % goes out first, 3 of 250 messages through primary."
    )


async def test_a_canary_of_everything_is_everything(db: Database, tmp_path: Path) -> None:
    it = await world(db, tmp_path, 5)
    await it.lose([4])
    resend = await it.resends.plan(MARIA, "spring-sale")
    assert (await it.resends.approve(JOAN, resend.id, resend.plan_hash, "canary")).wave == resends.EVERY_WAVE


async def test_the_rest_waits_for_the_canary(db: Database, tmp_path: Path) -> None:
    it, resend = await canary_out(db, tmp_path)
    with pytest.raises(WrongStateError, match="is not done yet"):
        await it.resends.rest(KIM, resend.id, resend.plan_hash)
    await it.resends.pause(KIM, resend.id)
    await it.become(resend.id, "paused", "paused by <@U0KIM>")
    with pytest.raises(WrongStateError, match="is not done yet"):
        await it.resends.rest(KIM, resend.id, resend.plan_hash)


async def test_an_approver_lets_the_rest_go(db: Database, tmp_path: Path) -> None:
    it, resend = await canary_done(db, tmp_path)
    assert (await it.resends.status(resend.id)).canary_done
    with pytest.raises(NotAllowedError, match="role approver"):
        await it.resends.rest(BEN, resend.id, resend.plan_hash)
    with pytest.raises(NotAllowedError, match="You asked for this"):
        await it.resends.rest(MARIA, resend.id, resend.plan_hash)
    with pytest.raises(WrongStateError, match="another plan"):
        await it.resends.rest(KIM, resend.id, "0" * 64)
    begun = await it.resends.rest(KIM, resend.id, resend.plan_hash)
    assert (begun.state, begun.wave, begun.note) == ("sending", resends.EVERY_WAVE, None)
    assert len(await it.queued(resend.id)) == 247
    assert (await it.ledger())["delivered"] == 150 + 3
    with pytest.raises(WrongStateError, match="is sending"):
        await it.resends.rest(JOAN, resend.id, resend.plan_hash)


async def test_what_of_the_canary_failed_again_does_not_go_along_with_the_rest(db: Database, tmp_path: Path) -> None:
    it, resend = await canary_out(db, tmp_path)
    await it.settle(resend.id, "failed_temporary", "safe")
    await it.become(resend.id, "paused", "the canary is done")
    await it.resends.rest(KIM, resend.id)
    queued = await it.queued(resend.id)
    assert len(queued) == 247
    assert not {1, 101, 201} & set(queued)
    assert (await it.resends.status(resend.id)).progress.failed == 3


async def test_a_ledger_that_changed_under_the_rest_stops_it(db: Database, tmp_path: Path) -> None:
    it, resend = await canary_done(db, tmp_path)
    await it.mark([7], "delivered")
    with pytest.raises(WrongStateError, match="one of its deliveries has changed"):
        await it.resends.rest(KIM, resend.id, resend.plan_hash)
    assert (await it.resend(resend.id)).state == "void"
    progress = (await it.resends.status(resend.id)).progress
    assert (progress.delivered, progress.left) == (3, 247)


async def test_resume_is_not_the_way_round_the_approver(db: Database, tmp_path: Path) -> None:
    it, resend = await canary_done(db, tmp_path)
    with pytest.raises(WrongStateError, match=r"The canary of resend \d+ is done. An approver lets the rest go"):
        await it.resends.resume(MARIA, resend.id)


async def test_after_the_canary_it_can_end_there(db: Database, tmp_path: Path) -> None:
    it, resend = await canary_done(db, tmp_path)
    cancelled = await it.resends.cancel(MARIA, resend.id)
    assert cancelled.state == "cancelled"
    assert await it.ledger() == {"delivered": 153, "failed_temporary": 247}
    assert (await it.said())[-1][1] == f"<@U0MARIA> cancelled resend {resend.id}: 3 of 250 had gone out."
