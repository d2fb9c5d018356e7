"""Campaigns that stand still: held and let go inside another service's transaction, and what is in their way."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from bot.access import Actor
from bot.services.words import joined, moment
from storage import campaigns, ramps, servers, timeline
from storage.db import Tx
from storage.models import Campaign, CampaignState, Health, Hold, Maintenance, Outage, OutageState, Server
from storage.ramps import Send
from storage.timeline import Entry

NO_HOLD = {"hold": None, "hold_reason": None, "hold_outage_id": None, "hold_maintenance_id": None}


async def hold(
    tx: Tx,
    campaign_ids: Iterable[int],
    why: Hold,
    reason: str,
    at: datetime,
    actor: Actor,
    *,
    outage_id: int | None = None,
    maintenance_id: int | None = None,
) -> list[Campaign]:
    """Stop those that are sending; the sender confirms. Those that stand already are left as they are.

    Writes one timeline entry for all of them (`campaign.hold`). Returns the campaigns that it stopped.
    """
    held = await campaigns.move(
        tx,
        campaign_ids,
        [CampaignState.SENDING],
        state=CampaignState.PAUSING,
        wish=CampaignState.PAUSED,
        hold=why,
        hold_reason=reason,
        hold_outage_id=outage_id,
        hold_maintenance_id=maintenance_id,
        **wished(actor, at),
        confirmed_at=None,
        slipped=0,
    )
    if held:
        text = f"{actor.mention} holds {joined([each.name for each in held])}: {reason}"
        await _tell(tx, "campaign.hold", text, held, at, actor, outage_id=outage_id, maintenance_id=maintenance_id)
    return held


async def release(
    tx: Tx,
    why: Hold,
    at: datetime,
    actor: Actor,
    *,
    outage_id: int | None = None,
    maintenance_id: int | None = None,
    server_ids: Sequence[int] | None = None,
) -> list[Campaign]:
    """Let the campaigns go on that are held by exactly this, of all servers or of `server_ids`.

    One that somebody paused since is not touched. Writes one timeline entry (`campaign.release`).
    """
    ids = await campaigns.held(tx, why, outage_id=outage_id, maintenance_id=maintenance_id, server_ids=server_ids)
    released = await let_go(tx, ids, at, actor)
    if released:
        placed = await campaigns.placed_by_id(tx, [each.id for each in released], at)
        carriers = {server.name for each in placed for server in each.through}
        names = joined([each.name for each in released])
        text = f"{actor.mention} lets {names} go on through {joined(sorted(carriers))}."
        await _tell(
            tx, "campaign.release", text, released, at, actor, outage_id=outage_id, maintenance_id=maintenance_id
        )
    return released


async def let_go(tx: Tx, campaign_ids: Iterable[int], at: datetime, actor: Actor) -> list[Campaign]:
    """Set paused campaigns, and those about to be, sending again. Writes nothing into the timeline.

    What came back of them until now was looked at, or was an outage's: their thresholds count anew.
    """
    going = await campaigns.move(
        tx,
        campaign_ids,
        [CampaignState.PAUSING, CampaignState.PAUSED],
        CampaignState.PAUSED,
        state=CampaignState.SENDING,
        wish=CampaignState.SENDING,
        **NO_HOLD,
        **wished(actor, at),
    )
    await ramps.count_anew(tx, [Send((each.id,), None) for each in going], at)
    return going


def wished(actor: Actor, at: datetime) -> dict[str, Any]:
    return {"state_since": at, "wished_at": at, "wished_by": actor.mention}


async def _tell(
    tx: Tx,
    kind: str,
    text: str,
    moved: Sequence[Campaign],
    at: datetime,
    actor: Actor,
    *,
    outage_id: int | None,
    maintenance_id: int | None,
) -> None:
    entry = Entry(
        kind=kind,
        text=text,
        actor=actor.id,
        at=at,
        outage_id=outage_id,
        maintenance_id=maintenance_id,
        campaign_id=moved[0].id if len(moved) == 1 else None,
        data={"campaigns": [each.name for each in moved]},
    )
    parent = f"maintenance:{maintenance_id}" if maintenance_id and not outage_id else None
    await timeline.record(tx, entry, parent=parent)
    await refresh_cards(tx, moved, at, outage_id)


async def refresh_cards(tx: Tx, moved: Iterable[Campaign], at: datetime, outage_id: int | None = None) -> None:
    """The live cards that show one of these campaigns are to be edited: of unresolved outages, and of its ramp."""
    ids = [each.id for each in moved]
    shown = set((await campaigns.outages_of(tx, ids)).values())
    if outage_id is not None:
        shown.add(outage_id)
    for each in sorted(shown):
        await timeline.ensure_post(tx, f"outage:{each}", at)
    await ramps.touch(tx, ids)


class Obstacles:
    """What keeps campaigns from being sent at a moment, read once for all of them."""

    def __init__(self, windows: dict[int, Maintenance], outages: dict[int, Outage], at: datetime) -> None:
        self._windows = windows
        self._outages = outages
        self._at = at

    @classmethod
    async def read(cls, tx: Tx, at: datetime) -> "Obstacles":
        return cls(await servers.active_windows(tx, at), await servers.open_outages(tx), at)

    def of(self, placed: campaigns.Placed) -> str | None:
        """A sentence that says why this campaign cannot be sent now and what to do; None when it can."""
        campaign, own = placed.campaign, placed.server
        if campaign.expires_at is not None and campaign.expires_at <= self._at:
            ended = moment(campaign.expires_at, self._at)
            return f"Its offer ended at {ended}, so nothing of it is sent any more. /campaign cancel {campaign.name}"
        found = [self._on(carrier, own) for carrier in placed.through]
        if None in found:
            return None
        others = f"No server of pool {placed.pool} can take it. " if placed.pool else ""
        return f"{others}{found[0]}"

    def _on(self, carrier: Server, own: Server) -> str | None:
        move = f"move its campaigns with /server failover {own.name}"
        window = self._windows.get(carrier.id)
        if window is not None:
            until = moment(window.ends_at, self._at)
            return f"{carrier.name} is in maintenance until {until}. Wait for its end, or {move}."
        if carrier.drained_at is not None:
            return f"{carrier.name} is drained. Put it back with /server restore {carrier.name}, or {move}."
        outage = self._outages.get(carrier.id)
        number = f" (outage #{outage.id})" if outage else ""
        if carrier.health == Health.DOWN:
            return f"{carrier.name} is down{number}. Wait until it is up, or {move}."
        if outage is not None and outage.recovered_at is None and outage.state != OutageState.MONITORING:
            return f"Outage #{outage.id} of {carrier.name} is still open. Resolve it with /outage resolve, or {move}."
        return None
