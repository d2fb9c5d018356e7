"""`/outage` and the buttons of its card: declare, take, tell about and resolve outages."""

import re

from bot.access import Actor
from bot.clock import now
from bot.errors import BadInputError
from bot.services.bundle import Services
from bot.services.plans import Plan
from bot.services.undo_notes import words as undo_words
from bot.services.when import parse_when
from bot.slack.blocks import View
from bot.slack.call import Call, Click, ClickHandler
from bot.slack.views import outage_replies as views
from bot.slack.views import resend_replies
from bot.slack.views.replies import said
from commands import outage_catchup, reminding
from commands.asking import done
from commands.forms import declaring, messages, updating
from commands.words import Command, Verb, Words, pressed
from storage.models import OutageState

_THE_OUTAGE = "the outage"
_MENTION = re.compile(r"<@[UW][A-Z0-9]+>", re.ASCII)


async def _declare(services: Services, call: Call, words: Words) -> View:
    server, text = words.word("on which server"), words.text("what is wrong")
    return views.declared(await services.outages.declare(call.actor, server, text))


async def _list(services: Services, _: Call, words: Words) -> View:
    page = words.page()
    words.end()
    return views.listing(await services.outages.list(), page)


async def _status(services: Services, _: Call, words: Words) -> View:
    return views.status(await services.outages.status(_only_number(words)))


async def _timeline(services: Services, _: Call, words: Words) -> View:
    number = words.maybe_number(_THE_OUTAGE)
    page = words.page()
    words.end()
    return views.timeline(await services.outages.timeline(number), page)


async def _action(services: Services, call: Call, words: Words) -> View:
    return said((await services.action_items.add(call.actor, *await _what_and_whose(services, words))).text)


async def _what_and_whose(services: Services, words: Words) -> tuple[int | None, str, str | None]:
    """The outage, what is to be done, and whose it is."""
    number, text = await _number_and_text(services, words, "what is to be done")
    owner = _MENTION.match(text)
    return (number, text[owner.end() :].strip(), owner[0]) if owner else (number, text, None)


async def _actions(services: Services, _: Call, words: Words) -> View:
    number = words.maybe_number(_THE_OUTAGE)
    page = words.page()
    words.end()
    return views.actions(await services.action_items.of(number), page)


async def _done(services: Services, call: Call, words: Words) -> View:
    return said(await services.action_items.done(call.actor, _number_of(words, "the action")))


async def _remove(services: Services, call: Call, words: Words) -> View:
    return said(await services.messages.remove(call.actor, _number_of(words, "the entry")))


def _number_of(words: Words, what: str) -> int:
    number = words.number(what)
    words.end()
    return number


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


async def _severity(services: Services, call: Call, words: Words) -> View:
    result = await services.outages.severity(call.actor, *_number_and_severity(words))
    return said(f"{result.text} Correct it with /outage severity #{result.outage.id} minor|major|critical")


def _number_and_severity(words: Words) -> tuple[int | None, str]:
    number, word = words.leading_number(), words.word("how bad it is").casefold()
    words.end()
    return number, word


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


# What each would do.


async def _plan_declare(services: Services, call: Call, words: Words) -> Plan:
    server, text = words.word("on which server"), words.text("what is wrong")
    return await services.plans.outages.declare(call.actor, server, text)


async def _plan_acknowledge(services: Services, call: Call, words: Words) -> Plan:
    return await services.plans.outages.acknowledge(call.actor, _only_number(words))


async def _plan_update(services: Services, call: Call, words: Words) -> Plan:
    return await services.plans.outages.update(call.actor, *await _number_and_text(services, words, "what is new"))


async def _plan_cause(services: Services, call: Call, words: Words) -> Plan:
    return await services.plans.outages.cause(call.actor, *await _number_and_text(services, words, "the cause"))


async def _plan_eta(services: Services, call: Call, words: Words) -> Plan:
    number, text = await _number_and_text(services, words, "when it should be over", time_for=call.actor)
    return await services.plans.outages.eta(call.actor, number, text)


