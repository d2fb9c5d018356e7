"""Campaigns: looked at, started, paused, resumed and cancelled by people."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from bot.access import Access, Actor
from bot.clock import now
from bot.config import Settings
from bot.errors import NotFoundError, WrongStateError
from bot.services import campaign_targets as targets
from bot.services import holding, ramp_steps
from bot.services.approvals import ExpiredError
from bot.services.campaign_asking import AskStatus, CampaignAsking, ChangedError, Deed
from bot.services.campaign_results import (
    CampaignRow,
    CampaignStatus,
    Moved,
    MoveResult,
    PauseResult,
    ResumeResult,
    cancel_text,
    check,
    hold_phrase,
    pause_text,
    remaining,
    resume_text,
    start_text,
)
from bot.services.provider_paces import slowed
from bot.services.ramp_shapes import status_of
from bot.services.server_results import by_way_of
from bot.services.undo_notes import keep
from bot.services.words import few, joined
from storage import campaigns, deliveries, stops, timeline, workers
from storage.campaigns import Placed
from storage.db import Database, Tx
from storage.models import Approval, Campaign, CampaignState, DeliveryStatus, Hold
from storage.timeline import Entry

__all__ = ["CampaignRow", "CampaignStatus", "Campaigns", "MoveResult", "Moved", "PauseResult", "ResumeResult"]


class Campaigns:
    """The campaigns that people imported. Changes are conditional: of two people at once, one is told of the other."""

    def __init__(self, db: Database, settings: Settings, access: Access) -> None:
        self._db = db
        self._settings = settings
        self._access = access
        self._asking = CampaignAsking(settings, access)

    # For other services, inside their transaction.
    hold = staticmethod(holding.hold)
    release = staticmethod(holding.release)

    async def find(self, word: str) -> Campaign:
        """The campaign that is meant. Raises NotFoundError that names the near ones."""
        async with self._db.read() as tx:
            return (await targets.find(tx, word, now())).campaign

    async def status(self, word: str) -> CampaignStatus:
        at = now()
        async with self._db.read() as tx:
            placed = await targets.find(tx, word, at)
            campaign = placed.campaign
            counts = await deliveries.counts(tx, campaign.id)
            rate = await deliveries.rate_per_minute(tx, [campaign.id], at)
            outages = await campaigns.outages_of(tx, [campaign.id])
            obstacles = await holding.Obstacles.read(tx, at)
            sender_alive = await workers.alive(tx, at)
            asked = await self._asking.pending(tx, campaign.id)
            ramp = await ramp_steps.shown(tx, campaign, self._settings.ramp)
            slow = await slowed(tx, placed.carrier.id, at) if campaign.state == CampaignState.SENDING else ()
        ended = campaign.state in {CampaignState.FINISHED, CampaignState.CANCELLED}
        return CampaignStatus(
            campaign=campaign,
            server=placed.server,
            carrier=placed.carrier,
            through=by_way_of(placed) if placed.carriers else None,
            counts=counts,
            rate_per_minute=rate,
            remaining=remaining(campaign, counts, rate),
            outage_id=outages.get(campaign.id),
            hold=hold_phrase(campaign, at),
            obstacle=None if ended else obstacles.of(placed),
            sender_alive=sender_alive,
            asked=asked,
            ramp=ramp,
            at=at,
            slowed=slow,
        )

    async def start(self, actor: Actor, word: str, *, ramp: bool | None = None) -> MoveResult:
        """Begin to send a scheduled campaign, or ask a second person when it is a large one.

        `ramp`: in stages, or all at once; None: as it was imported, or as the settings say for its size. Raises
        WrongStateError when it is not one, or cannot be sent now.
        """
        self._access.require(actor, "campaign.start")
        at = now()
        async with self._db.transaction() as tx:
            placed = await targets.to_start(tx, word, at, lock=True)
            if ramp is not None:
                stages = self._settings.ramp.stages if ramp else [100]
                await ramp_steps.choose(tx, placed.campaign.id, placed.campaign.recipients, stages)
            return await self._do_or_ask(tx, actor, "start", placed, at)

    async def _do_or_ask(self, tx: Tx, actor: Actor, deed: Deed, placed: Placed, at: datetime) -> MoveResult:
        if self._asking.is_needed(placed.campaign):
            text = await self._asking.ask(tx, actor, deed, placed, at)
            return MoveResult([], text, await workers.alive(tx, at))
        return await (self._start if deed == "start" else self._cancel)(tx, actor, placed, at)

    async def _start(
        self, tx: Tx, actor: Actor, placed: Placed, at: datetime, past: str = "started", reason: str = ""
    ) -> MoveResult:
        campaign = placed.campaign
        await targets.check_start(tx, placed, at)
        started = await campaigns.move(
            tx,
            [campaign.id],
            [CampaignState.SCHEDULED],
            state=CampaignState.SENDING,
            wish=CampaignState.SENDING,
            started_at=at,
            **holding.wished(actor, at),
        )
        await _check_won("start", campaign, started, tx, at)
        ramp = status_of(await ramp_steps.begin(tx, campaign, self._settings.ramp, at), self._settings.ramp)
        await self._asking.withdraw(tx, campaign.id, at)
        await record_move(tx, actor, at, "start", past, started, reason)
        moved = await _moved(tx, started, {campaign.id: CampaignState.SCHEDULED})
        alive = await workers.alive(tx, at)
        return MoveResult(moved, start_text(moved[0], by_way_of(placed), alive=alive, ramp=ramp), alive)

    async def approve(self, actor: Actor, which: str | int, seen_hash: str | None = None) -> MoveResult:
        """As a second person, let a large campaign be started or cancelled. `which`: its name, or its id.

        `seen_hash` is what the person saw; None: as it is now. Raises NotAllowedError and WrongStateError.
        """
        self._access.require(actor, "campaign.approve")
        at = now()
        late: WrongStateError
        async with self._db.transaction() as tx:
            placed = await _which(tx, which)
            try:
                deed, asked = await self._asking.settle(tx, actor, placed, seen_hash, at, approve=True)
            except (ExpiredError, ChangedError) as error:
                late = error  # leaving the block in order keeps what was written about it
            else:
                carry_out = self._start if deed == "start" else self._cancel
                past = f"approved and {'started' if deed == 'start' else 'cancelled'}"
                return await carry_out(tx, actor, placed, at, past, f"asked for by {asked.requested_by}")
        raise late

    async def reject(self, actor: Actor, which: str | int, seen_hash: str | None = None) -> str:
        """Say no, or take back what one asked for oneself; the sentence that says so. Raises as `approve`."""
        at = now()
        late: WrongStateError
        async with self._db.transaction() as tx:
            placed = await _which(tx, which)
            try:
                deed, _ = await self._asking.settle(tx, actor, placed, seen_hash, at, approve=False)
            except ExpiredError as error:
                late = error
            else:
                past = "started" if deed == "start" else "cancelled"
                return f"{placed.campaign.name} is not {past}. To ask again: /campaign {deed} {placed.campaign.name}"
        raise late

    async def asked(self, approval_id: int) -> AskStatus:
        """The question to a second person. Raises NotFoundError."""
        return await self._asking.status(self._db, approval_id)

    async def asked_in(self, tx: Tx, approval: Approval) -> AskStatus | None:
        """As `asked`, within the caller's transaction and without a look at the ledger; None: no such campaign."""
        return await self._asking.seen(tx, approval)

    async def pause(self, actor: Actor, word: str, reason: str = "") -> PauseResult:
        """Stop one campaign, or `all` that are sending. The sender confirms when nothing is in flight any more.

        One that an outage or a window holds already is taken over: it then waits for a person.
        """
        self._access.require(actor, "campaign.pause")
        at = now()
        await stops.foretell(self._db, lambda tx: _to_stop(tx, word, at))
        # In one go: where nothing could be foretold, mail leaves until this is committed.
        return await self._db.in_one_go(lambda tx: self._pause(tx, actor, word, reason, at))

    async def _pause(self, tx: Tx, actor: Actor, word: str, reason: str, at: datetime) -> PauseResult:
        found = await targets.to_pause(tx, word, at)
        before = {each.campaign.id: each.campaign.state for each in found}
        holds = await campaigns.holds_of(tx, before)
        stopped = await _stop(tx, actor, before, reason, at)
        if not targets.is_all(word):
            await _check_won("pause", found[0].campaign, stopped, tx, at)
        await record_move(tx, actor, at, "pause", "paused", stopped, reason)
        undo = await self._keep(tx, "pause", stopped, holds, actor, at)
        moved = await _moved(tx, stopped, before)
        alive = await workers.alive(tx, at)
        return PauseResult(moved, pause_text(moved, undo, alive=alive), alive, undo=undo)

    async def resume(self, actor: Actor, word: str) -> ResumeResult:
        """Let one campaign go on, or `all` that are paused.

        One campaign that cannot be sent now raises WrongStateError; of `all`, such ones are named in `refused`.
        """
        self._access.require(actor, "campaign.resume")
        at = now()
        async with self._db.transaction() as tx:
            found, refused = await targets.to_resume(tx, word, at, lock=True)
            before = {each.campaign.id: each.campaign.state for each in found}
            holds = await campaigns.holds_of(tx, before)
            resumed = await holding.let_go(tx, before, at, actor)
            if not targets.is_all(word):
                await _check_won("resume", found[0].campaign, resumed, tx, at)
            await record_move(tx, actor, at, "resume", "resumed", resumed)
            undo = await self._keep(tx, "resume", resumed, holds, actor, at)
            moved = await _moved(tx, resumed, before)
            alive = await workers.alive(tx, at)
        return ResumeResult(moved, resume_text(moved, refused, undo, alive=alive), alive, dict(refused), undo=undo)

    async def cancel(self, actor: Actor, word: str) -> MoveResult:
        """End a campaign for good: what was not sent yet is not sent any more. A second person approves a large one."""
        self._access.require(actor, "campaign.cancel")
        at = now()
        async with self._db.transaction() as tx:
            return await self._do_or_ask(tx, actor, "cancel", await targets.to_cancel(tx, word, at), at)

    async def _cancel(
        self, tx: Tx, actor: Actor, placed: Placed, at: datetime, past: str = "cancelled", reason: str = ""
    ) -> MoveResult:
        campaign = placed.campaign
        check("cancel", campaign, at)
        before = {campaign.id: campaign.state}
        cancelled = await _cancel(tx, actor, campaign.id, at)
        await _check_won("cancel", campaign, cancelled, tx, at)
        await self._asking.withdraw(tx, campaign.id, at)
        await record_move(tx, actor, at, "cancel", past, cancelled, reason)
        moved = await _moved(tx, cancelled, before)
        alive = await workers.alive(tx, at)
        return MoveResult(moved, cancel_text(moved[0], alive=alive), alive)

    async def _keep(
        self,
        tx: Tx,
        verb: str,
        moved: Sequence[Campaign],
        holds: Mapping[int, Mapping[str, Any]],
        actor: Actor,
        at: datetime,
    ) -> int | None:
        return await keep_holds(tx, verb, moved, holds, actor, at, self._settings.asking.undo_expires_after)

    async def list(self) -> list[CampaignRow]:
        """All campaigns, newest first."""
        async with self._db.read() as tx:
            found = await campaigns.placed(tx, now())
            counts = await deliveries.counts_of(tx, [each.campaign.id for each in found])
        return [
            CampaignRow(
                name=each.campaign.name,
                state=each.campaign.state,
                hold=each.campaign.hold,
                server=each.server.name,
                carrier=joined([server.name for server in each.through]),
                recipients=each.campaign.recipients,
                counts=counts[each.campaign.id],
                pool=each.pool,
            )
            for each in found
        ]


