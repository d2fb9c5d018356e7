"""What may be sent now, as it is handed to whoever makes the messages."""

from pathlib import Path

from storage import recipients, sendable
from storage.db import Database
from storage.recipients import NewRecipient
from storage.sendable import Row
from tests.resend_world import World, world

FIELDS = {"name": 'Ånna "the first" 🎉', "note": "one\\two\nthree\t\x01", "": ""}


async def read(it: World, after: int = 0, limit: int = 100) -> list[Row]:
    return await it.db.in_one_go(lambda tx: sendable.queued(tx, it.campaign, after, limit))


async def test_every_row_is_whole_and_in_order(db: Database, tmp_path: Path) -> None:
    it = await world(db, tmp_path, 2)
    added = [
        NewRecipient(3, "Anna@Example.com", FIELDS),
        NewRecipient(4, "jürgen@example.com", {}),
        NewRecipient(6, "o'neil@example.com", {"name": "null"}),
    ]
    async with db.transaction() as tx:
        await recipients.add(tx, it.campaign, added)
    await it.suppress("jürgen@example.com")

    rows = await read(it)
    assert rows == [
        Row(3, "Anna@Example.com", "anna@example.com", FIELDS, suppressed=False),
        Row(4, "jürgen@example.com", "jürgen@example.com", {}, suppressed=True),
        Row(6, "o'neil@example.com", "o'neil@example.com", {"name": "null"}, suppressed=False),
    ]
    assert all(isinstance(row, Row) for row in rows)
    assert [row.n for row in await read(it, after=3, limit=1)] == [4]
    assert [row.email is row.email_key for row in rows] == [False, True, True]


async def test_there_may_be_none(db: Database, tmp_path: Path) -> None:
    it = await world(db, tmp_path, 2)
    assert await read(it) == []
