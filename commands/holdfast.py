"""`/holdfast`: what there is to type, and how everything stands."""

from bot.services.bundle import Services
from bot.services.plans import Plan
from bot.slack.blocks import View
from bot.slack.call import Call, ClickHandler
from bot.slack.views import replies
from bot.slack.views import status as views
from commands import campaign, maintenance, notice, outage, resend, server
from commands.words import Command, Verb, Words

_OTHERS = tuple(module.COMMAND for module in (campaign, server, outage, resend, notice, maintenance))


async def _status(services: Services, _: Call, words: Words) -> View:
    words.end()
    return views.report(await services.status.report())


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
        Verb("undo", "NUMBER", "take back what a command did, by the number in its reply", _undo, _plan_undo),
    ),
)

ACTIONS: dict[str, ClickHandler] = {}
"""Those that belong to no card are in commands/asking.py."""
