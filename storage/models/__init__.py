"""Every table. The words are those of docs/architecture.md; times are aware UTC.

Large tables (recipients, deliveries, resend_items, send_minutes) lead their keys with the campaign's id, so that
a distributed PostgreSQL can shard on it.
"""

from storage.models.base import Base, BigId
from storage.models.deeds import (
    Approval,
    BreakGlass,
    Maintenance,
    Notice,
    Question,
    Resend,
    ResendItem,
    Undo,
    WebhookCall,
)
from storage.models.mail import (
    Campaign,
    Delivery,
    Evidence,
    Lease,
    Message,
    Recipient,
    SendMinute,
    Server,
    Suppression,
    Worker,
)
from storage.models.outages import MessageMark, Outage, OutageCampaign, OutageServer, Paging, Reminder, Timeline
from storage.models.slack import HomeTab, Inbound, InstallState, Post, SlackBot, SlackInstallation
from storage.models.states import (
    ApprovalState,
    CampaignState,
    DeliveryStatus,
    Health,
    Hold,
    MaintenanceState,
    NoticeState,
    OutageState,
    ResendState,
    Retry,
    Severity,
)

__all__ = [
    "Approval",
    "ApprovalState",
    "Base",
    "BigId",
    "BreakGlass",
    "Campaign",
    "CampaignState",
    "Delivery",
    "DeliveryStatus",
    "Evidence",
    "Health",
    "Hold",
    "HomeTab",
    "Inbound",
    "InstallState",
    "Lease",
    "Maintenance",
    "MaintenanceState",
    "Message",
    "MessageMark",
    "Notice",
    "NoticeState",
    "Outage",
    "OutageCampaign",
    "OutageServer",
    "OutageState",
    "Paging",
    "Post",
    "Question",
    "Recipient",
    "Reminder",
    "Resend",
    "ResendItem",
    "ResendState",
    "Retry",
    "SendMinute",
    "Server",
    "Severity",
    "SlackBot",
    "SlackInstallation",
    "Suppression",
    "Timeline",
    "Undo",
    "WebhookCall",
    "Worker",
]
