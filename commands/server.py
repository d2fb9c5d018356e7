"""`/server`: look at mail servers, add, drain, restore and fail them over."""

from bot.services.bundle import Services
from bot.slack.blocks import View
from bot.slack.call import Call, ClickHandler
from bot.slack.views import servers as views
from bot.slack.views.replies import said
from commands.forms import adding
from commands.words import Command, Verb, Words, address

_WHICH = "which server"
_SMTP_PORT = 25


async def _list(services: Services, _: Call, words: Words) -> View:
    page = words.page()
    words.end()
    return views.listing(await services.servers.list(), page)


async def _status(services: Services, _: Call, words: Words) -> View:
    name = words.word(_WHICH)
    words.end()
    return views.status(await services.servers.status(name))


async def _add(services: Services, call: Call, words: Words) -> View:
    name = words.word("a name for the server")
    host, port = address(words.word("its host"), words.usage)
    words.end()
    return said((await services.servers.add(call.actor, name, host, port or _SMTP_PORT)).text)


async def _drain(services: Services, call: Call, words: Words) -> View:
    name = words.word(_WHICH)
    words.end()
    return said((await services.servers.drain(call.actor, name)).text)


async def _restore(services: Services, call: Call, words: Words) -> View:
    name = words.word(_WHICH)
    words.end()
    return said((await services.servers.restore(call.actor, name)).text)


async def _failover(services: Services, call: Call, words: Words) -> View:
    name, backup = words.word(_WHICH), words.maybe()
    words.end()
    return said((await services.servers.failover(call.actor, name, backup)).text)


COMMAND = Command(
    name="/server",
    about="Mail servers: look at them, add them, take them out of use and back.",
    example="/server failover primary backup",
    verbs=(
        Verb("list", "[PAGE]", "all servers, what is wrong first", _list),
        Verb("status", "NAME", "one server: its last probe, its backup, its campaigns", _status),
        Verb(
            "add",
            "NAME HOST[:PORT]",
            "add a server and look at it once (without words: a form)",
            _add,
            adding.open_form,
        ),
        Verb("drain", "NAME", "send nothing through it any more", _drain),
        Verb("restore", "NAME", "undo drain and failover", _restore),
        Verb("failover", "NAME [BACKUP]", "let its backup, or the one named, carry its campaigns", _failover),
    ),
)

ACTIONS: dict[str, ClickHandler] = {}
"""Servers have no card of their own; an outage's has their buttons."""
