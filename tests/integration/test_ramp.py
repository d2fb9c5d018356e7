"""A ramp with the real sender and a real relay: a part first, a wait, the next part; and what stops it."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from bot.access import Access
from bot.clock import now
from bot.config import Settings
from bot.demo.relays import Relay, reply
from bot.errors import NotAllowedError, WrongStateError
from bot.mail.sender import Sender
from bot.services.campaigns import Campaigns
from bot.services.ramps import Ramps
from storage import ramps
from storage.db import Database
from storage.models import Campaign, CampaignState, Hold, Post, Ramp, Suppression, Timeline
from storage.ramps import Send
from tests.resend_world import BEN, JOAN, MARIA, ROLES, world
from tests.seeds import add_campaign, add_server, settings_for, state_of


class Ramping:
    """A campaign, the sender, and what looks at it: every 20 ms here, so that nobody waits."""

    def __init__(self, db: Database, folder: Path, **ramp: object) -> None:
        self.db = db
        self.settings: Settings = settings_for(str(db.url), folder, roles=ROLES, ramp=ramp)
        access = Access(self.settings.roles, [])
        self.campaigns = Campaigns(db, self.settings, access)
        self.ramps = Ramps(db, self.settings, access)
        self.campaign = 0

    async def build(self, relay: Relay, recipients: int, rate: int | None = None) -> None:
        server = await add_server(self.db, "primary", relay.port, health="up", rate_per_second=rate)
        self.campaign = await add_campaign(self.db, server, recipients, state=CampaignState.SCHEDULED)

    @contextlib.asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        sender = Sender(self.db, self.settings)
        tasks = [asyncio.create_task(sender.run()), asyncio.create_task(self._look())]
        try:
            yield
        finally:
            sender.stop()
            tasks[1].cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _look(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(0.02)

    async def look(self) -> None:
        async with self.db.read() as tx:
            found = await ramps.sending(tx)
        for send in found:
            await self.ramps.look(send)

    async def ramp(self) -> Ramp:
        async with self.db.read() as tx:
            found = await ramps.of(tx, Send((self.campaign,), None))
            assert found is not None
            return found

    async def until_waiting(self, stage: int) -> Ramp:
        """Until everything of this stage has its result, and the wait for the next one has begun."""
        async with asyncio.timeout(20):
            while (found := await self.ramp()).stage != stage or found.due_at is None:
                await asyncio.sleep(0.02)
            return found

    async def pass_time(self) -> None:
        """The wait is over."""
        async with self.db.transaction() as tx:
            await tx.execute(update(Ramp).where(Ramp.due_at.is_not(None)).values(due_at=now()))

    async def until(self, state: CampaignState) -> Campaign:
        async with asyncio.timeout(20):
            while await state_of(self.db, self.campaign) != state:
                await asyncio.sleep(0.02)
        async with self.db.read() as tx:
            return await tx.get_one(Campaign, self.campaign)

    async def said(self, kind: str) -> list[str]:
        async with self.db.read() as tx:
            return list(await tx.scalars(select(Timeline.text).where(Timeline.kind == kind).order_by(Timeline.id)))


def got(relay: Relay) -> Counter[str]:
    return Counter(address for message in relay.messages for address in message.recipients)


async def test_a_campaign_goes_out_stage_by_stage(db: Database, tmp_path: Path) -> None:
    it = Ramping(db, tmp_path)
    async with Relay() as relay:
        await it.build(relay, 400)
        result = await it.campaigns.start(MARIA, "spring", ramp=True)
        assert "in stages, 1, 5, 25, 100 %: 4 recipients first" in result.text
        async with it.sending():
            waiting = await it.until_waiting(0)
            assert waiting.due_at is not None
            assert now() + timedelta(minutes=29) < waiting.due_at < now() + timedelta(minutes=31)
            assert got(relay) == {f"p{n}@example.com": 1 for n in range(1, 5)}
            shown = (await it.campaigns.status("spring")).ramp
            assert shown is not None
            assert shown.line(now()).startswith("stage 1 of 4: 1 % · 4 of 400 may go · next stage <!date^")
            with pytest.raises(NotAllowedError):
                await it.ramps.next_of_campaign(BEN, "spring")
            assert (await it.ramps.next_of_campaign(MARIA, "spring")).startswith(
                "spring-sale goes on with 5 %: 20 of 400 may go now."
            )
            await it.until_waiting(1)
            assert relay.count == 20
        # Whoever looks after a restart finds the same stage and the same wait.
        async with it.sending():
            await it.pass_time()
            await it.until_waiting(2)
            assert relay.count == 100
            await it.pass_time()
            await it.until(CampaignState.FINISHED)
        assert got(relay) == {f"p{n}@example.com": 1 for n in range(1, 401)}
    with pytest.raises(WrongStateError):
        await it.ramps.next_of_campaign(MARIA, "spring")
    told = await it.said("campaign.stage")
    assert told[1:] == [
        "Holdfast lets spring-sale go on with stage 3 of 4, 25 %: 100 of 400 may go now. Of 20 so far 0 bounced.",
        "Holdfast lets spring-sale go on with stage 4 of 4, 100 %: 400 of 400 may go now. Of 100 so far 0 bounced.",
    ]
    async with db.read() as tx:
        parents = set(await tx.scalars(select(Post.parent_key).where(Post.key.startswith("timeline:"))))
        assert f"ramp:{(await it.ramp()).id}" in parents


async def test_a_list_full_of_unknown_addresses_stops_by_itself(db: Database, tmp_path: Path) -> None:
    it = Ramping(db, tmp_path, minimum=100)
    unknown = frozenset(f"p{n}@example.com" for n in range(5, 605, 5))
    async with Relay() as relay:
        await relay.behave(reply("rcpt", 550, "5.1.1 No such user", recipients=unknown))
        await it.build(relay, 1_200, rate=400)
        await it.campaigns.start(MARIA, "spring")  # without a ramp
        async with it.sending():
            stopped = await it.until(CampaignState.PAUSED)
            assert stopped.hold == Hold.THRESHOLD
            assert "were refused as unknown addresses" in (stopped.hold_reason or "")
            assert relay.count < 1_000
            [said] = await it.said("campaign.stopped")
            assert said == (
                f"Holdfast stopped spring-sale: {stopped.hold_reason}. Look at the list, then "
                "/campaign resume spring-sale goes on."
            )
            # Whoever lets it go on has seen what came back: the same figures do not stop it again.
            await relay.behave()
            await it.campaigns.resume(MARIA, "spring")
            await it.until(CampaignState.FINISHED)
        assert len(await it.said("campaign.stopped")) == 1
        assert set(got(relay).values()) == {1}


async def test_complaints_stop_it_and_those_of_other_mail_do_not(db: Database, tmp_path: Path) -> None:
    it = Ramping(db, tmp_path, minimum=10, stages=[50, 100])
    async with Relay() as relay:
        await it.build(relay, 40)
        await it.campaigns.start(MARIA, "spring", ramp=True)
        async with it.sending():
            await it.until_waiting(0)
            async with db.transaction() as tx:
                for address in ("somebody@example.com", "p30@example.com"):  # the second has got nothing yet
                    tx.add(Suppression(email_key=address, reason="spam", source="complaint", at=now()))
            await it.look()
            assert await state_of(db, it.campaign) == CampaignState.SENDING
            async with db.transaction() as tx:
                tx.add(Suppression(email_key="p3@example.com", reason="spam", source="complaint", at=now()))
            stopped = await it.until(CampaignState.PAUSED)
        assert stopped.hold_reason == "1 of 20 was complained about (5.0 %, the limit is 0.3 %)"
        assert (await it.said("campaign.stopped"))[0].startswith("Holdfast stopped spring-sale at 50 %: 1 of 20")


async def test_a_resend_goes_out_stage_by_stage(db: Database, tmp_path: Path) -> None:
    it = Ramping(db, tmp_path)
    async with Relay() as relay:
        lost = await world(db, tmp_path, 200, port=relay.port)
        await lost.lose(range(1, 201))
        resend = await lost.resends.plan(MARIA, "spring-sale")
        await lost.resends.approve(JOAN, resend.id, resend.plan_hash, "ramp")
        async with it.sending():
            for stage, out in enumerate((2, 10, 50)):
                async with asyncio.timeout(20):
                    while (now_so := (await lost.resends.status(resend.id)).ramp) is None or not now_so.due_at:
                        await asyncio.sleep(0.02)
                assert (now_so.stage, relay.count) == (stage + 1, out)
                await it.ramps.next_of_resend(MARIA, resend.id)
            await lost.until_state(resend.id, "finished")
        assert got(relay) == {f"p{n}@example.com": 1 for n in range(1, 201)}


async def test_a_resend_that_comes_back_is_stopped(db: Database, tmp_path: Path) -> None:
    it = Ramping(db, tmp_path, minimum=20, hard_bounces=50)
    async with Relay() as relay:
        await relay.behave(reply("rcpt", 450, "4.2.1 Try again later", every=2))
        lost = await world(db, tmp_path, 300, port=relay.port)
        await lost.change_server(health="up", rate_per_second=100)
        await lost.lose(range(1, 301))
        resend = await lost.resends.plan(MARIA, "spring-sale")
        await lost.resends.approve(JOAN, resend.id, resend.plan_hash)
        async with it.sending():
            paused = await lost.until_state(resend.id, "paused")
        assert (paused.note or "").startswith("stopped by Holdfast: ")
        assert "were put off by the server" in (paused.note or "")
        assert (await lost.said())[-2][1].endswith(f"then /resend resume {resend.id} goes on.")
