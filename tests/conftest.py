"""Fixtures that every kind of test shares: both databases, ready and empty."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import hypothesis
import psycopg
import pytest

from bot.work import FleetEngine
from storage.db import Database
from tests.databases import Databases, clone, start_server, url_of

# How long one example takes says more about the machine than about the code.
hypothesis.settings.register_profile("holdfast", deadline=None)
hypothesis.settings.load_profile("holdfast")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Two more than there are processors: a story waits for half of its time, for a relay or for Slack."""
    return (os.cpu_count() or 1) + 2


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty, migrated SQLite file that each test copies."""
    import asyncio

    path = tmp_path_factory.mktemp("sqlite") / "template.db"

    async def make() -> None:
        database = Database(f"sqlite:///{path}")
        await database.migrate()
        await database.close()

    asyncio.run(make())
    return path


@pytest.fixture(scope="session")
def postgres_admin() -> Iterator[str]:
    """The URL of a PostgreSQL server: the one in TEST_POSTGRES_URL, or one that is started for the tests."""
    given = os.environ.get("TEST_POSTGRES_URL")
    if given:
        yield given
        return
    # Not below pytest's own folder, which another run of the tests may tidy away.
    with tempfile.TemporaryDirectory(prefix="holdfast-postgres-") as folder:
        server = start_server(folder)
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            # Nothing of it outlives the tests, so nothing of it has to outlive a power cut.
            # The daemon would look into templates that are being cloned; bloated databases are dropped anyway.
            for setting in ("fsync", "synchronous_commit", "full_page_writes", "autovacuum"):
                connection.execute(f"ALTER SYSTEM SET {setting} = off")
            connection.execute("SELECT pg_reload_conf()")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


@pytest.fixture(scope="session")
def postgres_databases(postgres_admin: str) -> Iterator[Databases]:
    """Empty, migrated databases on that server."""
    import asyncio

    template = f"holdfast_template_{os.getpid()}"
    clone(postgres_admin, template)

    async def make() -> None:
        database = Database(url_of(postgres_admin, template))
        await database.migrate()
        engine = FleetEngine(database, "template", [])  # its tables take longer to make than ours
        await engine.start()
        await engine.stop()
        await database.close()

    asyncio.run(make())
    databases = Databases(postgres_admin, template, f"holdfast_test_{os.getpid()}")
    yield databases
    databases.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty, migrated database; each test that asks for it runs on both kinds."""
    if request.param == "sqlite":
        path = tmp_path / "holdfast.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    databases: Databases = request.getfixturevalue("postgres_databases")
    name = databases.take()
    yield url_of(databases.admin, name)
    databases.give_back(name)


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()
