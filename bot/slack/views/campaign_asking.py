"""The card that asks a second person whether a large campaign may be started, or cancelled for good."""

from bot.services.campaign_asking import AskStatus
from bot.services.ramp_shapes import plain
from bot.services.server_results import by_way_of
from bot.services.words import joined
from bot.slack import blocks
from bot.slack.blocks import Block, View, button, clip, count, escape
from bot.slack.views.timeline import holder, safe
from storage.models import ApprovalState

_LONG_TEXT = 300
_PAST = {"start": "started", "cancel": "cancelled"}


def card(status: AskStatus) -> View:
    """As it is now: while it waits with buttons, then with who decided and when."""
    if status.approval.state == ApprovalState.PENDING:
        return _pending(status)
    return _decided(status)


def _pending(status: AskStatus) -> View:
    approval, name = status.approval, escape(status.campaign.name)
    title = f"Start {status.campaign.name}?" if status.deed == "start" else f"Cancel {status.campaign.name} for good?"
    asks = f"{safe(approval.requested_by)} asks for it. {_who_decides(status)}"
    meanwhile = "Nothing is sent until then." if status.deed == "start" else f"Meanwhile: /campaign pause {name}"
    made: list[Block] = [
        blocks.header(f"🟡 {title}"),
        blocks.section(asks),
        blocks.fields(_facts(status)),
        blocks.actions(_buttons(status)),
        blocks.context(f"{meanwhile} · By command: /campaign approve {name} · /campaign reject {name}"),
    ]
    return View(f"🟡 {escape(title)} {count(status.campaign.recipients, 'recipient')}. {asks}", made)


def _decided(status: AskStatus) -> View:
    approval, name = status.approval, status.campaign.name
    by = safe(approval.decided_by) if approval.decided_by else "somebody"
    at = blocks.time(approval.decided_at) if approval.decided_at else ""
    again = f"Ask again: /campaign {status.deed} {escape(name)}"
    outcomes = {
        ApprovalState.APPROVED: (f"✅ {name}: {status.deed} approved", f"Approved by {by} {at}."),
        ApprovalState.REJECTED: (f"⛔ {name} is not {_PAST[status.deed]}", f"Rejected by {by} {at}. {again}"),
        ApprovalState.EXPIRED: (f"⌛ {name} is not {_PAST[status.deed]}", f"Nobody decided in time. {again}"),
        ApprovalState.VOID: (
            f"⏹️ {name}: this question is void",
            f"The campaign or its server has changed, or something else was asked for. {again}",
        ),
    }
    title, outcome = outcomes[ApprovalState(approval.state)]
    asked = f"Asked for by {safe(approval.requested_by)} {blocks.time(approval.requested_at)}."
    made = [blocks.header(title), blocks.section(outcome), blocks.context(f"{asked} /campaign status {escape(name)}")]
    return View(f"{escape(title)}. {outcome}", made)


def _who_decides(status: AskStatus) -> str:
    until = f"*Waits for a second person* until {blocks.time(status.approval.expires_at)}"
    if not status.approvers:
        return f"{until}. Nobody has the role approver yet: add it to holdfast.toml."
    return f"{until}: {joined([holder(each) for each in status.approvers], 'or')}."


def _facts(status: AskStatus) -> list[tuple[str, str]]:
    placed, campaign = status.placed, status.campaign
    moved = not placed.carriers and placed.carrier.id != placed.server.id
    stands_in = f" in place of {placed.server.name}" if moved else ""
    facts = [("Recipients", f"{campaign.recipients:,}")]
    if status.deed == "cancel":
        facts.append(("Would not get it any more", _to_go(status)))
    facts += [
        ("Through", escape(f"{by_way_of(placed)}{stands_in}")),
        ("Subject", escape(clip(campaign.subject, _LONG_TEXT))),
        ("From", escape(clip(status.sender, _LONG_TEXT)) or "as in the message"),
    ]
    if status.ramp is not None and status.deed == "start":
        facts.append(("Goes out", f"in stages, {plain(status.ramp.stages)}"))
    if campaign.expires_at:
        facts.append(("Offer ends", blocks.time(campaign.expires_at)))
    return facts


def _to_go(status: AskStatus) -> str:
    if status.to_go is None:
        return f"whoever has not got it yet, {status.campaign.recipients:,} at most"
    return f"{status.to_go:,}"


def _ends(status: AskStatus, name: str) -> str:
    if status.to_go is None:
        return f"Whoever has not got {name} yet, {count(status.campaign.recipients, 'recipient')} at most, never will."
    return f"{count(status.to_go, 'recipient')} of {name} will not get it."


def _buttons(status: AskStatus) -> list[Block]:
    value = f"{status.campaign.id}:{status.approval.plan_hash}"
    name = escape(clip(status.campaign.name, 80))
    if status.deed == "start":
        goes = f"{name} goes out to {count(status.campaign.recipients, 'recipient')} at once."
        if status.ramp is not None:
            goes = f"{name} goes out in stages, {plain(status.ramp.stages)} of {status.ramp.total:,} recipients."
        yes = button(
            "Approve and start", "campaign.approve", value, style="primary", confirm=("Start it?", goes, "Start")
        )
    else:
        ends = f"{_ends(status, name)} This cannot be undone."
        yes = button(
            "Approve and cancel", "campaign.approve", value, style="danger", confirm=("Cancel it?", ends, "Cancel it")
        )
    return [yes, button("Reject", "campaign.reject", value)]
