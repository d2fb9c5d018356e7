"""Bursts in one message, reminders, and pages while Slack is away"""

import sqlalchemy as sa
from alembic import op

import storage.types

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TIME = storage.types.UtcDateTime(timezone=True)


def upgrade() -> None:
    for name in ("reminded_at", "reminders_from", "reminders_off_at"):
        op.add_column("outages", sa.Column(name, _TIME, nullable=True))
    op.add_column("posts", sa.Column("code", sa.Text(), nullable=True))
    op.add_column("posts", sa.Column("failing_since", _TIME, nullable=True))
    op.add_column("posts", sa.Column("taken_at", _TIME, nullable=True))
    op.add_column("posts", sa.Column("joined_into", sa.String(length=60), nullable=True))
    op.create_index(op.f("ix_posts_joined_into"), "posts", ["joined_into"])
    op.create_table(
        "reminders",
        sa.Column("id", _ID, nullable=False),
        sa.Column("outage_id", _ID, nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("since", _TIME, nullable=False),
        sa.Column("severity", sa.String(length=10), nullable=False),
        sa.Column("lead", sa.Text(), nullable=True),
        sa.Column("answer", sa.String(length=10), nullable=True),
        sa.Column("answered_by", sa.Text(), nullable=True),
        sa.Column("answered_at", _TIME, nullable=True),
        sa.Column("until", _TIME, nullable=True),
        sa.ForeignKeyConstraint(["outage_id"], ["outages.id"], name=op.f("fk_reminders_outage_id_outages")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reminders")),
    )
    op.create_index(op.f("ix_reminders_outage_id"), "reminders", ["outage_id"])
    op.create_table(
        "paging",
        sa.Column("id", _ID, nullable=False),
        sa.Column("began_at", _TIME, nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("outage_ids", sa.JSON(), nullable=False),
        sa.Column("roads", sa.JSON(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", _TIME, nullable=True),
        sa.Column("pages", sa.Integer(), nullable=False),
        sa.Column("paged_at", _TIME, nullable=True),
        sa.Column("last_paged_at", _TIME, nullable=True),
        sa.Column("ended_at", _TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_paging")),
    )
    op.create_index(op.f("ix_paging_ended_at"), "paging", ["ended_at"])
