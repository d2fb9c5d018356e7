"""While Slack takes no messages people are paged by other roads, once, and told in the channel when it is over.

An episode is a row: when Slack went away, what became of each road, when the next page or the next try is due. So a
restart in the middle pages nobody again. Only a crash between a page and its note can send it twice, a little later:
that is better than never.
"""

import asyncio
import socket
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parseaddr
from typing import Any

import structlog

from bot.access import HOLDFAST
from bot.channels import paging as apprise
from bot.clock import now
from bot.config import Settings
from bot.errors import BadInputError
from bot.mail import letter
from bot.mail.endpoints import endpoint_of
from bot.services.page_text import OutageNews, Page, Situation, compose, trial
from bot.services.words import in_utc, joined, moment
from storage import outages, paging, posts, sending, timeline
from storage import servers as server_store
from storage.db import Database, Tx
from storage.models import Health, Outage, Paging
from storage.posts import Absence
from storage.sending import Carrier
from storage.timeline import Entry

AT_ONCE = timedelta(minutes=1)
"""An outage that opens while Slack is away does not wait longer than this for its page."""
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=30), timedelta(minutes=10)
_UNDER_WAY = timedelta(minutes=3)
"""After a crash in the middle of a page it is tried again then; longer than all roads may take."""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Result:
    """How a page by one road ended. `said` is why it was not taken, in a phrase without secrets; None: it was."""

    road: str
    said: str | None


@dataclass(frozen=True)
class _Seen:
    """How Slack stands, and what was opened without its knowing."""

    absence: Absence | None
    episode: Paging | None
    behind: int
    unknown: frozenset[int]
    """The unresolved outages whose headline is not in Slack yet."""


class Pager:
    def __init__(self, db: Database, settings: Settings) -> None:
        self._db = db
        self._settings = settings

    async def tick(self) -> None:
        """For the scheduler: begin, go on with or end an episode, as Slack stands now."""
        if not self._settings.pages:
            return
        at = now()
        async with self._db.read() as tx:
            seen = await _look(tx)
        if seen.absence is None:
            if seen.episode is not None and not seen.behind:
                await self._end(seen.episode, at)
            return
        episode = seen.episode
        if episode is None and self._is_due(seen.absence, seen.unknown, at):
            async with self._db.transaction() as tx:
                episode = await paging.begin(tx, seen.absence.since, seen.absence.error, at)
        if episode is not None and _wants_page(episode, seen.unknown, at):
            await self._page(episode, seen.absence, at)

    async def current(self) -> Paging | None:
        """The episode that goes on, for status."""
        async with self._db.read() as tx:
            return await paging.current(tx)

    async def test(self) -> list[Result]:
        """Send a test page by every road. Raises BadInputError when there is none."""
        if not self._settings.pages:
            raise BadInputError(
                "There is no road to page by. Set HOLDFAST_PAGING_URLS, as Apprise takes them, or "
                "HOLDFAST_PAGING_EMAIL."
            )
        at = now()
        return await self._send(trial(socket.gethostname(), at), at)

    # An episode

    def _is_due(self, absence: Absence, unknown: frozenset[int], at: datetime) -> bool:
        after = timedelta(minutes=self._settings.paging_after)
        return at - absence.since >= (min(after, AT_ONCE) if unknown else after)

    async def _page(self, episode: Paging, absence: Absence, at: datetime) -> None:
        async with self._db.transaction() as tx:
            claimed = await paging.change(tx, episode, next_at=at + _UNDER_WAY)
            if claimed is None:
                return
            situation = await _situation(tx, absence, again=claimed.pages > 0, at=at)
        results = await self._send(compose(situation), at)
        async with self._db.transaction() as tx:
            if await paging.change(tx, claimed, **self._outcome(claimed, situation, results, now())) is None:
                return
            text = f"Paged while Slack is away: {_said(results)}."
            await timeline.record(tx, Entry("paging.paged", text, HOLDFAST.id, now()), post=False)

    def _outcome(
        self, episode: Paging, situation: Situation, results: Sequence[Result], at: datetime
    ) -> dict[str, Any]:
        """What is written down of a page: when one road took it, all is well."""
        now_so = {each.road: {"ok": each.said is None, "said": each.said, "at": at.isoformat()} for each in results}
        roads = {"roads": {**episode.roads, **now_so}, "error": situation.error}
        if all(each.said is not None for each in results):
            pause: timedelta = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(episode.attempts, 10))
            _log.error("nobody could be paged", roads=_said(results), again_at=(at + pause).isoformat())
            return roads | {"attempts": episode.attempts + 1, "next_at": at + pause}
        again = self._settings.paging_again_after
        told = {each.outage.id for each in situation.outages}
        return roads | {
            "attempts": 0,
            "pages": episode.pages + 1,
            "paged_at": episode.paged_at or at,
            "last_paged_at": at,
            "next_at": at + timedelta(minutes=again) if again else None,
            "outage_ids": sorted({*episode.outage_ids, *told}),
        }

    async def _end(self, episode: Paging, at: datetime) -> None:
        async with self._db.transaction() as tx:
            ended = await paging.change(tx, episode, ended_at=at, next_at=None)
            if ended is None:
                return
            text = (
                f"Slack took no messages from {moment(ended.began_at, at)} to {moment(at, at)}; the threads are "
                f"complete now. {_told(ended, at)}"
            )
            await timeline.record(tx, Entry("paging.ended", text, HOLDFAST.id, at))

    # The roads

    async def _send(self, page: Page, at: datetime) -> list[Result]:
        """All roads at once and each by itself: one that fails or hangs does not stop another."""
        page = Page(in_utc(page.title), in_utc(page.text))  # a telephone knows no markup of Slack's
        roads = await apprise.roads(self._settings.paging_urls)
        carriers = await self._carriers(at) if self._settings.paging_email else []
        ways = [_result(road.name, apprise.send(road, page.title, page.text)) for road in roads]
        ways += [
            _result(f"mail to {address}", self._mail(address, page, carriers, at))
            for address in self._settings.paging_email
        ]
        return list(await asyncio.gather(*ways))

    async def _mail(self, address: str, page: Page, carriers: Sequence[Carrier], at: datetime) -> str | None:
        """Through the first server that takes it. None when one did, else why the last did not."""
        sender = self._settings.notices.sender or f"Holdfast <holdfast@{self._settings.sending.helo_name}>"
        why = "no mail server is up"
        for carrier in carriers:
            try:
                endpoint = await asyncio.to_thread(endpoint_of, carrier, self._settings)
                said = await letter.deliver(endpoint, sender, address, page.title, page.text, at)
            except (OSError, ValueError) as error:
                said = str(error) or type(error).__name__
            if said is None:
                return None
            why = f"{carrier.name} did not take it: {said}"
        return why

    async def _carriers(self, at: datetime) -> list[Carrier]:
        """The servers that work, those first that are up and that no outage is open on."""
        async with self._db.read() as tx:
            known = await sending.carriers(tx, at)
            health = {each.id: each.health for each in await server_store.every(tx)}
            suspects = await server_store.open_outages(tx)
        usable = [carrier for carrier in known.values() if carrier.usable]
        return sorted(usable, key=lambda each: (each.id in suspects, health.get(each.id) != Health.UP, each.name))


