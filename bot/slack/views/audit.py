"""`/holdfast audit`: who did what, when, on what and from where, the newest first."""

from bot.services.audit import EXPORT_MAX, Page, Query, person, source_of
from bot.services.words import joined
from bot.slack import blocks
from bot.slack.blocks import Block, View, clip, escape
from bot.slack.views.timeline import safe
from storage.audit import Row

_TEXT = 400
_SOURCES = {"slack": "in Slack", "terminal": "at the terminal", "system": "by itself"}


def page(shown: Page, *, in_place: bool = False) -> View:
    """One page. `in_place`: a button of another page was pressed."""
    title = f"Audit log: {_filters(shown.query)}"
    if not shown.rows:
        made = [blocks.section(f"*{title}*\nNothing of that kind is there.")]
    else:
        made = [blocks.section(f"*{title}*"), *(blocks.section(_row(row)) for row in shown.rows)]
    buttons = _buttons(shown)
    if buttons:
        made.append(blocks.actions(buttons))
    made.append(blocks.context(" · ".join(_hints(shown))))
    phone = f"{title}, {blocks.count(len(shown.rows), 'row')}."
    return View(phone, made, instead=in_place)


def _filters(query: Query) -> str:
    parts = [f"by {safe(person(query.who))}" if query.who else ""]
    number = f" {query.number}" if query.number is not None else ""
    parts += [f"{escape(query.what)}{number}" if query.what else ""]
    parts += [f"since {blocks.time(query.since)}" if query.since else ""]
    return ", ".join(part for part in parts if part) or "everything, the newest first"


def _row(row: Row) -> str:
    """What happened stands first; who, from where and on what come below, always in the same order."""
    entry = row.entry
    who = f"{safe(person(entry.actor))} {_SOURCES[source_of(entry.actor)]}"
    facts = [who, f"`{escape(entry.kind)}`", *_about(row)]
    text = safe(clip(" ".join(entry.text.split()), _TEXT))
    return f"{blocks.time(entry.at, '{date_short_pretty} {time_secs}')}  {text}\n{' · '.join(facts)}"


def _about(row: Row) -> list[str]:
    entry = row.entry
    found = [escape(name) for name in (row.campaign, row.server) if name]
    found += [f"outage #{entry.outage_id}"] if entry.outage_id else []
    numbers = (("resend", entry.resend_id), ("notice", entry.notice_id), ("maintenance", entry.maintenance_id))
    found += [f"{noun} {number}" for noun, number in numbers if number]
    return [f"on {joined(found)}"] if found else []


def _buttons(shown: Page) -> list[Block]:
    """A button carries the words of its page, as they could be typed."""
    made = []
    if shown.newer:
        made.append(blocks.button("Newer", "holdfast.newer", words(shown.newer)))
    if shown.older:
        made.append(blocks.button("Older", "holdfast.older", words(shown.older)))
    return made


def _hints(shown: Page) -> list[str]:
    hints = []
    if shown.older:
        hints.append(f"Older: /holdfast audit {safe(words(shown.older))}")
    bare = shown.query.words()
    hints.append(f"As a file: /holdfast audit export {safe(bare)}".rstrip())
    return hints


def words(query: Query) -> str:
    """A page's query as it is typed after `/holdfast audit`."""
    place = [f"before {query.before}"] if query.before is not None else []
    place += [f"after {query.after}"] if query.after is not None else []
    return " ".join([*place, query.words()]).strip()


def exported(query: Query, *, limited: bool) -> str:
    """The sentence beside the file."""
    said = f"The audit log as CSV: {_filters(query)}. Times are in UTC."
    if not limited:
        return said
    return (
        f"{said} Only the newest {EXPORT_MAX:,} rows are in it. For all of them narrow it with since, or use the "
        "terminal: holdfast audit --csv FILE"
    )
