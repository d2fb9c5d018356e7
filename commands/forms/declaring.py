"""Declare an outage: `/outage declare` without its words, and the global shortcut."""

from bot.errors import SHOWABLE, NotFoundError
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
    """For what lacks a text; what is complete is carried out as it was typed."""
    word, text = split(ask.words)
    return None if word and text else await _sheet(services, word)


async def from_anywhere(services: Services, ask: Ask) -> Sheet | None:
    sheet = await _sheet(services, ask.words)
    if sheet is None:
        raise NotFoundError("There is no server yet to declare an outage on. Add one with /server add NAME HOST:PORT")
    return sheet


async def _sheet(services: Services, word: str) -> Sheet | None:
    """None without any server: the typed command says what to do then."""
    rows = await services.servers.list()
    if not rows:
        return None
    try:
        name = (await services.servers.find(word)).name if word else None
    except SHOWABLE:
        name = None
    if name is None and len(rows) == 1:
        name = rows[0].server.name
    return Sheet(views.declare(rows, services.settings.outages.policy, server=name), TYPED)


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
