"""The message about the ramp of a campaign, and the one that says that too much came back."""

from bot.services.ramp_shapes import RampCard
from bot.slack import blocks
from bot.slack.blocks import Block, View, bar, button, clip, count, escape
from bot.slack.views.campaigns import may_go_on
from bot.slack.views.timeline import entry, safe
from storage.models import Campaign, CampaignState, Hold, Timeline

_LONG_TEXT = 500
_SIGNS = {
    CampaignState.SENDING: ("🪜", "goes out in stages"),
    CampaignState.PAUSING: ("⏳", "is stopping"),
    CampaignState.PAUSED: ("⏸️", "stands still"),
    CampaignState.FINISHED: ("✅", "is finished"),
    CampaignState.CANCELLED: ("⏹️", "is cancelled"),
}


def card(shown: RampCard) -> View:
    """As it is now; the buttons are gone once it is over."""
    campaign, ramp = shown.campaign, shown.ramp
    sign, what = _SIGNS.get(CampaignState(campaign.state), ("⚪", "has not begun"))
    title = f"{campaign.name} {what}"
    lines = [f"{ramp.line(shown.at)[:1].upper()}{ramp.line(shown.at)[1:]}", bar(ramp.allowed, ramp.total)]
    if shown.hold:
        lines.insert(0, f"{safe(clip(shown.hold[:1].upper() + shown.hold[1:], _LONG_TEXT))}.")
    made: list[Block] = [blocks.header(f"{sign} {title}")]
    if campaign.state in {CampaignState.SENDING, CampaignState.PAUSING, CampaignState.PAUSED}:
        made.append(blocks.section("\n".join(lines)))
        made.append(blocks.fields(_counts(shown)))
        made += [blocks.actions(buttons)] if (buttons := _buttons(shown)) else []
    made.append(blocks.context(f"All of it: /campaign status {escape(campaign.name)}"))
    return View(f"{escape(title)}: {lines[-2]}" if len(made) > 2 else escape(title), made)


def _counts(shown: RampCard) -> list[tuple[str, str]]:
    """Since somebody last let it go on, which is what the limits are about."""
    seen = shown.seen
    return [
        ("Tried", f"{seen.tried:,}"),
        ("Unknown addresses", f"{seen.bounced:,}"),
        ("Refused otherwise", f"{seen.refused:,}"),
        ("Put off", f"{seen.temporary:,}"),
        ("Complaints", f"{seen.complaints:,}"),
    ]


def _buttons(shown: RampCard) -> list[Block]:
    campaign, ramp = shown.campaign, shown.ramp
    if campaign.state == CampaignState.SENDING:
        ask = ("Go on now?", "The next stage begins now, whatever comes back of this one.", "Go on")
        on = [button("Go on now", "campaign.next", campaign.name, confirm=ask)] if ramp.has_more else []
        return [*on, button("Pause", "campaign.pause", campaign.name)]
    return [_resume(campaign)] if may_go_on(campaign) else []


def _resume(campaign: Campaign) -> Block:
    ask = ("Let it go on?", f"{escape(clip(campaign.name, 80))} goes on where it stood.", "Resume")
    return button("Resume", "campaign.resume", campaign.name, style="primary", confirm=ask)


def stopped(row: Timeline, campaign: Campaign) -> View:
    """That Holdfast stopped a campaign, and why. The button is gone once it has gone on."""
    said = entry(row)
    still = campaign.hold == Hold.THRESHOLD and campaign.state in {CampaignState.PAUSING, CampaignState.PAUSED}
    if not still or not may_go_on(campaign):
        return said
    sent = f"{count(campaign.recipients, 'recipient')} in all · /campaign status {escape(campaign.name)}"
    header = blocks.header(f"🛑 {clip(campaign.name, 80)} is stopped")
    return View(said.text, [header, *said.blocks, blocks.actions([_resume(campaign)]), blocks.context(sent)])
