"""The steps of a ramp, inside another service's transaction: begun, let go further, stopped by what came back."""

from collections.abc import Sequence
from datetime import datetime

from bot.access import HOLDFAST, Actor
from bot.config import RampSettings
from bot.errors import WrongStateError
from bot.services import holding
from bot.services.ramp_shapes import RampStatus, status_of
from bot.services.ramping import Begin, Rest, Seen, Standing, Step, Stop, advance, sizes
from bot.services.resend_rules import SENDING, tell, wished_to_stop
from storage import campaigns, ramps, resends, timeline
from storage.db import Tx
from storage.models import Campaign, CampaignState, Health, Hold, Ramp, Resend, ResendState
from storage.ramps import Send
from storage.timeline import Entry
from storage.ways import Ways

_SUSPICION_LASTS = 30.0
"""Seconds after which a server that is only suspected is no excuse any more for what it puts off."""


async def choose(tx: Tx, campaign_id: int, recipients: int, stages: Sequence[int]) -> Ramp:
    """Say before its start that a campaign goes out in stages (per cent); of one stage: all at once."""
    values = {"stages": list(stages), "sizes": sizes(recipients, stages), "stage": -1}
    return await ramps.put(tx, Send((campaign_id,), None), **values)


async def stages_of(tx: Tx, campaign: Campaign, limits: RampSettings) -> tuple[int, ...]:
    """The stages in which a scheduled campaign would go out; empty: all at once."""
    ramp = await ramps.of(tx, Send((campaign.id,), None))
    if ramp is not None:
        return tuple(ramp.stages) if len(ramp.stages) > 1 else ()
    ramped = limits.above is not None and campaign.recipients > limits.above and len(limits.stages) > 1
    return tuple(limits.stages) if ramped else ()


async def begin(tx: Tx, campaign: Campaign, limits: RampSettings, at: datetime) -> Ramp | None:
    """A campaign was started: its first stage may go. None where it goes out all at once."""
    stages = await stages_of(tx, campaign, limits)
    if not stages:
        return None
    ramp = await choose(tx, campaign.id, campaign.recipients, stages)
    await go_to(tx, Send((campaign.id,), None), ramp, 0)
    await timeline.ensure_post(tx, card_of(ramp.id), at)
    return await ramps.get(tx, ramp.id)


async def go_to(tx: Tx, send: Send, ramp: Ramp, stage: int) -> bool:
    """Let a stage out. False when somebody else was first."""
    if not await ramps.move(tx, ramp.id, ramp.stage, stage=stage, due_at=None):
        return False
    await ramps.allow(tx, send, await _bound(tx, send, ramp, stage))
    return True


async def _bound(tx: Tx, send: Send, ramp: Ramp, stage: int) -> int | None:
    if send.resend_id is not None:
        return stage if ramp.sizes[stage] < ramp.sizes[-1] else resends.EVERY_WAVE
    if ramp.sizes[stage] >= ramp.sizes[-1]:
        return None
    return await ramps.nth(tx, send.campaign_ids[0], ramp.sizes[stage])


async def shown(tx: Tx, campaign: Campaign, limits: RampSettings) -> RampStatus | None:
    """Where a campaign is among its stages; before its start, in which it would go out. None: all at once."""
    ramp = await ramps.of(tx, Send((campaign.id,), None))
    if ramp is None and campaign.state == CampaignState.SCHEDULED:
        stages = await stages_of(tx, campaign, limits)
        ramp = Ramp(id=0, stages=list(stages), sizes=sizes(campaign.recipients, stages), stage=-1)
    return status_of(ramp, limits)


def card_of(ramp_id: int) -> str:
    """The key of the message about a campaign's ramp."""
    return f"ramp:{ramp_id}"


# --- Looking, and what follows from it -------------------------------------------------------------------------------


async def seen(tx: Tx, send: Send, ramp: Ramp | None, at: datetime) -> Seen:
    since = ramp.counted_since if ramp else None
    failed = await ramps.failures(tx, send, since)
    tried = await ramps.tried(tx, send)
    return Seen(
        # A delivery that was tried before and failed since is in the one figure and not in the other.
        tried=max(tried - (ramp.counted_from if ramp else 0), sum(failed)),
        bounced=failed.bounced,
        refused=failed.refused,
        temporary=failed.temporary,
        complaints=await ramps.complaints(tx, send, since),
        server_in_trouble=await _in_trouble(tx, send, at),
    )


