"""Which event loops the tests here run on, and the workspace page without a bot."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
import uvloop

from bot.demo.fakeslack import FakeSlack
from bot.demo.relays import RelayProcess
from storage.db import Database
from tests.integration.page_support import Office


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """What hands sockets from hand to hand must work on both kinds of loop; the sender has uvloop, as its process does,
    and so has what takes a thousand sessions; the rest runs on asyncio's own.
    """
    if item.path.name == "test_connection_cut_at_each_byte.py":
        return {"uvloop": uvloop.new_event_loop}
    if item.path.name.startswith("test_connection_"):
        return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    if item.path.name.startswith(("test_sender", "test_providers")):
        return {"uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.new_event_loop}


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with FakeSlack() as slack, RelayProcess(tmp_path / "relay.jsonl", name="primary") as relay:
        made = Office(slack, relay)
        async with made.page:
            yield made
        slack.assert_no_violations()


@pytest.fixture
def sqlite_url(tmp_path: Path, sqlite_template: Path) -> str:
    """An empty, migrated database of one kind, where what is tested does not depend on it."""
    shutil.copy(sqlite_template, tmp_path / "holdfast.db")
    return f"sqlite:///{tmp_path / 'holdfast.db'}"


@pytest.fixture
async def sqlite_db(sqlite_url: str) -> AsyncIterator[Database]:
    database = Database(sqlite_url)
    yield database
    await database.close()
