"""The card of a maintenance window: what was meant, in three clocks, what it collides with, and how it went."""

from collections.abc import Callable

from bot.services.maintenance_shapes import Collision, MaintenanceStatus, held_text
from bot.services.when import lasting
from bot.slack import blocks
from bot.slack.blocks import Block, View, button, clip, count, escape
from bot.slack.views.timeline import safe
from storage.models import MaintenanceState

_MOST_NAMES = 10
_FULL = "{date_long_pretty} {time}"
_OUTCOME_MAX = 1_500


def card(status: MaintenanceStatus) -> View:
    """The message for a window as it is now. Buttons that no longer apply are gone; the outcome stands instead."""
    return _CARDS[MaintenanceState(status.window.state)](status)


# --- One function a state ------------------------------------------------------------------------------------------


def _proposed(status: MaintenanceStatus) -> View:
    title = f"Maintenance of {status.server}: is this right?"
    made = [
        blocks.header(f"🛠️ {title}"),
        blocks.fields(_times(status)),
        *_clock_change(status),
        blocks.section(_collisions(status.collisions, "It would hold")),
        blocks.actions([_confirm(status), _cancel(status, "Cancel", sure=False)]),
        blocks.context(f"Nothing is planned yet. {_footer(status)}"),
    ]
    local = f"{status.local} ({status.window.zone}), " if status.window.zone != "UTC" else ""
    return View(f"{title} {local}{status.utc} UTC.", made)


def _scheduled(status: MaintenanceStatus) -> View:
    title = f"Maintenance of {status.server} is planned"
    made = [
        blocks.header(f"🛠️ {title}"),
        blocks.fields(_times(status)),
        *_clock_change(status),
        blocks.section(_collisions(status.collisions, "It will hold")),
        blocks.actions([_cancel(status, "Call off", sure=True)]),
        blocks.context(_footer(status)),
    ]
    return View(f"{title}: {status.utc} UTC.", made)


def _active(status: MaintenanceStatus) -> View:
    title = f"{status.server} is in maintenance"
    line = f"It ends {blocks.time(status.window.ends_at)}. Outages of it are not announced until then."
    if status.ending:
        title = f"The maintenance of {status.server} is ending"
        line = f"Its time was over {blocks.time(status.window.ends_at)}. {escape(status.server)} is being looked at."
    held = held_text(status.held)
    made: list[Block] = [
        blocks.header(f"🔧 {title}"),
        blocks.section(f"{line}\n{escape(held[:1].upper() + held[1:])}."),
        blocks.fields(_times(status)),
    ]
    if not status.ending:
        made.append(blocks.actions([_cancel(status, "End it now", sure=True)]))
    return View(f"{title}; {held}.", [*made, blocks.context(_footer(status))])


def _ended(status: MaintenanceStatus) -> View:
    title = f"The maintenance of {status.server} is over"
    outcome = status.outcome or f"{title}."
    # The title has said the first sentence, and its end may be good or bad: the flag is for neither.
    body = outcome.removeprefix(f"{title}.").strip()
    made = [blocks.section(safe(clip(body, _OUTCOME_MAX)))] if body else []
    return View(
        outcome,
        [
            blocks.header(f"🏁 {title}"),
            *made,
            blocks.fields(_times(status)),
            blocks.context(_footer(status)),
        ],
    )


def _cancelled(status: MaintenanceStatus) -> View:
    title = f"Maintenance of {status.server}: called off"
    line = "It does not take place. Nothing was held by it."
    return View(
        title,
        [
            blocks.header(f"⏹️ {title}"),
            blocks.section(line),
            blocks.fields(_times(status)),
            blocks.context(_footer(status)),
        ],
    )


_CARDS: dict[MaintenanceState, Callable[[MaintenanceStatus], View]] = {
    MaintenanceState.PROPOSED: _proposed,
    MaintenanceState.SCHEDULED: _scheduled,
    MaintenanceState.ACTIVE: _active,
    MaintenanceState.ENDED: _ended,
    MaintenanceState.CANCELLED: _cancelled,
}


# --- What they share -----------------------------------------------------------------------------------------------


def _times(status: MaintenanceStatus) -> list[tuple[str, str]]:
    """In the reader's own zone, in UTC and in the zone in which it was meant: a wrong zone shows at once."""
    window = status.window
    pairs = [
        ("Starts, for you", blocks.time(window.starts_at, _FULL)),
        ("Ends, for you", blocks.time(window.ends_at, _FULL)),
        ("In UTC", status.utc),
    ]
    if window.zone != "UTC":
        pairs.append((f"In {escape(window.zone)}", status.local))
    pairs.append(("Lasts", lasting(status.length)))
    if window.reason:
        pairs.append(("Reason", safe(window.reason)))
    return pairs


def _clock_change(status: MaintenanceStatus) -> list[Block]:
    return [blocks.context(f"🕒 {escape(status.clock_change)}")] if status.clock_change else []


def _collisions(found: tuple[Collision, ...], what: str) -> str:
    if not found:
        return "*Campaigns:* none is sending or scheduled through it."
    lines = [f"• *{escape(each.name)}*: {_affected(each)}" for each in found[:_MOST_NAMES]]
    more = len(found) - _MOST_NAMES
    if more > 0:
        lines.append(f"• and {more} more: /campaign list")
    sending = sum(1 for each in found if each.state == "sending")
    head = f"⚠️ *{what} {count(sending, 'campaign')}:*" if sending else "*Campaigns:*"
    return "\n".join([head, *lines])


def _affected(each: Collision) -> str:
    if each.state == "sending":
        return f"sending, {each.to_go:,} to go"
    return "scheduled; it cannot be started in the window"


def _confirm(status: MaintenanceStatus) -> Block:
    return button("Confirm", "maintenance.confirm", str(status.window.id), style="primary")


def _cancel(status: MaintenanceStatus, text: str, *, sure: bool) -> Block:
    sentence = f"The maintenance of {escape(status.server)} does not take place."
    if status.window.state == MaintenanceState.ACTIVE:
        sentence = f"{escape(status.server)} is looked at; what was held goes on if it answers."
    ask = ("Are you sure?", sentence, text) if sure else None
    return button(text, "maintenance.cancel", str(status.window.id), style="danger" if sure else None, confirm=ask)


def _footer(status: MaintenanceStatus) -> str:
    window = status.window
    return f"Window {window.id} · by {safe(window.created_by)} {blocks.time(window.created_at)}"
