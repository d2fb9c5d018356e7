"""`/resend unknown`: who may or may not have got their mail, what is known of each, and what a person can decide."""

from bot.services.unknown_shapes import PAGE, UnknownList, UnknownRow
from bot.slack import blocks
from bot.slack.blocks import Block, View, clip, count, escape
from bot.slack.views.timeline import safe

_ADDRESS = 100
_WHY = 200


def listing(found: UnknownList) -> View:
    """A page of them; the buttons only for who may press them."""
    if not found.total:
        of = f" of {found.word}" if found.word else ""
        return View(f"No delivery{safe(of)} is unknown: of each it is known whether the server took it.")
    title = f"{count(found.total, 'delivery', 'deliveries')} may or may not have arrived"
    several = len(found.counts) > 1
    again = "It is" if found.total == 1 else "They are"
    lead = f"*{title}*. {again} not sent again unless a person decides it."
    made = [blocks.section(lead), *(_row(each, found, several=several) for each in found.rows)]
    if found.total > PAGE:
        made.append(blocks.context(_pages(found)))
    if found.may_decide and (found.word or not several):
        made.append(blocks.actions([blocks.button("Count all as delivered", "resend.delivered_all", _word(found))]))
    return View(title, [*made, blocks.context("\n".join(_ways(found)))])


def _row(row: UnknownRow, found: UnknownList, *, several: bool) -> Block:
    delivery = row.delivery
    parts = [f"*{escape(clip(delivery.email, _ADDRESS))}*", *([escape(delivery.campaign)] * several)]
    parts += [f"since {blocks.time(delivery.since)}"] if delivery.since else []
    parts += [f"through {escape(delivery.server)}"] if delivery.server else []
    lines = [" · ".join(parts), *([safe(clip(delivery.why, _WHY))] if delivery.why else [])]
    lines.append(f"Message-ID `{row.token}@…`")
    button = blocks.button("It arrived", "resend.delivered", f"{delivery.campaign_id}:{delivery.n}")
    return blocks.section("\n".join(lines), accessory=button if found.may_decide else None)


def _pages(found: UnknownList) -> str:
    first = (found.page - 1) * PAGE + 1
    last = first + len(found.rows) - 1
    command = " ".join(["/resend unknown", *([found.word] if found.word else ["all"])])
    way = f"Next: {command} {found.page + 1}" if last < found.total else f"The first: {command}"
    return f"{first:,} to {last:,} of {found.total:,} · {escape(way)}"


def _ways(found: UnknownList) -> list[str]:
    word = escape(_word(found))
    return [
        "Look into the server's log, at a terminal: `holdfast reconcile LOGFILE`",
        f"Somebody got it: `/resend delivered {word} ADDRESS`, all of them did: `/resend delivered {word} all`",
        f"Send again all the same: `/resend plan {word} with unknown`",
        "Leave it as it is: nothing needs to be done",
    ]


def _word(found: UnknownList) -> str:
    """What a command calls these by."""
    return found.word or min(found.counts)
