"""Deliveries that whoever writes their results has counted are not counted once more, row by row"""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_LESS = """
UPDATE ledger_counts SET count = count - 1
 WHERE campaign_id = old.campaign_id AND part = 0 AND status = old.status AND tried = (old.attempts > 0);
"""
_MORE = """
INSERT INTO ledger_counts (campaign_id, part, status, tried, count)
VALUES (new.campaign_id, 0, new.status, new.attempts > 0, 1)
    ON CONFLICT (campaign_id, part, status, tried) DO UPDATE SET count = count + 1;
"""
_MOVED = "(old.status <> new.status OR (old.attempts > 0) <> (new.attempts > 0))"
# The empty stage is given by write_delivered of storage/results.py and by nothing else. It is what was done only where
# this very statement gave it: a row may keep it while others change it.
_COUNTED = "(old.status = 'queued' AND new.status = 'delivered' AND new.stage IS '' AND old.stage IS NOT '')"


def _make_anew(condition: str) -> None:
    op.execute("DROP TRIGGER deliveries_counted_update")
    op.execute(
        f"CREATE TRIGGER deliveries_counted_update AFTER UPDATE OF status, attempts ON deliveries "
        f"WHEN {condition} BEGIN {_LESS} {_MORE} END"
    )


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        _make_anew(f"{_MOVED} AND NOT {_COUNTED}")


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        _make_anew(_MOVED)
        op.execute("UPDATE deliveries SET stage = NULL WHERE stage = ''")
