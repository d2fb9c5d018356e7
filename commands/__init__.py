"""What people type and press: one module a slash command. A new one needs its module, its line here, and its entry
in manifest.yml; tests/unit/test_manifest.py asserts that they agree.
"""

import difflib
from collections.abc import Mapping
from dataclasses import replace

from bot.errors import BadInputError
from bot.services.bundle import Services
from bot.services.words import joined
from bot.slack.blocks import View
from bot.slack.call import Call, ClickHandler, EventHandler, Handler
from bot.slack.forms import Forms
from commands import asking, campaign, holdfast, maintenance, marks, notice, outage, resend, server
from commands.forms import adding, declaring, messages, planning, updating
from commands.words import shown, split

_MODULES = (campaign, server, outage, resend, notice, maintenance, holdfast)

COMMANDS: Mapping[str, Handler] = {module.COMMAND.name: module.COMMAND for module in _MODULES}
"""`/campaign` -> its handler."""

ACTIONS: Mapping[str, ClickHandler] = {
    action: handler for module in _MODULES for action, handler in module.ACTIONS.items()
} | asking.actions(COMMANDS)
"""`outage.acknowledge` -> what a press of that button does."""

EVENTS: Mapping[str, EventHandler] = {**marks.EVENTS, **holdfast.EVENTS}
"""`reaction_added` -> what is done about it. Each stands in the manifest too; all other events are only acked."""

FORMS = Forms(
    openers={
        **{module.COMMAND.name: module.COMMAND.ask for module in _MODULES},
        declaring.SHORTCUT: declaring.from_anywhere,
        updating.BUTTON: updating.from_button,
        messages.ADD: messages.open_add,
        messages.ACTION: messages.open_action,
    },
    shortcuts={
        declaring.SHORTCUT: None,
        messages.ADD: messages.add,
        messages.ACTION: None,
    },
    forms={
        "form.declare": declaring.FORM,
        "form.plan": planning.FORM,
        "form.server": adding.FORM,
        "form.message": messages.ADD_FORM,
        "form.action": messages.ACTION_FORM,
        "form.update": updating.FORM,
    },
)
"""What opens a form, the shortcuts of the manifest, and what becomes of each form that is sent."""


async def run(services: Services, call: Call, line: str) -> View:
    """A whole line, as `/campaign pause spring-sale`, on behalf of `call`'s actor; the slash may be left out.

    Raises BadInputError for a command that there is not, and what its handler raises.
    """
    typed, words = split(line)
    name = f"/{typed.removeprefix('/').casefold()}"
    if name not in COMMANDS:
        raise BadInputError(_unknown(typed, name))
    return await COMMANDS[name](services, replace(call, words=words))


def _unknown(typed: str, name: str) -> str:
    near = difflib.get_close_matches(name, COMMANDS, n=2)
    if not typed:
        return f"Say what to do, as “/campaign list”. There is {joined(list(COMMANDS))}."
    meant = f"Did you mean {joined(near, 'or')}?" if near else f"There is {joined(list(COMMANDS))}."
    return f"There is no command {shown(typed)}. {meant} See /holdfast help"
