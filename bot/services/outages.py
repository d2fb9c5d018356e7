"""Outages: declared or found, taken, worked on and resolved. Each change and what announces it are one transaction."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from bot.access import Access, Actor
from bot.clock import now
from bot.config import Settings
from bot.errors import BadInputError, WrongStateError
from bot.services.campaigns import Campaigns
from bot.services.outage_opening import MAJOR, Opening, check_free
from bot.services.outage_reading import Reading, blocked, pick
from bot.services.outage_shapes import (
    CampaignNow,
    Headline,
    OutageResult,
    OutageRow,
    OutageSummary,
    OutageTimeline,
    ServerNow,
    Totals,
    failure_sentence,
)
from bot.services.servers import Servers
from bot.services.when import parse_when
from bot.services.words import joined, moment, number
from storage import campaigns as campaign_store
from storage import outages, timeline
from storage.db import Database, Tx
from storage.models import Campaign, Health, Hold, Outage, OutageState, Server
from storage.timeline import Entry

__all__ = [
    "CampaignNow",
    "Headline",
    "OutageResult",
    "OutageRow",
    "OutageSummary",
    "OutageTimeline",
    "Outages",
    "ServerNow",
    "Totals",
    "failure_sentence",
]

_TEXT_MAX = 2000
_TITLE_MAX = 300


class Outages:
    """`outage_id` None means the only unresolved one; BadInputError lists them when there are several."""

    def __init__(
        self, db: Database, settings: Settings, access: Access, campaigns: Campaigns, servers: Servers
    ) -> None:
        self._db = db
        self._access = access
        self._campaigns = campaigns
        self._servers = servers
        self._opening = Opening(db, settings.outages, campaigns, servers)
        self._reading = Reading(db)

    # Opening, and what the monitor finds

    async def declare(self, actor: Actor, server_word: str, text: str, severity: str = MAJOR) -> OutageResult:
        """Open one by hand, for a server that may look healthy. The campaigns are treated by policy."""
        self._access.require(actor, "outage.declare")
        said = _text(text, "what is wrong", "/outage declare SERVER TEXT", _TITLE_MAX)
        server = await self._servers.find(server_word)
        outage, held = await self._opening.declare(actor, server.id, said, severity)
        names = tuple(each.name for each in held)
        done = f"Outage #{outage.id} is open on {server.name}. "
        done += f"Held: {joined(names)}." if names else "No campaign was held."
        return OutageResult(outage, done, names)

    async def check_declare(self, actor: Actor, server_word: str) -> None:
        """Raises what `declare` would raise for this server now. Nothing is changed."""
        self._access.require(actor, "outage.declare")
        server = await self._servers.find(server_word)
        async with self._db.read() as tx:
            await check_free(tx, server)

    async def open_down(self, server: Server) -> Outage | None:
        """For the monitor: the server is down. A new outage, or its unresolved one again; None when it is up now."""
        return await self._opening.down(server.id)

    async def recovered(self, server: Server) -> Outage | None:
        """For the monitor: the server is up again. None when no outage waited for that."""
        return await self._opening.recovered(server.id)

    async def catch_up(self) -> None:
        """For the monitor: failures that were written down at the very moment of an opening belong to it too."""
        await self._opening.catch_up()

    # What people do to it

    async def acknowledge(self, actor: Actor, outage_id: int | None = None) -> OutageResult:
        """Take it. Raises WrongStateError, with who has it, when somebody was first."""
        self._access.require(actor, "outage.acknowledge")
        async with self._db.transaction() as tx:
            picked, at = await _open_one(tx, outage_id), now()
            outage = await outages.acknowledge(tx, picked.id, actor.mention, at)
            if outage is None:
                raise WrongStateError(await _too_late(tx, picked.id, "Already acknowledged"))
            await self._record(tx, outage, "acknowledged", f"{actor.mention} acknowledged it.", at, actor)
        return OutageResult(outage, f"You have outage #{outage.id} now.")

    async def update(self, actor: Actor, outage_id: int | None, text: str) -> OutageResult:
        self._access.require(actor, "outage.update")
        said = _text(text, "what is new", "/outage update TEXT")
        async with self._db.transaction() as tx:
            outage, at = await _open_one(tx, outage_id), now()
            await self._record(tx, outage, "updated", f"{actor.mention}: {said}", at, actor)
        return OutageResult(outage, f"Added to the thread of outage #{outage.id}.")

    async def cause(self, actor: Actor, outage_id: int | None, text: str) -> OutageResult:
        """Name the cause; the outage is identified. Who names it has it, unless somebody else does."""
        self._access.require(actor, "outage.cause")
        said = _text(text, "the cause", "/outage cause TEXT")
        async with self._db.transaction() as tx:
            picked, at = await _open_one(tx, outage_id), now()
            outage = await outages.identify(tx, picked.id, actor.mention, at, said)
            if outage is None:
                raise WrongStateError(await _too_late(tx, picked.id))
            await self._record(tx, outage, "identified", f"{actor.mention} named the cause: {said}", at, actor)
        return OutageResult(outage, f"Noted as the cause of outage #{outage.id}.")

    async def eta(self, actor: Actor, outage_id: int | None, when_text: str) -> OutageResult:
        """When it should be over, as people type it, on the actor's own clock."""
        self._access.require(actor, "outage.eta")
        at = now()
        # In a thread: the first parse of a process loads dateparser's tables from the disk.
        eta = await asyncio.to_thread(parse_when, when_text, actor.zone, at)
        async with self._db.transaction() as tx:
            picked = await _open_one(tx, outage_id)
            outage = await outages.expect(tx, picked.id, eta)
            if outage is None:
                raise WrongStateError(await _too_late(tx, picked.id))
            text = f"{actor.mention} expects it to be over at {moment(eta, at)}."
            await self._record(tx, outage, "eta", text, at, actor)
        return OutageResult(outage, f"Expected to be over at {moment(eta, at)}{_theirs(eta, actor)}.")

    async def resolve(self, actor: Actor, outage_id: int | None, text: str = "") -> OutageResult:
        """Close it, and post its summary. Campaigns that it holds stay paused; the sentence says so."""
        self._access.require(actor, "outage.resolve")
        said = " ".join(text.split())[:_TEXT_MAX] or None
        async with self._db.transaction() as tx:
            picked, at = await _open_one(tx, outage_id), now()
            outage = await outages.resolve(tx, picked.id, actor.mention, at, said)
            if outage is None:
                raise WrongStateError(await _too_late(tx, picked.id))
            left = await _left_over(tx, outage)
            text = f"{actor.mention} resolved it{f': {said}' if said else '.'}"
            await self._record(tx, outage, "resolved", "\n".join([text, *left]), at, actor)
            await timeline.ensure_post(tx, f"summary:{outage.id}", at, parent=f"outage:{outage.id}", broadcast=True)
        return OutageResult(outage, " ".join([f"Outage #{outage.id} is resolved.", *left]))

    async def pause_campaigns(self, actor: Actor, outage_id: int | None) -> OutageResult:
        """Hold every campaign that its servers are sending. Raises WrongStateError when there is none."""
        self._access.require(actor, "campaign.pause")
        async with self._db.transaction() as tx:
            outage, at = await _open_one(tx, outage_id), now()
            servers = await outages.servers_of(tx, outage.id)
            ids = [each.id for server in servers for each in await campaign_store.sending_through(tx, server.id)]
            held = await self._campaigns.hold(
                tx, ids, Hold.OUTAGE, f"outage #{outage.id}", at, actor, outage_id=outage.id
            )
            if not held:
                raise WrongStateError(await _nothing_to_pause(tx, outage, servers))
            await outages.touch(tx, outage.id, [each.id for each in held], held=True)
        names = tuple(each.name for each in held)
        return OutageResult(outage, f"Paused: {joined(names)}. Each is confirmed in the thread.", names)

    async def resume_campaigns(self, actor: Actor, outage_id: int | None) -> OutageResult:
        """Let go on what it holds. Raises WrongStateError when nothing is held, or when no server can carry it."""
        self._access.require(actor, "campaign.resume")
        async with self._db.transaction() as tx:
            outage, at = await pick(tx, outage_id, or_latest=True), now()
            ids = [each.id for each in await outages.held_by(tx, outage.id)]
            placed = await campaign_store.placed_by_id(tx, ids, lock_servers=True)
            if not placed:
                raise WrongStateError(f"Outage #{outage.id} holds no campaign.")
            stuck = await blocked(tx, outage.id, placed, at)
            free = sorted({each.server.id for each in placed if each.campaign.id not in stuck})
            if not free:
                raise WrongStateError(f"Nothing can go on yet. {next(iter(stuck.values()))}")
            released = await self._campaigns.release(tx, Hold.OUTAGE, at, actor, outage_id=outage.id, server_ids=free)
        names = tuple(each.name for each in released)
        still = [each.campaign.name for each in placed if each.campaign.name not in names]
        rest = f" Still held: {joined(still)}." if still else ""
        return OutageResult(outage, f"{joined(names)} {'goes' if len(names) == 1 else 'go'} on.{rest}", names)

    async def fail_over(self, actor: Actor, outage_id: int | None, backup: str | None = None) -> OutageResult:
        """Its servers' campaigns go through a backup, which is probed first."""
        self._access.require(actor, "server.failover")
        async with self._db.read() as tx:
            outage = await _open_one(tx, outage_id)
            servers = await outages.servers_of(tx, outage.id)
        results = [await self._servers.failover(actor, server.name, backup, outage_id=outage.id) for server in servers]
        released = tuple(name for result in results for name in result.released)
        return OutageResult(outage, " ".join(result.text for result in results), released)

    # Looking

    async def list(self) -> list[OutageRow]:
        """The unresolved ones first, then the newest of the others."""
        return await self._reading.rows()

    async def status(self, outage_id: int | None = None) -> Headline:
        """Without a number: the only unresolved one, else the newest."""
        return await self._reading.headline(outage_id)

    async def headline(self, outage_id: int) -> Headline:
        return await self._reading.headline(outage_id)

    async def timeline(self, outage_id: int | None = None) -> OutageTimeline:
        return await self._reading.timeline(outage_id)

    async def summary(self, outage_id: int) -> OutageSummary:
        return await self._reading.summary(outage_id)

    async def _record(self, tx: Tx, outage: Outage, verb: str, text: str, at: datetime, actor: Actor) -> None:
        await timeline.record(tx, Entry(f"outage.{verb}", text, actor.id, at, outage_id=outage.id))
        await timeline.ensure_post(tx, f"outage:{outage.id}", at)


