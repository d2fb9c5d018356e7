"""What a deed would do, read and not done: for a dry run, and for the question before what is wide or final.

A plan picks its targets by the same functions as the deed, so that the two cannot come to differ.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bot.services.words import few, number
from storage import campaigns, deliveries
from storage.db import Tx
from storage.models import DeliveryStatus, Server


class Way(StrEnum):
    """How a deed is taken back."""

    BUTTON = "Undo button"
    """Exactly what it changed, for a while: bot/services/undoing.py."""
    COMMAND = "another command"
    NEVER = "cannot be undone"


@dataclass(frozen=True)
class Deed:
    """How one thing that people do is treated. What is narrow and can be taken back acts at once; what is wide or
    final asks first.
    """

    asks: bool
    undo: Way


DEEDS: Mapping[str, Deed] = {
    "campaign.start": Deed(asks=False, undo=Way.COMMAND),
    "campaign.start_large": Deed(asks=False, undo=Way.COMMAND),
    "campaign.next": Deed(asks=False, undo=Way.COMMAND),
    "campaign.pause": Deed(asks=False, undo=Way.BUTTON),
    "campaign.pause_all": Deed(asks=True, undo=Way.BUTTON),
    "campaign.resume": Deed(asks=False, undo=Way.BUTTON),
    "campaign.resume_all": Deed(asks=True, undo=Way.BUTTON),
    "campaign.cancel": Deed(asks=True, undo=Way.NEVER),
    "campaign.cancel_large": Deed(asks=False, undo=Way.COMMAND),
    "campaign.approve": Deed(asks=False, undo=Way.COMMAND),
    "campaign.approve_end": Deed(asks=False, undo=Way.NEVER),
    "campaign.reject": Deed(asks=False, undo=Way.COMMAND),
    "server.add": Deed(asks=False, undo=Way.NEVER),
    "server.drain": Deed(asks=True, undo=Way.BUTTON),
    "server.failover": Deed(asks=True, undo=Way.BUTTON),
    "server.restore": Deed(asks=False, undo=Way.BUTTON),
    "outage.declare": Deed(asks=False, undo=Way.COMMAND),
    "outage.acknowledge": Deed(asks=False, undo=Way.NEVER),
    "outage.update": Deed(asks=False, undo=Way.NEVER),
    "outage.cause": Deed(asks=False, undo=Way.COMMAND),
    "outage.eta": Deed(asks=False, undo=Way.COMMAND),
    "outage.severity": Deed(asks=False, undo=Way.COMMAND),
    "outage.resolve": Deed(asks=False, undo=Way.NEVER),
    "outage.remind": Deed(asks=False, undo=Way.COMMAND),
    "outage.action": Deed(asks=False, undo=Way.NEVER),
    "outage.done": Deed(asks=False, undo=Way.NEVER),
    "outage.remove": Deed(asks=False, undo=Way.COMMAND),
    "resend.plan": Deed(asks=False, undo=Way.COMMAND),
    "resend.approve": Deed(asks=False, undo=Way.COMMAND),
    "resend.rest": Deed(asks=False, undo=Way.COMMAND),
    "resend.next": Deed(asks=False, undo=Way.COMMAND),
    "resend.reject": Deed(asks=False, undo=Way.COMMAND),
    "resend.pause": Deed(asks=False, undo=Way.COMMAND),
    "resend.resume": Deed(asks=False, undo=Way.COMMAND),
    "resend.cancel": Deed(asks=True, undo=Way.NEVER),
    "resend.delivered": Deed(asks=False, undo=Way.BUTTON),
    "resend.delivered_all": Deed(asks=True, undo=Way.BUTTON),
    "notice.draft": Deed(asks=False, undo=Way.COMMAND),
    "notice.send": Deed(asks=False, undo=Way.COMMAND),
    "notice.approve": Deed(asks=False, undo=Way.COMMAND),
    "notice.reject": Deed(asks=False, undo=Way.NEVER),
    "notice.cancel": Deed(asks=False, undo=Way.NEVER),
    "notice.stop": Deed(asks=True, undo=Way.NEVER),
    "maintenance.schedule": Deed(asks=False, undo=Way.COMMAND),
    "maintenance.confirm": Deed(asks=False, undo=Way.BUTTON),
    "maintenance.cancel": Deed(asks=False, undo=Way.BUTTON),
    "maintenance.end": Deed(asks=True, undo=Way.NEVER),
    "undo": Deed(asks=False, undo=Way.COMMAND),
    "glass.break": Deed(asks=False, undo=Way.COMMAND),
    "glass.end": Deed(asks=False, undo=Way.NEVER),
}
"""Where a card with its counts or a second person is the question already, no other one is asked."""


@dataclass(frozen=True)
class Plan:
    """One deed as it would be done now. Reading it changes nothing."""

    deed: str
    """A key of DEEDS."""
    does: str
    """Completes “It would ...”, as `pause news and spring-sale`."""
    facts: Sequence[str] = ()
    """Sentences about how many are hit, what carries them, what stays as it is."""
    targets: Sequence[str] = ()
    """What is hit, as `campaign spring-sale`. Counts are left out: they move while mail is sent, and change nothing
    about what was meant.
    """
    undo: str = ""
    """How to take it back, in a sentence; empty where DEEDS says it all."""
    approvers: Sequence[str] | None = None
    """Who may give the approval that it would ask for, as Approvals.holders names them; None: it asks for none."""
    nothing: bool = False
    """There is nothing to do, so nothing is asked either."""

    @property
    def asks(self) -> bool:
        return DEEDS[self.deed].asks and not self.nothing

    @property
    def final(self) -> bool:
        return DEEDS[self.deed].undo == Way.NEVER


def named(names: Sequence[str]) -> list[str]:
    """Campaigns as the targets of a plan."""
    return [f"campaign {name}" for name in names]


def campaigns_text(names: Sequence[str]) -> str:
    """`spring-sale`, `news and spring-sale`, `14 campaigns`: as much as a title takes."""
    return number(len(names), "campaign") if len(names) > 2 else " and ".join(names)


def which(names: Sequence[str]) -> list[str]:
    """The names as a fact, where a title has only their number."""
    return [f"{few(names)}."] if len(names) > 2 else []


async def to_go(tx: Tx, campaign_ids: Sequence[int]) -> int:
    """How many recipients of these campaigns are still queued, in people."""
    counts = await deliveries.counts_of(tx, campaign_ids)
    return sum(each[DeliveryStatus.QUEUED] for each in counts.values())


async def load(tx: Tx, server: Server, at: datetime) -> str:
    """What a server carries at this moment, as a sentence."""
    found = await campaigns.sending_through(tx, server.id, at)
    if not found:
        return f"{server.name} is sending nothing now."
    waiting = await to_go(tx, [each.id for each in found])
    return f"{server.name} is sending {number(len(found), 'campaign')} now, {number(waiting, 'recipient')} to go."
