"""What `/server` answers when somebody looks."""

from collections import Counter
from collections.abc import Sequence

from bot.services.server_results import DRAINED, MAINTENANCE, Return, ServerRow, percent
from bot.services.words import joined
from bot.slack import blocks
from bot.slack.blocks import View, aligned, clip, count, escape
from bot.slack.views import paces, replies
from bot.slack.views.timeline import safe
from storage.models import Health

_NAMES = 8
_LONG_TEXT = 500
_SHORT_TEXT = 40
_REPLY = 120
_BRIEF = 10

# What needs a person stands first. The words say what the colours say.
_LOOKS = {
    Health.DOWN.value: "🔴",
    Health.SUSPECTED.value: "🟡",
    MAINTENANCE: "🔵",
    DRAINED: "⚪",
    Health.UNCHECKED.value: "⚪",
    Health.UP.value: "🟢",
}
_ORDER = {state: place for place, state in enumerate(_LOOKS)}
_SECURITY = {"none": "no TLS", "starttls": "STARTTLS", "tls": "TLS from the start"}


def listing(rows: Sequence[ServerRow], page: int = 1) -> View:
    """`/server list`: what is wrong first, a page at a time."""
    if not rows:
        return View("There is no server yet. Add one with /server add NAME HOST:PORT, or in holdfast.toml.")
    by_state = Counter(row.state for row in rows)
    told = joined([f"{by_state[state]:,} {state}" for state in _LOOKS if by_state[state]])
    ordered = sorted(rows, key=lambda row: (_ORDER[row.state], row.name))
    numbers = aligned([len(row.campaigns) for row in ordered])
    lines = [_row(row, number) for row, number in zip(ordered, numbers, strict=True)]
    return replies.table(f"{count(len(rows), 'server')}: {told}", lines, "/server list", page)


def _row(row: ServerRow, campaigns: str) -> tuple[str, ...]:
    return (
        f"{_LOOKS[row.state]} {row.state}",
        row.name,
        address(row),
        f"{campaigns} {'campaign' if len(row.campaigns) == 1 else 'campaigns'}",
        "; ".join(_notes(row)),
    )


def address(row: ServerRow) -> str:
    host = row.server.host
    return f"[{host}]:{row.server.port}" if ":" in host else f"{host}:{row.server.port}"


def _notes(row: ServerRow) -> list[str]:
    notes = []
    if row.carrier:
        notes.append(f"carried by {row.carrier}")
    if row.carries_for:
        notes.append(f"carries for {joined(list(row.carries_for))}")
    if row.returns:
        notes.append(f"returning, {percent(row.returns.part)}")
    if row.server.pool:
        notes.append(f"pool {row.server.pool}, {percent(row.part or 0.0)}")
    if row.outage:
        notes.append(f"outage #{row.outage.id}")
    elif row.failure:
        # A longer line would be broken in two, and the columns with it; /server status has all of it.
        notes.append(clip(row.failure, _SHORT_TEXT))
    return notes


def brief(rows: Sequence[ServerRow]) -> list[str]:
    """For the home tab: a line for each server that needs somebody, and one for all that are well."""
    ordered = sorted(rows, key=lambda row: (_ORDER[row.state], row.name))
    troubled = [row for row in ordered if row.state != Health.UP or row.carrier or row.returns]
    well = [row.name for row in ordered if row not in troubled]
    lines = [_brief(row) for row in troubled[:_BRIEF]]
    if len(troubled) > _BRIEF:
        lines.append(f"and {len(troubled) - _BRIEF:,} more that need a look: /server list")
    names = [escape(name) for name in well[:_NAMES]]
    if len(well) > _NAMES:
        names.append(f"{len(well) - _NAMES:,} more: /server list")
    return [*lines, f"{_LOOKS[Health.UP]} *up:* {joined(names)}"] if well else lines


