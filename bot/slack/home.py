"""The home tabs: each is given anew when it is opened, and whenever what it shows has changed, while it is in use.

Slack says when somebody opens their tab, never when they leave it, and it keeps what it was given. So a tab that was
used lately is compared by its hash, and only what differs is published: https://docs.slack.dev/surfaces/app-home/
"""

import asyncio
import random
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.access import Actor
from bot.clock import now
from bot.services.bundle import Services
from bot.services.home_shapes import House
from bot.slack.answering import SLACK_ERRORS, reason
from bot.slack.blocks import Block, View
from bot.slack.pace import Pace
from bot.slack.posting import look
from bot.slack.setbacks import BLOCKS_REFUSED, TOKEN_REFUSED, Setback, judge
from bot.slack.views import home as views
from storage import homes
from storage.errors import StorageError
from storage.models import HomeTab

BURST = 10
PER_SECOND = 1.5
"""views.publish is in the tier of 100 calls a minute: https://docs.slack.dev/apis/web-api/rate-limits/"""
_SAID_MAX = 1_000
_VIEW_REFUSED = BLOCKS_REFUSED | {"invalid_arguments", "view_too_large"}
_FOR_ALL = TOKEN_REFUSED | {"missing_scope", "not_enabled"}
_log = structlog.get_logger(__name__)


def slacks_pace() -> Pace:
    return Pace(burst=BURST, per_second=PER_SECOND)


@dataclass(frozen=True)
class Timing:
    """How patient the home tabs are."""

    beat: timedelta = timedelta(seconds=5)
    """What other processes change wakes nobody here, so it is looked for this often."""
    gap: timedelta = timedelta(seconds=0.5)
    """Between two looks at everything, however much happens."""
    lately: timedelta = timedelta(days=7)
    """A tab that was opened longer ago is left as it is until it is opened again."""
    first_pause: timedelta = timedelta(seconds=1)
    longest_pause: timedelta = timedelta(seconds=30)
    refused_pause: timedelta = timedelta(minutes=10)
    """How long a person whose tab Slack does not take is left out, unless they open it again."""
    stop_within: timedelta = timedelta(seconds=5)


@dataclass(frozen=True)
class _Refused:
    """Slack does not take this person's tab: not before `until`, or before they use it again."""

    used_at: datetime
    until: float


@dataclass(frozen=True)
class _Due:
    """A tab and what it should show, drawn at `at`."""

    tab: HomeTab
    made: list[Block]
    look: str
    at: datetime


