"""`/outage` and the buttons of its card: declare, take, tell about and resolve outages."""

import re

from bot.access import Actor
from bot.clock import now
from bot.errors import BadInputError
from bot.services.bundle import Services
from bot.services.when import parse_when
from bot.slack.blocks import View
from bot.slack.call import Call, Click, ClickHandler
from bot.slack.views import outage_replies as views
from bot.slack.views import resend_replies
from bot.slack.views.replies import said
from commands.forms import declaring, messages
from commands.words import Command, Verb, Words, pressed
from storage.models import OutageState

_THE_OUTAGE = "the outage"
_MENTION = re.compile(r"<@[UW][A-Z0-9]+>", re.ASCII)


async def _declare(services: Services, call: Call, words: Words) -> View:
    server, text = words.word("on which server"), words.text("what is wrong")
    return views.declared(await services.outages.declare(call.actor, server, text))


async def _list(services: Services, _: Call, words: Words) -> View:
    words.end()
    return views.listing(await services.outages.list())


async def _status(services: Services, _: Call, words: Words) -> View:
    return views.status(await services.outages.status(_only_number(words)))


async def _timeline(services: Services, _: Call, words: Words) -> View:
    return views.timeline(await services.outages.timeline(_only_number(words)))


async def _action(services: Services, call: Call, words: Words) -> View:
    number, text = await _number_and_text(services, words, "what is to be done")
    owner = _MENTION.match(text)
    said_text = text[owner.end() :].strip() if owner else text
    result = await services.action_items.add(call.actor, number, said_text, owner[0] if owner else None)
    return said(result.text)


async def _actions(services: Services, _: Call, words: Words) -> View:
    return views.actions(await services.action_items.of(_only_number(words)))


async def _done(services: Services, call: Call, words: Words) -> View:
    number = words.number("the action")
    words.end()
    return said(await services.action_items.done(call.actor, number))


async def _remove(services: Services, call: Call, words: Words) -> View:
    number = words.number("the entry")
    words.end()
    return said(await services.messages.remove(call.actor, number))


async def _acknowledge(services: Services, call: Call, words: Words) -> View:
    result = await services.outages.acknowledge(call.actor, _only_number(words))
    return said(f"{result.text} Say what you find with /outage update #{result.outage.id} TEXT")


async def _update(services: Services, call: Call, words: Words) -> View:
    number, text = await _number_and_text(services, words, "what is new")
    return said((await services.outages.update(call.actor, number, text)).text)


async def _cause(services: Services, call: Call, words: Words) -> View:
    number, text = await _number_and_text(services, words, "the cause")
    result = await services.outages.cause(call.actor, number, text)
    return said(f"{result.text} Correct it with /outage cause #{result.outage.id} TEXT")


async def _eta(services: Services, call: Call, words: Words) -> View:
    number, text = await _number_and_text(services, words, "when it should be over", time_for=call.actor)
    result = await services.outages.eta(call.actor, number, text)
    return said(f"{result.text} Correct it with /outage eta #{result.outage.id} WHEN")


async def _resolve(services: Services, call: Call, words: Words) -> View:
    number, text = await _number_and_text(services, words, "how it was resolved")
    result = await services.outages.resolve(call.actor, number, text)
    return said(f"{result.text} It cannot be opened again; if it is back: /outage declare SERVER TEXT")


def _only_number(words: Words) -> int | None:
    number = words.maybe_number(_THE_OUTAGE)
    words.end()
    return number


async def _number_and_text(
    services: Services, words: Words, what: str, *, time_for: Actor | None = None
) -> tuple[int | None, str]:
    """A text may begin with a number: without `#` it is an outage's only where several are open, and it is of one.

    Nor is it one where number and text together are a time on the clock of `time_for`.
    """
    number = words.leading_number()
    if number is None and words.peek().isdecimal() and not (time_for and _is_time(words, time_for)):
        unresolved = [
            row.outage.id for row in await services.outages.list() if row.outage.state != OutageState.RESOLVED
        ]
        if len(unresolved) > 1 and words.peek() in {str(each) for each in unresolved}:
            number = words.leading_number(bare=True)
    return number, words.text(what)


def _is_time(words: Words, actor: Actor) -> bool:
    try:
        parse_when(words.left, actor.zone, now())
    except BadInputError:
        return False
    return True


# The buttons of the card. What it shows when it is edited is not said twice.


async def _acknowledged(services: Services, click: Click) -> None:
    await services.outages.acknowledge(click.actor, pressed(click.value))


async def _paused(services: Services, click: Click) -> View:
    result = await services.outages.pause_campaigns(click.actor, pressed(click.value))
    return said(f"{result.text} Undo it with /campaign resume {_one_or_all(result.campaigns)}")


async def _failed_over(services: Services, click: Click) -> View:
    return said((await services.outages.fail_over(click.actor, pressed(click.value))).text)


async def _resumed(services: Services, click: Click) -> View:
    result = await services.outages.resume_campaigns(click.actor, pressed(click.value))
    return said(f"{result.text} Undo it with /campaign pause {_one_or_all(result.campaigns)}")


async def _resolved(services: Services, click: Click) -> View:
    return said((await services.outages.resolve(click.actor, pressed(click.value))).text)


async def _plan(services: Services, click: Click) -> View:
    resend = await services.resends.plan(click.actor, f"#{pressed(click.value)}")
    return resend_replies.planned(await services.resends.status(resend.id))


def _one_or_all(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else "all"


COMMAND = Command(
    name="/outage",
    about="Outages: declare them, take them, say what is new, resolve them.",
    example="/outage declare primary customers report missing mail",
    verbs=(
        Verb(
            "declare",
            "SERVER TEXT",
            "open one by hand; its campaigns are held by policy (without words: a form)",
            _declare,
            declaring.open_form,
        ),
        Verb("list", "", "all outages, the unresolved first", _list),
        Verb("status", "[#ID]", "one outage as it is now", _status),
        Verb("ack", "[#ID]", "take it, so that the others can sleep", _acknowledge),
        Verb("update", "[#ID] TEXT", "say what is new, in its thread", _update),
        Verb("cause", "[#ID] TEXT", "name the cause", _cause),
        Verb("eta", "[#ID] WHEN", "when it should be over: 14:30, in 30 min, tomorrow 02:00", _eta),
        Verb("resolve", "[#ID] TEXT", "end it; its summary is posted", _resolve),
        Verb("timeline", "[#ID]", "what happened, in order", _timeline),
        Verb(
            "action",
            "[#ID] [@OWNER] TEXT",
            "note what is to be done because of it, and by whom",
            _action,
            messages.open_action,
        ),
        Verb("actions", "[#ID]", "what is to be done, the open ones first", _actions),
        Verb("done", "ACTION", "say that an action is done", _done),
        Verb("remove", "ENTRY", "take a message out of its timeline, by the number of its entry", _remove),
    ),
)

ACTIONS: dict[str, ClickHandler] = {
    "outage.acknowledge": _acknowledged,
    "outage.pause": _paused,
    "outage.failover": _failed_over,
    "outage.resume": _resumed,
    "outage.resolve": _resolved,
    "outage.plan": _plan,
}
