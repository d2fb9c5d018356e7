"""`/outage catchup`: an outage on one screen, for a person who joins late."""

from bot.services.catching_up import CatchUp
from bot.services.outage_shapes import Headline, failure_sentence
from bot.services.when import lasting
from bot.services.words import joined
from bot.slack import blocks
from bot.slack.blocks import View, clip, count, escape
from bot.slack.views.timeline import safe
from storage.models import Outage, OutageState, Timeline

NO_DATA = "no data"
_LINE = 180
_TEXT = 240
_NAMES = 4
_SIGNS = {
    OutageState.OPEN: "🔴",
    OutageState.ACKNOWLEDGED: "🟠",
    OutageState.IDENTIFIED: "🟠",
    OutageState.MONITORING: "🟡",
    OutageState.RESOLVED: "🟢",
}


def catch_up(shown: CatchUp) -> View:
    title = _title(shown)
    made = [blocks.section("\n".join([f"*{title}*", *_facts(shown)]))]
    if shown.lines:
        made.append(blocks.section("\n".join(["*What was done*", *(_line(each) for each in shown.lines)])))
    if shown.decisions:
        made.append(blocks.section("\n".join(_decisions(shown))))
    made.append(blocks.section("\n".join(_can_do(shown))))
    made.append(blocks.context(_foot(shown)))
    return View(title, made)


def _title(shown: CatchUp) -> str:
    outage, headline = shown.headline.outage, shown.headline
    sign = _SIGNS[OutageState(outage.state)]
    names = escape(headline.names)
    if shown.summary is not None:
        lasted = lasting(shown.summary.duration) if shown.summary.duration else NO_DATA
        return f"{sign} Outage #{outage.id} on {names} is over; it lasted {lasted}"
    since = lasting(shown.at - outage.started_at)
    if outage.recovered_at is not None:
        answer = "answers" if len(headline.servers) == 1 else "answer"
        return f"{sign} Outage #{outage.id}: {names} {answer} again; it began {since} ago"
    return f"{sign} Outage #{outage.id} on {names} for {since}"


def _facts(shown: CatchUp) -> list[str]:
    outage = shown.headline.outage
    lines = [f"*What:* {_what(shown.headline)} Since {blocks.time(outage.started_at)}."]
    lines += [f"*Hit:* {_hit(shown)}", *_lost(shown)]
    lines.append(f"*Who has it:* {_who(outage)}")
    cause = safe(clip(outage.cause, _TEXT)) if outage.cause else "not named" + ("" if shown.summary else " yet")
    lines.append(f"*Cause:* {cause}")
    if shown.summary is not None:
        if outage.resolution:
            lines.append(f"*Resolved by:* {safe(clip(outage.resolution, _TEXT))}")
    elif outage.recovered_at is None:
        lines.append(f"*Back:* {_back(outage, shown)}")
    return lines


def _what(headline: Headline) -> str:
    outage = headline.outage
    reply = clip(failure_sentence(outage.stage, outage.code, outage.reply), _TEXT)
    said = f"`{escape(reply)}`." if reply else f"{safe(clip(outage.title, _TEXT))}."
    over = [
        f"*{escape(each.failed_over_to)}* carries the mail of {escape(each.name)}."
        for each in headline.servers
        if each.failed_over_to
    ]
    return " ".join([said, *over])


def _hit(shown: CatchUp) -> str:
    headline = shown.headline
    if not headline.campaigns:
        return "no campaign was being sent through it"
    held = headline.held
    names = [escape(each.name) for each in (held or headline.campaigns)[:_NAMES]]
    more = len(held or headline.campaigns) - len(names)
    names += [f"{more:,} more"] if more else []
    total = count(len(headline.campaigns), "campaign")
    if not held:
        return f"{total} ({joined(names)}), none {'still ' if shown.summary else ''}held"
    return f"{total}, {len(held):,} {'still ' if shown.summary else ''}held: {joined(names)}"


def _lost(shown: CatchUp) -> list[str]:
    totals = shown.headline.totals
    if totals is None:
        return []
    lost = f"{count(totals.failed, 'message')} lost"
    back = f", {totals.recovered:,} of them sent again" if totals.recovered else ""
    unknown = f", {totals.unknown:,} unknown" if totals.unknown else ""
    return [f"*Mail:* {lost}{back}{unknown}; {totals.queued:,} still to go"]


def _who(outage: Outage) -> str:
    who = outage.lead or outage.acknowledged_by
    if who is None:
        return "nobody had it" if outage.state == OutageState.RESOLVED else "*nobody yet*"
    at = f", since {blocks.time(outage.acknowledged_at, '{time}')}" if outage.acknowledged_at else ""
    return f"{safe(who)}{at}"


def _back(outage: Outage, shown: CatchUp) -> str:
    if outage.eta is None:
        return "nobody has said when"
    if outage.eta <= shown.at:
        return f"was expected {blocks.time(outage.eta, '{time}')}, {lasting(shown.at - outage.eta)} ago"
    return f"expected {blocks.time(outage.eta)}, in {lasting(outage.eta - shown.at)}"


def _line(entry: Timeline) -> str:
    return f"• {blocks.time(entry.at, '{time}')}  {safe(clip(' '.join(entry.text.split()), _LINE))}"


def _decisions(shown: CatchUp) -> list[str]:
    lines = ["*What waits for a decision*"]
    for each in shown.decisions[:_NAMES]:
        noun = "The rest of resend" if each.kind == "rest" else each.noun.capitalize()
        until = f", until {blocks.time(each.expires_at, '{time}')}" if each.expires_at else ""
        whose = "you may decide" if each.may else "somebody else decides"
        lines.append(
            f"• {noun} {each.number}, {count(each.recipients, 'message')}{until}; {whose}: /holdfast approvals"
        )
    more = len(shown.decisions) - _NAMES
    return [*lines, f"and {more} more: /holdfast approvals"] if more > 0 else lines


def _can_do(shown: CatchUp) -> list[str]:
    """Commands, for the answer is not edited later as the card with its buttons is."""
    number = f"#{shown.headline.outage.id}"
    server = next((each.name for each in shown.headline.servers if each.backup_usable), None)
    ways = {
        "outage.acknowledge": f"take it: /outage ack {number}",
        "outage.failover": f"move its campaigns to the backup: /server failover {escape(server or 'NAME')}",
        "outage.pause": "pause what is still being sent: /campaign pause NAME",
        "outage.resume": "let the held campaigns go on: /campaign resume all",
        "outage.plan": f"send again what was lost: /resend plan {number}",
        "outage.resolve": f"end it: /outage resolve {number} TEXT",
    }
    lines = [f"• {ways[action]}" for action in shown.allowed if action in ways]
    if shown.summary is None:
        lines.append(f"• say what you see: /outage update {number} TEXT")
    if not lines:
        return ["*What you can do now:* nothing, it is over."]
    return ["*What you can do now*", *lines]


def _foot(shown: CatchUp) -> str:
    number = shown.headline.outage.id
    more = f"{count(shown.left_out, 'more entry', 'more entries')}: " if shown.left_out else "Everything: "
    return f"{more}/outage timeline #{number} · As it was {blocks.time(shown.at, '{time}')}; only you see this"
