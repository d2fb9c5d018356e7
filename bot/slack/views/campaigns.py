"""What `/campaign` answers when somebody looks."""

from collections import Counter
from collections.abc import Mapping, Sequence

from bot.services.campaign_asking import deed_of
from bot.services.campaign_results import CampaignRow, CampaignStatus
from bot.services.words import joined
from bot.slack import blocks
from bot.slack.blocks import View, aligned, bar, clip, count, escape
from bot.slack.views import paces, replies
from bot.slack.views.replies import NO_DATA, how_long
from bot.slack.views.timeline import safe
from storage.models import Campaign, CampaignState, DeliveryStatus, Hold

_LONG_TEXT = 500
_SHORT_TEXT = 120
_NAMES = 20

# What moves stands first, what is over last. The words say what the colours say.
_LOOKS = {
    CampaignState.SENDING: "🟢",
    CampaignState.PAUSING: "🟡",
    CampaignState.PAUSED: "🟠",
    CampaignState.SCHEDULED: "⚪",
    CampaignState.FINISHED: "⚫",
    CampaignState.CANCELLED: "⚫",
}
_HELD_BRIEFLY = {
    Hold.OUTAGE: "by outage",
    Hold.MAINTENANCE: "for maintenance",
    Hold.THRESHOLD: "by Holdfast: too much came back",
}
_ORDER = {state: place for place, state in enumerate(_LOOKS)}


def listing(rows: Sequence[CampaignRow], state: str | None = None, page: int = 1) -> View:
    """`/campaign list`: what is under way first, a page at a time; with `state` only those in it."""
    if not rows:
        return View("There is no campaign yet. Import one with: holdfast import NAME message.eml recipients.csv")
    by_state = Counter(row.state for row in rows)
    if state is None:
        chosen = sorted(rows, key=lambda row: _ORDER[CampaignState(row.state)])
        title = f"{count(len(rows), 'campaign')}: {_told(by_state)}"
    else:
        chosen = [row for row in rows if row.state == state]
        title = f"{count(len(chosen), 'campaign')} {state}"
    if not chosen:
        return View(f"No campaign is {state}. Of {count(len(rows), 'campaign')}: {_told(by_state)}. See /campaign list")
    delivered = aligned([row.counts[DeliveryStatus.DELIVERED] for row in chosen])
    recipients = aligned([row.recipients for row in chosen])
    progress = [f"{one} of {all_}" for one, all_ in zip(delivered, recipients, strict=True)]
    ways = {_through(row) for row in chosen}
    if len(ways) == 1 and len(chosen) > 1:
        title += f", all through {ways.pop()}"
    lines = [_row(row, share, through=bool(ways)) for row, share in zip(chosen, progress, strict=True)]
    return replies.table(title, lines, f"/campaign list {state or ''}".rstrip(), page)


def _told(by_state: Counter[str]) -> str:
    return joined([f"{by_state[state]:,} {state}" for state in _LOOKS if by_state[state]])


def _through(row: CampaignRow) -> str:
    if row.pool is not None:
        return f"pool {row.pool}"
    return row.carrier if row.carrier == row.server else f"{row.carrier} for {row.server}"


def _row(row: CampaignRow, progress: str, *, through: bool) -> tuple[str, ...]:
    """The server is left out where it is the same for all: on a phone each column counts."""
    counts = row.counts
    failed = counts[DeliveryStatus.FAILED_TEMPORARY] + counts[DeliveryStatus.FAILED_PERMANENT]
    unknown = counts[DeliveryStatus.UNKNOWN]
    stopped = row.state in {CampaignState.PAUSING, CampaignState.PAUSED}
    held = _HELD_BRIEFLY.get(Hold(row.hold or Hold.PERSON))
    rest = [held] if held and stopped else []
    rest += [f"{failed:,} failed"] * bool(failed) + [f"{unknown:,} unknown"] * bool(unknown)
    return (
        f"{_LOOKS[CampaignState(row.state)]} {row.state}",
        row.name,
        progress,
        *([_through(row)] if through else []),
        ", ".join(rest),
    )


def brief(by_state: Mapping[str, int]) -> str:
    """For the home tab: how many there are in each state."""
    return f"*Campaigns:* {_told(Counter(by_state)) or 'none yet'}"


