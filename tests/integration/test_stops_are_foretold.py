"""On SQLite what shall stop stops before the wish is written, which may have to wait for its turn at the file."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select

from bot.access import Access
from bot.config import Settings
from bot.demo.relays import Relay
from bot.errors import NotAllowedError, NotFoundError
from bot.services.campaigns import Campaigns
from storage import changes, stops
from storage.db import Database
from storage.errors import StorageError
from storage.models import Campaign, CampaignState
from tests.command_world import GUEST, MARIA
from tests.integration.test_resend_is_stopped import sending
from tests.integration.test_sender import counts, each_once, running, until_state
from tests.resend_world import BEN
from tests.seeds import add_campaign, add_server, settings_for, state_of


@pytest.fixture
async def other(sqlite_url: str) -> AsyncIterator[Database]:
    """As in another process, whose patience is half a second."""
    database = Database(sqlite_url, busy_timeout_ms=500)
    yield database
    await database.close()


@pytest.fixture
def settings(sqlite_url: str, tmp_path: Path) -> Settings:
    return settings_for(sqlite_url, tmp_path, roles={"responder": [MARIA.id]})


def campaigns_of(db: Database, settings: Settings) -> Campaigns:
    return Campaigns(db, settings, Access(settings.roles, settings.admins))


@contextlib.asynccontextmanager
async def going_out(db: Database, url: str, folder: Path, recipients: int) -> AsyncIterator[tuple[Relay, int]]:
    """A campaign of which fifty have left: the server that it goes through, and its id."""
    async with Relay() as relay:
        campaign = await add_campaign(db, await add_server(db, "primary", relay.port, rate_per_second=200), recipients)
        async with running(db, url, folder):
            await relay.wait_for(50)
            yield relay, campaign


async def standing(relay: Relay) -> int:
    """How many came, when no more do."""
    await asyncio.sleep(0.25)
    arrived = relay.count
    await asyncio.sleep(0.3)
    assert relay.count == arrived
    return arrived


@pytest.mark.parametrize("word", ["spring-sale", "spr", "all"])
async def test_nothing_leaves_while_a_pause_waits_for_its_turn(
    sqlite_url: str, sqlite_db: Database, other: Database, tmp_path: Path, settings: Settings, word: str
) -> None:
    async with going_out(sqlite_db, sqlite_url, tmp_path, 2000) as (relay, campaign):
        async with other.transaction():
            pausing = asyncio.create_task(campaigns_of(sqlite_db, settings).pause(MARIA, word))
            arrived = await standing(relay)
            assert await state_of(other, campaign) == CampaignState.SENDING
            assert not pausing.done()
        await pausing
        await until_state(sqlite_db, campaign, CampaignState.PAUSED)
        assert relay.count == arrived < 2000
        assert await counts(sqlite_db, campaign) == {"delivered": arrived, "queued": 2000 - arrived}
        async with sqlite_db.read() as tx:
            slipped = await tx.scalar(select(Campaign.slipped))
        assert slipped is not None
        assert slipped <= arrived - 40  # of fifty at least forty had ended before the command


async def test_a_pause_that_came_to_nothing_lets_all_go_on(
    sqlite_url: str, sqlite_db: Database, other: Database, tmp_path: Path, settings: Settings
) -> None:
    async with going_out(sqlite_db, sqlite_url, tmp_path, 300) as (relay, campaign):
        async with sqlite_db.transaction():
            pausing = asyncio.create_task(campaigns_of(other, settings).pause(MARIA, "spring-sale"))
            assert await standing(relay) < 300
            with pytest.raises(StorageError, match="locked by another program"):
                await pausing
        await until_state(sqlite_db, campaign, CampaignState.FINISHED)
        each_once(relay, 300)


async def test_only_what_is_named_stops(
    sqlite_url: str, sqlite_db: Database, other: Database, tmp_path: Path, settings: Settings
) -> None:
    async with Relay() as relay, Relay() as its_own:
        sale = await add_campaign(
            sqlite_db, await add_server(sqlite_db, "primary", relay.port, rate_per_second=200), 2000
        )
        backup = await add_server(sqlite_db, "backup", its_own.port, rate_per_second=200)
        news = await add_campaign(sqlite_db, backup, 2000, name="newsletter")
        async with running(sqlite_db, sqlite_url, tmp_path):
            await relay.wait_for(50)
            async with other.transaction():
                pausing = asyncio.create_task(campaigns_of(sqlite_db, settings).pause(MARIA, "spring-sale"))
                await asyncio.sleep(0.1)
                before = its_own.count
                await standing(relay)
                assert its_own.count > before
            await pausing
            await until_state(sqlite_db, sale, CampaignState.PAUSED)
            assert await state_of(sqlite_db, news) == CampaignState.SENDING


@pytest.mark.parametrize(("who", "word"), [(GUEST, "spring-sale"), (MARIA, "summer")])
async def test_who_may_not_or_names_nothing_stops_nothing(
    sqlite_db: Database, tmp_path: Path, settings: Settings, who: object, word: str
) -> None:
    await add_campaign(sqlite_db, await add_server(sqlite_db, "primary", 25), 3)
    async with changes.watch(sqlite_db):
        with pytest.raises((NotAllowedError, NotFoundError)):
            await campaigns_of(sqlite_db, settings).pause(who, word)  # type: ignore[arg-type]
        assert Path(f"{tmp_path}/holdfast.db-stops").read_bytes() == b""


async def test_what_was_foretold_is_left_out_once_and_what_was_told_before_is_not(sqlite_db: Database) -> None:
    sale = await add_campaign(sqlite_db, await add_server(sqlite_db, "primary", 25), 3)

    async def both(_tx: object) -> list[stops.Stop]:
        return [("campaign", str(sale)), ("resend", str(sale))]

    async def kinds(watch: changes.Watch) -> list[str]:
        async with asyncio.timeout(10):
            return [row[0] for row in await watch.next()]

    await stops.foretell(sqlite_db, both)
    async with changes.watch(sqlite_db) as watch:
        assert await kinds(watch) == ["campaign", "server", "suppression"]
        await stops.foretell(sqlite_db, both)
        assert await kinds(watch) == ["server", "suppression"]
        await add_server(sqlite_db, "backup", 25)
        assert await kinds(watch) == ["campaign", "server", "server", "suppression"]
        Path(f"{sqlite_db.url.database}-stops").write_bytes(b"")  # somebody tidies up
        await add_server(sqlite_db, "third", 25)
        assert await kinds(watch) == ["campaign", "server", "server", "server", "suppression"]
        await stops.foretell(sqlite_db, both)
        assert await kinds(watch) == ["server", "server", "server", "suppression"]


async def test_a_resend_is_foretold_too(sqlite_db: Database, tmp_path: Path) -> None:
    it, resend = await sending(sqlite_db, tmp_path)
    async with changes.watch(sqlite_db):
        await it.resends.pause(BEN)
        assert Path(f"{tmp_path}/holdfast.db-stops").read_text() == f"resend {resend.id}\n"


async def test_a_line_that_cannot_be_written_leaves_it_to_the_wish(
    sqlite_db: Database, tmp_path: Path, settings: Settings
) -> None:
    campaign = await add_campaign(sqlite_db, await add_server(sqlite_db, "primary", 25), 3)
    Path(f"{tmp_path}/holdfast.db-stops").mkdir()
    await campaigns_of(sqlite_db, settings).pause(MARIA, "spring-sale")
    assert await state_of(sqlite_db, campaign) == CampaignState.PAUSING
    with pytest.raises(StorageError, match="cannot be reached"):
        async with changes.watch(sqlite_db):
            pass
