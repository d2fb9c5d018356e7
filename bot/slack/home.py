"""The home tabs: each is given anew when it is opened, and whenever what it shows has changed, while it is in use.

Slack says when somebody opens their tab, never when they leave it, and it keeps what it was given. So a tab that was
used lately is compared by its hash, and only what differs is published: https://docs.slack.dev/surfaces/app-home/
"""

import asyncio
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from slack_sdk.errors import SlackApiError

from bot.access import Actor
from bot.clock import now
from bot.services.bundle import Services
from bot.services.home_shapes import House
from bot.slack.answering import SLACK_ERRORS, reason
from bot.slack.blocks import Block, View
from bot.slack.groups import UserGroups
from bot.slack.home_road import Roads, Timing, moment, slacks_pace
from bot.slack.pace import Pace
from bot.slack.posting import look
from bot.slack.setbacks import BLOCKS_REFUSED, judge
from bot.slack.views import home as views
from bot.slack.workspaces import Workspaces
from storage import homes
from storage.errors import StorageError
from storage.models import HomeTab

_SAID_MAX = 1_000
_VIEW_REFUSED = BLOCKS_REFUSED | {"invalid_arguments", "view_too_large"}
_log = structlog.get_logger(__name__)


Key = tuple[str, str]
"""Whose tab, by the ids of the workspace and of the person."""


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
    """`run` until it is cancelled. A Slack that is away is waited for. `groups` are those that the edge asks, so that
    Slack is asked once for both.
    """

    def __init__(
        self,
        services: Services,
        workspaces: Workspaces,
        groups: UserGroups,
        *,
        timing: Timing | None = None,
        new_pace: Callable[[], Pace] = slacks_pace,
    ) -> None:
        self._services = services
        self._db = services.db
        self._workspaces = workspaces
        self._groups = groups
        self._timing = timing or Timing()
        self._roads = Roads(self._timing, new_pace)
        self._wake = asyncio.Event()
        self._publishing: dict[Key, asyncio.Task[None]] = {}
        self._refused: dict[Key, _Refused] = {}
        self._astray: set[Key] = set()
        """Tabs that show something else than the database knows of."""
        self._drawing: HomeTab | None = None
        self._looked_at = 0.0
        self._look_again_in = 0.0
        """Seconds until a road opens to a tab that is due; 0 while none is."""

    def wake(self) -> None:
        """Something may have changed."""
        self._wake.set()

    def retry(self) -> None:
        """There is a new token, or a new workspace: nobody needs to wait any longer."""
        self._roads.open_all()
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
        team, user = str(place.get("workspace_id") or place.get("team_id") or ""), str(place["user_id"])
        try:
            async with self._db.transaction() as tx:
                await homes.noted(tx, team, user, place.get("user_name") or user, now(), views.note(answer))
        except StorageError as error:
            _log.warning("an answer is shown in place of the home tab", user=user, error=str(error))
            return await self._say_bare((team, user), answer.text)
        self.wake()
        return True

    async def _say_bare(self, key: Key, sentence: str) -> bool:
        """Without the database nothing can be drawn; the tab is given anew when it is back."""
        self._astray.add(key)
        try:
            await self._publish(key, views.bare(sentence), now())
        except SLACK_ERRORS as error:
            _log.warning("an answer could not be delivered", user=key[1], error=reason(error))
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
        """Publish in each workspace, if its road is open, the tab that is first there."""
        first: dict[str, _Due] = {}
        for each in await self._due():
            first.setdefault(each.tab.team_id, each)
        waits = [self._roads.to(team).opens_in() for team in first]
        open_now = [due for due, wait in zip(first.values(), waits, strict=True) if wait <= 0]
        for due in open_now:
            await self._roads.to(due.tab.team_id).turn()
            self._start(due)
        self._look_again_in = min((wait for wait in waits if wait > 0), default=0.0)
        return bool(open_now)

    async def _due(self) -> list[_Due]:
        """The tabs that do not show what they should, those that were used last first."""
        self._looked_at = moment()
        on_their_way = frozenset(self._publishing)  # may arrive during the look, which still says that they have not
        async with self._db.read() as tx:
            used = await homes.used_since(tx, now() - self._timing.lately)
        free = [tab for tab in used if _key(tab) not in on_their_way and self._is_free(tab)]
        if not free:
            return []
        await self._learn_roles()
        house = await self._services.home.house()
        drawn = [self._draw(tab, house) for tab in free]
        return [each for each in drawn if each.look != each.tab.shown or _key(each.tab) in self._astray]

    def _is_free(self, tab: HomeTab) -> bool:
        """It can be published: Holdfast is installed there, and Slack answers."""
        installed = self._workspaces.quiet_of(tab.team_id) is not None
        return installed and not self._roads.to(tab.team_id).is_shut and not self._is_left_out(tab)

    async def _learn_roles(self) -> None:
        """Buttons are for those who may press them now, whoever changed that and wherever."""
        await self._groups.refresh()
        await self._services.break_glass.refresh()

    def _draw(self, tab: HomeTab, house: House) -> _Due:
        self._drawing = tab
        actor = Actor(id=tab.user_id, name=tab.name, outsider=tab.outsider)
        made = views.tab(self._services.home.seen_by(actor, house, tab))
        self._drawing = None
        return _Due(tab, made, look(View("", made)), house.at)

    def _is_left_out(self, tab: HomeTab) -> bool:
        refused = self._refused.get(_key(tab))
        return refused is not None and tab.used_at <= refused.used_at and moment() < refused.until

    def _leave_out(self, tab: HomeTab) -> None:
        self._refused[_key(tab)] = _Refused(tab.used_at, moment() + self._timing.refused_pause.total_seconds())

    async def _rest(self) -> None:
        """Until something happens, or the beat; never so short that a busy day makes us look all the time."""
        waits = [wait for wait in (self._look_again_in, self._roads.reopen_in()) if wait > 0]
        try:
            async with asyncio.timeout(min([self._timing.beat.total_seconds(), *waits])):
                await self._wake.wait()
        except TimeoutError:
            return
        early = self._looked_at + self._timing.gap.total_seconds() - moment()
        if early > 0:
            await asyncio.sleep(early)

    # Giving it to Slack

    def _start(self, due: _Due) -> None:
        key = _key(due.tab)
        task = asyncio.create_task(self._show(due))
        self._publishing[key] = task
        task.add_done_callback(lambda _: self._done(key))

    def _done(self, key: Key) -> None:
        del self._publishing[key]
        self._wake.set()  # more may have changed while it was on its way

    async def _show(self, due: _Due) -> None:
        """Until Slack has said that it took it, nobody knows what the tab shows, nor does the next start."""
        key = _key(due.tab)
        try:
            await self._keep(key, None)
            await self._publish_or_bare(key, due)
            await self._keep(key, due.look)
        except SLACK_ERRORS as error:
            self._put_off(due.tab, error)
        except StorageError as error:
            _log.warning("a home tab has to wait for the database", user=due.tab.user_id, error=str(error))
        else:
            self._astray.discard(key)
            self._refused.pop(key, None)
            self._roads.to(due.tab.team_id).arrived()

    async def _keep(self, key: Key, shown: str | None) -> None:
        async with self._db.transaction() as tx:
            await homes.shows(tx, *key, shown)

    async def _publish_or_bare(self, key: Key, due: _Due) -> None:
        """What Slack refuses to show as it was drawn is at least not left as it was."""
        try:
            await self._publish(key, due.made, due.at)
        except SlackApiError as error:
            if reason(error) not in _VIEW_REFUSED:
                raise
            said = str(error.response.data)[:_SAID_MAX]
        else:
            return
        _log.error("Slack refuses how a home tab is drawn", user=key[1], said=said)
        await self._publish(key, views.bare("This tab cannot be drawn. Holdfast's log has the reason."), due.at)

    async def _publish(self, key: Key, made: list[Block], at: datetime) -> None:
        """Where Holdfast was removed meanwhile there is no tab any more."""
        team, user = key
        client = self._workspaces.quiet_of(team)
        if client is not None:
            await client.views_publish(user_id=user, view=views.payload(made, at))

    def _put_off(self, tab: HomeTab, error: BaseException) -> None:
        """What would befall everybody of a workspace makes them wait; what is about one person only that one."""
        setback = judge(error, "", self._services.settings.install_url)
        if not self._roads.to(tab.team_id).is_shut_by(setback):
            _log.warning("a home tab is left out", user=tab.user_id, code=setback.code, error=setback.sentence)
            self._leave_out(tab)


def _key(tab: HomeTab) -> Key:
    return tab.team_id, tab.user_id