def _brief(row: ServerRow) -> str:
    server = row.server
    since = f" since {blocks.time(server.health_since)}" if server.health_since and row.state == server.health else ""
    parts = [f"{_LOOKS[row.state]} *{escape(row.name)}* {row.state}{since}"]
    if row.window is not None:
        parts.append(f"until {blocks.time(row.window.ends_at)}")
    if row.state == DRAINED and server.drained_by:
        parts.append(f"by {safe(server.drained_by)}")
    if row.carrier:
        parts.append(f"{escape(row.carrier)} carries its campaigns")
    if row.returns:
        parts.append(_returns(row.returns))
    if row.failure:
        reply = clip(row.failure, _REPLY).replace("`", "'")
        parts.append(f"`{escape(reply)}`")
    return " · ".join(parts)


def status(row: ServerRow) -> View:
    """`/server status`."""
    server = row.server
    line = f"{row.name} {_phrase(row)}"
    body = [f"{_LOOKS[row.state]} *{escape(row.name)}* {safe(_phrase(row))}"]
    if row.failure:
        body.append(f"*Failed:* {blocks.code(clip(row.failure, _LONG_TEXT))}")
    if row.outage is not None:
        body.append(f"It is part of outage #{row.outage.id}: /outage status #{row.outage.id}")
    facts = [
        ("Address", escape(address(row))),
        ("Security", _SECURITY.get(server.tls, server.tls)),
        ("Last looked at", _looked(row)),
        ("Backup", escape(row.backup) if row.backup else "none"),
        ("Connections", f"at most {server.max_connections:,}"),
        ("Campaigns", _campaigns(row)),
    ]
    if row.carrier:
        facts.append(("Carried by", escape(row.carrier)))
    if row.returns:
        facts.append(("Returning", _returns(row.returns)))
    if server.pool:
        facts.append(
            ("Pool", f"{escape(server.pool)}, weight {server.weight:,}: {percent(row.part or 0.0)} of its mail now")
        )
    if row.carries_for:
        facts.append(("Carries for", escape(joined(list(row.carries_for)))))
    if row.window is not None:
        facts.append(("Maintenance until", blocks.time(row.window.ends_at)))
    slowed = paces.of_server(row.slowed, row.at) if row.at else []
    made = [blocks.section("\n".join(body)), blocks.fields(facts), *slowed, blocks.context(_next(row))]
    return View(safe(line), made)


def _phrase(row: ServerRow) -> str:
    server = row.server
    since = f" since {blocks.time(server.health_since)}" if server.health_since else ""
    match row.state:
        case "maintenance":
            return f"is in a maintenance window; probes say {server.health}{since}."
        case "drained":
            return f"is drained by {server.drained_by}: nothing is sent through it. Probes say {server.health}{since}."
        case "suspected":
            return f"failed its last probe; nothing is decided yet. It is suspected{since}."
        case "unchecked":
            return "was not probed yet."
        case _:
            return f"is {row.state}{since}."


def _returns(returns: Return) -> str:
    until = blocks.time(returns.until)
    return f"{percent(returns.part)} of its mail, all at {until}; {escape(returns.source)} carries the rest"


def _looked(row: ServerRow) -> str:
    server = row.server
    if server.last_probe_at is None:
        return "never"
    took = f", in {server.last_ms:,} ms" if server.last_ms is not None else ""
    return f"{blocks.time(server.last_probe_at)}{took}"


def _campaigns(row: ServerRow) -> str:
    names = [escape(name) for name in row.campaigns[:_NAMES]]
    more = len(row.campaigns) - len(names)
    return joined([*names, f"{more:,} more"] if more else names) or "none"


def _next(row: ServerRow) -> str:
    name = row.name
    if row.window is not None:
        return f"End the maintenance now: /maintenance cancel {row.window.id}"
    if row.returns and row.state == Health.UP:
        return f"Let all of its mail return at once: /server restore {name} whole"
    if row.state == DRAINED or row.carrier:
        ready = "When it is repaired, put" if row.server.health == Health.DOWN else "Put"
        return f"{ready} it back to use: /server restore {name}"
    if row.state == Health.DOWN:
        takes_over, word = (escape(row.backup), "") if row.backup else ("another server", " BACKUP")
        return f"Let {takes_over} take over: /server failover {name}{word}"
    return f"Take it out of use: /server drain {name}"