async def _to_stop(tx: Tx, word: str, at: datetime) -> list[stops.Stop]:
    return [("campaign", str(each.campaign.id)) for each in await targets.to_pause(tx, word, at)]


async def _which(tx: Tx, which: str | int) -> Placed:
    if isinstance(which, str):
        return await targets.find(tx, which, now(), lock=True)
    found = await campaigns.placed_by_id(tx, [which], now(), lock_servers=True)
    if not found:
        raise NotFoundError(f"There is no campaign with the number {which}.")
    return found[0]


async def _check_won(verb: str, seen: Campaign, moved: Sequence[Campaign], tx: Tx, at: datetime) -> None:
    """Somebody else was faster when nothing moved: say who, from the campaign as it is now."""
    if moved:
        return
    present = await campaigns.get(tx, seen.id)
    if present is not None:
        check(verb, present, at)
    raise WrongStateError(f"{seen.name} was changed by somebody else at this moment. Look at it and try again.")


async def _stop(tx: Tx, actor: Actor, campaign_ids: Iterable[int], reason: str, at: datetime) -> list[Campaign]:
    """Stop what is sending; what stands for another reason stands for a person's from now on.

    The live outage stays noted, so that the confirmation goes into its thread.
    """
    ids = sorted(campaign_ids)
    await campaigns.lock(tx, ids)
    outages = await campaigns.outages_of(tx, ids)
    stopped: list[Campaign] = []
    for outage_id, group in _by_outage(ids, outages):
        hold: dict[str, Any] = {"hold": Hold.PERSON, "hold_reason": reason or None, "hold_outage_id": outage_id}
        stopped += await campaigns.take_over(
            tx, group, **hold, hold_maintenance_id=None, wished_at=at, wished_by=actor.mention
        )
        stopped += await campaigns.move(
            tx,
            group,
            [CampaignState.SENDING],
            state=CampaignState.PAUSING,
            wish=CampaignState.PAUSED,
            confirmed_at=None,
            slipped=0,
            **hold,
            **holding.wished(actor, at),
        )
    return sorted(stopped, key=lambda campaign: campaign.name)


