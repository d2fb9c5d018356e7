"""A home tab shows what is going on, changes with it, and is left alone when nothing changed."""

import asyncio
import re
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import time_machine

from bot.clock import now
from storage import homes, ramps
from storage.db import Database, Tx
from storage.models import Campaign, CampaignState, HomeTab, Server
from storage.ramps import Send
from tests.integration.home_support import showing, workspace
from tests.seeds import add_campaign, add_server


async def test_it_shows_what_is_going_on_and_changes_with_it(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        await add_campaign(db, await add_server(db, "primary", 2525, health="up", health_since=now()), 10)
        await here.open(here.maria)
        assert "No sender is running" in here.sees(here.maria)
        assert "Campaigns: 1 sending" in here.sees(here.maria)

        declared = await here.services.outages.declare(here.actor(here.jonas), "primary", "customers miss mail")

        seen = await here.until(here.maria, "nobody has it")
        assert f"Outage #{declared.outage.id}" in seen
        assert "1 affected, 1 held" in seen
        assert f"spring-sale stopping, held by outage #{declared.outage.id}" in seen
        assert "[Acknowledge]" in seen

        await here.services.outages.acknowledge(here.actor(here.jonas), declared.outage.id)
        assert "[Acknowledge]" not in await here.until(here.maria, "@Jonas has it")


async def test_what_goes_out_in_stages_shows_where_it_is_among_them(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        campaign = await add_campaign(db, await add_server(db, "primary", 2525), 100)
        send, sizes = Send((campaign,), None), [1, 5, 25, 100]
        async with db.transaction() as tx:
            await ramps.put(tx, send, stages=sizes, sizes=sizes, stage=1, due_at=now() + timedelta(minutes=8))
        await here.open(here.maria)
        assert re.search(r"ramp: 5 % of 1, 5, 25, 100 %; goes on at \d\d:\d\d", here.sees(here.maria))

        async with db.transaction() as tx:
            await ramps.put(tx, send, stage=2, due_at=None)
        await here.until(here.maria, "ramp: 25 % of 1, 5, 25, 100 %; goes on when this stage is out")

        await here.services.campaigns.pause(here.actor(here.maria), "spring-sale", "look at it")
        assert "goes on when" not in await here.until(here.maria, "spring-sale stopping, paused by @Maria")


async def test_nothing_is_given_to_slack_again_while_nothing_changes(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        server = await add_server(db, "primary", 2525, health="up", health_since=now())
        await here.open(here.maria)
        async with db.transaction() as tx:  # another process probes
            row = await tx.get_one(Server, server)
            row.last_probe_at, row.last_ms = now(), 17
        await here.beats()

        assert here.published() == 1


async def test_a_tab_that_arrives_during_a_slow_look_is_not_given_again(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slowly(tx: Tx, since: datetime) -> Sequence[HomeTab]:
        used = await used_since(tx, since)
        await asyncio.sleep(0.1)  # what was on its way when it began has arrived before its end
        return used

    used_since = homes.used_since
    monkeypatch.setattr(homes, "used_since", slowly)
    async with workspace(db, tmp_path) as here:
        await here.open(here.maria)
        await here.settled()
        await here.beats()

        assert here.published() == 1


async def test_an_opening_that_is_delivered_twice_is_one(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        first = await here.slack.open_home(here.maria)
        assert first is not None
        await here.slack.wait_until(here.published, what="a home tab")
        await here.slack.redeliver(first)
        await here.beats()

        assert here.published() == 1


async def test_a_start_goes_on_where_the_last_one_ended(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        await add_server(db, "primary", 2525, health="up", health_since=now())
        await here.open(here.maria)
        await here.settled()
        before = here.published()

        async with showing(here.services, here.slack):
            await here.beats()
            assert here.published() == before
        async with showing(here.services, here.slack):
            await here.services.outages.declare(here.actor(here.jonas), "primary", "slow")
            await here.until(here.maria, "nobody has it")


async def test_who_has_not_looked_for_a_week_is_left_alone_until_they_look(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        await add_server(db, "primary", 2525, health="up", health_since=now())
        with time_machine.travel(now() - timedelta(days=8), tick=True):
            await here.open(here.maria)
            await here.settled()
        before = here.published()
        await here.services.outages.declare(here.actor(here.jonas), "primary", "slow")
        await here.beats()
        assert here.published() == before

        await here.open(here.maria)
        await here.until(here.maria, "nobody has it")


async def a_large_house(db: Database) -> None:
    """50 servers that are down, and 500 campaigns in all states."""
    servers = [
        Server(name=f"server-{number:02}", host="mx", port=25, health="down", created_at=now()) for number in range(50)
    ]
    states = [*CampaignState]
    async with db.transaction() as tx:
        tx.add_all(servers)
        await tx.flush()
        tx.add_all(
            [
                Campaign(
                    name=f"mailing-{number:03}",
                    state=states[number % len(states)],
                    wish=states[number % len(states)],
                    state_since=now(),
                    server_id=servers[number % 50].id,
                    subject="Sale",
                    recipients=1000,
                    created_by="tests",
                    created_at=now(),
                )
                for number in range(500)
            ]
        )


async def test_a_large_house_is_read_quickly_and_fits_on_one_tab(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        await a_large_house(db)
        for number in range(8):
            await here.services.outages.declare(here.actor(here.maria), f"server-{number:02}", "broken " * 20)

        began = time.process_time()
        await here.services.home.house()
        took = time.process_time() - began
        await here.open(here.maria)

        seen = here.sees(here.maria)
        assert "and 3 more outages: /outage list" in seen
        assert "more that stand still: /campaign list paused" in seen
        assert "more that need a look: /server list" in seen
        assert took < 1.0, f"{took:.2f} s of the processor"