async def _open_one(tx: Tx, outage_id: int | None) -> Outage:
    """As `pick`, but a resolved one is refused with who resolved it."""
    outage = await pick(tx, outage_id)
    if outage.state == OutageState.RESOLVED:
        raise WrongStateError(await _too_late(tx, outage.id))
    return outage


async def _too_late(tx: Tx, outage_id: int, otherwise: str = "Somebody changed it") -> str:
    """Who was first: the sentence for the second of two people."""
    outage = await pick(tx, outage_id)
    if outage.state == OutageState.RESOLVED and outage.resolved_at is not None:
        return (
            f"Outage #{outage.id} was resolved by {outage.resolved_by} at {moment(outage.resolved_at, now())}. "
            "If it is back, declare it: /outage declare SERVER TEXT"
        )
    if outage.acknowledged_at is None:
        return f"{otherwise} at this moment. Try again."
    return f"{otherwise} by {outage.acknowledged_by} at {moment(outage.acknowledged_at, now())}."


async def _left_over(tx: Tx, outage: Outage) -> list[str]:
    """What resolving does not do by itself, in sentences."""
    left = []
    servers = await outages.servers_of(tx, outage.id)
    down = [each.name for each in servers if each.health == Health.DOWN]
    if down:
        left.append(f"{joined(down)} {'is' if len(down) == 1 else 'are'} still down by the monitor.")
    left += [
        f"Another server carries the campaigns of {each.name}: /server restore {each.name}"
        for each in servers
        if each.failover_to_id is not None
    ]
    held = await outages.held_by(tx, outage.id)
    if held:
        count = number(len(held), "campaign")
        left.append(f"{count} {'is' if len(held) == 1 else 'are'} still paused: {_names(held)}. /campaign resume")
    return left


async def _nothing_to_pause(tx: Tx, outage: Outage, servers: Sequence[Server]) -> str:
    held = await outages.held_by(tx, outage.id)
    names = joined([server.name for server in servers])
    if held:
        return f"Paused already: {_names(held)}. Nothing else is sending through {names}."
    return f"No campaign is sending through {names}, so there is nothing to pause."


def _names(campaigns: Sequence[Campaign]) -> str:
    return joined([each.name for each in campaigns])


def _theirs(at: datetime, actor: Actor) -> str:
    """The moment on the actor's own clock, when it is not UTC."""
    local = at.astimezone(ZoneInfo(actor.zone))
    return "" if not local.utcoffset() else f" ({local:%H:%M} {actor.zone})"


def _text(text: str, what: str, usage: str, longest: int = _TEXT_MAX) -> str:
    """What a person typed. Raises BadInputError when there is nothing or too much."""
    said = text.strip()
    if not said:
        raise BadInputError(f"Say {what}: {usage}")
    if len(said) > longest:
        raise BadInputError(f"That is {len(said):,} characters long. Keep it to {longest:,}.")
    return said
