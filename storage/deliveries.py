"""The ledger: made, counted, and read for people. It never decides.

What may be sent of it is read in sendable.py, how that ended is written in results.py.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import (
    Integer,
    and_,
    func,
    insert,
    literal,
    select,
    update,
)

from storage.db import Tx
from storage.failed import FAILED
from storage.models import (
    Delivery,
    DeliveryStatus,
    LedgerCount,
    OutageCampaign,
    Recipient,
    SendMinute,
)

_RATE_MINUTES = 10


async def create(tx: Tx, campaign_id: int) -> int:
    """One queued delivery for each recipient of the campaign. Returns how many there are."""
    recipients = select(
        Recipient.campaign_id, Recipient.n, literal(DeliveryStatus.QUEUED.value), literal(0, Integer)
    ).where(Recipient.campaign_id == campaign_id)
    await tx.execute(insert(Delivery).from_select(["campaign_id", "n", "status", "attempts"], recipients))
    made = await tx.scalar(select(func.count()).select_from(Delivery).where(Delivery.campaign_id == campaign_id))
    return made or 0


async def counts(tx: Tx, campaign_id: int) -> dict[str, int]:
    """How many deliveries have each status; every status is a key."""
    return (await counts_of(tx, [campaign_id]))[campaign_id]


async def counts_of(tx: Tx, campaign_ids: Iterable[int]) -> dict[int, dict[str, int]]:
    """`counts` for several campaigns in one query. No delivery is read: the database keeps these counts up to date."""
    wanted = list(campaign_ids)
    result = {campaign_id: {status.value: 0 for status in DeliveryStatus} for campaign_id in wanted}
    if not wanted:
        return result
    rows = await tx.execute(
        select(LedgerCount.campaign_id, LedgerCount.status, func.sum(LedgerCount.count))
        .where(LedgerCount.campaign_id.in_(wanted))
        .group_by(LedgerCount.campaign_id, LedgerCount.status)
    )
    for campaign_id, status, number in rows:
        result[campaign_id][status] = int(number)
    return result


async def rate_per_minute(tx: Tx, campaign_ids: Iterable[int], now: datetime) -> float | None:
    """Delivered a minute, over the last ten minutes in which anything was; None without data.

    The minute that is under way counts only where there is no whole one. After a long outage these minutes are those
    before it, which is what a plan wants to know.
    """
    minutes = await tx.execute(
        select(SendMinute.minute, func.sum(SendMinute.count))
        .where(SendMinute.campaign_id.in_(list(campaign_ids)), SendMinute.status == DeliveryStatus.DELIVERED)
        .group_by(SendMinute.minute)
        .order_by(SendMinute.minute.desc())
        .limit(_RATE_MINUTES + 1)
    )
    counted = [(minute, int(number)) for minute, number in minutes]
    present = now.replace(second=0, microsecond=0)
    whole = [number for minute, number in counted if minute < present][:_RATE_MINUTES]
    numbers = whole or [number for _, number in counted]
    return sum(numbers) / len(numbers) if numbers else None


async def outage_counts(tx: Tx, outage_id: int) -> dict[str, int]:
    """What an outage did to the campaigns it touched.

    attempted and delivered are of those campaigns as a whole; failed counts what was lost in this outage (all that
    carries its stamp), recovered what of it has been delivered since, undecided what of it is unknown; unknown,
    suppressed, expired and queued are of those campaigns as they stand.
    """
    campaigns = select(OutageCampaign.campaign_id).where(OutageCampaign.outage_id == outage_id)
    rows = await tx.execute(
        select(LedgerCount.status, LedgerCount.tried, func.sum(LedgerCount.count))
        .where(LedgerCount.campaign_id.in_(campaigns))
        .group_by(LedgerCount.status, LedgerCount.tried)
    )
    stand: Counter[str] = Counter()
    attempted = 0
    for status, tried, number in rows:
        stand[status] += int(number)
        attempted += int(number) if tried else 0
    stamped = await tx.execute(
        select(Delivery.status, func.count())
        .where(Delivery.outage_id == outage_id, Delivery.campaign_id.in_(campaigns))
        .group_by(Delivery.status)
    )
    lost: Counter[str] = Counter(dict(stamped.all()))
    return {
        "attempted": attempted,
        "delivered": stand[DeliveryStatus.DELIVERED],
        "failed": sum(lost.values()),
        "recovered": lost[DeliveryStatus.DELIVERED],
        "undecided": lost[DeliveryStatus.UNKNOWN],
        "unknown": stand[DeliveryStatus.UNKNOWN],
        "suppressed": stand[DeliveryStatus.SUPPRESSED],
        "expired": stand[DeliveryStatus.EXPIRED],
        "queued": stand[DeliveryStatus.QUEUED],
    }


async def stamp_outage(tx: Tx, server_id: int, since: datetime, outage_id: int) -> int:
    """Mark what failed on the server since then, for a reason that is not the recipient's, as lost in the outage."""
    result = await tx.execute(
        update(Delivery)
        .where(
            Delivery.server_id == server_id,
            Delivery.changed_at >= since,
            FAILED,
            Delivery.retry != "never",
            Delivery.outage_id.is_(None),
        )
        .values(outage_id=outage_id)
        .execution_options(synchronize_session=False)
    )
    return int(getattr(result, "rowcount", 0))


async def unknown_names(tx: Tx, campaign_id: int, limit: int = 100) -> list[str]:
    """The addresses whose mail may or may not have arrived."""
    rows = await tx.scalars(
        select(Recipient.email)
        .join(Delivery, and_(Recipient.campaign_id == Delivery.campaign_id, Recipient.n == Delivery.n))
        .where(Delivery.campaign_id == campaign_id, FAILED, Delivery.status == DeliveryStatus.UNKNOWN)
        .order_by(Delivery.n)
        .limit(limit)
    )
    return list(rows)


async def addresses(tx: Tx, campaign_id: int, numbers: Sequence[int]) -> list[str]:
    """The addresses of some of a campaign's recipients, in their order."""
    rows = await tx.scalars(
        select(Recipient.email)
        .where(Recipient.campaign_id == campaign_id, Recipient.n.in_(numbers))
        .order_by(Recipient.n)
    )
    return list(rows)
