"""PostgreSQL hangs: people are answered all the same, and in time."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Any, cast

import pytest
from sqlalchemy import text

from bot.access import Actor
from storage.db import Database
from tests.command_world import command_world
from tests.integration.test_command_over_slack import workspace
from tests.seeds import add_server

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
EVA = Actor("U0EVA", "eva")
ROLES = {"responder": [EVA.id], "sender": ["U0MARIA"]}
LONG = 3.0
"""Seconds that Slack waits for an ack; psycopg gives a hanging connection up after 5."""


@asynccontextmanager
async def hanging(db: Database) -> AsyncIterator[None]:
    """The processes that serve the open connections stand still."""
    async with db.read() as tx:
        query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
        pids = [int(pid) for pid in (await tx.execute(text(query))).scalars()]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


async def test_a_look_at_the_broken_glasses_holds_up_nobody(db: Database, tmp_path: Path) -> None:
    async with command_world(db, tmp_path, roles=ROLES) as world:
        access, glasses = world.services.access, world.services.break_glass
        await world.type("/holdfast break-glass all senders are asleep and the price is wrong", EVA)
        async with hanging(db):
            began = monotonic()
            await glasses.refresh()
            assert monotonic() - began < LONG
            assert not access.allows(EVA, "campaign.start"), "what cannot be read gives nobody a role"
        await glasses.refresh()
        assert access.allows(EVA, "campaign.start")


async def test_a_form_says_in_time_that_it_has_to_wait(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        await add_server(db, "primary", 2525)
        await here.slack.command(here.maria, here.ops, "/outage declare")
        await here.slack.wait_until(lambda: here.slack.open_views(here.maria), what="a form")
        view = here.slack.open_views(here.maria)[-1]
        values = {"server": "primary", "text": "nothing comes", "severity": "minor"}
        async with hanging(db):
            delivery = await here.slack.submit_view(here.maria, view, values)
            assert delivery.acked_in is not None
            assert delivery.acked_in < timedelta(seconds=LONG)
            assert any("does not answer in time" in each for each in view.errors.values())
        await here.slack.submit_view(here.maria, view, values)
        await here.edge.drain()
        assert "1 unresolved outage" in await here.type("/outage list")


async def test_a_line_that_is_cut_without_a_word_is_noticed(db: Database) -> None:
    async with db.connection() as connection:
        line = cast("Any", (await connection.get_raw_connection()).driver_connection)
        said = line.info.get_parameters()
    assert said["tcp_user_timeout"] == "10000"
    assert (said["keepalives_idle"], said["keepalives_count"]) == ("5", "3")
