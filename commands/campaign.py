"""`/campaign`: look at campaigns, start, pause, resume and cancel them."""

from bot.services.bundle import Services
from bot.slack.blocks import View
from bot.slack.call import Call, Click, ClickHandler
from bot.slack.views import campaigns as views
from bot.slack.views.replies import said
from commands.words import Command, Verb, Words, decided
from storage import deliveries
from storage.models import CampaignState, DeliveryStatus

_WHICH = "which campaign"


async def _list(services: Services, _: Call, words: Words) -> View:
    state = words.take(*CampaignState)
    page = words.page()
    words.end()
    return views.listing(await services.campaigns.list(), state, page)


async def _status(services: Services, _: Call, words: Words) -> View:
    name = words.word(_WHICH)
    words.end()
    shown = await services.campaigns.status(name)
    if not shown.counts[DeliveryStatus.UNKNOWN]:
        return views.status(shown)
    async with services.db.read() as tx:
        return views.status(shown, await deliveries.unknown_names(tx, shown.campaign.id))


async def _start(services: Services, call: Call, words: Words) -> View:
    name = words.word(_WHICH)
    words.end()
    return said((await services.campaigns.start(call.actor, name)).text)


async def _pause(services: Services, call: Call, words: Words) -> View:
    name = words.word("which campaign, or all")
    return said((await services.campaigns.pause(call.actor, name, words.rest())).text)


async def _resume(services: Services, call: Call, words: Words) -> View:
    name = words.word("which campaign, or all")
    words.end()
    return said((await services.campaigns.resume(call.actor, name)).text)


async def _cancel(services: Services, call: Call, words: Words) -> View:
    name = words.word(_WHICH)
    words.end()
    return said((await services.campaigns.cancel(call.actor, name)).text)


async def _approve(services: Services, call: Call, words: Words) -> View:
    name = words.word(_WHICH)
    words.end()
    return said((await services.campaigns.approve(call.actor, name)).text)


async def _reject(services: Services, call: Call, words: Words) -> View:
    name = words.word(_WHICH)
    words.end()
    return said(await services.campaigns.reject(call.actor, name))


# The buttons of the card that asks a second person. It is edited, and the channel says who did what.


async def _approved(services: Services, click: Click) -> None:
    number, seen = decided(click.value)
    await services.campaigns.approve(click.actor, number, seen)


async def _rejected(services: Services, click: Click) -> None:
    number, seen = decided(click.value)
    await services.campaigns.reject(click.actor, number, seen)


COMMAND = Command(
    name="/campaign",
    about="Campaigns: look at them, start, pause, resume and cancel them.",
    example="/campaign pause spring-sale the price is wrong",
    verbs=(
        Verb("list", "[STATE] [PAGE]", "all campaigns, those under way first; or those in one state, as paused", _list),
        Verb("status", "NAME", "one campaign: counts, rate, what holds it", _status),
        Verb("start", "NAME", "begin to send it", _start),
        Verb("pause", "NAME|all [reason]", "stop it; what went out after that is told", _pause),
        Verb("resume", "NAME|all", "go on where it stood", _resume),
        Verb("cancel", "NAME", "end it for good", _cancel),
        Verb("approve", "NAME", "let a large one be started or cancelled (not for who asked)", _approve),
        Verb("reject", "NAME", "say no to that, or take it back", _reject),
    ),
)

ACTIONS: dict[str, ClickHandler] = {"campaign.approve": _approved, "campaign.reject": _rejected}
