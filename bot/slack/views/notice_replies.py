"""What `/notice` answers. The live card is drawn in notice.py."""

from collections.abc import Sequence

from bot.services.notice_shapes import NoticeRow, NoticeStatus
from bot.slack import blocks
from bot.slack.blocks import View, clip, count, escape
from bot.slack.views import notice as card
from bot.slack.views import replies
from bot.slack.views.timeline import safe
from storage.models import Notice, NoticeState

_SUBJECT = 80

_LOOKS = {
    NoticeState.DRAFT: "⚪ draft",
    NoticeState.WAITING: "🟡 waits for approval",
    NoticeState.SENDING: "🟢 sending",
    NoticeState.FINISHED: "⚫ sent",
    NoticeState.REJECTED: "⚫ rejected",
    NoticeState.CANCELLED: "⚫ cancelled",
}


def listing(rows: Sequence[NoticeRow], page: int = 1) -> View:
    """`/notice list`: the newest first, a page at a time."""
    if not rows:
        return View("No notice was drafted yet: /notice draft TEXT")
    title = f"{count(len(rows), 'notice')}, the newest first"
    return replies.listed(title, [_row(row) for row in rows], "/notice list", page, "See one: /notice preview ID")


def _row(row: NoticeRow) -> str:
    notice = row.notice
    parts = [
        f"{_LOOKS[NoticeState(notice.state)]}  *{notice.id}*",
        f"{row.delivered:,} of {count(row.recipients, 'recipient')} delivered",
        f"by {safe(notice.created_by)} {blocks.time(notice.created_at)}",
        escape(clip(notice.subject, _SUBJECT)),
    ]
    if notice.outage_id is not None:
        parts.insert(2, f"outage #{notice.outage_id}")
    return " · ".join(parts)


def preview(status: NoticeStatus) -> View:
    """`/notice preview`: exactly what goes out, to how many, through what, and what one can do about it.

    A draft has no card in the channel, so its buttons are here; any other notice has them on its card alone.
    """
    if status.notice.state != NoticeState.DRAFT:
        return replies.without_buttons(card.card(status), *_hints(status))
    shown = card.preview(status)
    return View(shown.text, [*shown.blocks, blocks.context("\n".join(_hints(status)))])


def _hints(status: NoticeStatus) -> list[str]:
    number = status.notice.id
    drop = f"Drop it: /notice cancel {number}"
    if status.expired:
        return [f"Ask again: /notice send {number}", drop]
    match NoticeState(status.notice.state):
        case NoticeState.DRAFT:
            return [f"Ask for its approval: /notice send {number}", drop, "Change it: /notice draft TEXT replaces it"]
        case NoticeState.WAITING:
            return [f"Approve, as somebody else: /notice approve {number}", f"Reject: /notice reject {number}", drop]
        case NoticeState.SENDING:
            return [f"Stop it for good: /notice cancel {number}"]
        case _:
            return []


def requested(notice: Notice) -> View:
    """`/notice send`."""
    where = f"in the thread of outage #{notice.outage_id}" if notice.outage_id else "in the channel"
    did = f"waits for somebody else's approval, by its card {where}. Nothing is sent yet."
    return changed(notice, did, f"Undo it with /notice cancel {notice.id}")


def cancelled(notice: Notice) -> View:
    """`/notice cancel`."""
    over = notice.state == NoticeState.CANCELLED
    did = "is cancelled: nothing of it was sent." if over else "is stopping; its card says how many got it."
    return changed(notice, did, "This cannot be undone; draft it anew with /notice draft TEXT")


def changed(notice: Notice, did: str, undo: str = "") -> View:
    """What a verb did, and how to undo it. `did` completes the sentence about the notice."""
    return replies.said(f"Notice {notice.id} {did} {undo}".rstrip())
