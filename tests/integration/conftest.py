"""Which event loops the tests here run on, and the workspace page without a bot."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
import uvloop

from bot.demo.fakeslack import FakeSlack
from bot.demo.relays import RelayProcess
from tests.integration.page_support import Office


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """What hands sockets from hand to hand must work on both kinds of loop; the sender has uvloop, as its process does;
    the rest runs on asyncio's own.
    """
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
