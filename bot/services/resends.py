"""Resends: a frozen plan of what was lost, approved by a second person, sent again exactly once."""

from collections.abc import Sequence
from datetime import datetime
from itertools import accumulate
from typing import Any, Literal

from bot.access import HOLDFAST, Access, Actor
from bot.clock import now
from bot.config import Settings
from bot.errors import NotFoundError, WrongStateError
from bot.services.approvals import Approvals, ExpiredError
from bot.services.ramp_shapes import plain, status_of
from bot.services.resend_planning import Target, count_items, find_target, nothing_to_resend, survey
from bot.services.resend_rules import (
    PAUSED,
    PAUSING,
    PLANNED,
    SENDING,
    ChangedError,
    check_unchanged,
    check_undecided,
    get,
    go,
    is_ramped_unasked,
    move,
    queue,
    take,
    tell,
    usable,
    waiting,
    wished_to_stop,
)
from bot.services.resend_shapes import ResendStatus, carrier, progress
from bot.services.resend_targets import can_go, to_cancel, to_pause, to_rest, to_resume, void_note, void_sentence
from bot.services.words import number
from storage import deliveries, ramps, resends, stops, workers
from storage.db import Database, Tx
from storage.models import Resend, ResendState
from storage.ramps import Send

Choice = Literal["all", "canary", "ramp", "whole"]
"""All of it, as the settings say for its size; the first 1 %, and the rest by another word; in stages; at once."""


class _SamePlanError(Exception):
    """The same plan is waiting already; carries its id."""

    def __init__(self, resend_id: int) -> None:
        self.resend_id = resend_id


