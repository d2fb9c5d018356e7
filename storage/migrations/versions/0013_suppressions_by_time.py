"""Suppressions by their time: the sender asks for the new ones several times a second"""

from alembic import op

revision = "0013"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(op.f("ix_suppressions_at"), "suppressions", ["at"])


def downgrade() -> None:
    op.drop_index(op.f("ix_suppressions_at"), "suppressions")