def left_out(by_state: Mapping[str, int], stopped: int, sending: int) -> list[str]:
    """What stands still or moves beside those many that the home tab names."""
    halted = by_state.get(CampaignState.PAUSING, 0) + by_state.get(CampaignState.PAUSED, 0) - stopped
    moving = by_state.get(CampaignState.SENDING, 0) - sending
    lines = [f"and {halted:,} more that stand still: /campaign list paused"] if halted > 0 else []
    return [*lines, f"and {moving:,} more that are sending: /campaign list sending"] if moving > 0 else lines


def moving(campaign: Campaign) -> str:
    """One line of the home tab about a campaign that is being sent."""
    return f"{_LOOKS[CampaignState.SENDING]} *{escape(campaign.name)}* is being sent"


def may_go_on(campaign: Campaign) -> bool:
    """Whether a person's word lets it go on: no outage and no window holds it, and it is not being cancelled."""
    by_word = (Hold.PERSON, Hold.THRESHOLD)
    return campaign.wish == CampaignState.PAUSED and (campaign.hold or Hold.PERSON) in by_word


def standing(campaign: Campaign, *, typed: bool = True) -> str:
    """One line of the home tab about a campaign that stands still: who may let it go on follows from what holds it.

    `typed`: with the words that let it go on, where there is no button.
    """
    line = f"{_LOOKS[CampaignState(campaign.state)]} *{escape(campaign.name)}*"
    who = safe(campaign.wished_by or "somebody")
    if campaign.wish == CampaignState.CANCELLED:
        return f"{line} is being cancelled by {who}"
    by = {
        Hold.OUTAGE: f"held by outage #{campaign.hold_outage_id}",
        Hold.MAINTENANCE: "held for maintenance",
        Hold.THRESHOLD: "stopped by Holdfast",
    }
    held = by.get(Hold(campaign.hold or Hold.PERSON), f"paused by {who}")
    stopping = "stopping, " if campaign.state == CampaignState.PAUSING else ""
    since = blocks.time(campaign.wished_at or campaign.state_since)
    reason = f": {safe(clip(campaign.hold_reason, _SHORT_TEXT))}" if campaign.hold_reason else ""
    resume = f" · /campaign resume {escape(campaign.name)}" if typed and may_go_on(campaign) else ""
    return f"{line} {stopping}{held} since {since}{reason}{resume}"


def status(shown: CampaignStatus, unknown: Sequence[str] = ()) -> View:
    """`/campaign status`. `unknown` are the addresses of which nobody knows whether they got it, or some of them."""
    campaign = shown.campaign
    done = campaign.recipients - shown.to_go
    phrase = safe(clip(_phrase(shown), _LONG_TEXT))
    body = [f"{_LOOKS[CampaignState(campaign.state)]} *{escape(campaign.name)}* {phrase}"]
    body.append(bar(done, campaign.recipients))
    if shown.ramp is not None and campaign.state not in {CampaignState.FINISHED, CampaignState.CANCELLED}:
        body.append(f"🪜 {shown.ramp.line(shown.at or campaign.state_since)}")
    if shown.obstacle:
        body.append(f"⚠️ {safe(shown.obstacle)}")
    body += paces.of_campaign(shown.slowed, shown.carrier.name)
    if shown.asked is not None:
        body.append(
            f"🟡 {safe(shown.asked.requested_by)} asks to {deed_of(shown.asked)} it, which a second person has to "
            f"approve until {blocks.time(shown.asked.expires_at)}: /campaign approve {escape(campaign.name)}"
        )
    if shown.outage_id is not None:
        body.append(f"It is part of outage #{shown.outage_id}: /outage status #{shown.outage_id}")
    if not shown.sender_alive and campaign.state in {CampaignState.SENDING, CampaignState.PAUSING}:
        body.append("⚠️ No sender is running, so nothing moves. Start it with `holdfast run`.")
    made = [blocks.section("\n".join(body)), blocks.fields(_facts(shown))]
    if unknown:
        made.append(blocks.section(_unknown(unknown, shown.counts[DeliveryStatus.UNKNOWN])))
    return View(f"{campaign.name} {phrase}", [*made, blocks.context(_next(shown))])