class Resends:
    """What may be done to a resend. The sender does the sending and confirms what stops."""

    def __init__(self, db: Database, settings: Settings, access: Access, approvals: Approvals) -> None:
        self._db = db
        self._settings = settings
        self._access = access
        self._approvals = approvals

    async def plan(
        self, actor: Actor, word: str | None = None, *, include_unknown: bool = False, include_refused: bool = False
    ) -> Resend:
        """Freeze what would be sent again of an outage or a campaign, and ask for its approval.

        The same plan asked for twice is one plan; another one over the same campaigns replaces it. Raises BotError
        when there is nothing to send again, and says what there is instead.
        """
        self._access.require(actor, "resend.plan")
        at = now()
        async with self._db.read() as tx:
            # Counting walks through whole campaigns, so it is done while others may write.
            target = await find_target(tx, word)
            found = await survey(tx, target, at)
        resend = _draft(target, actor, at, include_unknown=include_unknown, include_refused=include_refused)
        try:
            async with self._db.transaction() as tx:
                await resends.alone(tx)
                await _freeze(tx, resend, target, found, self._stages(), at)
                await self._replace_earlier(tx, resend, at)
                await self._approvals.request(tx, "resend", resend.id, resend.plan_hash, actor, at)
                text = f"{actor.mention} planned resend {resend.id}: {number(resend.total, 'message')}."
                await tell(tx, resend, "resend.planned", text, actor, at, post=False)
        except _SamePlanError as same:
            async with self._db.read() as tx:
                return await get(tx, same.resend_id)
        return resend

    def _stages(self) -> list[int]:
        """Those of the settings, with a first one of 1 %, which can be sent by itself."""
        return [resends.FIRST, *(each for each in self._settings.ramp.stages if each > resends.FIRST)]

    async def _replace_earlier(self, tx: Tx, resend: Resend, at: datetime) -> None:
        for earlier in await resends.in_states(tx, [ResendState.PLANNED]):
            if earlier.id == resend.id or not set(earlier.campaign_ids) & set(resend.campaign_ids):
                continue
            approval = await self._approvals.latest(tx, "resend", earlier.id)
            if earlier.plan_hash == resend.plan_hash and approval is not None and approval.expires_at > at:
                raise _SamePlanError(earlier.id)
            await self._make_void(tx, earlier, f"replaced by plan {resend.id}", at, post=False)

    async def approve(
        self, actor: Actor, resend_id: int, plan_hash: str | None = None, choice: Choice = "all"
    ) -> Resend:
        """Let a plan go, as `choice` says. `plan_hash` is what the person saw; None: as it is now.

        Raises NotAllowedError and WrongStateError. A plan that the ledger has left behind becomes void.
        """
        at = now()
        try:
            return await self._decide(actor, resend_id, plan_hash, choice, at)
        except ChangedError as changed:
            raise await self._void(resend_id, changed.count, at) from None

    async def reject(self, actor: Actor, resend_id: int, plan_hash: str | None = None) -> Resend:
        """Say no to a plan: nothing of it is sent. Raises NotAllowedError and WrongStateError."""
        return await self._decide(actor, resend_id, plan_hash, None, now())

    async def _decide(
        self, actor: Actor, resend_id: int, plan_hash: str | None, choice: Choice | None, at: datetime
    ) -> Resend:
        self._access.require(actor, "resend.approve")
        async with self._db.transaction() as tx:
            resend = await take(tx, resend_id)
            check_undecided(resend)
            try:
                await self._approvals.decide(
                    tx,
                    actor,
                    "resend.approve",
                    "resend",
                    resend.id,
                    plan_hash or resend.plan_hash,
                    at,
                    approve=choice is not None,
                    choice=choice,
                    recipients=resend.total,
                )
            except ExpiredError as error:
                late = error  # leaving the block in order keeps what was written about it
            else:
                if choice is None:
                    return await _reject(tx, actor, resend, at)
                return await _let_go(tx, actor, resend, self._resolved(resend, choice), at)
        raise late

    def _resolved(self, resend: Resend, choice: Choice) -> Choice:
        return "ramp" if choice == "all" and is_ramped_unasked(resend, self._settings.ramp) else choice

    async def rest(self, actor: Actor, resend_id: int, plan_hash: str | None = None) -> Resend:
        """After the canary: send what was held back. For an approver who did not ask for the resend."""
        self._access.require(actor, "resend.approve")
        at = now()
        try:
            async with self._db.transaction() as tx:
                resend = await to_rest(tx, self._approvals, actor, resend_id, plan_hash)
                return await _let_rest_go(tx, actor, resend, at)
        except ChangedError as changed:
            raise await self._void(resend_id, changed.count, at) from None

    async def pause(self, actor: Actor, resend_id: int | None = None) -> Resend:
        """Ask the sender to stop; it confirms within moments. None: the only one that is sending."""
        self._access.require(actor, "resend.pause")
        at = now()
        await stops.foretell(self._db, lambda tx: _to_stop(tx, resend_id))
        async with self._db.transaction() as tx:
            resend = await to_pause(tx, resend_id)
            note = f"paused by {actor.mention}"
            stop: dict[str, Any] = {"wish": ResendState.PAUSED, "note": note, **wished_to_stop(at)}
            resend = await move(tx, resend, [SENDING], ResendState.PAUSING, **stop)
            text = f"{actor.mention} pauses resend {resend.id}: {await waiting(tx, resend)} have not gone out."
            await tell(tx, resend, "resend.pausing", text, actor, at)
            return resend

    async def resume(self, actor: Actor, resend_id: int | None = None) -> Resend:
        """Go on where it stood. None: the only one that is paused."""
        self._access.require(actor, "resend.resume")
        at = now()
        async with self._db.transaction() as tx:
            resend, queued, through = await to_resume(tx, resend_id, at)
            go_on: dict[str, Any] = {"note": None, **wished_to_stop(None)}
            resend = await move(tx, resend, [PAUSED, PAUSING], ResendState.SENDING, **go_on)
            await ramps.count_anew(tx, [Send(tuple(resend.campaign_ids), resend.id)], at)
            text = f"{actor.mention} resumed resend {resend.id}: {go(queued)} out{through}."
            await tell(tx, resend, "resend.resumed", text, actor, at)
            return resend

    async def cancel(self, actor: Actor, resend_id: int | None = None) -> Resend:
        """End it for good: what has not gone out is again what it was before. None: the only one there is."""
        self._access.require(actor, "resend.cancel")
        at = now()
        async with self._db.transaction() as tx:
            resend = await to_cancel(tx, resend_id)
            note = f"cancelled by {actor.mention}"
            if resend.state in {ResendState.SENDING, ResendState.PAUSING}:
                resend = await _stop_for_good(tx, resend, note, at)
                kind = "resend.cancelling"
                text = f"{actor.mention} cancels resend {resend.id}: {await waiting(tx, resend)} will not go out."
            else:
                seen = [PLANNED, PAUSED]
                resend = await move(tx, resend, seen, ResendState.CANCELLED, note=note, finished_at=at)
                await resends.give_back(tx, resend.id)
                await self._approvals.withdraw(tx, "resend", resend.id, at)
                kind = "resend.cancelled"
                sent = sum((await resends.statuses(tx, resend.id)).values())
                text = f"{actor.mention} cancelled resend {resend.id}: {sent:,} of {resend.total:,} had gone out."
            await tell(tx, resend, kind, text, actor, at)
            return resend

    async def list(self) -> Sequence[Resend]:
        """The newest, newest first."""
        async with self._db.read() as tx:
            return await resends.recent(tx)

    async def status(self, resend_id: int | None = None) -> ResendStatus:
        """Where a resend stands; None: the newest one. Raises NotFoundError."""
        at = now()
        async with self._db.read() as tx:
            if resend_id is None:
                newest = await resends.recent(tx, 1)
                if not newest:
                    raise NotFoundError("No resend has been planned yet. Plan one: /resend plan")
                resend = newest[0]
            else:
                resend = await get(tx, resend_id)
            return await self.seen(tx, resend, at)

    async def seen(self, tx: Tx, resend: Resend, at: datetime) -> ResendStatus:
        """Where it stands, read in the caller's transaction."""
        placed = await resends.placed(tx, resend.campaign_ids, at)
        return ResendStatus(
            resend=resend,
            campaigns=tuple(dict.fromkeys(place.campaign.name for place in placed)),
            progress=progress(resend, await resends.statuses(tx, resend.id)),
            rate_per_minute=await deliveries.rate_per_minute(tx, resend.campaign_ids, at),
            carriers=tuple(dict.fromkeys(carrier(place) for place in placed)),
            approval=await self._approvals.latest(tx, "resend", resend.id),
            approvers=self._approvals.holders("resend.approve"),
            sender_runs=await workers.alive(tx, at),
            at=at,
            ramp=status_of(await ramps.of(tx, Send(tuple(resend.campaign_ids), resend.id)), self._settings.ramp),
            ramped_unasked=is_ramped_unasked(resend, self._settings.ramp),
        )

    async def _void(self, resend_id: int, count: int, at: datetime) -> WrongStateError:
        """In a transaction of its own, since the one that found the change has been rolled back."""
        note = void_note(count)
        async with self._db.transaction() as tx:
            resend = await take(tx, resend_id)
            if resend.state in {ResendState.PLANNED, ResendState.PAUSED}:
                await self._make_void(tx, resend, note, at)
        return WrongStateError(void_sentence(resend_id, count))

    async def _make_void(self, tx: Tx, resend: Resend, note: str, at: datetime, *, post: bool = True) -> None:
        await self._approvals.withdraw(tx, "resend", resend.id, at)
        resend = await move(tx, resend, [PLANNED, PAUSED], ResendState.VOID, note=note, finished_at=at)
        text = f"Resend {resend.id} is void: {note}."
        await tell(tx, resend, "resend.void", text, HOLDFAST, at, post=post)


