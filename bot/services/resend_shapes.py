"""What the services say of a resend: plain data that the views turn into messages."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.services.ramp_shapes import RampStatus
from storage.models import Approval, ApprovalState, DeliveryStatus, Health, Resend, ResendState
from storage.resends import Placed

LIVE = (ResendState.PLANNED, ResendState.SENDING, ResendState.PAUSING, ResendState.PAUSED)


@dataclass(frozen=True)
class Progress:
    """Where the messages of a resend are, in messages. All together they are the plan's total."""

    delivered: int = 0
    failed: int = 0
    """They failed again, for now or for good."""
    unknown: int = 0
    suppressed: int = 0
    expired: int = 0
    queued: int = 0
    """Approved and not sent yet."""
    held_back: int = 0
    """Not queued: they wait for an approval, or for the word after the canary."""
    left: int = 0
    """No longer this resend's: given back when it was cancelled, or taken by a later one."""

    @property
    def done(self) -> int:
        """Those with a result."""
        return self.delivered + self.failed + self.unknown + self.suppressed + self.expired

    @property
    def to_go(self) -> int:
        return self.queued + self.held_back


@dataclass(frozen=True)
class Carrier:
    """A server that would carry the resend. `trouble` is None while it can: down, drained or in maintenance."""

    name: str
    instead_of: str | None
    """The campaigns' own server, when this one stands in for it."""
    trouble: str | None


@dataclass(frozen=True)
class ResendStatus:
    """Everything that a resend's card shows."""

    resend: Resend
    campaigns: tuple[str, ...]
    progress: Progress
    rate_per_minute: float | None
    """Delivered a minute by these campaigns lately; None: no data."""
    carriers: tuple[Carrier, ...]
    approval: Approval | None
    approvers: tuple[str, ...]
    """Who may approve, as messages name them."""
    sender_runs: bool
    at: datetime
    ramp: RampStatus | None = None
    """Its stages, also where it does not go out in them."""
    ramped_unasked: bool = False
    """It goes out in stages when somebody just approves it."""

    @property
    def canary(self) -> int:
        """How many messages go out first, with the choice of one per cent."""
        return int(self.resend.counts.get("canary", 0))

    @property
    def canary_done(self) -> bool:
        return canary_is_done(self.resend, self.progress.queued)

    @property
    def expired(self) -> bool:
        """Nobody decided in time."""
        if self.resend.state != ResendState.PLANNED or self.approval is None:
            return False
        overdue = self.approval.state == ApprovalState.PENDING and self.approval.expires_at <= self.at
        return overdue or self.approval.state == ApprovalState.EXPIRED

    @property
    def duration(self) -> timedelta | None:
        """How long what is left would take at the present rate; None: no data."""
        if not self.rate_per_minute:
            return None
        return timedelta(minutes=self.progress.to_go / self.rate_per_minute)


def canary_is_done(resend: Resend, queued: int) -> bool:
    """Everything of the canary has its result, and the rest waits for a person's word."""
    return resend.state == ResendState.PAUSED and resend.wave == 0 and not resend.ramped and queued == 0


def trouble(place: Placed) -> str | None:
    """Why the server that carries a campaign cannot send now."""
    if place.in_maintenance:
        return "in maintenance"
    if place.carrier.drained_at is not None:
        return "drained"
    return "down" if place.carrier.health == Health.DOWN else None


def carrier(place: Placed) -> Carrier:
    pool = place.server.pool
    own = place.carrier.id == place.server.id or (pool is not None and place.carrier.pool == pool)
    return Carrier(place.carrier.name, None if own else place.server.name, trouble(place))


def progress(resend: Resend, counts: Mapping[str, int]) -> Progress:
    """`counts` is of the deliveries that carry this resend's mark: status -> count."""
    rest = resend.total - sum(counts.values())
    waits = resend.state in LIVE and resend.wave < 1
    return Progress(
        delivered=counts.get(DeliveryStatus.DELIVERED, 0),
        failed=counts.get(DeliveryStatus.FAILED_TEMPORARY, 0) + counts.get(DeliveryStatus.FAILED_PERMANENT, 0),
        unknown=counts.get(DeliveryStatus.UNKNOWN, 0),
        suppressed=counts.get(DeliveryStatus.SUPPRESSED, 0),
        expired=counts.get(DeliveryStatus.EXPIRED, 0),
        queued=counts.get(DeliveryStatus.QUEUED, 0),
        held_back=rest if waits else 0,
        left=0 if waits else rest,
    )
