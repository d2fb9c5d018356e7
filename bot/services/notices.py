"""Notices: what customers are told of an outage. Drafted by one person, approved by a second, sent once to each."""

import asyncio
import secrets
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from bot.access import HOLDFAST, Access, Actor
from bot.channels.webhook import Webhook
from bot.clock import now
from bot.config import Settings
from bot.errors import BadInputError, NotFoundError, WrongStateError
from bot.services import notice_audience
from bot.services.approvals import Approvals, ExpiredError
from bot.services.notice_audience import Frozen
from bot.services.notice_progress import Progress
from bot.services.notice_rules import (
    Told,
    choose_server,
    compose,
    get,
    let_go,
    mailing_id,
    mailing_of,
    need_server,
    plan_hash,
    said,
    sender_of,
    stop,
    tell,
    wrong_state,
)
from bot.services.notice_shapes import NoticePreview, NoticeRow, NoticeStatus, webhook_now
from bot.services.notice_targets import (
    check_askable,
    check_asked,
    has_changed,
    reaches_nobody,
    to_cancel,
    to_draft,
    to_send,
)
from bot.services.words import number
from storage import campaigns, deliveries, messages, notices, servers, workers
from storage.db import Database, Tx
from storage.models import Campaign, CampaignState, DeliveryStatus, Notice, NoticeState

__all__ = ["NoticePreview", "NoticeRow", "NoticeStatus", "Notices"]

_UNSENT = (NoticeState.DRAFT, NoticeState.WAITING)
_LIVE = (*_UNSENT, NoticeState.SENDING)


