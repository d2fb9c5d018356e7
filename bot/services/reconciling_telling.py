"""Who is told when deliveries are known at last: the thread that listed them, and the live messages that count them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from bot.access import Actor
from bot.services import reconciling_words as words
from bot.services.reconciling_rules import Tally
from storage import campaigns, reports, timeline
from storage.db import Tx
from storage.models import Campaign, DeliveryStatus
from storage.reports import Standing
from storage.timeline import Entry


@dataclass(frozen=True)
class Voice:
    """Who says so, and how the sentence begins, as `A bounce`."""

    actor: Actor
    lead: str


@dataclass
class Settled:
    """Deliveries of one campaign whose status changed in this transaction: as they were, and what they are now."""

    campaign_id: int
    first: dict[int, Standing] = field(default_factory=dict)
    last: dict[int, str] = field(default_factory=dict)

    def add(self, delivery: Standing, after: str) -> None:
        self.first.setdefault(delivery.n, delivery)
        self.last[delivery.n] = after

    def from_to(self, before: Iterable[str], after: Iterable[str]) -> list[int]:
        """The numbers of those that changed in this way."""
        return [n for n in sorted(self.first) if self.first[n].status in before and self.last[n] in after]


_FAILED = (DeliveryStatus.FAILED_TEMPORARY, DeliveryStatus.FAILED_PERMANENT)


async def tell(tx: Tx, settled: Settled, voice: Voice, at: datetime) -> Tally:
    """Write the timeline for those that were unknown, and have every message that counts them shown anew."""
    tally = Tally()
    campaign = await campaigns.get(tx, settled.campaign_id) if settled.last else None
    if campaign is None:
        return tally
    tally.came_back = len(settled.from_to([DeliveryStatus.DELIVERED], _FAILED))
    tally.arrived = len(settled.from_to(_FAILED, [DeliveryStatus.DELIVERED]))
    known = {
        status.value: numbers
        for status in (DeliveryStatus.DELIVERED, *_FAILED)
        if (numbers := settled.from_to([DeliveryStatus.UNKNOWN], [status]))
    }
    if known:
        names = {status: [settled.first[n].email for n in numbers] for status, numbers in known.items()}
        tally.settled[campaign.name] = names
        count = (await reports.count_unknown(tx, campaign_id=campaign.id))[campaign.name]
        left = [each.email for each in await reports.unknown(tx, campaign_id=campaign.id, limit=words.NAMES)]
        text = words.told(voice.lead, campaign.name, names, left, count)
        await record(tx, "campaign.reconciled", text, campaign, settled, voice.actor, at, known)
    await redraw(tx, settled)
    return tally


async def record(
    tx: Tx,
    kind: str,
    text: str,
    campaign: Campaign,
    settled: Settled,
    actor: Actor,
    at: datetime,
    numbers: dict[str, list[int]],
) -> None:
    """One entry about unknown deliveries of a campaign, in the thread where they were listed."""
    outage_id, parent = await _thread(tx, campaign, settled)
    entry = Entry(
        kind=kind,
        text=text,
        actor=actor.mention,
        at=at,
        campaign_id=campaign.id,
        outage_id=outage_id,
        data={"numbers": numbers},
    )
    await timeline.record(tx, entry, parent=None if outage_id else parent)


async def _thread(tx: Tx, campaign: Campaign, settled: Settled) -> tuple[int | None, str | None]:
    """The outage that they were lost in, or the one in whose thread they were listed, or the list itself."""
    lost_in = Counter(each.outage_id for each in settled.first.values() if each.outage_id)
    if lost_in:
        return lost_in.most_common(1)[0][0], None
    listed = await timeline.last_of_campaign(tx, campaign.id, "campaign.unknown")
    if listed is not None:
        return listed.outage_id, f"timeline:{listed.id}"
    return (await campaigns.outages_of(tx, [campaign.id])).get(campaign.id), None


async def redraw(tx: Tx, settled: Settled) -> None:
    """The headlines and summaries of the outages, and the cards of the resends."""
    outages = {each.outage_id for each in settled.first.values()}
    outages |= set((await campaigns.outages_of(tx, [settled.campaign_id])).values())
    for outage_id in sorted(each for each in outages if each is not None):
        await timeline.touch_post(tx, f"outage:{outage_id}")
        await timeline.touch_post(tx, f"summary:{outage_id}")
    for resend_id in sorted({each.resend_id for each in settled.first.values() if each.resend_id is not None}):
        await timeline.touch_post(tx, f"resend:{resend_id}")
