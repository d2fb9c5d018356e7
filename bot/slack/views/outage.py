"""The live message of an outage, for a tired person at three in the morning: what, who, since when, what next."""

from dataclasses import dataclass
from datetime import datetime

from bot.services.outage_shapes import CampaignNow, Headline, OutageSummary, ServerNow, failure_sentence
from bot.services.server_results import percent
from bot.services.when import lasting
from bot.services.words import joined
from bot.slack import blocks
from bot.slack.blocks import Block, View, escape
from bot.slack.views.timeline import safe
from storage.models import Outage, OutageState

NO_DATA = "no data"
_MOST_CAMPAIGNS = 5
_MOST_ACTIONS = 10
_ACTION = 200
_MOST_SERVERS = 3
_LONG_TEXT = 500
_OVER = "nothing, it is over."


@dataclass(frozen=True)
class _Look:
    """How a state is shown: a colour and, for those who see none, a word."""

    emoji: str
    word: str


_LOOKS = {
    OutageState.OPEN: _Look("🔴", "open, nobody has it yet"),
    OutageState.ACKNOWLEDGED: _Look("🟠", "acknowledged"),
    OutageState.IDENTIFIED: _Look("🟠", "cause known"),
    OutageState.MONITORING: _Look("🟡", "answers again"),
    OutageState.RESOLVED: _Look("🟢", "resolved"),
}


def headline(shown: Headline) -> View:
    """The card in the channel. Buttons that were pressed are gone; their outcome stands in the text."""
    outage = shown.outage
    title = _title(shown)
    made: list[Block] = [blocks.header(f"{_LOOKS[OutageState(outage.state)].emoji} {title}")]
    made.append(blocks.section("\n".join([_failed(shown), *_former(shown), *_now(shown)])))
    # The one thing to do stands with its buttons where a phone shows them without scrolling; details come below.
    made.append(blocks.section(f"*Next:* {_next(shown)}"))
    if shown.actions:
        made.append(blocks.actions(_buttons(shown)))
    made.append(blocks.section("\n".join(_campaigns(shown))))
    made.append(blocks.fields(_facts(shown)))
    made.append(blocks.context(_footer(outage)))
    return View(_notification(shown, title), made)


def brief(shown: Headline) -> list[Block]:
    """An outage among others, for the home tab: what it is, who has it, and the buttons that apply."""
    outage, look = shown.outage, _LOOKS[OutageState(shown.outage.state)]
    who = outage.lead or outage.acknowledged_by
    taken = f"{safe(who)} has it, {look.word}" if who and outage.state != OutageState.OPEN else "*nobody has it yet*"
    reply = _reply(outage)
    lines = [
        f"{look.emoji} *Outage #{outage.id}: {escape(_title(shown))}*",
        f"{outage.severity} · since {blocks.time(outage.started_at)} · {taken}",
        *([f"*Failed:* `{escape(reply)}`"] if reply else []),
        *_now(shown)[:_MOST_SERVERS],
        f"*Campaigns:* {len(shown.campaigns):,} affected, {blocks.some(len(shown.held))} held",
        *([f"*Next:* {_next(shown)}"] if shown.actions and outage.acknowledged_at is not None else []),
    ]
    made = [blocks.section("\n".join(lines))]
    return [*made, blocks.actions(_buttons(shown))] if shown.actions else made


def in_short(shown: Headline) -> str:
    """`primary is down`: an outage in a title that has more to say."""
    return _title(shown)


def _title(shown: Headline) -> str:
    outage, names = shown.outage, shown.names
    if outage.state == OutageState.RESOLVED:
        return f"Resolved: {names}"
    down = [server.name for server in shown.servers if server.state == "down"]
    if down:
        return f"{joined(down)} {'is' if len(down) == 1 else 'are'} down"
    suspected = [server.name for server in shown.servers if server.state == "suspected"]
    if suspected:
        return f"{joined(suspected)} may be down"
    if outage.recovered_at is not None:
        return f"{names} {'answers' if len(shown.servers) == 1 else 'answer'} again"
    return f"Outage on {names}"


def _notification(shown: Headline, title: str) -> str:
    """What a phone shows: the same, in one line."""
    outage = shown.outage
    parts = [f"{title}."]
    reply = _reply(outage)
    if reply and outage.state != OutageState.RESOLVED and outage.recovered_at is None:
        parts.append(f"{escape(reply)}.")
    if shown.held:
        parts.append(f"{blocks.count(len(shown.held), 'campaign')} held.")
    if outage.state == OutageState.OPEN:
        parts.append("Nobody has it yet.")
    return " ".join(parts)