class Notices:
    """The mailing of a notice is a campaign of its own kind: the sender sends it by the same ledger."""

    def __init__(self, db: Database, settings: Settings, access: Access, approvals: Approvals) -> None:
        self._db = db
        self._settings = settings
        self._access = access
        self._approvals = approvals
        self._progress = Progress(db, settings)

    # Drafting

    async def draft(
        self,
        actor: Actor,
        text: str,
        *,
        outage_id: int | None = None,
        campaign_word: str | None = None,
        subject: str | None = None,
    ) -> Notice:
        """Freeze what would be said to whom: the recipients of an outage's campaigns (by default of the only
        unresolved outage) or of one campaign. Nothing is sent. An earlier draft for the same people is replaced.

        Raises BotError where the text, the audience, the sender or a server is missing.
        """
        self._access.require(actor, "notice.draft")
        async with self._db.read() as tx:
            wanted = await to_draft(tx, self._settings, text, subject, outage_id, campaign_word)
        frozen = await notice_audience.from_campaigns(
            self._db, actor, wanted.source, wanted.server.id, wanted.campaign_ids
        )
        return await self._keep(actor, wanted.told, wanted.subject, wanted.body, frozen, wanted.warnings)

    async def draft_csv(self, actor: Actor, text: str, csv: Path, subject: str | None = None) -> Notice:
        """The same for the addresses in a CSV file. It belongs to no outage, whatever goes on."""
        self._access.require(actor, "notice.draft")
        subject, body = said(text, subject)
        async with self._db.read() as tx:
            sender = await sender_of(tx, self._settings, [])
            server = await need_server(tx, now())
        source, warnings = compose(self._settings, subject, body, sender)
        frozen = await notice_audience.from_csv(self._db, actor, source, server.id, csv)
        return await self._keep(actor, Told(None, []), subject, body, frozen, warnings)

    async def _keep(
        self, actor: Actor, told: Told, subject: str, body: str, frozen: Frozen, warnings: tuple[str, ...]
    ) -> Notice:
        """The frozen mailing becomes that of a notice; an earlier draft for the same people is over."""
        try:
            notice, replaced = await self._make(actor, _draft(actor, told, subject, body, frozen, warnings))
        except BaseException:
            await asyncio.shield(notice_audience.give_up(self._db, frozen.campaign_id))
            raise
        for campaign_id in replaced:
            await notice_audience.discard(self._db, campaign_id)
        return notice

    async def _make(self, actor: Actor, draft: Notice) -> tuple[Notice, Sequence[int]]:
        recipients, suppressed = draft.counts["recipients"], draft.counts["suppressed"]
        if not recipients and Webhook.of(self._settings.notices) is None:
            raise BadInputError(reaches_nobody(suppressed))
        async with self._db.transaction() as tx:
            notice = await notices.add(tx, draft)
            name = await _free_name(tx, notice.id)
            if not await notices.become(tx, mailing_id(notice), name=name, recipients=recipients):
                raise WrongStateError("Freezing the audience took so long that it was given up. Draft it again.")
            replaced = await self._replace_earlier(tx, notice, notice.created_at)
            text = f"{actor.mention} drafted notice {notice.id} for {number(recipients, 'recipient')}."
            await tell(tx, notice, "notice.drafted", text, actor, notice.created_at, card=False)
        return notice, replaced

    async def _replace_earlier(self, tx: Tx, notice: Notice, at: datetime) -> Sequence[int]:
        """Drafts that nobody asked to send, over the same campaigns. Returns their mailings."""
        replaced = []
        for earlier in await notices.in_states(tx, [NoticeState.DRAFT]):
            same = earlier.campaign_ids == notice.campaign_ids and earlier.outage_id == notice.outage_id
            if earlier.id == notice.id or not same or not notice.campaign_ids:
                continue
            await self._end_unsent(tx, earlier, [NoticeState.DRAFT], NoticeState.CANCELLED, at)
            text = f"Notice {earlier.id} was replaced by notice {notice.id}."
            await tell(tx, earlier, "notice.replaced", text, HOLDFAST, at, card=False)
            replaced.append(mailing_id(earlier))
        return replaced

    # Looking

    async def preview(self, word: str | None = None) -> NoticePreview:
        """Exactly what would go out, to how many and through what. `word` is its number; None: the newest."""
        return await self.status(_number(word) if word else None)

    async def status(self, notice_id: int | None = None) -> NoticeStatus:
        """Where a notice stands; None: the newest one. Raises NotFoundError."""
        at = now()
        async with self._db.read() as tx:
            if notice_id is None:
                newest = await notices.recent(tx, 1)
                if not newest:
                    raise NotFoundError("No notice was drafted yet: /notice draft TEXT")
                notice = newest[0]
            else:
                notice = await get(tx, notice_id)
            return await self.seen(tx, notice, at)

    async def seen(self, tx: Tx, notice: Notice, at: datetime) -> NoticeStatus:
        """Where it stands, read in the caller's transaction."""
        mailing = await mailing_of(tx, notice)
        message = await messages.of_campaign(tx, mailing.id)
        server = await (choose_server(tx, at) if notice.state in _UNSENT else servers.get(tx, mailing.server_id))
        placed = await campaigns.placed_by_id(tx, notice.campaign_ids, at)
        call = await notices.call_of(tx, notice.id)
        planned = notice.state in _UNSENT and self._settings.notices.webhook_url is not None
        return NoticeStatus(
            notice=notice,
            mailing=mailing,
            campaigns=tuple(sorted(each.campaign.name for each in placed)),
            sender=message.sender if message else "",
            counts=await _counts(tx, notice, mailing),
            server=server.name if server else None,
            webhook=webhook_now(call, configured=planned),
            rate_per_minute=await deliveries.rate_per_minute(tx, [mailing.id], at),
            approval=await self._approvals.latest(tx, "notice", notice.id),
            approvers=self._approvals.holders("notice.approve"),
            sender_runs=await workers.alive(tx, at),
            at=at,
        )

    async def list(self) -> list[NoticeRow]:
        """The newest, newest first."""
        async with self._db.read() as tx:
            found = await notices.recent(tx)
            ids = [each.campaign_id for each in found if each.campaign_id is not None]
            counts = await deliveries.counts_of(tx, ids)
        return [
            NoticeRow(
                each,
                int(each.counts.get("recipients", 0)),
                counts[each.campaign_id]["delivered"] if each.campaign_id is not None else 0,
            )
            for each in found
        ]

    # Asking and deciding

    async def request(self, actor: Actor, notice_id: int | None = None) -> Notice:
        """Ask for the approval of exactly this text and audience. None: the only draft.

        It can be asked again when nobody decided in time. Raises NotAllowedError, WrongStateError, SettingsError.
        """
        self._access.require(actor, "notice.send")
        webhook = Webhook.of(self._settings.notices)
        async with self._db.read() as tx:
            picked = await to_send(tx, self._approvals, notice_id, now())
            # Reading a large audience takes a while, so it is not done while the sender waits to write.
            digest = await plan_hash(tx, picked, webhook)
        at = now()
        async with self._db.transaction() as tx:
            await check_askable(tx, self._approvals, await get(tx, picked.id), at)
            counts = {**picked.counts, "webhook": webhook.fingerprint if webhook else None}
            notice = await notices.move(
                tx, picked.id, [NoticeState(picked.state)], state=NoticeState.WAITING, plan_hash=digest, counts=counts
            )
            if notice is None:
                raise wrong_state(await get(tx, picked.id))
            recipients = (await mailing_of(tx, notice)).recipients
            await self._approvals.request(tx, "notice", notice.id, digest, actor, at)
            text = f"{actor.mention} asks to send notice {notice.id} to {number(recipients, 'recipient')}."
            await tell(tx, notice, "notice.requested", text, actor, at, post=False)
        return notice

    async def approve(self, actor: Actor, notice_id: int, seen_hash: str | None = None) -> Notice:
        """Let it go. `seen_hash` is what the person saw; None: as it is now. One that has changed since is void.

        Raises NotAllowedError and WrongStateError.
        """
        self._access.require(actor, "notice.approve")
        webhook = Webhook.of(self._settings.notices)
        async with self._db.read() as tx:
            picked = await get(tx, notice_id)
            # As in `request`: who waits cannot change, so it may be read before the decision is written.
            digest = await plan_hash(tx, picked, webhook) if picked.state == NoticeState.WAITING else ""
        return await self._decide(actor, picked, seen_hash, digest, webhook)

    async def reject(self, actor: Actor, notice_id: int, seen_hash: str | None = None) -> Notice:
        """Say no: nothing is sent. Raises NotAllowedError and WrongStateError."""
        self._access.require(actor, "notice.approve")
        async with self._db.read() as tx:
            picked = await get(tx, notice_id)
        notice = await self._decide(actor, picked, seen_hash, None, None)
        await notice_audience.discard(self._db, mailing_id(notice))
        return notice

    async def _decide(
        self, actor: Actor, picked: Notice, seen_hash: str | None, digest: str | None, webhook: Webhook | None
    ) -> Notice:
        """`digest` is of the notice as it is now; None rejects it."""
        at = now()
        late: WrongStateError
        async with self._db.transaction() as tx:
            notice = await get(tx, picked.id)
            check_asked(notice)
            mailing = await mailing_of(tx, notice)
            try:
                await self._approvals.decide(
                    tx,
                    actor,
                    "notice.approve",
                    "notice",
                    notice.id,
                    seen_hash or notice.plan_hash or "",
                    at,
                    approve=digest is not None,
                    recipients=mailing.recipients,
                )
            except ExpiredError as error:
                late = error  # leaving the block in order keeps what was written about it
            else:
                if digest is None:
                    return await self._reject(tx, actor, notice, at)
                if digest == notice.plan_hash:
                    return await let_go(tx, actor, notice, mailing, webhook, at)
                late = WrongStateError(has_changed(notice))
                await self._make_void(tx, actor, notice, at)
        raise late

    async def _make_void(self, tx: Tx, actor: Actor, notice: Notice, at: datetime) -> None:
        await notices.move(tx, notice.id, [NoticeState.WAITING], state=NoticeState.DRAFT, plan_hash=None)
        text = f"Notice {notice.id} has changed since it was asked for: the approval is void and nothing was sent."
        await tell(tx, notice, "notice.void", text, actor, at)

    async def _reject(self, tx: Tx, actor: Actor, notice: Notice, at: datetime) -> Notice:
        rejected = await self._end_unsent(tx, notice, [NoticeState.WAITING], NoticeState.REJECTED, at)
        text = f"{actor.mention} rejected notice {notice.id}. Nothing of it was sent."
        await tell(tx, rejected, "notice.rejected", text, actor, at)
        return rejected

    async def _end_unsent(
        self, tx: Tx, notice: Notice, seen: Sequence[NoticeState], state: NoticeState, at: datetime
    ) -> Notice:
        ended = await notices.move(tx, notice.id, seen, state=state, finished_at=at)
        if ended is None:
            raise wrong_state(await get(tx, notice.id))
        await self._approvals.withdraw(tx, "notice", notice.id, at)
        over = {"state": CampaignState.CANCELLED, "wish": CampaignState.CANCELLED, "state_since": at}
        await notices.move_mailing(tx, mailing_id(notice), [CampaignState.SCHEDULED], **over, finished_at=at)
        return ended

    # Stopping, and going on

    async def cancel(self, actor: Actor, notice_id: int | None = None) -> Notice:
        """End it for good. While it is being sent, the sender stops at once and confirms how many went out.

        None: the only one that is not at its end. Raises NotAllowedError, WrongStateError.
        """
        self._access.require(actor, "notice.cancel")
        at = now()
        async with self._db.transaction() as tx:
            notice = await to_cancel(tx, notice_id)
            if notice.state == NoticeState.SENDING:
                await stop(tx, actor, notice, at)
                return await get(tx, notice.id)
            asked = "webhook" in notice.counts  # since then it has a card
            ended = await self._end_unsent(tx, notice, [NoticeState(notice.state)], NoticeState.CANCELLED, at)
            text = f"{actor.mention} cancelled notice {notice.id}. Nothing of it was sent."
            await tell(tx, ended, "notice.cancelled", text, actor, at, card=asked)
        await notice_audience.discard(self._db, mailing_id(ended))
        return ended

    async def tick(self) -> None:
        """What goes on by itself, for the scheduler: webhook calls that are due, and notices that have come to their
        end. Every step is a conditional update.
        """
        await self._progress.tick()


