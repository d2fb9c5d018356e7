"""How an outage opens, opens again, and is found over: what the monitor and a declaration lead to."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bot.access import HOLDFAST, Actor
from bot.clock import now
from bot.config import OutageSettings
from bot.errors import BotError, WrongStateError
from bot.monitor.verdict import Evidence as Sign
from bot.services.campaigns import Campaigns
from bot.services.judging import health_of
from bot.services.outage_shapes import failure_sentence
from bot.services.server_results import by_way_of
from bot.services.server_ways import give_back, others_now
from bot.services.servers import Servers
from bot.services.when import lasting
from bot.services.words import few, joined, number, to_the_second
from storage import campaigns as campaign_store
from storage import deliveries, evidence, outages, timeline
from storage import servers as server_store
from storage.db import Database, Tx
from storage.models import Campaign, Health, Hold, Outage, OutageState, Server, Severity
from storage.timeline import Entry
from storage.ways import Ways

_LOOK_BACK = timedelta(minutes=15)
"""How far back failures of sending can belong to an outage that opens now."""

_BEFORE_ITS_SIGN = timedelta(seconds=15)
"""Mail is lost a little before its loss is written down, or before a probe comes by."""

_YOUNG = timedelta(minutes=1)
"""For how long after its opening an outage looks for failures that crossed it."""


@dataclass(frozen=True)
class Failure:
    """What was seen failing on a server, and since when."""

    stage: str | None
    code: int | None
    text: str | None
    since: datetime

    @property
    def sentence(self) -> str:
        return failure_sentence(self.stage, self.code, self.text)


class Opening:
    """The steps are the same however it opens: the outage and its card, the stamp on what was lost, the policy."""

    def __init__(self, db: Database, settings: OutageSettings, campaigns: Campaigns, servers: Servers) -> None:
        self._db = db
        self._settings = settings
        self._campaigns = campaigns
        self._servers = servers

    async def declare(
        self, actor: Actor, server_id: int, text: str, severity: str | None = None
    ) -> tuple[Outage, list[Campaign]]:
        """By hand, whatever the monitor thinks. Raises WrongStateError when the server has an outage already."""
        async with self._db.transaction() as tx:
            server = (await server_store.lock(tx, [server_id]))[server_id]
            at = now()
            await check_none_open(tx, server)
            failure = await _seen(tx, server, at)
            down_at = at if server.health == Health.DOWN else None
            outage = await self._create(
                tx, server, failure, at, title=text, by=actor, down_at=down_at, severity=severity
            )
            await self._record(tx, outage, server, "outage.declared", f"{actor.mention} declared: {text}", at, by=actor)
            server = await self._end_return(tx, outage, server, at)
            held = await self._apply_policy(tx, outage, server, at, actor)
        await self._fail_over_by_policy(outage, server, held)
        return outage, held

    async def down(self, server_id: int) -> Outage | None:
        """The monitor found the server down: a new outage, or the same one again. None when it is not down now."""
        async with self._db.transaction() as tx:
            server = (await server_store.lock(tx, [server_id])).get(server_id)
            if server is None or server.health != Health.DOWN:
                return None
            at = now()
            failure = await _seen(tx, server, at)
            existing = await outages.unresolved_on(tx, server.id)
            if existing is not None and _knows(existing, server):
                return existing
            outage = (
                await self._open(tx, server, failure, at)
                if existing is None
                else await self._again(tx, existing, server, failure, at)
            )
            server = await self._end_return(tx, outage, server, at)
            held = await self._apply_policy(tx, outage, server, at, HOLDFAST)
            await timeline.ensure_post(tx, f"outage:{outage.id}", at)
        await self._fail_over_by_policy(outage, server, held)
        return outage

    async def recovered(self, server_id: int) -> Outage | None:
        """A server is up again. None when no outage waited for that, or when another server of it is still down."""
        async with self._db.transaction() as tx:
            found = await outages.unresolved_on(tx, server_id)
            if found is None:
                return None
            servers = await server_store.lock(tx, [server.id for server in await outages.servers_of(tx, found.id)])
            if any(server.health == Health.DOWN for server in servers.values()):
                return None
            at = now()
            outage = await outages.change(
                tx,
                found.id,
                *outages.awaits_recovery(),
                state=OutageState.MONITORING,
                recovered_at=at,
            )
            if outage is None:
                return None
            await self._tell_recovery(tx, outage, list(servers.values()), at)
            await timeline.ensure_post(tx, f"outage:{outage.id}", at)
        return outage

    async def catch_up(self) -> None:
        """On PostgreSQL a flush that was under way while an outage opened saw no outage, and was not seen by it."""
        async with self._db.read() as tx:
            young = [each for each in await outages.unresolved(tx) if now() - _opened_at(each) < _YOUNG]
        if not young:
            return
        async with self._db.transaction() as tx:
            for outage in young:
                for server in await outages.servers_of(tx, outage.id):
                    await deliveries.stamp_outage(tx, server.id, outage.started_at, outage.id)

    # Steps

    async def _open(self, tx: Tx, server: Server, failure: Failure, at: datetime) -> Outage:
        outage = await self._create(tx, server, failure, at, title=f"{server.name} is down", by=HOLDFAST, down_at=at)
        text = f"{server.name} is down{_because(failure)}. It began at {to_the_second(failure.since)}."
        await self._record(tx, outage, server, "outage.opened", text, at)
        return outage

    async def _create(
        self,
        tx: Tx,
        server: Server,
        failure: Failure,
        at: datetime,
        *,
        title: str,
        by: Actor,
        down_at: datetime | None,
        severity: str | None = None,
    ) -> Outage:
        outage = Outage(
            title=title,
            severity=severity or await self._severity(tx, server),
            policy=self._settings.policy,
            opened_by=by.mention,
            stage=failure.stage,
            code=failure.code,
            reply=failure.text,
            started_at=min(failure.since, at),
            detected_at=at,
            down_at=down_at,
        )
        await outages.add(tx, outage, [server.id])
        # Before anything is told in its thread. Elsewhere the card comes last: on PostgreSQL rows are locked in the
        # order servers, campaigns, posts.
        await timeline.ensure_post(tx, f"outage:{outage.id}", at)
        await deliveries.stamp_outage(tx, server.id, outage.started_at, outage.id)
        return outage

    async def _severity(self, tx: Tx, server: Server) -> Severity:
        """By how many people wait for their mail: a first guess, which people may correct."""
        at = now()
        stopped = await campaign_store.sending_only_through(tx, server.id, at)
        if sum(campaign.recipients for campaign in stopped) >= self._settings.critical_from:
            return Severity.CRITICAL
        return Severity.MAJOR if stopped else Severity.MINOR

    async def _again(self, tx: Tx, outage: Outage, server: Server, failure: Failure, at: datetime) -> Outage:
        """The server of an unresolved outage is down again, or as somebody declared."""
        recurs = outage.down_at is not None
        values: dict[str, Any] = {"down_at": at, "recovered_at": None}
        if recurs:
            values |= {"state": OutageState.OPEN, "recurrences": outage.recurrences + 1}
        if outage.stage is None and outage.code is None and outage.reply is None:
            values |= {"stage": failure.stage, "code": failure.code, "reply": failure.text}
        changed = await outages.change(tx, outage.id, **values)
        if changed is None:
            raise WrongStateError(f"Outage #{outage.id} is gone. See: /outage list")
        await deliveries.stamp_outage(tx, server.id, failure.since, outage.id)
        if recurs:
            text = f"{server.name} is down again{_because(failure)}. This is the same outage."
            await self._record(tx, changed, server, "outage.recurred", text, at, post=True, broadcast=True)
        else:
            text = f"The monitor finds {server.name} down too{_because(failure)}."
            await self._record(tx, changed, server, "outage.confirmed", text, at, post=True)
        return changed

    async def _apply_policy(self, tx: Tx, outage: Outage, server: Server, at: datetime, actor: Actor) -> list[Campaign]:
        """What the settings say of the campaigns that have no other way. Returns those that were held."""
        ids = [campaign.id for campaign in await campaign_store.sending_only_through(tx, server.id, at)]
        held: list[Campaign] = []
        if ids and outage.policy != "tell":
            reason = f"{server.name}: {outage.title}" if server.name not in outage.title else outage.title
            held = await self._campaigns.hold(tx, ids, Hold.OUTAGE, reason, at, actor, outage_id=outage.id)
        held_ids = {campaign.id for campaign in held}
        await outages.touch(tx, outage.id, [each for each in ids if each in held_ids], held=True)
        await outages.touch(tx, outage.id, [each for each in ids if each not in held_ids], held=False)
        await self._tell_who_goes_on(tx, outage, server, at)
        if ids and outage.policy == "tell":
            text = f"{number(len(ids), 'campaign')} through {server.name} may be affected. By policy none was paused."
            await self._record(tx, outage, server, "outage.told", text, at, post=True)
        return held

    async def _tell_who_goes_on(self, tx: Tx, outage: Outage, server: Server, at: datetime) -> None:
        """Others of its pool take its part, so that nothing has to be held."""
        going = await campaign_store.going_on_without(tx, server.id, at)
        if not going:
            return
        await outages.touch(tx, outage.id, [each.campaign.id for each in going], held=False)
        by_way: dict[str, list[str]] = {}
        for each in going:
            by_way.setdefault(by_way_of(each), []).append(each.campaign.name)
        said = [f"{few(names)} {'goes' if len(names) == 1 else 'go'} on through {way}" for way, names in by_way.items()]
        await self._record(tx, outage, server, "outage.goes_on", f"{'; '.join(said)}.", at, post=True)

    async def _end_return(self, tx: Tx, outage: Outage, server: Server, at: datetime) -> Server:
        """A server that fails while it returns is not tried further: who carried it before has all of it again."""
        if server.returning_since is None:
            return server
        source = await give_back(tx, server, at, HOLDFAST)
        if source is not None:
            text = f"{server.name} failed while it returned: {source.name} carries all of its mail again."
            await self._record(tx, outage, server, "server.return_ended", text, at, post=True)
        return (await server_store.get(tx, server.id)) or server

    async def _who_fails_over(self, server: Server) -> Server | None:
        """The server whose backup is to take over: of a pool the first that has one, as all of its mail is stuck."""
        async with self._db.read() as tx:
            if await others_now(tx, server, now()):
                return None
            of_pool = [await server_store.get(tx, each) for each in await server_store.fellows(tx, [server.id])]
        ids = {each.id for each in of_pool if each is not None}
        fit = [
            each
            for each in of_pool
            if each is not None and each.backup_id not in {None, *ids} and each.failover_to_id is None
        ]
        return min(fit, key=lambda each: (each.id != server.id, each.id), default=server)

    async def _fail_over_by_policy(self, outage: Outage, server: Server, held: list[Campaign]) -> None:
        """Outside the transaction, since the backup is probed first. What it cannot take over stays held."""
        if outage.policy != "failover" or server.failover_to_id is not None:
            return
        one = await self._who_fails_over(server)
        if one is None:
            return
        why = f"{server.name} has no backup."
        if one.backup_id is not None:
            try:
                await self._servers.failover(HOLDFAST, one.name, None, outage_id=outage.id)
            except BotError as error:
                why = f"No failover by policy. {error}"
            else:
                return
        elif not held:
            return
        if held:
            why += f" {number(len(held), 'campaign')} {'stays' if len(held) == 1 else 'stay'} held."
        async with self._db.transaction() as tx:
            at = now()
            await self._record(tx, outage, server, "outage.not_failed_over", why, at, post=True)
            await timeline.ensure_post(tx, f"outage:{outage.id}", at)

    async def _tell_recovery(self, tx: Tx, outage: Outage, servers: list[Server], at: datetime) -> None:
        """Says that it answers again, and lets the held campaigns go on if the settings want it."""
        names = joined([server.name for server in servers])
        lasted = lasting(at - outage.started_at)
        released: list[Campaign] = []
        waiting = await outages.held_by(tx, outage.id)
        if waiting and self._settings.on_recovery == "resume":
            released = await self._campaigns.release(tx, Hold.OUTAGE, at, HOLDFAST, outage_id=outage.id)
        text = f"{names} {'answers' if len(servers) == 1 else 'answer'} again, after {lasted}."
        text += await self._pools_again(tx, servers, at)
        still = len(waiting) - len(released)
        if released:
            text += f" {number(len(released), 'campaign')} {'goes' if len(released) == 1 else 'go'} on by policy."
        if still:
            text += f" {number(still, 'campaign')} {'is' if still == 1 else 'are'} still held: press Resume campaigns."
        await self._record(tx, outage, servers[0], "outage.recovered", text, at, post=True)
        await self._free_fellows(tx, outage, servers, at)

    async def _pools_again(self, tx: Tx, servers: list[Server], at: datetime) -> str:
        """Which of them take their part of a pool's mail again."""
        ways = await Ways.read(tx, at)
        back = [each for each in servers if each.pool and any(way.server_id == each.id for way in ways.of(each.id))]
        return "".join(f" {each.name} takes its part of pool {each.pool} again." for each in back)

    async def _free_fellows(self, tx: Tx, outage: Outage, servers: list[Server], at: datetime) -> None:
        """What an outage of another server of the pool holds has a way again: it may go on, or does by policy."""
        of_pool = await server_store.fellows(tx, [each.id for each in servers])
        found = {each.id for server_id in of_pool for each in await server_store.outages_of(tx, server_id)}
        for outage_id in sorted(found - {outage.id}):
            if self._settings.on_recovery == "resume":
                await self._campaigns.release(tx, Hold.OUTAGE, at, HOLDFAST, outage_id=outage_id, server_ids=of_pool)
            await timeline.ensure_post(tx, f"outage:{outage_id}", at)

    async def _record(
        self,
        tx: Tx,
        outage: Outage,
        server: Server,
        kind: str,
        text: str,
        at: datetime,
        *,
        by: Actor = HOLDFAST,
        post: bool = False,
        broadcast: bool = False,
    ) -> None:
        """One entry. The first one of an outage is not posted: its card says the same."""
        entry = Entry(kind, text, by.id, at, outage_id=outage.id, server_id=server.id)
        await timeline.record(tx, entry, post=post, broadcast=broadcast)


