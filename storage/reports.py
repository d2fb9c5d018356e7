"""Reports of deliveries: whose they are, what is kept of them, and the rows of the ledger that they change. It never
decides; bot/services/reconciling.py does.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Integer, and_, delete, func, literal_column, or_, select, text, tuple_, update

from storage import resends
from storage.db import Tx
from storage.failed import FAILED
from storage.models import (
    SPENT_REPORTS,
    Campaign,
    Delivery,
    DeliveryReport,
    DeliveryStatus,
    Message,
    Recipient,
    ResendItem,
    Retry,
    Server,
)
from storage.upserts import insert_into

_UNKNOWN = and_(FAILED, Delivery.status == DeliveryStatus.UNKNOWN)
# The sum keeps SQLite from walking a whole campaign by its primary key, where the unknown are few among millions.
_CAMPAIGN = Delivery.campaign_id.op("+")(literal_column("0", Integer))
_RECIPIENT = and_(Recipient.campaign_id == Delivery.campaign_id, Recipient.n == Delivery.n)


class Place(NamedTuple):
    """A recipient of a campaign, with what its Message-ID is made from."""

    campaign_id: int
    n: int
    email: str
    key: str


class Unknown(NamedTuple):
    """A delivery of which nobody knows whether it arrived."""

    campaign_id: int
    campaign: str
    n: int
    email: str
    key: str
    since: datetime | None
    why: str | None
    server: str | None


@dataclass(frozen=True, slots=True)
class Standing:
    """A delivery as it is now, and locked until the transaction ends. `held`: an unfinished resend has it in its
    items and has not queued it. `kinds`: what was reported of it before.
    """

    n: int
    email: str
    status: str
    attempts: int
    changed_at: datetime | None
    outage_id: int | None
    resend_id: int | None
    reply: str | None
    held: bool
    kinds: frozenset[str]


async def unknown(
    tx: Tx,
    *,
    outage_id: int | None = None,
    campaign_id: int | None = None,
    email_key: str | None = None,
    limit: int | None = None,
    offset: int = 0,
) -> list[Unknown]:
    """The unknown deliveries, of an outage or of a campaign or all there are, by the names of their campaigns."""
    rows = await tx.execute(
        select(
            Delivery.campaign_id,
            Campaign.name,
            Delivery.n,
            Recipient.email,
            Message.key,
            Delivery.changed_at,
            Delivery.reply,
            Server.name,
        )
        .join(Campaign, Campaign.id == Delivery.campaign_id)
        .join(Message, Message.campaign_id == Delivery.campaign_id)
        .join(Recipient, _RECIPIENT)
        .outerjoin(Server, Server.id == Delivery.server_id)
        .where(*_chosen(outage_id, campaign_id, email_key))
        .order_by(Campaign.name, Delivery.n)
        .limit(limit)
        .offset(offset)
    )
    return [Unknown(*row) for row in rows]


async def count_unknown(tx: Tx, *, outage_id: int | None = None, campaign_id: int | None = None) -> Counter[str]:
    """How many there are, by the names of their campaigns."""
    rows = await tx.execute(
        select(Campaign.name, func.count())
        .select_from(Delivery)
        .join(Campaign, Campaign.id == Delivery.campaign_id)
        .where(*_chosen(outage_id, campaign_id, None))
        .group_by(Campaign.name)
    )
    return Counter(dict(rows.all()))


def _chosen(outage_id: int | None, campaign_id: int | None, email_key: str | None) -> list[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = [_UNKNOWN]
    if outage_id is not None:
        wanted.append(Delivery.outage_id == outage_id)
    if campaign_id is not None:
        wanted.append(_CAMPAIGN.in_([campaign_id]))
    if email_key is not None:
        wanted.append(Recipient.email_key == email_key)
    return wanted


async def keys(tx: Tx, campaigns: Collection[str] | None = None) -> dict[int, str]:
    """The message keys of the campaigns of these names, or of all: campaign id -> key, the newest first."""
    query = select(Message.campaign_id, Message.key).order_by(Message.campaign_id.desc())
    if campaigns is not None:
        query = query.join(Campaign, Campaign.id == Message.campaign_id).where(Campaign.name.in_(list(campaigns)))
    return dict((await tx.execute(query)).all())


async def places(tx: Tx, campaign_id: int, key: str, email_keys: Collection[str]) -> list[Place]:
    """Everybody in a campaign with one of these addresses. A campaign at a time, so that the index of both serves."""
    of_campaign = Recipient.campaign_id == campaign_id
    if tx.get_bind().dialect.name == "sqlite":
        # One by one inside the statement: for a list SQLite walks the whole campaign by its primary key.
        wanted = func.json_each(json.dumps(sorted(email_keys))).table_valued("value")
        one = select(func.json_array(Recipient.n, Recipient.email)).where(
            of_campaign, Recipient.email_key == wanted.c.value
        )
        found = await tx.scalars(select(one.scalar_subquery()).select_from(wanted))
        rows = [json.loads(each) for each in found if each is not None]
    else:
        query = select(Recipient.n, Recipient.email).where(of_campaign, Recipient.email_key.in_(list(email_keys)))
        rows = [(n, email) for n, email in await tx.execute(query)]
    return [Place(campaign_id, n, email, key) for n, email in rows]


async def place(tx: Tx, campaign_id: int, n: int) -> Place | None:
    """One recipient of a campaign."""
    rows = await tx.execute(
        select(Recipient.email, Message.key)
        .join(Message, Message.campaign_id == Recipient.campaign_id)
        .where(Recipient.campaign_id == campaign_id, Recipient.n == n)
    )
    return next((Place(campaign_id, n, email, key) for email, key in rows), None)


async def standing(tx: Tx, campaign_id: int, numbers: Collection[int]) -> dict[int, Standing]:
    """These deliveries as they are, by number. Nobody changes them until the transaction ends."""
    wanted = list(numbers)
    rows = await tx.execute(
        select(
            Delivery.n,
            Recipient.email,
            Delivery.status,
            Delivery.attempts,
            Delivery.changed_at,
            Delivery.outage_id,
            Delivery.resend_id,
            Delivery.reply,
        )
        .join(Recipient, _RECIPIENT)
        .where(Delivery.campaign_id == campaign_id, Delivery.n.in_(wanted))
        .order_by(Delivery.n)
        .with_for_update(of=Delivery)
    )
    held = await _held(tx, campaign_id, wanted)
    kinds: dict[int, set[str]] = {}
    told = select(DeliveryReport.n, DeliveryReport.kind).where(
        DeliveryReport.campaign_id == campaign_id,
        DeliveryReport.n.in_(wanted),
        DeliveryReport.settled_at.is_not(None),
    )
    for n, kind in await tx.execute(told):
        kinds.setdefault(n, set()).add(kind)
    return {row.n: Standing(*row, held=row.n in held, kinds=frozenset(kinds.get(row.n, ()))) for row in rows}


async def _held(tx: Tx, campaign_id: int, numbers: Collection[int]) -> set[int]:
    running = await resends.running_ids(tx)
    if not running:
        return set()
    return set(
        await tx.scalars(
            select(ResendItem.n)
            .join(Delivery, and_(Delivery.campaign_id == ResendItem.campaign_id, Delivery.n == ResendItem.n))
            .where(
                ResendItem.campaign_id == campaign_id,
                ResendItem.resend_id.in_(running),
                ResendItem.n.in_(list(numbers)),
                _not_yet_sent(),
            )
        )
    )


def _not_yet_sent() -> ColumnElement[bool]:
    """Of an item of a running resend: it has not been queued by it, so the plan still counts on how it is."""
    return and_(
        Delivery.status == ResendItem.before,
        or_(Delivery.resend_id.is_(None), Delivery.resend_id != ResendItem.resend_id),
    )


async def add(tx: Tx, reports: Sequence[DeliveryReport]) -> set[tuple[int, str]]:
    """Keep them. Returns (n, digest) of those that were not known; all are of one campaign."""
    if not reports:
        return set()
    columns = [column.key for column in DeliveryReport.__table__.columns]
    rows = {(each.n, each.digest): {column: getattr(each, column) for column in columns} for each in reports}
    added = await tx.execute(
        insert_into(tx, DeliveryReport)
        .values([rows[key] for key in sorted(rows)])
        .on_conflict_do_nothing()
        .returning(DeliveryReport.n, DeliveryReport.digest)
    )
    return {(n, digest) for n, digest in added}


async def change(tx: Tx, campaign_id: int, n: int, before: str, **values: Any) -> bool:
    """Change a delivery that still has this status. False when it has not."""
    changed = await tx.scalar(
        update(Delivery)
        .where(Delivery.campaign_id == campaign_id, Delivery.n == n, Delivery.status == before)
        .values(**values)
        .returning(Delivery.n)
        .execution_options(synchronize_session=False)
    )
    return changed is not None


async def count_as_delivered(tx: Tx, campaign_id: int, numbers: Collection[int], reply: str) -> set[int]:
    """Those of them that are unknown are delivered now. Returns their numbers."""
    return set(
        await tx.scalars(
            update(Delivery)
            .where(
                Delivery.campaign_id == campaign_id,
                Delivery.n.in_(list(numbers)),
                Delivery.status == DeliveryStatus.UNKNOWN,
            )
            .values(status=DeliveryStatus.DELIVERED, retry=Retry.NEVER, reply=reply)
            .returning(Delivery.n)
            .execution_options(synchronize_session=False)
        )
    )


async def make_unknown(tx: Tx, campaign_id: int, why: Mapping[int, str | None], reply: str) -> set[int]:
    """Those that `count_as_delivered` left with this reply, and of which nothing else was heard, are unknown again.

    `why`: number -> the reply that it had before. Returns their numbers.
    """
    heard = await proven(tx, campaign_id, why)
    back = set()
    for n in sorted(why.keys() - heard):
        still = and_(Delivery.status == DeliveryStatus.DELIVERED, Delivery.reply == reply)
        changed = await tx.scalar(
            update(Delivery)
            .where(Delivery.campaign_id == campaign_id, Delivery.n == n, still)
            .values(status=DeliveryStatus.UNKNOWN, retry=Retry.DECIDE, reply=why[n])
            .returning(Delivery.n)
            .execution_options(synchronize_session=False)
        )
        back |= {n} if changed is not None else set()
    return back


async def settle(
    tx: Tx, campaign_id: int, n: int, digest: str, at: datetime, before: str | None, after: str | None
) -> None:
    """The delivery has taken it into account."""
    await tx.execute(
        update(DeliveryReport)
        .where(
            DeliveryReport.campaign_id == campaign_id,
            DeliveryReport.n == n,
            DeliveryReport.digest == digest,
        )
        .values(settled_at=at, before=before, after=after)
        .execution_options(synchronize_session=False)
    )


async def waiting(tx: Tx, limit: int) -> Sequence[DeliveryReport]:
    """Those whose delivery was being sent when they came and has a result by now, oldest first."""
    running = await resends.running_ids(tx)
    held = (
        select(ResendItem.n)
        .where(
            ResendItem.campaign_id == DeliveryReport.campaign_id,
            ResendItem.resend_id.in_(running),
            ResendItem.n == DeliveryReport.n,
            _not_yet_sent(),
        )
        .correlate(DeliveryReport, Delivery)
    )
    rows = await tx.scalars(
        select(DeliveryReport)
        .join(Delivery, and_(Delivery.campaign_id == DeliveryReport.campaign_id, Delivery.n == DeliveryReport.n))
        .where(DeliveryReport.settled_at.is_(None), Delivery.status != DeliveryStatus.QUEUED, ~held.exists())
        .order_by(DeliveryReport.seen_at)
        .limit(limit)
    )
    return rows.all()


async def of_delivery(tx: Tx, campaign_id: int, n: int) -> Sequence[DeliveryReport]:
    """What was reported of it, oldest first."""
    rows = await tx.scalars(
        select(DeliveryReport)
        .where(DeliveryReport.campaign_id == campaign_id, DeliveryReport.n == n)
        .order_by(DeliveryReport.seen_at, DeliveryReport.digest)
    )
    return rows.all()


async def counts(tx: Tx, campaign_id: int) -> Counter[str]:
    """How many deliveries of a campaign have a report of each kind."""
    rows = await tx.execute(
        select(DeliveryReport.kind, func.count(DeliveryReport.n.distinct()))
        .where(DeliveryReport.campaign_id == campaign_id)
        .group_by(DeliveryReport.kind)
    )
    return Counter(dict(rows.all()))


async def proven(tx: Tx, campaign_id: int, numbers: Iterable[int]) -> set[int]:
    """Those of them of which more than a person says that they arrived."""
    return set(
        await tx.scalars(
            select(DeliveryReport.n).where(
                DeliveryReport.campaign_id == campaign_id,
                DeliveryReport.n.in_(list(numbers)),
                DeliveryReport.source != "person",
                DeliveryReport.kind.in_(["accepted", "delivered", "complaint"]),
            )
        )
    )


async def prune(tx: Tx, before: datetime, limit: int) -> int:
    """Forget reports that came before then, changed nothing and that no rule will ask for again, at most so many.

    What changed a delivery, what came back, a complaint and what a person said stay as long as the ledger. Returns
    how many were forgotten.
    """
    key = tuple_(DeliveryReport.campaign_id, DeliveryReport.n, DeliveryReport.digest)
    spent = (
        select(DeliveryReport.campaign_id, DeliveryReport.n, DeliveryReport.digest)
        .where(text(SPENT_REPORTS), DeliveryReport.seen_at < before)
        .limit(limit)
    )
    result = await tx.execute(delete(DeliveryReport).where(key.in_(spent)).execution_options(synchronize_session=False))
    return int(getattr(result, "rowcount", 0))


async def forget(tx: Tx, campaign_id: int, numbers: Iterable[int], digest: str) -> None:
    """Take back what a person said of these deliveries."""
    await tx.execute(
        delete(DeliveryReport)
        .where(
            DeliveryReport.campaign_id == campaign_id,
            DeliveryReport.n.in_(list(numbers)),
            DeliveryReport.digest == digest,
        )
        .execution_options(synchronize_session=False)
    )
