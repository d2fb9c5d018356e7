"""The card of a resend: the plan with its counts, then one message whose bar grows, then what came of it."""

from collections.abc import Callable
from datetime import timedelta

from bot.services.ramp_shapes import plain
from bot.services.resend_shapes import Carrier, ResendStatus
from bot.services.when import lasting
from bot.services.words import joined
from bot.slack import blocks
from bot.slack.blocks import Block, View, bar, button, count, escape
from bot.slack.views.timeline import holder, safe
from storage.models import Resend, ResendState

NO_DATA = "no data"
_MOST_NAMES = 5
_BLOCKED = "It cannot be approved until that is over."
_ANEW = "To ask again: /resend plan"


def card(status: ResendStatus) -> View:
    """The message for a resend as it is now. Buttons that no longer apply are gone; the outcome stands instead."""
    resend = status.resend
    if status.expired:
        return _expired(status)
    if status.canary_done:
        return _canary_done(status)
    return _CARDS[ResendState(resend.state)](status)


# --- One function a state ------------------------------------------------------------------------------------------


def _planned(status: ResendStatus) -> View:
    resend = status.resend
    title = f"Resend {resend.id}: {count(resend.total, 'message')} to send again"
    body = f"*{count(resend.total, 'message')}* of {_campaigns(status)} would go out again {_through(status)}."
    return View(
        f"{title}. Waits for an approval.",
        [
            blocks.header(f"📋 {title}"),
            blocks.section("\n".join([body, *_troubles(status, _BLOCKED)])),
            blocks.fields(_plan_counts(status)),
            *_hint(resend),
            blocks.section(_who_decides(status)),
            blocks.actions(_decisions(status)),
            blocks.context(_footer(status)),
        ],
    )


def _sending(status: ResendStatus) -> View:
    resend, progress = status.resend, status.progress
    wave = status.canary if resend.wave == 0 else resend.total - progress.left
    what = "The first 1 %" if resend.wave == 0 else "Sending again"
    stages = status.ramp if resend.ramped else None
    if stages is not None:
        wave, what = stages.allowed - progress.left, "Sending again in stages"
    notes = _troubles(status, "It goes on by itself when that is over.")
    if stages is not None:
        notes.insert(0, f"🪜 {stages.line(status.at)}")
    if not status.sender_runs:
        notes.append("⚠️ The sender is not running, so nothing goes out now. Start it with `holdfast run`.")
    title = f"Resend {resend.id}: {progress.done:,} of {wave:,} sent"
    return View(
        title,
        [
            blocks.header(f"📨 {title}"),
            blocks.section(
                "\n".join([f"{what} {_through(status)}: {_campaigns(status)}", bar(progress.done, wave), *notes])
            ),
            blocks.fields([*_results(status), ("Time left", _duration(status))]),
            blocks.actions([*_next(status), _button(resend, "Pause", "pause"), _cancel(status)]),
            blocks.context(_footer(status)),
        ],
    )


def _next(status: ResendStatus) -> list[Block]:
    """For those who do not want to wait for the next stage."""
    stages = status.ramp
    if not status.resend.ramped or stages is None or not stages.has_more:
        return []
    sentence = "The next stage begins now, whatever comes back of this one."
    return [_button(status.resend, "Go on now", "next", confirm=("Go on now?", sentence, "Go on"))]


def _pausing(status: ResendStatus) -> View:
    resend, progress = status.resend, status.progress
    ends = resend.wish == ResendState.CANCELLED
    title = f"Resend {resend.id}: {'being cancelled' if ends else 'stopping'}"
    line = f"{_note(resend)} What is in flight gets its result first; then the stop is confirmed here."
    if not status.sender_runs:
        line += "\n⚠️ The sender is not running: it confirms the stop when it runs again (`holdfast run`)."
    made = [
        blocks.header(f"⏳ {title}"),
        blocks.section(f"{line}\n{bar(progress.done, resend.total)}"),
        blocks.fields(_results(status)),
    ]
    if not ends:
        made.append(blocks.actions([_cancel(status)]))
    return View(title, [*made, blocks.context(_footer(status))])


