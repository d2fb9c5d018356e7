"""Mail servers: known from the settings or added, judged by the monitor, drained, failed over and restored."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal, cast

from bot.access import HOLDFAST, Access, Actor
from bot.clock import now
from bot.config import Settings
from bot.errors import BadInputError, BotError, WrongStateError
from bot.monitor.probe import Probe, Target, probe
from bot.services import holding
from bot.services.judging import Judge
from bot.services.names import check_name, complete
from bot.services.provider_paces import slowed
from bot.services.server_results import (
    AddResult,
    DrainResult,
    FailoverResult,
    RestoreResult,
    ServerRow,
    ServerStatus,
    drain_text,
    failover_text,
    restore_text,
    restored_text,
    unusable,
)
from bot.services.server_rows import return_of, rows
from bot.services.server_settings import sync
from bot.services.server_ways import begun, carry, give_back, others_now, release, takes_over, ways_now, ways_out
from bot.services.undo_notes import keep
from bot.services.words import moment, stage_name
from storage import campaigns, servers, timeline
from storage.db import Database, Tx
from storage.models import CampaignState, Health, Hold, Maintenance, Server
from storage.timeline import Entry
from storage.ways import Ways

__all__ = ["AddResult", "DrainResult", "FailoverResult", "RestoreResult", "ServerRow", "ServerStatus", "Servers"]

Tls = Literal["none", "starttls", "tls"]
_WHEN_NONE = "Add one with /server add NAME HOST:PORT, or in holdfast.toml."


class Servers(Judge):
    """Changes are conditional, and a server is looked at before mail is sent through it instead of another."""

    def __init__(self, db: Database, settings: Settings, access: Access) -> None:
        super().__init__(db, settings)
        self._access = access

    # Known servers

    async def sync_settings(self) -> None:
        """Bring the servers of the settings into the database. Raises SettingsError for a name that cannot be one."""
        await sync(self._db, self._settings)

    async def add(self, actor: Actor, name: str, host: str, port: int = 25, tls: Tls = "none") -> AddResult:
        """Add a server and look at it once. Raises BadInputError for a name that is taken or an impossible address."""
        self._access.require(actor, "server.add")
        seen = await self.to_add(name, host, port, tls)
        at = now()
        async with self._db.transaction() as tx:
            values = {"name": name, "host": host, "port": port, "tls": tls, "created_at": at}
            server_id = await servers.add(tx, values)
            if server_id is None:
                raise _taken(name)
            entry = Entry(
                "server.add", f"{actor.mention} added {name} at {host}:{port}.", actor.id, at, server_id=server_id
            )
            await timeline.record(tx, entry, post=False)
        await self.record_probe(server_id, seen)
        found = "It answers well." if seen.ok else f"It does not answer well yet: {seen.sentence}."
        secure = "" if tls != "none" else " or TLS"
        text = f"{name} is added. {found} A password{secure} is set in holdfast.toml, under [servers.{name}]."
        return AddResult(await self.find(name), seen, text)

    async def to_add(self, name: str, host: str, port: int, tls: Tls = "none") -> Probe:
        """Whether a server can be added so, and what it answers. Raises BadInputError."""
        if not 1 <= port <= 65535:
            raise BadInputError(f"{port} cannot be a port: use 1 to 65535, as in /server add {name} {host}:25")
        await self.check_name(name)
        return await probe(Target(host=host, port=port, tls=tls, helo=self._settings.sending.helo_name), self.limits)

    async def check_name(self, name: str) -> None:
        """Raises BadInputError for a name that a new server cannot have."""
        check_name(name, "server")
        async with self._db.read() as tx:
            if await servers.by_name(tx, name) is not None:
                raise _taken(name)

    async def find(self, word: str) -> Server:
        """The server that is meant. Raises NotFoundError that names the near ones."""
        async with self._db.read() as tx:
            return await _find(tx, word)

    async def status(self, word: str) -> ServerStatus:
        async with self._db.read() as tx:
            server, at = await _find(tx, word), now()
            found = next(row for row in await rows(tx, at) if row.server.id == server.id)
            return replace(found, slowed=await slowed(tx, server.id, at), at=at)

    # Where campaigns go

    async def failover(
        self, actor: Actor, word: str, backup_word: str | None = None, outage_id: int | None = None
    ) -> FailoverResult:
        """Let a backup carry the server's campaigns; those that its outage or its maintenance holds go on.

        The backup is looked at first. Raises WrongStateError with what is wrong with it. Nobody is mailed twice: what
        was sent stands in the ledger, whichever server sent it.
        """
        self._access.require(actor, "server.failover")
        server, backup = await self.to_fail_over(word, backup_word)
        at = now()
        async with self._db.transaction() as tx:
            both = await servers.lock(tx, [server.id, backup.id])
            server, backup = both[server.id], both[backup.id]
            await _check_failover(tx, server, backup, at)
            before = await ways_now(tx, server, backup)
            own = await carry(tx, server, backup, at, actor)
            of_pool = await servers.fellows(tx, own)
            released, holds = await release(tx, server, of_pool, outage_id, at, actor)
            live = await campaigns.live_through(tx, backup.id, at)
            carried = [each.name for each in live if each.server_id in of_pool]
            text = f"{actor.mention} failed {server.name} over to {backup.name}."
            await _record(tx, "server.failover", text, server, at, actor, outage_id)
            undo = await self._keep(tx, "failover", server, before, actor, at, released=holds)
        said = failover_text(server.name, backup.name, carried, released, undo, server.pool)
        return FailoverResult(server, backup, carried, released, said, undo=undo)

    async def to_fail_over(self, word: str, backup_word: str | None = None) -> tuple[Server, Server]:
        """The server, and who would carry it, once that one was looked at. Raises what `failover` raises."""
        async with self._db.read() as tx:
            server = await _find(tx, word)
            backup = await self._backup(tx, server, backup_word)
            await _check_failover(tx, server, backup, now())
        seen = await self.look(backup)
        if not seen.ok:
            raise WrongStateError(
                f"{server.name} was not failed over, since {backup.name} cannot take its campaigns: {seen.sentence}. "
                "Name another server, or try again when it answers."
            )
        return server, backup

    async def _backup(self, tx: Tx, server: Server, word: str | None) -> Server:
        if word:
            return await _find(tx, word)
        backup = await servers.get(tx, server.backup_id) if server.backup_id is not None else None
        if backup is None:
            raise BadInputError(
                f"{server.name} has no backup. Name the server that takes over: /server failover {server.name} BACKUP"
            )
        return backup

    async def drain(self, actor: Actor, word: str) -> DrainResult:
        """Send nothing through a server any more. Its campaigns go through the others of its pool, or through its
        backup, or else are paused.
        """
        self._access.require(actor, "server.drain")
        server, backup, why = await self.to_drain(word)
        at = now()
        async with self._db.transaction() as tx:
            server = (await servers.lock(tx, [server.id]))[server.id]
            _check_not_drained(server, at)
            sending = [each.id for each in await campaigns.sending_through(tx, server.id, at)]
            others = await others_now(tx, server, at)
            before = await ways_now(tx, server, backup)
            await servers.change(tx, server.id, drained_at=at, drained_by=actor.mention)
            returned = await give_back(tx, server, at, actor)
            if returned is None and not others and backup is not None and takes_over(server, backup, why):
                await carry(tx, server, backup, at, actor)
            # What still goes through it has nowhere else to go.
            stuck = [each.id for each in await campaigns.sending_through(tx, server.id, at)]
            held = await holding.hold(tx, stuck, Hold.PERSON, f"{server.name} is drained", at, actor)
            moved = [each.name for each in await _named(tx, sending, at) if each.id not in {one.id for one in held}]
            await _record(tx, "server.drain", f"{actor.mention} drained {server.name}.", server, at, actor)
            undo = await self._keep(tx, "drain", server, before, actor, at, held=[each.id for each in held])
            server = cast("Server", await servers.get(tx, server.id))
            carrier = await servers.get(tx, server.failover_to_id) if server.failover_to_id else None
        names = [each.name for each in held]
        carrier_name = carrier.name if carrier else str(others) or None
        said = drain_text(server.name, carrier_name, moved, names, why, undo)
        return DrainResult(server, carrier_name, moved, names, said, undo=undo)

    async def to_drain(self, word: str) -> tuple[Server, Server | None, str]:
        """The server, its backup, and why that cannot take over (empty when it can, or when others of its pool go on
        with its campaigns). Raises what `drain` raises.
        """
        async with self._db.read() as tx:
            server = await _find(tx, word)
            _check_not_drained(server, now())
            backup = await servers.get(tx, server.backup_id) if server.backup_id is not None else None
            others = await others_now(tx, server, now())
        return server, backup, "" if others else await self._why_not(server, backup)

    async def _why_not(self, server: Server, backup: Server | None) -> str:
        """Why the backup cannot take over, in a sentence; empty when it can."""
        if backup is None:
            return "It has no backup."
        async with self._db.read() as tx:
            try:
                await _check_failover(tx, server, backup, now())
            except BotError as error:
                return str(error)
        seen = await self.look(backup)
        return "" if seen.ok else f"{backup.name} cannot take over: {seen.sentence}."

    async def restore(self, actor: Actor, word: str, *, whole: bool = False) -> RestoreResult:
        """Undo drain and failover: the server carries its campaigns again. After a failover its part grows over
        settings.outages.return_over, unless the `whole` shall come back at once.

        It is looked at first. Raises WrongStateError when it is down, in maintenance, or in use already.
        """
        self._access.require(actor, "server.restore")
        server = await self.to_restore(word, whole=whole)
        over = timedelta(0) if whole else self._settings.outages.return_over
        at = now()
        async with self._db.transaction() as tx:
            server = (await servers.lock(tx, [server.id]))[server.id]
            _check_restore(server, (await servers.active_windows(tx, at)).get(server.id), at, whole=whole)
            before = await ways_now(tx, server, None)
            await servers.change(tx, server.id, drained_at=None, drained_by=None, **begun(server, over, at))
            server = cast("Server", await servers.get(tx, server.id))
            live = await campaigns.live_through(tx, server.id, at)
            returns = return_of(await Ways.read(tx, at), server)
            undo = await self._keep(tx, "restore", server, before, actor, at)
            text = restored_text(server.name, actor, returns, undo, at)
            await _record(tx, "server.restore", text, server, at, actor, await _thread_of(tx, server, actor))
        names = [each.name for each in live]
        paused = [each.name for each in live if each.state in {CampaignState.PAUSED, CampaignState.PAUSING}]
        said = restore_text(server.name, names, paused, undo, returns, at)
        return RestoreResult(server, names, paused, said, undo=undo)

    async def to_restore(self, word: str, *, whole: bool = False) -> Server:
        """The server that would be in use again, once it was looked at. Raises what `restore` raises."""
        async with self._db.read() as tx:
            server = await _find(tx, word)
            _check_restore(server, (await servers.active_windows(tx, now())).get(server.id), now(), whole=whole)
        seen = await self.look(server)
        if not seen.ok:
            raise WrongStateError(f"{server.name} was not restored: {seen.sentence}. Repair it, then try again.")
        return server

    async def _keep(
        self,
        tx: Tx,
        verb: str,
        server: Server,
        before: dict[int, dict[str, Any]],
        actor: Actor,
        at: datetime,
        **more: Any,
    ) -> int:
        """Note which way the mail of all concerned went before, and goes now."""
        data = {"server": server.id, "before": ways_out(before), "after": ways_out(await servers.ways_of(tx, before))}
        within = self._settings.asking.undo_expires_after
        return await keep(tx, f"server.{verb}", f"the {verb} of {server.name}", actor, at, within, data | more)

    async def in_maintenance(self, tx: Tx, server_id: int, at: datetime) -> Maintenance | None:
        """The window that covers the server at this moment, whether or not anything has fired for it."""
        return (await servers.active_windows(tx, at)).get(server_id)

    async def list(self) -> list[ServerRow]:
        """All servers, by name."""
        async with self._db.read() as tx:
            return await rows(tx, now())


def _taken(name: str) -> BadInputError:
    return BadInputError(f"There is a server {name} already. Choose another name, or see /server status {name}")


async def _find(tx: Tx, word: str) -> Server:
    known = {server.name: server for server in await servers.every(tx)}
    return known[complete(word, list(known), "server", _WHEN_NONE)]


async def _named(tx: Tx, campaign_ids: Iterable[int], at: datetime) -> list[Any]:
    placed = await campaigns.placed_by_id(tx, campaign_ids, at)
    return sorted((each.campaign for each in placed), key=lambda one: one.name)


async def _thread_of(tx: Tx, server: Server, actor: Actor) -> int | None:
    """What policy does belongs to the outage that led to it, also when that is over; what a person does, to an open
    one.
    """
    last = await servers.last_outage_of(tx, server.id) if actor == HOLDFAST else None
    return last.id if last is not None else None


async def _check_failover(tx: Tx, server: Server, backup: Server, at: datetime) -> None:
    if server.id == backup.id:
        raise BadInputError(f"{server.name} cannot be its own backup. Name another server.")
    if server.failover_to_id == backup.id:
        when = f", at {moment(server.failover_at, at)}" if server.failover_at else ""
        by = f" by {server.failover_by}" if server.failover_by else ""
        raise WrongStateError(f"{server.name} is failed over to {backup.name} already{by}{when}.")
    obstacle = unusable(backup, (await servers.active_windows(tx, at)).get(backup.id), at)
    if obstacle:
        raise WrongStateError(f"{server.name} was not failed over. {obstacle} Name another server.")
    if backup.failover_to_id not in {None, server.id}:
        other = await servers.get(tx, backup.failover_to_id)
        raise WrongStateError(
            f"{server.name} was not failed over: {backup.name} is itself carried by "
            f"{other.name if other else 'another'}. Name that one, or another server."
        )


def _check_not_drained(server: Server, at: datetime) -> None:
    if server.drained_at is not None:
        when = moment(server.drained_at, at)
        raise WrongStateError(
            f"{server.name} is drained already by {server.drained_by}, since {when}. /server restore {server.name}"
        )


def _check_restore(server: Server, window: Maintenance | None, at: datetime, *, whole: bool) -> None:
    returning = server.returning_until is not None and at < server.returning_until
    if server.drained_at is None and server.failover_to_id is None and not (returning and whole):
        if returning and server.returning_until is not None:
            raise WrongStateError(
                f"{server.name} is returning already and carries all of its mail at "
                f"{moment(server.returning_until, at)}. At once: /server restore {server.name} whole"
            )
        raise WrongStateError(f"{server.name} is in use already: it is neither drained nor failed over.")
    # Drained is what is being undone.
    obstacle = None if window is None and server.health != Health.DOWN else _still(server, window, at)
    if obstacle:
        raise WrongStateError(f"{server.name} was not restored. {obstacle}")


def _still(server: Server, window: Maintenance | None, at: datetime) -> str:
    if window is not None:
        return f"It is in maintenance until {moment(window.ends_at, at)}; restore it then."
    said = f" ({server.last_text} at {stage_name(server.last_stage)})" if server.last_stage else ""
    return f"It is down{said}. Repair it, and restore it when /server status {server.name} says up."


async def _record(
    tx: Tx, kind: str, text: str, server: Server, at: datetime, actor: Actor, outage_id: int | None = None
) -> None:
    """One entry, in the thread of the server's outage when it has one, and the cards that show the server."""
    touched = [outage.id for outage in await servers.outages_of(tx, server.id)]
    thread = outage_id if outage_id is not None else (touched[-1] if touched else None)
    await timeline.record(tx, Entry(kind, text, actor.id, at, outage_id=thread, server_id=server.id))
    for each in sorted({*touched, *([outage_id] if outage_id is not None else [])}):
        await timeline.ensure_post(tx, f"outage:{each}", at)
