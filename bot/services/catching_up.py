"""For somebody who joins late: an outage on one screen, with what they themselves can do now."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.access import Access, Actor
from bot.clock import now
from bot.services.deciding import Deciding, Decision
from bot.services.outage_shapes import Headline, OutageSummary
from bot.services.outages import Outages
from storage.models import OutageState, Timeline

LINES = 5

# What matters to somebody who was not there: the higher the more. What is not here tells what the rest shows anyway.
_WEIGHTS = {
    "server.failover": 9,
    "server.restore": 9,
    "server.return_ended": 9,
    "server.returned": 8,
    "outage.goes_on": 7,
    "outage.identified": 8,
    "outage.recovered": 8,
    "outage.not_failed_over": 8,
    "notice.approved": 8,
    "resend.approved": 8,
    "resend.finished": 8,
    "outage.resolved": 8,
    "outage.recurred": 7,
    "resend.rest_approved": 7,
    "resend.rejected": 7,
    "notice.rejected": 7,
    "campaign.stopped": 7,
    "resend.stopped": 7,
    "campaign.resume": 6,
    "campaign.release": 6,
    "campaign.hold": 6,
    "campaign.pause": 6,
    "outage.updated": 6,
    "outage.acknowledged": 5,
    "resend.canary_done": 5,
    "campaign.pause_confirmed": 4,
    "outage.eta": 4,
    "outage.declared": 3,
    "outage.opened": 3,
}
# The buttons of the card, and what somebody must be allowed to do for each.
_NEEDS = {
    "outage.acknowledge": "outage.acknowledge",
    "outage.failover": "server.failover",
    "outage.pause": "campaign.pause",
    "outage.resume": "campaign.resume",
    "outage.plan": "resend.plan",
    "outage.resolve": "outage.resolve",
}


@dataclass(frozen=True)
class CatchUp:
    """`lines` are the entries that matter most, in the order in which they happened; `left_out` counts the others."""

    headline: Headline
    summary: OutageSummary | None
    """What it cost, once it is resolved."""
    lines: tuple[Timeline, ...]
    left_out: int
    decisions: tuple[Decision, ...]
    """What waits for somebody's decision because of it."""
    allowed: tuple[str, ...]
    """Of the buttons that would do something now, those that this person may press."""
    at: datetime


class CatchingUp:
    def __init__(self, access: Access, outages: Outages, deciding: Deciding) -> None:
        self._access = access
        self._outages = outages
        self._deciding = deciding

    async def of(self, actor: Actor, outage_id: int | None = None) -> CatchUp:
        """Without a number: the only unresolved outage, else the newest. Raises NotFoundError and BadInputError."""
        self._access.require(actor, "look")
        headline = await self._outages.status(outage_id)
        outage = headline.outage
        entries = (await self._outages.timeline(outage.id)).entries
        over = outage.state == OutageState.RESOLVED
        waiting = (await self._deciding.waiting(actor)).waiting
        lines = most_important(entries)
        return CatchUp(
            headline=headline,
            summary=await self._outages.summary(outage.id) if over else None,
            lines=lines,
            left_out=len(entries) - len(lines),
            decisions=tuple(each for each in waiting if each.outage_id == outage.id),
            allowed=tuple(
                each for each in headline.actions if each in _NEEDS and self._access.allows(actor, _NEEDS[each])
            ),
            at=now(),
        )


def most_important(entries: Sequence[Timeline]) -> tuple[Timeline, ...]:
    """The newest word of a person, and what weighs most; of equals the newer. In the order of the timeline."""
    words = [number for number, entry in enumerate(entries) if entry.kind == "outage.updated"]
    ranked = sorted(range(len(entries)), key=lambda number: (-_WEIGHTS.get(entries[number].kind, 0), -number))
    chosen = dict.fromkeys([*words[-1:], *ranked])
    return tuple(entries[number] for number in sorted(list(chosen)[:LINES]))