def _paused(status: ResendStatus) -> View:
    resend, progress = status.resend, status.progress
    title = f"Resend {resend.id}: paused at {progress.done:,} of {resend.total:,}"
    return View(
        title,
        [
            blocks.header(f"⏸️ {title}"),
            blocks.section(f"{_note(resend)}{_confirmed(resend)}\n{bar(progress.done, resend.total)}"),
            blocks.fields(_results(status)),
            blocks.actions([_button(resend, "Resume", "resume", style="primary"), _cancel(status)]),
            blocks.context(_footer(status)),
        ],
    )


def _canary_done(status: ResendStatus) -> View:
    resend, progress = status.resend, status.progress
    title = f"Resend {resend.id}: the first 1 % is out"
    verdict = _verdict(progress.delivered, progress.done)
    rest = count(progress.held_back, "message")
    waits = "waits" if progress.held_back == 1 else "wait"
    send = _button(
        resend,
        f"Send the rest ({progress.held_back:,})",
        "rest",
        hashed=True,
        style="primary",
        confirm=("Send the rest?", f"{rest} will go out {_through(status)}.", "Send"),
    )
    return View(
        f"{title}. {verdict}",
        [
            blocks.header(f"🐤 {title}"),
            blocks.section("\n".join([f"{verdict} *{rest}* {waits} for an approver.", *_troubles(status, _BLOCKED)])),
            blocks.fields([*_results(status), ("The rest takes", _duration(status))]),
            blocks.actions([send, _cancel(status)]),
            blocks.context(_footer(status)),
        ],
    )


def _verdict(delivered: int, done: int) -> str:
    """What came of the first 1 %, and whether somebody should look before the rest goes."""
    if delivered == done:
        return "It was delivered." if done == 1 else f"All {done:,} were delivered."
    if done == 1:
        return "It was not delivered: look at it before you go on."
    verb = "was" if delivered == 1 else "were"
    others = "the other one" if done - delivered == 1 else "the others"
    return f"{blocks.some(delivered).capitalize()} of {done:,} {verb} delivered: look at {others} before you go on."


def _finished(status: ResendStatus) -> View:
    resend, progress = status.resend, status.progress
    sent = resend.total - progress.left
    title = f"Resend {resend.id}: {progress.delivered:,} of {resend.total:,} recovered"
    lines = [bar(progress.done, sent) if sent else ""]
    if progress.failed:
        lines.append(f"{count(progress.failed, 'message')} failed again. Plan what can go once more: /resend plan")
    if progress.unknown:
        they = "it is" if progress.unknown == 1 else "they are"
        lines.append(f"{count(progress.unknown, 'message')} may have arrived: {they} not sent again unasked.")
    if progress.left:
        lines.append(f"{count(progress.left, 'message')} went over to a later resend.")
    return _ended(status, "✅", title, "\n".join(line for line in lines if line))


def _cancelled(status: ResendStatus) -> View:
    progress = status.progress
    what = f"{progress.done:,} of {count(status.resend.total, 'message')} had gone out; the others are as before."
    if not progress.done:
        what = "Nothing of it was sent."
    what += f" {_ANEW}"
    note = f"{_note(status.resend)}{_confirmed(status.resend)}"
    return _ended(status, "⏹️", f"Resend {status.resend.id}: cancelled", f"{note} {what}")


def _rejected(status: ResendStatus) -> View:
    return _ended(
        status, "⛔", f"Resend {status.resend.id}: rejected", f"{_note(status.resend)} Nothing of it was sent. {_ANEW}"
    )


def _void(status: ResendStatus) -> View:
    done = status.progress.done
    sent = f"{count(done, 'message')} had gone out before." if done else "Nothing of it was sent."
    return _ended(status, "🚫", f"Resend {status.resend.id}: void", f"{_note(status.resend)} {sent}")


