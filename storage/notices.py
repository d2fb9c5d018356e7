"""Notices: their audience, frozen set by set into a mailing of their own, their states and their webhook calls."""

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import JSON, Integer, func, insert, literal, select, update

from storage.db import Tx
from storage.models import (
    Campaign,
    CampaignState,
    Delivery,
    DeliveryStatus,
    Notice,
    NoticeState,
    Recipient,
    Suppression,
    WebhookCall,
)
from storage.upserts import insert_into

MAILING = "notice"
"""The kind of the campaign that carries a notice."""

_LISTED = 1_000
_BATCH = 10_000


class Source(NamedTuple):
    """A campaign whose recipients are told, and the highest number that they have in it."""

    campaign_id: int
    recipients: int
    last: int


# Notices


async def add(tx: Tx, notice: Notice) -> Notice:
    tx.add(notice)
    await tx.flush()
    return notice


async def get(tx: Tx, notice_id: int) -> Notice | None:
    return await tx.get(Notice, notice_id, populate_existing=True)


async def recent(tx: Tx, limit: int = _LISTED) -> Sequence[Notice]:
    """The newest, newest first."""
    return (await tx.scalars(select(Notice).order_by(Notice.id.desc()).limit(limit))).all()


async def in_states(tx: Tx, states: Iterable[NoticeState]) -> Sequence[Notice]:
    """Those in one of the states, oldest first."""
    rows = await tx.scalars(
        select(Notice)
        .where(Notice.state.in_(list(states)))
        .order_by(Notice.id)
        .execution_options(populate_existing=True)
    )
    return rows.all()


async def move(tx: Tx, notice_id: int, states: Iterable[NoticeState], **changes: Any) -> Notice | None:
    """Change it if it still is in one of `states`; None when it is not (any more): who comes second changes nothing."""
    return await tx.scalar(
        update(Notice)
        .where(Notice.id == notice_id, Notice.state.in_(list(states)))
        .values(**changes)
        .returning(Notice)
        .execution_options(synchronize_session=False, populate_existing=True)
    )


# The audience


async def sources(tx: Tx, campaign_ids: Iterable[int]) -> list[Source]:
    """The campaigns that have recipients, in order of their ids."""
    rows = await tx.execute(
        select(Recipient.campaign_id, func.count(), func.max(Recipient.n))
        .where(Recipient.campaign_id.in_(list(campaign_ids)))
        .group_by(Recipient.campaign_id)
        .order_by(Recipient.campaign_id)
    )
    return [Source(*row) for row in rows]


async def suppressed_among(tx: Tx, campaign_ids: Iterable[int]) -> int:
    """How many addresses of these campaigns are suppressed, each counted once."""
    count = await tx.scalar(
        select(func.count(func.distinct(Recipient.email_key)))
        .join(Suppression, Suppression.email_key == Recipient.email_key)
        .where(Recipient.campaign_id.in_(list(campaign_ids)))
    )
    return count or 0


async def audience_of(tx: Tx, campaign_ids: Iterable[int]) -> int:
    """How many addresses of these campaigns would be told, each counted once, without the suppressed ones."""
    count = await tx.scalar(
        select(func.count(func.distinct(Recipient.email_key)))
        .outerjoin(Suppression, Suppression.email_key == Recipient.email_key)
        .where(Recipient.campaign_id.in_(list(campaign_ids)), Suppression.email_key.is_(None))
    )
    return count or 0


async def suppressed_of(tx: Tx, keys: Iterable[str]) -> set[str]:
    """Which of these addresses, in lower case, are suppressed."""
    return set(await tx.scalars(select(Suppression.email_key).where(Suppression.email_key.in_(list(keys)))))


async def copy_audience(tx: Tx, campaign_id: int, source_id: int, *, first: int, last: int, offset: int) -> None:
    """Put the recipients `first` to `last` of a campaign into the notice's mailing, each with its queued delivery.

    Who is there already and who is suppressed is left out. Their numbers are those in the source plus `offset`.
    """
    found = (
        select(
            literal(campaign_id, Integer), Recipient.n + offset, Recipient.email, Recipient.email_key, literal({}, JSON)
        )
        .outerjoin(Suppression, Suppression.email_key == Recipient.email_key)
        .where(
            Recipient.campaign_id == source_id,
            Recipient.n.between(first, last),
            Suppression.email_key.is_(None),
        )
        .order_by(Recipient.n)
    )
    columns = ["campaign_id", "n", "email", "email_key", "fields"]
    await tx.execute(
        insert_into(tx, Recipient)
        .from_select(columns, found)
        .on_conflict_do_nothing(index_elements=["campaign_id", "email_key"])
        .execution_options(synchronize_session=False)
    )
    queued = select(
        Recipient.campaign_id, Recipient.n, literal(DeliveryStatus.QUEUED.value), literal(0, Integer)
    ).where(Recipient.campaign_id == campaign_id, Recipient.n.between(first + offset, last + offset))
    await tx.execute(insert(Delivery).from_select(["campaign_id", "n", "status", "attempts"], queued))


