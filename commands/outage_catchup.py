"""`/outage catchup` and the button of the card: an outage on one screen, for the one who asks alone."""

from bot.services.bundle import Services
from bot.slack.blocks import View
from bot.slack.call import Call, Click, ClickHandler
from bot.slack.views import catchup as views
from commands.words import Verb, Words, pressed


async def _catch_up(services: Services, call: Call, words: Words) -> View:
    number = words.maybe_number("the outage")
    words.end()
    return views.catch_up(await services.catching_up.of(call.actor, number))


async def _pressed(services: Services, click: Click) -> View:
    return views.catch_up(await services.catching_up.of(click.actor, pressed(click.value)))


VERBS = (Verb("catchup", "[#ID]", "for who joins late: all of it on one screen, only for you", _catch_up, looks=True),)

ACTIONS: dict[str, ClickHandler] = {"outage.catchup": _pressed}
