"""Servers, campaigns and the ledger: what is sent, through what, what became of it, and what was said of it later."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Double,
    ForeignKey,
    Index,
    LargeBinary,
    SmallInteger,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from storage.models.base import Base, BigId
from storage.models.states import CampaignState, DeliveryStatus, Health


class Server(Base):
    __tablename__ = "servers"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    host: Mapped[str]
    port: Mapped[int]
    tls: Mapped[str] = mapped_column(String(10), default="none")
    """none, starttls or tls. User names and passwords stay in the settings, under the server's name."""
    backup_id: Mapped[int | None] = mapped_column(ForeignKey("servers.id"))
    failover_to_id: Mapped[int | None] = mapped_column(ForeignKey("servers.id"))
    """Set while another server carries this one's campaigns."""
    failover_at: Mapped[datetime | None]
    failover_by: Mapped[str | None]
    returning_from_id: Mapped[int | None] = mapped_column(BigInteger)
    """After a failover: who carries what this one does not carry again yet, from returning_since until
    returning_until. Its part grows with the clock, so that nothing has to be written meanwhile.
    """
    returning_since: Mapped[datetime | None]
    returning_until: Mapped[datetime | None]
    pool: Mapped[str | None] = mapped_column(String(64))
    """Servers of one pool share the mail of them all, each by its weight."""
    weight: Mapped[int] = mapped_column(default=1)
    """0: it takes nothing while another one of its pool can."""
    max_connections: Mapped[int] = mapped_column(default=10)
    rate_per_second: Mapped[int | None]
    health: Mapped[str] = mapped_column(String(12), default=Health.UNCHECKED)
    health_since: Mapped[datetime | None]
    failures: Mapped[int] = mapped_column(default=0)
    successes: Mapped[int] = mapped_column(default=0)
    damping: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """What bot/monitor/verdict.py needs to go on after a restart."""
    last_probe_at: Mapped[datetime | None]
    last_stage: Mapped[str | None] = mapped_column(String(12))
    last_code: Mapped[int | None]
    last_text: Mapped[str | None]
    last_ms: Mapped[int | None]
    drained_at: Mapped[datetime | None]
    drained_by: Mapped[str | None]
    created_at: Mapped[datetime]


