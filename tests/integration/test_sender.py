"""The sender: real connections, the real ledger, on both databases."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update

from bot.clock import now
from bot.demo.relays import Relay, cut, hang, refuse, reply
from bot.mail.sender import Sender
from storage import deliveries
from storage.db import Database
from storage.models import Campaign, CampaignState, Delivery, Evidence, Health, Lease, Server, Suppression, Timeline
from tests.seeds import add_campaign, add_server, settings_for, state_of, wish


@pytest.fixture
async def relay() -> AsyncIterator[Relay]:
    async with Relay() as relay:
        yield relay


@contextlib.asynccontextmanager
async def running(
    db: Database, url: str, folder: Path, *, sections: dict[str, object] | None = None, **sending: object
) -> AsyncIterator[Sender]:
    """`sending` are settings of that section; `sections` are others."""
    sender = Sender(db, settings_for(url, folder, sending=sending, **(sections or {})))
    task = asyncio.create_task(sender.run())
    try:
        yield sender
    finally:
        sender.stop()
        await task


async def until(check: Callable[[], Awaitable[bool]], within: float = 20) -> None:
    async with asyncio.timeout(within):
        while not await check():
            await asyncio.sleep(0.02)


async def until_state(db: Database, campaign_id: int, state: CampaignState, within: float = 20) -> None:
    async def reached() -> bool:
        return await state_of(db, campaign_id) == state

    await until(reached, within)


async def counts(db: Database, campaign_id: int) -> dict[str, int]:
    async with db.read() as tx:
        return {status: number for status, number in (await deliveries.counts(tx, campaign_id)).items() if number}


def each_once(relay: Relay, expected: int) -> None:
    got = Counter(rcpt for message in relay.messages for rcpt in message.recipients)
    assert len(got) == expected
    assert set(got.values()) == {1}


async def test_it_sends_everybody_exactly_one_message(
    db: Database, database_url: str, tmp_path: Path, relay: Relay
) -> None:
    campaign = await add_campaign(db, await add_server(db, "primary", relay.port), 700)
    async with running(db, database_url, tmp_path):
        await until_state(db, campaign, CampaignState.FINISHED)
    each_once(relay, 700)
    assert await counts(db, campaign) == {"delivered": 700}
    async with db.read() as tx:
        assert (await tx.scalars(select(Lease))).all() == []
        said = (await tx.scalars(select(Timeline.text))).all()
    assert said == ["spring-sale is finished: 700 of 700 delivered."]
    assert list((tmp_path / "journals").glob("*.journal")) == []


async def test_a_pause_lets_nothing_more_out_and_resume_completes_it(
    db: Database, database_url: str, tmp_path: Path, relay: Relay
) -> None:
    campaign = await add_campaign(db, await add_server(db, "primary", relay.port), 3000)
    async with running(db, database_url, tmp_path):
        await relay.wait_for(300)
        await wish(db, campaign, CampaignState.PAUSING, CampaignState.PAUSED)
        await until_state(db, campaign, CampaignState.PAUSED)
        arrived = relay.count
        assert arrived < 3000
        await asyncio.sleep(0.3)
        assert relay.count == arrived
        assert await counts(db, campaign) == {"delivered": arrived, "queued": 3000 - arrived}
        await wish(db, campaign, CampaignState.SENDING, CampaignState.SENDING)
        await until_state(db, campaign, CampaignState.FINISHED)
    each_once(relay, 3000)


async def test_a_pause_does_not_wait_for_a_look_that_takes_long(
    db: Database, database_url: str, tmp_path: Path, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = await add_campaign(db, await add_server(db, "primary", relay.port, rate_per_second=100), 400)
    async with running(db, database_url, tmp_path) as sender:
        await relay.wait_for(20)
        begun, over, look = asyncio.Event(), asyncio.Event(), sender.step

        async def slow_look() -> None:
            begun.set()
            await over.wait()
            await look()

        monkeypatch.setattr(sender, "step", slow_look)
        await begun.wait()
        await wish(db, campaign, CampaignState.PAUSING, CampaignState.PAUSED)
        await asyncio.sleep(0.2)
        arrived = relay.count
        await asyncio.sleep(0.3)
        assert relay.count == arrived < 400
        over.set()
        await until_state(db, campaign, CampaignState.PAUSED)
    assert relay.count == arrived


async def test_a_pause_that_was_taken_back_before_the_next_look_holds_nothing_up(
    db: Database, database_url: str, tmp_path: Path, relay: Relay
) -> None:
    campaign = await add_campaign(db, await add_server(db, "primary", relay.port, rate_per_second=200), 300)
    async with running(db, database_url, tmp_path) as sender:
        for part in (1, 2, 3):
            await relay.wait_for(part * 50)
            for job in sender._jobs.values():
                job.halt()  # as the watch does; the look that follows finds it sending again
        await until_state(db, campaign, CampaignState.FINISHED)
    each_once(relay, 300)
    assert await counts(db, campaign) == {"delivered": 300}


async def test_a_cancelled_campaign_stops_for_good(
    db: Database, database_url: str, tmp_path: Path, relay: Relay
) -> None:
    campaign = await add_campaign(db, await add_server(db, "primary", relay.port), 3000)
    async with running(db, database_url, tmp_path):
        await relay.wait_for(100)
        await wish(db, campaign, CampaignState.PAUSING, CampaignState.CANCELLED)
        await until_state(db, campaign, CampaignState.CANCELLED)
        assert (await counts(db, campaign))["delivered"] == relay.count < 3000


async def test_refused_recipients_are_suppressed_and_the_others_get_their_mail(
    db: Database, database_url: str, tmp_path: Path, relay: Relay
) -> None:
    campaign = await add_campaign(db, await add_server(db, "primary", relay.port), 50)
    await relay.behave(reply("rcpt", 550, "5.1.1 No such user", recipients=frozenset({"p7@example.com"})))
    async with running(db, database_url, tmp_path):
        await until_state(db, campaign, CampaignState.FINISHED)
    assert await counts(db, campaign) == {"delivered": 49, "failed_permanent": 1}
    async with db.read() as tx:
        assert (await tx.scalars(select(Suppression.email_key))).all() == ["p7@example.com"]
        failed = (await tx.scalars(select(Delivery).where(Delivery.n == 7))).one()
    assert (failed.stage, failed.code, failed.retry) == ("rcpt", 550, "never")


async def test_who_is_suppressed_while_their_message_waits_gets_none_and_is_not_remembered_for_ever(
    db: Database, database_url: str, tmp_path: Path, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.mail.jobs._REMEMBERED", 0.1)
    server = await add_server(db, "primary", relay.port, rate_per_second=30)
    campaign = await add_campaign(db, server, 75)
    async with running(db, database_url, tmp_path) as sender:
        await relay.wait_for(5)
        (job,) = sender._jobs.values()
        addresses = ["p75@example.com", *(f"other{number}@example.com" for number in range(500))]
        async with db.transaction() as tx:
            at = now() - timedelta(seconds=4.5)  # their transaction took so long
            gone = {"reason": "asked", "source": "unsubscribe", "at": at}
            await tx.execute(insert(Suppression), [{"email_key": address} | gone for address in addresses])

        async def is_known() -> bool:
            return "other7@example.com" in job.suppressed

        async def is_forgotten() -> bool:
            return not job.suppressed

        await until(is_known)
        await until(is_forgotten)
        assert relay.count < 70, "the last of them still waits"
        await until_state(db, campaign, CampaignState.FINISHED)
    assert await counts(db, campaign) == {"delivered": 74, "suppressed": 1}
    each_once(relay, 74)


async def test_suppressed_people_and_expired_offers_are_not_mailed(
    db: Database, database_url: str, tmp_path: Path, relay: Relay
) -> None:
    server = await add_server(db, "primary", relay.port)
    campaign = await add_campaign(db, server, 20)
    expired = await add_campaign(db, server, 5, name="old-offer", expires_at=now() - timedelta(minutes=1))
    async with db.transaction() as tx:
        tx.add(Suppression(email_key="p3@example.com", reason="asked", source="unsubscribe", at=now()))
    async with running(db, database_url, tmp_path):
        await until_state(db, campaign, CampaignState.FINISHED)
        await until_state(db, expired, CampaignState.FINISHED)
    assert await counts(db, campaign) == {"delivered": 19, "suppressed": 1}
    assert (await counts(db, expired))["expired"] >= 4
    assert "p3@example.com" not in {rcpt for message in relay.messages for rcpt in message.recipients}
    assert relay.count == 19


async def test_a_server_that_refuses_connections_costs_no_delivery(
    db: Database, database_url: str, tmp_path: Path, relay: Relay
) -> None:
    campaign = await add_campaign(db, await add_server(db, "primary", relay.port), 40)
    await relay.behave(refuse())
    async with running(db, database_url, tmp_path):

        async def noticed() -> bool:
            async with db.read() as tx:
                return (await tx.scalar(select(Evidence.stage).where(Evidence.failed > 0).limit(1))) == "connect"

        await until(noticed)
        assert await counts(db, campaign) == {"queued": 40}
        await relay.heal()
        await until_state(db, campaign, CampaignState.FINISHED)
    each_once(relay, 40)


async def test_a_server_out_of_space_costs_a_bounded_number_and_all_can_go_again(
    db: Database, database_url: str, tmp_path: Path, relay: Relay
) -> None:
    campaign = await add_campaign(db, await add_server(db, "primary", relay.port), 1000)
    await relay.behave(reply("mail", 452, "4.3.1 Insufficient system storage"))
    async with running(db, database_url, tmp_path, stop_after_failures=30):

        async def failing() -> bool:
            return (await counts(db, campaign)).get("failed_temporary", 0) >= 30

        await until(failing)
        assert (await counts(db, campaign))["failed_temporary"] < 60
        async with db.read() as tx:
            failed = (await tx.scalars(select(Delivery).where(Delivery.status == "failed_temporary"))).all()
        assert {(row.retry, row.code) for row in failed} == {("safe", 452)}
        await relay.heal()
        await until_state(db, campaign, CampaignState.FINISHED)
    final = await counts(db, campaign)
    assert final["delivered"] + final["failed_temporary"] == 1000
    assert relay.count == final["delivered"]


async def test_a_connection_cut_after_the_dot_is_unknown_and_never_sent_again(
    db: Database, database_url: str, tmp_path: Path, relay: Relay
) -> None:
    campaign = await add_campaign(db, await add_server(db, "primary", relay.port), 30)
    await relay.behave(cut("dot", recipients=frozenset({"p5@example.com"})))
    async with running(db, database_url, tmp_path):
        await until_state(db, campaign, CampaignState.FINISHED)
    assert await counts(db, campaign) == {"delivered": 29, "unknown": 1}
    async with db.read() as tx:
        assert await deliveries.unknown_names(tx, campaign) == ["p5@example.com"]


async def test_421_in_the_middle_loses_nobody(db: Database, database_url: str, tmp_path: Path, relay: Relay) -> None:
    campaign = await add_campaign(db, await add_server(db, "primary", relay.port), 200)
    await relay.behave(reply("rcpt", 421, "4.3.2 Too busy", close=True, every=20))
    async with running(db, database_url, tmp_path):
        await relay.wait_for(100)
        await relay.heal()
        await until_state(db, campaign, CampaignState.FINISHED)
    final = await counts(db, campaign)
    assert final["delivered"] + final.get("failed_temporary", 0) == 200
    assert final["delivered"] == relay.count


async def test_pausing_a_server_that_hangs_at_the_dot_leaves_the_rest_unsent_and_names_the_unknown(
    db: Database, database_url: str, tmp_path: Path, relay: Relay
) -> None:
    server = await add_server(db, "primary", relay.port, max_connections=3)
    campaign = await add_campaign(db, server, 100)
    await relay.behave(hang("dot"))
    async with running(db, database_url, tmp_path, settle_timeout=0.3):
        await relay.wait_for_connections(3)
        await asyncio.sleep(0.2)
        await wish(db, campaign, CampaignState.PAUSING, CampaignState.PAUSED)
        await until_state(db, campaign, CampaignState.PAUSED)
    assert await counts(db, campaign) == {"queued": 97, "unknown": 3}


async def test_failover_in_the_middle_mails_nobody_twice(
    db: Database, database_url: str, tmp_path: Path, relay: Relay
) -> None:
    async with Relay() as backup:
        primary_id = await add_server(db, "primary", relay.port)
        backup_id = await add_server(db, "backup", backup.port)
        campaign = await add_campaign(db, primary_id, 2000)
        async with running(db, database_url, tmp_path):
            await relay.wait_for(200)
            await relay.behave(refuse())
            async with db.transaction() as tx:
                await tx.execute(update(Server).where(Server.id == primary_id).values(failover_to_id=backup_id))
            await until_state(db, campaign, CampaignState.FINISHED)
        got = Counter(r for m in [*relay.messages, *backup.messages] for r in m.recipients)
        final = await counts(db, campaign)
        assert set(got.values()) == {1}
        assert final["delivered"] + final.get("unknown", 0) == 2000
        assert len(got) >= final["delivered"]
        assert backup.count > 1000


async def test_nothing_goes_through_a_server_that_is_down_or_drained(
    db: Database, database_url: str, tmp_path: Path, relay: Relay
) -> None:
    server = await add_server(db, "primary", relay.port, health=Health.DOWN)
    campaign = await add_campaign(db, server, 10)
    async with running(db, database_url, tmp_path):
        await asyncio.sleep(0.4)
        assert relay.count == 0
        async with db.transaction() as tx:
            await tx.execute(update(Server).values(health=Health.UP))
        await until_state(db, campaign, CampaignState.FINISHED)
    each_once(relay, 10)


async def test_a_field_that_cannot_be_used_stops_one_recipient_and_says_why(
    db: Database, database_url: str, tmp_path: Path, relay: Relay
) -> None:
    from storage.models import Recipient

    campaign = await add_campaign(db, await add_server(db, "primary", relay.port), 10)
    async with db.transaction() as tx:
        await tx.execute(
            update(Recipient).where(Recipient.n == 4).values(fields={"name": "Eve\r\nBcc: all@example.com"})
        )
    async with running(db, database_url, tmp_path):
        await until_state(db, campaign, CampaignState.FINISHED)
    assert relay.count == 9
    async with db.read() as tx:
        row = (await tx.scalars(select(Delivery).where(Delivery.n == 4))).one()
    assert row.status == "failed_permanent"
    assert row.attempts == 0
    assert row.reply is not None
    assert "name" in row.reply


async def test_a_pause_is_confirmed_when_nothing_of_it_runs(db: Database, database_url: str, tmp_path: Path) -> None:
    campaign = await add_campaign(db, await add_server(db, "primary", 1), 10, state=CampaignState.PAUSING)
    await wish(db, campaign, CampaignState.PAUSING, CampaignState.PAUSED)
    async with running(db, database_url, tmp_path):
        await until_state(db, campaign, CampaignState.PAUSED)
    async with db.read() as tx:
        row = await tx.get_one(Campaign, campaign)
    assert row.slipped == 0
    assert row.confirmed_at is not None


async def test_a_message_that_cannot_be_made_pauses_its_campaign_and_says_why(
    db: Database, database_url: str, tmp_path: Path, relay: Relay
) -> None:
    campaign = await add_campaign(db, await add_server(db, "primary", relay.port), 10, text="Hello {{ surname }}")
    async with running(db, database_url, tmp_path):
        await until_state(db, campaign, CampaignState.PAUSED)
    async with db.read() as tx:
        said = (await tx.scalars(select(Timeline.text))).all()
    assert relay.count == 0
    assert len(said) == 1
    assert "surname" in said[0]
