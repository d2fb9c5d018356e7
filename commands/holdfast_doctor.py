"""`/holdfast doctor`: what is wrong with the installation, and what to do about it."""

from bot.services.bundle import Services
from bot.slack.blocks import View
from bot.slack.call import Call
from bot.slack.doctor import examine
from bot.slack.later import Later
from bot.slack.views import doctor as views
from commands.words import Verb, Words


async def _doctor(services: Services, call: Call, words: Words) -> View:
    words.end()
    services.access.require(call.actor, "holdfast.check")

    async def look() -> View:
        return views.report(await examine(services.settings))

    at_once = views.looking()
    return Later(at_once.text, at_once.blocks, then=look)


VERBS = (
    Verb(
        "doctor",
        "",
        "what is wrong with tokens, scopes, database, servers and hooks, and the next step",
        _doctor,
        looks=True,
    ),
)
