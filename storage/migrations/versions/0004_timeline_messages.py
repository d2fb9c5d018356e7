"""Messages of people in the timeline"""

import sqlalchemy as sa
from alembic import op

import storage.types

revision = "0004"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("timeline", sa.Column("channel", sa.String(length=20), nullable=True))
    op.add_column("timeline", sa.Column("message_ts", sa.String(length=24), nullable=True))
    op.add_column("timeline", sa.Column("removed_at", storage.types.UtcDateTime(timezone=True), nullable=True))
    op.create_index("ix_timeline_message", "timeline", ["channel", "message_ts"], unique=True)
    op.create_table(
        "message_marks",
        sa.Column("channel", sa.String(length=20), nullable=False),
        sa.Column("message_ts", sa.String(length=24), nullable=False),
        sa.Column("how", sa.String(length=40), nullable=False),
        sa.Column("is_on", sa.Boolean(), nullable=False),
        sa.Column("at", storage.types.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("channel", "message_ts", "how", name=op.f("pk_message_marks")),
    )
