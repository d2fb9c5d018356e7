"""On SQLite what shall stop stops before the wish is written, which may have to wait for its turn at the file."""

import asyncio
import shutil
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
def url(tmp_path: Path, sqlite_template: Path) -> str:
    shutil.copy(sqlite_template, tmp_path / "holdfast.db")
    return f"sqlite:///{tmp_path}/holdfast.db"


@pytest.fixture
async def db(url: str) -> AsyncIterator[Database]:
    database = Database(url)
    yield database
    await database.close()


@pytest.fixture
async def other(url: str) -> AsyncIterator[Database]:
    """As in another process, whose patience is half a second."""
    database = Database(url, busy_timeout_ms=500)
    yield database
    await database.close()


def campaigns_of(db: Database, settings: Settings) -> Campaigns:
    return Campaigns(db, settings, Access(settings.roles, settings.admins))


async def standing(relay: Relay) -> int:
    """How many came, when no more do."""
    await asyncio.sleep(0.25)
    arrived = relay.count
    await asyncio.sleep(0.3)
    assert relay.count == arrived
    return arrived


@pytest.mark.parametrize("word", ["spring-sale", "spr", "all"])
async def test_nothing_leaves_while_a_pause_waits_for_its_turn(
    url: str, db: Database, other: Database, tmp_path: Path, word: str
) -> None:
    settings = settings_for(url, tmp_path, roles={"responder": [MARIA.id]})
    async with Relay() as relay:
        campaign = await add_campaign(db, await add_server(db, "primary", relay.port, rate_per_second=200), 2000)
        async with running(db, url, tmp_path):
            await relay.wait_for(50)
            async with other.transaction():
                pausing = asyncio.create_task(campaigns_of(db, settings).pause(MARIA, word))
                arrived = await standing(relay)
                assert await state_of(other, campaign) == CampaignState.SENDING
                assert not pausing.done()
            await pausing
            await until_state(db, campaign, CampaignState.PAUSED)
            assert relay.count == arrived < 2000
            assert await counts(db, campaign) == {"delivered": arrived, "queued": 2000 - arrived}
        async with db.read() as tx:
            assert await tx.scalar(select(Campaign.slipped)) in range(arrived + 1)


async def test_a_pause_that_came_to_nothing_lets_all_go_on(
    url: str, db: Database, other: Database, tmp_path: Path
) -> None:
    settings = settings_for(url, tmp_path, roles={"responder": [MARIA.id]})
    async with Relay() as relay:
        campaign = await add_campaign(db, await add_server(db, "primary", relay.port, rate_per_second=300), 300)
        async with running(db, url, tmp_path):
            await relay.wait_for(50)
            async with db.transaction():
                pausing = asyncio.create_task(campaigns_of(other, settings).pause(MARIA, "spring-sale"))
                assert await standing(relay) < 300
                with pytest.raises(StorageError, match="locked by another program"):
                    await pausing
            await until_state(db, campaign, CampaignState.FINISHED)
        each_once(relay, 300)


async def test_only_what_is_named_stops(url: str, db: Database, other: Database, tmp_path: Path) -> None:
    settings = settings_for(url, tmp_path, roles={"responder": [MARIA.id]})
    async with Relay() as relay, Relay() as its_own:
        sale = await add_campaign(db, await add_server(db, "primary", relay.port, rate_per_second=200), 2000)
        backup = await add_server(db, "backup", its_own.port, rate_per_second=200)
        news = await add_campaign(db, backup, 2000, name="newsletter")
        async with running(db, url, tmp_path):
            await relay.wait_for(50)
            async with other.transaction():
                pausing = asyncio.create_task(campaigns_of(db, settings).pause(MARIA, "spring-sale"))
                await asyncio.sleep(0.1)
                before = its_own.count
                await standing(relay)
                assert its_own.count > before
            await pausing
            await until_state(db, sale, CampaignState.PAUSED)
            assert await state_of(db, news) == CampaignState.SENDING


@pytest.mark.parametrize(("who", "word"), [(GUEST, "spring-sale"), (MARIA, "summer")])
async def test_who_may_not_or_names_nothing_stops_nothing(
    url: str, db: Database, tmp_path: Path, who: object, word: str
) -> None:
    settings = settings_for(url, tmp_path, roles={"responder": [MARIA.id]})
    await add_campaign(db, await add_server(db, "primary", 25), 3)
    async with changes.watch(db):
        with pytest.raises((NotAllowedError, NotFoundError)):
            await campaigns_of(db, settings).pause(who, word)  # type: ignore[arg-type]
        assert Path(f"{tmp_path}/holdfast.db-stops").read_bytes() == b""


async def test_what_was_foretold_is_left_out_once_and_what_was_told_before_is_not(db: Database) -> None:
    sale = await add_campaign(db, await add_server(db, "primary", 25), 3)

    async def both(_tx: object) -> list[stops.Stop]:
        return [("campaign", str(sale)), ("resend", str(sale))]

    async def kinds(watch: changes.Watch) -> list[str]:
        async with asyncio.timeout(10):
            return [row[0] for row in await watch.next()]

    await stops.foretell(db, both)
    async with changes.watch(db) as watch:
        assert await kinds(watch) == ["campaign", "server", "suppression"]
        await stops.foretell(db, both)
        assert await kinds(watch) == ["server", "suppression"]
        await add_server(db, "backup", 25)
        assert await kinds(watch) == ["campaign", "server", "server", "suppression"]


async def test_a_resend_is_foretold_too(url: str, tmp_path: Path) -> None:
    db = Database(url)
    try:
        it, resend = await sending(db, tmp_path)
        async with changes.watch(db):
            await it.resends.pause(BEN)
            assert Path(f"{tmp_path}/holdfast.db-stops").read_text() == f"resend {resend.id}\n"
    finally:
        await db.close()


async def test_a_line_that_cannot_be_written_leaves_it_to_the_wish(url: str, db: Database, tmp_path: Path) -> None:
    settings = settings_for(url, tmp_path, roles={"responder": [MARIA.id]})
    campaign = await add_campaign(db, await add_server(db, "primary", 25), 3)
    Path(f"{tmp_path}/holdfast.db-stops").mkdir()
    await campaigns_of(db, settings).pause(MARIA, "spring-sale")
    assert await state_of(db, campaign) == CampaignState.PAUSING
    with pytest.raises(StorageError, match="cannot be reached"):
        async with changes.watch(db):
            pass
