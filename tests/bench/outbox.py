"""From the timeline to Slack on a bad day: 1,000 entries in 20 threads, one channel, the real announcer and SDK.

The rate limit is Slack's, about one message a second a channel in bursts of five, with every duration divided by
`SPEED`: 5 messages a second, and a 429 that asks for 1/5 s where Slack asks for 1 s. The announcer's own durations are
divided in the same way. On top of that limit the fake answers 429 to a third of the posts at random, and cuts the
connection after a tenth of those that it takes.

Entries that wait in the same thread are joined into one message, so the counts are of entries: each that was written
must stand in exactly one message's metadata and in its text, and their order is looked at across and inside messages.

`ratio` is the time from the start until the last message is known to be there, to the time that the rate limit alone
needs for as many messages as were posted: (messages - burst) / rate. `entries_a_message` says what joining saves.
"""

import asyncio
import itertools
import random
import re
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientTimeout
from slack_sdk.web.async_client import AsyncWebClient

from bot import logs
from bot.clock import now
from bot.demo.fakeslack import Channel, FakeSlack, Message
from bot.demo.fakeslack.faults import BURST, PER_SECOND, Fault, Faults
from bot.services.bundle import Services, build
from bot.slack import pace
from bot.slack.announcer import Announcer, Renderer, Timing
from bot.slack.blocks import View, section
from bot.slack.cards import CARDS
from bot.slack.pace import Pace
from storage import posts, timeline
from storage.db import Database
from storage.timeline import Entry
from tests.seeds import settings_for

ENTRIES = 1_000
THREADS = 20
SPEED = 5
_PATIENCE = 300  # seconds; far more than it may take
_SEED = 20261124


class BadDay(Faults):
    """A rate limit, and posts that are refused or lose their answer at random, though the same at every run."""

    def __init__(self) -> None:
        super().__init__(burst=BURST, per_second=PER_SECOND * SPEED)
        self.posts = 0
        self.refused = 0
        self.cut = 0
        self._random = random.Random(_SEED)

    def take(self, method: str) -> Fault | None:
        if method != "chat.postMessage":
            return super().take(method)
        self.posts += 1
        if self._random.random() < 1 / 3:
            self.refused += 1
            return Fault(method, 1, status=429, retry_after=1 / SPEED)
        if self._random.random() < 1 / 10:
            self.cut += 1
            return Fault(method, 1, accept_then_cut=True)
        return None


async def run() -> dict[str, Any]:
    """Counts of messages; times in seconds."""
    day = BadDay()
    with tempfile.TemporaryDirectory() as name:
        settings = settings_for(
            f"sqlite:///{Path(name) / 'bench.db'}", Path(name), channel="email-ops", log_level="error"
        )
        logs.configure(settings)  # each refusal is a warning, and there are hundreds
        db = Database(settings.database)
        await db.migrate()
        await _write(db)
        async with FakeSlack(faults=day) as slack:
            slack.enforce_rate_limit = True
            ops = slack.add_channel("email-ops")
            began = time.perf_counter()
            async with _announcing(build(db, settings), slack):
                await _all_posted(db)
                seconds = time.perf_counter() - began
            slack.assert_no_violations()
            figures = _counted(ops)
        await db.close()
    messages = len(ops.all_messages)
    alone = (messages - BURST) / (PER_SECOND * SPEED)
    return {
        **figures,
        "messages": messages,
        "entries_a_message": round(ENTRIES / (messages - THREADS), 1),
        "ratio": round(seconds / alone, 3),
        "seconds": round(seconds, 2),
        "seconds_of_the_limit_alone": round(alone, 2),
        "posts": day.posts,
        "refused": day.refused,
        "cut": day.cut,
    }


async def _write(db: Database) -> None:
    """Twenty outages at once: the entries come in turn, as from many hands."""
    async with db.transaction() as tx:
        for thread in range(THREADS):
            await timeline.ensure_post(tx, f"outage:{thread}", now())
        for number in range(ENTRIES):
            entry = Entry("campaign.paused", f"step {number}", "U1", now())
            await timeline.record(tx, entry, parent=f"outage:{number % THREADS}")


@asynccontextmanager
async def _announcing(services: Services, slack: FakeSlack) -> AsyncIterator[None]:
    async with ClientSession(timeout=ClientTimeout(total=5)) as session:
        client = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url, session=session, retry_handlers=[])
        announcer = Announcer(services, client, _renderers(), timing=_timing(), new_pace=_pace)
        running = asyncio.create_task(announcer.run())
        try:
            yield
        finally:
            announcer.stop()
            await running


def _pace() -> Pace:
    return Pace(burst=pace.BURST, per_second=pace.PER_SECOND * SPEED)


def _timing() -> Timing:
    real = Timing()
    return Timing(
        poll=real.poll / SPEED,
        live=real.live / SPEED,
        first_pause=real.first_pause / SPEED,
        longest_pause=real.longest_pause / SPEED,
        stop_within=timedelta(seconds=5),
    )


def _renderers() -> Mapping[str, Renderer]:
    async def headline(_: Services, number: int) -> View:
        return View(f"outage {number}", [section(f"outage {number}")])

    return {"outage": headline, "timeline": CARDS["timeline"]}


async def _all_posted(db: Database) -> None:
    async with asyncio.timeout(_PATIENCE):
        while True:
            async with db.read() as tx:
                if (await posts.trouble(tx)).waiting == 0:
                    return
            await asyncio.sleep(0.05)


def _counted(ops: Channel) -> dict[str, int]:
    """What people find in the channel, beside what was written: each entry once, in its thread, in order."""
    keys = Counter(key for each in ops.all_messages for key in _keys(each))
    wanted = ENTRIES + THREADS
    threads = {_keys(head)[0]: [step for reply in head.thread for step in _steps(reply)] for head in ops.messages}
    shown = Counter(step for steps in threads.values() for step in steps)
    astray = sum(f"outage:{step % THREADS}" != head for head, steps in threads.items() for step in steps)
    behind = sum(later < earlier for steps in threads.values() for earlier, later in itertools.pairwise(steps))
    return {
        # By what the metadata says, and by what people read: whichever is worse.
        "lost": max(wanted - len(keys), ENTRIES - len(shown)),
        "duplicates": max(keys.total() - len(keys), shown.total() - len(shown)),
        "out_of_order": behind + astray,
    }


def _keys(message: Message) -> list[str]:
    assert message.metadata is not None
    payload = message.metadata["event_payload"]
    return str(payload.get("keys", payload["key"])).split()


def _steps(reply: Message) -> list[int]:
    """The entries that people read in a message, in order."""
    return [int(step) for step in re.findall(r"\bstep (\d+)", reply.blocks[0]["text"]["text"])]
