"""`/holdfast`: what there is to type, and how everything stands."""

from bot.services.bundle import Services
from bot.slack.blocks import View
from bot.slack.call import Call, ClickHandler
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
from commands.words import Command, Verb, Words

_OTHERS = tuple(module.COMMAND for module in (campaign, server, outage, resend, notice, maintenance))


async def _status(services: Services, _: Call, words: Words) -> View:
    words.end()
    return views.report(await services.status.report())


class _Holdfast(Command):
    """Its help is about all commands."""

    def help(self, text: str = "") -> View:
        if text.strip():
            return super().help(text)
        lines = [(f"{command.name} help", command.about) for command in _OTHERS]
        lines += [(self.usage(verb), verb.does) for verb in self.verbs]
        return replies.usage("Holdfast handles email outages. What to type:", lines, self.example)


COMMAND = _Holdfast(
    name="/holdfast",
    about="Holdfast itself.",
    example="/outage declare primary customers report missing mail",
    verbs=(
        Verb("status", "", "how everything stands: servers, campaigns, outages, what waits for whom", _status),
        *holdfast_approvals.VERBS,
        *holdfast_audit.VERBS,
        *holdfast_doctor.VERBS,
    ),
)

ACTIONS: dict[str, ClickHandler] = {**holdfast_approvals.ACTIONS, **holdfast_audit.ACTIONS}
