"""Declare an outage: `/outage declare` without its words, and the global shortcut."""

from bot.errors import NotFoundError
from bot.services.bundle import Services
from bot.slack.blocks import View
from bot.slack.forms import Ask, Filled, Form, Sheet
from bot.slack.views import forms as views
from bot.slack.views import outage_replies
from commands.forms import found_wrong
from commands.words import split

SHORTCUT = "declare_outage"
TYPED = "/outage declare SERVER TEXT"


async def open_form(services: Services, ask: Ask) -> Sheet | None:
    """Without words, or with a server and no text; everything else is carried out or refused as it was typed."""
    word, text = split(ask.words)
    if text or (word and await found_wrong(services.servers.find(word))):
        return None
    return await _sheet(services, (await services.servers.find(word)).name if word else None)


async def from_anywhere(services: Services, _: Ask) -> Sheet | None:
    sheet = await _sheet(services, None)
    if sheet is None:
        raise NotFoundError("There is no server yet to declare an outage on. Add one with /server add NAME HOST:PORT")
    return sheet


async def _sheet(services: Services, name: str | None) -> Sheet | None:
    """None without any server: the typed command says what to do then."""
    rows = await services.servers.list()
    if not rows:
        return None
    only = rows[0].server.name if len(rows) == 1 else None
    return Sheet(views.declare(rows, services.settings.outages.policy, server=name or only), TYPED)


async def _check(services: Services, filled: Filled) -> dict[str, str]:
    filled.text("severity")
    wrong = await found_wrong(services.outages.check_declare(filled.actor, filled.text("server")))
    found = {"server": wrong} if wrong else {}
    return found if filled.text("text") else found | {"text": "Say what is wrong."}


async def _submit(services: Services, filled: Filled) -> View:
    result = await services.outages.declare(
        filled.actor, filled.text("server"), filled.text("text"), filled.text("severity")
    )
    return outage_replies.declared(result)


FORM = Form(_check, _submit)