class Evidence(Base):
    """What sending saw of a server: one row a flush in which something failed, or succeeded after a failure."""

    __tablename__ = "evidence"
    __table_args__ = (
        Index(
            "ix_evidence_unjudged",
            "id",
            sqlite_where=text("judged_at IS NULL"),
            postgresql_where=text("judged_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    server_id: Mapped[int] = mapped_column(ForeignKey("servers.id"))
    at: Mapped[datetime] = mapped_column(index=True)
    judged_at: Mapped[datetime | None]
    """When the monitor took it into account; NULL until then, so that a restart judges nothing twice."""
    failed: Mapped[int]
    succeeded: Mapped[int]
    stage: Mapped[str | None] = mapped_column(String(12))
    code: Mapped[int | None]
    text: Mapped[str | None]


class Campaign(Base):
    """One mailing to a list. A notice by email is one too (kind), so that it has the same ledger."""

    __tablename__ = "campaigns"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    kind: Mapped[str] = mapped_column(String(10), default="campaign")
    platform: Mapped[str] = mapped_column(String(20), default="local")
    state: Mapped[str] = mapped_column(String(12), default=CampaignState.SCHEDULED, index=True)
    state_since: Mapped[datetime]
    wish: Mapped[str] = mapped_column(String(12), default=CampaignState.SCHEDULED)
    """Where the state is being driven to: sending, paused or cancelled. Written before anything is asked."""
    hold: Mapped[str | None] = mapped_column(String(12))
    hold_reason: Mapped[str | None]
    hold_outage_id: Mapped[int | None] = mapped_column(ForeignKey("outages.id"))
    hold_maintenance_id: Mapped[int | None] = mapped_column(ForeignKey("maintenance.id"))
    wished_at: Mapped[datetime | None]
    wished_by: Mapped[str | None]
    """Who wished it, as a message names them: the second of two people is told of the first."""
    confirmed_at: Mapped[datetime | None]
    slipped: Mapped[int] = mapped_column(default=0)
    """How many went out between the last wish to stop and its confirmation."""
    server_id: Mapped[int] = mapped_column(ForeignKey("servers.id"))
    subject: Mapped[str]
    recipients: Mapped[int] = mapped_column(default=0)
    bad_rows: Mapped[int] = mapped_column(default=0)
    ramp_to_n: Mapped[int | None] = mapped_column(BigInteger)
    """Recipients up to this number may be mailed now; NULL: all of them."""
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    scheduled_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    """When the offer ends. After it nothing of this campaign is sent or sent again."""


class Message(Base):
    __tablename__ = "messages"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"), unique=True)
    key: Mapped[str] = mapped_column(String(64))
    """Random, hex. The Message-ID of a delivery is derived from it, so it stays the same when sent again."""
    sender: Mapped[str]
    subject: Mapped[str | None]
    reply_to: Mapped[str | None]
    eml: Mapped[bytes | None] = mapped_column(LargeBinary)
    html: Mapped[str | None]
    text: Mapped[str | None]


class Recipient(Base):
    __tablename__ = "recipients"
    __table_args__ = (
        UniqueConstraint("campaign_id", "email_key"),
        {"sqlite_with_rowid": False},
    )

    campaign_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("campaigns.id"), primary_key=True, autoincrement=False
    )
    n: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """The recipient's number in its campaign, from 1; gaps are allowed."""
    email: Mapped[str]
    email_key: Mapped[str]
    """The address in lower case: two spellings of one mailbox are one recipient."""
    fields: Mapped[dict[str, Any]] = mapped_column(default=dict)


class StagedRecipient(Base):
    """A recipient of an import that orders its list: numbered in that order once all of them are known."""

    __tablename__ = "staged_recipients"
    __table_args__ = (
        Index("ix_staged_recipients_order", "campaign_id", "place", "n"),
        {"sqlite_with_rowid": False},
    )

    campaign_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("campaigns.id"), primary_key=True, autoincrement=False
    )
    email_key: Mapped[str] = mapped_column(primary_key=True)
    n: Mapped[int] = mapped_column(BigInteger)
    """The row's number in the file."""
    place: Mapped[float] = mapped_column(Double)
    """The lowest goes first."""
    email: Mapped[str]
    fields: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Delivery(Base):
    """The ledger: one row for each recipient of each campaign, the truth of who got what."""

    __tablename__ = "deliveries"
    __table_args__ = (
        Index(
            "ix_deliveries_failed",
            "server_id",
            "changed_at",
            "campaign_id",
            "n",
            sqlite_where=text("status <> 'queued' AND status <> 'delivered'"),
            postgresql_where=text("status IN ('failed_temporary', 'failed_permanent', 'unknown')"),
        ),
        Index(
            "ix_deliveries_resend",
            "resend_id",
            "status",
            sqlite_where=text("resend_id IS NOT NULL"),
            postgresql_where=text("resend_id IS NOT NULL"),
        ),
        Index(
            "ix_deliveries_lost",
            "campaign_id",
            "status",
            "n",
            "retry",
            sqlite_where=text("status <> 'queued' AND status <> 'delivered'"),
            postgresql_where=text("status IN ('failed_temporary', 'failed_permanent', 'unknown')"),
        ),
        Index(
            "ix_deliveries_outage",
            "outage_id",
            "status",
            "campaign_id",
            "n",
            "retry",
            sqlite_where=text("outage_id IS NOT NULL"),
            postgresql_where=text("outage_id IS NOT NULL"),
        ),
        {"sqlite_with_rowid": False},
    )

    campaign_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("campaigns.id"), primary_key=True, autoincrement=False
    )
    n: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    status: Mapped[str] = mapped_column(String(16), default=DeliveryStatus.QUEUED)
    attempts: Mapped[int] = mapped_column(SmallInteger, default=0)
    server_id: Mapped[int | None] = mapped_column(BigInteger)
    changed_at: Mapped[datetime | None]
    stage: Mapped[str | None] = mapped_column(String(12))
    code: Mapped[int | None] = mapped_column(SmallInteger)
    reply: Mapped[str | None]
    retry: Mapped[str | None] = mapped_column(String(10))
    outage_id: Mapped[int | None] = mapped_column(BigInteger)
    """The outage it was lost in. Stays when it is sent again, so that the summary can tell."""
    resend_id: Mapped[int | None] = mapped_column(BigInteger)
    """The resend that has taken it. A queued row belongs to its campaign (NULL) or to one resend."""


class LedgerCount(Base):
    """How many deliveries of a campaign have a status: the sum over the parts, of which one alone may be below zero.

    Triggers on deliveries keep it in the transaction of the change, whoever makes it (migrations 0011 and 0017); only
    `results.write_delivered` counts by itself on SQLite.
    """

    __tablename__ = "ledger_counts"
    __table_args__ = ({"sqlite_with_rowid": False},)

    campaign_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    part: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    status: Mapped[str] = mapped_column(String(16), primary_key=True)
    tried: Mapped[bool] = mapped_column(primary_key=True)
    """Whether there has been an attempt."""
    count: Mapped[int] = mapped_column(BigInteger)


class Lease(Base):
    """A range of a ledger that one worker may send now. Rows in it are only told apart by that worker's journal."""

    __tablename__ = "leases"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"), index=True)
    resend_id: Mapped[int | None] = mapped_column(BigInteger)
    first_n: Mapped[int] = mapped_column(BigInteger)
    last_n: Mapped[int] = mapped_column(BigInteger)
    worker: Mapped[str] = mapped_column(String(64), index=True)
    boot_id: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]


