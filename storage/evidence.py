"""What sending saw of the servers, on its way from the workers to the monitor."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func, select, update

from storage.db import Tx
from storage.failed import FAILED
from storage.models import Delivery, Evidence, Retry


async def unjudged(tx: Tx, limit: int = 1000) -> Sequence[Evidence]:
    """What the monitor has not taken into account yet, oldest first."""
    rows = await tx.scalars(select(Evidence).where(Evidence.judged_at.is_(None)).order_by(Evidence.id).limit(limit))
    return rows.all()


async def judge(tx: Tx, ids: Sequence[int], at: datetime) -> None:
    await tx.execute(update(Evidence).where(Evidence.id.in_(ids)).values(judged_at=at))


async def last_failure(tx: Tx, server_id: int, since: datetime) -> Evidence | None:
    """The newest failure on the server since then, with its stage and reply."""
    return await tx.scalar(
        select(Evidence)
        .where(Evidence.server_id == server_id, Evidence.at >= since, Evidence.failed > 0)
        .order_by(Evidence.id.desc())
        .limit(1)
    )


async def failing_since(tx: Tx, server_id: int, since: datetime) -> datetime | None:
    """When the present run of failures on the server began: after its last flush that was all success.

    Looks back no further than `since`. None: nothing failed.
    """
    healthy = (
        select(func.coalesce(func.max(Evidence.id), 0))
        .where(Evidence.server_id == server_id, Evidence.at >= since, Evidence.failed == 0)
        .scalar_subquery()
    )
    return await tx.scalar(
        select(Evidence.at)
        .where(Evidence.server_id == server_id, Evidence.at >= since, Evidence.id > healthy, Evidence.failed > 0)
        .order_by(Evidence.id)
        .limit(1)
    )


async def first_lost(tx: Tx, server_id: int, since: datetime) -> datetime | None:
    """When the first mail since then was lost on the server, for a reason that is not the recipient's."""
    return await tx.scalar(
        select(func.min(Delivery.changed_at)).where(
            Delivery.server_id == server_id,
            Delivery.changed_at >= since,
            FAILED,
            Delivery.retry != Retry.NEVER,
            Delivery.outage_id.is_(None),
        )
    )


async def prune(tx: Tx, before: datetime) -> None:
    """Forget what is too old to matter."""
    await tx.execute(delete(Evidence).where(Evidence.at < before))
