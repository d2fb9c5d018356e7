"""Every table. The words are those of docs/architecture.md; times are aware UTC.

Large tables (recipients, deliveries, resend_items, send_minutes) lead their keys with the campaign's id, so that
a distributed PostgreSQL can shard on it.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from storage.types import UtcDateTime

# SQLite only counts up by itself in a column of its own INTEGER type.
BigId = BigInteger().with_variant(Integer(), "sqlite")


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012  SQLAlchemy reads it from the class
        datetime: UtcDateTime,
        dict[str, Any]: JSON,
        list[str]: JSON,
        list[int]: JSON,
        str: Text,
    }


class Health(StrEnum):
    """What probes and sending say of a server. Maintenance and drained are computed, never stored here."""

    UNCHECKED = "unchecked"
    UP = "up"
    SUSPECTED = "suspected"
    DOWN = "down"


class CampaignState(StrEnum):
    SCHEDULED = "scheduled"
    SENDING = "sending"
    PAUSING = "pausing"
    PAUSED = "paused"
    FINISHED = "finished"
    CANCELLED = "cancelled"


class Hold(StrEnum):
    """Why a campaign is pausing or paused: who must let it go on."""

    PERSON = "person"
    OUTAGE = "outage"
    MAINTENANCE = "maintenance"


class DeliveryStatus(StrEnum):
    QUEUED = "queued"
    DELIVERED = "delivered"
    FAILED_TEMPORARY = "failed_temporary"
    FAILED_PERMANENT = "failed_permanent"
    UNKNOWN = "unknown"
    SUPPRESSED = "suppressed"
    EXPIRED = "expired"


class Retry(StrEnum):
    """May a failed delivery be sent again? The table of bot/mail/replies.py decides."""

    SAFE = "safe"
    AFTER_FIX = "after_fix"
    NEVER = "never"
    DECIDE = "decide"


class OutageState(StrEnum):
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    IDENTIFIED = "identified"
    MONITORING = "monitoring"
    RESOLVED = "resolved"


class Severity(StrEnum):
    """From the mildest to the worst."""

    MINOR = "minor"
    MAJOR = "major"
    CRITICAL = "critical"


class ResendState(StrEnum):
    PLANNED = "planned"
    SENDING = "sending"
    PAUSING = "pausing"
    PAUSED = "paused"
    FINISHED = "finished"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    VOID = "void"


class ApprovalState(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    VOID = "void"


class NoticeState(StrEnum):
    DRAFT = "draft"
    WAITING = "waiting"
    SENDING = "sending"
    FINISHED = "finished"
    REJECTED = "rejected"
    CANCELLED = "cancelled"


class MaintenanceState(StrEnum):
    PROPOSED = "proposed"
    SCHEDULED = "scheduled"
    ACTIVE = "active"
    ENDED = "ended"
    CANCELLED = "cancelled"


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
            sqlite_where=text("status IN ('failed_temporary', 'failed_permanent', 'unknown')"),
            postgresql_where=text("status IN ('failed_temporary', 'failed_permanent', 'unknown')"),
        ),
        Index(
            "ix_deliveries_resend",
            "resend_id",
            "status",
            sqlite_where=text("resend_id IS NOT NULL"),
            postgresql_where=text("resend_id IS NOT NULL"),
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


class SendMinute(Base):
    """Per-minute counts of results, written in the transaction of the results."""

    __tablename__ = "send_minutes"

    campaign_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    minute: Mapped[datetime] = mapped_column(primary_key=True)
    server_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    status: Mapped[str] = mapped_column(String(16), primary_key=True)
    count: Mapped[int]


class Suppression(Base):
    """An address that is not mailed: it does not exist, or its owner said so."""

    __tablename__ = "suppressions"

    email_key: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str]
    source: Mapped[str] = mapped_column(String(20))
    """bounce, unsubscribe or person."""
    at: Mapped[datetime]


class Outage(Base):
    __tablename__ = "outages"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    state: Mapped[str] = mapped_column(String(12), default=OutageState.OPEN, index=True)
    severity: Mapped[str] = mapped_column(String(10), default=Severity.MAJOR)
    title: Mapped[str]
    cause: Mapped[str | None]
    lead: Mapped[str | None]
    eta: Mapped[datetime | None]
    policy: Mapped[str] = mapped_column(String(10), default="hold")
    """What was done to the campaigns on opening: hold, failover or tell."""
    opened_by: Mapped[str]
    stage: Mapped[str | None] = mapped_column(String(12))
    code: Mapped[int | None]
    reply: Mapped[str | None]
    """The stage and reply that failed on opening: kept, never overwritten by later probes."""
    started_at: Mapped[datetime]
    detected_at: Mapped[datetime]
    down_at: Mapped[datetime | None]
    """When the monitor last found a server of it down. NULL: declared by hand, and the monitor saw nothing."""
    acknowledged_at: Mapped[datetime | None]
    acknowledged_by: Mapped[str | None]
    recovered_at: Mapped[datetime | None]
    resolved_at: Mapped[datetime | None]
    resolved_by: Mapped[str | None]
    resolution: Mapped[str | None]
    recurrences: Mapped[int] = mapped_column(default=0)
    reminded_at: Mapped[datetime | None]
    """When somebody was last reminded that the team waits for news."""
    reminders_from: Mapped[datetime | None]
    """Put off: no reminder before this."""
    reminders_off_at: Mapped[datetime | None]
    """Since when nobody wants to be reminded of it; NULL: they do."""


class OutageServer(Base):
    __tablename__ = "outage_servers"

    outage_id: Mapped[int] = mapped_column(ForeignKey("outages.id"), primary_key=True)
    server_id: Mapped[int] = mapped_column(ForeignKey("servers.id"), primary_key=True, index=True)


class OutageCampaign(Base):
    __tablename__ = "outage_campaigns"

    outage_id: Mapped[int] = mapped_column(ForeignKey("outages.id"), primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"), primary_key=True, index=True)
    held: Mapped[bool] = mapped_column(default=False)


class Timeline(Base):
    """What happened, in order: audit log, outbox to Slack and source of the review."""

    __tablename__ = "timeline"
    __table_args__ = (Index("ix_timeline_message", "channel", "message_ts", unique=True),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    at: Mapped[datetime]
    kind: Mapped[str] = mapped_column(String(40))
    """noun.verb, as `campaign.pause_confirmed`."""
    actor: Mapped[str]
    text: Mapped[str]
    data: Mapped[dict[str, Any]] = mapped_column(default=dict)
    outage_id: Mapped[int | None] = mapped_column(ForeignKey("outages.id"), index=True)
    server_id: Mapped[int | None] = mapped_column(ForeignKey("servers.id"))
    campaign_id: Mapped[int | None] = mapped_column(ForeignKey("campaigns.id"))
    resend_id: Mapped[int | None] = mapped_column(ForeignKey("resends.id"))
    notice_id: Mapped[int | None] = mapped_column(ForeignKey("notices.id"))
    maintenance_id: Mapped[int | None] = mapped_column(ForeignKey("maintenance.id"))
    channel: Mapped[str | None] = mapped_column(String(20))
    message_ts: Mapped[str | None] = mapped_column(String(24))
    """With `channel`: the Slack message that people put into the timeline. A message stands there once."""
    removed_at: Mapped[datetime | None]
    """When it was taken out again. Such an entry stays for the audit; nobody else sees it."""


class MessageMark(Base):
    """What somebody put on a Slack message so that it stands in the timeline: a pin, a reaction, a shortcut.

    It stands there while one of them is on. One that was taken off stays as a row, so that an event that comes late
    does not put it on again.
    """

    __tablename__ = "message_marks"

    channel: Mapped[str] = mapped_column(String(20), primary_key=True)
    message_ts: Mapped[str] = mapped_column(String(24), primary_key=True)
    how: Mapped[str] = mapped_column(String(40), primary_key=True)
    """pin, reaction:USER or shortcut."""
    is_on: Mapped[bool]
    at: Mapped[datetime]
    """When it was put on or taken off, by Slack's clock."""


