"""What the home tab shows: of the whole house, and of it what one person sees and may press. Plain data."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.services.campaign_asking import AskStatus
from bot.services.notice_shapes import NoticeStatus
from bot.services.outage_shapes import Headline
from bot.services.ramp_shapes import RampStatus
from bot.services.resend_shapes import ResendStatus
from bot.services.server_results import ServerRow
from storage.models import Approval, BreakGlass, Campaign, Maintenance, Resend


@dataclass(frozen=True)
class ResendNow:
    """A resend that is under way or paused. `to_go` messages have not gone out; None: more than are counted here."""

    resend: Resend
    to_go: int | None
    canary_done: bool
    """The first 1 % has its results, and the rest waits for an approver."""
    ramp: RampStatus | None = None
    """Where it is among its stages; None where it does not go out in them."""

    @property
    def held_back(self) -> int:
        """Messages that are not queued yet, as they wait for the word after the first 1 %."""
        of_canary = self.resend.wave == 0 and not self.resend.ramped
        return self.resend.total - int(self.resend.counts.get("canary", 0)) if of_canary else 0


@dataclass(frozen=True)
class Decision:
    """What an approval decides on, exactly as its own card shows it."""

    approval: Approval
    status: ResendStatus | NoticeStatus | AskStatus

    @property
    def recipients(self) -> int:
        """How many people it is about."""
        if isinstance(self.status, AskStatus):
            return self.status.campaign.recipients
        return self.status.resend.total if isinstance(self.status, ResendStatus) else self.status.recipients


@dataclass(frozen=True)
class House:
    """Everything that home tabs show, read at one moment. Lists are bounded; what they leave out is counted."""

    at: datetime
    outages: tuple[Headline, ...]
    """The unresolved ones without counts of the ledger, those that nobody has first."""
    more_outages: int
    campaigns: Mapping[str, int]
    """State -> count, only of states that there are."""
    stopped: tuple[Campaign, ...]
    """Campaigns that are pausing or paused, the latest first."""
    sending: tuple[Campaign, ...]
    ramps: Mapping[int, RampStatus]
    """Of the campaigns above that go out in stages: campaign id -> where it is among them."""
    servers: tuple[ServerRow, ...]
    """All, by name; without their campaigns."""
    resends: tuple[ResendNow, ...]
    more_resends: int
    decisions: tuple[Decision, ...]
    """What waits for a second person, oldest first."""
    pending: tuple[Approval, ...]
    """Every approval that waits, also those that are not among `decisions`."""
    maintenance: tuple[tuple[Maintenance, str], ...]
    """What is planned or under way, in order of the starts, each with the name of its server."""
    more_maintenance: int
    glasses: tuple[BreakGlass, ...]
    """Broken glasses in force, oldest first."""
    sender_runs: bool


@dataclass(frozen=True)
class HomeReport:
    """The house as one person sees it."""

    house: House
    buttons: frozenset[str]
    """The action ids that they may press."""
    decisions: tuple[Decision, ...]
    """What waits for this person's decision."""
    more_decisions: int
    others: int
    """Approvals that wait for other people."""
    rest: tuple[ResendNow, ...]
    """Resends of which this person may let the rest go."""
    outsider: bool
    note: Mapping[str, Any] | None = None
    """The answer to their last click: its text and blocks."""
    noted_at: datetime | None = None