async def _counts(tx: Tx, notice: Notice, mailing: Campaign) -> dict[str, int]:
    """Until somebody approves it its ledger stands as it was made, so there is nothing to count."""
    if notice.state == NoticeState.WAITING:
        return {status.value: 0 for status in DeliveryStatus} | {DeliveryStatus.QUEUED.value: mailing.recipients}
    return await deliveries.counts(tx, mailing.id)


def _number(word: str) -> int:
    digits = word.strip().removeprefix("#")
    if not digits.isdecimal() or len(digits) > 9:
        raise BadInputError(f"“{word.strip()[:60]}” is not the number of a notice. /notice list shows them.")
    return int(digits)


def _draft(actor: Actor, told: Told, subject: str, body: str, frozen: Frozen, warnings: tuple[str, ...]) -> Notice:
    counts: dict[str, Any] = {
        "recipients": frozen.recipients,
        "suppressed": frozen.suppressed,
        "duplicates": frozen.duplicates,
        "bad": frozen.bad,
        "warnings": [*warnings, *([f"The first bad row is in {frozen.first_bad}"] if frozen.bad else [])],
    }
    return Notice(
        outage_id=told.outage_id,
        subject=subject,
        text=body,
        campaign_ids=sorted(campaign.id for campaign in told.campaigns),
        campaign_id=frozen.campaign_id,
        counts=counts,
        created_by=actor.mention,
        created_at=now(),
    )


async def _free_name(tx: Tx, notice_id: int) -> str:
    """What servers' logs call the mailing; somebody may have named a campaign so."""
    name = f"notice-{notice_id}"
    return name if await campaigns.by_name(tx, name) is None else f"{name}-{secrets.token_hex(4)}"