async def _cancel(tx: Tx, actor: Actor, campaign_id: int, at: datetime) -> list[Campaign]:
    """What stands is over at once; what is in flight has to stop first, and the sender confirms."""
    wished: dict[str, Any] = {"wish": CampaignState.CANCELLED, "wished_by": actor.mention}
    over = await campaigns.move(
        tx,
        [campaign_id],
        [CampaignState.SCHEDULED, CampaignState.PAUSED],
        state=CampaignState.CANCELLED,
        state_since=at,
        wished_at=at,
        confirmed_at=at,
        finished_at=at,
        **wished,
    )
    # The clock of a stop that is under way runs on: what slips out counts from the first wish.
    stopping = await campaigns.move(tx, [campaign_id], [CampaignState.PAUSING], CampaignState.PAUSED, **wished)
    outages = await campaigns.outages_of(tx, [campaign_id])
    stopped = await campaigns.move(
        tx,
        [campaign_id],
        [CampaignState.SENDING],
        state=CampaignState.PAUSING,
        state_since=at,
        wished_at=at,
        confirmed_at=None,
        slipped=0,
        hold_outage_id=outages.get(campaign_id),
        **wished,
    )
    return [*over, *stopping, *stopped]


def _by_outage(ids: Iterable[int], outages: Mapping[int, int]) -> list[tuple[int | None, list[int]]]:
    ordered = sorted(ids, key=lambda each: (outages.get(each, 0), each))
    return [(outage or None, [*group]) for outage, group in groupby(ordered, lambda each: outages.get(each, 0))]


