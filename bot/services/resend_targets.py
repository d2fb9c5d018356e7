"""Which resend a command means, and whether it may go, stop or end: for the deed and for its plan."""

from datetime import datetime
from typing import NamedTuple

from bot.access import Actor
from bot.errors import WrongStateError
from bot.services.approvals import Approvals
from bot.services.resend_rules import ChangedError, check_canary_done, check_unchanged, chosen, take, usable
from bot.services.resend_shapes import LIVE, canary_is_done
from storage import resends
from storage.db import Tx
from storage.models import DeliveryStatus, Resend, ResendState


class Resumable(NamedTuple):
    """A resend that can go on, how many messages wait in it, and ` through NAME`."""

    resend: Resend
    queued: int
    through: str


async def to_pause(tx: Tx, resend_id: int | None) -> Resend:
    return await chosen(tx, resend_id, [ResendState.SENDING], "pause")


async def to_resume(tx: Tx, resend_id: int | None, at: datetime) -> Resumable:
    """Raises WrongStateError where only an approver may let it go on, or no server could carry it."""
    resend = await chosen(tx, resend_id, [ResendState.PAUSING, ResendState.PAUSED], "resume")
    queued = (await resends.statuses(tx, resend.id))[DeliveryStatus.QUEUED]
    if canary_is_done(resend, queued):
        raise WrongStateError(
            f"The canary of resend {resend.id} is done. An approver lets the rest go with the button "
            "“Send the rest” on its card; /resend cancel leaves it at that."
        )
    return Resumable(resend, queued, await usable(tx, resend, at, again="resume"))


async def to_cancel(tx: Tx, resend_id: int | None) -> Resend:
    return await chosen(tx, resend_id, LIVE, "cancel")


async def to_rest(tx: Tx, approvals: Approvals, actor: Actor, resend_id: int, plan_hash: str | None) -> Resend:
    """A resend whose canary is done, for an approver who did not ask for it. `plan_hash` is what the person saw."""
    resend = await take(tx, resend_id)
    check_canary_done(resend, await resends.statuses(tx, resend.id))
    if plan_hash not in {None, resend.plan_hash}:
        raise WrongStateError(f"That button belongs to another plan than resend {resend.id} has now.")
    approvals.check_second_person(actor, resend.requested_by, resend.total)
    return resend


async def can_go(tx: Tx, resend: Resend, at: datetime) -> str:
    """` through NAME`, if the ledger still is what was planned. Raises ChangedError and WrongStateError."""
    await check_unchanged(tx, resend)
    if await resends.fingerprint(tx, resend) != resend.plan_hash:
        raise ChangedError(0)
    return await usable(tx, resend, at)


def void_note(count: int) -> str:
    """Why a plan is void: how many of its deliveries are not as it found them; 0 where the plan itself is not."""
    what = f"{count:,} of its deliveries have" if count > 1 else "one of its deliveries has" if count else "it has"
    return f"{what} changed since it was planned"


def void_sentence(resend_id: int, count: int) -> str:
    return f"Resend {resend_id} is void: {void_note(count)}. Nothing more was sent; plan again: /resend plan"
