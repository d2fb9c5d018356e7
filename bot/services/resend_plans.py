"""What planning, deciding on, pausing, resuming and cancelling resends would do."""

from datetime import datetime

from bot.access import Access, Actor
from bot.clock import now
from bot.config import Settings
from bot.errors import WrongStateError
from bot.services.approvals import Approvals
from bot.services.plans import Plan
from bot.services.resend_planning import find_target, nothing_to_resend, survey
from bot.services.resend_rules import (
    ChangedError,
    check_unchanged,
    check_undecided,
    go,
    is_ramped_unasked,
    take,
    usable,
    waiting,
)
from bot.services.resend_targets import can_go, to_cancel, to_pause, to_rest, to_resume, void_sentence
from bot.services.resends import Choice
from bot.services.words import number
from storage.db import Database, Tx
from storage.models import Resend, ResendState


class ResendPlans:
    """Each raises what its deed would raise."""

    def __init__(self, db: Database, settings: Settings, access: Access, approvals: Approvals) -> None:
        self._db = db
        self._settings = settings
        self._access = access
        self._approvals = approvals

    async def plan(
        self, actor: Actor, word: str | None = None, *, include_unknown: bool = False, include_refused: bool = False
    ) -> Plan:
        self._access.require(actor, "resend.plan")
        async with self._db.read() as tx:
            target = await find_target(tx, word)
            found = await survey(tx, target, now())
        chosen = {"unknown": include_unknown, "refused": include_refused}
        total = found["safe"] + sum(found[key] for key, included in chosen.items() if included)
        if not total:
            raise nothing_to_resend(target, found)
        left_out = [f"{found[key]:,} {key}" for key, included in chosen.items() if found[key] and not included]
        facts = ["Nothing would be sent before its approval."]
        facts += [f"Left out: {' and '.join(left_out)}."] if left_out else []
        does = f"freeze a plan to send {number(total, 'message')} of {target.name} again, and ask for its approval"
        approvers = self._approvals.holders("resend.approve")
        return Plan("resend.plan", does, facts, [target.name], "/resend cancel takes the plan back.", approvers)

    async def approve(self, actor: Actor, resend_id: int, choice: Choice) -> Plan:
        at = now()
        async with self._db.read() as tx:
            resend = await self._undecided(tx, actor, resend_id, at, approve=True)
            try:
                through = await can_go(tx, resend, at)
            except ChangedError as changed:
                raise WrongStateError(void_sentence(resend.id, changed.count)) from None
        first, everything = int(resend.counts["canary"]), number(resend.total, "message")
        does = f"send {everything} again"
        if choice == "canary" and first < resend.total:
            does = f"send {first:,} of {everything}, 1 %, first"
        elif choice == "ramp" or (choice == "all" and is_ramped_unasked(resend, self._settings.ramp)):
            does += f" in stages, {first:,} first,"
        undo = f"What has gone out cannot be taken back; /resend pause {resend.id} stops the rest."
        return Plan("resend.approve", f"approve resend {resend.id}: {does}{through}", (), [f"resend {resend.id}"], undo)

    async def reject(self, actor: Actor, resend_id: int) -> Plan:
        async with self._db.read() as tx:
            resend = await self._undecided(tx, actor, resend_id, now(), approve=False)
        does = f"reject resend {resend.id}: none of its {number(resend.total, 'message')} is sent"
        return Plan("resend.reject", does, (), [f"resend {resend.id}"], "To ask again: /resend plan")

    async def _undecided(self, tx: Tx, actor: Actor, resend_id: int, at: datetime, *, approve: bool) -> Resend:
        self._access.require(actor, "resend.approve")
        resend = await take(tx, resend_id)
        check_undecided(resend)
        await self._approvals.check(
            tx,
            actor,
            "resend.approve",
            "resend",
            resend.id,
            resend.plan_hash,
            at,
            approve=approve,
            recipients=resend.total,
        )
        return resend

    async def rest(self, actor: Actor, resend_id: int) -> Plan:
        self._access.require(actor, "resend.approve")
        async with self._db.read() as tx:
            resend = await to_rest(tx, self._approvals, actor, resend_id, None)
            try:
                await check_unchanged(tx, resend)
            except ChangedError as changed:
                raise WrongStateError(void_sentence(resend.id, changed.count)) from None
            through = await usable(tx, resend, now())
        rest = resend.total - int(resend.counts["canary"])
        does = f"let the rest of resend {resend.id} go: {go(rest)} out{through}"
        return Plan("resend.rest", does, (), [f"resend {resend.id}"], f"/resend pause {resend.id} stops it.")

    async def pause(self, actor: Actor, resend_id: int | None) -> Plan:
        self._access.require(actor, "resend.pause")
        async with self._db.read() as tx:
            resend = await to_pause(tx, resend_id)
            facts = [f"{await waiting(tx, resend)} have not gone out."]
        undo = f"/resend resume {resend.id} lets it go on."
        return Plan("resend.pause", f"pause resend {resend.id}", facts, [f"resend {resend.id}"], undo)

    async def resume(self, actor: Actor, resend_id: int | None) -> Plan:
        self._access.require(actor, "resend.resume")
        async with self._db.read() as tx:
            resend, queued, through = await to_resume(tx, resend_id, now())
        does = f"let resend {resend.id} go on: {go(queued)} out{through}"
        return Plan("resend.resume", does, (), [f"resend {resend.id}"], f"/resend pause {resend.id} stops it again.")

    async def cancel(self, actor: Actor, resend_id: int | None) -> Plan:
        self._access.require(actor, "resend.cancel")
        async with self._db.read() as tx:
            resend = await to_cancel(tx, resend_id)
            left = await waiting(tx, resend)
        running = resend.state in {ResendState.SENDING, ResendState.PAUSING}
        facts = [f"{left} would not go out.", *(["It is being sent now; what is in flight still arrives."] * running)]
        undo = "This cannot be undone; what was not sent can be planned anew: /resend plan"
        return Plan("resend.cancel", f"cancel resend {resend.id} for good", facts, [f"resend {resend.id}"], undo)
