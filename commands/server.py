"""`/server`: look at mail servers, add, drain, restore and fail them over."""

from bot.services.bundle import Services
from bot.services.plans import Plan
from bot.slack.blocks import View
from bot.slack.call import Call, ClickHandler
from bot.slack.views import servers as views
from bot.slack.views.replies import said
from commands.asking import done
from commands.forms import adding
from commands.words import Command, Verb, Words, address, always

_WHICH = "which server"
_SMTP_PORT = 25


async def _list(services: Services, _: Call, words: Words) -> View:
    page = words.page()
    words.end()
    return views.listing(await services.servers.list(), page)


async def _status(services: Services, _: Call, words: Words) -> View:
    return views.status(await services.servers.status(_only_name(words)))


async def _add(services: Services, call: Call, words: Words) -> View:
    return said((await services.servers.add(call.actor, *_name_and_address(words))).text)


async def _drain(services: Services, call: Call, words: Words) -> View:
    result = await services.servers.drain(call.actor, _only_name(words))
    return await done(services, call.actor, result.text, result.undo)


async def _restore(services: Services, call: Call, words: Words) -> View:
    name, whole = _name_and_whole(words)
    result = await services.servers.restore(call.actor, name, whole=whole)
    return await done(services, call.actor, result.text, result.undo)


async def _failover(services: Services, call: Call, words: Words) -> View:
    result = await services.servers.failover(call.actor, *_name_and_backup(words))
    return await done(services, call.actor, result.text, result.undo)


# What each would do.


async def _plan_add(services: Services, call: Call, words: Words) -> Plan:
    return await services.plans.servers.add(call.actor, *_name_and_address(words))


async def _plan_drain(services: Services, call: Call, words: Words) -> Plan:
    return await services.plans.servers.drain(call.actor, _only_name(words))


async def _plan_restore(services: Services, call: Call, words: Words) -> Plan:
    name, whole = _name_and_whole(words)
    return await services.plans.servers.restore(call.actor, name, whole=whole)


async def _plan_failover(services: Services, call: Call, words: Words) -> Plan:
    return await services.plans.servers.failover(call.actor, *_name_and_backup(words))


def _only_name(words: Words) -> str:
    name = words.word(_WHICH)
    words.end()
    return name


def _name_and_whole(words: Words) -> tuple[str, bool]:
    name, how = words.word(_WHICH), words.take("whole")
    words.end()
    return name, how is not None


def _name_and_backup(words: Words) -> tuple[str, str | None]:
    name, backup = words.word(_WHICH), words.maybe()
    words.end()
    return name, backup


def _name_and_address(words: Words) -> tuple[str, str, int]:
    name = words.word("a name for the server")
    host, port = address(words.word("its host"), words.usage)
    words.end()
    return name, host, port or _SMTP_PORT


COMMAND = Command(
    name="/server",
    about="Mail servers: look at them, add them, take them out of use and back.",
    example="/server failover primary backup",
    verbs=(
        Verb("list", "[PAGE]", "all servers, what is wrong first", _list, looks=True),
        Verb("status", "NAME", "one server: its last probe, its backup, its campaigns", _status, looks=True),
        Verb(
            "add",
            "NAME HOST[:PORT]",
            "add a server and look at it once (without words: a form)",
            _add,
            _plan_add,
            form=adding.open_form,
        ),
        Verb("drain", "NAME", "send nothing through it any more", _drain, _plan_drain, asks=always),
        Verb("restore", "NAME [whole]", "undo drain and failover, slowly or at once", _restore, _plan_restore),
        Verb(
            "failover",
            "NAME [BACKUP]",
            "let its backup, or the one named, carry its campaigns",
            _failover,
            _plan_failover,
            asks=always,
        ),
    ),
)

ACTIONS: dict[str, ClickHandler] = {}
"""Servers have no card of their own; an outage's has their buttons."""
