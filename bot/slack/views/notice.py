"""The card of a notice: exactly what would be said to whom, then a bar that grows, then what came of it."""

from collections.abc import Callable

from bot.services.notice_shapes import NoticeStatus
from bot.services.when import lasting
from bot.services.words import joined
from bot.slack import blocks
from bot.slack.blocks import Block, View, bar, button, count, escape
from bot.slack.views.timeline import holder, safe
from storage.models import ApprovalState, Notice, NoticeState

NO_DATA = "no data"
_MOST_NAMES = 5
_ANEW = "To ask with another text: /notice draft TEXT"


def card(status: NoticeStatus) -> View:
    """The message for a notice as it is now. Buttons that no longer apply are gone; the outcome stands instead."""
    if status.expired:
        return _expired(status)
    if status.cancelling:
        return _cancelling(status)
    return _CARDS[NoticeState(status.notice.state)](status)


def preview(status: NoticeStatus) -> View:
    """`/notice preview`: what a draft says to whom, with the button that asks for its approval."""
    return card(status)


# --- One function a state ------------------------------------------------------------------------------------------


def _draft(status: NoticeStatus) -> View:
    notice = status.notice
    title = f"Notice {notice.id}: a draft for {count(status.recipients, 'recipient')}"
    return View(
        f"{title}. Nothing is sent yet.",
        [
            blocks.header(f"📝 {title}"),
            *_content(status),
            blocks.fields(_audience(status)),
            *_warnings(status),
            blocks.section("Nothing is sent yet. *Ask to send* puts it before a second person."),
            blocks.actions([button("Ask to send", "notice.send", str(notice.id), style="primary"), _drop(notice)]),
            blocks.context(_footer(status)),
        ],
    )


def _waiting(status: NoticeStatus) -> View:
    notice = status.notice
    title = f"Notice {notice.id} to {count(status.recipients, 'recipient')}"
    value = f"{notice.id}:{notice.plan_hash}"
    sentence = f"{count(status.recipients, 'recipient')} will get it{_through(status)}. It cannot be called back."
    approve = button(
        "Approve",
        "notice.approve",
        value,
        style="primary",
        confirm=("Send the notice?", sentence, "Approve"),
    )
    reject = button("Reject", "notice.reject", value, style="danger")
    return View(
        f"{title} waits for an approval.",
        [
            blocks.header(f"📣 {title}"),
            *_content(status),
            blocks.fields(_audience(status)),
            *_warnings(status),
            blocks.section(_who_decides(status)),
            blocks.actions([approve, reject, _drop(notice)]),
            blocks.context(_footer(status)),
        ],
    )


def _sending(status: NoticeStatus) -> View:
    title = f"Notice {status.notice.id}: {status.done:,} of {status.recipients:,} sent"
    lines = [f"*{escape(status.notice.subject)}*{_through(status)}", bar(status.done, status.recipients)]
    if not status.sender_runs and status.to_go:
        lines.append("⚠️ The sender is not running, so nothing goes out now. Start it with `holdfast run`.")
    left = status.remaining
    pairs = _results(status)
    if status.to_go:
        pairs.append(("Time left", NO_DATA if left is None else f"about {lasting(left)}"))
    stop = button(
        "Cancel",
        "notice.cancel",
        str(status.notice.id),
        style="danger",
        confirm=("Cancel the notice?", f"{count(status.to_go, 'recipient')} will not get it.", "Cancel it"),
    )
    return View(
        title,
        [
            blocks.header(f"📨 {title}"),
            blocks.section("\n".join(lines)),
            blocks.fields(pairs),
            blocks.actions([stop]),
            blocks.context(_footer(status)),
        ],
    )


def _cancelling(status: NoticeStatus) -> View:
    title = f"Notice {status.notice.id}: being cancelled"
    by = f" by {safe(status.mailing.wished_by)}" if status.mailing.wished_by else ""
    line = f"Cancelled{by}. What is in flight gets its result first; then the stop is confirmed here."
    if not status.sender_runs:
        line += "\n⚠️ The sender is not running: it confirms the stop when it runs again (`holdfast run`)."
    return View(
        title,
        [
            blocks.header(f"⏳ {title}"),
            blocks.section(f"{line}\n{bar(status.done, status.recipients)}"),
            blocks.fields(_results(status)),
            blocks.context(_footer(status)),
        ],
    )


def _finished(status: NoticeStatus) -> View:
    lines = [f"*{escape(status.notice.subject)}*"]
    if status.recipients:
        lines.append(bar(status.done, status.recipients))
    if status.unknown:
        lines.append(f"{count(status.unknown, 'recipient')} may or may not have got it; it is not sent to them again.")
    what = f"sent to {count(status.delivered, 'recipient')}" if status.recipients else "sent"
    return _ended(status, "✅", f"Notice {status.notice.id}: {what}", "\n".join(lines))


def _rejected(status: NoticeStatus) -> View:
    by = status.approval.decided_by if status.approval else None
    line = f"Rejected{f' by {safe(by)}' if by else ''}. Nothing of it was sent. {_ANEW}"
    return _ended(status, "⛔", f"Notice {status.notice.id}: rejected", line)