async def _in_trouble(tx: Tx, send: Send, at: datetime) -> bool:
    """Whether a server of it is down or just became suspected; one of a pool that is left out has no say for long."""
    ways = await Ways.read(tx, at)
    for place in await resends.placed(tx, send.campaign_ids, at):
        carriers = ways.carriers(place.server.id)
        for server in {*ways.fellows(place.server.id), *carriers}:
            lasts = (at - server.health_since).total_seconds() if server.health_since else 0.0
            if server.health == Health.DOWN and (server in carriers or lasts < _SUSPICION_LASTS):
                return True
            if server.health == Health.SUSPECTED and lasts < _SUSPICION_LASTS:
                return True
    return False


async def decide(tx: Tx, send: Send, limits: RampSettings, at: datetime) -> Step:
    """What is to be done with something that is sending."""
    ramp = await ramps.of(tx, send)
    return advance(await _standing(tx, send, ramp), await seen(tx, send, ramp, at), limits, at)


async def _standing(tx: Tx, send: Send, ramp: Ramp | None) -> Standing:
    if ramp is None or not await is_ramped(tx, send, ramp):
        return Standing((100,), 0, None, (0,), is_out=False)
    standing = Standing(ramp.stages, ramp.stage, ramp.due_at, ramp.sizes, is_out=False)
    if standing.following is None or ramp.due_at is not None:
        return standing
    return Standing(ramp.stages, ramp.stage, None, ramp.sizes, is_out=not await ramps.waits(tx, send))


async def is_ramped(tx: Tx, send: Send, ramp: Ramp) -> bool:
    """A resend has its stages from its plan on, and may have been approved as a whole, or its first 1 %."""
    if send.resend_id is None:
        return ramp.stage >= 0
    resend = await resends.get(tx, send.resend_id)
    return resend is not None and resend.ramped


async def take(tx: Tx, send: Send, limits: RampSettings, at: datetime) -> Step:
    """Decide, and do it: one transaction, in which nobody else changes the send. Returns what was done."""
    if not await _locked(tx, send):
        return None
    ramp, step = await ramps.of(tx, send), await decide(tx, send, limits, at)
    match step:
        case Stop():
            await stop(tx, send, ramp, step, at)
        case Begin() if ramp is not None:
            counted = await seen(tx, send, ramp, at)
            if await go_to(tx, send, ramp, step.stage):
                came = f" Of {counted.tried:,} so far {counted.bounced:,} bounced."
                await tell_stage(tx, send, ramp, step.stage, HOLDFAST, at, came)
        case Rest() if ramp is not None:
            await ramps.move(tx, ramp.id, ramp.stage, due_at=step.until)
            await _touch(tx, send)
        case _:
            return None
    return step


async def _locked(tx: Tx, send: Send) -> bool:
    """Keep the send as it is; False when it is not sending any more."""
    if send.resend_id is not None:
        await resends.alone(tx)
        resend = await resends.get(tx, send.resend_id)
        return resend is not None and resend.state == ResendState.SENDING
    await campaigns.lock(tx, send.campaign_ids)
    campaign = await campaigns.get(tx, send.campaign_ids[0])
    return campaign is not None and campaign.state == CampaignState.SENDING


async def _touch(tx: Tx, send: Send) -> None:
    if send.resend_id is None:
        await ramps.touch(tx, send.campaign_ids)
    else:
        await timeline.touch_post(tx, f"resend:{send.resend_id}")


async def following(tx: Tx, send: Send) -> tuple[Ramp, int]:
    """The ramp and its next stage. Raises WrongStateError where there is none."""
    ramp = await ramps.of(tx, send)
    stage = Standing(ramp.stages, ramp.stage, None, ramp.sizes, is_out=True).following if ramp else None
    if ramp is None or stage is None or not await is_ramped(tx, send, ramp):
        raise WrongStateError("There is no further stage to go on to: all of it may go out already.")
    return ramp, stage


