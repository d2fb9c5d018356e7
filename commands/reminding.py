"""`/outage remind` and the buttons of a reminder: say what is new, put it off, or never again."""

from datetime import timedelta

from bot.services.bundle import Services
from bot.services.when import parse_duration
from bot.slack.blocks import View
from bot.slack.call import Call, Click, ClickHandler
from bot.slack.views import reminder as views
from bot.slack.views.replies import said
from commands.words import Verb, Words, pressed

_HALF_HOUR, _HOUR = timedelta(minutes=30), timedelta(minutes=60)


async def _remind(services: Services, call: Call, words: Words) -> View:
    number = words.leading_number()
    wish = words.text("when to remind again, as 30 min, or never, or again")
    if wish.casefold() == "never":
        text = await services.reminders.never(call.actor, number)
        return said(f"{text} Undo it with /outage remind {_of(number)}again")
    if wish.casefold() == "again":
        text = await services.reminders.again(call.actor, number)
        return said(f"{text} Undo it with /outage remind {_of(number)}never")
    text = await services.reminders.put_off(call.actor, number, parse_duration(wish))
    return said(f"{text} Undo it with /outage remind {_of(number)}again")


def _of(number: int | None) -> str:
    return f"#{number} " if number is not None else ""


# The buttons. What the card shows when it is edited is not said twice.


async def _update(_: Services, click: Click) -> View:
    return views.send_update(pressed(click.value))


async def _half_hour(services: Services, click: Click) -> None:
    await services.reminders.put_off(click.actor, None, _HALF_HOUR, reminder_id=pressed(click.value))


async def _hour(services: Services, click: Click) -> None:
    await services.reminders.put_off(click.actor, None, _HOUR, reminder_id=pressed(click.value))


async def _never(services: Services, click: Click) -> None:
    await services.reminders.never(click.actor, None, reminder_id=pressed(click.value))


VERB = Verb("remind", "[#ID] 30 min|never|again", "when its lead is reminded that people wait for news", _remind)

ACTIONS: dict[str, ClickHandler] = {
    "outage.say": _update,
    "outage.halfhour": _half_hour,
    "outage.hour": _hour,
    "outage.never": _never,
}
