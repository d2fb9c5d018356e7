"""Ramps, what fails of a send, and imports that order their list"""

import sqlalchemy as sa
from alembic import op

import storage.types

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TIME = storage.types.UtcDateTime(timezone=True)


def upgrade() -> None:
    op.add_column("campaigns", sa.Column("ramp_to_n", sa.BigInteger(), nullable=True))
    op.add_column("resends", sa.Column("ramped", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "ramps",
        sa.Column("id", _ID, nullable=False),
        sa.Column("campaign_id", _ID, nullable=True),
        sa.Column("resend_id", _ID, nullable=True),
        sa.Column("stages", sa.JSON(), nullable=False),
        sa.Column("sizes", sa.JSON(), nullable=False),
        sa.Column("stage", sa.Integer(), nullable=False),
        sa.Column("due_at", _TIME, nullable=True),
        sa.Column("counted_since", _TIME, nullable=True),
        sa.Column("counted_from", sa.Integer(), nullable=False),
        sa.Column("stopped_entry_id", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_ramps_campaign_id_campaigns")),
        sa.ForeignKeyConstraint(["resend_id"], ["resends.id"], name=op.f("fk_ramps_resend_id_resends")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ramps")),
        sa.UniqueConstraint("campaign_id", name=op.f("uq_ramps_campaign_id")),
        sa.UniqueConstraint("resend_id", name=op.f("uq_ramps_resend_id")),
    )
    op.create_table(
        "staged_recipients",
        sa.Column("campaign_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("email_key", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("place", sa.Double(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaigns.id"], name=op.f("fk_staged_recipients_campaign_id_campaigns")
        ),
        sa.PrimaryKeyConstraint("campaign_id", "email_key", name=op.f("pk_staged_recipients")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_staged_recipients_order", "staged_recipients", ["campaign_id", "place", "n"])
    op.create_index(
        "ix_suppressions_complaints",
        "suppressions",
        ["at"],
        sqlite_where=sa.text("source = 'complaint'"),
        postgresql_where=sa.text("source = 'complaint'"),
    )
