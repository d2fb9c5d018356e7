"""What a provider's rebuffs taught is kept over a restart, shown, and forgotten when it is over: on both databases."""

import asyncio
import dataclasses
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

import commands
from bot.access import Actor
from bot.clock import now
from bot.config import ProviderSettings
from bot.demo.relays import Relay, reply
from bot.mail.known_paces import KnownPaces
from bot.mail.pacing import KEEP, Learned, Paces
from bot.services.bundle import build
from bot.services.provider_paces import SlowedProvider, slowed
from bot.slack.call import Call
from bot.slack.plain import plain
from storage import workers
from storage.db import Database
from storage.models import CampaignState, ProviderPace, Worker
from tests.integration.test_providers_are_paced import move
from tests.integration.test_sender import counts, each_once, running, until, until_state
from tests.seeds import add_campaign, add_server, settings_for, wish

WHY = "450 4.7.28 too many messages"


async def rows(db: Database) -> dict[tuple[str, str], ProviderPace]:
    async with db.read() as tx:
        return {(row.worker, row.provider): row for row in await tx.scalars(select(ProviderPace))}


async def shown(db: Database, server: int) -> tuple[SlowedProvider, ...]:
    async with db.read() as tx:
        return await slowed(tx, server, now())


async def come(db: Database, *names: str) -> None:
    """Workers of these names are at work, and no others."""
    async with db.transaction() as tx:
        await workers.leave(tx, await workers.at_work(tx))
        for name in names:
            beat = {"started_at": now(), "seen_at": now()}
            await workers.beat(tx, Worker(id=name, host="mx", pid=1, boot_id="b", journal="", **beat))


async def put_off(known: KnownPaces, paces: Paces, address: str, flow: float) -> None:
    paces.put_off(address, asyncio.get_running_loop().time(), flow, WHY)
    await kept(known)


async def kept(known: KnownPaces) -> None:
    known.keep()
    if known._writing is not None:
        await known._writing


async def test_what_was_learned_holds_after_a_restart_and_goes_on_to_recover(db: Database) -> None:
    server = await add_server(db, "primary", 25)
    await come(db, "first")
    known = KnownPaces(db, "first", {})
    paces = await known.open(server)
    assert paces.limited == {}
    await put_off(known, paces, "anna@googlemail.com", 40)
    (row,) = (await rows(db)).values()
    assert (row.provider, row.rate, row.free_rate, row.rests, row.reason) == ("gmail.com", 20, 160, 1, WHY)
    assert row.rests_until - row.put_off_at == timedelta(seconds=5)

    await come(db, "second")
    again = await KnownPaces(db, "second", {}).open(server)
    pace = again.of("bob@gmail.com")
    assert pace is not None
    was = paces.learned()[0]
    assert dataclasses.replace(pace.learned("gmail.com") or was, since=0, put_off_at=0, rests_until=0) == (
        dataclasses.replace(was, since=0, put_off_at=0, rests_until=0)
    )
    assert pace.next_at == pytest.approx(was.rests_until, abs=0.01), "it rests until then, whoever asks"
    assert set(await rows(db)) == {("second", "gmail.com")}, "who learned it is gone"

    at = pace.next_at
    while pace.is_learned and at < pace.next_at + 3_600:
        pace.took(at)
        at += 1
    assert 60 < at - was.rests_until < 120, "a quarter every ten seconds, from 20 to 160"


async def test_a_row_follows_each_step_and_ends_with_the_pace(db: Database) -> None:
    server = await add_server(db, "primary", 25)
    known = KnownPaces(db, "one", {})
    paces = await known.open(server)
    await put_off(known, paces, "a@slow.example", 40)
    await put_off(known, paces, "b@other.example", 8)
    pace = paces.limited["slow.example"]

    pace.rate = 22.0  # less than a step
    await kept(known)
    assert (await rows(db))["one", "slow.example"].rate == 20
    pace.rate = 25.0
    await kept(known)
    assert (await rows(db))["one", "slow.example"].rate == 25

    pace.end()
    assert paces.forget(0) == ["slow.example"]
    await kept(known)
    assert set(await rows(db)) == {("one", "other.example")}
    paces.limited["other.example"].end()
    await known.close(server)
    assert await rows(db) == {}


