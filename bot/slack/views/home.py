"""The home tab: the one thing to do first, then everything that is going on, for the person who looks at it."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from bot.services.campaign_asking import AskStatus
from bot.services.home_shapes import Decision, HomeReport, ResendNow
from bot.services.notice_shapes import NoticeStatus
from bot.services.ramp_shapes import RampStatus
from bot.services.words import joined
from bot.slack import blocks
from bot.slack.blocks import Block, View, button, clip, count, escape
from bot.slack.views import campaign_asking, campaigns, outage, resend, servers
from bot.slack.views import notice as notices
from bot.slack.views.timeline import safe
from storage.models import Campaign, Health, Maintenance, MaintenanceState, ResendState

Payload = dict[str, Any]
"""A view, as views.publish takes it."""

_NOTE_BLOCKS = 12
_NAMED = 3
_REASON = 200
_RESENDS = {
    ResendState.SENDING: ("📨", "is going out"),
    ResendState.PAUSING: ("⏳", "is stopping"),
    ResendState.PAUSED: ("⏸️", "is paused"),
}
_WHAT_THE_SHARED_LOOK = "You are from another workspace, so you may look and no more."


def tab(shown: HomeReport) -> list[Block]:
    """What the tab shows, but for the moment at its foot, which alone would make it another at every look."""
    sign, title, then = _first(shown)
    made = [*_note(shown), blocks.header(f"{sign} {title}"), blocks.section(then)]
    for group in (_outages(shown), _decisions(shown), _resends(shown)):
        made += group
    made += _glasses(shown)
    made += [blocks.divider(), *_campaigns(shown), blocks.divider(), *_servers(shown), *_maintenance(shown)]
    if shown.outsider:
        made.append(blocks.context(_WHAT_THE_SHARED_LOOK))
    return made


def payload(made: list[Block], at: datetime) -> Payload:
    """The tab with the moment that it shows."""
    foot = blocks.context(f"As of {blocks.time(at)}. Changes show here by themselves · All commands: /holdfast help")
    return {"type": "home", "callback_id": "home", "blocks": [*made, foot]}


def bare(sentence: str) -> list[Block]:
    """A tab that can say no more than this: its data cannot be read, or Slack refuses how it is drawn."""
    return [blocks.section(sentence), blocks.context("How everything stands: /holdfast status")]


def note(answer: View) -> dict[str, Any]:
    """What is kept of an answer until it is drawn: all of it, with its buttons, unless it would fill the tab."""
    fits = len(answer.blocks) <= _NOTE_BLOCKS
    return {"text": answer.text, "blocks": answer.blocks if fits else []}


def done(label: str) -> View:
    """The answer to a press that has no other: what it did shows below it."""
    return View(f"Done: {escape(label)}.")


def _note(shown: HomeReport) -> list[Block]:
    """What the last click came to. First of all, as whoever clicked looks for it."""
    if shown.note is None or shown.noted_at is None:
        return []
    said = shown.note["blocks"] or [blocks.section(clip(shown.note["text"], blocks.SECTION_MAX))]
    when = blocks.time(shown.noted_at, "{time_secs}")
    return [blocks.context(f"💬 The answer to what you pressed, {when}"), *said, blocks.divider()]


# The one thing to do first


def _first(shown: HomeReport) -> tuple[str, str, str]:
    """A sign, the title and what to do next; the buttons for it stand in the first group below."""
    house = shown.house
    loose = [each for each in house.outages if "outage.acknowledge" in each.actions]
    if loose:
        then = "somebody presses Acknowledge, so that the others can sleep."
        if "outage.acknowledge" not in shown.buttons:
            then = "somebody of the workspace acknowledges it."
        return "🔴", f"{outage.in_short(loose[0])}, and nobody has it", f"*Next:* {then}"
    if waiting := _waits_for_you(shown):
        return waiting
    if not house.sender_runs:
        sentence = "*Next:* start it with `holdfast run`. Until then no mail goes out; nothing is lost."
        return "🟡", "No sender is running", sentence
    if house.outages:
        others = len(house.outages) + house.more_outages - 1
        title = outage.in_short(house.outages[0]) + (f", and {count(others, 'other outage')}" if others else "")
        return "🟠", title, "It is in hand. What comes next stands below, and every step in its thread in the channel."
    down = [row.name for row in house.servers if row.state == Health.DOWN]
    if down:
        named = joined([*down[:_NAMED], f"{len(down) - _NAMED:,} more"] if len(down) > _NAMED else down)
        sentence = (
            f"*Next:* look at it with /server status {down[0]}, or open an outage: /outage declare {down[0]} TEXT"
        )
        return "🟡", f"{named} {'is' if len(down) == 1 else 'are'} down, and no outage is open", sentence
    if not house.servers:
        sentence = "*Next:* add the server that your mail goes through: /server add NAME HOST[:PORT]"
        return "⚪", "No server is known yet", sentence
    return "🟢", "All quiet", "No outage is open and nothing waits for you."


def _waits_for_you(shown: HomeReport) -> tuple[str, str, str] | None:
    number = len(shown.decisions) + shown.more_decisions
    if number == 1 and shown.decisions:
        approval = shown.decisions[0].approval
        title = f"{_named_decision(shown.decisions[0])} waits for your decision"
        return "🟡", title, f"*Next:* approve or reject it below, until {blocks.time(approval.expires_at)}."
    if number:
        return "🟡", f"{count(number, 'decision')} wait for you", "*Next:* approve or reject them below."
    if shown.rest:
        return (
            "🟡",
            f"Resend {shown.rest[0].resend.id}: the first 1 % is out",
            "*Next:* look at how it went, then send the rest or leave it at that.",
        )
    return None


def _named_decision(decision: Decision) -> str:
    if isinstance(decision.status, AskStatus):
        return (
            f"The {'start' if decision.status.deed == 'start' else 'cancellation'} of {decision.status.campaign.name}"
        )
    return f"{decision.approval.subject.capitalize()} {decision.approval.subject_id}"


# What is going on


def _outages(shown: HomeReport) -> list[Block]:
    made: list[Block] = []
    for each in shown.house.outages:
        may = tuple(action for action in each.actions if action in shown.buttons)
        made += [blocks.divider(), *_named(outage.brief(replace(each, actions=may)), f"outage:{each.outage.id}")]
    if shown.house.more_outages:
        made.append(blocks.context(f"and {count(shown.house.more_outages, 'more outage')}: /outage list"))
    return made


def _decisions(shown: HomeReport) -> list[Block]:
    """Each exactly as its own card shows it: nobody approves on the home tab what they could not read."""
    made: list[Block] = []
    for each in shown.decisions:
        drawn = _allowed(_card(each), shown)
        made += [blocks.divider(), *_named(drawn, f"{each.approval.subject}:{each.approval.subject_id}")]
    if shown.more_decisions:
        made.append(blocks.context(f"and {shown.more_decisions:,} more for you: /holdfast approvals"))
    if shown.others:
        wait = "waits" if shown.others == 1 else "wait"
        made.append(blocks.context(f"{count(shown.others, 'approval')} {wait} for other people: /holdfast approvals"))
    return made


def _card(decision: Decision) -> list[Block]:
    status = decision.status
    if isinstance(status, AskStatus):
        return campaign_asking.card(status).blocks
    return (notices.card(status) if isinstance(status, NoticeStatus) else resend.card(status)).blocks


def _glasses(shown: HomeReport) -> list[Block]:
    """Everybody sees who may send for now, and why."""
    lines = [
        f"🔓 *<@{each.user_id}> broke the glass* and may send without the role until {blocks.time(each.ends_at)}: "
        f"{safe(clip(each.reason, _REASON))}"
        for each in shown.house.glasses[:_NAMED]
    ]
    if not lines:
        return []
    more = len(shown.house.glasses) - _NAMED
    foot = f"and {more:,} more: /holdfast break-glass" if more > 0 else "What they did with it: /holdfast break-glass"
    return [blocks.divider(), blocks.section("\n".join(lines)), blocks.context(foot)]


def _resends(shown: HomeReport) -> list[Block]:
    made: list[Block] = []
    for each in shown.house.resends:
        made.append(blocks.section(_resend(each, shown.house.at)))
        buttons = [made_of for made_of in _resend_buttons(each, shown) if made_of["action_id"] in shown.buttons]
        if buttons:
            made.append({**blocks.actions(buttons), "block_id": f"resend:{each.resend.id}"})
    if shown.house.more_resends:
        made.append(blocks.context(f"and {count(shown.house.more_resends, 'more resend')}: /resend list"))
    return [blocks.divider(), *made] if made else []


def _resend(now_so: ResendNow, at: datetime) -> str:
    sent = now_so.resend
    sign, word = _RESENDS[ResendState(sent.state)]
    if now_so.canary_done:
        sign, word = "🐤", f"waits: the first 1 % is out, and an approver sends the other {now_so.held_back:,}"
    else:
        word = f"{word} · {_sent(now_so)}"
    of_outage = f" · outage #{sent.outage_id}" if sent.outage_id is not None else ""
    line = f"{sign} *Resend {sent.id}* of {count(sent.total, 'message')} {word}{of_outage} · /resend status {sent.id}"
    return line + _staged(now_so.ramp, at, stands=sent.state != ResendState.SENDING)


def _staged(ramp: RampStatus | None, at: datetime, *, stands: bool) -> str:
    """A second line for what goes out in stages."""
    return f"\n🪜 {ramp.brief(at, stands=stands)}" if ramp is not None else ""


def _sent(now_so: ResendNow) -> str:
    """In steps of ten per cent: its card has the exact figures, and this need not be drawn anew for each message."""
    if now_so.to_go is None:
        return "more than 100,000 to go"
    done = now_so.resend.total - now_so.to_go
    share = done * 10 // now_so.resend.total * 10 if now_so.resend.total else 100
    return f"{share} % done" if share else "hardly begun"


def _resend_buttons(now_so: ResendNow, shown: HomeReport) -> list[Block]:
    sent = now_so.resend
    if now_so in shown.rest:
        rest = count(now_so.held_back, "message")
        ask = ("Send the rest?", f"{rest} will go out. Look at the card of the resend for how the first went.", "Send")
        text = f"Send the rest ({now_so.held_back:,})"
        return [button(text, "resend.rest", f"{sent.id}:{sent.plan_hash}", style="primary", confirm=ask)]
    if sent.state == ResendState.SENDING:
        return [button("Pause", "resend.pause", str(sent.id))]
    if sent.state == ResendState.PAUSED and not now_so.canary_done:
        return [button("Resume", "resend.resume", str(sent.id), style="primary")]
    return []


def _campaigns(shown: HomeReport) -> list[Block]:
    house = shown.house
    made = [blocks.section(campaigns.brief(house.campaigns))]
    made += [_stopped(each, shown) for each in house.stopped]
    made += [_moving(each, shown) for each in house.sending]
    rest = campaigns.left_out(house.campaigns, len(house.stopped), len(house.sending))
    return [*made, blocks.context("\n".join(rest))] if rest else made


def _stopped(campaign: Campaign, shown: HomeReport) -> Block:
    house = shown.house
    staged = _staged(house.ramps.get(campaign.id), house.at, stands=True)
    if "campaign.resume" not in shown.buttons or not campaigns.may_go_on(campaign):
        return blocks.section(campaigns.standing(campaign) + staged)
    ask = ("Let it go on?", f"The rest of {escape(campaign.name)} goes out at once.", "Resume")
    resume = button("Resume", "campaign.resume", campaign.name, confirm=ask)
    return _with(campaigns.standing(campaign, typed=False) + staged, resume, campaign)


def _moving(campaign: Campaign, shown: HomeReport) -> Block:
    house = shown.house
    line = campaigns.moving(campaign) + _staged(house.ramps.get(campaign.id), house.at, stands=False)
    if "campaign.pause" not in shown.buttons:
        return blocks.section(line)
    return _with(line, button("Pause", "campaign.pause", campaign.name), campaign)


def _with(text: str, pressed: Block, campaign: Campaign) -> Block:
    return {**blocks.section(text, accessory=pressed), "block_id": f"campaign:{campaign.name}"}


def _servers(shown: HomeReport) -> list[Block]:
    lines = servers.brief(shown.house.servers)
    return [blocks.section("\n".join(["*Servers*", *lines]))] if lines else []


def _maintenance(shown: HomeReport) -> list[Block]:
    made = [_window(window, server, shown) for window, server in shown.house.maintenance]
    if shown.house.more_maintenance:
        made.append(blocks.context(f"and {count(shown.house.more_maintenance, 'more window')}: /maintenance list"))
    return [blocks.divider(), *made] if made else []


def _window(window: Maintenance, server: str, shown: HomeReport) -> Block:
    active = window.state == MaintenanceState.ACTIVE
    over = window.ends_at <= shown.house.at
    state = "planned" if not active else "ending: its server is being looked at" if over else "under way"
    reason = f": {safe(clip(window.reason, 200))}" if window.reason else ""
    span = f"{blocks.time(window.starts_at)} to {blocks.time(window.ends_at)}"
    text = f"🔵 *Maintenance of {escape(server)}* {state}{reason}\n{span}"
    if over or "maintenance.cancel" not in shown.buttons:
        return blocks.section(text)
    sentence = f"The maintenance of {escape(server)} does not take place."
    if active:
        sentence = f"{escape(server)} is looked at; what was held goes on if it answers."
    label = "End it now" if active else "Call off"
    ask = ("Are you sure?", sentence, label)
    end = button(label, "maintenance.cancel", str(window.id), confirm=ask)
    return {**blocks.section(text, accessory=end), "block_id": f"maintenance:{window.id}"}


# Blocks that other views drew


def _allowed(made: list[Block], shown: HomeReport) -> list[Block]:
    """Without the buttons that this person may not press."""
    kept = [
        {**block, "elements": [each for each in block["elements"] if each["action_id"] in shown.buttons]}
        if block["type"] == "actions"
        else block
        for block in made
    ]
    return [block for block in kept if block.get("elements") != []]


def _named(made: list[Block], name: str) -> list[Block]:
    """The row of buttons says what it is about: several things may be acknowledged or approved in one tab."""
    return [{**block, "block_id": name} if block["type"] == "actions" else block for block in made]
