"""What is shown of receiving providers that put us off: of a server, and of a campaign that is slow because of them."""

from collections.abc import Sequence
from datetime import datetime

from bot.services.provider_paces import SlowedProvider, speed
from bot.services.words import joined, moment
from bot.slack import blocks
from bot.slack.blocks import Block, clip, escape

_SHOWN = 10
_NAMED = 3
_REPLY = 120


def of_server(slowed: Sequence[SlowedProvider], at: datetime) -> list[Block]:
    """A line for each, the slowest first; nothing where nobody puts us off."""
    if not slowed:
        return []
    lines = ["*Slowed by receiving providers*", *(_line(each, at) for each in _slowest(slowed)[:_SHOWN])]
    if len(slowed) > _SHOWN:
        lines.append(f"and {len(slowed) - _SHOWN:,} more")
    return [blocks.section("\n".join(lines))]


def _line(slow: SlowedProvider, at: datetime) -> str:
    rests = f"nothing until {moment(slow.rests_until, at)}, then " if slow.rests_until > at else ""
    by = f" by {slow.workers:,} workers" if slow.workers > 1 else ""
    reply = blocks.code(clip(slow.reply, _REPLY))
    since = f" since {moment(slow.since, at)}" if slow.since < slow.put_off_at else ""
    name = escape(clip(slow.name, 80))
    return f"• {name}: {rests}{speed(slow.rate)}{by}{since} (it put us off at {moment(slow.put_off_at, at)}: {reply})"


def of_campaign(slowed: Sequence[SlowedProvider], server: str) -> list[str]:
    """A sentence for the status of a campaign that is being sent through the server."""
    if not slowed:
        return []
    named = [f"{escape(clip(each.name, 80))} ({speed(each.rate)})" for each in _slowest(slowed)[:_NAMED]]
    if len(slowed) > _NAMED:
        named.append(f"{len(slowed) - _NAMED:,} more")
    return [f"🐢 Slower to {joined(named)}, which put us off: /server status {escape(server)}"]


def _slowest(slowed: Sequence[SlowedProvider]) -> list[SlowedProvider]:
    return sorted(slowed, key=lambda each: (each.rate, each.name))
