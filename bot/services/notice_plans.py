"""What drafting, asking for, deciding on and cancelling notices would do."""

from datetime import datetime

from bot.access import Access, Actor
from bot.channels.webhook import Webhook
from bot.clock import now
from bot.config import Settings
from bot.errors import BadInputError, WrongStateError
from bot.services.approvals import Approvals
from bot.services.notice_rules import get, mailing_of, need_server, plan_hash
from bot.services.notice_targets import check_asked, has_changed, reaches_nobody, to_cancel, to_draft, to_send
from bot.services.plans import Plan, to_go
from bot.services.words import few, number
from storage import notices
from storage.db import Database, Tx
from storage.models import Notice, NoticeState


class NoticePlans:
    """Each raises what its deed would raise."""

    def __init__(self, db: Database, settings: Settings, access: Access, approvals: Approvals) -> None:
        self._db = db
        self._settings = settings
        self._access = access
        self._approvals = approvals

    @property
    def _webhook(self) -> Webhook | None:
        return Webhook.of(self._settings.notices)

    async def draft(
        self, actor: Actor, text: str, *, outage_id: int | None = None, campaign_word: str | None = None
    ) -> Plan:
        self._access.require(actor, "notice.draft")
        async with self._db.read() as tx:
            wanted = await to_draft(tx, self._settings, text, None, outage_id, campaign_word)
            recipients = await notices.audience_of(tx, wanted.campaign_ids)
            suppressed = await notices.suppressed_among(tx, wanted.campaign_ids)
        if not recipients and self._webhook is None:
            raise BadInputError(reaches_nobody(suppressed))
        names = sorted(each.name for each in wanted.told.campaigns)
        facts = [f"They are the recipients of {few(names)}.", f"It would go through {wanted.server.name}."]
        facts += [f"Left out, as they may not be mailed: {suppressed:,}."] if suppressed else []
        does = f"draft a notice to {number(recipients, 'recipient')} and send nothing yet"
        return Plan("notice.draft", does, facts, names, "/notice cancel drops the draft.")

    async def request(self, actor: Actor, notice_id: int | None) -> Plan:
        self._access.require(actor, "notice.send")
        async with self._db.read() as tx:
            notice = await to_send(tx, self._approvals, notice_id, now())
            recipients = (await mailing_of(tx, notice)).recipients
        does = f"ask for the approval of notice {notice.id} to {number(recipients, 'recipient')}"
        undo = f"/notice cancel {notice.id} takes it back."
        approvers = self._approvals.holders("notice.approve")
        return Plan("notice.send", does, (), [f"notice {notice.id}"], undo, approvers)

    async def approve(self, actor: Actor, notice_id: int) -> Plan:
        at = now()
        async with self._db.read() as tx:
            notice = await self._undecided(tx, actor, notice_id, at, approve=True)
            mailing = await mailing_of(tx, notice)
            if await plan_hash(tx, notice, self._webhook) != notice.plan_hash:
                raise WrongStateError(has_changed(notice))
            server = await need_server(tx, at) if mailing.recipients else None
        ways = [f"to {number(mailing.recipients, 'recipient')} through {server.name}"] if server else []
        ways += ["to the webhook"] if self._webhook is not None else []
        does = f"approve notice {notice.id} and send it {' and '.join(ways)}"
        undo = f"What has gone out cannot be taken back; /notice cancel {notice.id} stops the rest for good."
        return Plan("notice.approve", does, (), [f"notice {notice.id}"], undo)

    async def reject(self, actor: Actor, notice_id: int) -> Plan:
        async with self._db.read() as tx:
            notice = await self._undecided(tx, actor, notice_id, now(), approve=False)
        undo = "This cannot be undone; to ask with another text: /notice draft TEXT"
        return Plan("notice.reject", f"reject notice {notice.id}: nothing is sent", (), [f"notice {notice.id}"], undo)

    async def _undecided(self, tx: Tx, actor: Actor, notice_id: int, at: datetime, *, approve: bool) -> Notice:
        self._access.require(actor, "notice.approve")
        notice = await get(tx, notice_id)
        check_asked(notice)
        recipients = (await mailing_of(tx, notice)).recipients
        await self._approvals.check(
            tx,
            actor,
            "notice.approve",
            "notice",
            notice.id,
            notice.plan_hash or "",
            at,
            approve=approve,
            recipients=recipients,
        )
        return notice

    async def cancel(self, actor: Actor, notice_id: int | None) -> Plan:
        self._access.require(actor, "notice.cancel")
        async with self._db.read() as tx:
            notice = await to_cancel(tx, notice_id)
            mailing = await mailing_of(tx, notice)
            left = await to_go(tx, [mailing.id]) if notice.state == NoticeState.SENDING else mailing.recipients
        running = notice.state == NoticeState.SENDING
        facts = [
            f"{number(left, 'recipient')} would not get it.",
            *(["It is being sent now; what is in flight still arrives."] * running),
        ]
        undo = "This cannot be undone; draft it anew with /notice draft TEXT"
        deed = "notice.stop" if running else "notice.cancel"
        return Plan(deed, f"cancel notice {notice.id} for good", facts, [f"notice {notice.id}"], undo)
