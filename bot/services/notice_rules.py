"""The rules of notices: who is told, from whom, through which server, and what exactly is approved."""

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.parser import BytesHeaderParser

from bot.access import Actor
from bot.channels.webhook import Webhook
from bot.config import Settings
from bot.errors import BadInputError, NotFoundError, WrongStateError
from bot.mail.composing import Source, compile_message, notice_source
from bot.mail.preparing import unsubscribe_of
from bot.services.names import complete
from bot.services.outage_reading import pick
from bot.services.words import joined, number
from storage import campaigns, messages, notices, outages, results, sending, servers, timeline
from storage.db import Tx
from storage.models import Campaign, CampaignState, Health, Notice, NoticeState, Server, WebhookCall
from storage.timeline import Entry

DEFAULT_SUBJECT = "About our recent emails"
_TEXT_MAX = 8_000
"""The card shows all of it, and Slack refuses a message of more than about 13,000 characters."""
_SUBJECT_MAX = 200
_SUBJECT_LINE = re.compile(r"subject:[ \t]*(?P<subject>[^\r\n]*)(?:\r?\n|\r|$)", re.IGNORECASE)
# The healthiest first; a server that was never looked at may be well.
_HEALTHY = {Health.UP: 0, Health.UNCHECKED: 1, Health.SUSPECTED: 2}


@dataclass(frozen=True)
class Told:
    """Whose recipients are told of what."""

    outage_id: int | None
    campaigns: Sequence[Campaign]


def said(text: str, subject: str | None) -> tuple[str, str]:
    """Subject and text as they go out. A first line `Subject: ...` is the subject when none is given.

    Raises BadInputError when there is no text, or too much.
    """
    body = text.replace("\r\n", "\n").strip()
    first = _SUBJECT_LINE.match(body)
    if subject is None and first is not None:
        subject, body = first["subject"], body[first.end() :].strip()
    subject = " ".join((subject or DEFAULT_SUBJECT).split()) or DEFAULT_SUBJECT
    if not body:
        raise BadInputError("There is nothing to tell. Write the text: /notice draft TEXT")
    if len(body) > _TEXT_MAX:
        raise BadInputError(f"That is {len(body):,} characters long. Keep a notice to {_TEXT_MAX:,}.")
    if len(subject) > _SUBJECT_MAX:
        raise BadInputError(f"The subject has {len(subject):,} characters. Keep it to {_SUBJECT_MAX}.")
    return subject, body


async def find_told(tx: Tx, outage_id: int | None, campaign_word: str | None) -> Told:
    """The campaigns of an outage, of the only unresolved one by default, or one campaign.

    Raises NotFoundError and BadInputError.
    """
    if campaign_word:
        name = complete(campaign_word, await campaigns.names(tx), "campaign", "Import one first: holdfast import.")
        campaign = await campaigns.by_name(tx, name)
        if campaign is None:
            raise NotFoundError(f"The campaign {name} has just been deleted.")
        touched = await campaigns.outages_of(tx, [campaign.id])
        return Told(touched.get(campaign.id), [campaign])
    outage = await pick(tx, outage_id)
    touched_by = [each for each in await outages.campaigns_of(tx, outage.id) if each.kind == campaigns.MAILING]
    if not touched_by:
        raise BadInputError(
            f"Outage #{outage.id} has touched no campaign, so nobody waits for an explanation. "
            "Name the campaign whose recipients should be told."
        )
    return Told(outage.id, touched_by)


async def sender_of(tx: Tx, settings: Settings, told: Sequence[Campaign]) -> str:
    """The From: the one of the settings, else the campaign's own. Raises BadInputError when there is none."""
    if settings.notices.sender:
        return settings.notices.sender
    for campaign in told:
        message = await messages.of_campaign(tx, campaign.id)
        own = message.sender if message else ""
        if message and not own and message.eml is not None:
            own = str(BytesHeaderParser(policy=policy.default).parsebytes(message.eml)["From"] or "")
        if own:
            return own
    raise BadInputError("The notice has no sender. Set HOLDFAST_NOTICES__SENDER, as in Shop <news@example.com>.")