def _expired(status: ResendStatus) -> View:
    until = f" before {blocks.time(status.approval.expires_at)}" if status.approval else ""
    line = f"Nobody approved it{until}. Nothing of it was sent. Ask again with /resend plan"
    return _ended(status, "⌛", f"Resend {status.resend.id}: the request expired", line)


def _ended(status: ResendStatus, emoji: str, title: str, line: str) -> View:
    made = [blocks.header(f"{emoji} {title}"), blocks.section(line)]
    if status.progress.done:
        made.append(blocks.fields(_results(status)))
    return View(title, [*made, blocks.context(_footer(status))])


_CARDS: dict[ResendState, Callable[[ResendStatus], View]] = {
    ResendState.PLANNED: _planned,
    ResendState.SENDING: _sending,
    ResendState.PAUSING: _pausing,
    ResendState.PAUSED: _paused,
    ResendState.FINISHED: _finished,
    ResendState.CANCELLED: _cancelled,
    ResendState.REJECTED: _rejected,
    ResendState.VOID: _void,
}


# --- What they share -----------------------------------------------------------------------------------------------


def _campaigns(status: ResendStatus) -> str:
    names = [escape(name) for name in status.campaigns[:_MOST_NAMES]]
    more = len(status.campaigns) - _MOST_NAMES
    return f"{', '.join(names)} and {more} more" if more > 0 else joined(names)


def _through(status: ResendStatus) -> str:
    return f"through {joined([_carrier(carrier) for carrier in status.carriers])}"


def _carrier(carrier: Carrier) -> str:
    stands_in = f" (in place of {escape(carrier.instead_of)})" if carrier.instead_of else ""
    return f"{escape(carrier.name)}{stands_in}"


def _troubles(status: ResendStatus, then: str) -> list[str]:
    return [f"⚠️ {escape(each.name)} is {each.trouble}. {then}".rstrip() for each in status.carriers if each.trouble]


def _plan_counts(status: ResendStatus) -> list[tuple[str, str]]:
    resend = status.resend
    counts = resend.counts

    def left_out(key: str, *, included: bool) -> str:
        number = counts.get(key, 0)
        return f"{number:,}{', included' if included else ', left out' if number else ''}"

    waiting = counts.get("never_attempted", 0)
    pairs = [
        ("Safe to send again", f"{counts.get('safe', 0):,}"),
        ("May have arrived", left_out("unknown", included=resend.include_unknown)),
        ("Refused, cause to be fixed", left_out("refused", included=resend.include_refused)),
        ("Failed for good", left_out("permanent", included=False)),
        ("Suppressed", left_out("suppressed", included=False)),
        ("Offer has ended", left_out("expired", included=False)),
        ("Not tried yet", f"{waiting:,}, by the campaign itself" if waiting else "0"),
    ]
    if counts.get("elsewhere"):
        pairs.append(("In another resend", left_out("elsewhere", included=False)))
    return [*pairs, ("Would take", _duration(status))]


def _hint(resend: Resend) -> list[Block]:
    words = [
        word
        for word, included in (("unknown", resend.include_unknown), ("refused", resend.include_refused))
        if resend.counts.get(word) and not included
    ]
    if not words:
        return []
    return [blocks.context(f"To include what is left out, plan again with the words `with {' '.join(words)}`.")]


def _who_decides(status: ResendStatus) -> str:
    until = f" until {blocks.time(status.approval.expires_at)}" if status.approval else ""
    if not status.approvers:
        return f"*Waits for an approval*{until}. Nobody has the role approver yet: add it to holdfast.toml."
    return f"*Waits for an approval*{until} by {joined([holder(each) for each in status.approvers], 'or')}."


