"""Leases: which range of a ledger is being sent by whom."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import delete, select

from storage.db import Tx
from storage.models import Lease


async def take(tx: Tx, lease: Lease) -> Lease:
    tx.add(lease)
    await tx.flush()
    return lease


async def all_of(tx: Tx, worker: str | None = None) -> Sequence[Lease]:
    """The open leases, of one worker or of all, oldest first."""
    statement = select(Lease).order_by(Lease.id)
    if worker is not None:
        statement = statement.where(Lease.worker == worker)
    return (await tx.scalars(statement)).all()


async def leased(tx: Tx, campaign_id: int, resend_id: int | None = None) -> bool:
    """Whether anybody may be sending from this campaign (or this resend of it) now."""
    owner = Lease.resend_id.is_(None) if resend_id is None else Lease.resend_id == resend_id
    return await tx.scalar(select(Lease.id).where(Lease.campaign_id == campaign_id, owner).limit(1)) is not None


async def end(tx: Tx, lease_ids: Iterable[int]) -> None:
    ids = list(lease_ids)
    if ids:
        await tx.execute(delete(Lease).where(Lease.id.in_(ids)))


def new(campaign_id: int, resend_id: int | None, first: int, last: int, worker: str, boot: str, at: datetime) -> Lease:
    return Lease(
        campaign_id=campaign_id,
        resend_id=resend_id,
        first_n=first,
        last_n=last,
        worker=worker,
        boot_id=boot,
        created_at=at,
    )
