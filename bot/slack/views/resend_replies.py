"""What `/resend` answers. The live card is drawn in resend.py."""

from collections.abc import Sequence

from bot.services.resend_shapes import ResendStatus
from bot.slack import blocks
from bot.slack.blocks import View, clip, count
from bot.slack.views import replies
from bot.slack.views import resend as card
from bot.slack.views.timeline import safe
from storage.models import Resend, ResendState

_NOTE = 120

_LOOKS = {
    ResendState.PLANNED: "🟡",
    ResendState.SENDING: "🟢",
    ResendState.PAUSING: "🟠",
    ResendState.PAUSED: "🟠",
    ResendState.FINISHED: "⚫",
    ResendState.CANCELLED: "⚫",
    ResendState.REJECTED: "⚫",
    ResendState.VOID: "⚫",
}


def planned(status: ResendStatus) -> View:
    """`/resend plan`: what was frozen, who decides, and how to take it back."""
    resend = status.resend
    where = f"in the thread of outage #{resend.outage_id}" if resend.outage_id else "in the channel"
    line = f"Resend {resend.id} is planned: {count(resend.total, 'message')}. Nothing is sent yet; its card is {where}."
    return View(line, [blocks.section(line), *status_of(status).blocks])


def status_of(status: ResendStatus) -> View:
    """`/resend status`: what the card shows, with commands for buttons."""
    return replies.without_buttons(card.card(status), *_hints(status))


def _hints(status: ResendStatus) -> list[str]:
    number = status.resend.id
    if status.expired:
        return ["Ask again: /resend plan"]
    if status.canary_done:
        return [f"Send the rest: /resend rest {number}", f"Leave it at that: /resend cancel {number}"]
    match ResendState(status.resend.state):
        case ResendState.PLANNED:
            first = [f"1 % first: /resend approve {number} canary"] if status.canary < status.resend.total else []
            other = ("At once", "whole") if status.ramped_unasked else ("In stages", "ramp")
            stages = [f"{other[0]}: /resend approve {number} {other[1]}"] if first and status.ramp else []
            decisions = [f"Approve: /resend approve {number}", *stages, *first, f"Reject: /resend reject {number}"]
            return [*decisions, f"Take it back: /resend cancel {number}"]
        case ResendState.SENDING:
            more = status.resend.ramped and status.ramp is not None and status.ramp.has_more
            on = [f"Do not wait: /resend next {number}"] if more else []
            return [*on, f"Stop it: /resend pause {number}", f"End it: /resend cancel {number}"]
        case ResendState.PAUSING | ResendState.PAUSED if status.resend.wish == ResendState.PAUSED:
            return [f"Go on: /resend resume {number}", f"End it: /resend cancel {number}"]
        case _:
            return []


def changed(resend: Resend, did: str, undo: str = "") -> View:
    """What a verb did, and how to undo it. `did` completes the sentence about the resend."""
    return replies.said(f"Resend {resend.id} {did} {undo}".rstrip())


def listing(rows: Sequence[Resend], page: int = 1) -> View:
    """`/resend list`: the newest first, a page at a time."""
    if not rows:
        return View("No resend has been planned yet: /resend plan")
    title = f"{count(len(rows), 'resend')}, the newest first"
    return replies.listed(title, [_row(row) for row in rows], "/resend list", page, "See one: /resend status ID")


def _row(row: Resend) -> str:
    ending = row.state == ResendState.PAUSING and row.wish == ResendState.CANCELLED
    parts = [
        f"{_LOOKS[ResendState(row.state)]} {'being cancelled' if ending else row.state}  *{row.id}*",
        count(row.total, "message"),
        f"by {safe(row.requested_by)} {blocks.time(row.created_at)}",
    ]
    if row.outage_id is not None:
        parts.insert(2, f"outage #{row.outage_id}")
    if row.note:
        parts.append(safe(clip(row.note, _NOTE)))
    return " · ".join(parts)
