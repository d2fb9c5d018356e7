"""After a crash: what was in flight, from the journals of workers that are gone.

A leased delivery with a result in the journal gets that result. One whose final dot may have left without a result
is unknown: listed by name and never sent again unless a person decides. The others were not sent and wait again.
Where the journal is gone, or was written before the machine's last boot, all that was leased is unknown.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from bot.clock import now
from bot.mail.journal import Journal, Recorded, Recovery
from bot.mail.replies import Outcome
from storage import deliveries, leases, timeline
from storage.db import Database, Tx
from storage.deliveries import Ending
from storage.models import Campaign, DeliveryStatus, Lease, Retry
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


@dataclass(slots=True)
class Recovered:
    """What recovery found, for the log: results that were replayed, and unknown deliveries by campaign."""

    replayed: int = 0
    unknown: dict[int, list[int]] = field(default_factory=dict)


async def recover(db: Database, folder: Path) -> Recovered:
    """Settle every lease that is still open. Only while no worker runs. Raises StorageError and JournalError."""
    found = Recovered()
    journals = await asyncio.to_thread(_read_all, folder)
    by_worker = {recovery.worker: recovery for recovery in journals.values()}
    async with db.transaction() as tx:
        for lease in await leases.all_of(tx):
            await _settle(tx, lease, by_worker.get(lease.worker), found)
            await leases.end(tx, [lease.id])
        for campaign_id in found.unknown:
            await _tell(tx, campaign_id, found.unknown[campaign_id])
    for path in journals:
        Journal.discard(path)
    if found.replayed or found.unknown:
        unknown = sum(map(len, found.unknown.values()))
        log.warning("recovered after a crash", replayed=found.replayed, unknown=unknown)
    return found


def _read_all(folder: Path) -> dict[Path, Recovery]:
    return {path: Journal.recover(path) for path in sorted(folder.glob("*.journal"))}


async def _settle(tx: Tx, lease: Lease, recovery: Recovery | None, found: Recovered) -> None:
    queued = await deliveries.still_queued(tx, lease.campaign_id, lease.resend_id, lease.first_n, lease.last_n)
    results = _results(lease, recovery, queued)
    endings = [_replayed(result) for result in results.values()]
    found.replayed += len(endings)
    if recovery is not None and recovery.same_boot:
        lost = {n for campaign, n in recovery.unknown if campaign == lease.campaign_id and n in queued} - results.keys()
        why = _LOST
    else:
        lost = queued - results.keys()
        why = _UNTRUSTED
    endings += [_unknown(lease, n, why) for n in sorted(lost)]
    if lost:
        found.unknown.setdefault(lease.campaign_id, []).extend(sorted(lost))
    await deliveries.write(tx, endings)


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
