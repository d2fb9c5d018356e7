"""What a maintenance window does by itself: it reminds, begins, and ends with a look at its server.

Driven by the table and by the present time, never by a job that has fired: whatever was missed while nothing ran is
caught up, and every step is a conditional update.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from bot.access import HOLDFAST, Actor
from bot.clock import now
from bot.errors import SHOWABLE, NotFoundError
from bot.services.campaigns import Campaigns
from bot.services.holding import Obstacles
from bot.services.outages import Outages
from bot.services.servers import Servers
from bot.services.when import lasting
from bot.services.words import joined, moment
from storage import campaigns as campaign_store
from storage import maintenance, outages, servers, timeline
from storage.db import Database, Tx
from storage.models import Campaign, Health, Hold, Maintenance, MaintenanceState, Outage, Server
from storage.timeline import Entry

REMIND_BEFORE = timedelta(minutes=15)
CONFIRM_WITHIN = timedelta(hours=1)
_log = structlog.get_logger(__name__)


class Steps:
    """`tick` takes every step that is due at a moment."""

    def __init__(self, db: Database, campaigns: Campaigns, servers_service: Servers, outages_service: Outages) -> None:
        self._db = db
        self._campaigns = campaigns
        self._servers = servers_service
        self._outages = outages_service

    async def tick(self, at: datetime) -> None:
        """Trouble with one window is logged, and does not keep the others from their steps."""
        async with self._db.read() as tx:
            old = await maintenance.old_proposals(tx, at - CONFIRM_WITHIN, at)
            ahead = await maintenance.in_states(tx, maintenance.AHEAD)
        for window in old:
            async with self._db.transaction() as tx:
                seen, over = [MaintenanceState.PROPOSED], MaintenanceState.CANCELLED
                dropped = await maintenance.move(tx, window.id, seen, state=over)
                if dropped is not None:
                    server = await _server(tx, dropped)
                    text = f"Nobody confirmed the maintenance of {server.name} in time, so it was dropped."
                    await tell(tx, dropped, "maintenance.dropped", text, HOLDFAST, at, card=False)
        for window in ahead:
            try:
                await self._step(window, at)
            except SHOWABLE as error:
                _log.warning("a maintenance window could not go on", window=window.id, error=str(error))

    async def _step(self, window: Maintenance, at: datetime) -> None:
        if window.state == MaintenanceState.SCHEDULED:
            if at < window.starts_at:
                if window.reminded_at is None and window.starts_at - at <= REMIND_BEFORE:
                    await self._remind(window, at)
                return
            await self._start(window, at)
        if window.ends_at <= at:
            await self.end(window.id)

    async def _remind(self, window: Maintenance, at: datetime) -> None:
        async with self._db.transaction() as tx:
            if await maintenance.remind(tx, window.id, at) is None:
                return
            server = await _server(tx, window)
            names = [each.name for each in await campaign_store.sending_only_through(tx, server.id, at)]
            then = f" {joined(names)} will be paused." if names else ""
            # It names who planned it, so that the thread reaches somebody.
            text = (
                f"{window.created_by}: the maintenance of {server.name} begins in {lasting(window.starts_at - at)}, at "
                f"{moment(window.starts_at, at)}, and lasts {lasting(window.ends_at - window.starts_at)}.{then}"
            )
            await tell(tx, window, "maintenance.reminder", text, HOLDFAST, at)

    async def _start(self, window: Maintenance, at: datetime) -> None:
        """Hold what its server sends. A window that nothing saw begin and that is over already holds nothing."""
        missed = window.ends_at <= at
        async with self._db.transaction() as tx:
            server = (await servers.lock(tx, [window.server_id]))[window.server_id]
            begun = await maintenance.move(
                tx,
                window.id,
                [MaintenanceState.SCHEDULED],
                state=MaintenanceState.ACTIVE,
                started_at=None if missed else at,
            )
            if begun is None or missed:
                return
            ids = [each.id for each in await campaign_store.sending_only_through(tx, server.id, at)]
            text = f"The maintenance of {server.name} has begun. It ends at {moment(window.ends_at, at)}."
            await tell(tx, begun, "maintenance.started", text, HOLDFAST, at)
            reason = f"maintenance of {server.name} until {moment(window.ends_at, at)}"
            await self._campaigns.hold(tx, ids, Hold.MAINTENANCE, reason, at, HOLDFAST, maintenance_id=window.id)

    # The end

    async def end(self, window_id: int) -> bool:
        """Look at the server of a window whose time is over, and let go on what it held, or open an outage.

        False while the server has not been judged yet: damping wants to see it more than once.
        """
        async with self._db.read() as tx:
            window = await maintenance.get(tx, window_id)
            if window is None or window.state != MaintenanceState.ACTIVE:
                return True
            heir = (await servers.active_windows(tx, now())).get(window.server_id)
            server = await _server(tx, window)
        if heir is not None or server.drained_at is not None:
            await self._close(window, None, heir)
            return True
        seen = await self._servers.look(server)
        await self._servers.record_probe(server.id, seen)
        async with self._db.read() as tx:
            server = await _server(tx, window)
        if seen.ok and server.health != Health.DOWN:
            await self._close(window, None, None)
            return True
        if not seen.ok and server.health == Health.DOWN:
            outage = await self._outages.open_down(server)
            if outage is not None:
                await self._close(window, outage, None)
                return True
        return False

    async def _close(self, window: Maintenance, outage: Outage | None, heir: Maintenance | None) -> None:
        at = now()
        async with self._db.transaction() as tx:
            server = (await servers.lock(tx, [window.server_id]))[window.server_id]
            ended = await maintenance.move(
                tx, window.id, [MaintenanceState.ACTIVE], state=MaintenanceState.ENDED, ended_at=at
            )
            if ended is None:
                return
            ids = await maintenance.held_by(tx, window.id)
            if heir is not None:
                said = await _to_next_window(tx, window, heir, ids)
            elif outage is not None:
                said = await self._to_outage(tx, window, server, outage, ids, at)
            else:
                said = await self._let_go(tx, window, server, ids, at)
            missed = " Holdfast did not run while it lasted." if window.started_at is None else ""
            text = f"The maintenance of {server.name} is over.{missed} {said}"
            await tell(tx, ended, maintenance.ENDED, text, HOLDFAST, at)

    async def _let_go(self, tx: Tx, window: Maintenance, server: Server, ids: Sequence[int], at: datetime) -> str:
        """What can be sent goes on; what cannot waits for whatever is in its way."""
        placed = await campaign_store.placed_by_id(tx, ids, at, lock_servers=True)
        obstacles = await Obstacles.read(tx, at)
        stuck = {each.campaign.id: why for each in placed if (why := obstacles.of(each))}
        open_outages = await servers.open_outages(tx)
        kept: list[Campaign] = []
        for each in placed:
            if each.campaign.id not in stuck:
                continue
            outage = next((open_outages[server.id] for server in each.through if server.id in open_outages), None)
            if outage is not None:
                kept += await _to(tx, window, [each.campaign.id], outage)
            else:
                reason = f"after the maintenance of {server.name}: {stuck[each.campaign.id]}"
                hold = {"hold": Hold.PERSON, "hold_reason": reason}
                kept += await maintenance.hand_over(tx, window.id, [each.campaign.id], **hold)
        released = await self._campaigns.release(tx, Hold.MAINTENANCE, at, HOLDFAST, maintenance_id=window.id)
        parts = ["It is drained." if server.drained_at is not None else f"{server.name} answers."]
        if released:
            parts.append(f"{_names(released)} {'goes' if len(released) == 1 else 'go'} on.")
        if kept:
            parts.append(f"{_names(kept)} {'stays' if len(kept) == 1 else 'stay'} paused: {next(iter(stuck.values()))}")
        return " ".join(parts)

    async def _to_outage(
        self, tx: Tx, window: Maintenance, server: Server, outage: Outage, ids: Sequence[int], at: datetime
    ) -> str:
        kept = await _to(tx, window, ids, outage)
        stays = f" {_names(kept)} {'stays' if len(kept) == 1 else 'stay'} held by it." if kept else ""
        text = f"{server.name} was still down when its maintenance window ended.{stays}"
        await timeline.record(tx, Entry("outage.after_maintenance", text, HOLDFAST.id, at, outage_id=outage.id))
        await timeline.ensure_post(tx, f"outage:{outage.id}", at)
        if server.failover_to_id is not None:
            # By policy a backup has taken over already: what the window held may follow.
            await self._campaigns.release(tx, Hold.OUTAGE, at, HOLDFAST, outage_id=outage.id, server_ids=[server.id])
        return f"{server.name} is still down: outage #{outage.id} is open.{stays}"


async def _to(tx: Tx, window: Maintenance, ids: Sequence[int], outage: Outage) -> list[Campaign]:
    """What the window holds is held by the outage from now on."""
    hold = {"hold": Hold.OUTAGE, "hold_reason": f"outage #{outage.id}", "hold_outage_id": outage.id}
    kept = await maintenance.hand_over(tx, window.id, ids, **hold)
    await outages.touch(tx, outage.id, [each.id for each in kept], held=True)
    return kept


async def _to_next_window(tx: Tx, window: Maintenance, heir: Maintenance, ids: Sequence[int]) -> str:
    hold = {"hold": Hold.MAINTENANCE, "hold_reason": "maintenance", "hold_maintenance_id": heir.id}
    kept = await maintenance.hand_over(tx, window.id, ids, **hold)
    stays = f" It keeps {_names(kept)}." if kept else ""
    return f"Window {heir.id} follows at once.{stays}"


async def _server(tx: Tx, window: Maintenance) -> Server:
    server = await servers.get(tx, window.server_id)
    if server is None:
        raise NotFoundError(f"The server of maintenance window {window.id} is gone.")
    return server


def _names(campaigns: Sequence[Campaign]) -> str:
    return joined([each.name for each in campaigns])


async def tell(
    tx: Tx,
    window: Maintenance,
    kind: str,
    text: str,
    actor: Actor,
    at: datetime,
    *,
    card: bool = True,
) -> None:
    """Write the timeline, in the thread of the window's card. A proposal has no card yet: only who plans it sees it."""
    key = f"maintenance:{window.id}"
    if card:
        await timeline.ensure_post(tx, key, at)
    entry = Entry(kind, text, actor.id, at, server_id=window.server_id, maintenance_id=window.id)
    await timeline.record(tx, entry, post=card, parent=key)