async def _plan_severity(services: Services, call: Call, words: Words) -> Plan:
    return await services.plans.outages.severity(call.actor, *_number_and_severity(words))


async def _plan_action(services: Services, call: Call, words: Words) -> Plan:
    return await services.plans.entries.action(call.actor, *await _what_and_whose(services, words))


async def _plan_done(services: Services, call: Call, words: Words) -> Plan:
    return await services.plans.entries.done(call.actor, _number_of(words, "the action"))


async def _plan_remove(services: Services, call: Call, words: Words) -> Plan:
    return await services.plans.entries.remove(call.actor, _number_of(words, "the entry"))


async def _plan_resolve(services: Services, call: Call, words: Words) -> Plan:
    number, _ = await _number_and_text(services, words, "how it was resolved")
    return await services.plans.outages.resolve(call.actor, number)


# The buttons of the card. What it shows when it is edited is not said twice.


async def _acknowledged(services: Services, click: Click) -> None:
    await services.outages.acknowledge(click.actor, pressed(click.value))


async def _paused(services: Services, click: Click) -> View:
    result = await services.outages.pause_campaigns(click.actor, pressed(click.value))
    return await done(services, click.actor, result.text + undo_words(result.undo), result.undo)


async def _failed_over(services: Services, click: Click) -> View:
    result = await services.outages.fail_over(click.actor, pressed(click.value))
    return await done(services, click.actor, result.text, result.undo)


async def _resumed(services: Services, click: Click) -> View:
    result = await services.outages.resume_campaigns(click.actor, pressed(click.value))
    return await done(services, click.actor, result.text + undo_words(result.undo), result.undo)


async def _resolved(services: Services, click: Click) -> View:
    return said((await services.outages.resolve(click.actor, pressed(click.value))).text)


async def _plan(services: Services, click: Click) -> View:
    resend = await services.resends.plan(click.actor, f"#{pressed(click.value)}")
    return resend_replies.planned(await services.resends.status(resend.id))


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
            _plan_declare,
            form=declaring.open_form,
        ),
        Verb("list", "[PAGE]", "all outages, the unresolved first", _list, looks=True),
        Verb("status", "[#ID]", "one outage as it is now", _status, looks=True),
        Verb("ack", "[#ID]", "take it, so that the others can sleep", _acknowledge, _plan_acknowledge),
        Verb(
            "update",
            "[#ID] TEXT",
            "say what is new, in its thread (without words: a form)",
            _update,
            _plan_update,
            form=updating.open_form,
        ),
        Verb("cause", "[#ID] TEXT", "name the cause", _cause, _plan_cause),
        Verb("eta", "[#ID] WHEN", "when it should be over: 14:30, in 30 min, tomorrow 02:00", _eta, _plan_eta),
        Verb(
            "severity",
            "[#ID] minor|major|critical",
            "how bad it is; the channel hears when it is worse",
            _severity,
            _plan_severity,
        ),
        Verb("resolve", "[#ID] TEXT", "end it; its summary is posted", _resolve, _plan_resolve),
        reminding.VERB,
        Verb("timeline", "[#ID [PAGE]]", "what happened, in order", _timeline, looks=True),
        *outage_catchup.VERBS,
        Verb(
            "action",
            "[#ID] [@OWNER] TEXT",
            "note what is to be done because of it, and by whom",
            _action,
            _plan_action,
            form=messages.open_action,
        ),
        Verb("actions", "[#ID [PAGE]]", "what is to be done, the open ones first", _actions, looks=True),
        Verb("done", "ACTION", "say that an action is done", _done, _plan_done),
        Verb(
            "remove", "ENTRY", "take a message out of its timeline, by the number of its entry", _remove, _plan_remove
        ),
    ),
)

ACTIONS: dict[str, ClickHandler] = {
    "outage.acknowledge": _acknowledged,
    "outage.pause": _paused,
    "outage.failover": _failed_over,
    "outage.resume": _resumed,
    "outage.resolve": _resolved,
    "outage.plan": _plan,
    **reminding.ACTIONS,
    **outage_catchup.ACTIONS,
}