async def test_it_is_over_after_a_day_without_a_rebuff_even_if_nothing_was_sent(db: Database) -> None:
    server = await add_server(db, "primary", 25)
    known = KnownPaces(db, "one", {})
    paces = await known.open(server)
    await put_off(known, paces, "a@slow.example", 40)
    at = asyncio.get_running_loop().time()
    assert paces.forget(at + KEEP.total_seconds() - 60) == []
    assert paces.forget(at + KEEP.total_seconds() + 60) == ["slow.example"]

    async with db.transaction() as tx:
        (row,) = await tx.scalars(select(ProviderPace))
        row.put_off_at = now() - KEEP - timedelta(minutes=1)
    assert await shown(db, server) == ()
    assert (await KnownPaces(db, "two", {}).open(server)).limited == {}
    assert await rows(db) == {}


async def test_the_settings_bound_what_was_learned(db: Database) -> None:
    server = await add_server(db, "primary", 25)
    known = KnownPaces(db, "one", {})
    paces = await known.open(server)
    await put_off(known, paces, "a@slow.example", 40)
    await come(db)
    limits = {"slow.example": ProviderSettings(domains=["slow.example"], rate_per_second=15)}
    pace = (await KnownPaces(db, "two", limits).open(server)).of("a@slow.example")
    assert pace is not None
    assert (pace.rate, pace.is_learned) == (15, False), "they allow less than that"


async def test_a_worker_that_comes_goes_on_as_slowly_as_the_slowest_and_status_adds_them_up(db: Database) -> None:
    server, other = await add_server(db, "primary", 25), await add_server(db, "second", 25)
    await come(db, "one", "two", "gone")
    for name, flow in (("one", 40), ("two", 24), ("gone", 60)):
        known = KnownPaces(db, name, {})
        paces = Paces()
        await known.open(server)
        known._open[server].paces = paces
        await put_off(known, paces, "a@gmail.com", flow)
    await come(db, "one", "two", "three")
    pace = (await KnownPaces(db, "three", {}).open(server)).of("b@gmail.com")
    assert pace is not None
    assert pace.rate == 12
    assert {worker: row.rate for (worker, _), row in (await rows(db)).items()} == {"one": 20, "two": 12, "three": 12}
    (slow,) = await shown(db, server)
    assert (slow.name, slow.rate, slow.workers, slow.reply) == ("gmail.com", 44, 3, WHY)
    assert await shown(db, other) == ()


def test_a_clock_that_was_set_back_makes_nobody_rest_for_hours() -> None:
    paces = Paces()
    paces.resume([Learned("slow.example", 5, 80, WHY, 2, rests_until=90_000, since=0, put_off_at=10)], at=100)
    assert paces.limited["slow.example"].next_at == 400


async def test_a_server_that_slows_us_down_is_seen_in_status_until_it_is_over(
    db: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.mail.pacing.FIRST_REST", 1.0)
    monkeypatch.setattr("bot.mail.pacing._RISE_EVERY", 0.1)
    monkeypatch.setattr("bot.mail.pacing._FREE_AT", 1)
    services = build(db, settings_for(database_url, tmp_path))

    async def says(line: str, words: str) -> bool:
        view = await commands.run(services, Call(actor=Actor(id="anna", name="anna"), words=""), line)
        return words in plain(view.blocks, view.text)

    async with Relay() as relay:
        server = await add_server(db, "primary", relay.port, max_connections=5)
        campaign = await add_campaign(db, server, 1_200, state=CampaignState.SCHEDULED)
        slow = await move(db, campaign, range(2, 1_201, 2))
        await relay.behave(reply("rcpt", 450, "4.7.28 too many messages", recipients=slow, after=100, times=2))
        async with running(db, database_url, tmp_path):
            await wish(db, campaign, CampaignState.SENDING, CampaignState.SENDING)

            async def is_known() -> bool:
                return bool(await shown(db, server))

            await until(is_known)
        (before,) = await shown(db, server)
        assert (before.name, before.workers, before.reply) == ("slow.example", 1, WHY)
        assert await says("/server status primary", "slow.example: ")
        assert await says("/server status primary", f": {WHY})")
        assert await says("/campaign status spring-sale", "🐢 Slower to slow.example (")

        arrived = relay.count
        async with running(db, database_url, tmp_path):
            (after,) = await shown(db, server)
            assert (after.name, after.put_off_at) == (before.name, before.put_off_at)
            await until_state(db, campaign, CampaignState.FINISHED, 60)

            async def is_over() -> bool:
                return not await shown(db, server)

            await until(is_over, 30)
        assert relay.count > arrived
        each_once(relay, 1_200)
        assert await counts(db, campaign) == {"delivered": 1_200}
        assert not await says("/server status primary", "Slowed by")
