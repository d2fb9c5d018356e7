"""A wish is seen although nobody tells the sender, on both databases, and after the database has hung up."""

import asyncio

from sqlalchemy import text

from storage import changes
from storage.db import Database
from storage.models import CampaignState
from tests.seeds import add_campaign, add_server, wish

_HANG_UP = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE query LIKE '%ramp_to_n%' AND pid <> pg_backend_pid() AND datname = current_database()"
)


async def _next(watch: changes.Watch) -> dict[tuple[str, str], str]:
    async with asyncio.timeout(10):
        return {(kind, number): state for kind, number, state, _ in await watch.next()}


async def test_what_is_asked_is_seen_once(db: Database) -> None:
    server = await add_server(db, "primary", 25)
    async with changes.watch(db) as watch:
        assert await _next(watch) == {("server", str(server)): "unchecked", ("suppression", ""): ""}
        sale = await add_campaign(db, server, 3)
        assert (await _next(watch))["campaign", str(sale)] == "sending"
        again = asyncio.create_task(watch.next())
        await asyncio.sleep(0.2)
        assert not again.done()  # nothing else was asked
        await wish(db, sale, CampaignState.PAUSING, CampaignState.PAUSED)
        async with asyncio.timeout(10):
            assert ("campaign", str(sale), "pausing") in {row[:3] for row in await again}


async def test_a_database_that_hung_up_is_asked_again(db: Database) -> None:
    server = await add_server(db, "primary", 25)
    async with changes.watch(db) as watch:
        await _next(watch)
        if not db.is_sqlite:
            async with db.read() as tx:
                assert list(await tx.scalars(_HANG_UP)) == [True]
        sale = await add_campaign(db, server, 3)
        assert (await _next(watch))["campaign", str(sale)] == "sending"