def _cancelled(status: NoticeStatus) -> View:
    if status.mailing.started_at is None:
        line = f"Nothing of it was sent. {_ANEW}"
    else:
        slipped = f", {status.mailing.slipped:,} of them after the request" if status.mailing.slipped else ""
        line = f"{status.delivered:,} of {count(status.recipients, 'recipient')} had it{slipped}; nobody else gets it."
    return _ended(status, "⏹️", f"Notice {status.notice.id}: cancelled", line)


def _expired(status: NoticeStatus) -> View:
    until = f" before {blocks.time(status.approval.expires_at)}" if status.approval else ""
    line = f"Nobody approved it{until}. Nothing of it was sent. Ask again with /notice send {status.notice.id}"
    return _ended(status, "⌛", f"Notice {status.notice.id}: the request expired", line)


def _ended(status: NoticeStatus, emoji: str, title: str, line: str) -> View:
    made = [blocks.header(f"{emoji} {title}"), blocks.section(line)]
    if status.mailing.started_at is not None:
        made.append(blocks.fields(_results(status)))
    return View(title, [*made, blocks.context(_footer(status))])


_CARDS: dict[NoticeState, Callable[[NoticeStatus], View]] = {
    NoticeState.DRAFT: _draft,
    NoticeState.WAITING: _waiting,
    NoticeState.SENDING: _sending,
    NoticeState.FINISHED: _finished,
    NoticeState.REJECTED: _rejected,
    NoticeState.CANCELLED: _cancelled,
}


# --- What they share -----------------------------------------------------------------------------------------------


def _content(status: NoticeStatus) -> list[Block]:
    """Sender and subject, then the text word for word: no markup of Slack's changes what is approved."""
    notice = status.notice
    head = f"*From:* {escape(status.sender)}\n*Subject:* {escape(notice.subject)}"
    return [blocks.section(head), blocks.divider(), *_verbatim(notice.text), blocks.divider()]


def _verbatim(text: str) -> list[Block]:
    parts = [text[at : at + blocks.SECTION_MAX] for at in range(0, len(text), blocks.SECTION_MAX)]
    # Slack takes no text of blanks only.
    return [
        {"type": "section", "text": {"type": "plain_text", "text": part, "emoji": False}}
        for part in parts
        if part.strip()
    ]


def _audience(status: NoticeStatus) -> list[tuple[str, str]]:
    names = [escape(name) for name in status.campaigns[:_MOST_NAMES]]
    more = len(status.campaigns) - _MOST_NAMES
    whose = joined([*names, f"{more} more"] if more > 0 else names) if names else "a list of its own"
    pairs = [
        ("Recipients", f"{status.recipients:,}, of {whose}"),
        ("Left out, suppressed", f"{status.suppressed:,}"),
        ("Left out, twice on lists", f"{status.duplicates:,}"),
        ("Through", escape(status.server) if status.server else "⚠️ no server can carry it now"),
        ("Webhook", "yes" if status.webhook else "no"),
    ]
    if status.bad:
        pairs.insert(3, ("Bad rows", f"{status.bad:,}"))
    return pairs


def _warnings(status: NoticeStatus) -> list[Block]:
    return [blocks.context(*(f"⚠️ {escape(warning)}" for warning in status.warnings))] if status.warnings else []


def _through(status: NoticeStatus) -> str:
    return f" through {escape(status.server)}" if status.server and status.recipients else ""


def _who_decides(status: NoticeStatus) -> str:
    asked = f"{safe(status.approval.requested_by)} asks to send it. " if status.approval else ""
    until = f" until {blocks.time(status.approval.expires_at)}" if status.approval else ""
    if not status.approvers:
        return f"{asked}*Waits for an approval*{until}. Nobody has the role approver yet: add it to holdfast.toml."
    return f"{asked}*Waits for an approval*{until} by {joined([holder(each) for each in status.approvers], 'or')}."


def _results(status: NoticeStatus) -> list[tuple[str, str]]:
    pairs = []
    if status.recipients:
        pairs += [
            ("Delivered", f"{status.delivered:,}"),
            ("Failed", f"{status.failed:,}"),
            ("Unknown", f"{status.unknown:,}"),
        ]
        if status.counts["suppressed"]:
            pairs.append(("Suppressed since", f"{status.counts['suppressed']:,}"))
        if status.to_go:
            pairs.append(("To go" if status.notice.state == NoticeState.SENDING else "Not sent", f"{status.to_go:,}"))
    return [*pairs, ("Webhook", _webhook(status))]


def _webhook(status: NoticeStatus) -> str:
    call = status.webhook
    if call is None:
        return "none"
    why = f": {escape(call.error)}" if call.error else ""
    if call.state == "delivered":
        return "delivered"
    if call.state == "given_up":
        return f"not delivered{why}"
    if call.attempts and call.next_at is not None:
        return f"tried {count(call.attempts, 'time')}{why}; again {blocks.time(call.next_at, '{time_secs}')}"
    return "on its way"


def _drop(notice: Notice) -> Block:
    return button("Cancel", "notice.cancel", str(notice.id))


def _footer(status: NoticeStatus) -> str:
    notice, approval = status.notice, status.approval
    parts = [f"Drafted by {safe(notice.created_by)} {blocks.time(notice.created_at)}"]
    if notice.outage_id is not None:
        parts.append(f"outage #{notice.outage_id}")
    if approval is not None and approval.state == ApprovalState.APPROVED and approval.decided_by:
        parts.append(f"approved by {safe(approval.decided_by)}")
    return " · ".join(parts)
