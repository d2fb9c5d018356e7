"""Pools of servers with weights, and servers that return slowly"""

import sqlalchemy as sa
from alembic import op

import storage.types

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_TIME = storage.types.UtcDateTime(timezone=True)


def upgrade() -> None:
    op.add_column("servers", sa.Column("pool", sa.String(length=64), nullable=True))
    op.add_column("servers", sa.Column("weight", sa.Integer(), nullable=False, server_default="1"))
    # Without a foreign key: SQLite would have to make the table anew, to which half of the others point.
    op.add_column("servers", sa.Column("returning_from_id", sa.BigInteger(), nullable=True))
    op.add_column("servers", sa.Column("returning_since", _TIME, nullable=True))
    op.add_column("servers", sa.Column("returning_until", _TIME, nullable=True))
