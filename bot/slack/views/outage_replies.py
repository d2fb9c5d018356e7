"""What `/outage` answers when somebody looks. The live card is drawn in outage.py."""

from collections.abc import Sequence

from bot.services.outage_shapes import Headline, OutageRow, OutageTimeline
from bot.slack import blocks
from bot.slack.blocks import View, clip, count, escape
from bot.slack.views import outage as card
from bot.slack.views import replies
from bot.slack.views.timeline import safe
from storage.models import OutageState, Timeline

_TITLE = 120
_ENTRY = 400

_LOOKS = {
    OutageState.OPEN: "🔴",
    OutageState.ACKNOWLEDGED: "🟠",
    OutageState.IDENTIFIED: "🟠",
    OutageState.MONITORING: "🟡",
    OutageState.RESOLVED: "🟢",
}


def listing(rows: Sequence[OutageRow], page: int = 1) -> View:
    """`/outage list`: the unresolved first, a page at a time."""
    if not rows:
        return View("There has been no outage. Declare one with: /outage declare SERVER TEXT")
    unresolved = sum(row.outage.state != OutageState.RESOLVED for row in rows)
    title = f"{count(unresolved, 'unresolved outage')}, the newest first" if unresolved else "No outage is open."
    return replies.listed(title, [_row(row) for row in rows], "/outage list", page, "See one: /outage status #ID")


def _row(row: OutageRow) -> str:
    outage = row.outage
    who = outage.lead or outage.acknowledged_by
    parts = [
        f"{_LOOKS[OutageState(outage.state)]} {outage.state}  *#{outage.id} {escape(row.names)}*",
        f"since {blocks.time(outage.started_at)}",
        count(row.campaigns, "campaign"),
    ]
    if outage.resolved_at is not None:
        parts.append(f"resolved {blocks.time(outage.resolved_at)}")
    elif who:
        parts.append(f"{safe(who)} has it")
    parts.append(safe(clip(" ".join(outage.title.split()), _TITLE)))
    return " · ".join(parts)


def status(shown: Headline) -> View:
    """`/outage status`: what the live card shows, with commands for buttons."""
    outage, number = shown.outage, f"#{shown.outage.id}"
    hints = [f"What happened: /outage timeline {number}"]
    if "outage.acknowledge" in shown.actions:
        hints.insert(0, f"Take it: /outage ack {number}")
    if "outage.failover" in shown.actions:
        hints += [f"Fail over: /server failover {escape(each.name)}" for each in shown.servers[:1]]
    if "outage.resume" in shown.actions:
        hints.append("Let the campaigns go on: /campaign resume NAME|all")
    if "outage.plan" in shown.actions:
        hints.append(f"Send again what was lost: /resend plan {number}")
    if outage.state != OutageState.RESOLVED:
        hints.append(f"End it: /outage resolve {number} TEXT")
    return replies.without_buttons(card.headline(shown), *hints)


def timeline(shown: OutageTimeline, page: int = 1) -> View:
    """`/outage timeline`: in the order of time; of a long one its latest page, and the way to what was earlier."""
    outage, total = shown.outage, len(shown.entries)
    title = f"Outage #{outage.id}: {count(total, 'entry', 'entries')}"
    if not total:
        return View(f"Nothing has happened in outage #{outage.id} yet.")
    return replies.latest(title, [_entry(row) for row in shown.entries], f"/outage timeline #{outage.id}", page)


def _entry(row: Timeline) -> str:
    return f"{blocks.time(row.at, '{date_short_pretty} {time_secs}')}  {safe(clip(row.text, _ENTRY))}"
