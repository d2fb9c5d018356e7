"""What starting, pausing, resuming and cancelling campaigns would do."""

from collections.abc import Mapping, Sequence

from bot.access import Access, Actor
from bot.clock import now
from bot.services import campaign_targets as targets
from bot.services.plans import Plan, campaigns_text, load, named, to_go, which
from bot.services.words import number
from storage.campaigns import Placed
from storage.db import Database, Tx
from storage.models import CampaignState

_MOST_REASONS = 3


class CampaignPlans:
    """Each raises what its deed would raise."""

    def __init__(self, db: Database, access: Access) -> None:
        self._db = db
        self._access = access

    async def start(self, actor: Actor, word: str) -> Plan:
        self._access.require(actor, "campaign.start")
        async with self._db.read() as tx:
            placed = await targets.to_start(tx, word, now(), lock=False)
            name, carrier = placed.campaign.name, placed.carrier
            waiting = number(await to_go(tx, [placed.campaign.id]), "recipient")
            facts = (await load(tx, carrier),)
        does = f"begin to send {name} to {waiting} through {carrier.name}"
        undo = f"What has gone out cannot be taken back; /campaign pause {name} stops the rest."
        return Plan("campaign.start", does, facts, named([name]), undo)

    async def pause(self, actor: Actor, word: str) -> Plan:
        self._access.require(actor, "campaign.pause")
        async with self._db.read() as tx:
            found = await targets.to_pause(tx, word, now())
            sending = [each for each in found if each.campaign.state == CampaignState.SENDING]
            facts = await _facts(tx, sending)
        deed = "campaign.pause_all" if targets.is_all(word) else "campaign.pause"
        names = _names(found)
        if not found:
            return Plan(deed, "pause nothing, since nothing is being sent", nothing=True)
        if not sending:
            facts = [f"{names[0]} stands still already; it would stay paused until a person lets it go on."]
        return Plan(deed, f"pause {campaigns_text(names)}", facts, named(names))

    async def resume(self, actor: Actor, word: str) -> Plan:
        self._access.require(actor, "campaign.resume")
        async with self._db.read() as tx:
            found, refused = await targets.to_resume(tx, word, now(), lock=False)
            facts = [*await _facts(tx, found), *_refused(refused)]
        deed = "campaign.resume_all" if targets.is_all(word) else "campaign.resume"
        names = _names(found)
        if not found:
            does = "resume nothing" if refused else "resume nothing, since nothing is paused"
            return Plan(deed, does, facts if refused else (), nothing=True)
        undo = "Undo pauses them again; what has gone out by then cannot be taken back."
        return Plan(deed, f"let {campaigns_text(names)} go on", facts, named(names), undo)

    async def cancel(self, actor: Actor, word: str) -> Plan:
        self._access.require(actor, "campaign.cancel")
        async with self._db.read() as tx:
            campaign = (await targets.to_cancel(tx, word, now())).campaign
            waiting = number(await to_go(tx, [campaign.id]), "recipient")
        facts = [f"{waiting} would not get it.", *_elsewhere(campaign.state)]
        undo = "This cannot be undone; to send it after all, import it under another name."
        return Plan("campaign.cancel", f"cancel {campaign.name} for good", facts, named([campaign.name]), undo)


async def _facts(tx: Tx, found: Sequence[Placed]) -> list[str]:
    """How many people, and through what: the figures before the names."""
    if not found:
        return []
    waiting = number(await to_go(tx, [each.campaign.id for each in found]), "recipient")
    through = sorted({each.carrier.name for each in found})
    said = f"{waiting} still to go, through {' and '.join(through) if len(through) < 3 else f'{len(through)} servers'}."
    return [said, *which(_names(found))]


def _refused(refused: Mapping[str, str]) -> list[str]:
    """The first ones with their reasons: of many the reason is the same."""
    shown = [f"{name} stays paused. {why}" for name, why in list(refused.items())[:_MOST_REASONS]]
    more = len(refused) - len(shown)
    return [*shown, f"{number(more, 'campaign')} more would stay paused."] if more > 0 else shown


def _names(found: Sequence[Placed]) -> list[str]:
    return sorted(each.campaign.name for each in found)


def _elsewhere(state: str) -> list[str]:
    return ["It is being sent now; what is in flight still arrives."] if state == CampaignState.SENDING else []
