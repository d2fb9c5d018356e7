"""What `/maintenance` answers. The live card of a planned window is drawn in maintenance.py."""

from collections.abc import Sequence

from bot.services.maintenance_shapes import MaintenanceStatus, collision_text, held_text
from bot.services.maintenance_steps import CONFIRM_WITHIN
from bot.services.when import lasting
from bot.slack import blocks
from bot.slack.blocks import View, clip, count, escape
from bot.slack.views import maintenance as card
from bot.slack.views import replies
from bot.slack.views.timeline import safe
from storage.models import MaintenanceState

_LONG = 120

_LOOKS = {
    MaintenanceState.PROPOSED: "⚪ proposed",
    MaintenanceState.SCHEDULED: "🔵 planned",
    MaintenanceState.ACTIVE: "🟠 under way",
    MaintenanceState.ENDED: "⚫ over",
    MaintenanceState.CANCELLED: "⚫ called off",
}


def proposed(status: MaintenanceStatus) -> View:
    """`/maintenance schedule`: what was understood, with the button that confirms it. Only who asked sees it."""
    shown, number = card.card(status), status.window.id
    confirm = f"Or type /maintenance confirm {number}, within {lasting(CONFIRM_WITHIN)}"
    return View(shown.text, [*shown.blocks, blocks.context(f"{confirm} · Drop it: /maintenance cancel {number}")])


def listing(rows: Sequence[MaintenanceStatus], page: int = 1) -> View:
    """`/maintenance list`: what is under way or ahead in order, then the newest that are over, a page at a time."""
    if not rows:
        return View("No maintenance is planned. Plan one: /maintenance schedule SERVER WHEN for HOW LONG")
    ahead = sum(row.window.state not in {MaintenanceState.ENDED, MaintenanceState.CANCELLED} for row in rows)
    title = f"{count(ahead, 'maintenance window')} under way or ahead" if ahead else "No maintenance is planned"
    hint = "Call one off: /maintenance cancel ID"
    return replies.listed(title, [_row(row) for row in rows], "/maintenance list", page, hint)


def _row(row: MaintenanceStatus) -> str:
    window = row.window
    parts = [
        f"{_LOOKS[MaintenanceState(window.state)]}  *{window.id} {escape(row.server)}*",
        f"{blocks.time(window.starts_at)} for {lasting(row.length)}",
    ]
    if window.state == MaintenanceState.ACTIVE:
        parts.append(escape(clip(held_text(row.held), _LONG)))
    if row.collisions:
        parts.append(f"will hold {escape(clip(collision_text(row.collisions), _LONG))}")
    if window.reason:
        parts.append(safe(clip(window.reason, _LONG)))
    parts.append(f"by {safe(window.created_by)}")
    return " · ".join(parts)