async def _to_stop(tx: Tx, resend_id: int | None) -> list[stops.Stop]:
    return [("resend", str((await to_pause(tx, resend_id)).id))]


def _draft(target: Target, actor: Actor, at: datetime, *, include_unknown: bool, include_refused: bool) -> Resend:
    return Resend(
        outage_id=target.outage_id,
        campaign_ids=[],
        include_unknown=include_unknown,
        include_refused=include_refused,
        plan_hash="",
        total=0,
        requested_by=actor.mention,
        created_at=at,
    )


async def _freeze(
    tx: Tx, resend: Resend, target: Target, found: dict[str, int], stages: list[int], at: datetime
) -> None:
    chosen = ["safe", *["unknown"] * resend.include_unknown, *["refused"] * resend.include_refused]
    await resends.add(tx, resend)
    await resends.freeze(tx, resend.id, target.scope, chosen, at, stages)
    items, waves = await count_items(tx, resend, await resends.campaigns_in(tx, target.scope))
    if not resend.total:
        raise nothing_to_resend(target, found)
    resend.counts = found | {key: items[key] for key in (*chosen, "canary")}
    resend.plan_hash = await resends.fingerprint(tx, resend)
    sizes = list(accumulate(waves[wave] for wave in range(len(stages))))
    await ramps.put(tx, Send(tuple(resend.campaign_ids), resend.id), stages=stages, sizes=sizes, stage=-1)


