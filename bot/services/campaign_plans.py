"""What starting, pausing, resuming and cancelling campaigns would do."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from bot.access import Access, Actor
from bot.clock import now
from bot.config import Settings
from bot.services import campaign_targets as targets
from bot.services import ramp_steps
from bot.services.campaign_asking import CampaignAsking, Deed, deed_of, is_own
from bot.services.campaign_results import check
from bot.services.plans import Plan, campaigns_text, load, named, to_go, which
from bot.services.ramp_shapes import plain
from bot.services.ramping import sizes
from bot.services.server_results import by_way_of
from bot.services.words import number
from storage.campaigns import Placed
from storage.db import Database, Tx
from storage.models import Approval, CampaignState

_MOST_REASONS = 3
_ANEW = "This cannot be undone; to send it after all, import it under another name."


class CampaignPlans:
    """Each raises what its deed would raise."""

    def __init__(self, db: Database, settings: Settings, access: Access) -> None:
        self._db = db
        self._settings = settings
        self._access = access
        self._asking = CampaignAsking(settings, access)

    async def start(self, actor: Actor, word: str, *, ramp: bool | None = None) -> Plan:
        self._access.require(actor, "campaign.start")
        async with self._db.read() as tx:
            placed = await targets.to_start(tx, word, now(), lock=False)
            stages = await self._stages(tx, placed, ramp)
            if self._asking.is_needed(placed.campaign):
                return await self._ask(tx, actor, "start", placed, stages)
            name = placed.campaign.name
            does, facts = await _start(tx, placed), [*await _loads(tx, placed, now()), *stages]
        return Plan("campaign.start", f"begin to {does}", facts, named([name]), _rest_stops(name))

    async def _stages(self, tx: Tx, placed: Placed, ramp: bool | None) -> list[str]:
        """That it goes out in stages, as a fact."""
        limits = self._settings.ramp
        stages = tuple(limits.stages) if ramp else ()
        if ramp is None:
            stages = await ramp_steps.stages_of(tx, placed.campaign, limits)
        first = sizes(placed.campaign.recipients, stages)[:1]
        return [f"In stages, {plain(stages)}: {number(each, 'recipient')} first." for each in first]

    async def _ask(self, tx: Tx, actor: Actor, deed: Deed, placed: Placed, more: Sequence[str] = ()) -> Plan:
        """Of a large one: the approval is the question."""
        wanted = await self._asking.to_ask(tx, deed, placed, now())
        name = placed.campaign.name
        does, facts = f"cancel {name} for good", [await _would_not_get_it(tx, placed)]
        if deed == "start":
            does, facts = await _start(tx, placed), [*await _loads(tx, placed, now()), *more]
        else:
            facts.append(f"To stop it meanwhile: /campaign pause {name}")
        facts += _instead_of(wanted.before, now())
        does, undo = f"ask a second person to let you {does}", f"/campaign reject {name} takes it back."
        approvers = [each for each in self._asking.holders() if not each.startswith(f"<@{actor.id}>")]
        return Plan(f"campaign.{deed}_large", does, facts, named([name]), undo, approvers)

    async def approve(self, actor: Actor, word: str) -> Plan:
        self._access.require(actor, "campaign.approve")
        at = now()
        async with self._db.read() as tx:
            placed = await targets.find(tx, word, now())
            question = await self._asking.to_settle(tx, actor, placed, at, approve=True)
            name, facts = placed.campaign.name, [f"Asked for by {question.requested_by}."]
            if deed_of(question) == "start":
                await targets.check_start(tx, placed, at)
                does, facts = await _start(tx, placed), [*facts, *await _loads(tx, placed, now())]
                return Plan("campaign.approve", f"approve it and {does}", facts, named([name]), _rest_stops(name))
            check("cancel", placed.campaign, at)
            facts = [*facts, await _would_not_get_it(tx, placed), *_elsewhere(placed.campaign.state)]
        return Plan("campaign.approve_end", f"approve it and cancel {name} for good", facts, named([name]), _ANEW)

    async def reject(self, actor: Actor, word: str) -> Plan:
        async with self._db.read() as tx:
            placed = await targets.find(tx, word, now())
            question = await self._asking.to_settle(tx, actor, placed, now(), approve=False)
        name, deed = placed.campaign.name, deed_of(question)
        does = f"take back your wish to {deed} {name}"
        if not is_own(actor, question):
            does = f"reject the wish of {question.requested_by} to {deed} {name}"
        undo = f"/campaign {deed} {name} asks again."
        return Plan("campaign.reject", does, ["Nothing else is changed."], named([name]), undo)

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
            placed = await targets.to_cancel(tx, word, now())
            if self._asking.is_needed(placed.campaign):
                return await self._ask(tx, actor, "cancel", placed)
            facts = [await _would_not_get_it(tx, placed), *_elsewhere(placed.campaign.state)]
        name = placed.campaign.name
        return Plan("campaign.cancel", f"cancel {name} for good", facts, named([name]), _ANEW)


async def _start(tx: Tx, placed: Placed) -> str:
    waiting = number(await to_go(tx, [placed.campaign.id]), "recipient")
    return f"send {placed.campaign.name} to {waiting} through {by_way_of(placed)}"


async def _loads(tx: Tx, placed: Placed, at: datetime) -> list[str]:
    return [await load(tx, server, at) for server in placed.through]


def _rest_stops(name: str) -> str:
    return f"What has gone out cannot be taken back; /campaign pause {name} stops the rest."


async def _would_not_get_it(tx: Tx, placed: Placed) -> str:
    return f"{number(await to_go(tx, [placed.campaign.id]), 'recipient')} would not get it."


def _instead_of(before: Approval | None, at: datetime) -> list[str]:
    """An earlier question about the same campaign is void."""
    if before is None or before.expires_at <= at:
        return []
    return [f"What {before.requested_by} asked for, to {deed_of(before)} it, would be void."]


async def _facts(tx: Tx, found: Sequence[Placed]) -> list[str]:
    """How many people, and through what: the figures before the names."""
    if not found:
        return []
    waiting = number(await to_go(tx, [each.campaign.id for each in found]), "recipient")
    through = sorted({server.name for each in found for server in each.through})
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
