"""From the table `posts` to Slack: every message that should exist does, in order within its thread, once.

The services write what should be seen in the transaction of what happened; this loop makes it so, however long
Slack is away. A message is looked for before it is posted again whenever it may have been taken.
"""

import asyncio
import random
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import structlog
from slack_sdk.web.async_client import AsyncWebClient

from bot.clock import now
from bot.errors import NotFoundError
from bot.services.bundle import Services
from bot.slack import bursts
from bot.slack.answering import SLACK_ERRORS, reason
from bot.slack.blocks import View
from bot.slack.channel import ChannelError, HomeChannel
from bot.slack.pace import Pace
from bot.slack.posting import Found, Place, Poster, look
from bot.slack.setbacks import AWAY, CHANNEL_WRONG, MESSAGE_GONE, THREAD_GONE, Setback, judge
from storage import posts
from storage.db import Tx
from storage.errors import StorageError
from storage.models import Post

Renderer = Callable[[Services, int], Awaitable[View | None]]
"""Draws the card `kind:id` from the present state; None, or NotFoundError, when what it showed is gone."""

_log = structlog.get_logger(__name__)
_GONE = "gone"


@dataclass(frozen=True)
class Timing:
    """How patient the announcer is."""

    poll: timedelta = timedelta(seconds=0.5)
    """The other processes cannot wake it, so it looks this often."""
    live: timedelta = timedelta(seconds=3)
    """How often the cards of what is under way are drawn anew."""
    first_pause: timedelta = timedelta(seconds=1)
    longest_pause: timedelta = timedelta(seconds=30)
    stop_within: timedelta = timedelta(seconds=10)


