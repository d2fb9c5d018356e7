"""Outages, what happened in them, and who is told when nobody looks."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    ForeignKey,
    Index,
    String,
)
from sqlalchemy.orm import Mapped, mapped_column

from storage.models.base import Base, BigId
from storage.models.states import OutageState, Severity


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
