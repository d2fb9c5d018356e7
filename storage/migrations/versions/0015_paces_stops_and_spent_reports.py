"""Paces of receiving providers, when a resend's stop was confirmed, and which reports can be forgotten"""

import sqlalchemy as sa
from alembic import op

import storage.types

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_TIME = storage.types.UtcDateTime(timezone=True)
_SPENT = "settled_at IS NOT NULL AND after IS NULL AND kind IN ('accepted', 'delivered')"


def upgrade() -> None:
    op.create_table(
        "provider_paces",
        sa.Column("server_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("worker", sa.String(length=64), nullable=False),
        sa.Column("rate", sa.Double(), nullable=False),
        sa.Column("free_rate", sa.Double(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("rests", sa.Integer(), nullable=False),
        sa.Column("rests_until", _TIME, nullable=False),
        sa.Column("since", _TIME, nullable=False),
        sa.Column("put_off_at", _TIME, nullable=False),
        sa.Column("changed_at", _TIME, nullable=False),
        sa.ForeignKeyConstraint(["server_id"], ["servers.id"], name=op.f("fk_provider_paces_server_id_servers")),
        sa.PrimaryKeyConstraint("server_id", "provider", "worker", name=op.f("pk_provider_paces")),
    )
    op.add_column("resends", sa.Column("wished_at", _TIME, nullable=True))
    op.add_column("resends", sa.Column("confirmed_at", _TIME, nullable=True))
    op.add_column("resends", sa.Column("slipped", sa.Integer(), nullable=False, server_default=sa.text("0")))
    op.create_index(
        "ix_delivery_reports_spent",
        "delivery_reports",
        ["seen_at"],
        sqlite_where=sa.text(_SPENT),
        postgresql_where=sa.text(_SPENT),
    )
