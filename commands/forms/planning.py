"""Plan a resend: `/resend plan` where it is not clear of what, and `/resend plan TARGET with` for what to include."""

from bot.services.bundle import Services
from bot.services.outage_shapes import OutageRow
from bot.slack.blocks import View
from bot.slack.forms import Ask, Filled, Form, Sheet
from bot.slack.views import forms as views
from bot.slack.views import resend_replies
from commands.words import split
from storage.models import OutageState

TYPED = "/resend plan OUTAGE|CAMPAIGN [with unknown] [with refused]"
_WITH = "with"


async def open_form(services: Services, ask: Ask) -> Sheet | None:
    """For what would be refused as it was typed: nothing clear to plan for, or a `with` and no more."""
    word, rest = split(ask.words)
    asks_what = word.casefold() == _WITH and not rest
    asks_with = rest.strip().casefold() == _WITH
    if word and not asks_what and not asks_with:
        return None
    outages = await services.outages.list()
    if not word and _of_the_moment(outages):
        return None
    campaigns = [row.name for row in await services.campaigns.list()]
    if not outages and not campaigns:
        return None
    services.access.require(ask.actor, "resend.plan")
    target = word if asks_with else _of_the_moment(outages)
    return Sheet(views.plan(outages, campaigns, target=_known(target, outages, campaigns)), TYPED)


def _of_the_moment(outages: list[OutageRow]) -> str | None:
    """The outage that `/resend plan` alone is about; None when that is not clear."""
    unresolved = [row.outage for row in outages if row.outage.state != OutageState.RESOLVED]
    if len(unresolved) > 1 or not outages:
        return None
    return f"#{(unresolved or [max((row.outage for row in outages), key=lambda each: each.id)])[0].id}"


def _known(target: str | None, outages: list[OutageRow], campaigns: list[str]) -> str | None:
    """As the menu has it: an outage by its number, a campaign by its name or its beginning."""
    if target is None:
        return None
    if f"#{target.removeprefix('#')}" in {f"#{row.outage.id}" for row in outages}:
        return f"#{target.removeprefix('#')}"
    begun = [name for name in campaigns if name.casefold().startswith(target.casefold())]
    return target if target in begun else begun[0] if len(begun) == 1 else None


async def _check(services: Services, filled: Filled) -> dict[str, str]:
    """Only what is quick: counting what was lost may take longer than an ack can wait."""
    filled.several("include")
    services.access.require(filled.actor, "resend.plan")
    return {} if filled.text("what") else {"what": "Choose an outage or a campaign."}


async def _submit(services: Services, filled: Filled) -> View:
    included = filled.several("include")
    resend = await services.resends.plan(
        filled.actor,
        filled.text("what"),
        include_unknown="unknown" in included,
        include_refused="refused" in included,
    )
    return resend_replies.planned(await services.resends.status(resend.id))


FORM = Form(_check, _submit)
