"""The indices of what failed, by a condition that SQLite looks at quickly"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_INDICES = {
    "ix_deliveries_failed": ["server_id", "changed_at", "campaign_id", "n"],
    "ix_deliveries_lost": ["campaign_id", "status", "n", "retry"],
}


def _make_anew(condition: str) -> None:
    if op.get_bind().dialect.name != "sqlite":
        return
    for name, columns in _INDICES.items():
        op.drop_index(name, "deliveries")
        op.create_index(name, "deliveries", columns, sqlite_where=sa.text(condition))


def upgrade() -> None:
    _make_anew("status <> 'queued' AND status <> 'delivered'")


def downgrade() -> None:
    _make_anew("status IN ('failed_temporary', 'failed_permanent', 'unknown')")