def compose(settings: Settings, subject: str, text: str, sender: str) -> tuple[Source, tuple[str, ...]]:
    """The message, and what is to be known of it. Raises BadInputError when it cannot be sent so."""
    source = notice_source(subject, text, sender)
    compiled = compile_message(source, fields={}, campaign="notice", unsubscribe=unsubscribe_of(settings))
    own = "No {{ unsubscribe_url }}"  # a notice says exactly its text; mail programs show the way out
    return source, tuple(warning for warning in compiled.warnings if not warning.startswith(own))


async def choose_server(tx: Tx, at: datetime) -> Server | None:
    """The server that should carry a notice now: usable, and no part of an unresolved outage. None: there is none.

    The healthiest first, then the one with the least to do.
    """
    usable = {each.id for each in (await sending.carriers(tx, at)).values() if each.usable}
    away = await results.open_outages(tx)
    busy = await notices.busy(tx)
    fit = [
        server
        for server in await servers.every(tx)
        if server.id in usable and server.id not in away and server.failover_to_id is None
    ]
    return min(
        fit, key=lambda each: (_HEALTHY.get(Health(each.health), 3), busy.get(each.id, 0), each.id), default=None
    )


async def need_server(tx: Tx, at: datetime) -> Server:
    """As `choose_server`; raises WrongStateError, with what is wrong with each server."""
    server = await choose_server(tx, at)
    if server is not None:
        return server
    away = await results.open_outages(tx)
    windows = await servers.active_windows(tx, at)
    reasons = []
    for each in await servers.every(tx):
        if each.id in away:
            reasons.append(f"{each.name} is part of outage #{away[each.id]}")
        elif each.id in windows:
            reasons.append(f"{each.name} is in maintenance")
        elif each.drained_at is not None:
            reasons.append(f"{each.name} is drained")
        else:
            reasons.append(f"{each.name} is {'failed over' if each.failover_to_id else each.health}")
    why = f": {joined(reasons)}" if reasons else ", as none is known"
    raise WrongStateError(
        f"No server can carry a notice now{why}. Nothing was sent. Add one with /server add NAME HOST:PORT, or wait."
    )


async def plan_hash(tx: Tx, notice: Notice, webhook: Webhook | None) -> str:
    """What an approval is bound to: subject, text, sender, every address in its order, and the webhook."""
    digest = hashlib.sha256()

    def add(part: str) -> None:
        octets = part.encode()
        digest.update(len(octets).to_bytes(8, "big") + octets)

    message = await messages.of_campaign(tx, mailing_id(notice))
    for part in (notice.subject, notice.text):
        add(part)
    for made in (message.sender, message.subject, message.text, message.html) if message else ():
        add(made or "")
    add(webhook.url if webhook else "")
    async for batch in notices.addresses(tx, mailing_id(notice)):
        add("\n".join(batch))
    return digest.hexdigest()


def mailing_id(notice: Notice) -> int:
    """The id of the campaign that carries it."""
    if notice.campaign_id is None:
        raise WrongStateError(f"Notice {notice.id} has no audience. Draft it again: /notice draft TEXT")
    return notice.campaign_id


async def mailing_of(tx: Tx, notice: Notice) -> Campaign:
    campaign = await campaigns.get(tx, mailing_id(notice))
    if campaign is None:
        raise WrongStateError(f"Notice {notice.id} has no audience. Draft it again: /notice draft TEXT")
    return campaign


async def get(tx: Tx, notice_id: int) -> Notice:
    notice = await notices.get(tx, notice_id)
    if notice is None:
        raise NotFoundError(f"There is no notice {notice_id}. /notice list shows them.")
    return notice


async def chosen(tx: Tx, notice_id: int | None, states: Sequence[NoticeState], verb: str) -> Notice:
    """The one that was named, or the only one that the verb fits. Raises NotFoundError and its like."""
    if notice_id is not None:
        notice = await get(tx, notice_id)
        if notice.state not in states:
            raise wrong_state(notice)
        return notice
    fitting = await notices.in_states(tx, states)
    if len(fitting) > 1:
        shown = joined([f"{each.id} ({each.subject}, {each.state})" for each in fitting[-8:]])
        raise BadInputError(f"Which notice? There is {shown}. Write its number: /notice {verb} {fitting[-1].id}")
    if not fitting:
        newest = await notices.recent(tx, 1)
        raise wrong_state(newest[0]) if newest else NotFoundError("No notice was drafted yet: /notice draft TEXT")
    return fitting[0]


