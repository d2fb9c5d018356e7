"""Leases: which range of a ledger is being sent by whom."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, delete, select

from storage.db import Tx
from storage.models import Lease


def of(campaign_id: int | None, resend_id: int | None) -> tuple[ColumnElement[bool], ...]:
    """The leases of a campaign, of a resend's part of it, or (without a campaign) of a whole resend."""
    owner = Lease.resend_id.is_(None) if resend_id is None else Lease.resend_id == resend_id
    return (owner,) if campaign_id is None else (Lease.campaign_id == campaign_id, owner)


async def take(tx: Tx, lease: Lease) -> Lease:
    tx.add(lease)
    await tx.flush()
    return lease


async def all_of(tx: Tx, worker: str | None = None) -> Sequence[Lease]:
    """The open leases, of one worker or of all, oldest first; kept as they are until the transaction ends."""
    statement = select(Lease).order_by(Lease.id).with_for_update()
    if worker is not None:
        statement = statement.where(Lease.worker == worker)
    return (await tx.scalars(statement)).all()


async def owners(tx: Tx) -> set[str]:
    """The workers that have leases."""
    return set(await tx.scalars(select(Lease.worker).distinct()))


async def leased(tx: Tx, campaign_id: int | None, resend_id: int | None = None) -> bool:
    """Whether anybody may be sending from this campaign (or this resend of it) now."""
    return await tx.scalar(select(Lease.id).where(*of(campaign_id, resend_id)).limit(1)) is not None


async def gaps(tx: Tx, campaign_id: int, resend_id: int | None, first: int, last: int) -> list[tuple[int, int]]:
    """What of a range is in no lease, in order. Leases lie there that a worker left which is silent."""
    rows = await tx.execute(
        select(Lease.first_n, Lease.last_n)
        .where(*of(campaign_id, resend_id), Lease.first_n <= last, Lease.last_n >= first)
        .order_by(Lease.first_n)
    )
    found: list[tuple[int, int]] = []
    for begin, end_ in rows:
        if first < begin:
            found.append((first, begin - 1))
        first = max(first, end_ + 1)
    return [*found, (first, last)] if first <= last else found


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