class Announcer:
    """`run` until `stop`. Only one may run over a database: bot/app.py holds the lock for that."""

    def __init__(
        self,
        services: Services,
        client: AsyncWebClient,
        renderers: Mapping[str, Renderer],
        *,
        timing: Timing | None = None,
        new_pace: Callable[[], Pace] = Pace,
    ) -> None:
        self.channel = HomeChannel(client, services.settings.channel)
        self._services = services
        self._db = services.db
        self._renderers = renderers
        self._timing = timing or Timing()
        self._poster = Poster(client, new_pace)
        self._wake = asyncio.Event()
        self._stopping = False
        self._threads: dict[str, asyncio.Task[None]] = {}
        self._next_live = 0.0
        self._away = False

    def wake(self) -> None:
        """Something new is to be posted."""
        self._wake.set()

    async def retry(self) -> None:
        """There is a new token: what waits need not wait any longer."""
        self.channel.forget()
        try:
            async with self._db.transaction() as tx:
                await posts.hurry_all(tx)
        except StorageError as error:  # then it is posted after its pause
            _log.warning("what waits cannot be hurried", error=str(error))
        self.wake()

    async def run(self) -> None:
        """Returns after `stop`. Outlives an absent Slack and a locked database."""
        while not self._stopping:
            self._wake.clear()
            try:
                await self._look()
            except StorageError as error:
                _log.warning("the announcer cannot read the database", error=str(error))
            try:
                async with asyncio.timeout(self._timing.poll.total_seconds()):
                    await self._wake.wait()
            except TimeoutError:
                continue
        await self._finish()

    def stop(self) -> None:
        """Begin nothing more; `run` returns when what is on its way to Slack has arrived."""
        self._stopping = True
        self._wake.set()

    async def _finish(self) -> None:
        running = list(self._threads.values())
        if running:
            await asyncio.wait(running, timeout=self._timing.stop_within.total_seconds())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _look(self) -> None:
        """Start a task for each thread that has something to show."""
        refresh: dict[str, list[Post]] = {}
        async with self._db.read() as tx:
            threads = await posts.threads_due(tx, now())
            if self._is_time_for_live():
                for post in await posts.live(tx):
                    refresh.setdefault(post.parent_key or post.key, []).append(post)
        for thread in {*threads, *refresh}.difference(self._threads):
            task = asyncio.create_task(self._work(thread, refresh.get(thread, [])))
            self._threads[thread] = task
            task.add_done_callback(partial(self._done, thread))

    def _done(self, thread: str, _: asyncio.Task[None]) -> None:
        del self._threads[thread]

    def _is_time_for_live(self) -> bool:
        moment = asyncio.get_running_loop().time()
        if moment < self._next_live:
            return False
        self._next_live = moment + self._timing.live.total_seconds()
        return True

    async def _work(self, thread: str, refresh: list[Post]) -> None:
        try:
            await self._show_all(thread, refresh)
        except StorageError as error:
            _log.warning("the announcer cannot read the database", thread=thread, error=str(error))

    async def _show_all(self, thread: str, refresh: list[Post]) -> None:
        """Show what one thread waits for, in order. Between two replies the newest state of its head."""
        previous = ""
        while not self._stopping:
            async with self._db.read() as tx:
                post = await posts.next_of(tx, thread, now(), after=previous)
            if post is None:
                break
            if not await self._show(post):
                return
            previous = post.key
        for stale in refresh:
            async with self._db.read() as tx:
                post = await posts.get(tx, stale.key)
            if post is not None and not self._stopping:
                await self._show(post)

    async def _show(self, post: Post) -> bool:
        """Bring one message to what it should be. False when its thread has to wait."""
        try:
            return await (self._first(post) if post.ts is None else self._edit(post, post.channel or "", post.ts))
        except SLACK_ERRORS as error:
            return await self._put_off(post, self._judge(error))
        except ChannelError as error:
            return await self._put_off(post, Setback("channel", str(error), refused=True))
        except StorageError as error:
            _log.warning("a post has to wait for the database", key=post.key, error=str(error))
            return False
        except Exception:  # noqa: BLE001  the edge of the process: one broken card must not silence the others
            identity = secrets.token_hex(2)
            _log.exception("a message cannot be drawn", key=post.key, id=identity)
            sentence = f"This message cannot be drawn; the log has the reason under the id {identity}."
            return await self._put_off(post, Setback("broken", sentence, refused=True))

    # A message that is not there yet

    async def _first(self, post: Post) -> bool:
        place = await self._place(post)
        if place is None:
            return False
        found = await self._found(post, place) if post.attempted_at else None
        if found is not None:
            _log.info("a message had been taken after all", key=post.key)
            await self._was_posted(post, place, found)
        else:
            await self._poster.posts[place.channel].turn()
            view = await self._draw(post.key)  # the newest state, if the turn was long in coming
            if view is None:
                await self._settle(post, _GONE)
                return True
            await self._post(post, place, *await bursts.gather(self._db, post, view))
        await self._back()
        return True

    async def _post(self, post: Post, place: Place, view: View, joined: Sequence[Post]) -> None:
        async with self._db.transaction() as tx:
            await posts.attempt(tx, post.id, now())
        keys = [post.key, *(each.key for each in joined)]
        ts = await self._poster.post(place, keys, view, broadcast=post.broadcast)
        async with self._db.transaction() as tx:
            await posts.posted(tx, post.id, channel=place.channel, ts=ts, at=now())
            await posts.shown(tx, post.id, version=post.wanted, look=look(view))
            shows = {each.key: each.wanted for each in joined}
            await posts.join(tx, post.key, shows, channel=place.channel, ts=ts, at=now())

    async def _was_posted(self, post: Post, place: Place, found: Found) -> None:
        """What it shows is not known: the next look edits it to the present state."""
        async with self._db.transaction() as tx:
            await posts.posted(tx, post.id, channel=place.channel, ts=found.ts, at=now())
            shows = await posts.versions(tx, found.keys[1:])
            await posts.join(tx, post.key, shows, channel=place.channel, ts=found.ts, at=now())

    async def _place(self, post: Post) -> Place | None:
        """None while the message that it answers is not there."""
        if post.parent_key is None:
            return Place(await self.channel.id())
        async with self._db.read() as tx:
            head = await posts.head(tx, post.parent_key)
        if head is None:  # nobody announced its head: better in the channel than nowhere
            return Place(await self.channel.id())
        if head.ts is None or head.channel is None:
            return None
        return Place(head.channel, head.ts)

    async def _found(self, post: Post, place: Place) -> Found | None:
        try:
            return await self._poster.find(place, post.key, post.attempted_at or now())
        except SLACK_ERRORS as error:
            if reason(error) != "missing_scope":
                raise
            # An alert that comes twice is better than one that never comes.
            _log.warning("cannot look for a message: add the scopes channels:history and groups:history", key=post.key)
            return None

    # A message that is there

    async def _edit(self, post: Post, channel: str, ts: str) -> bool:
        if post.joined_into is not None:
            async with self._db.transaction() as tx:
                await posts.pass_on(tx, post)
            return True
        view = await self._draw_whole(post)
        if view is not None and look(view) != post.shown:
            await self._poster.edits[channel].turn()
            view = await self._draw_whole(post)  # the newest state, if the turn was long in coming
        if view is None or look(view) == post.shown:
            await self._settle(post, post.shown or _GONE)
            return True
        await self._poster.edit(channel, ts, post.key, view)
        await self._settle(post, look(view))
        await self._back()
        return True

    async def _draw(self, key: str) -> View | None:
        kind, _, identity = key.partition(":")
        try:
            return await self._renderers[kind](self._services, int(identity))
        except NotFoundError:
            return None

    async def _draw_whole(self, post: Post) -> View | None:
        """The message that is there for it, with whatever joined it."""
        view = await self._draw(post.key)
        return await bursts.redraw(self._db, post, view) if view is not None else None

    async def _settle(self, post: Post, shown: str) -> None:
        if post.posted < post.wanted or post.shown != shown:
            async with self._db.transaction() as tx:
                await posts.shown(tx, post.id, version=post.wanted, look=shown)

    # When it does not work

    def _judge(self, error: BaseException) -> Setback:
        return judge(error, self.channel.setting, self._services.settings.install_url)

    async def _put_off(self, post: Post, setback: Setback) -> bool:
        """Keep the post waiting, with its reason. True where the thread can go on at once: a message is lost."""
        if setback.code in CHANNEL_WRONG:
            self.channel.forget()
        self._away = self._away or setback.is_away
        if post.error != setback.sentence:
            _log.warning("a message waits", key=post.key, error=setback.sentence, code=setback.code)
        at = now()
        next_at = at + (setback.wait or self._pause(post.attempts))
        try:
            async with self._db.transaction() as tx:
                if await self._mend(tx, post, setback):
                    return True
                await posts.failed(
                    tx,
                    post.id,
                    error=setback.sentence,
                    code=setback.code,
                    at=at,
                    next_at=next_at,
                    refused=setback.refused,
                )
        except StorageError as error:
            _log.warning("a setback could not be stored", key=post.key, error=str(error))
        return False

    async def _mend(self, tx: Tx, post: Post, setback: Setback) -> bool:
        """Somebody deleted the message, or the head of its thread: post that again."""
        gone: str | None = None
        if post.ts is not None and setback.code in MESSAGE_GONE:
            gone = post.key
        elif post.parent_key is not None and setback.code in THREAD_GONE:
            head = await posts.head(tx, post.parent_key)
            gone = head.key if head else None
        if gone is None:
            return False
        _log.info("a message is gone from Slack and posted again", key=gone)
        await posts.lost(tx, gone)
        return True

    def _pause(self, attempts: int) -> timedelta:
        longest, first = self._timing.longest_pause, self._timing.first_pause
        pause: timedelta = min(longest, first * 2 ** min(attempts, 16))
        return pause * random.uniform(0.8, 1.2)

    async def _back(self) -> None:
        """After a success: what waits only because Slack was away need not wait any longer."""
        if self._away:
            self._away = False
            async with self._db.transaction() as tx:
                await posts.hurry(tx, [AWAY])
            self._wake.set()
