"""`/holdfast approvals` and its buttons: what waits for a decision, decided where it is listed."""

from typing import cast

from bot.errors import BadInputError
from bot.services.bundle import Services
from bot.services.resends import Choice
from bot.slack.blocks import View
from bot.slack.call import Call, Click, ClickHandler
from bot.slack.views import approvals as views
from commands.words import Verb, Words, decided

_CAMPAIGN = ("start", "cancel")
_KINDS = ("resend", "notice", "rest", *_CAMPAIGN)


async def _approvals(services: Services, call: Call, words: Words) -> View:
    which = words.take("mine", "all") or "all"
    page = words.page()
    words.end()
    return views.listing(await services.deciding.waiting(call.actor, only_mine=which == "mine"), page)


async def _approved(services: Services, click: Click) -> View:
    return await _approve(services, click, "all")


async def _first(services: Services, click: Click) -> View:
    return await _approve(services, click, "canary")


async def _approve(services: Services, click: Click, choice: str) -> View:
    kind, number, seen = _meant(click)
    if kind == "notice":
        await services.notices.approve(click.actor, number, seen)
        return await _after(services, click, f"Notice {number} is approved and goes out.")
    if kind in _CAMPAIGN:
        return await _after(services, click, (await services.campaigns.approve(click.actor, number, seen)).text)
    if kind == "rest":
        await services.resends.rest(click.actor, number, seen)
        return await _after(services, click, f"Resend {number} goes on. Stop it with /resend pause {number}")
    resend = await services.resends.approve(click.actor, number, seen, cast("Choice", choice))
    what = "its first 1 % goes out" if resend.wave == 0 else "it goes out"
    return await _after(services, click, f"Resend {number} is approved: {what}. Stop it with /resend pause {number}")


async def _rejected(services: Services, click: Click) -> View:
    kind, number, seen = _meant(click)
    if kind in _CAMPAIGN:
        return await _after(services, click, await services.campaigns.reject(click.actor, number, seen))
    if kind == "notice":
        await services.notices.reject(click.actor, number, seen)
    else:
        await services.resends.reject(click.actor, number, seen)
    return await _after(services, click, f"{kind.capitalize()} {number} is rejected: nothing of it is sent.")


async def _after(services: Services, click: Click, done: str) -> View:
    """What waits now, where the list stood: its other buttons go on working."""
    return views.after(await services.deciding.waiting(click.actor), done)


def _meant(click: Click) -> tuple[str, int, str]:
    """`resend:5:HASH`: what was on the screen. Raises BadInputError."""
    kind, _, rest = click.value.partition(":")
    if kind not in _KINDS:
        raise BadInputError("This button does not say what it decides on. Nothing was decided; use a command.")
    number, seen = decided(rest)
    return kind, number, seen


VERBS = (
    Verb(
        "approvals",
        "[mine|all] [PAGE]",
        "what waits for a decision, yours first, and what was decided",
        _approvals,
        looks=True,
    ),
)

ACTIONS: dict[str, ClickHandler] = {
    "holdfast.approve": _approved,
    "holdfast.canary": _first,
    "holdfast.reject": _rejected,
}
