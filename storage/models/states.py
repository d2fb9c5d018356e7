"""The words that columns hold: states and reasons."""

from enum import StrEnum


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
    THRESHOLD = "threshold"
    """Holdfast itself, since too much of it came back; a person lets it go on."""


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


class ReportKind(StrEnum):
    """What a report says of a delivery."""

    ACCEPTED = "accepted"
    """The server has the message, and tries or tried to pass it on."""
    DELIVERED = "delivered"
    """It was passed on, or put into the mailbox."""
    BOUNCED = "bounced"
    """It was refused for good, and no further attempt is made."""
    GAVE_UP = "gave_up"
    """It was put off until nobody tries any more."""
    COMPLAINT = "complaint"
    """The recipient calls it spam."""


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
