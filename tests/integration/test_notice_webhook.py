"""The webhook of a notice: tried again while that can help, given up when it cannot, never called under another id."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from aiohttp import web
from sqlalchemy import select

from bot.clock import now
from storage.db import Database
from storage.models import Campaign, CampaignState, NoticeState, Suppression, WebhookCall
from tests.integration.notice_support import BEN, MARIA, SECRET, TEXT, Receiver, approved, outage, receiving
from tests.outage_world import World


@asynccontextmanager
async def told(db: Database, folder: Path) -> AsyncIterator[tuple[World, Receiver]]:
    """An approved notice whose mailing is done, so that only the webhook is left."""
    async with (
        receiving() as hook,
        outage(db, folder, recipients=1, notices={"webhook_url": hook.url, "webhook_secret": SECRET}) as here,
    ):
        notice = await here.services.notices.draft(MARIA, TEXT)
        await approved(here, notice)
        async with db.transaction() as tx:
            mailing = (await tx.scalars(select(Campaign).where(Campaign.kind == "notice"))).one()
            mailing.state = mailing.wish = CampaignState.FINISHED
        yield here, hook


async def call_of(db: Database) -> WebhookCall:
    async with db.read() as tx:
        return (await tx.scalars(select(WebhookCall))).one()


async def test_it_is_tried_again_with_growing_pauses_under_the_same_id(db: Database, tmp_path: Path) -> None:
    async with told(db, tmp_path) as (here, hook):
        hook.answers = [web.Response(status=503, text="we are asleep"), web.Response(status=500), web.Response()]
        with time_machine.travel(now(), tick=False) as clock:
            pauses = []
            for _ in range(2):
                await here.services.notices.tick()
                call = await call_of(db)
                assert call.next_at is not None
                pauses.append(call.next_at - now())
                await here.services.notices.tick()
                clock.move_to(call.next_at)
            assert len(hook.calls) == 2, "nothing is tried before its time"
            assert timedelta(seconds=1) <= pauses[0] <= timedelta(seconds=1.5)
            assert timedelta(seconds=2) <= pauses[1] <= timedelta(seconds=3)
            await here.services.notices.tick()
            await here.services.notices.tick()
        assert len({headers["X-Holdfast-Delivery"] for headers, _ in hook.calls}) == 1
        assert len({body for _, body in hook.calls}) == 1
        assert len({headers["X-Holdfast-Signature"] for headers, _ in hook.calls}) == 3, "each signs its own moment"
        [finished] = await here.said("notice.finished")
        assert finished.endswith("webhook delivered.")


async def test_it_waits_as_long_as_the_receiver_asks(db: Database, tmp_path: Path) -> None:
    async with told(db, tmp_path) as (here, hook):
        hook.answers = [web.Response(status=429, headers={"Retry-After": "120"})]
        with time_machine.travel(now(), tick=False):
            await here.services.notices.tick()
            call = await call_of(db)
            assert call.next_at == now() + timedelta(seconds=120)
            assert call.error == "it answered 429"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"status": 404, "text": "no such hook"}, "it answered 404: no such hook"),
        ({"status": 302, "headers": {"Location": "http://127.0.0.1/elsewhere"}}, "redirects are not followed"),
    ],
)
async def test_what_can_never_work_is_given_up_at_once_and_said(
    db: Database, tmp_path: Path, answer: dict[str, Any], said: str
) -> None:
    async with told(db, tmp_path) as (here, hook):
        hook.answers = [web.Response(**answer)]
        await here.services.notices.tick()
        await here.services.notices.tick()
        assert len(hook.calls) == 1
        [gone] = await here.said("notice.webhook_given_up")
        assert gone.startswith("The webhook of notice 1 was given up after one attempt: ")
        assert said in gone
        [finished] = await here.said("notice.finished")
        assert "webhook not delivered" in finished


async def test_a_receiver_that_is_away_for_a_day_is_given_up(db: Database, tmp_path: Path) -> None:
    async with told(db, tmp_path) as (here, hook):
        hook.answers = [web.Response(status=503), web.Response(status=503)]
        began = now()
        with time_machine.travel(began, tick=False) as clock:
            await here.services.notices.tick()
            assert (await call_of(db)).given_up_at is None
            clock.move_to(began + timedelta(days=1))
            await here.services.notices.tick()
        [gone] = await here.said("notice.webhook_given_up")
        assert "after 2 attempts: it answered 503" in gone


async def test_a_receiver_that_cannot_be_reached_is_tried_again(db: Database, tmp_path: Path) -> None:
    section = {"webhook_url": "http://127.0.0.1:9/hook", "webhook_secret": SECRET}
    async with outage(db, tmp_path, recipients=1, notices=section) as here:
        await approved(here, await here.services.notices.draft(MARIA, TEXT))
        await here.services.notices.tick()
        call = await call_of(db)
        assert (call.attempts, call.given_up_at) == (1, None)
        assert (call.error or "").startswith("it cannot be reached")


async def test_an_attempt_that_a_crash_interrupts_is_made_again(db: Database, tmp_path: Path) -> None:
    async with told(db, tmp_path) as (here, hook):
        with time_machine.travel(now(), tick=False) as clock:
            async with db.transaction() as tx:
                # What is in the table when the process dies between the claim and the answer.
                call = (await tx.scalars(select(WebhookCall))).one()
                call.attempts, call.next_at = 1, now() + timedelta(seconds=30)
            await here.services.notices.tick()
            assert hook.calls == []
            clock.shift(timedelta(seconds=30))
            await here.services.notices.tick()
            assert len(hook.calls) == 1
        assert (await call_of(db)).delivered_at is not None


async def test_cancelling_stops_the_calls(db: Database, tmp_path: Path) -> None:
    async with told(db, tmp_path) as (here, hook):
        hook.answers = [web.Response(status=503), web.Response(status=503)]
        with time_machine.travel(now(), tick=False) as clock:
            await here.services.notices.tick()
            await here.services.notices.cancel(BEN)
            clock.shift(timedelta(minutes=10))
            await here.services.notices.tick()
        assert len(hook.calls) == 1
        assert (await here.services.notices.status(1)).notice.state == NoticeState.FINISHED
        assert "cancelled by <@U0BEN>" in (await here.said("notice.finished"))[0]


async def test_a_notice_may_go_to_the_webhook_alone(db: Database, tmp_path: Path) -> None:
    async with receiving() as hook:
        section = {"webhook_url": hook.url, "webhook_secret": SECRET}
        async with outage(db, tmp_path, recipients=1, notices=section) as here:
            async with db.transaction() as tx:
                tx.add(Suppression(email_key="p1@example.com", reason="asked", source="person", at=now()))
            await approved(here, await here.services.notices.draft(MARIA, TEXT))
            await here.services.notices.tick()
            await here.services.notices.tick()
            assert len(hook.calls) == 1
            assert await here.said("notice.finished") == ["Notice 1 is sent: webhook delivered."]
            assert await here.said("notice.approved") == ["<@U0BEN> approved notice 1: it goes out to the webhook."]
