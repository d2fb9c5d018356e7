"""What goes on by itself once a notice is approved: its webhook is called until it answers, and its end is told."""

import asyncio
import json
import random
from collections.abc import Mapping
from datetime import datetime, timedelta

from bot.access import HOLDFAST
from bot.channels.webhook import LONGEST_ATTEMPT, Answer, Webhook, pause
from bot.clock import now
from bot.config import Settings
from bot.errors import SettingsError
from bot.services.notice_rules import choose_server, get, mailing_of, tell
from storage import deliveries as ledger
from storage import notices, outages, results
from storage.db import Database, Tx
from storage.models import Campaign, CampaignState, DeliveryStatus, Notice, NoticeState, WebhookCall
from storage.ways import Ways

_GIVE_UP_AFTER = timedelta(days=1)
_OVER = (CampaignState.FINISHED, CampaignState.CANCELLED)
_ENDINGS = {
    DeliveryStatus.FAILED_PERMANENT: "refused",
    DeliveryStatus.FAILED_TEMPORARY: "failed for now",
    DeliveryStatus.UNKNOWN: "unknown",
    DeliveryStatus.SUPPRESSED: "suppressed",
    DeliveryStatus.QUEUED: "not sent",
}


class Progress:
    """Each step is a conditional update, so that a crash or a second look changes nothing twice."""

    def __init__(self, db: Database, settings: Settings) -> None:
        self._db = db
        self._settings = settings

    async def tick(self) -> None:
        at = now()
        async with self._db.read() as tx:
            under_way = await notices.in_states(tx, [NoticeState.SENDING])
            due = await notices.due_calls(tx, at) if under_way else []
        for notice in under_way:
            await self._step(notice, at)
        await asyncio.gather(*(self._call(call) for call in due))

    async def _step(self, notice: Notice, at: datetime) -> None:
        """Finish it when everything has its end; move it when its server cannot carry it and another can."""
        async with self._db.read() as tx:
            mailing = await mailing_of(tx, notice)
            over = mailing.state in _OVER and _settled(await notices.call_of(tx, notice.id))
            stuck = mailing.state == CampaignState.SENDING and await _stuck(tx, mailing, at)
        if over:
            await self._finish(notice, at)
        elif stuck:
            await self._move(notice, at)

    async def _finish(self, notice: Notice, at: datetime) -> None:
        async with self._db.transaction() as tx:
            mailing = await mailing_of(tx, notice)
            call = await notices.call_of(tx, notice.id)
            cancelled = mailing.state == CampaignState.CANCELLED
            state = NoticeState.CANCELLED if cancelled else NoticeState.FINISHED
            ended = await notices.move(tx, notice.id, [NoticeState.SENDING], state=state, finished_at=at)
            if ended is None:
                return
            counts = await ledger.counts(tx, mailing.id)
            text = f"Notice {notice.id} is {'cancelled' if cancelled else 'sent'}: {_result(mailing, counts, call)}."
            await tell(tx, ended, f"notice.{state.value}", text, HOLDFAST, at)

    async def _move(self, notice: Notice, at: datetime) -> None:
        """The ledger decides who still gets it, whichever server sends: nobody is told twice."""
        async with self._db.transaction() as tx:
            server = await choose_server(tx, at)
            mailing = await mailing_of(tx, notice)
            if server is None or not await _stuck(tx, mailing, at):
                return
            if await notices.move_mailing(tx, mailing.id, [CampaignState.SENDING], server_id=server.id) is None:
                return
            text = f"Notice {notice.id} goes on through {server.name}: the server before cannot carry it now."
            await tell(tx, notice, "notice.moved", text, HOLDFAST, at)

    # The webhook

    async def _call(self, call: WebhookCall) -> None:
        at = now()
        async with self._db.transaction() as tx:
            if not await notices.claim_call(tx, call, at + 2 * LONGEST_ATTEMPT):
                return
            notice = await get(tx, call.notice_id)
            body = await _body(tx, notice)
            began = (await mailing_of(tx, notice)).started_at or at
        answer = await self._answer(notice, call, body, at)
        await self._settle(notice, call, answer, began)

    async def _answer(self, notice: Notice, call: WebhookCall, body: bytes, at: datetime) -> Answer:
        try:
            webhook = Webhook.of(self._settings.notices)
        except SettingsError as error:
            return Answer(delivered=False, again=False, sentence=str(error).rstrip("."))
        # What was approved is where it goes as much as what it says.
        if webhook is None or webhook.fingerprint != notice.counts.get("webhook"):
            return Answer(delivered=False, again=False, sentence="the settings name another webhook than was approved")
        return await webhook.call(call.call_id, body, at)

    async def _settle(self, notice: Notice, call: WebhookCall, answer: Answer, began: datetime) -> None:
        at = now()
        attempts = call.attempts + 1
        async with self._db.transaction() as tx:
            if answer.delivered:
                await notices.settle_call(tx, call.id, delivered_at=at, given_up_at=None, next_at=None, error=None)
                return
            next_at = at + max(answer.wait or timedelta(0), pause(attempts, random.random()))
            if answer.again and next_at - began < _GIVE_UP_AFTER:
                await notices.settle_call(tx, call.id, next_at=next_at, error=answer.sentence)
                return
            if await notices.settle_call(tx, call.id, given_up_at=at, next_at=None, error=answer.sentence):
                tries = "one attempt" if attempts == 1 else f"{attempts:,} attempts"
                text = f"The webhook of notice {notice.id} was given up after {tries}: {answer.sentence}."
                await tell(tx, notice, "notice.webhook_given_up", text, HOLDFAST, at)


def _settled(call: WebhookCall | None) -> bool:
    return call is None or call.delivered_at is not None or call.given_up_at is not None


async def _stuck(tx: Tx, mailing: Campaign, at: datetime) -> bool:
    """Its server cannot carry it and another server can."""
    ways = await Ways.read(tx, at)
    away = await results.open_outages(tx)
    hurt = all(not ways.usable(each) or each.id in away for each in ways.carriers(mailing.server_id))
    return hurt and await choose_server(tx, at) is not None


def _result(mailing: Campaign, counts: Mapping[str, int], call: WebhookCall | None) -> str:
    parts = [f"{counts[DeliveryStatus.DELIVERED]:,} delivered"] if mailing.recipients else []
    parts += [f"{counts[status]:,} {name}" for status, name in _ENDINGS.items() if counts[status]]
    if mailing.slipped:
        parts.append(f"{mailing.slipped:,} slipped out after the request")
    said = [", ".join(parts)] if parts else []
    if call is not None:
        said.append("webhook delivered" if call.delivered_at is not None else f"webhook not delivered ({call.error})")
    return "; ".join(said)


async def _body(tx: Tx, notice: Notice) -> bytes:
    """What the webhook is told. The same at every attempt, so that a receiver may compare."""
    outage = None
    if notice.outage_id is not None:
        found = await outages.get(tx, notice.outage_id)
        servers = await outages.servers_of(tx, notice.outage_id)
        if found is not None:
            outage = {
                "id": found.id,
                "title": found.title,
                "servers": [server.name for server in servers],
                "started_at": found.started_at.isoformat(),
            }
    content = {
        "id": notice.id,
        "kind": "notice",
        "subject": notice.subject,
        "text": notice.text,
        "drafted_at": notice.created_at.isoformat(),
        "outage": outage,
    }
    return json.dumps(content, ensure_ascii=False).encode()