def _reply(outage: Outage) -> str:
    return blocks.clip(failure_sentence(outage.stage, outage.code, outage.reply), _LONG_TEXT)


def _failed(shown: Headline) -> str:
    """What fired stays readable, whatever later probes say."""
    outage = shown.outage
    servers = ", ".join(f"{escape(server.name)} ({escape(server.host)}:{server.port})" for server in shown.servers)
    by_monitor = outage.title == f"{shown.servers[0].name} is down" if shown.servers else False
    said = "" if by_monitor else f"*Declared:* {safe(blocks.clip(outage.title, _LONG_TEXT))}\n"
    reply = _reply(outage)
    what = f"*Failed:* {blocks.code(reply)} on {servers}" if reply else f"*Seen:* no probe of {servers} has failed"
    times = "once" if outage.recurrences == 1 else blocks.count(outage.recurrences, "time")
    again = f" It failed again {times} since." if outage.recurrences else ""
    return f"{said}{what}.{again}"


def _former(shown: Headline) -> list[str]:
    """The outage before it on the same server, if that is not long ago."""
    former = shown.former
    if former is None or former.resolved_at is None:
        return []
    how = f": {safe(blocks.clip(former.resolution, _LONG_TEXT))}" if former.resolution else ""
    return [f"*Not the first:* outage #{former.id} on it was resolved {blocks.time(former.resolved_at)}{how}"]


def _now(shown: Headline) -> list[str]:
    return [f"*Now:* {line}" for line in map(_server_now, shown.servers) if line]


def _server_now(server: ServerNow) -> str:
    since = f" since {blocks.time(server.since, '{time}')}" if server.since else ""
    states = {
        "down": f"has been down{since}" if since else "is down",
        "suspected": "failed its last probe",
        "up": f"has answered{since}" if since else "answers",
        "unchecked": "was not probed yet",
        "maintenance": "is in a maintenance window",
        "drained": "is drained: nothing is sent through it",
    }
    line = f"{escape(server.name)} {states.get(server.state, server.state)}"
    if server.failed_over_to:
        return f"{line}; *{escape(server.failed_over_to)}* carries its campaigns."
    if (back := server.returns) is not None:
        parts = f"{percent(back.part)} of its mail, all at {blocks.time(back.until, '{time}')}"
        return f"{line}. It returns: {parts}; *{escape(back.source)}* carries the rest."
    if server.others:
        return f"{line}; *{escape(str(server.others))}* {'takes' if server.others.is_one else 'take'} its part."
    if server.backup and server.state in {"down", "suspected"}:
        usable = "can take over" if server.backup_usable else "cannot take over either"
        return f"{line}; *{escape(server.backup)}* {usable}."
    return f"{line}."


def _campaigns(shown: Headline) -> list[str]:
    if not shown.campaigns:
        return ["*Campaigns:* none was being sent through it."]
    lines = [f"*Campaigns:* {len(shown.campaigns):,} affected, {blocks.some(len(shown.held))} held"]
    lines += [f"• {_campaign(each)}" for each in shown.campaigns[:_MOST_CAMPAIGNS]]
    more = len(shown.campaigns) - _MOST_CAMPAIGNS
    return [*lines, f"• and {more} more: /campaign list"] if more > 0 else lines


def _campaign(shown: CampaignNow) -> str:
    campaign = shown.campaign
    state = {
        "pausing": "pausing now",
        "paused": "held" if shown.held else "paused",
        "sending": f"sending through {escape(shown.through)}",
    }.get(campaign.state, campaign.state)
    slipped = f", {campaign.slipped:,} slipped out" if shown.held and campaign.slipped else ""
    delivered = shown.counts.get("delivered", 0)
    return (
        f"*{escape(campaign.name)}*: {state}; {delivered:,} of {campaign.recipients:,} delivered, "
        f"{shown.to_go:,} to go{slipped}"
    )


