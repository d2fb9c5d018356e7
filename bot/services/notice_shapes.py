"""What the services say of a notice: plain data that the views turn into messages."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from storage.models import (
    Approval,
    ApprovalState,
    Campaign,
    CampaignState,
    DeliveryStatus,
    Notice,
    NoticeState,
    WebhookCall,
)

_FAILED = (DeliveryStatus.FAILED_TEMPORARY, DeliveryStatus.FAILED_PERMANENT)


@dataclass(frozen=True)
class WebhookNow:
    """How the call of the webhook stands. `state`: planned, trying, delivered, given_up."""

    state: str
    attempts: int = 0
    next_at: datetime | None = None
    error: str | None = None


@dataclass(frozen=True)
class NoticeStatus:
    """Everything that a notice's preview and its card show."""

    notice: Notice
    mailing: Campaign
    """The campaign that carries it, with its frozen audience."""
    campaigns: tuple[str, ...]
    """Whose recipients are told; empty when they came from a CSV."""
    sender: str
    """The From of every message."""
    counts: dict[str, int]
    """Delivery status -> count, over its whole ledger."""
    server: str | None
    """The server that it goes through, or would; None while none is usable."""
    webhook: WebhookNow | None
    """None: no webhook is set."""
    rate_per_minute: float | None
    """Delivered a minute lately; None: no data."""
    approval: Approval | None
    approvers: tuple[str, ...]
    """Who may approve, as messages name them."""
    sender_runs: bool
    at: datetime

    @property
    def recipients(self) -> int:
        return self.mailing.recipients

    @property
    def suppressed(self) -> int:
        """Addresses left out because they are not mailed any more."""
        return int(self.notice.counts.get("suppressed", 0))

    @property
    def duplicates(self) -> int:
        """Doubles left out: everybody is told once."""
        return int(self.notice.counts.get("duplicates", 0))

    @property
    def bad(self) -> int:
        """Rows of a CSV that could not be used."""
        return int(self.notice.counts.get("bad", 0))

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(self.notice.counts.get("warnings", ()))

    @property
    def delivered(self) -> int:
        return self.counts[DeliveryStatus.DELIVERED]

    @property
    def failed(self) -> int:
        return sum(self.counts[status] for status in _FAILED)

    @property
    def unknown(self) -> int:
        return self.counts[DeliveryStatus.UNKNOWN]

    @property
    def to_go(self) -> int:
        return self.counts[DeliveryStatus.QUEUED]

    @property
    def done(self) -> int:
        """Those with a result."""
        return self.recipients - self.to_go

    @property
    def cancelling(self) -> bool:
        """Somebody cancelled it and the sender has not confirmed yet."""
        return self.notice.state == NoticeState.SENDING and self.mailing.wish == CampaignState.CANCELLED

    @property
    def expired(self) -> bool:
        """Nobody decided in time."""
        if self.notice.state != NoticeState.WAITING or self.approval is None:
            return False
        overdue = self.approval.state == ApprovalState.PENDING and self.approval.expires_at <= self.at
        return overdue or self.approval.state == ApprovalState.EXPIRED

    @property
    def remaining(self) -> timedelta | None:
        """How long what is to go takes at the present rate; None: no data."""
        return timedelta(minutes=self.to_go / self.rate_per_minute) if self.rate_per_minute else None


NoticePreview = NoticeStatus


@dataclass(frozen=True)
class NoticeRow:
    """One line of `/notice list`."""

    notice: Notice
    recipients: int
    delivered: int


def webhook_now(call: WebhookCall | None, *, configured: bool) -> WebhookNow | None:
    if call is None:
        return WebhookNow("planned") if configured else None
    if call.delivered_at is not None:
        return WebhookNow("delivered", call.attempts)
    if call.given_up_at is not None:
        return WebhookNow("given_up", call.attempts, error=call.error)
    return WebhookNow("trying", call.attempts, call.next_at, call.error)