async def problems(settings: Settings) -> list[str]:
    """What is wrong with the roads of the settings, each in a sentence; nothing is sent."""
    found = [
        f"HOLDFAST_PAGING_URLS: the URL number {number} is not one that Apprise understands."
        for number, road in enumerate(await apprise.roads(settings.paging_urls), 1)
        if not road.valid
    ]
    found += [
        f"HOLDFAST_PAGING_EMAIL: {address} is no address."
        for address in settings.paging_email
        if "@" not in parseaddr(address)[1].strip("@")
    ]
    return found


async def _result(road: str, way: Coroutine[Any, Any, str | None]) -> Result:
    return Result(road, await way)


async def _look(tx: Tx) -> _Seen:
    unresolved = {f"outage:{each.id}": each.id for each in await outages.unresolved(tx)}
    unposted = await posts.unposted(tx, unresolved)
    return _Seen(
        absence=await posts.absence(tx),
        episode=await paging.current(tx),
        behind=await paging.behind(tx),
        unknown=frozenset(unresolved[key] for key in unposted),
    )


def _wants_page(episode: Paging, unknown: frozenset[int], at: datetime) -> bool:
    """Its page, or its next try, is due; or an outage opened that no page told of."""
    if episode.next_at is not None and episode.next_at <= at:
        return True
    return episode.pages > 0 and not episode.attempts and not unknown <= set(episode.outage_ids)


async def _situation(tx: Tx, absence: Absence, *, again: bool, at: datetime) -> Situation:
    unresolved = await outages.unresolved(tx)
    names = await outages.server_names(tx, [each.id for each in unresolved])
    news = [await _news(tx, each, names) for each in unresolved]
    return Situation(
        away_since=absence.since,
        error=absence.error,
        waiting=(await posts.trouble(tx)).waiting,
        outages=tuple(news),
        host=socket.gethostname(),
        again=again,
        at=at,
    )


async def _news(tx: Tx, outage: Outage, names: Mapping[int, Sequence[str]]) -> OutageNews:
    return OutageNews(outage, tuple(names[outage.id]), len(await outages.held_by(tx, outage.id)))


def _said(results: Sequence[Result]) -> str:
    return "; ".join(f"{each.road}: {each.said or 'taken'}" for each in results) or "there is no road"


def _told(episode: Paging, at: datetime) -> str:
    """Who was paged in an episode, in a sentence."""
    took = [road for road, result in episode.roads.items() if result["ok"]]
    if episode.paged_at is None or not took:
        return "Nobody could be paged: run `holdfast check`."
    first = f"People were paged by {joined(took)} at {moment(episode.paged_at, at)}"
    if episode.pages == 1 or episode.last_paged_at is None:
        return f"{first}."
    return f"{first}, {episode.pages} times until {moment(episode.last_paged_at, at)}."
