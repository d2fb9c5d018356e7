"""Outages: declared or found, taken, worked on and resolved. Each change and what announces it are one transaction."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from bot.access import Access, Actor
from bot.clock import now
from bot.config import Settings
from bot.errors import WrongStateError
from bot.services.campaigns import Campaigns, keep_holds
from bot.services.outage_opening import Opening, check_none_open
from bot.services.outage_picking import (
    TEXT_MAX,
    TITLE_MAX,
    check_severity,
    is_worse,
    open_one,
    said_of,
    to_acknowledge,
    to_grade,
    too_late,
)
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
from bot.services.words import few, joined, moment, number
from storage import campaigns as campaign_store
from storage import outages, reminders, timeline
from storage.db import Database, Tx
from storage.models import Campaign, Health, Hold, Outage, Server
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

"""From the mildest to the worst."""


class Outages:
    """`outage_id` None means the only unresolved one; BadInputError lists them when there are several."""

    def __init__(
        self, db: Database, settings: Settings, access: Access, campaigns: Campaigns, servers: Servers
    ) -> None:
        self._db = db
        self._access = access
        self._undo_within = settings.asking.undo_expires_after
        self._campaigns = campaigns
        self._servers = servers
        self._opening = Opening(db, settings.outages, campaigns, servers)
        self._reading = Reading(db)

    # Opening, and what the monitor finds

    async def declare(self, actor: Actor, server_word: str, text: str, severity: str | None = None) -> OutageResult:
        """Open one by hand, for a server that may look healthy. The campaigns are treated by policy."""
        self._access.require(actor, "outage.declare")
        said = said_of(text, "what is wrong", "/outage declare SERVER TEXT", TITLE_MAX)
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
            await check_none_open(tx, server)

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
            picked, at = await to_acknowledge(tx, outage_id), now()
            outage = await outages.acknowledge(tx, picked.id, actor.mention, at)
            if outage is None:
                raise WrongStateError(await too_late(tx, picked.id, "Already acknowledged"))
            await self._record(tx, outage, "acknowledged", f"{actor.mention} acknowledged it.", at, actor)
        return OutageResult(outage, f"You have outage #{outage.id} now.")

    async def update(self, actor: Actor, outage_id: int | None, text: str) -> OutageResult:
        self._access.require(actor, "outage.update")
        said = said_of(text, "what is new", "/outage update TEXT")
        async with self._db.transaction() as tx:
            outage, at = await open_one(tx, outage_id), now()
            await self._record(tx, outage, "updated", f"{actor.mention}: {said}", at, actor)
        return OutageResult(outage, f"Added to the thread of outage #{outage.id}.")

    async def cause(self, actor: Actor, outage_id: int | None, text: str) -> OutageResult:
        """Name the cause; the outage is identified. Who names it has it, unless somebody else does."""
        self._access.require(actor, "outage.cause")
        said = said_of(text, "the cause", "/outage cause TEXT")
        async with self._db.transaction() as tx:
            picked, at = await open_one(tx, outage_id), now()
            outage = await outages.identify(tx, picked.id, actor.mention, at, said)
            if outage is None:
                raise WrongStateError(await too_late(tx, picked.id))
            await self._record(tx, outage, "identified", f"{actor.mention} named the cause: {said}", at, actor)
        return OutageResult(outage, f"Noted as the cause of outage #{outage.id}.")

    async def eta(self, actor: Actor, outage_id: int | None, when_text: str) -> OutageResult:
        """When it should be over, as people type it, on the actor's own clock."""
        self._access.require(actor, "outage.eta")
        at = now()
        # In a thread: the first parse of a process loads dateparser's tables from the disk.
        eta = await asyncio.to_thread(parse_when, when_text, actor.zone, at)
        async with self._db.transaction() as tx:
            picked = await open_one(tx, outage_id)
            outage = await outages.expect(tx, picked.id, eta)
            if outage is None:
                raise WrongStateError(await too_late(tx, picked.id))
            text = f"{actor.mention} expects it to be over at {moment(eta, at)}."
            await self._record(tx, outage, "eta", text, at, actor)
        return OutageResult(outage, f"Expected to be over at {moment(eta, at)}.")

    async def severity(self, actor: Actor, outage_id: int | None, word: str) -> OutageResult:
        """How bad it is; the channel hears of it only when that is worse. Raises BadInputError for another word."""
        self._access.require(actor, "outage.severity")
        check_severity(word)
        async with self._db.transaction() as tx:
            picked, at = await to_grade(tx, outage_id, word), now()
            was = picked.severity
            outage = await outages.grade(tx, picked.id, was, word)
            if outage is None:
                raise WrongStateError(await too_late(tx, picked.id))
            worse = is_worse(word, was)
            text = f"{actor.mention} finds it {'worse' if worse else 'milder'}: it is {word} now, it was {was}."
            await self._record(tx, outage, "worse" if worse else "milder", text, at, actor, broadcast=worse)
        return OutageResult(outage, f"Outage #{outage.id} is {word} now.")

    async def resolve(self, actor: Actor, outage_id: int | None, text: str = "") -> OutageResult:
        """Close it, and post its summary. Campaigns that it holds stay paused; the sentence says so."""
        self._access.require(actor, "outage.resolve")
        said = " ".join(text.split())[:TEXT_MAX] or None
        async with self._db.transaction() as tx:
            picked, at = await open_one(tx, outage_id), now()
            outage = await outages.resolve(tx, picked.id, actor.mention, at, said)
            if outage is None:
                raise WrongStateError(await too_late(tx, picked.id))
            left = await _left_over(tx, outage)
            text = f"{actor.mention} resolved it{f': {said}' if said else '.'}"
            await self._record(tx, outage, "resolved", "\n".join([text, *left]), at, actor)
            await timeline.ensure_post(tx, f"summary:{outage.id}", at, parent=f"outage:{outage.id}", broadcast=True)
        return OutageResult(outage, " ".join([f"Outage #{outage.id} is resolved.", *left]))

    async def pause_campaigns(self, actor: Actor, outage_id: int | None) -> OutageResult:
        """Hold every campaign that its servers are sending. Raises WrongStateError when there is none."""
        self._access.require(actor, "campaign.pause")
        async with self._db.transaction() as tx:
            outage, at = await open_one(tx, outage_id), now()
            servers = await outages.servers_of(tx, outage.id)
            ids = [each.id for server in servers for each in await campaign_store.sending_through(tx, server.id, at)]
            holds = await campaign_store.holds_of(tx, ids)
            held = await self._campaigns.hold(
                tx, ids, Hold.OUTAGE, f"outage #{outage.id}", at, actor, outage_id=outage.id
            )
            if not held:
                raise WrongStateError(await _nothing_to_pause(tx, outage, servers))
            await outages.touch(tx, outage.id, [each.id for each in held], held=True)
            undo = await keep_holds(tx, "pause", held, holds, actor, at, self._undo_within)
        names = tuple(each.name for each in held)
        return OutageResult(outage, f"Paused: {few(names)}. Each is confirmed in the thread.", names, undo)

    async def resume_campaigns(self, actor: Actor, outage_id: int | None) -> OutageResult:
        """Let go on what it holds. Raises WrongStateError when nothing is held, or when no server can carry it."""
        self._access.require(actor, "campaign.resume")
        async with self._db.transaction() as tx:
            outage, at = await pick(tx, outage_id, or_latest=True), now()
            ids = [each.id for each in await outages.held_by(tx, outage.id)]
            placed = await campaign_store.placed_by_id(tx, ids, at, lock_servers=True)
            if not placed:
                raise WrongStateError(f"Outage #{outage.id} holds no campaign.")
            stuck = await blocked(tx, outage.id, placed, at)
            free = sorted({each.server.id for each in placed if each.campaign.id not in stuck})
            if not free:
                raise WrongStateError(f"Nothing can go on yet. {next(iter(stuck.values()))}")
            holds = await campaign_store.holds_of(tx, ids)
            released = await self._campaigns.release(tx, Hold.OUTAGE, at, actor, outage_id=outage.id, server_ids=free)
            undo = await keep_holds(tx, "resume", released, holds, actor, at, self._undo_within)
        names = tuple(each.name for each in released)
        still = [each.campaign.name for each in placed if each.campaign.name not in names]
        rest = f" Still held: {joined(still)}." if still else ""
        return OutageResult(outage, f"{joined(names)} {'goes' if len(names) == 1 else 'go'} on.{rest}", names, undo)

    async def fail_over(self, actor: Actor, outage_id: int | None, backup: str | None = None) -> OutageResult:
        """Its servers' campaigns go through a backup, which is probed first."""
        self._access.require(actor, "server.failover")
        async with self._db.read() as tx:
            outage = await open_one(tx, outage_id)
            servers = await outages.servers_of(tx, outage.id)
        results = [await self._servers.failover(actor, server.name, backup, outage_id=outage.id) for server in servers]
        released = tuple(name for result in results for name in result.released)
        undo = results[0].undo if len(results) == 1 else None
        return OutageResult(outage, " ".join(result.text for result in results), released, undo)

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

    async def _record(
        self, tx: Tx, outage: Outage, verb: str, text: str, at: datetime, actor: Actor, *, broadcast: bool = False
    ) -> None:
        entry = Entry(f"outage.{verb}", text, actor.id, at, outage_id=outage.id)
        await timeline.record(tx, entry, broadcast=broadcast)
        await reminders.answer(tx, outage.id, "over" if verb == "resolved" else "update", actor.mention, at)
        await timeline.ensure_post(tx, f"outage:{outage.id}", at)


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
