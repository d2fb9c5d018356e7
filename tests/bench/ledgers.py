# ruff: noqa: S608  nothing here comes from outside
"""Ledgers of millions of rows for benchmarks: the database writes them itself, which takes seconds a million."""

import sqlite3
from collections.abc import Iterable

import psycopg
from sqlalchemy import make_url


def fill(url: str, campaign: int, rows: int, columns: str, values: str) -> None:
    """Recipients 2 to `rows` of a campaign that has its first one, p00000002@example.com and so on, with deliveries.

    `columns` and `values` are those of the deliveries beside campaign_id and n, in SQL; a value may look at n.
    """
    numbers, address, name = _said(url, rows)
    chosen = f"FROM {numbers} WHERE n > 1"
    people = f"SELECT {campaign}, n, {address}, {address}, {name} {chosen}"
    run(
        url,
        [
            f"INSERT INTO recipients (campaign_id, n, email, email_key, fields) {people}",
            f"INSERT INTO deliveries (campaign_id, n, {columns}) SELECT {campaign}, n, {values} {chosen}",
            f"UPDATE campaigns SET recipients = {rows} WHERE id = {campaign}",
        ],
    )


def suppress(url: str, rows: int, every: int) -> None:
    """Among the first `rows` addresses of each campaign, those whose number divides by `every` are suppressed."""
    numbers, address, _ = _said(url, rows)
    values = f"SELECT {address}, 'it does not exist', 'bounce', {moment(url)} FROM {numbers} WHERE n % {every} = 0"
    run(url, [f"INSERT INTO suppressions (email_key, reason, source, at) {values}"])


def moment(url: str) -> str:
    """A time in SQL: 2 November 2026, 9:00 UTC."""
    if make_url(url).get_backend_name() == "sqlite":
        return "'2026-11-02 09:00:00.000000'"
    return "CAST('2026-11-02 09:00:00+00' AS timestamptz)"


def _said(url: str, rows: int) -> tuple[str, str, str]:
    """The numbers up to `rows`, an address and fields, in the words of the database."""
    name = """'{"name": "Person ' || n || '"}'"""
    if make_url(url).get_backend_name() == "sqlite":
        numbers = f"WITH RECURSIVE k(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM k WHERE n < {rows}) SELECT n FROM k"
        return f"({numbers}) AS k", "printf('p%08d@example.com', n)", name
    address = "'p' || lpad(CAST(n AS text), 8, '0') || '@example.com'"
    return f"generate_series(1, {rows}) AS k(n)", address, f"CAST({name} AS json)"


def analyze(url: str) -> None:
    """What PostgreSQL does by itself within minutes, and SQLite does not."""
    if make_url(url).get_backend_name() == "postgresql":
        run(url, ["VACUUM ANALYZE"])


def run(url: str, statements: Iterable[str]) -> None:
    """Each in a transaction of its own."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        file = sqlite3.connect(str(parsed.database), isolation_level=None)
        try:
            file.execute("PRAGMA synchronous = OFF")
            file.execute("PRAGMA cache_size = -500000")
            for statement in statements:
                file.execute(statement)
        finally:
            file.close()
        return
    with psycopg.connect(parsed.render_as_string(hide_password=False), autocommit=True) as server:
        for statement in statements:
            server.execute(statement)
