"""Modals: what to fill in, what happens when it is sent, and nothing else. The ids of the inputs are their names."""

from collections.abc import Mapping, Sequence
from typing import Any

from bot.services.outage_shapes import OutageRow
from bot.services.server_results import ServerRow
from bot.services.words import joined
from bot.slack.blocks import Block, clip, context, escape
from bot.slack.views.timeline import safe
from storage.models import Health, OutageState

Modal = dict[str, Any]
Option = tuple[str, str]
"""What it sends, and what people read."""

_LABEL_MAX = 75  # of an option
_OPTIONS_MAX = 100
_HINT_MAX = 150
_SEVERITIES: Sequence[Option] = (
    ("critical", "critical: nothing goes out"),
    ("major", "major: many messages are late or lost"),
    ("minor", "minor: a nuisance"),
)
_SECURITIES: Sequence[Option] = (
    ("none", "none"),
    ("starttls", "STARTTLS, mostly port 587 or 25"),
    ("tls", "TLS from the first byte, mostly port 465"),
)
_POLICIES = {
    "hold": "When it is sent, the campaigns that this server carries are held. Undo that with /campaign resume.",
    "failover": "When it is sent, the campaigns that this server carries go through its backup, or are held.",
    "tell": "No campaign is paused by it: that is the policy in the settings.",
}


def declare(servers: Sequence[ServerRow], policy: str, *, server: str | None = None, text: str = "") -> Modal:
    """Declare an outage: on which server, what is wrong, how bad it is. Servers in trouble come first."""
    in_order = sorted(servers, key=lambda row: (row.state == Health.UP, row.server.name))
    options = [(row.server.name, f"{row.server.name} ({row.state})") for row in in_order]
    return _modal(
        "form.declare",
        "Declare an outage",
        "Declare",
        [
            _input("server", "On which server?", _select(options, server)),
            _input("text", "What is wrong?", _written(text, most=300, lines=True), hint="It becomes the title."),
            _input("severity", "How bad is it?", _radio(_SEVERITIES, "major")),
            *_left_out(options, "/outage declare SERVER TEXT"),
            context(_POLICIES[policy]),
        ],
    )


def plan(outages: Sequence[OutageRow], campaigns: Sequence[str], *, target: str | None = None) -> Modal:
    """Plan a resend: of what, and what to include beside what is safe to send again."""
    of_outages = [_outage(row) for row in outages]
    of_campaigns = [(name, name) for name in campaigns]
    included = [
        ("unknown", "unknown: they may have arrived", "Somebody could get it twice."),
        ("refused", "refused: by a server, because of us", "Put the reason right first, or they fail again."),
    ]
    return _modal(
        "form.plan",
        "Plan a resend",
        "Plan",
        [
            _input("what", "Of what?", _grouped({"Outages": of_outages, "Campaigns": of_campaigns}, target)),
            _input("include", "Send these again too?", _checkboxes(included), optional=True),
            *_left_out(max(of_outages, of_campaigns, key=len), "/resend plan CAMPAIGN"),
            context("Nothing is sent by planning. The plan shows its counts and waits for a second person."),
        ],
    )


def server(name: str = "") -> Modal:
    """Add a server."""
    return _modal(
        "form.server",
        "Add a server",
        "Add",
        [
            _input("name", "Name", _written(name, most=63), hint="Lower-case letters, digits, hyphens: primary"),
            _input("host", "Host", _written("", most=253), hint="A name or an address: mail.example.com, 192.0.2.7"),
            _input("port", "Port", _written("25", most=5)),
            _input("security", "Security", _radio(_SECURITIES, "none")),
            context(
                "It is looked at once when it is added. A user name and a password are never typed in Slack: set them "
                "in holdfast.toml, under [servers.NAME]."
            ),
        ],
    )


def message(outages: Sequence[OutageRow], text: str, author: str) -> Modal:
    """Add a message to a timeline: of which outage?"""
    options = [_outage(row) for row in outages]
    return _modal(
        "form.message",
        "Add to timeline",
        "Add",
        [
            {"type": "section", "text": {"type": "mrkdwn", "text": f"{safe(author)}: {escape(clip(text, 500))}"}},
            _input("outage", "To the timeline of which outage?", _select(options, None)),
            *_left_out(options, "/outage update #ID TEXT"),
        ],
    )


