"""An approval: the role at the moment of the click, in time, for exactly what was shown, by somebody else, once."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine

from bot.access import Access, Actor
from bot.clock import now
from bot.errors import BotError, NotAllowedError, WrongStateError
from bot.services.approvals import Approvals, ExpiredError
from storage.db import Database
from storage.models import Resend
from storage.resends import EVERY_WAVE
from tests.resend_world import BEN, JOAN, KIM, MARIA, ROLES, World, services, world
from tests.seeds import settings_for


async def planned(db: Database, folder: Path, lost: int = 3) -> tuple[World, Resend]:
    it = await world(db, folder, 300)
    await it.lose(range(1, lost + 1))
    return it, await it.resends.plan(MARIA, "spring-sale")


async def test_another_approver_lets_it_go(db: Database, tmp_path: Path) -> None:
    it, resend = await planned(db, tmp_path)
    begun = await it.resends.approve(JOAN, resend.id, resend.plan_hash)
    assert (begun.state, begun.wave) == ("sending", EVERY_WAVE)
    assert await it.queued(resend.id) == [1, 2, 3]
    approval = await it.approval(resend.id)
    assert (approval.state, approval.decided_by, approval.choice) == ("approved", "<@U0JOAN>", "all")
    assert (await it.said())[-1] == (
        "resend.approved",
        f"<@U0JOAN> approved resend {resend.id}: 3 messages go out through primary.",
    )


async def test_who_asked_cannot_approve(db: Database, tmp_path: Path) -> None:
    it, resend = await planned(db, tmp_path)
    with pytest.raises(NotAllowedError, match="You asked for this; somebody else must approve"):
        await it.resends.approve(MARIA, resend.id, resend.plan_hash)
    # The same person, at the terminal.
    with pytest.raises(NotAllowedError, match="somebody else"):
        await it.resends.approve(Actor(MARIA.id, "maria", "terminal"), resend.id, resend.plan_hash)
    assert (await it.approval(resend.id)).state == "pending"
    assert (await it.ledger())["queued"] == 0


async def test_who_asked_may_take_it_back(db: Database, tmp_path: Path) -> None:
    it, resend = await planned(db, tmp_path)
    rejected = await it.resends.reject(MARIA, resend.id, resend.plan_hash)
    assert (rejected.state, rejected.note) == ("rejected", "rejected by <@U0MARIA>")
    with pytest.raises(WrongStateError, match=r"Already rejected by <@U0MARIA> at <!date\^\d+\^{time}\|\d\d:\d\d UTC>"):
        await it.resends.approve(JOAN, resend.id, resend.plan_hash)
    assert (await it.ledger())["queued"] == 0


async def test_the_settings_may_let_one_person_send_to_a_few(db: Database, tmp_path: Path) -> None:
    _, resend = await planned(db, tmp_path, lost=5)
    four = services(db, tmp_path, approvals={"second_person_above": 4})
    with pytest.raises(NotAllowedError, match="Up to 4 recipients one may approve alone; these are 5"):
        await four.approve(MARIA, resend.id, resend.plan_hash)
    five = services(db, tmp_path, approvals={"second_person_above": 5})
    assert (await five.approve(MARIA, resend.id, resend.plan_hash)).state == "sending"


async def test_the_role_is_checked_at_the_click(db: Database, tmp_path: Path) -> None:
    it, resend = await planned(db, tmp_path)
    with pytest.raises(NotAllowedError, match=r"needs the role approver. Ask <@U0MARIA>, <@U0JOAN>, <@U0KIM>"):
        await it.resends.approve(BEN, resend.id, resend.plan_hash)
    # Joan was an approver when the plan was made; since a restart with other settings she is not.
    later = services(db, tmp_path, roles={**ROLES, "approver": [KIM.id]})
    with pytest.raises(NotAllowedError, match="needs the role approver"):
        await later.approve(JOAN, resend.id, resend.plan_hash)
    assert (await later.approve(KIM, resend.id, resend.plan_hash)).state == "sending"


async def test_two_approvers_at_the_same_moment_are_one_approval(db: Database, tmp_path: Path) -> None:
    it, resend = await planned(db, tmp_path)
    results = await asyncio.gather(
        it.resends.approve(JOAN, resend.id, resend.plan_hash),
        it.resends.approve(KIM, resend.id, resend.plan_hash),
        it.resends.approve(JOAN, resend.id, resend.plan_hash),
        return_exceptions=True,
    )
    refused = [result for result in results if isinstance(result, BaseException)]
    assert len(refused) == 2
    winner = (await it.approval(resend.id)).decided_by
    for error in refused:
        assert isinstance(error, WrongStateError)
        assert f"Already approved by {winner} at" in str(error)
    assert [kind for kind, _ in await it.said()].count("resend.approved") == 1
    assert await it.queued(resend.id) == [1, 2, 3]


async def test_two_who_decide_on_one_approval_in_two_transactions(db: Database, tmp_path: Path) -> None:
    """Without the lock that resends take: the conditional update alone must let only one through."""
    _, resend = await planned(db, tmp_path)
    settings = settings_for(str(db.url), tmp_path, roles=ROLES)
    approvals = Approvals(settings, Access(settings.roles, settings.admins))

    async def decide(actor: Actor, *, approve: bool) -> str:
        async with db.transaction() as tx:
            permission, plan_hash = "resend.approve", resend.plan_hash
            decided = await approvals.decide(
                tx, actor, permission, "resend", resend.id, plan_hash, now(), approve=approve, recipients=3
            )
            return str(decided.state)

    results = await asyncio.gather(decide(JOAN, approve=True), decide(KIM, approve=False), return_exceptions=True)
    assert len([result for result in results if isinstance(result, str)]) == 1
    assert len([result for result in results if isinstance(result, WrongStateError)]) == 1


async def test_it_expires(db: Database, tmp_path: Path) -> None:
    it, resend = await planned(db, tmp_path)
    with time_machine.travel(now() + timedelta(hours=2, seconds=1)):
        with pytest.raises(ExpiredError, match=r"so the request has expired. Ask again with /resend plan"):
            await it.resends.approve(JOAN, resend.id, resend.plan_hash)
        with pytest.raises(ExpiredError):
            await it.resends.reject(JOAN, resend.id, resend.plan_hash)
        assert (await it.resends.status(resend.id)).expired
        assert (await it.approval(resend.id)).state == "expired"
        assert [kind for kind, _ in await it.said()] == ["resend.planned", "approval.expired"]
        again = await it.resends.plan(MARIA, "spring-sale")
        assert again.id != resend.id
        assert (await it.resend(resend.id)).state == "void"
        assert (await it.resends.approve(JOAN, again.id, again.plan_hash)).state == "sending"


async def test_the_scheduler_marks_what_nobody_decided_once(db: Database, tmp_path: Path) -> None:
    it, resend = await planned(db, tmp_path)
    outage = await it.open_outage()
    await it.lose([9], outage=outage)
    in_thread = await it.resends.plan(MARIA, str(outage))
    settings = settings_for(str(db.url), tmp_path, roles=ROLES)
    approvals = Approvals(settings, Access(settings.roles, settings.admins))
    async with db.transaction() as tx:
        assert await approvals.expire(tx, now()) == []
        assert [approval.subject_id for approval in await approvals.waiting(tx)] == [in_thread.id]
    late = now() + timedelta(hours=3)
    for expected in ([in_thread.id], []):
        async with db.transaction() as tx:
            assert [approval.subject_id for approval in await approvals.expire(tx, late)] == expected
    said = [text for kind, text in await it.said() if kind == "approval.expired"]
    assert len(said) == 1
    assert said[0].startswith(f"Resend {in_thread.id}: Nobody approved it before")
    assert (await it.resend(resend.id)).state == "void"


async def test_a_decision_on_another_plan_than_the_one_shown_decides_nothing(db: Database, tmp_path: Path) -> None:
    it, resend = await planned(db, tmp_path)
    with pytest.raises(WrongStateError, match="has changed since that message was shown"):
        await it.resends.approve(JOAN, resend.id, "0" * 64)
    assert (await it.approval(resend.id)).state == "pending"
    assert (await it.resend(resend.id)).state == "planned"


async def test_it_can_be_approved_by_its_number(db: Database, tmp_path: Path) -> None:
    it, resend = await planned(db, tmp_path)
    terminal = Actor("ops", "ops", "terminal")
    assert (await it.resends.approve(terminal, resend.id)).state == "sending"
    with pytest.raises(BotError, match="There is no resend 99"):
        await it.resends.approve(terminal, 99)
