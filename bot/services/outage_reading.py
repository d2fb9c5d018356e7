"""What is known of outages, gathered for lists, cards and summaries. Nothing is changed here."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from bot.clock import now
from bot.errors import BadInputError, NotFoundError
from bot.services.holding import Obstacles
from bot.services.outage_shapes import (
    ACTION,
    ActionItem,
    CampaignNow,
    Headline,
    OutageRow,
    OutageSummary,
    OutageTimeline,
    ServerNow,
    Totals,
    action_of,
    label,
)
from bot.services.server_results import effective_state
from bot.services.server_rows import return_of
from bot.services.server_ways import Others
from bot.services.words import joined
from storage import campaigns as campaign_store
from storage import deliveries, outages, sending, timeline
from storage import servers as server_store
from storage.campaigns import Placed
from storage.db import Database, Tx
from storage.models import CampaignState, Hold, Maintenance, Outage, OutageState, Server
from storage.ways import Ways

RECENTLY = timedelta(hours=24)
"""An outage on the same server that was resolved within this time before is told of: the server is down again."""
_SENDING = {CampaignState.SENDING}
_STOPPED = {CampaignState.PAUSING, CampaignState.PAUSED}


async def pick(tx: Tx, outage_id: int | None, *, or_latest: bool = False) -> Outage:
    """The outage of that number; without one, the only unresolved one (`or_latest`: else the newest of all).

    Raises NotFoundError, or BadInputError when several are unresolved and none is named.
    """
    if outage_id is not None:
        found = await outages.get(tx, outage_id)
        if found is None:
            raise NotFoundError(f"There is no outage #{outage_id}. See them with: /outage list")
        return found
    open_ones = await outages.unresolved(tx)
    if len(open_ones) > 1:
        names = await outages.server_names(tx, [each.id for each in open_ones])
        listed = ", ".join(label(each, names[each.id]) for each in open_ones)
        raise BadInputError(f"Several outages are open: {listed}. Say which one, as #{open_ones[0].id}.")
    if open_ones:
        return open_ones[0]
    found = await outages.latest(tx) if or_latest else None
    if found is None:
        raise NotFoundError("No outage is open. Declare one with: /outage declare SERVER TEXT")
    return found


class Reading:
    def __init__(self, db: Database) -> None:
        self._db = db

    async def rows(self) -> list[OutageRow]:
        async with self._db.read() as tx:
            found = await outages.recent(tx)
            ids = [each.id for each in found]
            names = await outages.server_names(tx, ids)
            touched = await outages.campaign_counts(tx, ids)
            return [OutageRow(each, tuple(names[each.id]), touched.get(each.id, 0)) for each in found]

    async def timeline(self, outage_id: int | None) -> OutageTimeline:
        async with self._db.read() as tx:
            outage = await pick(tx, outage_id, or_latest=True)
            return OutageTimeline(outage, tuple(await timeline.of_outage(tx, outage.id)))

    async def summary(self, outage_id: int) -> OutageSummary:
        async with self._db.read() as tx:
            outage = await pick(tx, outage_id)
            campaigns = await outages.campaigns_of(tx, outage.id)
            return OutageSummary(
                outage=outage,
                servers=tuple((await outages.server_names(tx, [outage.id]))[outage.id]),
                campaigns=tuple(each.name for each in campaigns),
                started_at=outage.started_at,
                detected_at=outage.detected_at,
                acknowledged_at=outage.acknowledged_at,
                recovered_at=outage.recovered_at,
                resolved_at=outage.resolved_at,
                totals=await _totals(tx, outage.id) if campaigns else None,
                actions=await actions_of(tx, outage.id),
            )

    async def headline(self, outage_id: int | None) -> Headline:
        at = now()
        async with self._db.read() as tx:
            return await _headline(tx, await pick(tx, outage_id, or_latest=True), at, counted=True)


async def glance(tx: Tx, outage: Outage, at: datetime) -> Headline:
    """What its headline shows, without a look into the ledger: `totals` is None and the campaigns have no counts."""
    return await _headline(tx, outage, at, counted=False)


async def _headline(tx: Tx, outage: Outage, at: datetime, *, counted: bool) -> Headline:
    servers = await _servers_now(tx, await outages.servers_of(tx, outage.id), at)
    touched = await outages.campaigns_of(tx, outage.id)
    placed = await campaign_store.placed_by_id(tx, [each.id for each in touched], at)
    counts = await deliveries.counts_of(tx, [each.campaign.id for each in placed]) if counted else {}
    campaigns = _campaigns_now(outage, placed, counts)
    totals = await _totals(tx, outage.id) if counted and campaigns else None
    resend_id = await outages.live_resend(tx, outage.id)
    stuck = await blocked(tx, outage.id, placed, at)
    shown = Headline(outage, servers, campaigns, totals, (), resend_id)
    former = await outages.former(tx, outage, outage.detected_at - RECENTLY)
    return replace(shown, actions=_actions(shown, placed, stuck), former=former)


async def actions_of(tx: Tx, outage_id: int) -> tuple[ActionItem, ...]:
    """The open ones first, each in the order in which they were noted."""
    rows = await timeline.of_outage(tx, outage_id, kind=ACTION)
    return tuple(sorted(map(action_of, rows), key=lambda each: (not each.is_open, each.number)))


async def blocked(tx: Tx, outage_id: int, placed: Sequence[Placed], at: datetime) -> dict[int, str]:
    """Why campaigns cannot go on: campaign id -> sentence. The outage itself, while its server works, is no reason."""
    others = {
        server: outage for server, outage in (await server_store.open_outages(tx)).items() if outage.id != outage_id
    }
    obstacles = Obstacles(await server_store.active_windows(tx, at), others, at)
    found = {each.campaign.id: obstacles.of(each) for each in placed}
    return {campaign_id: why for campaign_id, why in found.items() if why is not None}


async def _totals(tx: Tx, outage_id: int) -> Totals:
    return Totals(**await deliveries.outage_counts(tx, outage_id))


async def _servers_now(tx: Tx, servers: Sequence[Server], at: datetime) -> tuple[ServerNow, ...]:
    ways = await Ways.read(tx, at)
    carriers = sending.carriers_of(ways)
    windows = await server_store.active_windows(tx, at)
    return tuple(
        replace(
            _server_now(each, carriers, windows.get(each.id)),
            returns=return_of(ways, each),
            others=Others(tuple(other.name for other in ways.others(each)), each.pool)
            if _left_out(ways, each)
            else None,
        )
        for each in servers
    )


def _left_out(ways: Ways, server: Server) -> bool:
    """Whether the others of its pool have its mail."""
    return server.pool is not None and all(way.server_id != server.id for way in ways.of(server.id))


def _server_now(server: Server, carriers: Mapping[int, sending.Carrier], window: Maintenance | None) -> ServerNow:
    backup = carriers.get(server.backup_id) if server.backup_id else None
    carrier = carriers.get(server.failover_to_id) if server.failover_to_id else None
    since = window.starts_at if window else server.drained_at or server.health_since or server.created_at
    return ServerNow(
        id=server.id,
        name=server.name,
        host=server.host,
        port=server.port,
        state=effective_state(server, window),
        since=since,
        stage=server.last_stage,
        code=server.last_code,
        text=server.last_text,
        backup=backup.name if backup else None,
        backup_usable=backup is not None and backup.usable,
        failed_over_to=carrier.name if carrier else None,
    )


def _campaigns_now(
    outage: Outage, placed: Sequence[Placed], counts: Mapping[int, dict[str, int]]
) -> tuple[CampaignNow, ...]:
    now_so = [
        CampaignNow(
            campaign=each.campaign,
            held=_held(each, outage),
            through=joined([server.name for server in each.through]),
            counts=counts.get(each.campaign.id, {}),
        )
        for each in placed
    ]
    return tuple(sorted(now_so, key=lambda each: each.name))


def _held(placed: Placed, outage: Outage) -> bool:
    campaign = placed.campaign
    return campaign.state in _STOPPED and campaign.hold == Hold.OUTAGE and campaign.hold_outage_id == outage.id


def _actions(headline: Headline, placed: Sequence[Placed], stuck: Mapping[int, str]) -> tuple[str, ...]:
    """The buttons that would do something now, the most urgent first."""
    outage = headline.outage
    is_open = outage.state != OutageState.RESOLVED
    on_it = {server.id for server in headline.servers}
    sending_there = any(
        each.campaign.state in _SENDING and any(server.id in on_it for server in each.through) for each in placed
    )
    may_go_on = any(each.held and each.campaign.id not in stuck for each in headline.campaigns)
    over = is_open and any(
        each.backup_usable and each.failed_over_to is None and not each.others for each in headline.servers
    )
    lost = headline.totals is not None and headline.totals.still_lost > 0
    offered = {
        "outage.acknowledge": is_open and (outage.acknowledged_at is None or outage.state == OutageState.OPEN),
        "outage.pause": is_open and sending_there,
        "outage.failover": over and outage.recovered_at is None,
        "outage.resume": may_go_on,
        "outage.plan": lost and headline.resend_id is None,
        "outage.resolve": is_open,
    }
    return tuple(action for action, applies in offered.items() if applies)
