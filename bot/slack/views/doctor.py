"""`/holdfast doctor`: what is wrong first, each line with its next step; what is well in few words below."""

from collections.abc import Sequence

from bot.services.checking import Finding
from bot.services.words import joined, number
from bot.slack import blocks
from bot.slack.blocks import View, clip
from bot.slack.views import replies
from bot.slack.views.timeline import safe

_SENTENCE = 600
_LINES = 20
_SIGNS = {"fail": "🔴 *fail*", "warn": "🟡 *warn*", "ok": "🟢 ok"}
_LEVELS = ("fail", "warn", "ok")


def looking() -> View:
    return View("Looking at Slack, the database, the servers, the sender and the hooks. That takes some seconds …")


def report(findings: Sequence[Finding]) -> View:
    ordered = sorted(findings, key=lambda each: _LEVELS.index(each.level))
    title = _title(findings)
    lines = [_line(each) for each in ordered[:_LINES]]
    view = replies.listed(title, lines, "")
    more = f"{len(ordered) - len(lines):,} more, and the same" if len(ordered) > len(lines) else "The same"
    foot = blocks.context(f"{more} in the terminal, for scripts as well: holdfast check, holdfast check --json")
    return View(view.text, [*view.blocks, foot])


def _title(findings: Sequence[Finding]) -> str:
    wrong = sum(each.level == "fail" for each in findings)
    warned = sum(each.level == "warn" for each in findings)
    parts = [f"{number(wrong, 'thing')} to put right"] if wrong else []
    parts += [f"{number(warned, 'thing') if not parts else format(warned, ',')} to know of"] if warned else []
    return f"{joined(parts)}." if parts else "All is well."


def _line(finding: Finding) -> str:
    return f"{_SIGNS[finding.level]}  *{safe(finding.what)}*: {safe(clip(finding.sentence, _SENTENCE))}"
