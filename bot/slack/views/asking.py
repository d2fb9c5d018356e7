"""What a command shows instead of acting: a dry run, and the question before what is wide or final. And Undo."""

import re
from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta

from bot.services.plans import DEEDS, Plan, Way
from bot.services.when import lasting
from bot.services.words import few
from bot.slack import blocks
from bot.slack.blocks import Block, View, clip, escape
from bot.slack.later import Attached
from bot.slack.views.replies import said
from bot.slack.views.timeline import holder, safe

_LINE_MAX = 200
_FINAL = "This cannot be undone."
_MENTION = re.compile(r"<@[UW][A-Z0-9]+>", re.ASCII)  # nobody types that, and as code it is not shown as a name


def dry_run(plan: Plan, line: str, undo_within: timedelta) -> View:
    """What would be done, and the words that do it."""
    first = "*Dry run: nothing was changed.*"
    texts = [f"{first}\nIt would {safe(plan.does)}.", *_details(plan, undo_within)]
    last = [] if plan.nothing else [blocks.context(_again(line))]
    return View(f"Dry run: it would {safe(plan.does)}.", [*_sections(texts), *last])


def only_looks(view: View) -> View:
    """The answer of a command that changes nothing anyway."""
    note = "This command only looks: nothing would be changed without dry-run either."
    if isinstance(view, Attached):  # only its text goes with the file
        return replace(view, text=f"{view.text} {note}")
    shown = view.blocks or [blocks.section(view.text)]
    return replace(view, blocks=[*shown, blocks.context(note)])


def question(
    plan: Plan, number: int | None, line: str, within: timedelta, undo_within: timedelta, come: Collection[str] = ()
) -> View:
    """What will be hit, with its counts, and what to press or to type. `number` None: a terminal, without buttons.

    `come` is what is hit now and was not when it was asked first.
    """
    title = f"{_capital(plan.does)}?"
    lead = f"It has changed since you asked: {_come(come)}.\n" if come else ""
    texts = [f"{lead}*{safe(title)}* Nothing is changed yet.", *_details(plan, undo_within)]
    type_it = _type_it(line)
    if number is None:
        return View(title, [*_sections(texts), blocks.context(f"To do it, {type_it}")])
    buttons = [
        blocks.button(
            _capital(plan.does), "holdfast.confirm", str(number), style="danger" if plan.final else "primary"
        ),
        blocks.button("Never mind", "holdfast.drop", str(number)),
    ]
    foot = blocks.context(f"The button works for {lasting(within)}. Or {type_it}")
    return View(safe(f"{title} {' '.join(plan.facts)}".strip()), [*_sections(texts), blocks.actions(buttons), foot])


def settled(text: str) -> View:
    """What became of a question or an undo, in the place of its buttons."""
    return replace(said(text), instead=True)


def done(text: str, undo: int | None) -> View:
    """What a command did, with the button that takes it back; `undo` None where there is none for this person."""
    shown = said(text)
    if undo is None or len(shown.text) > blocks.SECTION_MAX:
        return shown
    return replace(
        shown, blocks=[blocks.section(shown.text), blocks.actions([blocks.button("Undo", "holdfast.undo", str(undo))])]
    )


def _sections(texts: list[str]) -> list[Block]:
    return [blocks.section("\n".join(texts))]


def _details(plan: Plan, undo_within: timedelta) -> list[str]:
    """The counts, then how it is taken back."""
    facts = [*(safe(each) for each in plan.facts), *_approvers(plan)]
    if plan.nothing:
        return facts
    way = DEEDS[plan.deed].undo
    undo = safe(plan.undo)
    if way == Way.BUTTON:
        undo = f"It can be undone for {lasting(undo_within)}. {undo}".rstrip()
    elif way == Way.NEVER and not undo:
        undo = _FINAL
    return [*facts, undo.replace(_FINAL[:-1], f"*{_FINAL[:-1]}*")] if undo else facts


def _approvers(plan: Plan) -> list[str]:
    if plan.approvers is None:
        return []
    if not plan.approvers:
        return ["There is nobody to approve it yet: give somebody else the role approver in holdfast.toml."]
    return [f"It may be approved by {few([holder(each) for each in plan.approvers])}."]


def _come(come: Collection[str]) -> str:
    listed = sorted(come)
    shown = ", ".join(listed[:3]) + (f" and {len(listed) - 3:,} more" if len(listed) > 3 else "")
    return f"{escape(shown)} {'has' if len(listed) == 1 else 'have'} come to it"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _again(line: str) -> str:
    if _MENTION.search(line):
        return "To do it, type it again without `dry-run`"
    return f"To do it: `{_typed(line)}`"


def _type_it(line: str) -> str:
    if len(line) > _LINE_MAX or _MENTION.search(line):
        return "type it again with `now` as its last word"
    return f"type `{_typed(line)} now`"


def _typed(line: str) -> str:
    """A command as it is typed; of a long one the beginning."""
    return escape(clip(" ".join(line.replace("`", "'").split()), _LINE_MAX))