async def go_on(tx: Tx, send: Send, actor: Actor, at: datetime) -> Ramp:
    """A person does not wait: the next stage begins now. Raises WrongStateError where there is none."""
    ramp, stage = await following(tx, send)
    if not await go_to(tx, send, ramp, stage):
        raise WrongStateError("It has gone on to its next stage at this moment.")
    await tell_stage(tx, send, ramp, stage, actor, at)
    return ramp


async def tell_stage(tx: Tx, send: Send, ramp: Ramp, stage: int, actor: Actor, at: datetime, came: str = "") -> None:
    share = f"stage {stage + 1} of {len(ramp.stages)}, {ramp.stages[stage]} %"
    may = f"{ramp.sizes[stage]:,} of {ramp.sizes[-1]:,} may go now"
    if send.resend_id is not None:
        resend = await _resend(tx, send.resend_id)
        text = f"{actor.mention} lets resend {resend.id} go on with {share}: {may}.{came}"
        await tell(tx, resend, "resend.stage", text, actor, at)
        return
    campaign = await _campaign(tx, send)
    entry = Entry(
        kind="campaign.stage",
        text=f"{actor.mention} lets {campaign.name} go on with {share}: {may}.{came}",
        actor=actor.id,
        at=at,
        campaign_id=campaign.id,
        data={"campaigns": [campaign.name]},
    )
    await timeline.record(tx, entry, parent=card_of(ramp.id))
    await ramps.touch(tx, send.campaign_ids)


async def stop(tx: Tx, send: Send, ramp: Ramp | None, why: Stop, at: datetime) -> None:
    """Holdfast pauses it and says why, once: whoever lets it go on has seen it."""
    if send.resend_id is not None:
        resend = await _resend(tx, send.resend_id)
        note = f"stopped by Holdfast: {why.why}"
        stopping = {"state": ResendState.PAUSING, "wish": ResendState.PAUSED, "note": note, **wished_to_stop(at)}
        moved = await resends.move(tx, resend.id, [SENDING], **stopping)
        if moved is not None:
            reached = f" at {ramp.stages[ramp.stage]} %" if ramp and resend.ramped else ""
            text = f"Holdfast stopped resend {resend.id}{reached}: {why.why}. {why.advice}"
            await tell(tx, moved, "resend.stopped", f"{text}, then /resend resume {resend.id} goes on.", HOLDFAST, at)
        return
    outages = await campaigns.outages_of(tx, send.campaign_ids)
    stopped = await campaigns.move(
        tx,
        send.campaign_ids,
        [CampaignState.SENDING],
        state=CampaignState.PAUSING,
        wish=CampaignState.PAUSED,
        hold=Hold.THRESHOLD,
        hold_reason=why.why,
        hold_outage_id=outages.get(send.campaign_ids[0]),
        hold_maintenance_id=None,
        confirmed_at=None,
        slipped=0,
        **holding.wished(HOLDFAST, at),
    )
    for campaign in stopped:
        reached = f" at {ramp.stages[ramp.stage]} %" if ramp and len(ramp.stages) > 1 else ""
        entry = Entry(
            kind="campaign.stopped",
            text=f"Holdfast stopped {campaign.name}{reached}: {why.why}. {why.advice}, then "
            f"/campaign resume {campaign.name} goes on.",
            actor=HOLDFAST.id,
            at=at,
            outage_id=campaign.hold_outage_id,
            campaign_id=campaign.id,
            data={"campaigns": [campaign.name]},
        )
        row = await timeline.record(tx, entry)
        await ramps.put(tx, send, stopped_entry_id=row.id)
    await holding.refresh_cards(tx, stopped, at)


async def _campaign(tx: Tx, send: Send) -> Campaign:
    campaign = await campaigns.get(tx, send.campaign_ids[0])
    if campaign is None:
        raise WrongStateError("The campaign has just been deleted.")
    return campaign


async def _resend(tx: Tx, resend_id: int) -> Resend:
    resend = await resends.get(tx, resend_id)
    if resend is None:
        raise WrongStateError(f"There is no resend {resend_id}.")
    return resend
