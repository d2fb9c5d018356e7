"""What `/outage` answers when somebody looks. The live card is drawn in outage.py."""

from collections.abc import Sequence

from bot.services.outage_shapes import ActionItem, ActionList, Headline, OutageResult, OutageRow, OutageTimeline
from bot.slack import blocks
from bot.slack.blocks import View, clip, count, escape
from bot.slack.views import outage as card
from bot.slack.views import replies
from bot.slack.views.timeline import safe
from storage.models import OutageState, Timeline

_TITLE = 120
_ENTRY = 400
_ENTRIES = 40

_LOOKS = {
    OutageState.OPEN: "🔴",
    OutageState.ACKNOWLEDGED: "🟠",
    OutageState.IDENTIFIED: "🟠",
    OutageState.MONITORING: "🟡",
    OutageState.RESOLVED: "🟢",
}


def declared(result: OutageResult) -> View:
    """`/outage declare`: what was done, and how to undo it."""
    number = f"#{result.outage.id}"
    undo = f"Undo it with /outage resolve {number} TEXT"
    if result.campaigns:
        undo += f" and /campaign resume {result.campaigns[0] if len(result.campaigns) == 1 else 'all'}"
    return replies.said(f"{result.text} Take it with /outage ack {number}. {undo}")


def listing(rows: Sequence[OutageRow]) -> View:
    """`/outage list`: the unresolved first."""
    if not rows:
        return View("There has been no outage. Declare one with: /outage declare SERVER TEXT")
    unresolved = sum(row.outage.state != OutageState.RESOLVED for row in rows)
    title = f"{count(unresolved, 'unresolved outage')}, the newest first" if unresolved else "No outage is open."
    return replies.listed(title, [_row(row) for row in rows], len(rows), "see one with /outage status #ID")


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


def timeline(shown: OutageTimeline) -> View:
    """`/outage timeline`: the oldest first; of a long one its latest entries."""
    outage, total = shown.outage, len(shown.entries)
    title = f"Outage #{outage.id}: {count(total, 'entry', 'entries')}"
    if not total:
        return View(f"Nothing has happened in outage #{outage.id} yet.")
    latest = shown.entries[-_ENTRIES:]
    earlier = total - len(latest)
    lines = [_entry(row) for row in latest]
    first = [f"_{earlier:,} earlier ones are left out; its thread has them all._"] if earlier else []
    return replies.listed(title, [*first, *lines], len(first) + len(lines), "its thread has them all")


def actions(shown: ActionList) -> View:
    """`/outage actions`: what is still to be done, then what is done."""
    outage, total = shown.outage, len(shown.items)
    if not total:
        return View(f"Outage #{outage.id} has no actions. Note one with: /outage action #{outage.id} [@OWNER] TEXT")
    open_ones = sum(each.is_open for each in shown.items)
    title = (
        f"Outage #{outage.id}: {count(open_ones, 'open action')} of {total}"
        if open_ones
        else (f"Outage #{outage.id}: all of {count(total, 'action')} done")
    )
    made = replies.listed(title, [_action(each) for each in shown.items], total, "its timeline has them all")
    hint = [blocks.context("When one is done: /outage done NUMBER")] if open_ones else []
    return View(made.text, [*made.blocks, *hint])


def _action(item: ActionItem) -> str:
    """`☐ 41  check the disks · @Jonas has it`."""
    link = f" · <{escape(item.permalink)}|in Slack>" if item.permalink else ""
    who = f"{safe(item.owner)} has it" if item.owner else "nobody has it"
    state = f"done, says {safe(item.done_by)}" if item.done_by else who
    return f"{'☐' if item.is_open else '☑'} *{item.number}*  {safe(clip(item.text, _ENTRY))} · {state}{link}"


def _entry(row: Timeline) -> str:
    text = row.text if row.channel is None else " ".join(row.text.split())
    line = f"{blocks.time(row.at, '{date_short_pretty} {time_secs}')}  {safe(clip(text, _ENTRY))}"
    if row.channel is None:
        return line
    link = (row.data or {}).get("permalink")
    seen = f" · <{escape(link)}|in Slack>" if link else ""
    return f"{line}{seen} · entry {row.id}"
