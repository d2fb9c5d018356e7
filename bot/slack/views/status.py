"""`/holdfast status`: everything that somebody should know who has just woken up, what is wrong first."""

from collections import Counter
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
    lines = [_approval(each, shown.asked) for each in shown.approvals[:_MOST]]
    more = len(shown.approvals) - _MOST
    return [*lines, f"and {more} more: /holdfast approvals"] if more > 0 else lines


def _approval(approval: Approval, asked: Mapping[int, str]) -> str:
    look = "preview" if approval.subject == "notice" else "status"
    which = escape(asked.get(approval.subject_id, "")) if approval.subject == "campaign" else f"{approval.subject_id}"
    return (
        f"🟡 *{approval.subject.capitalize()} {which}* waits for an approval until "
        f"{blocks.time(approval.expires_at)}, asked by {safe(approval.requested_by)}: "
        f"/{approval.subject} {look} {which}"
    )


def _troubles(shown: StatusReport) -> list[str]:
    lines = []
    if not shown.sender_runs:
        lines.append("🟡 *No sender is running*, so no mail goes out. Start it with `holdfast run`.")
    elif shown.silent:
        lines.append(
            f"🟡 *The worker on {escape(joined(shown.silent))} is silent*. The others go on with its work; what it had "
            "in hand waits for its journal. Start Holdfast there again."
        )
    if shown.homeless is not None:
        lines.append(
            f"🟡 *Nothing can be posted*: open {shown.install_url} to install Holdfast in "
            f"{escape(shown.homeless.name)} again."
        )
    return [*lines, *_behind(shown)]


def _behind(shown: StatusReport) -> list[str]:
    """What waits for Slack: how much, since when, why, where, and who was paged because of it."""
    posts = shown.posts
    if not posts.error:
        return []
    since = f" since {blocks.time(posts.since)}" if posts.since else ""
    # Where Holdfast was removed, that is the error, and has been said.
    error = "" if shown.homeless else f" {safe(clip(posts.error, _LONG_TEXT))}"
    wait = "has waited" if posts.waiting == 1 else "have waited"
    lines = [f"🟡 *{count(posts.waiting, 'message')} for Slack* {wait}{since}; nothing is lost.{error}"]
    threads = [each for each in posts.threads if each.waiting > 1] or list(posts.threads)
    if len(posts.threads) > 1:
        lines += [
            f"• {_thread(each.key)}: {count(each.waiting, 'message')}"
            + (f" since {blocks.time(each.since)}" if each.since else "")
            for each in threads[:_MOST]
        ]
        rest = sum(each.waiting for each in posts.threads) - sum(each.waiting for each in threads[:_MOST])
        lines += [f"• elsewhere: {count(rest, 'message')}"] if rest else []
    return [*lines, *_paged(shown)]


def _thread(key: str) -> str:
    """`outage #3`, as people call the thread of that key."""
    kind, _, number = key.partition(":")
    return "the channel" if kind == "timeline" else f"{kind} #{number}"


def _paged(shown: StatusReport) -> list[str]:
    paging = shown.paging
    if paging is None:
        return []
    took = [road for road, result in paging.roads.items() if result["ok"]]
    if paging.paged_at is None or not took:
        return ["🔴 *Nobody could be paged* by another road. Look at `holdfast check`, and call somebody."]
    return [f"🟡 *People were paged* by {escape(joined(took))} {blocks.time(paging.paged_at)}."]


def _facts(shown: StatusReport) -> list[tuple[str, str]]:
    facts = [
        ("Servers", _by_state(shown.servers, _SERVERS)),
        ("Campaigns", _by_state(shown.campaigns, _CAMPAIGNS)),
        ("Resends", _by_state(shown.resends, _DECISIONS)),
        ("Notices", _by_state(shown.notices, _DECISIONS)),
        ("Unknown deliveries", f"{shown.unknown:,}"),
        ("Sender", _senders(shown)),
    ]
    if len(shown.workspaces) > 1:
        facts.append(("Workspaces", escape(joined([_named(each) for each in shown.workspaces]))))
    if shown.posts.waiting and not shown.posts.error:
        facts.append(("On their way to Slack", count(shown.posts.waiting, "message")))
    return facts


def _senders(shown: StatusReport) -> str:
    if not shown.sender_runs:
        return "does not run"
    if len(shown.senders) < 2:
        return "runs"
    machines = Counter(shown.senders)
    return "runs on " + escape(joined([host if n == 1 else f"{host} ({n} times)" for host, n in machines.items()]))


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
