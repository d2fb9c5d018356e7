"""`/holdfast approvals`: what waits for a decision, yours first, with its counts and the buttons to decide."""

from collections.abc import Mapping

from bot.services.campaign_asking import deed_of
from bot.services.deciding import Decision, Decisions
from bot.services.when import lasting
from bot.services.words import joined
from bot.slack import blocks
from bot.slack.blocks import Block, View, clip, count, escape
from bot.slack.views.timeline import safe
from storage.models import Approval

PAGE = 5
_TEXT = 240
_NAMES = 3
_SIGNS = {"approved": "🟢 approved", "rejected": "🔴 rejected", "expired": "⚪ not decided in time"}


def listing(shown: Decisions, page: int = 1) -> View:
    return View(*_message(shown, page, None))


def after(shown: Decisions, done: str) -> View:
    """The list once more, in the place of the one whose button was pressed; `done` says what that did."""
    return View(*_message(shown, 1, done), instead=True)


def _message(shown: Decisions, page: int, done: str | None) -> tuple[str, list[Block]]:
    title = _title(shown)
    pages = max(1, -(-len(shown.waiting) // PAGE))
    number = min(max(page, 1), pages)
    made = [blocks.section(f"✔️ {safe(done)}")] if done else []
    made.append(blocks.section(f"*{title}*"))
    for each in shown.waiting[(number - 1) * PAGE : number * PAGE]:
        made += _decision(each, shown)
    made += _decided(shown)
    made.append(blocks.context(" · ".join(_foot(shown, number, pages))))
    return (f"{safe(done)} {title}" if done else title), made


def _title(shown: Decisions) -> str:
    total = len(shown.waiting)
    if not total:
        return "Nothing waits for you." if shown.only_mine else "Nothing waits for a decision."
    who = f"{shown.for_me:,} for you" if shown.for_me else "none for you"
    return f"{count(total, 'decision')} {'waits' if total == 1 else 'wait'}, {who}."


def _decision(each: Decision, shown: Decisions) -> list[Block]:
    lines = [f"{'🟡' if each.may else '⚪'} *{_what(each)}*{_of(each)}", _asked(each, shown)]
    if each.kind == "notice":
        lines.append(f">*{escape(each.subject)}* {escape(clip(' '.join(each.text.split()), _TEXT))}")
    if each.noun == "campaign":
        lines.append(f">*{escape(clip(each.subject, _TEXT))}*")
    made = [blocks.section("\n".join(lines))]
    if each.may:
        made.append(blocks.actions(_buttons(each)))
    made.append(blocks.context(_words(each, shown)))
    return made


def _what(each: Decision) -> str:
    if each.kind == "notice":
        return f"Notice {each.number} to {count(each.recipients, 'recipient')}"
    if each.kind == "rest":
        return f"The rest of resend {each.number}: {count(each.recipients, 'message')}"
    if each.noun == "campaign":
        question = f"Start {escape(each.word)}?" if each.kind == "start" else f"Cancel {escape(each.word)} for good?"
        return f"{question} It has {count(each.recipients, 'recipient')}"
    return f"Resend {each.number}: {count(each.recipients, 'message')} to send again"


def _of(each: Decision) -> str:
    if each.noun == "campaign":  # which is named by then
        return ""
    names = [escape(name) for name in each.campaigns[:_NAMES]]
    names += [f"{len(each.campaigns) - _NAMES:,} more"] if len(each.campaigns) > _NAMES else []
    about = f" of {joined(names)}" if names else ""
    return f"{about}, outage #{each.outage_id}" if each.outage_id else about


def _asked(each: Decision, shown: Decisions) -> str:
    made_of = [f"{each.counts[key]:,} {key}" for key in ("safe", "refused", "unknown") if each.counts.get(key)]
    counted = f" Made of {joined(made_of)}." if len(made_of) > 1 or each.counts.get("unknown") else ""
    asked = f"Asked by {safe(each.asked_by)}, {blocks.time(each.asked_at)}."
    if each.expires_at is None:
        return f"The first 1 % is out.{counted} {asked}"
    left = lasting(each.expires_at - shown.at)
    return f"{asked} It expires in {left}, at {blocks.time(each.expires_at, '{time}')}.{counted}"


def _buttons(each: Decision) -> list[Block]:
    """Each carries what it decides on, with the hash of exactly that."""
    value = f"{each.kind}:{each.number}:{each.plan_hash}"
    if each.noun == "campaign":
        return _campaign_buttons(each, value)
    go = count(each.recipients, "message goes", "messages go")
    ask = ("Approve?", f"{go} out. What has gone out cannot be called back.", "Approve")
    label = "Send the rest" if each.kind == "rest" else "Approve"
    made = [blocks.button(label, "holdfast.approve", value, style="primary", confirm=ask)]
    if each.canary:
        first = ("Send 1 % first?", f"{count(each.canary, 'message goes', 'messages go')} out; the rest waits.", "Send")
        made.append(blocks.button(f"First 1 % ({each.canary:,})", "holdfast.canary", value, confirm=first))
    if each.kind != "rest":
        made.append(blocks.button("Reject", "holdfast.reject", value, style="danger"))
    return made


def _campaign_buttons(each: Decision, value: str) -> list[Block]:
    name = escape(each.word)
    whom = count(each.recipients, "recipient")
    if each.kind == "start":
        ask = ("Start it?", f"{name} goes out to {whom} at once.", "Start")
        yes = blocks.button("Approve and start", "holdfast.approve", value, style="primary", confirm=ask)
    else:
        sentence = f"Whoever of the {whom} has not got {name} yet will not get it. This cannot be undone."
        ask = ("Cancel it?", sentence, "Cancel it")
        yes = blocks.button("Approve and cancel", "holdfast.approve", value, style="danger", confirm=ask)
    return [yes, blocks.button("Reject", "holdfast.reject", value)]


def _words(each: Decision, shown: Decisions) -> str:
    word = escape(each.word)
    look = f"Look: /{each.noun} {'preview' if each.kind == 'notice' else 'status'} {word}"
    if each.may:
        verb = "rest" if each.kind == "rest" else "approve"
        return f"{look} · Yes: /{each.noun} {verb} {word}"
    others = [who for who in shown.approvers if who != each.asked_by]
    for_whom = (
        f" For {joined(others[:_NAMES], 'or')}." if others else " Nobody else has the role: see /holdfast doctor."
    )
    return f"Not for you: {each.obstacle}.{for_whom} · {look}"


def _decided(shown: Decisions) -> list[Block]:
    if not shown.decided:
        return []
    outcomes = [_outcome(each, shown.names) for each in shown.decided]
    return [blocks.section("\n".join(["*Decided in the last day*", *outcomes]))]


def _outcome(each: Approval, names: Mapping[int, str]) -> str:
    what = f"{each.subject} {each.subject_id}"
    if each.subject == "campaign":
        deed = "start" if deed_of(each) == "start" else "cancellation"
        what = f"{deed} of {escape(names.get(each.subject_id, what))}"
    canary = ", 1 % first" if each.choice == "canary" else ""
    by = f" by {safe(each.decided_by)}" if each.decided_by else ""
    at = f", {blocks.time(each.decided_at)}" if each.decided_at else ""
    return f"{_SIGNS.get(each.state, each.state)}{canary}: {what}{by}{at}"


def _foot(shown: Decisions, number: int, pages: int) -> list[str]:
    which = "mine" if shown.only_mine else "all"
    other = "all" if shown.only_mine else "mine"
    hints = [f"Page {number} of {pages}: /holdfast approvals {which} {number % pages + 1}"] if pages > 1 else []
    return [*hints, f"{'Everybody’s' if shown.only_mine else 'Only yours'}: /holdfast approvals {other}"]
