"""Home tabs"""

import sqlalchemy as sa
from alembic import op

import storage.types

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "home_tabs",
        sa.Column("team_id", sa.String(length=40), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("outsider", sa.Boolean(), nullable=False),
        sa.Column("used_at", storage.types.UtcDateTime(timezone=True), nullable=False),
        sa.Column("shown", sa.String(length=64), nullable=True),
        sa.Column("note", sa.JSON(), nullable=True),
        sa.Column("noted_at", storage.types.UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("team_id", "user_id", name=op.f("pk_home_tabs")),
    )
