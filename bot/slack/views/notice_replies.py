"""What `/notice` answers. The live card is drawn in notice.py."""

from collections.abc import Sequence

from bot.services.notice_shapes import NoticeRow, NoticeStatus, WebhookNow
from bot.services.words import joined
from bot.slack import blocks
from bot.slack.blocks import Block, View, bar, clip, count, escape
from bot.slack.views import replies
from bot.slack.views.timeline import safe
from storage.models import Notice, NoticeState

_CHUNK = 2_500
_TEXT_SHOWN = 7_500
_SUBJECT = 80
_NAMES = 5

_LOOKS = {
    NoticeState.DRAFT: "⚪",
    NoticeState.WAITING: "🟡",
    NoticeState.SENDING: "🟢",
    NoticeState.FINISHED: "⚫",
    NoticeState.REJECTED: "🔴",
    NoticeState.CANCELLED: "⚫",
}
_WORDS = {
    NoticeState.DRAFT: "is a draft: nothing is sent",
    NoticeState.WAITING: "waits for an approval: nothing is sent yet",
    NoticeState.SENDING: "is being sent",
    NoticeState.FINISHED: "is sent",
    NoticeState.REJECTED: "is rejected: nothing was sent",
    NoticeState.CANCELLED: "is cancelled",
}


def listing(rows: Sequence[NoticeRow]) -> View:
    """`/notice list`: the newest first."""
    if not rows:
        return View("No notice was drafted yet: /notice draft TEXT")
    return replies.listed(
        f"{count(len(rows), 'notice')}, the newest first",
        [_row(row) for row in rows],
        len(rows),
        "see one with /notice preview ID",
    )


def _row(row: NoticeRow) -> str:
    notice = row.notice
    parts = [
        f"{_LOOKS[NoticeState(notice.state)]} {notice.state}  *{notice.id}*",
        f"{row.delivered:,} of {count(row.recipients, 'recipient')}",
        f"by {safe(notice.created_by)} {blocks.time(notice.created_at)}",
        escape(clip(notice.subject, _SUBJECT)),
    ]
    if notice.outage_id is not None:
        parts.insert(2, f"outage #{notice.outage_id}")
    return " · ".join(parts)


def preview(status: NoticeStatus) -> View:
    """`/notice preview`: exactly what goes out, to how many, through what, and what one can do about it."""
    notice = status.notice
    state = "is being cancelled" if status.cancelling else _WORDS[NoticeState(notice.state)]
    state = "was not approved in time: nothing was sent" if status.expired else state
    line = f"Notice {notice.id} {state}."
    head = f"{_LOOKS[NoticeState(notice.state)]} *Notice {notice.id}* {state}."
    if notice.state == NoticeState.SENDING and status.recipients:
        head += f"\n{bar(status.done, status.recipients)}"
    if not status.sender_runs and notice.state == NoticeState.SENDING:
        head += "\n⚠️ No sender is running, so nothing moves. Start it with `holdfast run`."
    made = [
        blocks.section(head),
        blocks.section(f"*Subject:* {escape(clip(notice.subject, 500))}"),
        *_text(notice.text),
        blocks.fields(_facts(status)),
    ]
    if status.warnings:
        made.append(blocks.context(*(f"⚠️ {escape(clip(warning, 500))}" for warning in status.warnings[:10])))
    return View(line, [*made, *_buttons(status), *_hints(status)])


def _text(text: str) -> list[Block]:
    """The exact text, each line quoted, so that no line of it looks like one of ours."""
    kept, left_out = text[:_TEXT_SHOWN], max(0, len(text) - _TEXT_SHOWN)
    made: list[Block] = []
    while kept:
        # Each character may become five when it is escaped, and each line gains a mark.
        quoted = "".join(f"> {escape(line)}" for line in kept[:_CHUNK].splitlines(keepends=True))
        made.append(blocks.section(quoted))
        kept = kept[_CHUNK:]
    if left_out:
        made.append(blocks.context(f"{left_out:,} more characters are not shown here; they are sent all the same."))
    return made


