"""Approvals: what mails many people needs a second person, who decides on exactly what they saw."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from bot.access import HOLDFAST, Access, Actor
from bot.config import Settings
from bot.errors import NotAllowedError, NotFoundError, WrongStateError
from bot.services.words import moment
from storage import approvals, campaigns, timeline
from storage.db import Tx
from storage.models import Approval, ApprovalState
from storage.timeline import Entry

Subject = Literal["resend", "notice", "campaign"]

_ASK_AGAIN: dict[str, str] = {
    "resend": "Ask again with /resend plan.",
    "notice": "Ask again with /notice send.",
    "campaign": "Ask again with /campaign start or /campaign cancel.",
}


class ExpiredError(WrongStateError):
    """Nobody decided in time. This has been written: a caller that commits keeps it, or the scheduler does it again."""


class Approvals:
    """Used inside the caller's transaction, so that a decision and what it sets going are one change."""

    def __init__(self, settings: Settings, access: Access) -> None:
        self._settings = settings.approvals
        self._access = access

    async def request(
        self, tx: Tx, subject: Subject, subject_id: int, plan_hash: str, actor: Actor, at: datetime
    ) -> Approval:
        """Ask for a decision on what has this hash. An earlier question about the same subject is void."""
        await approvals.void(tx, subject, subject_id, at)
        return await approvals.add(
            tx,
            Approval(
                subject=subject,
                subject_id=subject_id,
                plan_hash=plan_hash,
                state=ApprovalState.PENDING,
                requested_by=actor.mention,
                requested_at=at,
                expires_at=at + self._settings.expires_after,
            ),
        )

    async def decide(
        self,
        tx: Tx,
        actor: Actor,
        permission: str,
        subject: Subject,
        subject_id: int,
        plan_hash: str,
        at: datetime,
        *,
        approve: bool,
        choice: Literal["all", "canary", "ramp", "whole"] | None = None,
        recipients: int,
    ) -> Approval:
        """Approve or reject, once. `recipients` is how many people would be mailed.

        Raises NotAllowedError (the role, or one's own request), WrongStateError (decided already, or another plan
        than the one shown), ExpiredError (too late) and NotFoundError (nothing was asked).
        """
        try:
            approval = await self.check(
                tx, actor, permission, subject, subject_id, plan_hash, at, approve=approve, recipients=recipients
            )
        except ExpiredError:
            late = await approvals.latest(tx, subject, subject_id)
            if late and await approvals.settle(tx, late.id, ApprovalState.EXPIRED, by=None, at=at):
                await self._announce_expiry(tx, late, at)
            raise
        state = ApprovalState.APPROVED if approve else ApprovalState.REJECTED
        won = await approvals.settle(tx, approval.id, state, by=actor.mention, at=at, choice=choice)
        decided = await approvals.latest(tx, subject, subject_id)
        if decided is None or not won:
            # Somebody was faster by less than a transaction.
            _check_pending(decided or approval, at)
        return decided or approval

    async def check(
        self,
        tx: Tx,
        actor: Actor,
        permission: str,
        subject: Subject,
        subject_id: int,
        plan_hash: str,
        at: datetime,
        *,
        approve: bool,
        recipients: int,
    ) -> Approval:
        """The question that may be decided so, by this person, now. Nothing is written. Raises what `decide` raises."""
        self._access.require(actor, permission)
        approval = await approvals.latest(tx, subject, subject_id)
        if approval is None:
            raise NotFoundError(f"Nobody asked for an approval of {subject} {subject_id}. {_ASK_AGAIN[subject]}")
        _check_pending(approval, at)
        if approval.expires_at <= at:
            raise _expired(approval, at)
        if approval.plan_hash != plan_hash:
            raise WrongStateError(
                f"The {subject} has changed since that message was shown, so its approval is void. "
                "Nothing was decided: look at the newest message and decide there."
            )
        if approve:
            self.check_second_person(actor, approval.requested_by, recipients, asked=subject == "campaign")
        return approval

    def check_second_person(self, actor: Actor, requested_by: str, recipients: int, *, asked: bool = False) -> None:
        """Raises NotAllowedError when who asked would approve, unless the settings allow it for so few recipients.

        `asked`: it was only asked because there are too many for one person.
        """
        # By the id, where there is one: whoever changes their name stays the same person.
        if requested_by not in {actor.mention, actor.name} and not requested_by.startswith(f"<@{actor.id}>"):
            return
        alone = 0 if asked else self._settings.second_person_above
        if 0 < recipients <= alone and self._access.glass_of(actor) is None:
            return
        limit = f" Up to {alone:,} recipients one may approve alone; these are {recipients:,}." if alone else ""
        raise NotAllowedError(f"You asked for this; somebody else must approve.{limit}")

    def holders(self, permission: str) -> tuple[str, ...]:
        """Who may, as messages name them: mentions, or `everybody`. Empty when nobody has the role."""
        return self._access.holders(permission)

    async def latest(self, tx: Tx, subject: Subject, subject_id: int) -> Approval | None:
        return await approvals.latest(tx, subject, subject_id)

    async def waiting(self, tx: Tx) -> Sequence[Approval]:
        """What waits for a decision, oldest first."""
        return await approvals.pending(tx)

    async def withdraw(self, tx: Tx, subject: Subject, subject_id: int, at: datetime) -> None:
        """The plan has gone: nobody needs to decide any more."""
        await approvals.void(tx, subject, subject_id, at)

    async def expire(self, tx: Tx, at: datetime) -> Sequence[Approval]:
        """Mark the overdue ones, tell it where they were asked, and return them. The scheduler calls it."""
        overdue = await approvals.expire(tx, at)
        for approval in overdue:
            await self._announce_expiry(tx, approval, at)
        return overdue

    async def _announce_expiry(self, tx: Tx, approval: Approval, at: datetime) -> None:
        """The card shows it, and its thread says it."""
        subject, number = approval.subject, approval.subject_id
        # A campaign can be asked about again and again, and each question has a card of its own.
        card = f"ask:{approval.id}" if subject == "campaign" else f"{subject}:{number}"
        names = await campaigns.names_of(tx, [number]) if subject == "campaign" else {}
        name = names.get(number, f"{subject.capitalize()} {number}")
        outage_id = await approvals.outage_of(tx, subject, number)
        await timeline.ensure_post(tx, card, at, parent=f"outage:{outage_id}" if outage_id else None)
        entry = Entry(
            kind="approval.expired",
            text=f"{name}: {_expired(approval, at)}",
            actor=HOLDFAST.name,
            at=at,
            outage_id=outage_id,
            campaign_id=number if subject == "campaign" else None,
            resend_id=number if subject == "resend" else None,
            notice_id=number if subject == "notice" else None,
        )
        await timeline.record(tx, entry, parent=None if outage_id else card)


def _expired(approval: Approval, at: datetime) -> ExpiredError:
    return ExpiredError(
        f"Nobody approved it before {moment(approval.expires_at, at)}, so the request has expired. "
        f"{_ASK_AGAIN[approval.subject]}"
    )


def _check_pending(approval: Approval, at: datetime) -> None:
    """Raises WrongStateError, which says who decided and when, unless a decision is still wanted."""
    if approval.state == ApprovalState.PENDING:
        return
    if approval.state == ApprovalState.EXPIRED:
        raise _expired(approval, at)
    if approval.state == ApprovalState.VOID:
        raise WrongStateError(f"This approval is void: the plan has changed. {_ASK_AGAIN[approval.subject]}")
    decided_at = moment(approval.decided_at or at, at)
    raise WrongStateError(f"Already {approval.state} by {approval.decided_by or 'somebody'} at {decided_at}.")
