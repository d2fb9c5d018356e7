"""Unknown deliveries that a person counted as delivered are unknown again, unless something else was heard since."""

from datetime import datetime

from bot.access import Actor
from bot.errors import WrongStateError
from bot.services.reconciling_rules import digest_of
from bot.services.reconciling_telling import Settled, record, redraw
from storage import campaigns, reports, resends
from storage.db import Tx
from storage.models import DeliveryStatus, ReportKind, Undo

_AT_ONCE = 1_000


async def undo_delivered(tx: Tx, note: Undo, actor: Actor, at: datetime) -> str:
    """Raises WrongStateError when all of them have changed since."""
    await resends.alone(tx)
    digest = digest_of("person", ReportKind.DELIVERED, None, str(note.id))
    total = back = 0
    for key, rows in note.data["rows"].items():
        total += len(rows)
        back += await _those_of(tx, int(key), dict(rows), note.data["reply"], digest, actor, at)
    if not back:
        raise WrongStateError("Nothing was undone. More has been heard of them since.")
    left = total - back
    alone = f" {left:,} {'is' if left == 1 else 'are'} left alone: more has been heard since." if left else ""
    return f"{_unknown_again(back, '')}.{alone}"


async def _those_of(
    tx: Tx, campaign_id: int, why: dict[int, str | None], reply: str, digest: str, actor: Actor, at: datetime
) -> int:
    settled = Settled(campaign_id)
    numbers = sorted(why)
    for start in range(0, len(numbers), _AT_ONCE):
        part = numbers[start : start + _AT_ONCE]
        standing = await reports.standing(tx, campaign_id, part)
        back = await reports.make_unknown(tx, campaign_id, {n: why[n] for n in part}, reply)
        await reports.forget(tx, campaign_id, back, digest)
        for n in sorted(back):
            settled.add(standing[n], DeliveryStatus.UNKNOWN)
    campaign = await campaigns.get(tx, campaign_id)
    if campaign is None or not settled.last:
        return 0
    text = f"{actor.mention} undid the counting: {_unknown_again(len(settled.last), f' of {campaign.name}')}."
    await record(tx, "campaign.uncounted", text, campaign, settled, actor, at, {"unknown": [*settled.last]})
    await redraw(tx, settled)
    return len(settled.last)


def _unknown_again(count: int, of: str) -> str:
    return f"1 delivery{of} is unknown again" if count == 1 else f"{count:,} deliveries{of} are unknown again"
