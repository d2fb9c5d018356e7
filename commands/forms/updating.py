"""Say what is new: `/outage update` without its text, and Send update on a reminder."""

from bot.services.bundle import Services
from bot.slack.blocks import View
from bot.slack.forms import Ask, Filled, Form, Sheet
from bot.slack.views import forms as views
from bot.slack.views.replies import said
from commands.forms import found_wrong
from commands.words import Words, pressed
from storage.models import OutageState

BUTTON = "outage.say"
_USAGE = "/outage update [#ID] TEXT"


async def open_form(services: Services, ask: Ask) -> Sheet | None:
    """Where the text is missing, and it is clear of which outage."""
    words = Words(ask.words, _USAGE)
    number = words.leading_number()
    if words.left:
        return None
    unresolved = [
        (row.outage.id, row.servers)
        for row in await services.outages.list()
        if row.outage.state != OutageState.RESOLVED and number in {None, row.outage.id}
    ]
    return _sheet(*unresolved[0]) if len(unresolved) == 1 else None


async def from_button(services: Services, ask: Ask) -> Sheet | None:
    return await open_form(services, Ask(ask.actor, f"#{pressed(ask.words)}"))


def _sheet(number: int, servers: tuple[str, ...]) -> Sheet:
    return Sheet(views.update(number, servers), f"/outage update #{number} TEXT", {"outage": number})


async def _check(services: Services, filled: Filled) -> dict[str, str]:
    would = services.plans.outages.update(filled.actor, filled.about["outage"], filled.text("text"))
    wrong = await found_wrong(would)
    return {"text": wrong} if wrong else {}


async def _submit(services: Services, filled: Filled) -> View:
    result = await services.outages.update(filled.actor, filled.about["outage"], filled.text("text"))
    return said(result.text)


FORM = Form(_check, _submit)
