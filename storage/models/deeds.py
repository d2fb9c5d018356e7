"""What people plan, ask for, decide and take back."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Index,
    SmallInteger,
    String,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from storage.models.base import Base, BigId
from storage.models.states import ApprovalState, MaintenanceState, NoticeState, ResendState


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
    """all, canary, ramp or whole, when approved."""


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
    """The highest wave that may be sent: -1 none, 0 the first 1 %, resends.EVERY_WAVE all."""
    ramped: Mapped[bool] = mapped_column(default=False)
    """All of it is approved and queued, and goes out wave by wave without a further word: see Ramp."""
    requested_by: Mapped[str]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    note: Mapped[str | None]
    """Why it is paused, void or cancelled."""
    wished_at: Mapped[datetime | None]
    """When the stop was asked for that is under way, or was confirmed; NULL while it goes out."""
    confirmed_at: Mapped[datetime | None]
    slipped: Mapped[int] = mapped_column(default=0)
    """How many went out between the wish to stop and its confirmation."""


class ResendItem(Base):
    """One delivery of a plan. Without foreign keys, whose checks took as long as all else of a large plan: items are
    made from deliveries, in the transaction that makes their resend, and none of the three is ever deleted.
    """

    __tablename__ = "resend_items"
    __table_args__ = ({"sqlite_with_rowid": False},)

    campaign_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    resend_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    n: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    wave: Mapped[int] = mapped_column(SmallInteger)
    before: Mapped[str] = mapped_column(String(16))
    """The delivery's status in the plan; it goes back to it when the resend is cancelled."""


class Ramp(Base):
    """How far a campaign, or a resend, has come stage by stage, and since when what fails of it is counted.

    A send without a ramp has one stage. It has a row as soon as it was let go on, so that what a person has seen
    stops it no second time.
    """

    __tablename__ = "ramps"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    campaign_id: Mapped[int | None] = mapped_column(ForeignKey("campaigns.id"), unique=True)
    resend_id: Mapped[int | None] = mapped_column(ForeignKey("resends.id"), unique=True)
    stages: Mapped[list[int]] = mapped_column(default=list)
    """Per cent of the messages, rising to 100."""
    sizes: Mapped[list[int]] = mapped_column(default=list)
    """How many messages each stage lets out, with those before it."""
    stage: Mapped[int] = mapped_column(default=-1)
    """The place in `stages` of what may be sent now; -1: it has not begun."""
    due_at: Mapped[datetime | None]
    """When the next stage begins; NULL while something of this one has no result, and in the last one."""
    counted_since: Mapped[datetime | None]
    """What failed before was seen by a person; NULL: everything counts."""
    counted_from: Mapped[int] = mapped_column(default=0)
    """How many messages had been tried by then."""
    stopped_entry_id: Mapped[int | None] = mapped_column(BigInteger)
    """The entry of the timeline that says why Holdfast stopped it the last time; its message has a button."""


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