async def record_move(
    tx: Tx, actor: Actor, at: datetime, verb: str, past: str, moved: Sequence[Campaign], reason: str = ""
) -> None:
    """One timeline entry for each thread that is concerned, and their cards."""
    by_id = {campaign.id: campaign for campaign in moved}
    outages = await campaigns.outages_of(tx, by_id)
    for outage_id, ids in _by_outage(by_id, outages):
        names = [by_id[each].name for each in ids]
        entry = Entry(
            kind=f"campaign.{verb}",
            text=f"{actor.mention} {past} {joined(names)}" + (f": {reason}" if reason else "."),
            actor=actor.id,
            at=at,
            outage_id=outage_id,
            campaign_id=ids[0] if len(ids) == 1 else None,
            data={"campaigns": names},
        )
        await timeline.record(tx, entry)
    await holding.refresh_cards(tx, moved, at)


async def keep_holds(
    tx: Tx,
    verb: str,
    moved: Sequence[Campaign],
    holds: Mapping[int, Mapping[str, Any]],
    actor: Actor,
    at: datetime,
    within: timedelta,
) -> int | None:
    """Note what held campaigns before they were paused or resumed. Returns the number to undo it by; None when
    nothing was moved.
    """
    if not moved:
        return None
    what = f"the {verb} of {few([each.name for each in moved])}"
    data = {"holds": {str(each.id): dict(holds.get(each.id, {})) for each in moved}}
    return await keep(tx, f"campaign.{verb}", what, actor, at, within, data)


async def _moved(tx: Tx, campaigns_now: Sequence[Campaign], before: Mapping[int, str]) -> list[Moved]:
    counts = await deliveries.counts_of(tx, [each.id for each in campaigns_now])
    return [
        Moved(each.name, before[each.id], each.state, counts[each.id][DeliveryStatus.QUEUED]) for each in campaigns_now
    ]