def _facts(shown: Headline) -> list[tuple[str, str]]:
    outage = shown.outage
    facts = [("Who has it", _who(outage)), ("Since", blocks.time(outage.started_at))]
    if shown.totals is None:
        facts.append(("Lost mail", NO_DATA))
    else:
        totals = shown.totals
        unknown = f", {totals.unknown:,} unknown" if totals.unknown else ""
        facts.append(("Lost mail", f"{blocks.count(totals.failed, 'message')}{unknown}"))
        if totals.failed:
            facts.append(("Sent again", f"{totals.recovered:,} recovered"))
    if outage.cause:
        facts.append(("Cause", safe(blocks.clip(outage.cause, _LONG_TEXT))))
    if outage.eta:
        facts.append(("Expected back", blocks.time(outage.eta)))
    if outage.resolved_at:
        by = safe(outage.resolved_by or "somebody")
        facts.append(("Resolved", f"by {by}, {blocks.time(outage.resolved_at)}"))
    if outage.resolution:
        facts.append(("How", safe(blocks.clip(outage.resolution, _LONG_TEXT))))
    return facts


def _who(outage: Outage) -> str:
    who = outage.lead or outage.acknowledged_by
    if who is None:
        return "Nobody yet" if outage.state != OutageState.RESOLVED else "Nobody had it"
    at = f", {blocks.time(outage.acknowledged_at, '{time}')}" if outage.acknowledged_at else ""
    return f"{safe(who)}{at}"


def _next(shown: Headline) -> str:
    outage, actions = shown.outage, shown.actions
    if outage.state == OutageState.RESOLVED:
        return "plan the resend of what was lost." if "outage.plan" in actions else _undecided(shown, _OVER)
    if outage.acknowledged_at is None:
        return "somebody takes it with Acknowledge or /outage ack, so that the others can sleep."
    if outage.recovered_at is not None:
        if "outage.resume" in actions:
            return "resume the campaigns, then resolve."
        if "outage.plan" in actions:
            return "plan the resend of what was lost, then resolve."
        if shown.resend_id is not None:
            return f"see resend #{shown.resend_id} in this thread, then resolve."
        return _undecided(shown, "resolve it with the button, or with /outage resolve TEXT")
    if "outage.failover" in actions:
        return "fail over to the backup, or find the cause and say it with /outage cause TEXT"
    if outage.cause is None:
        return "find the cause and say it with /outage cause TEXT"
    if outage.eta is None:
        return "say when it will be back with /outage eta WHEN"
    return "repair it; this message says when it answers. If it takes longer, say so with /outage eta WHEN"


def _undecided(shown: Headline, otherwise: str) -> str:
    """What may have arrived waits for a person, and only for a person."""
    number = shown.totals.undecided if shown.totals else 0
    if not number:
        return otherwise
    noun = "delivery" if number == 1 else "deliveries"
    decide = f"{number:,} {noun} may have arrived: decide with /resend unknown {shown.outage.id}"
    leave = f"or leave {'it' if number == 1 else 'them'} as {'it is' if number == 1 else 'they are'}."
    return f"{decide}, {leave}" if otherwise == _OVER else f"{decide}, {leave} Then {otherwise}"


def _buttons(shown: Headline) -> list[Block]:
    value = str(shown.outage.id)
    backup = next((server.backup for server in shown.servers if server.backup), None)
    known: dict[str, Block] = {
        "outage.acknowledge": blocks.button("Acknowledge", "outage.acknowledge", value, style="primary"),
        "outage.pause": blocks.button("Pause campaigns", "outage.pause", value),
        "outage.failover": blocks.button(
            f"Fail over to {backup}" if backup else "Fail over",
            "outage.failover",
            value,
            confirm=(
                "Fail over?",
                f"The campaigns go on through {escape(backup or 'the backup')}. Nobody is mailed twice.",
                "Fail over",
            ),
        ),
        "outage.resume": blocks.button(
            "Resume campaigns",
            "outage.resume",
            value,
            confirm=(
                "Resume?",
                _goes_on(shown),
                "Resume",
            ),
        ),
        "outage.plan": blocks.button("Plan the resend", "outage.plan", value),
        "outage.resolve": blocks.button(
            "Resolve",
            "outage.resolve",
            value,
            style="danger",
            confirm=("Resolve?", "The outage ends and its summary is posted. Campaigns stay as they are.", "Resolve"),
        ),
    }
    # Last, and for everybody: it answers only to who presses it.
    catch_up = blocks.button("Catch up", "outage.catchup", value)
    return [*(known[action] for action in shown.actions if action in known), catch_up]


def _goes_on(shown: Headline) -> str:
    if shown.totals is None and shown.campaigns:  # the ledger was not counted
        return "The campaigns that this outage holds go on where they stopped. Nobody is mailed twice."
    to_go = sum(each.to_go for each in shown.campaigns)
    return f"{blocks.count(to_go, 'message goes', 'messages go')} out to those who have not had theirs."