async def check_none_open(tx: Tx, server: Server) -> None:
    """Raises WrongStateError when the server has an unresolved outage."""
    existing = await outages.unresolved_on(tx, server.id)
    if existing is not None:
        raise WrongStateError(
            f"{server.name} has outage #{existing.id} already ({existing.state}). Add to it with: /outage update TEXT"
        )


async def _seen(tx: Tx, server: Server, at: datetime) -> Failure:
    """What fails on the server: what its last probe saw, or the last failure of sending where that brought it down."""
    look_back = at - _LOOK_BACK
    health = health_of(server, at)
    first_sign = health.trouble_since or await evidence.failing_since(tx, server.id, look_back)
    began = first_sign or at
    lost_first = await evidence.first_lost(tx, server.id, began - _BEFORE_ITS_SIGN)
    since = min(began, lost_first or began, at)
    by_sending = server.last_stage is None or health.opened_by is Sign.SENDING
    row = await evidence.last_failure(tx, server.id, look_back) if first_sign and by_sending else None
    if row is not None:
        return Failure(row.stage, row.code, row.text, since)
    return Failure(server.last_stage, server.last_code, server.last_text, since)


def _opened_at(outage: Outage) -> datetime:
    return outage.down_at or outage.detected_at


def _knows(outage: Outage, server: Server) -> bool:
    """Whether the outage tells already of the server being down since then."""
    since = server.health_since
    return outage.recovered_at is None and outage.down_at is not None and (since is None or outage.down_at >= since)


def _because(failure: Failure) -> str:
    return f": {failure.sentence}" if failure.sentence else ""