class Post(Base):
    """One Slack message that should exist. The announcer makes it so: posted follows wanted."""

    __tablename__ = "posts"
    __table_args__ = (
        Index(
            "ix_posts_waiting",
            "id",
            sqlite_where=text("posted < wanted"),
            postgresql_where=text("posted < wanted"),
        ),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    key: Mapped[str] = mapped_column(String(60), unique=True)
    """kind:id of what it shows, as `outage:3` or `timeline:41`; also in the message's metadata."""
    parent_key: Mapped[str | None] = mapped_column(String(60))
    """The key of the message whose thread it belongs in."""
    broadcast: Mapped[bool] = mapped_column(default=False)
    channel: Mapped[str | None] = mapped_column(String(20))
    """Where it was posted; NULL until then."""
    ts: Mapped[str | None] = mapped_column(String(24))
    wanted: Mapped[int] = mapped_column(default=1)
    posted: Mapped[int] = mapped_column(default=0)
    shown: Mapped[str | None] = mapped_column(String(64))
    """A hash of what was last shown: an edit that changes nothing is not sent."""
    attempted_at: Mapped[datetime | None]
    """Set before a first post leaves and kept until its ts is known: look for the message before posting again."""
    attempts: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[datetime | None]
    error: Mapped[str | None]
    code: Mapped[str | None]
    """Slack's word for the error, or ours."""
    failing_since: Mapped[datetime | None]
    """When it could not be shown for the first time since it was last shown."""
    taken_at: Mapped[datetime | None]
    """When Slack took it."""
    joined_into: Mapped[str | None] = mapped_column(String(60), index=True)
    """The key of the post whose message shows it too: a burst is one message, and only its owner edits it."""
    created_at: Mapped[datetime]


class Reminder(Base):
    """A message in an outage's thread: nothing new was said for longer than its severity allows."""

    __tablename__ = "reminders"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    outage_id: Mapped[int] = mapped_column(ForeignKey("outages.id"), index=True)
    at: Mapped[datetime]
    since: Mapped[datetime]
    """When somebody last said something new."""
    severity: Mapped[str] = mapped_column(String(10))
    lead: Mapped[str | None]
    answer: Mapped[str | None] = mapped_column(String(10))
    """update, later, never or over; NULL while it waits for one."""
    answered_by: Mapped[str | None]
    answered_at: Mapped[datetime | None]
    until: Mapped[datetime | None]
    """With `later`: when it is put off to."""


class Paging(Base):
    """A time in which Slack took nothing, and who was told of it by other roads."""

    __tablename__ = "paging"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    began_at: Mapped[datetime]
    """When Slack first did not take a message."""
    error: Mapped[str]
    outage_ids: Mapped[list[int]] = mapped_column(default=list)
    """The outages that a page told of."""
    roads: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Road -> how its last try ended: ok, said, at."""
    attempts: Mapped[int] = mapped_column(default=0)
    """Rounds in a row in which no road took it."""
    next_at: Mapped[datetime | None]
    """When the next page, or the next try of this one, is due; NULL: not again."""
    pages: Mapped[int] = mapped_column(default=0)
    paged_at: Mapped[datetime | None]
    """When the first page was taken by a road."""
    last_paged_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None] = mapped_column(index=True)


class Approval(Base):
    """A decision bound to the hash of exactly what is approved."""

    __tablename__ = "approvals"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    subject: Mapped[str] = mapped_column(String(10))
    """resend, notice or campaign."""
    subject_id: Mapped[int] = mapped_column(BigInteger, index=True)
    plan_hash: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(10), default=ApprovalState.PENDING)
    requested_by: Mapped[str]
    requested_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    decided_by: Mapped[str | None]
    decided_at: Mapped[datetime | None]
    choice: Mapped[str | None] = mapped_column(String(10))
    """all or canary, when approved."""


class Resend(Base):
    __tablename__ = "resends"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    outage_id: Mapped[int | None] = mapped_column(ForeignKey("outages.id"), index=True)
    state: Mapped[str] = mapped_column(String(10), default=ResendState.PLANNED, index=True)
    wish: Mapped[str] = mapped_column(String(10), default=ResendState.PLANNED)
    campaign_ids: Mapped[list[int]] = mapped_column(default=list)
    include_unknown: Mapped[bool] = mapped_column(default=False)
    include_refused: Mapped[bool] = mapped_column(default=False)
    plan_hash: Mapped[str] = mapped_column(String(64))
    counts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """What the plan found: safe, refused, unknown, permanent, suppressed, expired, never_attempted."""
    total: Mapped[int]
    wave: Mapped[int] = mapped_column(default=-1)
    """The highest wave that may be sent: -1 none, 0 the canary of 1 %, 1 all."""
    requested_by: Mapped[str]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    note: Mapped[str | None]
    """Why it is paused, void or cancelled."""


class ResendItem(Base):
    __tablename__ = "resend_items"
    __table_args__ = ({"sqlite_with_rowid": False},)

    campaign_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("campaigns.id"), primary_key=True, autoincrement=False
    )
    resend_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("resends.id"), primary_key=True, autoincrement=False)
    n: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    wave: Mapped[int] = mapped_column(SmallInteger)
    before: Mapped[str] = mapped_column(String(16))
    """The delivery's status in the plan; it goes back to it when the resend is cancelled."""


class Notice(Base):
    __tablename__ = "notices"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    outage_id: Mapped[int | None] = mapped_column(ForeignKey("outages.id"))
    state: Mapped[str] = mapped_column(String(10), default=NoticeState.DRAFT)
    subject: Mapped[str]
    text: Mapped[str]
    campaign_ids: Mapped[list[int]] = mapped_column(default=list)
    """Whose recipients it goes to; empty when the audience came from a CSV."""
    campaign_id: Mapped[int | None] = mapped_column(ForeignKey("campaigns.id"))
    """The mailing that carries it, with its frozen audience."""
    plan_hash: Mapped[str | None] = mapped_column(String(64))
    counts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class WebhookCall(Base):
    """A notice on its way to a webhook: retried until it is taken, with an id that lets the receiver drop doubles."""

    __tablename__ = "webhook_calls"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    notice_id: Mapped[int] = mapped_column(ForeignKey("notices.id"), unique=True)
    call_id: Mapped[str] = mapped_column(String(64))
    attempts: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    given_up_at: Mapped[datetime | None]
    error: Mapped[str | None]


class Maintenance(Base):
    __tablename__ = "maintenance"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    server_id: Mapped[int] = mapped_column(ForeignKey("servers.id"), index=True)
    state: Mapped[str] = mapped_column(String(10), default=MaintenanceState.PROPOSED, index=True)
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    zone: Mapped[str] = mapped_column(String(40))
    """The IANA zone in which the times were meant."""
    reason: Mapped[str | None]
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    reminded_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]