async def addresses(tx: Tx, campaign_id: int) -> AsyncIterator[Sequence[str]]:
    """The frozen audience in its order, in batches."""
    after = 0
    while True:
        rows = (
            await tx.execute(
                select(Recipient.n, Recipient.email)
                .where(Recipient.campaign_id == campaign_id, Recipient.n > after)
                .order_by(Recipient.n)
                .limit(_BATCH)
            )
        ).all()
        if not rows:
            return
        after = rows[-1][0]
        yield [email for _, email in rows]


async def become(tx: Tx, campaign_id: int, **values: Any) -> bool:
    """A mailing whose audience is whole becomes that of its notice; False when it was given up meanwhile."""
    changed = await tx.scalar(
        update(Campaign)
        .where(Campaign.id == campaign_id, Campaign.kind == "importing")
        .values(kind=MAILING, **values)
        .returning(Campaign.id)
        .execution_options(synchronize_session=False)
    )
    return changed is not None


# The mailing


async def move_mailing(tx: Tx, campaign_id: int, states: Iterable[CampaignState], **changes: Any) -> Campaign | None:
    """Change the mailing if it still is in one of `states`."""
    return await tx.scalar(
        update(Campaign)
        .where(Campaign.id == campaign_id, Campaign.kind == MAILING, Campaign.state.in_(list(states)))
        .values(**changes)
        .returning(Campaign)
        .execution_options(synchronize_session=False, populate_existing=True)
    )


async def busy(tx: Tx) -> dict[int, int]:
    """How many mailings of any kind are being sent through each server: server id -> count."""
    rows = await tx.execute(
        select(Campaign.server_id, func.count())
        .where(Campaign.state == CampaignState.SENDING)
        .group_by(Campaign.server_id)
    )
    return dict(rows.all())


# Webhook calls


async def add_call(tx: Tx, call: WebhookCall) -> None:
    tx.add(call)
    await tx.flush()


async def call_of(tx: Tx, notice_id: int) -> WebhookCall | None:
    return await tx.scalar(
        select(WebhookCall).where(WebhookCall.notice_id == notice_id).execution_options(populate_existing=True)
    )


async def due_calls(tx: Tx, at: datetime) -> Sequence[WebhookCall]:
    """Calls whose next attempt is due, oldest first."""
    rows = await tx.scalars(
        select(WebhookCall)
        .where(WebhookCall.delivered_at.is_(None), WebhookCall.given_up_at.is_(None), WebhookCall.next_at <= at)
        .order_by(WebhookCall.id)
    )
    return rows.all()


async def claim_call(tx: Tx, call: WebhookCall, next_at: datetime) -> bool:
    """Count an attempt before it leaves. False when somebody else makes it, or the call was given up.

    `next_at` is when it is tried again should this process die in the attempt.
    """
    claimed = await tx.scalar(
        update(WebhookCall)
        .where(
            WebhookCall.id == call.id,
            WebhookCall.attempts == call.attempts,
            WebhookCall.delivered_at.is_(None),
            WebhookCall.given_up_at.is_(None),
        )
        .values(attempts=WebhookCall.attempts + 1, next_at=next_at)
        .returning(WebhookCall.id)
        .execution_options(synchronize_session=False)
    )
    return claimed is not None


async def settle_call(tx: Tx, call_id: int, **values: Any) -> bool:
    """Write what became of an attempt, unless the call has come to an end already. A delivery is always written."""
    statement = update(WebhookCall).where(WebhookCall.id == call_id, WebhookCall.delivered_at.is_(None))
    if values.get("delivered_at") is None:
        statement = statement.where(WebhookCall.given_up_at.is_(None))
    changed = await tx.scalar(
        statement.values(**values).returning(WebhookCall.id).execution_options(synchronize_session=False)
    )
    return changed is not None
