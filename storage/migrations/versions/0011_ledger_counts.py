"""Counts of the ledger, kept by the database itself, and the paths of a plan to what was lost"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_LOST = sa.text("status IN ('failed_temporary', 'failed_permanent', 'unknown')")
_STAMPED = sa.text("outage_id IS NOT NULL")

_COUNT = """
INSERT INTO ledger_counts (campaign_id, part, status, tried, count)
SELECT campaign_id, 0, status, attempts > 0, count(*) FROM deliveries GROUP BY campaign_id, status, attempts > 0
"""

_LESS = """
UPDATE ledger_counts SET count = count - 1
 WHERE campaign_id = old.campaign_id AND part = 0 AND status = old.status AND tried = (old.attempts > 0);
"""
_MORE = """
INSERT INTO ledger_counts (campaign_id, part, status, tried, count)
VALUES (new.campaign_id, 0, new.status, new.attempts > 0, 1)
    ON CONFLICT (campaign_id, part, status, tried) DO UPDATE SET count = count + 1;
"""
_MOVED = """
UPDATE OF status, attempts ON deliveries
  WHEN old.status <> new.status OR (old.attempts > 0) <> (new.attempts > 0)
"""
_SQLITE = (
    f"CREATE TRIGGER deliveries_counted_insert AFTER INSERT ON deliveries BEGIN {_MORE} END",
    f"CREATE TRIGGER deliveries_counted_delete AFTER DELETE ON deliveries BEGIN {_LESS} END",
    f"CREATE TRIGGER deliveries_counted_update AFTER {_MOVED} BEGIN {_LESS} {_MORE} END",
)

_GONE = "SELECT campaign_id, status, attempts > 0 AS tried, -1 AS n FROM before"
_COME = "SELECT campaign_id, status, attempts > 0 AS tried, 1 AS n FROM after"
# Once for a statement, with all its rows. Each connection adds to a part of its own, so that workers who write results
# of one campaign at the same time need not wait for each other, nor in which order they come.
_FUNCTION = """
CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ledger_counts AS c (campaign_id, part, status, tried, count)
    SELECT campaign_id, pg_backend_pid() % 64, status, tried, sum(n)
      FROM ({rows}) AS changed
     GROUP BY campaign_id, status, tried
    HAVING sum(n) <> 0
     ORDER BY campaign_id, status, tried
        ON CONFLICT (campaign_id, part, status, tried) DO UPDATE SET count = c.count + excluded.count;
    RETURN NULL;
END $$
"""
_POSTGRESQL = {
    "insert": ("NEW TABLE AS after", _COME),
    "delete": ("OLD TABLE AS before", _GONE),
    "update": ("OLD TABLE AS before NEW TABLE AS after", f"{_GONE} UNION ALL {_COME}"),
}


def upgrade() -> None:
    op.create_table(
        "ledger_counts",
        sa.Column("campaign_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("part", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("tried", sa.Boolean(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("campaign_id", "part", "status", "tried", name=op.f("pk_ledger_counts")),
        sqlite_with_rowid=False,
    )
    op.execute(_COUNT)
    _create_triggers()
    op.create_index(
        "ix_deliveries_lost",
        "deliveries",
        ["campaign_id", "status", "n", "retry"],
        sqlite_where=_LOST,
        postgresql_where=_LOST,
    )
    op.create_index(
        "ix_deliveries_outage",
        "deliveries",
        ["outage_id", "status", "campaign_id", "n", "retry"],
        sqlite_where=_STAMPED,
        postgresql_where=_STAMPED,
    )

    _free_items()


def _free_items() -> None:
    """Items without foreign keys: to check them row by row took PostgreSQL as long as all else of a plan."""
    if op.get_bind().dialect.name == "postgresql":
        for parent in ("campaign_id_campaigns", "resend_id_resends"):
            op.execute(f"ALTER TABLE resend_items DROP CONSTRAINT IF EXISTS fk_resend_items_{parent}")
        return
    op.create_table(
        "resend_items_free",
        sa.Column("campaign_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("resend_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("n", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("wave", sa.SmallInteger(), nullable=False),
        sa.Column("before", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("campaign_id", "resend_id", "n", name=op.f("pk_resend_items")),
        sqlite_with_rowid=False,
    )
    op.execute("INSERT INTO resend_items_free SELECT campaign_id, resend_id, n, wave, before FROM resend_items")
    op.drop_table("resend_items")
    op.rename_table("resend_items_free", "resend_items")


def _create_triggers() -> None:
    """A later migration that rebuilds the table on SQLite drops them and has to create them again."""
    if op.get_bind().dialect.name == "sqlite":
        for statement in _SQLITE:
            op.execute(statement)
        return
    for event, (tables, rows) in _POSTGRESQL.items():
        name = f"deliveries_counted_{event}"
        op.execute(_FUNCTION.format(name=name, rows=rows))
        op.execute(
            f"CREATE TRIGGER {name} AFTER {event.upper()} ON deliveries "
            f"REFERENCING {tables} FOR EACH STATEMENT EXECUTE FUNCTION {name}()"
        )
