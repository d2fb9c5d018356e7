"""Which work engine carries out what this worker does."""

from collections.abc import Sequence

from bot.work_kinds import Engine, Kind
from storage.db import Database


def engine_for(db: Database, executor: str, kinds: Sequence[Kind]) -> Engine:
    """The one that fits the database; only that one is loaded. `executor` is a name that no other process and no
    earlier boot has.
    """
    if db.is_sqlite:
        from bot.work_alone import LoneEngine  # noqa: PLC0415

        return LoneEngine(kinds)
    from bot.work import FleetEngine  # noqa: PLC0415

    return FleetEngine(db, executor, kinds)