def action(outages: Sequence[OutageRow], text: str = "", *, outage: str | None = None) -> Modal:
    """Make an action item: what, who, because of which outage."""
    options = [_outage(row) for row in outages]
    return _modal(
        "form.action",
        "Make an action item",
        "Note it",
        [
            _input("text", "What is to be done?", _written(clip(text, 500), most=500, lines=True)),
            _input("owner", "Who does it?", {"type": "users_select", "action_id": "users"}, optional=True),
            _input("outage", "Because of which outage?", _select(options, outage)),
            *_left_out(options, "/outage action #ID TEXT"),
        ],
    )


def update(number: int, servers: Sequence[str]) -> Modal:
    """Say what is new about an outage."""
    where = f"outage #{number}" + (f" on {escape(joined(list(servers)))}" if servers else "")
    return _modal(
        "form.update",
        "Send an update",
        "Send",
        [
            _input("text", "What is new?", _written("", most=2000, lines=True), hint="“Nothing new yet” is news too."),
            context(f"It stands in the thread of {where} at once, and the time to the next reminder begins anew."),
        ],
    )


def _outage(row: OutageRow) -> Option:
    over = " (over)" if row.outage.state == OutageState.RESOLVED else ""
    title = " ".join(row.outage.title.split())
    return f"#{row.outage.id}", f"#{row.outage.id} {row.names}{over}: {title}"


# The parts


def _modal(callback: str, title: str, submit: str, blocks: Sequence[Block]) -> Modal:
    return {
        "type": "modal",
        "callback_id": callback,
        "title": _plain(title),
        "submit": _plain(submit),
        "close": _plain("Not now"),
        "blocks": list(blocks),
    }


def _input(name: str, label: str, element: Block, *, hint: str = "", optional: bool = False) -> Block:
    block: Block = {"type": "input", "block_id": name, "label": _plain(label), "element": element}
    if hint:
        block["hint"] = _plain(clip(hint, _HINT_MAX))
    return block | ({"optional": True} if optional else {})


def _written(text: str, *, most: int, lines: bool = False) -> Block:
    made: Block = {"type": "plain_text_input", "action_id": "text", "max_length": most, "multiline": lines}
    return made | ({"initial_value": text} if text else {})


def _select(options: Sequence[Option], chosen: str | None) -> Block:
    drawn = _options(options)
    return _with_initial({"type": "static_select", "action_id": "choice", "options": drawn}, drawn, chosen)


def _grouped(groups: Mapping[str, Sequence[Option]], chosen: str | None) -> Block:
    """A menu with a heading over each group that is not empty."""
    drawn = {label: _options(options) for label, options in groups.items() if options}
    made = [{"label": _plain(label), "options": options} for label, options in drawn.items()]
    every = [option for options in drawn.values() for option in options]
    return _with_initial({"type": "static_select", "action_id": "choice", "option_groups": made}, every, chosen)


def _radio(options: Sequence[Option], chosen: str) -> Block:
    drawn = _options(options)
    return _with_initial({"type": "radio_buttons", "action_id": "choice", "options": drawn}, drawn, chosen)


def _checkboxes(options: Sequence[tuple[str, str, str]]) -> Block:
    made = [{**_option(value, label), "description": _plain(clip(why, _LABEL_MAX))} for value, label, why in options]
    return {"type": "checkboxes", "action_id": "choices", "options": made}


def _with_initial(element: Block, options: Sequence[Block], chosen: str | None) -> Block:
    found = [option for option in options if option["value"] == chosen]
    return element | ({"initial_option": found[0]} if found else {})


def _options(options: Sequence[Option]) -> list[Block]:
    return [_option(value, label) for value, label in options[:_OPTIONS_MAX]]


def _option(value: str, label: str) -> Block:
    return {"value": value, "text": _plain(clip(label, _LABEL_MAX))}


def _left_out(options: Sequence[Option], typed: str) -> list[Block]:
    left = len(options) - _OPTIONS_MAX
    return [context(f"{left:,} more are not in the list. For those, type: {typed}")] if left > 0 else []


def _plain(text: str) -> Block:
    return {"type": "plain_text", "text": text}
