"""`/campaign`: look at campaigns, start, pause, resume and cancel them."""

from bot.errors import BadInputError
from bot.services.bundle import Services
from bot.services.campaign_targets import is_all
from bot.services.plans import Plan
from bot.slack.blocks import View
from bot.slack.call import Call, Click, ClickHandler
from bot.slack.views import campaigns as views
from bot.slack.views.replies import said
from commands.asking import done
from commands.words import Command, Verb, Words, always, decided, for_all
from storage import deliveries
from storage.models import CampaignState, DeliveryStatus

_WHICH = "which campaign"
_WHICH_OR_ALL = "which campaign, or all"


async def _list(services: Services, _: Call, words: Words) -> View:
    state = words.take(*CampaignState)
    page = words.page()
    words.end()
    return views.listing(await services.campaigns.list(), state, page)


async def _status(services: Services, _: Call, words: Words) -> View:
    name = _only_name(words)
    shown = await services.campaigns.status(name)
    if not shown.counts[DeliveryStatus.UNKNOWN]:
        return views.status(shown)
    async with services.db.read() as tx:
        return views.status(shown, await deliveries.unknown_names(tx, shown.campaign.id))


async def _start(services: Services, call: Call, words: Words) -> View:
    name, ramp = _name_and_ramp(words)
    return said((await services.campaigns.start(call.actor, name, ramp=ramp)).text)


async def _next(services: Services, call: Call, words: Words) -> View:
    return said(await services.ramps.next_of_campaign(call.actor, _only_name(words)))


async def _pause(services: Services, call: Call, words: Words) -> View:
    name = words.word(_WHICH_OR_ALL)
    result = await services.campaigns.pause(call.actor, name, words.rest())
    return await done(services, call.actor, result.text, result.undo)


async def _resume(services: Services, call: Call, words: Words) -> View:
    name = _only_name(words, _WHICH_OR_ALL)
    result = await services.campaigns.resume(call.actor, name)
    return await done(services, call.actor, result.text, result.undo)


async def _cancel(services: Services, call: Call, words: Words) -> View:
    return said((await services.campaigns.cancel(call.actor, _only_name(words))).text)


async def _approve(services: Services, call: Call, words: Words) -> View:
    return said((await services.campaigns.approve(call.actor, _only_name(words))).text)


async def _reject(services: Services, call: Call, words: Words) -> View:
    return said(await services.campaigns.reject(call.actor, _only_name(words)))


# What each would do.


async def _plan_start(services: Services, call: Call, words: Words) -> Plan:
    name, ramp = _name_and_ramp(words)
    return await services.plans.campaigns.start(call.actor, name, ramp=ramp)


async def _plan_next(services: Services, call: Call, words: Words) -> Plan:
    return await services.ramps.plan_next_of_campaign(call.actor, _only_name(words))


async def _plan_pause(services: Services, call: Call, words: Words) -> Plan:
    return await services.plans.campaigns.pause(call.actor, words.word(_WHICH_OR_ALL))


async def _plan_resume(services: Services, call: Call, words: Words) -> Plan:
    return await services.plans.campaigns.resume(call.actor, _only_name(words, _WHICH_OR_ALL))


async def _plan_cancel(services: Services, call: Call, words: Words) -> Plan:
    return await services.plans.campaigns.cancel(call.actor, _only_name(words))


async def _plan_approve(services: Services, call: Call, words: Words) -> Plan:
    return await services.plans.campaigns.approve(call.actor, _only_name(words))


async def _plan_reject(services: Services, call: Call, words: Words) -> Plan:
    return await services.plans.campaigns.reject(call.actor, _only_name(words))


def _name_and_ramp(words: Words) -> tuple[str, bool | None]:
    name = words.word(_WHICH)
    how = words.take("ramp", "whole")
    words.end()
    return name, None if how is None else how == "ramp"


def _only_name(words: Words, what: str = _WHICH) -> str:
    name = words.word(what)
    words.end()
    return name


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
        Verb(
            "list",
            "[STATE] [PAGE]",
            "all campaigns, those under way first; or those in one state, as paused",
            _list,
            looks=True,
        ),
        Verb("status", "NAME", "one campaign: counts, rate, what holds it", _status, looks=True),
        Verb("start", "NAME [ramp|whole]", "begin to send it, in stages or all at once", _start, _plan_start),
        Verb("next", "NAME", "its next stage begins now, without waiting", _next, _plan_next),
        Verb(
            "pause", "NAME|all [reason]", "stop it; what went out after that is told", _pause, _plan_pause, asks=for_all
        ),
        Verb("resume", "NAME|all", "go on where it stood", _resume, _plan_resume, asks=for_all),
        Verb("cancel", "NAME", "end it for good", _cancel, _plan_cancel, asks=always),
        Verb("approve", "NAME", "let a large one be started or cancelled (not for who asked)", _approve, _plan_approve),
        Verb("reject", "NAME", "say no to that, or take it back", _reject, _plan_reject),
    ),
)

# The buttons of the home tab: their value is the campaign's name.


async def _pressed_pause(services: Services, click: Click) -> View:
    result = await services.campaigns.pause(click.actor, _named(click))
    return await done(services, click.actor, result.text, result.undo)


async def _pressed_resume(services: Services, click: Click) -> View:
    result = await services.campaigns.resume(click.actor, _named(click))
    return await done(services, click.actor, result.text, result.undo)


async def _pressed_next(services: Services, click: Click) -> View:
    return said(await services.ramps.next_of_campaign(click.actor, _named(click)))


def _named(click: Click) -> str:
    """Never more than one campaign: no campaign is called `all`."""
    if is_all(click.value) or not click.value:
        raise BadInputError("This button does not say which campaign it is about. Nothing was changed; use a command.")
    return click.value


ACTIONS: dict[str, ClickHandler] = {
    "campaign.approve": _approved,
    "campaign.reject": _rejected,
    "campaign.pause": _pressed_pause,
    "campaign.resume": _pressed_resume,
    "campaign.next": _pressed_next,
}
