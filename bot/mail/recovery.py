"""What a worker had in flight that is gone, from its journal.

A leased delivery with a result in the journal gets that result. One whose final dot may have left without a result
is unknown: listed by name and never sent again unless a person decides. The others were not sent and wait again.
Where the journal is gone, or was written before the machine's last boot, all that was leased is unknown.

A journal whose lock is free belongs to a process that is gone, however short that is ago. So a worker is recovered by
whoever shares its folder, at once and not only at the start. Where the folder is on another machine, what was leased
waits for that machine's return (bot/mail/fleet.py), and what was not leased goes on.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from bot.clock import now
from bot.mail.journal import InUseError, Journal, JournalError, Recorded, Recovery
from bot.mail.replies import Outcome
from storage import deliveries, leases, results, sendable, shards, timeline, workers
from storage.db import Database, Tx
from storage.models import Campaign, DeliveryStatus, Lease, Retry
from storage.results import Ending
from storage.timeline import Entry

log = structlog.get_logger()

_RETRY = {
    Outcome.delivered: Retry.NEVER,
    Outcome.failed_temporary: Retry.SAFE,
    # The journal has the code but not the text that says whether the recipient or we were meant.
    Outcome.failed_permanent: Retry.AFTER_FIX,
    Outcome.unknown: Retry.DECIDE,
}
_NAMES_SHOWN = 20
_LOST = "Holdfast stopped between the message and the server's answer"
_UNTRUSTED = "the journal of this delivery is gone, or older than the machine's last boot"
_AWAY = "the journal of this delivery is on a machine that did not come back in time"


@dataclass(slots=True)
class Recovered:
    """What recovery found: the workers, results that were replayed, and unknown deliveries by campaign."""

    workers: set[str] = field(default_factory=set)
    replayed: int = 0
    unknown: dict[int, list[int]] = field(default_factory=dict)

    def log(self) -> None:
        if self.replayed or self.unknown:
            unknown = sum(map(len, self.unknown.values()))
            log.warning("recovered after a crash", replayed=self.replayed, unknown=unknown)


async def recover(db: Database, folder: Path) -> Recovered:
    """Settle every lease that is still open. Only while no worker runs. Raises StorageError and JournalError."""
    found = Recovered()
    journals = await asyncio.to_thread(_read_all, folder)
    async with db.transaction() as tx:
        known = {worker.id for worker in await workers.every(tx)}
        for worker in {*known, *journals, *await leases.owners(tx)}:
            await _settle_worker(tx, worker, journals.get(worker), found, _UNTRUSTED)
        await _tell_all(tx, found)
    for worker in journals:
        Journal.discard(_path(folder, worker))
    found.log()
    return found


async def recover_dead(db: Database, folder: Path) -> Recovered:
    """Settle what the workers left whose journals here are nobody's any more. While others run; several may try.

    Raises StorageError, and JournalError for a journal that this version cannot read.
    """
    found = Recovered()
    for worker in await asyncio.to_thread(_free, folder):
        path = _path(folder, worker)
        try:
            recovery = await asyncio.to_thread(Journal.recover, path)
        except JournalError as error:
            if isinstance(error, InUseError) or not path.exists():
                continue  # somebody else recovers it at this moment
            raise
        await _recover_one(db, worker, recovery, found)
        with contextlib.suppress(JournalError):  # the same
            Journal.discard(path)
    found.log()
    return found


async def give_up(db: Database, worker: str) -> Recovered:
    """The journal of this worker does not come back: all that it had leased is unknown. Raises StorageError."""
    found = Recovered()
    await _recover_one(db, worker, None, found)
    found.log()
    return found


async def waiting(tx: Tx, lease: Lease) -> int:
    """How many deliveries of a lease have no result."""
    return len(await sendable.still_queued(tx, lease.campaign_id, lease.resend_id, lease.first_n, lease.last_n))


async def _recover_one(db: Database, worker: str, recovery: Recovery | None, found: Recovered) -> None:
    one = Recovered()
    async with db.transaction() as tx:
        await _settle_worker(tx, worker, recovery, one, _UNTRUSTED if recovery is not None else _AWAY)
        await _tell_all(tx, one)
    found.workers |= one.workers
    found.replayed += one.replayed
    for campaign_id, numbers in one.unknown.items():
        found.unknown.setdefault(campaign_id, []).extend(numbers)


async def _settle_worker(tx: Tx, worker: str, recovery: Recovery | None, found: Recovered, why: str) -> None:
    """Afterwards the worker holds nothing, and is no more."""
    for lease in await leases.all_of(tx, worker):
        await _settle(tx, lease, recovery, found, why)
        await leases.end(tx, [lease.id])
    await shards.let_go(tx, worker)
    await workers.leave(tx, [worker])
    found.workers.add(worker)


def _path(folder: Path, worker: str) -> Path:
    return folder / f"{worker}.journal"


def _free(folder: Path) -> list[str]:
    return [path.stem for path in sorted(folder.glob("*.journal")) if Journal.is_free(path)]


def _read_all(folder: Path) -> dict[str, Recovery]:
    """By worker: the name of the file says whose it is, also where its content is torn."""
    return {path.stem: Journal.recover(path) for path in sorted(folder.glob("*.journal"))}


async def _settle(tx: Tx, lease: Lease, recovery: Recovery | None, found: Recovered, untrusted: str) -> None:
    queued = await sendable.still_queued(tx, lease.campaign_id, lease.resend_id, lease.first_n, lease.last_n)
    recorded = _results(lease, recovery, queued)
    endings = [_replayed(result) for result in recorded.values()]
    found.replayed += len(endings)
    if recovery is not None and recovery.same_boot:
        lost = {
            n for campaign, n in recovery.unknown if campaign == lease.campaign_id and n in queued
        } - recorded.keys()
        why = _LOST
    else:
        lost = queued - recorded.keys()
        why = untrusted
    endings += [_unknown(lease, n, why) for n in sorted(lost)]
    if lost:
        found.unknown.setdefault(lease.campaign_id, []).extend(sorted(lost))
    await results.write(tx, endings)


def _results(lease: Lease, recovery: Recovery | None, queued: set[int]) -> dict[int, Recorded]:
    if recovery is None:
        return {}
    return {r.n: r for r in recovery.results if r.campaign_id == lease.campaign_id and r.n in queued}


def _replayed(result: Recorded) -> Ending:
    return Ending(
        campaign_id=result.campaign_id,
        n=result.n,
        status=result.outcome.value,
        at=now(),
        code=result.reply_code or None,
        retry=_RETRY[result.outcome],
    )


def _unknown(lease: Lease, n: int, why: str) -> Ending:
    return Ending(
        campaign_id=lease.campaign_id,
        n=n,
        status=DeliveryStatus.UNKNOWN,
        at=now(),
        stage="dot",
        reply=why,
        retry=Retry.DECIDE,
    )


async def _tell_all(tx: Tx, found: Recovered) -> None:
    for campaign_id, numbers in found.unknown.items():
        await _tell(tx, campaign_id, numbers)


async def _tell(tx: Tx, campaign_id: int, numbers: Sequence[int]) -> None:
    """The unknown ones by name, in the thread of the outage that holds the campaign, else in the channel."""
    campaign = await tx.get(Campaign, campaign_id)
    if campaign is None:
        return
    names = await deliveries.addresses(tx, campaign_id, numbers[:_NAMES_SHOWN])
    more = f" and {len(numbers) - len(names)} more" if len(numbers) > len(names) else ""
    noun = "delivery is" if len(numbers) == 1 else "deliveries are"
    await timeline.record(
        tx,
        Entry(
            kind="campaign.unknown",
            actor="Holdfast",
            at=now(),
            text=(
                f"Sending was interrupted. {len(numbers)} {noun} unknown in {campaign.name}: {', '.join(names)}{more}. "
                "They may have arrived, so they are not sent again unless somebody decides it in a resend."
            ),
            campaign_id=campaign_id,
            outage_id=campaign.hold_outage_id,
            data={"numbers": list(numbers)},
        ),
    )