def _phrase(shown: CampaignStatus) -> str:
    campaign = shown.campaign
    stands_in = f" in place of {shown.server.name}" if shown.carrier.id != shown.server.id else ""
    through = f"through {shown.through or f'{shown.carrier.name}{stands_in}'}"
    match CampaignState(campaign.state):
        case CampaignState.SENDING:
            return f"is being sent {through}."
        case CampaignState.PAUSING if campaign.wish == CampaignState.CANCELLED:
            return "is being cancelled; what is in flight gets its result first."
        case CampaignState.PAUSING:
            return f"is stopping: {shown.hold}. What is in flight gets its result first."
        case CampaignState.PAUSED:
            return f"stands still: {shown.hold}."
        case CampaignState.SCHEDULED:
            return f"has not begun. It would go {through}."
        case CampaignState.FINISHED:
            return "is finished."
        case _:
            return f"is cancelled{f' by {campaign.wished_by}' if campaign.wished_by else ''}."


def _facts(shown: CampaignStatus) -> list[tuple[str, str]]:
    campaign, counts = shown.campaign, shown.counts
    aside = counts[DeliveryStatus.SUPPRESSED], counts[DeliveryStatus.EXPIRED]
    for_now, for_good = counts[DeliveryStatus.FAILED_TEMPORARY], counts[DeliveryStatus.FAILED_PERMANENT]
    facts = [
        ("Delivered", f"{counts[DeliveryStatus.DELIVERED]:,} of {campaign.recipients:,}"),
        ("To go", f"{shown.to_go:,}"),
        ("Failed", f"{for_now:,} for now, {for_good:,} for good"),
        ("Unknown", f"{counts[DeliveryStatus.UNKNOWN]:,}"),
    ]
    if campaign.state == CampaignState.SENDING:
        left = how_long(shown.remaining, shown.rate_per_minute) if shown.to_go else "nothing is to go"
        rate = NO_DATA if shown.rate_per_minute is None else f"{shown.rate_per_minute:,.0f} delivered a minute"
        facts += [("Time left", left), ("Rate", rate)]
    facts.append(("Subject", escape(clip(campaign.subject, _LONG_TEXT))))
    if any(aside):
        facts.append(("Not mailed", f"{aside[0]:,} suppressed, {aside[1]:,} expired"))
    if campaign.slipped and campaign.state in {CampaignState.PAUSED, CampaignState.CANCELLED}:
        facts.append(("Slipped out", f"{campaign.slipped:,} after the wish to stop"))
    if campaign.expires_at:
        facts.append(("Offer ends", blocks.time(campaign.expires_at)))
    return facts


def _unknown(addresses: Sequence[str], total: int) -> str:
    names = [f"`{escape(clip(address, 80))}`" for address in addresses[:_NAMES]]
    more = f" and {total - len(names):,} more" if total > len(names) else ""
    return f"*Unknown*, so not sent again without a person's decision: {', '.join(names)}{more}"


def _next(shown: CampaignStatus) -> str:
    name, failed = shown.campaign.name, shown.counts[DeliveryStatus.FAILED_TEMPORARY]
    match CampaignState(shown.campaign.state):
        case CampaignState.SENDING:
            on = f"Do not wait: /campaign next {name} · " if shown.ramp is not None and shown.ramp.has_more else ""
            return f"{on}Stop it: /campaign pause {name}"
        case CampaignState.SCHEDULED:
            other = "whole" if shown.ramp is not None else "ramp"
            way = "all at once" if shown.ramp is not None else "in stages"
            begin = f"Begin: /campaign start {name} · Begin {way}: /campaign start {name} {other}"
            return f"{begin} · Drop it: /campaign cancel {name}"
        case CampaignState.PAUSED | CampaignState.PAUSING if shown.campaign.wish == CampaignState.PAUSED:
            resume = "When that is over, go on" if shown.obstacle else "Go on"
            return f"{resume}: /campaign resume {name} · End it: /campaign cancel {name}"
        case CampaignState.FINISHED if failed:
            return f"Send again what failed: /resend plan {name}"
        case CampaignState.FINISHED if shown.counts[DeliveryStatus.UNKNOWN]:
            return f"Look at the unknown, and decide: /resend unknown {name}"
        case _:
            return "All of them: /campaign list"
