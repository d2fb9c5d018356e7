"""The card of a broken glass, for the whole channel: who may send now, until when, why, and what they did with it."""

from collections.abc import Sequence

from bot.services.break_glass import GlassStatus
from bot.services.when import lasting
from bot.slack import blocks
from bot.slack.blocks import Block, View, button, clip, count
from bot.slack.views.timeline import safe

_MOST_DEEDS = 8
_DEED_MAX = 160
_REASON_MAX = 120
_HOW = "In an emergency: /holdfast break-glass REASON"


def card(status: GlassStatus) -> View:
    """The message for one of them as it is now. When it is over, the button is gone and the rest stays."""
    return _held(status) if status.in_force else _over(status)


def _held(status: GlassStatus) -> View:
    glass = status.glass
    length = lasting(glass.ends_at - glass.began_at)
    who = f"<@{glass.user_id}>"
    ask = ("End it now?", f"{who} can then start, resume and cancel nothing more.", "End it")
    made = [
        blocks.header("🔓 Break-glass: somebody without the role may send"),
        blocks.section(
            f"*{who} may start, resume and cancel campaigns and ask for notices until {blocks.time(glass.ends_at)}* "
            f"({length}). They may not approve.\n*Reason:* {safe(glass.reason)}"
        ),
        *_deeds(status),
        blocks.actions([button("End it now", "holdfast.end", str(glass.id), style="danger", confirm=ask)]),
        blocks.context(
            f"Break-glass {glass.id} · {who}, an approver or an admin may end it · "
            f"by command: /holdfast break-glass end {glass.id}"
        ),
    ]
    return View(f"🔓 {who} broke the glass for {length}: {safe(clip(glass.reason, _REASON_MAX))}", made)


def _over(status: GlassStatus) -> View:
    glass = status.glass
    who = f"<@{glass.user_id}>"
    ended = glass.ended_at or glass.ends_at
    how = f"ended by {safe(glass.ended_by)}" if glass.ended_by else "its time was over"
    made = [
        blocks.header("🔒 The break-glass is over"),
        blocks.section(
            f"{who} held it from {blocks.time(glass.began_at)} to {blocks.time(ended)}: {how}.\n"
            f"*Reason:* {safe(glass.reason)}"
        ),
        *_deeds(status),
        blocks.context(f"Break-glass {glass.id}"),
    ]
    return View(f"🔒 The break-glass of {who} is over: {how}.", made)


def listing(held: Sequence[GlassStatus]) -> View:
    """`/holdfast break-glass` without a reason: who holds one now."""
    if not held:
        text = f"Nobody holds a broken glass. {_HOW}"
        return View(text, [blocks.section(text)])
    lines = [_line(each) for each in held[:_MOST_DEEDS]]
    if len(held) > _MOST_DEEDS:
        lines.append(f"and {len(held) - _MOST_DEEDS} more")
    text = "\n".join(lines)
    return View(clip(text, 500), [blocks.section(text)])


def _line(status: GlassStatus) -> str:
    glass = status.glass
    return (
        f"🔓 *<@{glass.user_id}>* until {blocks.time(glass.ends_at)}: {safe(clip(glass.reason, _REASON_MAX))} "
        f"({count(len(status.deeds), 'deed')} under it). End it: /holdfast break-glass end {glass.id}"
    )


def broken(status: GlassStatus) -> View:
    """The answer to who broke it."""
    glass = status.glass
    text = (
        f"You are a sender until {blocks.time(glass.ends_at)}. The channel was told, and everything that you do is "
        f"marked. End it when you need it no more: /holdfast break-glass end {glass.id}"
    )
    return View(text, [blocks.section(text)])


def ended(status: GlassStatus) -> View:
    """The answer to who ended it."""
    text = f"The break-glass of <@{status.glass.user_id}> is over; its message in the channel says so."
    return View(text, [blocks.section(text)])


def _deeds(status: GlassStatus) -> list[Block]:
    if not status.deeds:
        return [blocks.section("*Done under it:* nothing" + (" yet." if status.in_force else "."))]
    shown = status.deeds[-_MOST_DEEDS:]
    earlier = len(status.deeds) - len(shown)
    head = f"*Done under it, {count(len(status.deeds), 'deed')}:*"
    lines = [f"• {blocks.time(each.at, '{time_secs}')} {safe(clip(each.text, _DEED_MAX))}" for each in shown]
    more = [f"_{count(earlier, 'earlier one')} in the audit log_"] if earlier else []
    return [blocks.section("\n".join([head, *more, *lines]))]
