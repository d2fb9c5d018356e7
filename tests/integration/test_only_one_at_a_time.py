"""A lock is free the moment that whoever had it lets go, and not before."""

from pathlib import Path

import pytest

from storage.db import Database
from storage.locks import TakenError, only_one


async def test_who_starts_at_once_is_not_told_that_another_one_runs(
    db: Database, database_url: str, tmp_path: Path
) -> None:
    here, there = tmp_path / "here", tmp_path / "here" if db.is_sqlite else tmp_path / "there"
    other = Database(database_url)
    try:
        async with only_one(db, "run", here):
            with pytest.raises(TakenError):
                async with only_one(other, "run", there):
                    pass
        async with only_one(other, "run", there):
            with pytest.raises(TakenError):
                async with only_one(db, "run", here):
                    pass
    finally:
        await other.close()
