"""What the sender says when something has stopped or is done: state and timeline in one transaction."""

from datetime import datetime, timedelta

from bot.clock import now
from storage import deliveries, ramps, resends, sending, shards, timeline
from storage.db import Database, Tx
from storage.models import Campaign, CampaignState, DeliveryStatus, Resend, ResendState
from storage.sending import Work
from storage.timeline import Entry

_WHO = "Holdfast"


async def confirm_stop(db: Database, work: Work) -> None:
    """When no worker has anything of it in flight, pausing becomes what was wished, and the thread says how many
    slipped out. Whoever sees that first says it.
    """
    async with db.read() as tx:
        if await _is_busy(tx, work):
            return
    async with db.transaction() as tx:
        if not await sending.has_to_stop(tx, work) or await _is_busy(tx, work):
            return
        if work.resend_id is not None:
            await _confirm_resend(tx, work.resend_id)
        else:
            slipped = await shards.clear(tx, work.campaign_id, None)
            campaign = await sending.stop_campaign(tx, work.campaign_id, now(), slipped)
            if campaign is not None:
                await _say_stopped(tx, campaign)


async def _is_busy(tx: Tx, work: Work) -> bool:
    """A resend stops as a whole, in all its campaigns."""
    return await shards.busy(tx, work.campaign_id if work.resend_id is None else None, work.resend_id)


async def _say_stopped(tx: Tx, campaign: Campaign) -> None:
    if campaign.kind != "campaign":
        return  # a notice tells its own end, on its card
    counts = await deliveries.counts(tx, campaign.id)
    sent = campaign.recipients - counts[DeliveryStatus.QUEUED]
    cancelled = campaign.state == CampaignState.CANCELLED
    text = (
        f"{campaign.name} is {campaign.state}: {sent:,} of {campaign.recipients:,} were sent"
        f"{_confirmed(campaign.slipped, campaign.wished_at)}."
    )
    entry = Entry(
        kind="campaign.cancel_confirmed" if cancelled else "campaign.pause_confirmed",
        actor=_WHO,
        at=now(),
        text=text,
        campaign_id=campaign.id,
        outage_id=campaign.hold_outage_id,
        maintenance_id=campaign.hold_maintenance_id,
        data={"slipped": campaign.slipped, "sent": sent},
    )
    parent = f"maintenance:{campaign.hold_maintenance_id}" if campaign.hold_maintenance_id else None
    await timeline.record(tx, entry, parent=parent)
    await ramps.touch(tx, [campaign.id])
    if campaign.hold_outage_id is not None:
        await timeline.ensure_post(tx, f"outage:{campaign.hold_outage_id}", now())


async def _confirm_resend(tx: Tx, resend_id: int) -> None:
    slipped = await shards.clear(tx, None, resend_id)
    resend = await sending.stop_resend(tx, resend_id, now(), slipped)
    if resend is None:
        return
    counts = await sending.resend_counts(tx, resend_id)
    sent = sum(counts.values()) - counts[DeliveryStatus.QUEUED]
    kind, left = "resend.pause_confirmed", ""
    if resend.state == ResendState.CANCELLED:
        await resends.give_back(tx, resend_id)
        kind, left = "resend.cancel_confirmed", ", the others are as before"
    what = f"is {resend.state}: {sent:,} of {resend.total:,} were sent again{left}"
    what += _confirmed(slipped, resend.wished_at)
    await _say_resend(tx, resend, kind, what, {"slipped": slipped, "sent": sent})


async def finish(db: Database, work: Work) -> bool:
    """The job has nothing left: finish the campaign, or the resend's wave. False when something waits after all."""
    async with db.transaction() as tx:
        if work.resend_id is not None:
            return await _finish_resend(tx, work.resend_id)
        campaign = await sending.finish_campaign(tx, work.campaign_id, now())
        if campaign is None:
            return False
        await shards.clear(tx, work.campaign_id, None)
        await _say_finished(tx, campaign)
        return True


async def _say_finished(tx: Tx, campaign: Campaign) -> None:
    if campaign.kind != "campaign":
        return  # a notice tells its own end, on its card
    counts = await deliveries.counts(tx, campaign.id)
    parts = [f"{counts[DeliveryStatus.DELIVERED]:,} of {campaign.recipients:,} delivered"]
    names = {
        DeliveryStatus.FAILED_TEMPORARY: "failed for now",
        DeliveryStatus.FAILED_PERMANENT: "refused",
        DeliveryStatus.UNKNOWN: "unknown",
        DeliveryStatus.SUPPRESSED: "suppressed",
        DeliveryStatus.EXPIRED: "expired",
    }
    parts += [f"{counts[status]:,} {name}" for status, name in names.items() if counts[status]]
    await timeline.record(
        tx,
        Entry(
            kind="campaign.finished",
            actor=_WHO,
            at=now(),
            text=f"{campaign.name} is finished: {', '.join(parts)}.",
            campaign_id=campaign.id,
            data=dict(counts),
        ),
    )
    await ramps.touch(tx, [campaign.id])


async def _finish_resend(tx: Tx, resend_id: int) -> bool:
    resend = await sending.end_wave(tx, resend_id, now())
    if resend is None:
        return False
    await shards.clear(tx, None, resend_id)
    counts = await sending.resend_counts(tx, resend_id)
    delivered = counts[DeliveryStatus.DELIVERED]
    failed = counts[DeliveryStatus.FAILED_TEMPORARY] + counts[DeliveryStatus.FAILED_PERMANENT]
    result = f"{delivered:,} delivered, {failed:,} failed, {counts[DeliveryStatus.UNKNOWN]:,} unknown"
    if resend.state == ResendState.FINISHED:
        await _say_resend(tx, resend, "resend.finished", f"is finished: {result}")
    else:
        await _say_resend(tx, resend, "resend.canary_done", f"has sent its first 1 %: {result}. The rest waits")
    return True


async def _say_resend(tx: Tx, resend: Resend, kind: str, what: str, data: dict[str, int] | None = None) -> None:
    await timeline.record(
        tx,
        Entry(
            kind=kind,
            actor=_WHO,
            at=now(),
            text=f"Resend {resend.id} {what}.",
            resend_id=resend.id,
            outage_id=resend.outage_id,
            data=data or {},
        ),
        parent=None if resend.outage_id else f"resend:{resend.id}",
    )
    await timeline.ensure_post(tx, f"resend:{resend.id}", now())
    if resend.outage_id is not None:
        await timeline.ensure_post(tx, f"outage:{resend.outage_id}", now())
        await timeline.touch_post(tx, f"summary:{resend.outage_id}")  # its figures of what came back


async def refuse(db: Database, work: Work, reason: str) -> None:
    """A message that cannot be made: the campaign, or the resend, is paused by Holdfast and the team is told why."""
    async with db.transaction() as tx:
        if not await sending.set_aside(tx, work, now(), reason):
            return
        await shards.clear(tx, work.campaign_id if work.resend_id is None else None, work.resend_id)
        await timeline.record(
            tx,
            Entry(
                kind="campaign.unusable",
                actor=_WHO,
                at=now(),
                text=f"{work.name} cannot be sent and is paused: {reason}",
                campaign_id=work.campaign_id,
                resend_id=work.resend_id,
            ),
        )


def _confirmed(slipped: int, wished_at: datetime | None) -> str:
    """`, 3 slipped out after the request, confirmed in 0.2 s`."""
    out = f", {slipped:,} slipped out after the request" if slipped else ""
    span = now() - wished_at if wished_at else timedelta()
    return f"{out}, confirmed in {max(span.total_seconds(), 0):.1f} s"
