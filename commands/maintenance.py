"""`/maintenance` and the buttons of its card: plan, confirm and cancel the times when a server is away."""

import re

from bot.errors import BadInputError
from bot.services.bundle import Services
from bot.services.when import parse_duration
from bot.slack.blocks import View
from bot.slack.call import Call, Click, ClickHandler
from bot.slack.views import maintenance_replies as views
from bot.slack.views.replies import said
from commands.words import Command, Verb, Words, pressed

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
    number = words.number(_THE_WINDOW)
    words.end()
    return said((await services.maintenance.confirm(call.actor, number)).text)


async def _cancel(services: Services, call: Call, words: Words) -> View:
    number = words.maybe_number(_THE_WINDOW)
    words.end()
    return said((await services.maintenance.cancel(call.actor, number)).text)


# The buttons. A proposal is no card that could be edited, so the answer says what was done.


async def _confirmed(services: Services, click: Click) -> View:
    return said((await services.maintenance.confirm(click.actor, pressed(click.value))).text)


async def _cancelled(services: Services, click: Click) -> View:
    return said((await services.maintenance.cancel(click.actor, pressed(click.value))).text)


COMMAND = Command(
    name="/maintenance",
    about="Maintenance windows: plan when a server is away; its campaigns wait and no alarm is raised.",
    example="/maintenance schedule primary tomorrow 02:00 for 2h new disks",
    verbs=(
        Verb("schedule", "SERVER WHEN for HOW LONG [reason]", "propose a window; it counts once confirmed", _schedule),
        Verb("list", "[PAGE]", "windows under way and ahead", _list),
        Verb("confirm", "ID", "make a proposed window count", _confirm),
        Verb("cancel", "[ID]", "call a window off, or end it now; what it held goes on", _cancel),
    ),
)

ACTIONS: dict[str, ClickHandler] = {
    "maintenance.confirm": _confirmed,
    "maintenance.cancel": _cancelled,
}
