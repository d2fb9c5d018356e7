"""`/holdfast status`: everything that somebody should know who has just woken up, what is wrong first."""

from collections.abc import Mapping

from bot.services.status import StatusReport
from bot.services.words import joined
from bot.slack import blocks
from bot.slack.blocks import View, clip, count, escape
from bot.slack.views.timeline import safe
from storage.installs import Workspace
from storage.models import Approval

_MOST = 5
_LONG_TEXT = 300
# The order in which states are told: what needs somebody first.
_SERVERS = ("down", "suspected", "maintenance", "drained", "unchecked", "up")
_CAMPAIGNS = ("sending", "pausing", "paused", "scheduled", "finished", "cancelled")
_WINDOWS = {"scheduled": "planned", "active": "under way"}
_DECISIONS = ("sending", "pausing", "paused", "waiting", "planned", "draft")


def report(shown: StatusReport) -> View:
    title = _needs(shown)
    sign = "🔴" if shown.outages else "🟡"
    if shown.calm:
        sign, title = ("🟢", "All is well") if shown.servers else ("⚪", "No server is known yet")
    made = [blocks.section(f"{sign} *{title}.*")]
    if not shown.servers:
        made.append(blocks.section("*Next:* add the server that your mail goes through: /server add NAME HOST[:PORT]"))
    wrong = [*_outages(shown), *_waiting(shown), *_troubles(shown)]
    if wrong:
        made.append(blocks.section("\n".join(wrong)))
    made.append(blocks.fields(_facts(shown)))
    if shown.maintenance:
        made.append(blocks.section("\n".join(_maintenance(shown))))
    made.append(blocks.context(f"Holdfast {escape(shown.version)} on {shown.database} · {blocks.time(shown.at)}"))
    return View(f"{title}.", made)


def _needs(shown: StatusReport) -> str:
    """What needs somebody, in one line."""
    parts = []
    if shown.outages:
        parts.append(f"{count(len(shown.outages), 'outage')} to resolve")
    if shown.approvals:
        parts.append(f"{count(len(shown.approvals), 'approval')} to give")
    if not shown.sender_runs:
        parts.append("no sender is running")
    if shown.homeless is not None:
        parts.append(f"{escape(shown.homeless.name)} has removed Holdfast")
    elif shown.posts.error:
        parts.append("Slack does not take messages")
    text = joined(parts)
    return text[:1].upper() + text[1:]


def _outages(shown: StatusReport) -> list[str]:
    lines = []
    for outage, servers in shown.outages[:_MOST]:
        who = outage.lead or outage.acknowledged_by
        has = f"{safe(who)} has it" if who else f"nobody has it yet: /outage ack #{outage.id}"
        on = escape(joined(list(servers)))
        lines.append(f"🔴 *Outage #{outage.id} {on}*, {outage.state} since {blocks.time(outage.started_at)}; {has}")
    more = len(shown.outages) - _MOST
    return [*lines, f"and {more} more: /outage list"] if more > 0 else lines


def _waiting(shown: StatusReport) -> list[str]:
    lines = [_approval(each) for each in shown.approvals[:_MOST]]
    more = len(shown.approvals) - _MOST
    return [*lines, f"and {more} more: /resend list, /notice list"] if more > 0 else lines


def _approval(approval: Approval) -> str:
    look = "preview" if approval.subject == "notice" else "status"
    return (
        f"🟡 *{approval.subject.capitalize()} {approval.subject_id}* waits for an approval until "
        f"{blocks.time(approval.expires_at)}, asked by {safe(approval.requested_by)}: "
        f"/{approval.subject} {look} {approval.subject_id}"
    )


def _troubles(shown: StatusReport) -> list[str]:
    lines = []
    if not shown.sender_runs:
        lines.append("🟡 *No sender is running*, so no mail goes out. Start it with `holdfast run`.")
    if shown.homeless is not None:
        lines.append(
            f"🟡 *Nothing can be posted*: open {shown.install_url} to install Holdfast in "
            f"{escape(shown.homeless.name)} again."
        )
    posts = shown.posts
    if posts.error:
        since = f" since {blocks.time(posts.since)}" if posts.since else ""
        # Where Holdfast was removed, that is the error, and has been said.
        error = "" if shown.homeless else f" {safe(clip(posts.error, _LONG_TEXT))}"
        wait = "has waited" if posts.waiting == 1 else "have waited"
        lines.append(f"🟡 *{count(posts.waiting, 'message')} for Slack* {wait}{since}; nothing is lost.{error}")
    return lines


def _facts(shown: StatusReport) -> list[tuple[str, str]]:
    facts = [
        ("Servers", _by_state(shown.servers, _SERVERS)),
        ("Campaigns", _by_state(shown.campaigns, _CAMPAIGNS)),
        ("Resends", _by_state(shown.resends, _DECISIONS)),
        ("Notices", _by_state(shown.notices, _DECISIONS)),
        ("Unknown deliveries", f"{shown.unknown:,}"),
        ("Sender", "runs" if shown.sender_runs else "does not run"),
    ]
    if len(shown.workspaces) > 1:
        facts.append(("Workspaces", escape(joined([_named(each) for each in shown.workspaces]))))
    if shown.posts.waiting and not shown.posts.error:
        facts.append(("On their way to Slack", count(shown.posts.waiting, "message")))
    return facts


def _named(workspace: Workspace) -> str:
    return f"{workspace.name} (removed it)" if workspace.removed else workspace.name


def _by_state(counts: Mapping[str, int], order: tuple[str, ...]) -> str:
    states = sorted(counts, key=lambda state: order.index(state) if state in order else len(order))
    return ", ".join(f"{counts[state]:,} {state}" for state in states) or "none"


def _maintenance(shown: StatusReport) -> list[str]:
    lines = [
        f"🔵 *Maintenance of {escape(server)}* {_WINDOWS.get(window.state, window.state)}: "
        f"{blocks.time(window.starts_at)} to "
        f"{blocks.time(window.ends_at)}"
        for window, server in shown.maintenance[:_MOST]
    ]
    more = len(shown.maintenance) - _MOST
    return [*lines, f"and {more} more: /maintenance list"] if more > 0 else lines
