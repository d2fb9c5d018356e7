"""`/maintenance` and the buttons of its card: plan, confirm and cancel the times when a server is away."""

import re

from bot.errors import BadInputError
from bot.services.bundle import Services
from bot.services.plans import Plan
from bot.services.when import parse_duration
from bot.slack.blocks import View
from bot.slack.call import Call, Click, ClickHandler
from bot.slack.views import maintenance_replies as views
from commands.asking import done
from commands.words import Command, Verb, Words, always, pressed

_THE_WINDOW = "the maintenance window"
_FOR = re.compile(r"(?:^|\s)for(?:\s|$)", re.IGNORECASE)
_LONGEST_DURATION = 8  # words, as in "1 hour and 30 minutes and 5 seconds"


async def _schedule(services: Services, call: Call, words: Words) -> View:
    server = words.word("which server")
    when, duration, reason = _when_and_how_long(words)
    proposal = await services.maintenance.propose(call.actor, server, when, duration, reason)
    return views.proposed(proposal)


def _when_and_how_long(words: Words) -> tuple[str, str, str]:
    """WHEN, HOW LONG and the reason: the duration is the longest beginning of what follows `for` that is one."""
    when, length = ([part.strip() for part in _FOR.split(words.text("when"), maxsplit=1)] + [""])[:2]
    if not when or not length:
        raise words.wrong("Say when, then the word “for”, then how long.")
    parts = length.split()
    for number in range(min(len(parts), _LONGEST_DURATION), 0, -1):
        duration = " ".join(parts[:number])
        if _is_duration(duration):
            return when, duration, length.split(maxsplit=number)[number] if len(parts) > number else ""
    raise words.wrong(str(_problem(" ".join(parts[:2]))))


def _is_duration(text: str) -> bool:
    return _problem(text) is None


def _problem(text: str) -> BadInputError | None:
    try:
        parse_duration(text)
    except BadInputError as error:
        return error
    return None


async def _list(services: Services, _: Call, words: Words) -> View:
    page = words.page()
    words.end()
    return views.listing(await services.maintenance.list(), page)


async def _confirm(services: Services, call: Call, words: Words) -> View:
    result = await services.maintenance.confirm(call.actor, _number(words))
    return await done(services, call.actor, result.text, result.undo)


async def _cancel(services: Services, call: Call, words: Words) -> View:
    result = await services.maintenance.cancel(call.actor, _maybe_number(words))
    return await done(services, call.actor, result.text, result.undo)


# What each would do.


async def _plan_schedule(services: Services, call: Call, words: Words) -> Plan:
    server = words.word("which server")
    return await services.plans.maintenance.schedule(call.actor, server, *_when_and_how_long(words))


async def _plan_confirm(services: Services, call: Call, words: Words) -> Plan:
    return await services.plans.maintenance.confirm(call.actor, _number(words))


async def _plan_cancel(services: Services, call: Call, words: Words) -> Plan:
    return await services.plans.maintenance.cancel(call.actor, _maybe_number(words))


def _number(words: Words) -> int:
    number = words.number(_THE_WINDOW)
    words.end()
    return number


def _maybe_number(words: Words) -> int | None:
    number = words.maybe_number(_THE_WINDOW)
    words.end()
    return number


# The buttons. A proposal is no card that could be edited, so the answer says what was done.


async def _confirmed(services: Services, click: Click) -> View:
    result = await services.maintenance.confirm(click.actor, pressed(click.value))
    return await done(services, click.actor, result.text, result.undo)


async def _cancelled(services: Services, click: Click) -> View:
    result = await services.maintenance.cancel(click.actor, pressed(click.value))
    return await done(services, click.actor, result.text, result.undo)


COMMAND = Command(
    name="/maintenance",
    about="Maintenance windows: plan when a server is away; its campaigns wait and no alarm is raised.",
    example="/maintenance schedule primary tomorrow 02:00 for 2h new disks",
    verbs=(
        Verb(
            "schedule",
            "SERVER WHEN for HOW LONG [reason]",
            "propose a window; it counts once confirmed",
            _schedule,
            _plan_schedule,
        ),
        Verb("list", "[PAGE]", "windows under way and ahead", _list, looks=True),
        Verb("confirm", "ID", "make a proposed window count", _confirm, _plan_confirm),
        Verb(
            "cancel",
            "[ID]",
            "call a window off, or end it now; what it held goes on",
            _cancel,
            _plan_cancel,
            asks=always,
        ),
    ),
)

ACTIONS: dict[str, ClickHandler] = {
    "maintenance.confirm": _confirmed,
    "maintenance.cancel": _cancelled,
}