async def _stop_for_good(tx: Tx, resend: Resend, note: str, at: datetime) -> Resend:
    """The clock of a stop that is under way runs on: what slips out counts from the first wish."""
    stop: dict[str, Any] = {"wish": ResendState.CANCELLED, "note": note}
    stopping = await resends.move(tx, resend.id, [PAUSING], **stop)
    if stopping is not None:
        return stopping
    return await move(tx, resend, [SENDING], ResendState.PAUSING, **stop, **wished_to_stop(at))


async def _let_go(tx: Tx, actor: Actor, resend: Resend, choice: Choice, at: datetime) -> Resend:
    """An approved plan begins, if the ledger still is what was approved."""
    canary = int(resend.counts["canary"])
    first, ramped = (choice == each and canary < resend.total for each in ("canary", "ramp"))
    through = await can_go(tx, resend, at)
    what = f"{go(resend.total)} out"
    if first:
        resend = await queue(tx, resend, PLANNED, 0, canary, at)
        what = f"1 % goes out first, {canary:,} of {number(resend.total, 'message')}"
    elif ramped:
        resend = await queue(tx, resend, PLANNED, resends.EVERY_WAVE, resend.total, at, wave_now=0)
        ramp = await ramps.put(tx, Send(tuple(resend.campaign_ids), resend.id), stage=0)
        what += f" in stages, {plain(tuple(ramp.stages))}, {canary:,} first,"
    else:
        resend = await queue(tx, resend, PLANNED, resends.EVERY_WAVE, resend.total, at)
    await tell(
        tx, resend, "resend.approved", f"{actor.mention} approved resend {resend.id}: {what}{through}.", actor, at
    )
    return resend


async def _let_rest_go(tx: Tx, actor: Actor, resend: Resend, at: datetime) -> Resend:
    await check_unchanged(tx, resend)
    through = await usable(tx, resend, at)
    rest = resend.total - int(resend.counts["canary"])
    resend = await queue(tx, resend, PAUSED, resends.EVERY_WAVE, rest, at)
    await ramps.count_anew(tx, [Send(tuple(resend.campaign_ids), resend.id)], at)
    text = f"{actor.mention} let the rest of resend {resend.id} go: {go(rest)} out{through}."
    await tell(tx, resend, "resend.rest_approved", text, actor, at)
    return resend


async def _reject(tx: Tx, actor: Actor, resend: Resend, at: datetime) -> Resend:
    note = f"rejected by {actor.mention}"
    resend = await move(tx, resend, [PLANNED], ResendState.REJECTED, note=note, finished_at=at)
    text = f"{actor.mention} rejected resend {resend.id}. Nothing of it was sent."
    await tell(tx, resend, "resend.rejected", text, actor, at)
    return resend
