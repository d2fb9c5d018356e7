"""How it is told what became of unknown deliveries."""

from collections.abc import Mapping, Sequence

from bot.services.reconciling_rules import Tally
from bot.services.words import few, joined, number
from storage.models import DeliveryStatus

NAMES = 8
"""Addresses that a sentence names."""

_SAYS = {
    DeliveryStatus.DELIVERED: "delivered",
    DeliveryStatus.FAILED_PERMANENT: "refused",
    DeliveryStatus.FAILED_TEMPORARY: "given up by the server",
}
_ABSENCE = (
    "What is not in a log may have arrived all the same, so nothing is concluded from that. "
    'To decide yourself: holdfast do "/resend unknown"'
)


def unknown(count: int) -> str:
    """`1 unknown delivery`, `4 unknown deliveries`."""
    return f"{count:,} unknown {'delivery' if count == 1 else 'deliveries'}"


def what_became(settled: Mapping[str, Sequence[str]]) -> str:
    """`2 delivered (a, b) and 1 refused (c)`."""
    parts = [f"{len(names):,} {_SAYS[DeliveryStatus(key)]} ({few(names, NAMES)})" for key, names in settled.items()]
    return joined(parts)


def still_unknown(names: Sequence[str], count: int) -> str:
    """`names` are some of them, in order."""
    if not count:
        return "None is unknown any more."
    shown = few(names[:NAMES], NAMES) + (f" and {count - NAMES:,} more" if count > NAMES else "")
    return f"{count:,} {'is' if count == 1 else 'are'} still unknown: {shown}."


def told(lead: str, campaign: str, settled: Mapping[str, Sequence[str]], left: Sequence[str], count: int) -> str:
    """What the thread of the outage is told. `left` are some of the `count` addresses that are unknown still."""
    known = sum(map(len, settled.values()))
    return (
        f"{lead}: {unknown(known)} of {campaign} {'is' if known == 1 else 'are'} known now, {what_became(settled)}. "
        f"{still_unknown(left, count)}"
    )


def of_log(tally: Tally, before: int, left: Sequence[str]) -> str:
    """What `holdfast reconcile` answers, a sentence a line. `before`: how many were unknown; `left` still are."""
    lines = [_found(tally, before)]
    if left:
        lines += [still_unknown(left, len(left)), _ABSENCE]
    if tally.came_back:
        verb = "was delivered and has" if tally.came_back == 1 else "were delivered and have"
        lines.append(f"{number(tally.came_back, 'message')} {verb} come back.")
    if tally.waiting:
        verb = "counts" if tally.waiting == 1 else "count"
        lines.append(f"{number(tally.waiting, 'report')} {verb} as soon as the resend that has the delivery is over.")
    if tally.suppressed:
        lines.append(f"Mailed no more: {few(tally.suppressed, NAMES)}.")
    return "\n".join(lines)


def _found(tally: Tally, before: int) -> str:
    if not before:
        return "No delivery was unknown."
    if not tally.settled:
        return f"Of {unknown(before)} none is known now."
    noun = unknown(before).partition(" ")[2]
    verb = "was" if before == 1 else "were"
    return f"{tally.number_settled:,} of {before:,} {noun} {verb} in the log: {what_became(_together(tally))}."


def _together(tally: Tally) -> dict[str, list[str]]:
    """Status -> addresses, over all campaigns."""
    together: dict[str, list[str]] = {}
    for found in tally.settled.values():
        for status, names in found.items():
            together.setdefault(status, []).extend(names)
    return together


def of_bounces(tally: Tally, read: int) -> str:
    """What `holdfast bounce` answers about so many messages."""
    reports = tally.number_settled + tally.came_back + tally.arrived + tally.kept + tally.waiting + tally.again
    if not reports:
        what = "It is no bounce and no complaint" if read == 1 else "There is no bounce and no complaint among them"
        return f"{number(read, 'message')} read. {what} about mail from here; nothing was changed."
    parts = [f"{number(read, 'message')} read, {number(reports, 'report')} about mail from here."]
    if tally.settled:
        parts.append(f"Unknown before: {what_became(_together(tally))}.")
    if tally.came_back:
        parts.append(f"Delivered before, and came back: {tally.came_back:,}.")
    if tally.suppressed:
        parts.append(f"Mailed no more: {few(tally.suppressed, NAMES)}.")
    if tally.again:
        parts.append(f"Known already: {tally.again:,}.")
    return " ".join(parts)