def _decisions(status: ResendStatus) -> list[Block]:
    resend = status.resend
    everything = count(resend.total, "message")
    buttons = [
        _button(
            resend,
            "Approve",
            "approve",
            hashed=True,
            style="primary",
            confirm=("Send them again?", f"{everything} will go out {_through(status)}{_unasked(status)}.", "Approve"),
        )
    ]
    if status.canary < resend.total:
        if status.ramp is not None and not status.ramped_unasked:
            ramp = f"{everything} will go out {_through(status)} in stages, {plain(status.ramp.stages)}."
            ask = ("Send in stages?", ramp, "Send")
            buttons.append(_button(resend, "In stages", "ramp", hashed=True, confirm=ask))
        first = count(status.canary, "message")
        sentence = f"{first} will go out {_through(status)}; the rest waits for a second word."
        buttons.append(
            _button(resend, "Send 1 % first", "canary", hashed=True, confirm=("Send 1 % first?", sentence, "Send"))
        )
    return [*buttons, _button(resend, "Reject", "reject", hashed=True, style="danger")]


def _unasked(status: ResendStatus) -> str:
    return f" in stages, {plain(status.ramp.stages)}" if status.ramp is not None and status.ramped_unasked else ""


def _cancel(status: ResendStatus) -> Block:
    sentence = f"{count(status.progress.to_go, 'message')} will not go out. Planning again is the way back."
    return _button(
        status.resend, "Cancel", "cancel", style="danger", confirm=("Cancel the resend?", sentence, "Cancel it")
    )


def _button(
    resend: Resend,
    text: str,
    verb: str,
    *,
    hashed: bool = False,
    style: str | None = None,
    confirm: tuple[str, str, str] | None = None,
) -> Block:
    """A decision carries the hash of the plan that is on the screen, so that it can decide on nothing else."""
    value = f"{resend.id}:{resend.plan_hash}" if hashed else str(resend.id)
    return button(text, f"resend.{verb}", value, style=style, confirm=confirm)


def _results(status: ResendStatus) -> list[tuple[str, str]]:
    progress = status.progress
    pairs = [
        ("Delivered", f"{progress.delivered:,}"),
        ("Failed again", f"{progress.failed:,}"),
        ("May have arrived", f"{progress.unknown:,}"),
    ]
    if progress.suppressed or progress.expired:
        pairs.append(("Not mailed", f"{progress.suppressed:,} suppressed, {progress.expired:,} expired"))
    if progress.to_go:
        part = "all" if progress.held_back == progress.to_go > 1 else f"{progress.held_back:,}"
        held = f", {part} held back" if progress.held_back else ""
        pairs.append(("To go", f"{progress.to_go:,}{held}" if progress.to_go > 1 else "1, held back" if held else "1"))
    if status.resend.slipped and status.resend.state in {ResendState.PAUSED, ResendState.CANCELLED}:
        pairs.append(("Slipped out", f"{status.resend.slipped:,} after the wish to stop"))
    return pairs


def _duration(status: ResendStatus) -> str:
    if status.duration is None or status.rate_per_minute is None:
        return NO_DATA
    takes = "less than 1 s" if status.duration < timedelta(seconds=1) else f"about {lasting(status.duration)}"
    return f"{takes}, at {status.rate_per_minute:,.0f} delivered a minute lately"


def _note(resend: Resend) -> str:
    note = resend.note or ""
    return f"{safe(note[:1].upper() + note[1:])}." if note else ""


def _confirmed(resend: Resend) -> str:
    """When it was certain that nothing of it leaves any more; nothing where nobody had to stop it."""
    return f" The stop was confirmed {blocks.time(resend.confirmed_at)}." if resend.confirmed_at else ""


def _footer(status: ResendStatus) -> str:
    resend, approval = status.resend, status.approval
    parts = [f"Asked by {safe(resend.requested_by)} {blocks.time(resend.created_at)}"]
    if resend.outage_id is not None:
        parts.append(f"outage #{resend.outage_id}")
    if approval is not None and approval.state == "approved" and approval.decided_by:
        parts.append(f"approved by {safe(approval.decided_by)}")
    return " · ".join(parts)
