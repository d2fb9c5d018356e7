"""`/outage remind` and the buttons of a reminder: say what is new, put it off, or never again."""

from datetime import timedelta

from bot.services.bundle import Services
from bot.services.plans import Plan
from bot.services.when import parse_duration
from bot.slack.blocks import View
from bot.slack.call import Call, Click, ClickHandler
from bot.slack.views import reminder as views
from bot.slack.views.replies import said
from commands.words import Verb, Words, pressed

_HALF_HOUR, _HOUR = timedelta(minutes=30), timedelta(minutes=60)


async def _remind(services: Services, call: Call, words: Words) -> View:
    number, wish = _wish(words)
    if wish == "never":
        return said(await services.reminders.never(call.actor, number))
    if wish == "again":
        return said(await services.reminders.again(call.actor, number))
    return said(await services.reminders.put_off(call.actor, number, parse_duration(wish)))


async def _plan_remind(services: Services, call: Call, words: Words) -> Plan:
    number, wish = _wish(words)
    if wish == "never":
        return await services.plans.reminders.never(call.actor, number)
    if wish == "again":
        return await services.plans.reminders.again(call.actor, number)
    return await services.plans.reminders.put_off(call.actor, number, parse_duration(wish))


def _wish(words: Words) -> tuple[int | None, str]:
    number = words.leading_number()
    return number, words.text("when to remind again, as 30 min, or never, or again").casefold()


# The buttons. What the card shows when it is edited is not said twice.


async def _update(_: Services, click: Click) -> View:
    return views.send_update(pressed(click.value))


async def _half_hour(services: Services, click: Click) -> None:
    await services.reminders.put_off(click.actor, None, _HALF_HOUR, reminder_id=pressed(click.value))


async def _hour(services: Services, click: Click) -> None:
    await services.reminders.put_off(click.actor, None, _HOUR, reminder_id=pressed(click.value))


async def _never(services: Services, click: Click) -> None:
    await services.reminders.never(click.actor, None, reminder_id=pressed(click.value))


VERB = Verb(
    "remind",
    "[#ID] 30 min|never|again",
    "when its lead is reminded that people wait for news",
    _remind,
    _plan_remind,
)

ACTIONS: dict[str, ClickHandler] = {
    "outage.say": _update,
    "outage.halfhour": _half_hour,
    "outage.hour": _hour,
    "outage.never": _never,
}