class Inbound(Base):
    """Requests of Slack that were taken: a redelivery finds its key here and is dropped."""

    __tablename__ = "inbound"
    __table_args__ = (
        Index(
            "ix_inbound_open",
            "at",
            sqlite_where=text("done_at IS NULL"),
            postgresql_where=text("done_at IS NULL"),
        ),
    )

    key: Mapped[str] = mapped_column(String(120), primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    kind: Mapped[str] = mapped_column(String(10))
    """command, action, event, shortcut or view (a form that was sent)."""
    payload: Mapped[dict[str, Any] | None]
    """What is needed to carry it out or to answer it after a restart; NULL once it is done."""
    started_at: Mapped[datetime | None]
    """When its handler began. Taken but never begun: it can still be carried out; begun but not done: only told."""
    done_at: Mapped[datetime | None]


class SlackInstallation(Base):
    """Somebody installed Holdfast in a workspace by OAuth: a row each time, in the table of slack_sdk's store.

    Its times are naive and in UTC, as that store wants them. Tokens are encrypted: bot/slack/tokens.py.
    """

    __tablename__ = "slack_installations"
    __table_args__ = (
        Index("slack_installations_idx", "client_id", "enterprise_id", "team_id", "user_id", "installed_at"),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    client_id: Mapped[str] = mapped_column(String(32))
    app_id: Mapped[str] = mapped_column(String(32))
    enterprise_id: Mapped[str | None] = mapped_column(String(32))
    enterprise_name: Mapped[str | None]
    enterprise_url: Mapped[str | None]
    team_id: Mapped[str | None] = mapped_column(String(32))
    team_name: Mapped[str | None]
    bot_token: Mapped[str | None]
    bot_id: Mapped[str | None] = mapped_column(String(32))
    bot_user_id: Mapped[str | None] = mapped_column(String(32))
    bot_scopes: Mapped[str | None]
    bot_refresh_token: Mapped[str | None]
    bot_token_expires_at: Mapped[datetime | None] = mapped_column(DateTime)
    user_id: Mapped[str] = mapped_column(String(32))
    user_token: Mapped[str | None]
    user_scopes: Mapped[str | None]
    user_refresh_token: Mapped[str | None]
    user_token_expires_at: Mapped[datetime | None] = mapped_column(DateTime)
    incoming_webhook_url: Mapped[str | None]
    incoming_webhook_channel: Mapped[str | None]
    incoming_webhook_channel_id: Mapped[str | None]
    incoming_webhook_configuration_url: Mapped[str | None]
    is_enterprise_install: Mapped[bool] = mapped_column(default=False)
    token_type: Mapped[str | None] = mapped_column(String(32))
    installed_at: Mapped[datetime] = mapped_column(DateTime)


class SlackBot(Base):
    """The bot token of an installation, in the table of slack_sdk's store. Gone when the workspace removed Holdfast."""

    __tablename__ = "slack_bots"
    __table_args__ = (Index("slack_bots_idx", "client_id", "enterprise_id", "team_id", "installed_at"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    client_id: Mapped[str] = mapped_column(String(32))
    app_id: Mapped[str] = mapped_column(String(32))
    enterprise_id: Mapped[str | None] = mapped_column(String(32))
    enterprise_name: Mapped[str | None]
    team_id: Mapped[str | None] = mapped_column(String(32))
    team_name: Mapped[str | None]
    bot_token: Mapped[str | None]
    bot_id: Mapped[str | None] = mapped_column(String(32))
    bot_user_id: Mapped[str | None] = mapped_column(String(32))
    bot_scopes: Mapped[str | None]
    bot_refresh_token: Mapped[str | None]
    bot_token_expires_at: Mapped[datetime | None] = mapped_column(DateTime)
    is_enterprise_install: Mapped[bool] = mapped_column(default=False)
    installed_at: Mapped[datetime] = mapped_column(DateTime)


class InstallState(Base):
    """Somebody is at Slack's page and about to come back; used once."""

    __tablename__ = "install_states"

    state: Mapped[str] = mapped_column(String(64), primary_key=True)
    expires_at: Mapped[datetime]


class HomeTab(Base):
    """The home tab of a person who has opened it: what it shows, and what their last click in it came to."""

    __tablename__ = "home_tabs"

    team_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    """The workspace in which it is; an id of a person is unique only together with it. Empty where Slack named none."""
    user_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str]
    outsider: Mapped[bool] = mapped_column(default=False)
    """From another workspace: may look, and no more."""
    used_at: Mapped[datetime]
    """When they last opened it, or pressed something in it."""
    shown: Mapped[str | None] = mapped_column(String(64))
    """A hash of what Slack was last given; NULL while that is not known, so that it is given anew."""
    note: Mapped[dict[str, Any] | None]
    """The answer to their last click, its text and blocks: a home tab has no other place for it."""
    noted_at: Mapped[datetime | None]


class BreakGlass(Base):
    """Somebody took the role sender in an emergency. Nobody has two that are not ended."""

    __tablename__ = "break_glass"
    __table_args__ = (
        Index(
            "ux_break_glass_unended",
            "user_id",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    user_id: Mapped[str] = mapped_column(String(20))
    """Slack's id of the person."""
    reason: Mapped[str]
    began_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    """It counts until then at the latest, whether anything has marked it as ended or not."""
    ended_at: Mapped[datetime | None]
    ended_by: Mapped[str | None]
    """Who ended it before its time, as a message names them."""


class Question(Base):
    """A deed that was typed and shown with what it would hit, and waits for its Confirm. Kept for days."""

    __tablename__ = "questions"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    line: Mapped[str]
    """The command as it was typed, which Confirm carries out."""
    deed: Mapped[str] = mapped_column(String(40))
    targets: Mapped[list[str]] = mapped_column(default=list)
    """What it would have hit when it was shown, as `campaign spring-sale`: what comes to it needs a new question."""
    asked_by: Mapped[str]
    asked_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    answer: Mapped[str | None] = mapped_column(String(10))
    """confirmed or dropped; NULL until somebody answers."""
    answered_at: Mapped[datetime | None]
    answered_by: Mapped[str | None]


class Undo(Base):
    """What one deed changed and how it was before, so that exactly this can be taken back, once and for a while."""

    __tablename__ = "undos"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    deed: Mapped[str] = mapped_column(String(40))
    """noun.verb, as `campaign.pause`."""
    what: Mapped[str]
    """The deed in words, as `the pause of news and spring-sale`."""
    data: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Ids and former values; their shape belongs to the deed: bot/services/undoing.py."""
    done_by: Mapped[str]
    done_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    undone_at: Mapped[datetime | None]
    undone_by: Mapped[str | None]
