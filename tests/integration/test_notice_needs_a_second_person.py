"""A notice goes out only when somebody else has approved exactly its text and its audience."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from sqlalchemy import delete, select, update

from bot.access import Actor
from bot.clock import now
from bot.errors import NotAllowedError, WrongStateError
from bot.services.bundle import Services, build
from storage.db import Database
from storage.models import Approval, Campaign, Delivery, Notice, NoticeState, Recipient
from tests.integration.notice_support import ALL_MAY, BEN, MARIA, SECRET, TEXT, outage
from tests.outage_world import World
from tests.seeds import settings_for

CARLA = Actor(id="U0CARLA", name="carla")


async def state(here: World, notice_id: int = 1) -> str:
    return (await here.services.notices.status(notice_id)).notice.state


async def mailing(here: World) -> Campaign:
    async with here.db.read() as tx:
        return (await tx.scalars(select(Campaign).where(Campaign.kind == "notice"))).one()


async def test_who_asked_cannot_approve(db: Database, tmp_path: Path) -> None:
    async with outage(db, tmp_path) as here:
        notice = await here.services.notices.draft(MARIA, TEXT)
        await here.services.notices.request(MARIA, None)
        with pytest.raises(NotAllowedError, match="somebody else must approve"):
            await here.services.notices.approve(MARIA, notice.id)
        assert (await mailing(here)).state == "scheduled"
        await here.services.notices.approve(BEN, notice.id)
        assert (await mailing(here)).state == "sending"


async def test_for_few_recipients_the_settings_may_allow_one_person(db: Database, tmp_path: Path) -> None:
    async with outage(db, tmp_path, recipients=5, approvals={"second_person_above": 5}) as here:
        await here.services.notices.draft(MARIA, TEXT)
        await here.services.notices.request(MARIA)
        await here.services.notices.approve(MARIA, 1)
        assert await state(here) == NoticeState.SENDING


async def test_the_roles_are_asked_at_every_step(db: Database, tmp_path: Path) -> None:
    roles = {"responder": ["U0MARIA"], "sender": ["U0BEN"], "approver": ["U0CARLA"]}
    async with outage(db, tmp_path, roles=roles) as here:
        notices = here.services.notices
        with pytest.raises(NotAllowedError, match="responder"):
            await notices.draft(Actor(id="U0DAN", name="dan"), TEXT)
        await notices.draft(MARIA, TEXT)
        with pytest.raises(NotAllowedError, match="sender"):
            await notices.request(MARIA)
        await notices.request(BEN)
        for refused in (notices.approve, notices.reject):
            with pytest.raises(NotAllowedError, match="approver"):
                await refused(MARIA, 1)
        with pytest.raises(NotAllowedError, match="sender"):
            await notices.cancel(CARLA, 1)
        await notices.approve(CARLA, 1)
        assert (await here.said("notice.approved")) == [
            "<@U0CARLA> approved notice 1: it goes out to 40 recipients through backup."
        ]


async def test_two_who_approve_at_the_same_moment_send_it_once(db: Database, tmp_path: Path) -> None:
    async with outage(db, tmp_path) as here:
        await here.services.notices.draft(MARIA, TEXT)
        await here.services.notices.request(MARIA)
        results = await asyncio.gather(
            *(here.services.notices.approve(who, 1) for who in (BEN, CARLA)), return_exceptions=True
        )
        assert sorted(type(each).__name__ for each in results) == ["Notice", "WrongStateError"]
        assert len(await here.said("notice.approved")) == 1
        with pytest.raises(WrongStateError, match="Already approved by"):
            await here.services.notices.approve(BEN, 1)


async def test_a_rejected_notice_reaches_nobody(db: Database, tmp_path: Path) -> None:
    async with outage(db, tmp_path) as here:
        await here.services.notices.draft(MARIA, TEXT)
        await here.services.notices.request(MARIA)
        await here.services.notices.reject(BEN, 1)
        assert await state(here) == NoticeState.REJECTED
        assert (await mailing(here)).state == "cancelled"
        async with db.read() as tx:
            left = await tx.scalars(select(Delivery).join(Campaign).where(Campaign.kind == "notice"))
            assert left.all() == [], "an audience that is never told is not kept"
        with pytest.raises(WrongStateError, match="Already rejected by"):
            await here.services.notices.approve(CARLA, 1)


async def test_a_button_of_another_version_decides_nothing(db: Database, tmp_path: Path) -> None:
    async with outage(db, tmp_path) as here:
        await here.services.notices.draft(MARIA, TEXT)
        await here.services.notices.request(MARIA)
        with pytest.raises(WrongStateError, match="has changed since that message was shown"):
            await here.services.notices.approve(BEN, 1, "0" * 64)
        assert await state(here) == NoticeState.WAITING


@pytest.mark.parametrize("change", ["text", "audience", "webhook"])
async def test_an_approval_is_void_when_what_it_is_about_has_changed(db: Database, tmp_path: Path, change: str) -> None:
    async with outage(db, tmp_path) as here:
        services = here.services
        await services.notices.draft(MARIA, TEXT)
        notice = await services.notices.request(MARIA)
        seen = notice.plan_hash
        async with db.transaction() as tx:
            if change == "text":
                await tx.execute(update(Notice).values(text="Something else."))
            elif change == "audience":
                campaign_id = notice.campaign_id
                await tx.execute(delete(Recipient).where(Recipient.campaign_id == campaign_id, Recipient.n == 7))
        if change == "webhook":
            services = with_webhook(here, tmp_path)
        with pytest.raises(WrongStateError, match="the approval is void and nothing was sent"):
            await services.notices.approve(BEN, 1, seen)
        assert await state(here) == NoticeState.DRAFT
        assert (await mailing(here)).state == "scheduled"
        assert len(await here.said("notice.void")) == 1

        await services.notices.request(MARIA, 1)
        await services.notices.approve(BEN, 1)
        assert await state(here) == NoticeState.SENDING


def with_webhook(here: World, folder: Path) -> Services:
    """The same database after a restart with another setting."""
    section = {"webhook_url": "http://127.0.0.1:9/hook", "webhook_secret": SECRET}
    return build(here.db, settings_for(str(here.db.url), folder, roles=ALL_MAY, notices=section))


async def test_a_request_that_nobody_answers_expires_and_can_be_asked_again(db: Database, tmp_path: Path) -> None:
    async with outage(db, tmp_path) as here:
        await here.services.notices.draft(MARIA, TEXT)
        await here.services.notices.request(MARIA)
        with pytest.raises(WrongStateError, match="<@U0MARIA> asked for it already"):
            await here.services.notices.request(BEN)
        with time_machine.travel(now() + timedelta(hours=2, minutes=1), tick=False):
            assert (await here.services.notices.status(1)).expired
            with pytest.raises(WrongStateError, match="the request has expired"):
                await here.services.notices.approve(BEN, 1)
            await here.services.notices.request(BEN)
            await here.services.notices.approve(MARIA, 1)
        assert await state(here) == NoticeState.SENDING


async def test_it_cannot_be_approved_while_no_server_can_carry_it(db: Database, tmp_path: Path) -> None:
    async with outage(db, tmp_path) as here:
        await here.services.notices.draft(MARIA, TEXT)
        await here.services.notices.request(MARIA)
        await here.services.servers.drain(BEN, "backup")
        with pytest.raises(WrongStateError, match=r"primary is part of outage #1.*|backup is drained"):
            await here.services.notices.approve(BEN, 1)
        assert await state(here) == NoticeState.WAITING
        async with db.read() as tx:
            assert (await tx.scalars(select(Approval.state))).all() == ["pending"]
        await here.services.servers.restore(BEN, "backup")
        await here.services.notices.approve(BEN, 1)
        assert await state(here) == NoticeState.SENDING


async def test_a_cancelled_request_needs_no_decision_any_more(db: Database, tmp_path: Path) -> None:
    async with outage(db, tmp_path) as here:
        await here.services.notices.draft(MARIA, TEXT)
        await here.services.notices.request(MARIA)
        await here.services.notices.cancel(MARIA)
        async with db.read() as tx:
            assert await here.services.approvals.waiting(tx) == []
        with pytest.raises(WrongStateError, match="is cancelled"):
            await here.services.notices.approve(BEN, 1)
        with pytest.raises(WrongStateError, match="is cancelled"):
            await here.services.notices.cancel(MARIA, 1)