class HomeTabs:
    """`run` until it is cancelled. `client` must not retry by itself; a Slack that is away is waited for."""

    def __init__(
        self,
        services: Services,
        client: AsyncWebClient,
        *,
        timing: Timing | None = None,
        new_pace: Callable[[], Pace] = slacks_pace,
    ) -> None:
        self._services = services
        self._db = services.db
        self._client = client
        self._timing = timing or Timing()
        self._pace = new_pace()
        self._wake = asyncio.Event()
        self._publishing: dict[str, asyncio.Task[None]] = {}
        self._refused: dict[str, _Refused] = {}
        self._astray: set[str] = set()
        """Tabs that show something else than the database knows of."""
        self._drawing: HomeTab | None = None
        self._looked_at = 0.0
        self._failures = 0
        self._wait_until = 0.0

    def wake(self) -> None:
        """Something may have changed."""
        self._wake.set()

    def retry(self) -> None:
        """There is a new token: nobody needs to wait any longer."""
        self._wait_until, self._failures = 0.0, 0
        self._refused.clear()
        self.wake()

    async def run(self) -> None:
        """Until it is cancelled; then what is on its way may arrive. Outlives an absent Slack and a locked database."""
        try:
            while True:
                self._wake.clear()
                if not await self._guarded_step():
                    await self._rest()
        finally:
            await self._finish()

    async def _finish(self) -> None:
        running = list(self._publishing.values())
        if running:
            await asyncio.wait(running, timeout=self._timing.stop_within.total_seconds())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def say(self, place: Mapping[str, Any], view: View | None) -> bool:
        """The answer to a press in somebody's tab goes to its top; None: to say that it is done is enough.

        False, and a line in the log, when it could not be shown.
        """
        answer = view or views.done(place.get("label", "that"))
        user = str(place["user_id"])
        try:
            async with self._db.transaction() as tx:
                await homes.noted(tx, user, place.get("user_name") or user, now(), views.note(answer))
        except StorageError as error:
            _log.warning("an answer is shown in place of the home tab", user=user, error=str(error))
            return await self._say_bare(user, answer.text)
        self.wake()
        return True

    async def _say_bare(self, user: str, sentence: str) -> bool:
        """Without the database nothing can be drawn; the tab is given anew when it is back."""
        self._astray.add(user)
        try:
            await self._publish(user, views.bare(sentence), now())
        except SLACK_ERRORS as error:
            _log.warning("an answer could not be delivered", user=user, error=reason(error))
            return False
        return True

    # Which tab is next

    async def _guarded_step(self) -> bool:
        """True when there may be more to do at once."""
        try:
            return await self._step()
        except StorageError as error:
            _log.warning("the home tabs cannot read the database", error=str(error))
        except Exception:  # noqa: BLE001  the edge of the process: a tab that cannot be drawn must not end the bot
            _log.exception("a home tab cannot be drawn", id=secrets.token_hex(2))
            if self._drawing is not None:
                self._leave_out(self._drawing)
        return False

    async def _step(self) -> bool:
        due = await self._due()
        if not due:
            return False
        asked = _moment()
        await self._pace.turn()
        if _moment() - asked > self._timing.gap.total_seconds():
            due = await self._due()  # whoever pressed something meanwhile comes first
        if due:
            self._start(due[0])
        return bool(due)

    async def _due(self) -> list[_Due]:
        """The tabs that do not show what they should, those that were used last first."""
        self._looked_at = _moment()
        if self._looked_at < self._wait_until:
            return []
        async with self._db.read() as tx:
            used = await homes.used_since(tx, now() - self._timing.lately)
        free = [tab for tab in used if tab.user_id not in self._publishing and not self._is_left_out(tab)]
        if not free:
            return []
        house = await self._services.home.house()
        drawn = [self._draw(tab, house) for tab in free]
        return [each for each in drawn if each.look != each.tab.shown or each.tab.user_id in self._astray]

    def _draw(self, tab: HomeTab, house: House) -> _Due:
        self._drawing = tab
        actor = Actor(id=tab.user_id, name=tab.name, outsider=tab.outsider)
        made = views.tab(self._services.home.seen_by(actor, house, tab))
        self._drawing = None
        return _Due(tab, made, look(View("", made)), house.at)

    def _is_left_out(self, tab: HomeTab) -> bool:
        refused = self._refused.get(tab.user_id)
        return refused is not None and tab.used_at <= refused.used_at and _moment() < refused.until

    def _leave_out(self, tab: HomeTab) -> None:
        self._refused[tab.user_id] = _Refused(tab.used_at, _moment() + self._timing.refused_pause.total_seconds())

    async def _rest(self) -> None:
        """Until something happens, or the beat; never so short that a busy day makes us look all the time."""
        beat = self._timing.beat.total_seconds()
        waits = self._wait_until - _moment()
        try:
            async with asyncio.timeout(min(beat, waits) if waits > 0 else beat):
                await self._wake.wait()
        except TimeoutError:
            return
        early = self._looked_at + self._timing.gap.total_seconds() - _moment()
        if early > 0:
            await asyncio.sleep(early)

    # Giving it to Slack

    def _start(self, due: _Due) -> None:
        user = due.tab.user_id
        task = asyncio.create_task(self._show(due))
        self._publishing[user] = task
        task.add_done_callback(lambda _: self._done(user))

    def _done(self, user: str) -> None:
        del self._publishing[user]
        self._wake.set()  # more may have changed while it was on its way

    async def _show(self, due: _Due) -> None:
        """Until Slack has said that it took it, nobody knows what the tab shows, nor does the next start."""
        user = due.tab.user_id
        try:
            await self._keep(user, None)
            await self._publish_or_bare(user, due)
            await self._keep(user, due.look)
        except SLACK_ERRORS as error:
            self._put_off(due.tab, judge(error, "", self._services.settings.install_url))
        except StorageError as error:
            _log.warning("a home tab has to wait for the database", user=user, error=str(error))
        else:
            self._astray.discard(user)
            self._refused.pop(user, None)
            self._failures, self._wait_until = 0, 0.0

    async def _keep(self, user: str, shown: str | None) -> None:
        async with self._db.transaction() as tx:
            await homes.shows(tx, user, shown)

    async def _publish_or_bare(self, user: str, due: _Due) -> None:
        """What Slack refuses to show as it was drawn is at least not left as it was."""
        try:
            await self._publish(user, due.made, due.at)
        except SlackApiError as error:
            if reason(error) not in _VIEW_REFUSED:
                raise
            said = str(error.response.data)[:_SAID_MAX]
        else:
            return
        _log.error("Slack refuses how a home tab is drawn", user=user, said=said)
        await self._publish(user, views.bare("This tab cannot be drawn. Holdfast's log has the reason."), due.at)

    async def _publish(self, user: str, made: list[Block], at: datetime) -> None:
        await self._client.views_publish(user_id=user, view=views.payload(made, at))

    def _put_off(self, tab: HomeTab, setback: Setback) -> None:
        """What would befall everybody makes everybody wait; what is about one person only that one."""
        if setback.wait is not None:
            self._pace.refused(setback.wait)
        elif setback.is_away or setback.code in _FOR_ALL:
            first, longest = self._timing.first_pause, self._timing.longest_pause
            pause = min(longest, first * 2 ** min(self._failures, 16)).total_seconds() * random.uniform(0.8, 1.2)
            if self._failures == 0:
                _log.warning("the home tabs have to wait", code=setback.code, error=setback.sentence)
            self._failures += 1
            self._wait_until = _moment() + pause
        else:
            _log.warning("a home tab is left out", user=tab.user_id, code=setback.code, error=setback.sentence)
            self._leave_out(tab)


def _moment() -> float:
    return asyncio.get_running_loop().time()
