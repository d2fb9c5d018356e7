"""A second person for what mails many, or ends a mailing to many for good: `/campaign start` and `/campaign cancel`.

The decision is bound to a hash of what would be done. What each side wrote is in one transaction with what follows.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import datetime
from email import policy
from email.parser import BytesHeaderParser
from typing import Literal, cast

from bot.access import Access, Actor
from bot.clock import now
from bot.config import Settings
from bot.errors import NotFoundError, WrongStateError
from bot.services import ramp_steps
from bot.services.approvals import Approvals, ExpiredError
from bot.services.ramp_shapes import RampStatus
from bot.services.words import moment, number
from storage import approvals, campaigns, deliveries, messages, ramps, timeline
from storage.campaigns import Placed
from storage.db import Database, Tx
from storage.models import Approval, ApprovalState, Campaign, DeliveryStatus, Message
from storage.ramps import Send
from storage.timeline import Entry

Deed = Literal["start", "cancel"]


class ChangedError(WrongStateError):
    """What was asked for is not what would be done now. `settle` has written this: a caller that commits keeps it."""


@dataclass(frozen=True)
class Asking:
    """What a second person would be asked: the hash of it, and the unanswered question that it takes the place of."""

    digest: str
    before: Approval | None


@dataclass(frozen=True)
class AskStatus:
    """One question to a second person, as its card shows it."""

    approval: Approval
    deed: Deed
    placed: Placed
    sender: str
    """The From of the message."""
    to_go: int | None
    """Recipients that nothing was sent to yet; None where they were not counted: their number changes all the time."""
    approvers: tuple[str, ...]
    ramp: RampStatus | None = None
    """In which stages it would go out; None: all at once."""

    @property
    def campaign(self) -> Campaign:
        return self.placed.campaign


class CampaignAsking:
    """Used inside the transaction of bot/services/campaigns.py. The campaign's row is locked before the approval's."""

    def __init__(self, settings: Settings, access: Access) -> None:
        self._above = settings.approvals.campaigns_above
        self._ramp = settings.ramp
        self._approvals = Approvals(settings, access)

    def is_needed(self, campaign: Campaign) -> bool:
        return campaign.recipients > self._above

    def holders(self) -> tuple[str, ...]:
        """Who is asked, as messages name them."""
        return self._approvals.holders("campaign.approve")

    async def to_ask(self, tx: Tx, deed: Deed, placed: Placed, at: datetime) -> Asking:
        """What would be asked now. Nothing is written. Raises WrongStateError when that is asked already."""
        campaign = placed.campaign
        digest = await digest_of(tx, deed, placed)
        before = await self.pending(tx, campaign.id)
        if before is not None and before.plan_hash == digest and before.expires_at > at:
            raise WrongStateError(
                f"{before.requested_by} asked for it already at {moment(before.requested_at, at)}. Somebody else "
                f"approves it until {moment(before.expires_at, at)}: /campaign approve {campaign.name}"
            )
        return Asking(digest, before)

    async def ask(self, tx: Tx, actor: Actor, deed: Deed, placed: Placed, at: datetime) -> str:
        """Ask in the channel; the sentence for who asked. Raises WrongStateError when that is asked already."""
        campaign = placed.campaign
        await campaigns.lock(tx, [campaign.id])
        wanted = await self.to_ask(tx, deed, placed, at)
        approval = await self._approvals.request(tx, "campaign", campaign.id, wanted.digest, actor, at)
        if wanted.before is not None:
            await timeline.touch_post(tx, card_of(wanted.before.id))
        count = number(campaign.recipients, "recipient")
        text = f"{actor.mention} asks to {deed} {campaign.name}, with {count}."
        await _tell(tx, approval.id, campaign, "campaign.requested", text, actor, at, post=False)
        nothing = "Nothing is sent yet." if deed == "start" else "Nothing is cancelled yet."
        stop = f"\nTo stop it meanwhile: /campaign pause {campaign.name}" if deed == "cancel" else ""
        until = moment(approval.expires_at, at)
        return (
            f"{nothing} {campaign.name} has {count}, more than {self._above:,}, so a second person approves it first, "
            f"by the button in the channel until {until} or by /campaign approve {campaign.name}{stop}\n"
            f"Take it back with /campaign reject {campaign.name}"
        )

    async def to_settle(self, tx: Tx, actor: Actor, placed: Placed, at: datetime, *, approve: bool) -> Approval:
        """The question that this person may decide so now. Nothing is written. Raises what `settle` raises."""
        asked = await self._asked(tx, placed, at, approve=approve)
        return await self._approvals.check(
            tx,
            actor,
            _permission(actor, asked, approve=approve),
            "campaign",
            placed.campaign.id,
            asked.plan_hash,
            at,
            approve=approve,
            recipients=placed.campaign.recipients,
        )

    async def settle(
        self, tx: Tx, actor: Actor, placed: Placed, seen: str | None, at: datetime, *, approve: bool
    ) -> tuple[Deed, Approval]:
        """Decide. Raises what Approvals.decide raises, and ChangedError."""
        campaign = placed.campaign
        await campaigns.lock(tx, [campaign.id])
        try:
            asked = await self._asked(tx, placed, at, approve=approve)
        except ChangedError:
            await self.withdraw(tx, campaign.id, at)
            raise
        deed = deed_of(asked)
        try:
            decided = await self._approvals.decide(
                tx,
                actor,
                _permission(actor, asked, approve=approve),
                "campaign",
                campaign.id,
                seen or asked.plan_hash,
                at,
                approve=approve,
                recipients=campaign.recipients,
            )
        except ExpiredError:
            await timeline.touch_post(tx, card_of(asked.id))
            raise
        await timeline.touch_post(tx, card_of(asked.id))
        if not approve:
            done = "took back the wish" if is_own(actor, asked) else "rejected the wish"
            text = f"{actor.mention} {done} to {deed} {campaign.name}. Nothing was changed."
            await _tell(tx, asked.id, campaign, "campaign.rejected", text, actor, at)
        return deed, decided

    async def _asked(self, tx: Tx, placed: Placed, at: datetime, *, approve: bool) -> Approval:
        """The newest question. Raises NotFoundError; ChangedError where it would be approved and is another by now."""
        asked = await self._approvals.latest(tx, "campaign", placed.campaign.id)
        if asked is None:
            raise NotFoundError(f"Nobody asked for an approval of {placed.campaign.name}. Look at it: /campaign list")
        pending = asked.state == ApprovalState.PENDING and asked.expires_at > at
        deed = deed_of(asked)
        if not approve or not pending or await digest_of(tx, deed, placed) == asked.plan_hash:
            return asked
        raise ChangedError(
            f"{placed.campaign.name} or the server that carries it has changed since it was asked for, so the approval "
            f"is void and nothing was done. Ask again: /campaign {deed} {placed.campaign.name}"
        )

    async def withdraw(self, tx: Tx, campaign_id: int, at: datetime) -> None:
        """Nobody needs to decide any more."""
        pending = await self.pending(tx, campaign_id)
        if pending is not None:
            await self._approvals.withdraw(tx, "campaign", campaign_id, at)
            await timeline.touch_post(tx, card_of(pending.id))

    async def pending(self, tx: Tx, campaign_id: int) -> Approval | None:
        """The question that nobody has answered."""
        latest = await self._approvals.latest(tx, "campaign", campaign_id)
        return latest if latest is not None and latest.state == ApprovalState.PENDING else None

    async def status(self, db: Database, approval_id: int) -> AskStatus:
        """Raises NotFoundError."""
        async with db.read() as tx:
            approval = await approvals.get(tx, approval_id)
            seen = await self.seen(tx, approval) if approval else None
            if seen is None:
                raise NotFoundError(f"There is no approval {approval_id} of a campaign.")
            counts = await deliveries.counts(tx, seen.campaign.id)
        return replace(seen, to_go=counts[DeliveryStatus.QUEUED])

    async def seen(self, tx: Tx, approval: Approval) -> AskStatus | None:
        """As `status`, without a look at the ledger; None when there is no such campaign (any more)."""
        found = await campaigns.placed_by_id(tx, [approval.subject_id], now())
        if not found:
            return None
        return AskStatus(
            approval=approval,
            deed=deed_of(approval),
            placed=found[0],
            sender=_sender(await messages.of_campaign(tx, approval.subject_id)),
            to_go=None,
            approvers=self.holders(),
            ramp=await ramp_steps.shown(tx, found[0].campaign, self._ramp),
        )


def card_of(approval_id: int) -> str:
    """The key of the card: each question has its own, so that one asked again stands where people look."""
    return f"ask:{approval_id}"


def is_own(actor: Actor, asked: Approval) -> bool:
    return asked.requested_by == actor.mention


def _permission(actor: Actor, asked: Approval, *, approve: bool) -> str:
    """Whoever asked may take that back."""
    return f"campaign.{deed_of(asked)}" if not approve and is_own(actor, asked) else "campaign.approve"


def deed_of(approval: Approval) -> Deed:
    return cast("Deed", approval.plan_hash.partition("-")[0])


async def digest_of(tx: Tx, deed: Deed, placed: Placed) -> str:
    """The deed, and a hash of what it would do: message, recipients and server.

    Nobody can change the recipients of a campaign that was imported, so their number stands for them. What was sent
    meanwhile changes nothing about ending a campaign, so a cancellation is bound to the campaign alone.
    """
    campaign = placed.campaign
    what: list[object] = [deed, campaign.id, campaign.name, campaign.recipients]
    if deed == "start":
        message = await messages.of_campaign(tx, campaign.id)
        what += [placed.server.id, placed.carrier.id, campaign.expires_at, *_words(message)]
        ramp = await ramps.of(tx, Send((campaign.id,), None))
        what += [ramp.stages] if ramp is not None else []
    digest = hashlib.sha256(json.dumps(what, default=str).encode()).hexdigest()
    return f"{deed}-{digest[:56]}"


def _words(message: Message | None) -> list[object]:
    if message is None:
        return []
    eml = hashlib.sha256(message.eml).hexdigest() if message.eml is not None else None
    return [message.key, message.sender, message.subject, message.reply_to, eml, message.html, message.text]


def _sender(message: Message | None) -> str:
    if message is None or message.sender or message.eml is None:
        return message.sender if message else ""
    return str(BytesHeaderParser(policy=policy.default).parsebytes(message.eml)["From"] or "")


async def _tell(
    tx: Tx, approval_id: int, campaign: Campaign, kind: str, text: str, actor: Actor, at: datetime, *, post: bool = True
) -> None:
    await timeline.ensure_post(tx, card_of(approval_id), at)
    entry = Entry(
        kind=kind, text=text, actor=actor.id, at=at, campaign_id=campaign.id, data={"campaigns": [campaign.name]}
    )
    await timeline.record(tx, entry, post=post, parent=card_of(approval_id))