class Worker(Base):
    """A process that sends, with its heartbeat."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    host: Mapped[str]
    pid: Mapped[int]
    boot_id: Mapped[str] = mapped_column(String(64))
    journal: Mapped[str]
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    lost_at: Mapped[datetime | None]
    """When the others took over its work because it was silent; the row stays while it still has leases."""


class Shard(Base):
    """A range of a ledger that one worker sends; in it, that worker leases a smaller range at a time."""

    __tablename__ = "shards"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"), index=True)
    resend_id: Mapped[int | None] = mapped_column(BigInteger)
    first_n: Mapped[int] = mapped_column(BigInteger)
    last_n: Mapped[int] = mapped_column(BigInteger)
    worker: Mapped[str | None] = mapped_column(String(64))
    """Who has it; NULL while it waits, or has stopped."""
    slipped: Mapped[int | None]
    """Set when it has stopped: how many of it went out after the wish to stop."""
    created_at: Mapped[datetime]


class Share(Base):
    """What one worker may use of one server. Those of all workers together never exceed what the server takes."""

    __tablename__ = "shares"

    server_id: Mapped[int] = mapped_column(ForeignKey("servers.id"), primary_key=True, autoincrement=False)
    worker: Mapped[str] = mapped_column(String(64), primary_key=True)
    connections: Mapped[int]
    rate: Mapped[float | None] = mapped_column(Double)
    """Messages a second; NULL where the server has no limit."""


class ProviderPace(Base):
    """How fast one worker writes to a receiving provider through one server, where the provider has put it off."""

    __tablename__ = "provider_paces"

    server_id: Mapped[int] = mapped_column(ForeignKey("servers.id"), primary_key=True, autoincrement=False)
    provider: Mapped[str] = mapped_column(primary_key=True)
    """By the name of a section in the settings, by its best known domain, or the domain."""
    worker: Mapped[str] = mapped_column(String(64), primary_key=True)
    rate: Mapped[float] = mapped_column(Double)
    """Messages a second."""
    free_rate: Mapped[float] = mapped_column(Double)
    """When the rate has grown to this the pace ends."""
    reason: Mapped[str]
    """What the provider said when it put us off the last time."""
    rests: Mapped[int]
    """How often it put us off without having taken anything between; the next rest is twice as long."""
    rests_until: Mapped[datetime]
    since: Mapped[datetime]
    """When it put us off first."""
    put_off_at: Mapped[datetime]
    """When it put us off last."""
    changed_at: Mapped[datetime]


class SendMinute(Base):
    """Per-minute counts of results, written in the transaction of the results."""

    __tablename__ = "send_minutes"

    campaign_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    minute: Mapped[datetime] = mapped_column(primary_key=True)
    server_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    status: Mapped[str] = mapped_column(String(16), primary_key=True)
    count: Mapped[int]


SPENT_REPORTS = "settled_at IS NOT NULL AND after IS NULL AND kind IN ('accepted', 'delivered')"
"""Of reports: those that changed nothing in the ledger and that no rule will ask for again."""


class DeliveryReport(Base):
    """What was said later of a delivery: by a server's log, a bounce, a complaint, a delivery event, or a person."""

    __tablename__ = "delivery_reports"
    __table_args__ = (
        Index(
            "ix_delivery_reports_waiting",
            "seen_at",
            sqlite_where=text("settled_at IS NULL"),
            postgresql_where=text("settled_at IS NULL"),
        ),
        Index(
            "ix_delivery_reports_spent",
            "seen_at",
            sqlite_where=text(SPENT_REPORTS),
            postgresql_where=text(SPENT_REPORTS),
        ),
        {"sqlite_with_rowid": False},
    )

    campaign_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("campaigns.id"), primary_key=True, autoincrement=False
    )
    n: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    digest: Mapped[str] = mapped_column(String(32), primary_key=True)
    """Of what it says and in which words, so that the same report counts once, however often it comes."""
    kind: Mapped[str] = mapped_column(String(10))
    source: Mapped[str] = mapped_column(String(10))
    """log, bounce, event or person."""
    reporter: Mapped[str]
    """Who says so: a server, a file, a person."""
    at: Mapped[datetime | None]
    """When it happened, as far as the source tells."""
    seen_at: Mapped[datetime]
    stage: Mapped[str | None] = mapped_column(String(12))
    code: Mapped[int | None] = mapped_column(SmallInteger)
    words: Mapped[str]
    settled_at: Mapped[datetime | None]
    """When the delivery took it into account; NULL while somebody is sending that delivery."""
    before: Mapped[str | None] = mapped_column(String(16))
    after: Mapped[str | None] = mapped_column(String(16))
    """The delivery's status before and after, where the report changed it."""


class Suppression(Base):
    """An address that is not mailed: it does not exist, or its owner said so."""

    __tablename__ = "suppressions"
    __table_args__ = (
        Index(
            "ix_suppressions_complaints",
            "at",
            sqlite_where=text("source = 'complaint'"),
            postgresql_where=text("source = 'complaint'"),
        ),
    )

    email_key: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str]
    source: Mapped[str] = mapped_column(String(20))
    """bounce, complaint, unsubscribe or person."""
    at: Mapped[datetime] = mapped_column(index=True)
