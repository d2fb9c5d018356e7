"""What the services say of an outage: plain data that the views turn into messages."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.services.server_results import Return
from bot.services.server_ways import Others
from bot.services.words import joined, stage_name
from storage.models import Campaign, Outage, Timeline

ACTION = "outage.action"
"""The kind of a timeline entry that is an action item."""


def failure_sentence(stage: str | None, code: int | None, text: str | None) -> str:
    """One phrase for a failure, as `421 4.3.2 busy at greeting`; empty when nothing is known."""
    said = (text or "").strip().removesuffix(".")
    if code is not None and not said.startswith(str(code)):
        said = f"{code} {said}".strip()
    if not stage:
        return said
    said, name = said.removesuffix(f" at {stage}"), stage_name(stage)
    return f"{said or 'a failure'} at {name}"


@dataclass(frozen=True)
class ServerNow:
    """A server of an outage as it is now. `state` is the effective one: maintenance, drained, or its health."""

    id: int
    name: str
    host: str
    port: int
    state: str
    since: datetime | None
    stage: str | None
    code: int | None
    text: str | None
    backup: str | None
    """The backup's name, whatever its state."""
    backup_usable: bool
    failed_over_to: str | None
    """The server that carries its campaigns at present."""
    others: Others | None = None
    """The servers of its pool that have its part of the mail at present; None: it has its part itself."""
    returns: Return | None = None
    """How far it has returned after a failover; None when it is not returning."""


@dataclass(frozen=True)
class CampaignNow:
    """A campaign that the outage touched, as it is now."""

    campaign: Campaign
    held: bool
    """It is pausing or paused because of this outage."""
    through: str
    """The name of the server that its mail goes through now."""
    counts: dict[str, int]
    """Delivery status -> count, over its whole ledger."""

    @property
    def name(self) -> str:
        return self.campaign.name

    @property
    def to_go(self) -> int:
        return self.counts.get("queued", 0)


@dataclass(frozen=True)
class Totals:
    """Deliveries of the campaigns that the outage touched, counted from the ledger.

    attempted and delivered are of those campaigns as a whole. `failed` is all that was lost in this outage,
    `recovered` what of it has been delivered since by a resend, `undecided` what of it may have arrived. The others
    are as they stand.
    """

    attempted: int
    delivered: int
    failed: int
    recovered: int
    undecided: int
    unknown: int
    suppressed: int
    expired: int
    queued: int

    @property
    def still_lost(self) -> int:
        """What a resend can bring back without anybody's decision about the unknown."""
        return self.failed - self.recovered - self.undecided


@dataclass(frozen=True)
class Headline:
    """Everything that the live card of an outage shows. `actions` are the action_ids of the buttons that apply."""

    outage: Outage
    servers: tuple[ServerNow, ...]
    campaigns: tuple[CampaignNow, ...]
    totals: Totals | None
    """None: no campaign was touched, so there is nothing to count."""
    actions: tuple[str, ...]
    resend_id: int | None
    """The newest resend that is planned or under way for it."""
    former: Outage | None = None
    """The outage before it on the same server, when that was over not long before."""

    @property
    def names(self) -> str:
        return joined([server.name for server in self.servers])

    @property
    def held(self) -> tuple[CampaignNow, ...]:
        return tuple(each for each in self.campaigns if each.held)


@dataclass(frozen=True)
class ActionItem:
    """Something to be done because of an outage. `number` is that of its entry in the timeline."""

    number: int
    text: str
    owner: str | None
    """A mention or a name; None: nobody yet."""
    done_by: str | None
    permalink: str | None

    @property
    def is_open(self) -> bool:
        return self.done_by is None


@dataclass(frozen=True)
class ActionList:
    """`/outage actions`: the open ones first."""

    outage: Outage
    items: tuple[ActionItem, ...]


def action_of(row: Timeline) -> ActionItem:
    data = row.data or {}
    return ActionItem(row.id, str(data.get("text", row.text)), data.get("owner"), data.get("done_by"), data.get("link"))


@dataclass(frozen=True)
class OutageSummary:
    """What an outage was and did, told at its end; the counts follow the ledger when a resend comes later."""

    outage: Outage
    servers: tuple[str, ...]
    campaigns: tuple[str, ...]
    started_at: datetime
    detected_at: datetime
    acknowledged_at: datetime | None
    recovered_at: datetime | None
    resolved_at: datetime | None
    totals: Totals | None
    """None: no data, as no campaign was touched."""
    actions: tuple[ActionItem, ...] = ()

    @property
    def to_detect(self) -> timedelta:
        return self.detected_at - self.started_at

    @property
    def to_acknowledge(self) -> timedelta | None:
        return self.acknowledged_at - self.detected_at if self.acknowledged_at else None

    @property
    def duration(self) -> timedelta | None:
        """From the first failure until the server answered again, or until it was resolved by hand."""
        end = self.recovered_at or self.resolved_at
        return end - self.started_at if end else None


@dataclass(frozen=True)
class OutageRow:
    """One line of `/outage list`."""

    outage: Outage
    servers: tuple[str, ...]
    campaigns: int

    @property
    def names(self) -> str:
        return joined(list(self.servers))


@dataclass(frozen=True)
class OutageTimeline:
    outage: Outage
    entries: tuple[Timeline, ...]


@dataclass(frozen=True)
class OutageResult:
    """What a command or click did: the outage afterwards, and the sentence that says so."""

    outage: Outage
    text: str
    campaigns: tuple[str, ...] = ()
    """The campaigns that were paused or go on by it."""
    undo: int | None = None
    """The number by which exactly this can be undone."""


def label(outage: Outage, names: list[str]) -> str:
    """`#3 primary`, as lists and questions name it."""
    return f"#{outage.id} {joined(names)}"