def _footer(outage: Outage) -> str:
    look = _LOOKS[OutageState(outage.state)]
    parts = [
        f"Outage #{outage.id}",
        look.word,
        f"severity {outage.severity}",
        f"opened by {safe(outage.opened_by)}",
        f"detected {blocks.time(outage.detected_at)}",
    ]
    return " · ".join(parts)


# The end


def summary(shown: OutageSummary) -> View:
    """What it was and what it did, when it is resolved. Without data a figure says so."""
    outage = shown.outage
    names = joined(list(shown.servers))
    lasted = lasting(shown.duration) if shown.duration is not None else NO_DATA
    title = f"Outage #{outage.id} on {names} is over"
    made = [
        blocks.header(f"📋 {title}"),
        blocks.section("\n".join(_story(shown, lasted))),
        blocks.fields(_times(shown)),
        blocks.fields(_totals(shown)),
    ]
    if shown.actions:
        made.append(blocks.section(_actions_of(shown)))
    if shown.totals and shown.totals.still_lost > 0:
        made.append(blocks.context(f"Send again what is lost: /resend plan #{outage.id}"))
    if shown.totals and shown.totals.unknown:
        made.append(
            blocks.context(
                "Unknown: what was in flight when a connection or a process died. It is only sent again when a person "
                f"decides so: /resend unknown {outage.id}"
            )
        )
    return View(f"{title}: it lasted {lasted}.", made)


def _actions_of(shown: OutageSummary) -> str:
    open_ones = [each for each in shown.actions if each.is_open]
    total = blocks.count(len(shown.actions), "action")
    if not open_ones:
        return f"*To do:* nothing any more, all of {total} done"
    lines = [f"*To do:* {len(open_ones)} of {total}"]
    for each in open_ones[:_MOST_ACTIONS]:
        who = f"{safe(each.owner)} has it" if each.owner else "nobody has it"
        lines.append(f"☐ *{each.number}*  {safe(blocks.clip(each.text, _ACTION))} · {who}")
    more = len(open_ones) - _MOST_ACTIONS
    hint = f"/outage actions #{shown.outage.id}"
    lines.append(f"and {more} more: {hint}" if more > 0 else "When one is done: /outage done NUMBER")
    return "\n".join(lines)


def _story(shown: OutageSummary, lasted: str) -> list[str]:
    outage = shown.outage
    reply = _reply(outage)
    lines = [
        f"*Lasted:* {lasted}" + (f", with {blocks.count(outage.recurrences, 'recurrence')}" * bool(outage.recurrences))
    ]
    if reply:
        lines.append(f"*Failed:* {blocks.code(reply)}")
    lines.append(f"*Cause:* {safe(blocks.clip(outage.cause, _LONG_TEXT)) if outage.cause else 'not named'}")
    if outage.resolution:
        lines.append(f"*Resolved:* {safe(blocks.clip(outage.resolution, _LONG_TEXT))}")
    names = [escape(name) for name in shown.campaigns[:_MOST_CAMPAIGNS]]
    if len(shown.campaigns) > _MOST_CAMPAIGNS:
        names.append(f"{len(shown.campaigns) - _MOST_CAMPAIGNS} more")
    lines.append(f"*Campaigns:* {joined(names) if names else 'none was touched'}")
    return lines


def _times(shown: OutageSummary) -> list[tuple[str, str]]:
    def at(moment: datetime | None, after: str = "") -> str:
        return f"{blocks.time(moment)}{after}" if moment else NO_DATA

    to_acknowledge = shown.to_acknowledge
    return [
        ("Started", at(shown.started_at)),
        ("Detected", at(shown.detected_at, f" (after {lasting(shown.to_detect)})")),
        ("Acknowledged", at(shown.acknowledged_at, f" (after {lasting(to_acknowledge)})" if to_acknowledge else "")),
        ("Answered again", at(shown.recovered_at)),
        ("Resolved", at(shown.resolved_at)),
    ]


def _totals(shown: OutageSummary) -> list[tuple[str, str]]:
    totals = shown.totals
    if totals is None:
        return [("Deliveries", f"{NO_DATA}: no campaign was touched")]
    return [
        ("Attempted", f"{totals.attempted:,}"),
        ("Delivered", f"{totals.delivered:,}"),
        ("Failed", f"{totals.failed:,}"),
        ("Recovered by resend", f"{totals.recovered:,}"),
        ("Still unknown", f"{totals.unknown:,}"),
        ("Still queued", f"{totals.queued:,}"),
    ]