def wrong_state(notice: Notice) -> WrongStateError:
    states = {
        NoticeState.WAITING: "waits for its approval",
        NoticeState.SENDING: "is being sent",
        NoticeState.FINISHED: "is sent",
    }
    return WrongStateError(
        f"Notice {notice.id} {states.get(NoticeState(notice.state), f'is {notice.state}')}. Nothing was changed."
    )


async def tell(
    tx: Tx,
    notice: Notice,
    kind: str,
    text: str,
    actor: Actor,
    at: datetime,
    *,
    card: bool = True,
    post: bool = True,
) -> None:
    """Write the timeline, in the thread of the outage or of the card, and have the card shown anew.

    A draft has no card: only who writes it sees it.
    """
    key = f"notice:{notice.id}"
    thread = f"outage:{notice.outage_id}" if notice.outage_id else None
    if card:
        await timeline.ensure_post(tx, key, at, parent=thread)
    entry = Entry(kind, text, actor.id, at, outage_id=notice.outage_id, notice_id=notice.id)
    await timeline.record(tx, entry, post=post and card, parent=None if thread else key)


async def let_go(
    tx: Tx, actor: Actor, notice: Notice, mailing: Campaign, webhook: Webhook | None, at: datetime
) -> Notice:
    """What was approved begins: the mailing through the server that is best now, and the call of the webhook."""
    server = await need_server(tx, at) if mailing.recipients else None
    moved = await notices.move(tx, notice.id, [NoticeState.WAITING], state=NoticeState.SENDING)
    state = CampaignState.SENDING if mailing.recipients else CampaignState.FINISHED
    begun = await notices.move_mailing(
        tx,
        mailing.id,
        [CampaignState.SCHEDULED],
        state=state,
        wish=state,
        state_since=at,
        started_at=at,
        wished_at=at,
        wished_by=actor.mention,
        **({"server_id": server.id} if server else {}),
    )
    if moved is None or begun is None:
        raise wrong_state(await get(tx, notice.id))
    if webhook is not None:
        await notices.add_call(tx, WebhookCall(notice_id=notice.id, call_id=secrets.token_hex(16), next_at=at))
    ways = [f"to {number(mailing.recipients, 'recipient')} through {server.name}"] if server else []
    ways += ["to the webhook"] if webhook is not None else []
    text = f"{actor.mention} approved notice {notice.id}: it goes out {' and '.join(ways)}."
    await tell(tx, moved, "notice.approved", text, actor, at)
    return moved


def check_not_stopping(notice: Notice, mailing: Campaign) -> None:
    """Raises WrongStateError, with who was first, when it is being cancelled already."""
    if mailing.wish == CampaignState.CANCELLED:
        raise WrongStateError(
            f"{mailing.wished_by} cancels notice {notice.id} already. Its thread says when it has stopped."
        )


async def stop(tx: Tx, actor: Actor, notice: Notice, at: datetime) -> None:
    """Written here, done by the sender and by the next tick."""
    mailing = await mailing_of(tx, notice)
    check_not_stopping(notice, mailing)
    stopped = await notices.move_mailing(
        tx,
        mailing.id,
        [CampaignState.SENDING],
        state=CampaignState.PAUSING,
        wish=CampaignState.CANCELLED,
        state_since=at,
        wished_at=at,
        wished_by=actor.mention,
        confirmed_at=None,
        slipped=0,
        hold_outage_id=notice.outage_id,
    )
    call = await notices.call_of(tx, notice.id)
    withdrawn = call is not None and await notices.settle_call(
        tx, call.id, given_up_at=at, error=f"cancelled by {actor.mention}"
    )
    if stopped is None and not withdrawn:
        raise WrongStateError(f"Notice {notice.id} has gone out already: there is nothing left to cancel.")
    text = f"{actor.mention} cancels notice {notice.id}."
    await tell(tx, notice, "notice.cancelling", text, actor, at)
