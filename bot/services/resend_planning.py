"""What a resend would be about, and why there may be nothing to send again."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from bot.errors import BadInputError, BotError, NotFoundError
from bot.services.names import complete
from bot.services.words import joined, number
from storage import campaigns, outages, resends
from storage.db import Tx
from storage.models import DeliveryStatus, Outage, Resend
from storage.resends import Scope

_OUTAGE = re.compile(r"#?(\d{1,9})")
_CATEGORY = {
    DeliveryStatus.FAILED_TEMPORARY: "safe",
    DeliveryStatus.FAILED_PERMANENT: "refused",
    DeliveryStatus.UNKNOWN: "unknown",
}
CATEGORIES = ("safe", "refused", "unknown", "permanent", "suppressed", "expired", "elsewhere", "never_attempted")


@dataclass(frozen=True)
class Target:
    """An outage or a campaign whose lost mail is to be sent again."""

    scope: Scope
    name: str
    """As a sentence names it."""
    word: str
    """As one types it in a command."""
    outage_id: int | None
    """The outage in whose thread the plan belongs."""


async def find_target(tx: Tx, word: str | None) -> Target:
    """An outage by its number, a campaign by its name or beginning, or without a word the outage of the moment.

    Raises NotFoundError and BadInputError.
    """
    if not word:
        return _of_outage(await _outage_of_the_moment(tx))
    match = _OUTAGE.fullmatch(word.strip())
    if match is not None:
        outage = await outages.get(tx, int(match[1]))
        if outage is not None:
            return _of_outage(outage)
        if word.strip().startswith("#"):
            raise NotFoundError(f"There is no outage {word.strip()}. /outage list shows them.")
    return await _campaign(tx, word)


def _of_outage(outage: Outage) -> Target:
    return Target(Scope(outage.id, None), f"outage #{outage.id}", str(outage.id), outage.id)


async def _outage_of_the_moment(tx: Tx) -> Outage:
    unresolved = await outages.unresolved(tx)
    if len(unresolved) > 1:
        names = await outages.server_names(tx, [outage.id for outage in unresolved])
        shown = ", ".join(f"#{outage.id} {joined(names[outage.id])}".strip() for outage in unresolved)
        raise BadInputError(f"Which outage? {shown} are unresolved. Write its number: /resend plan {unresolved[0].id}")
    outage = unresolved[0] if unresolved else await outages.latest(tx)
    if outage is None:
        raise NotFoundError("There has been no outage. Name a campaign: /resend plan CAMPAIGN")
    return outage


async def _campaign(tx: Tx, word: str) -> Target:
    name = complete(word, await campaigns.names(tx), "campaign", "Import one first: holdfast import.")
    campaign = await campaigns.by_name(tx, name)
    if campaign is None:
        raise NotFoundError(f"The campaign {name} has just gone. /campaign list shows those there are.")
    touched = await campaigns.outages_of(tx, [campaign.id])
    return Target(Scope(None, campaign.id), name, name, touched.get(campaign.id))


async def survey(tx: Tx, target: Target, at: datetime) -> dict[str, int]:
    """Every category with its count, among all deliveries of the campaigns concerned."""
    aside = await resends.set_aside(tx, await resends.campaigns_in(tx, target.scope))
    found = await resends.survey(tx, target.scope, at)
    found["suppressed"] += aside[DeliveryStatus.SUPPRESSED]
    found["expired"] += aside[DeliveryStatus.EXPIRED]
    found["never_attempted"] = aside[DeliveryStatus.QUEUED]
    return {category: found[category] for category in CATEGORIES}


async def count_items(tx: Tx, resend: Resend, concerned: list[int]) -> tuple[Counter[str], Counter[int]]:
    """What was frozen, by category with `canary`, and by wave. Sets the resend's campaigns and total to match.

    A delivery may have failed between the survey and the freeze, so the items have the last word.
    """
    rows = await resends.tally(tx, resend.id, concerned)
    counts: Counter[str] = Counter()
    waves: Counter[int] = Counter()
    for row in rows:
        counts[_CATEGORY[DeliveryStatus(row.before)]] += row.items
        waves[row.wave] += row.items
    counts["canary"] = waves[0]
    resend.campaign_ids = sorted({row.campaign_id for row in rows})
    resend.total = sum(row.items for row in rows)
    return counts, waves


def nothing_to_resend(target: Target, counts: Mapping[str, int]) -> BotError:
    """The sentence that says what there is instead, and what one can do about it."""
    parts = [sentence.format(number(counts[key], "message")) for key, sentence in _INSTEAD.items() if counts.get(key)]
    choices = [key for key in ("unknown", "refused") if counts.get(key)]
    hint = f" To include them: /resend plan {target.word} with {' '.join(choices)}" if choices else ""
    there_is = f": {joined(parts)}" if parts else ", as nothing of it has failed"
    return BotError(f"There is nothing to send again for {target.name}{there_is}.{hint}")


_INSTEAD = {
    "unknown": "{} may have arrived already",
    "refused": "{} refused by the server for a reason that must be put right first",
    "permanent": "{} failed for good, as the addresses do not take mail",
    "suppressed": "{} to suppressed addresses",
    "expired": "{} of an offer that has ended",
    "elsewhere": "{} in another resend that has not ended",
    "never_attempted": "{} not tried yet, which the campaign sends when it goes on",
}
