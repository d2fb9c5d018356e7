"""`holdfast migrate` says from where to where."""

import pytest

from storage.db import head_revision
from tests.terminal_world import Holdfast, holdfast

__all__ = ["holdfast"]


def test_an_empty_database_gets_its_tables_once(holdfast: Holdfast) -> None:
    first, second = holdfast("migrate"), holdfast("migrate")

    assert first.out == f"The database was empty and is at revision {head_revision()} now.\n"
    assert second.out == f"The database is at revision {head_revision()} already. Nothing was changed.\n"
    assert first.code == second.code == 0


def test_a_database_that_is_away_is_a_sentence(holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_DATABASE_URL", "postgresql://me:secret@127.0.0.1:1/holdfast")

    ran = holdfast("migrate")

    assert ran.code == 1
    assert "The database cannot be reached" in ran.err
    assert "secret" not in ran.err
