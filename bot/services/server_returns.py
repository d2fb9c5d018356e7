"""The return of a server after a failover: slowly, by a person's word or by policy, and ended when it fails again.

A return is three columns, and how far it is follows from the clock (storage/ways.py); what is done here is its
beginning, its end, and what the team is told.
"""

from datetime import datetime

import structlog

from bot.access import HOLDFAST
from bot.clock import now
from bot.config import OutageSettings
from bot.errors import BotError
from bot.services.server_results import Return
from bot.services.server_rows import return_of
from bot.services.server_ways import NO_RETURN
from bot.services.servers import Servers
from storage import servers, timeline
from storage.db import Database, Tx
from storage.models import Health, Server
from storage.timeline import Entry
from storage.ways import Ways

_SHOWN_STEP = 0.1
"""A card that shows a return is drawn anew when so much more has come back."""
_log = structlog.get_logger(__name__)


class Returns:
    """`tick` does what is due, by the tables and the present time."""

    def __init__(self, db: Database, settings: OutageSettings, service: Servers) -> None:
        self._db = db
        self._settings = settings
        self._servers = service
        self._shown: dict[int, float] = {}

    async def tick(self) -> None:
        """Restore what policy wants back, end what has returned, and keep the cards that show a return up to date."""
        at = now()
        if self._settings.return_to_primary == "auto":
            for server in await self._due(at):
                await self._restore(server)
        async with self._db.read() as tx:
            under_way = await servers.returning(tx)
            ways = await Ways.read(tx, at)
        for server in under_way:
            found = return_of(ways, server)
            if found is None:
                await self._end(server, at)
            else:
                await self._show(server, found, at)

    async def _due(self, at: datetime) -> list[Server]:
        """The servers that policy failed over and that have been well for long enough. A person's failover stays."""
        async with self._db.read() as tx:
            ways = await Ways.read(tx, at)
            return [
                server
                for server in await servers.failed_over(tx)
                if server.failover_by == HOLDFAST.mention
                and server.health == Health.UP
                and ways.is_well(server.id)
                and server.health_since is not None
                and server.health_since <= at - self._settings.return_after
            ]

    async def _restore(self, server: Server) -> None:
        try:
            await self._servers.restore(HOLDFAST, server.name)
        except BotError as error:  # it is looked at again at the next tick
            _log.info("a server is not restored yet", server=server.name, reason=str(error))

    async def _end(self, server: Server, at: datetime) -> None:
        """All of its mail goes through it again. A return that somebody ended meanwhile is left alone."""
        self._shown.pop(server.id, None)
        async with self._db.transaction() as tx:
            found = (await servers.lock(tx, [server.id])).get(server.id)
            if found is None or found.returning_since is None or found.returning_since != server.returning_since:
                return
            await servers.change(tx, server.id, **NO_RETURN)
            text = f"{server.name} has returned: it carries all of its mail again."
            await tell_return(tx, server, "server.returned", text, at)

    async def _show(self, server: Server, found: Return, at: datetime) -> None:
        if found.part - self._shown.get(server.id, 0.0) < _SHOWN_STEP:
            return
        self._shown[server.id] = found.part
        async with self._db.transaction() as tx:
            for outage in await servers.outages_of(tx, server.id):
                await timeline.ensure_post(tx, f"outage:{outage.id}", at)


async def tell_return(tx: Tx, server: Server, kind: str, text: str, at: datetime) -> None:
    """In the thread of the outage that the failover was about, whether or not that is over by now."""
    last = await servers.last_outage_of(tx, server.id)
    outage_id = last.id if last is not None else None
    await timeline.record(tx, Entry(kind, text, HOLDFAST.id, at, outage_id=outage_id, server_id=server.id))
    if outage_id is not None:
        await timeline.ensure_post(tx, f"outage:{outage_id}", at)
