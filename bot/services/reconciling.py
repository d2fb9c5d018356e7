"""Reports of deliveries taken into the ledger: each once, in batches, with the evidence kept and the team told."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

from bot.access import HOLDFAST, Access, Actor
from bot.clock import now
from bot.config import Settings
from bot.errors import BadInputError
from bot.mail.links import Links
from bot.mail.replies import Stage
from bot.mail.reports.bounces import read_bounce
from bot.mail.reports.logs import Logs, oldest_first, opened
from bot.mail.reports.report import Report, token_for
from bot.services.names import complete
from bot.services.reconciling_rules import Tally, change, digest_of, must_wait
from bot.services.reconciling_telling import Settled, Voice, tell
from storage import reports, resends, servers, suppressions
from storage.db import Database, Tx
from storage.models import DeliveryReport, ReportKind
from storage.reports import Place, Standing

BATCH = 500
"""Reports that are written in one transaction."""

_SOURCES = {"log": "A server's log", "bounce": "A bounce", "event": "A delivery event"}


@dataclass(frozen=True)
class LogResult:
    """What some logs said. `before`: how many deliveries were unknown; `left`: the addresses of those that still are,
    with their campaigns.
    """

    tally: Tally
    before: int
    left: Sequence[str]


@dataclass(frozen=True)
class _Source:
    """Where reports come from: `kind` is log, bounce or event."""

    kind: str
    reporter: str
    voice: Voice


class Reconciling:
    """Takes what logs, bounces and events say. What a person decides is in unknowns.py."""

    def __init__(self, db: Database, settings: Settings, access: Access) -> None:
        self._db = db
        self._settings = settings
        self._access = access

    async def read_logs(self, actor: Actor, paths: Sequence[Path], server: str | None = None) -> LogResult:
        """Look for the unknown deliveries in a server's logs, and for mail that came back.

        Raises BadInputError for a file that cannot be read; what the ones before it said is kept.
        """
        self._access.require(actor, "resend.delivered")
        async with self._db.read() as tx:
            if server is not None:
                known = [each.name for each in await servers.every(tx)]
                server = complete(server, known, "server", "Add one with /server add.")
            found = await reports.unknown(tx)
        wanted = {
            token_for(each.key, each.email): Place(each.campaign_id, each.n, each.email, each.key) for each in found
        }
        tally = Tally()
        logs = Logs(wanted, ZoneInfo(actor.zone), now())
        for path in await asyncio.to_thread(oldest_first, paths):
            reporter = server or ("standard input" if str(path) == "-" else path.name)
            voice = Voice(actor, f"{actor.mention} looked into the log of {server or reporter}")
            tally.add(await self._read_log(logs, path, wanted, _Source("log", reporter, voice)))
        async with self._db.read() as tx:
            left = [f"{each.email} ({each.campaign})" for each in await reports.unknown(tx)]
        return LogResult(tally, len(found), left)

    async def _read_log(self, logs: Logs, path: Path, wanted: Mapping[str, Place], source: _Source) -> Tally:
        tally = Tally()
        about_wanted: list[Report] = []
        with opened(path) as file:
            found = logs.read(file)
            while batch := await asyncio.to_thread(lambda: [*islice(found, BATCH)]):
                about_wanted += [each for each in batch if each.token in wanted]
                others = [each for each in batch if each.token not in wanted]
                tally.add(await self._take(others, source))
        # At the end, so that the thread hears of all of them in one sentence.
        tally.add(await self._take(about_wanted, source, wanted))
        return tally

    async def read_bounces(self, messages: Iterable[bytes]) -> Tally:
        """Bounces and complaints as a mail server hands them over. Others are left alone."""
        tally = Tally()
        for octets in messages:
            found = await asyncio.to_thread(read_bounce, octets)
            tally.add(await self.take("bounce", found))
        return tally

    async def take(self, kind: str, found: Sequence[Report]) -> Tally:
        """Reports that came in by themselves: `bounce` or `event`."""
        return await self._take(found, _Source(kind, _SOURCES[kind], Voice(HOLDFAST, _SOURCES[kind])))

    async def tick(self) -> None:
        """Take into account what came while a delivery was being sent."""
        async with self._db.read() as tx:
            due = await reports.waiting(tx, BATCH)
        by_campaign: dict[tuple[int, str], list[DeliveryReport]] = {}
        for each in due:
            by_campaign.setdefault((each.campaign_id, each.source), []).append(each)
        for (campaign_id, kind), rows in sorted(by_campaign.items(), key=lambda item: item[0]):
            source = _Source(kind, rows[0].reporter, Voice(HOLDFAST, _SOURCES[kind]))
            async with self._db.transaction() as tx:
                await _settle(tx, campaign_id, rows, source, now())

    async def _take(self, found: Sequence[Report], source: _Source, known: Mapping[str, Place] | None = None) -> Tally:
        if not found:
            return Tally()
        places = known if known is not None else await self._find(found)
        by_campaign: dict[int, list[tuple[Place, Report]]] = {}
        for report in found:
            place = places.get(report.token)
            if place is not None:
                by_campaign.setdefault(place.campaign_id, []).append((place, report))
        tally = Tally(not_ours=len(found) - sum(map(len, by_campaign.values())))
        for campaign_id, pairs in sorted(by_campaign.items()):
            for start in range(0, len(pairs), BATCH):
                async with self._db.transaction() as tx:
                    taken = await _keep(tx, campaign_id, pairs[start : start + BATCH], source, now())
                tally.add(taken)
        return tally

    async def _find(self, found: Sequence[Report]) -> dict[str, Place]:
        """Whose the reports are: token -> place. First what leads straight there, then the named campaigns."""
        linked = [each for each in found if each.link]
        places: dict[str, Place] = {}
        async with self._db.read() as tx:
            if linked:
                places |= await _by_links(tx, linked, Links([self._settings.signing_key()]))
            named = [each for each in found if each.campaign and each.token not in places]
            if named:
                places |= await _matching(tx, named, {each.campaign for each in named})
            rest = [each for each in found if each.token not in places]
            if rest:
                places |= await _matching(tx, rest, None)
        return places


async def _by_links(tx: Tx, found: Sequence[Report], links: Links) -> dict[str, Place]:
    places = {}
    for report in found:
        with suppress(BadInputError):
            place = await reports.place(tx, *links.read(report.link))
            if place is not None and token_for(place.key, place.email) == report.token:
                places[report.token] = place
    return places


async def _matching(tx: Tx, found: Sequence[Report], campaigns: set[str] | None) -> dict[str, Place]:
    """Campaign by campaign, the newest first, until each has its place."""
    addresses = {address.lower() for each in found for address in each.recipients}
    missing = {each.token for each in found}
    places: dict[str, Place] = {}
    for campaign_id, key in (await reports.keys(tx, campaigns)).items():
        if not missing:
            break
        for place in await reports.places(tx, campaign_id, key, addresses):
            token = token_for(key, place.email)
            if token in missing:
                places[token] = place
                missing.remove(token)
    return places


async def _keep(
    tx: Tx, campaign_id: int, pairs: Sequence[tuple[Place, Report]], source: _Source, at: datetime
) -> Tally:
    """Write down what is new, and take it into account."""
    rows = [_row(place, report, source, at) for place, report in pairs]
    fresh = await reports.add(tx, rows)
    # One line may stand in a log twice.
    new = {(row.n, row.digest): row for row in rows if (row.n, row.digest) in fresh}
    tally = Tally(again=len(rows) - len(new))
    tally.add(await _settle(tx, campaign_id, list(new.values()), source, at))
    # After the deliveries, the order in which the sender locks them.
    await _suppress(tx, [(place, report) for place, report in pairs if _key(place, report, source) in new], tally, at)
    return tally


def _key(place: Place, report: Report, source: _Source) -> tuple[int, str]:
    return place.n, digest_of(source.kind, report.kind, report.code, report.words)


def _row(place: Place, report: Report, source: _Source, at: datetime) -> DeliveryReport:
    n, digest = _key(place, report, source)
    return DeliveryReport(
        campaign_id=place.campaign_id,
        n=n,
        digest=digest,
        kind=report.kind,
        source=source.kind,
        reporter=source.reporter,
        at=report.at,
        seen_at=at,
        code=report.code,
        stage=report.stage.value,
        words=report.words,
    )


async def _suppress(tx: Tx, pairs: Sequence[tuple[Place, Report]], tally: Tally, at: datetime) -> None:
    """At once, whatever the delivery waits for: the next campaign must not reach them."""
    for place, report in sorted(pairs, key=lambda pair: pair[0].email.lower()):
        complaint = report.kind == ReportKind.COMPLAINT
        gone = report.kind == ReportKind.BOUNCED and report.judgement.suppress
        if not complaint and not gone:
            continue
        reason = f"called our mail spam ({report.words})" if complaint else f"it came back: {report.words}"
        kind = "complaint" if complaint else "bounce"
        if await suppressions.add(tx, place.email, reason=reason, source=kind, at=at):
            tally.suppressed.append(place.email)


async def _settle(tx: Tx, campaign_id: int, rows: Sequence[DeliveryReport], source: _Source, at: datetime) -> Tally:
    """Change the deliveries by the rules, and tell who watches them."""
    tally = Tally()
    if not rows:
        return tally
    await resends.alone(tx)  # nobody plans or approves with these deliveries meanwhile
    standing = await reports.standing(tx, campaign_id, {row.n for row in rows})
    settled = Settled(campaign_id)
    for row in rows:
        delivery = standing[row.n]
        if must_wait(delivery):
            tally.waiting += 1
            continue
        values = change(delivery, _report(row))
        changed = values is not None and await reports.change(tx, campaign_id, row.n, delivery.status, **values)
        after = str(values["status"]) if values is not None and changed else None
        await reports.settle(tx, campaign_id, row.n, row.digest, at, delivery.status if after else None, after)
        standing[row.n] = _after(delivery, row, after)
        if after is None:
            tally.kept += 1
        else:
            settled.add(delivery, after)
    tally.add(await tell(tx, settled, source.voice, at))
    return tally


def _report(row: DeliveryReport) -> Report:
    """As it was when it came."""
    stage = Stage(row.stage) if row.stage else Stage.dot
    return Report("", ReportKind(row.kind), row.words, code=row.code, stage=stage, at=row.at)


def _after(delivery: Standing, row: DeliveryReport, after: str | None) -> Standing:
    """As the next report in the same transaction finds it."""
    kinds = delivery.kinds | {row.kind}
    if after is None:
        return replace(delivery, kinds=kinds)
    return replace(delivery, status=after, reply=row.words or None, kinds=kinds)