def _facts(status: NoticeStatus) -> list[tuple[str, str]]:
    notice = status.notice
    left_out = [f"{status.suppressed:,} suppressed", f"{count(status.duplicates, 'double')}"]
    left_out += [count(status.bad, "bad row")] * bool(status.bad)
    facts = [
        ("To", f"{count(status.recipients, 'recipient')} of {_whose(status)}"),
        ("Left out", ", ".join(left_out)),
        ("From", escape(clip(status.sender, 200)) or "nobody"),
        ("Through", escape(status.server) if status.server else "no server is usable now"),
        ("Webhook", _webhook(status.webhook)),
    ]
    if notice.state in {NoticeState.SENDING, NoticeState.FINISHED, NoticeState.CANCELLED}:
        facts.append(("Delivered", f"{status.delivered:,}"))
        facts.append(("Failed", f"{status.failed:,} failed, {status.unknown:,} unknown"))
    if notice.state == NoticeState.SENDING:
        facts.append(("Time left", replies.how_long(status.remaining, status.rate_per_minute)))
    else:
        facts.append(("Approved by", joined([safe(each) for each in status.approvers], "or") or "nobody has the role"))
    return facts


def _whose(status: NoticeStatus) -> str:
    names = [escape(name) for name in status.campaigns[:_NAMES]]
    more = len(status.campaigns) - len(names)
    return joined([*names, f"{more:,} more"] if more else names) or "a CSV file"


def _webhook(webhook: WebhookNow | None) -> str:
    if webhook is None:
        return "none is set"
    if webhook.state == "planned":
        return "called once it is approved"
    error = f": {escape(clip(webhook.error, 200))}" if webhook.error else ""
    words = {"delivered": "delivered", "given_up": f"given up{error}", "trying": f"being tried{error}"}
    return words[webhook.state]


def _hints(status: NoticeStatus) -> list[Block]:
    number = status.notice.id
    hints = {
        NoticeState.DRAFT: [
            f"Ask for its approval: /notice send {number}",
            f"Drop it: /notice cancel {number}",
            "Change it: /notice draft TEXT replaces it",
        ],
        NoticeState.WAITING: [
            f"Approve, as somebody else: /notice approve {number}",
            f"Reject: /notice reject {number}",
            f"Drop it: /notice cancel {number}",
        ],
        NoticeState.SENDING: [f"Stop it for good: /notice cancel {number}"],
    }.get(NoticeState(status.notice.state), [])
    if status.expired:
        hints = [f"Ask again: /notice send {number}", f"Drop it: /notice cancel {number}"]
    return [blocks.context(" · ".join(hints))] if hints else []


def _buttons(status: NoticeStatus) -> list[Block]:
    """A draft has no card yet, so its preview has the buttons."""
    if status.notice.state != NoticeState.DRAFT:
        return []
    value = str(status.notice.id)
    sure = ("Drop it?", "The draft and its frozen audience are given up. Nothing is sent.", "Drop it")
    ask = blocks.button("Ask for approval", "notice.send", value, style="primary")
    return [blocks.actions([ask, blocks.button("Drop it", "notice.cancel", value, confirm=sure)])]


def requested(notice: Notice) -> View:
    """`/notice send`."""
    where = f"in the thread of outage #{notice.outage_id}" if notice.outage_id else "in the channel"
    did = f"waits for somebody else's approval, by the card {where}. Nothing is sent yet."
    return changed(notice, did, f"Undo it with /notice cancel {notice.id}")


def cancelled(notice: Notice) -> View:
    """`/notice cancel`."""
    over = notice.state == NoticeState.CANCELLED
    did = "is cancelled: nothing of it was sent." if over else "is stopping; its card says how many got it."
    return changed(notice, did, "This cannot be undone; draft it anew with /notice draft TEXT")


def changed(notice: Notice, did: str, undo: str = "") -> View:
    """What a verb did, and how to undo it. `did` completes the sentence about the notice."""
    return replies.said(f"Notice {notice.id} {did} {undo}".rstrip())
