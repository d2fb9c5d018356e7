"""What `/maintenance` answers. The live card of a planned window is drawn in maintenance.py."""

from collections.abc import Sequence

from bot.services.maintenance_shapes import MaintenanceStatus, collision_text, held_text
from bot.services.maintenance_steps import CONFIRM_WITHIN
from bot.services.when import lasting
from bot.slack import blocks
from bot.slack.blocks import View, clip, count, escape
from bot.slack.views import replies
from bot.slack.views.timeline import safe
from storage.models import MaintenanceState

_REASON = 120
_LONG_TEXT = 1000

_LOOKS = {
    MaintenanceState.PROPOSED: "⚪ proposed",
    MaintenanceState.SCHEDULED: "🔵 planned",
    MaintenanceState.ACTIVE: "🟠 under way",
    MaintenanceState.ENDED: "⚫ over",
    MaintenanceState.CANCELLED: "⚫ called off",
}


def proposed(status: MaintenanceStatus) -> View:
    """`/maintenance schedule`: what was understood, to be confirmed. Only who asked sees it."""
    window = status.window
    number = str(window.id)
    line = f"Maintenance of {status.server}: not planned yet. Is this what you mean?"
    body = [f"*Maintenance of {escape(status.server)}*: not planned yet. Is this what you mean?"]
    if status.collisions:
        body.append(f"⚠️ It would hold {escape(clip(collision_text(status.collisions), _LONG_TEXT))}.")
    if status.clock_change:
        body.append(f"⚠️ {escape(status.clock_change)}")
    facts = [
        (f"As you said it ({escape(window.zone)})", escape(status.local)),
        ("UTC", status.utc),
        ("On your clock", f"{blocks.time(window.starts_at)} to {blocks.time(window.ends_at)}"),
        ("It lasts", lasting(status.length)),
        ("Campaigns", "held at its start, and on again at its end" if status.collisions else "none is in its way now"),
    ]
    if window.reason:
        facts.append(("Reason", safe(window.reason)))
    buttons = [
        blocks.button("Confirm", "maintenance.confirm", number, style="primary"),
        blocks.button("Drop it", "maintenance.cancel", number),
    ]
    typed = f"/maintenance confirm {number}, within {lasting(CONFIRM_WITHIN)}"
    hint = f"Or type {typed} · Drop it: /maintenance cancel {number}"
    made = [blocks.section("\n".join(body)), blocks.fields(facts), blocks.actions(buttons), blocks.context(hint)]
    return View(line, made)


def listing(rows: Sequence[MaintenanceStatus]) -> View:
    """`/maintenance list`: what is under way or ahead in order, then the newest that are over."""
    if not rows:
        return View("No maintenance is planned. Plan one: /maintenance schedule SERVER WHEN for HOW LONG")
    ahead = sum(row.window.state != MaintenanceState.ENDED for row in rows)
    title = f"{count(ahead, 'window')} under way or ahead" if ahead else "No maintenance is planned."
    return replies.listed(title, [_row(row) for row in rows], len(rows), "call one off with /maintenance cancel ID")


def _row(row: MaintenanceStatus) -> str:
    window = row.window
    parts = [
        f"{_LOOKS[MaintenanceState(window.state)]}  *{window.id} {escape(row.server)}*",
        f"{blocks.time(window.starts_at)} for {lasting(row.length)}",
    ]
    if window.state == MaintenanceState.ACTIVE:
        parts.append(escape(clip(held_text(row.held), _REASON)))
    if row.collisions:
        parts.append(f"will hold {escape(clip(collision_text(row.collisions), _REASON))}")
    if window.reason:
        parts.append(safe(clip(window.reason, _REASON)))
    parts.append(f"by {safe(window.created_by)}")
    return " · ".join(parts)
