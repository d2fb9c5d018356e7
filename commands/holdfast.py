"""`/holdfast`: what there is to type, and how everything stands; and the home tab, which shows the same live."""

import re
from datetime import UTC, datetime

from bot.services.bundle import Services
from bot.services.plans import Plan
from bot.slack.blocks import View
from bot.slack.call import Call, Click, ClickHandler, Event, EventHandler
from bot.slack.views import break_glass as glass_views
from bot.slack.views import replies
from bot.slack.views import status as views
from commands import (
    campaign,
    holdfast_approvals,
    holdfast_audit,
    holdfast_doctor,
    maintenance,
    notice,
    outage,
    resend,
    server,
)
from commands.words import Command, Verb, Words, pressed

_END = re.compile(r"end(\s+#?\d+)?", re.IGNORECASE)
"""Any other text that begins so is a reason."""
_OTHERS = tuple(module.COMMAND for module in (campaign, server, outage, resend, notice, maintenance))


async def _status(services: Services, _: Call, words: Words) -> View:
    words.end()
    return views.report(await services.status.report())


async def _break_glass(services: Services, call: Call, words: Words) -> View:
    if not words.peek():
        return glass_views.listing(await services.break_glass.held())
    if _ends(words):
        return glass_views.ended(await services.break_glass.end(call.actor, words.maybe_number("the break-glass")))
    return glass_views.broken(await services.break_glass.begin(call.actor, words.rest()))


async def _plan_glass(services: Services, call: Call, words: Words) -> Plan:
    if _ends(words):
        return await services.plans.glass.end(call.actor, words.maybe_number("the break-glass"))
    return await services.plans.glass.begin(call.actor, words.rest())


def _ends(words: Words) -> bool:
    """Whether it is to be ended; its number, if one was typed, is what is left then."""
    return _END.fullmatch(words.left) is not None and words.take("end") is not None


async def _end_glass(services: Services, click: Click) -> None:
    await services.break_glass.end(click.actor, pressed(click.value))


async def _undo(services: Services, call: Call, words: Words) -> View:
    return replies.said(await services.undoing.undo(call.actor, _number(words)))


async def _plan_undo(services: Services, call: Call, words: Words) -> Plan:
    return await services.undoing.plan(call.actor, _number(words))


def _number(words: Words) -> int:
    number = words.number("what is to be undone")
    words.end()
    return number


class _Holdfast(Command):
    """Its help is about all commands."""

    def help(self, text: str = "") -> View:
        if text.strip():
            return super().help(text)
        lines = [(f"{command.name} help", command.about) for command in _OTHERS]
        lines += [(self.usage(verb), verb.does) for verb in self.verbs]
        lines.append(("... dry-run", "after any command: what it would do, and nothing is changed"))
        lines.append(("... now", "after a command that asks first: do it at once"))
        return replies.usage("Holdfast handles email outages. What to type:", lines, self.example)


COMMAND = _Holdfast(
    name="/holdfast",
    about="Holdfast itself.",
    example="/outage declare primary customers report missing mail",
    verbs=(
        Verb(
            "status", "", "how everything stands: servers, campaigns, outages, what waits for whom", _status, looks=True
        ),
        *holdfast_approvals.VERBS,
        *holdfast_audit.VERBS,
        *holdfast_doctor.VERBS,
        Verb("undo", "NUMBER", "take back what a command did, by the number in its reply", _undo, _plan_undo),
        Verb(
            "break-glass",
            "[REASON|end [ID]]",
            "in an emergency: take the role sender for a while; alone: who holds it; end it again",
            _break_glass,
            _plan_glass,
            looks_alone=True,
        ),
    ),
)


async def _opened(services: Services, event: Event) -> None:
    """The bot's other tab, its messages, is opened by the same event."""
    if event.body.get("tab") == "home":
        at = datetime.fromtimestamp(float(event.body["event_ts"]), UTC)
        await services.home.opened(event.actor, at, event.team)


EVENTS: dict[str, EventHandler] = {"app_home_opened": _opened}
ACTIONS: dict[str, ClickHandler] = {
    **holdfast_approvals.ACTIONS,
    **holdfast_audit.ACTIONS,
    "holdfast.end": _end_glass,  # on a broken glass's card, which is edited when it is pressed
}
