"""While Slack takes nothing people are paged by other roads, once, and the channel is told when it is over."""

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
import time_machine
from aiohttp import web
from sqlalchemy import select, update

from bot import logs
from bot.clock import now
from bot.config import Settings
from bot.demo.fakeslack import Channel, FakeSlack
from bot.demo.relays import refuse
from bot.services.bundle import build
from bot.services.paging import Pager
from bot.services.paging_check import check_paging, outcome_of
from bot.slack.cards import CARDS
from storage import posts, timeline
from storage.db import Database
from storage.models import Health, Paging, Post, Server
from storage.timeline import Entry
from tests.command_world import World, command_world
from tests.integration.slack_support import announcing
from tests.integration.test_announcer_posts_in_order import nothing_waits
from tests.integration.test_announcer_survives_slack import error_saying
from tests.seeds import settings_for


@dataclass
class Receiver:
    """A service that takes what Apprise sends it as JSON, or refuses it."""

    url: str = ""
    status: int = 200
    pages: list[dict[str, Any]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        if self.status == 200:
            self.pages.append(await request.json())
        return web.Response(status=self.status)


@pytest.fixture
async def phone() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    application = web.Application()
    application.router.add_post("/sesame-7", receiver.take)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"json://127.0.0.1:{runner.addresses[0][1]}/sesame-7"
    yield receiver
    await runner.cleanup()


@dataclass
class Night:
    """Services that page, a Slack that can be down, and its channel."""

    world: World
    slack: FakeSlack
    ops: Channel

    @property
    def pager(self) -> Pager:
        """A new one each time, as after a restart: what it knows stands in the database."""
        return build(self.world.db, self.world.services.settings).pager

    async def say(self, text: str) -> None:
        async with self.world.db.transaction() as tx:
            await timeline.record(tx, Entry("server.drained", text, "U1", now()))

    @asynccontextmanager
    async def posting(self) -> AsyncIterator[None]:
        async with announcing(self.world.services, self.slack, CARDS):
            yield

    async def try_in_vain(self, words: str = "cannot be reached") -> None:
        """The announcer runs until Slack has refused something."""
        async with self.posting():
            await error_saying(self.world.db, words)

    async def after(self, minutes: float) -> None:
        """Holdfast looks so many minutes from now, twice: the second look finds it done."""
        with time_machine.travel(now() + timedelta(minutes=minutes)):
            await self.pager.tick()
            await self.pager.tick()

    async def episodes(self) -> list[Paging]:
        async with self.world.db.read() as tx:
            return list(await tx.scalars(select(Paging).order_by(Paging.id)))


@asynccontextmanager
async def night(db: Database, folder: Path, **settings: object) -> AsyncIterator[Night]:
    async with command_world(db, folder, channel="email-ops", **settings) as world, FakeSlack() as slack:
        ops = slack.add_channel("email-ops")
        yield Night(world, slack, ops)
        assert slack.violations == []


async def test_people_are_paged_once_and_told_in_the_channel_when_it_is_over(
    db: Database, tmp_path: Path, phone: Receiver
) -> None:
    async with night(db, tmp_path, paging_urls=[phone.url]) as here:
        await here.world.campaign()
        here.slack.down()
        await here.world.type("/outage declare primary customers miss their mail")
        await here.try_in_vain()
        await here.after(0.5)
        assert phone.pages == []
        await here.after(6)
        [page] = phone.pages
        assert page["title"] == "Holdfast: outage on primary, and Slack is away"
        for words in (
            "Slack has taken no message for 6 min",
            "Slack cannot be reached",
            "Outage #1 (major) on primary",
            "NOBODY HAS IT YET. 1 campaign held.",
            "wait for Slack; none is lost.",
            'holdfast do "/outage ack #1"',
            'holdfast do "/outage status #1"',
        ):
            assert words in page["message"]
        await here.after(30)
        assert len(phone.pages) == 1
        status = await here.world.type("/holdfast status")
        assert "People were paged by JSON" in status
        assert "messages for Slack have waited since" in status

        here.slack.up()
        async with here.posting():
            await nothing_waits(db)
            await here.after(31)
            told = await here.slack.wait_for_message(here.ops, "Slack took no messages from")
        assert "the threads are complete now. People were paged by JSON at" in told.text
        assert here.ops.messages[0].thread
        [episode] = await here.episodes()
        assert episode.ended_at is not None
        await here.after(60)
        assert len(phone.pages) == 1


async def test_a_new_outage_in_the_absence_is_paged_at_once_and_a_long_one_again(
    db: Database, tmp_path: Path, phone: Receiver
) -> None:
    async with night(db, tmp_path, paging_urls=[phone.url], paging_again_after=60) as here:
        here.slack.down()
        await here.say("maria drains primary")
        await here.try_in_vain()
        await here.after(6)
        assert "No outage is open." in phone.pages[0]["message"]
        assert 'holdfast do "/holdfast status"' in phone.pages[0]["message"]
        await here.world.type("/outage declare primary customers miss their mail")
        await here.after(7)
        assert len(phone.pages) == 2
        assert phone.pages[1]["title"] == "Holdfast: outage on primary, and Slack is still away"
        await here.after(66)
        assert len(phone.pages) == 2
        await here.after(67.5)
        assert len(phone.pages) == 3


async def test_one_road_that_fails_stops_no_other_and_when_all_fail_it_is_tried_again(
    db: Database, tmp_path: Path, phone: Receiver
) -> None:
    dead = "json://127.0.0.1:9/nobody-listens"
    async with night(db, tmp_path, paging_urls=[dead, phone.url], paging_email=["ops@example.com"]) as here:
        phone.status = 503
        for relay in (here.world.relay, here.world.backup_relay):
            await relay.behave(refuse())
        here.slack.down()
        await here.say("maria drains primary")
        await here.try_in_vain()
        await here.after(6)
        [episode] = await here.episodes()
        assert (episode.pages, episode.attempts) == (0, 1)
        said = {road: result["said"] for road, result in episode.roads.items()}
        assert said["JSON"] == "it cannot be reached"
        assert said["JSON (2)"] == "it answered with the status 503"
        assert "did not take it" in said["mail to ops@example.com"]
        assert "Nobody could be paged" in await here.world.type("/holdfast status")

        phone.status = 200
        await here.after(6.4)
        assert phone.pages == [], "it waits half a minute"
        await here.after(7)
        assert len(phone.pages) == 1
        [episode] = await here.episodes()
        assert (episode.pages, episode.attempts) == (1, 0)
        await here.after(20)
        assert len(phone.pages) == 1


async def test_mail_goes_through_a_server_that_is_up(db: Database, tmp_path: Path) -> None:
    async with night(db, tmp_path, paging_email=["ops@example.com"], notices={"sender": "Ops <o@example.com>"}) as here:
        async with db.transaction() as tx:
            await tx.execute(update(Server).where(Server.name == "primary").values(health=Health.DOWN))
            await tx.execute(update(Server).where(Server.name == "backup").values(health=Health.UP))
        here.slack.down()
        await here.world.type("/outage declare primary customers miss their mail")
        await here.try_in_vain()
        await here.after(2)

        assert here.world.relay.messages == []
        [mail] = here.world.backup_relay.messages
        assert (mail.recipients, mail.mail_from) == (("ops@example.com",), "o@example.com")
        assert mail.subject == "Holdfast: outage on primary, and Slack is away"


async def test_nobody_is_woken_while_slack_takes_messages(db: Database, tmp_path: Path, phone: Receiver) -> None:
    async with night(db, tmp_path, paging_urls=[phone.url]) as here:
        # A short absence.
        here.slack.down()
        await here.say("maria drains primary")
        await here.try_in_vain()
        await here.after(4)
        here.slack.up()
        async with here.posting():
            await nothing_waits(db)
        # One message that Slack refuses, while it takes others.
        await here.say("it refuses this one")
        async with db.transaction() as tx:
            refused = (await tx.scalars(select(Post).order_by(Post.id.desc()).limit(1))).one()
            later = now() + timedelta(hours=1)
            error = {"error": "Slack refused the message (no_text).", "code": "no_text", "refused": True}
            await posts.failed(tx, refused.id, at=now(), next_at=later, **error)  # type: ignore[arg-type]  # three kinds
        await here.say("and takes this one")
        async with here.posting():
            await here.slack.wait_for_message(here.ops, "and takes this one")
        await here.after(30)

        assert phone.pages == []
        assert await here.episodes() == []


async def test_a_test_page_says_what_became_of_it_by_each_road(db: Database, tmp_path: Path, phone: Receiver) -> None:
    async with night(db, tmp_path, paging_urls=[phone.url, "foo://x"], paging_email=["ops@example.com"]) as here:
        found = outcome_of(await here.pager.test())
    assert [(each.what, each.ok) for each in found] == [
        ("JSON", True),
        ("road 2", False),
        ("mail to ops@example.com", True),
    ]
    assert phone.pages[0]["title"] == "Holdfast: a test page"
    assert [each.subject for each in here.world.backup_relay.messages] == ["Holdfast: a test page"]


async def test_check_says_whether_there_are_roads_and_which_are_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def said(**settings: object) -> tuple[bool, str]:
        [found] = await check_paging(Settings(data_dir=tmp_path, **settings))  # type: ignore[arg-type]  # any of them
        return found.ok, found.sentence

    assert (await said())[1].startswith("No other road to people is set")
    ok, sentence = await said(paging_urls="json://127.0.0.1/a,b, tgram://abc", paging_email="ops")
    assert not ok
    assert "the URL number 2 is not one" in sentence
    assert "ops is no address" in sentence
    assert "abc" not in sentence
    monkeypatch.setenv("HOLDFAST_PAGING_URLS", "json://127.0.0.1/a json://127.0.0.1/b")
    monkeypatch.setenv("HOLDFAST_PAGING_EMAIL", "a@example.com")
    ok, sentence = await said()
    assert ok
    assert "People are paged by 2 roads and mail to a@example.com" in sentence


async def test_no_part_of_a_road_gets_into_the_log(tmp_path: Path, phone: Receiver) -> None:
    stream = io.StringIO()
    db = Database(f"sqlite:///{tmp_path}/holdfast.db")
    try:
        await db.migrate()
        settings = settings_for(str(db.url), tmp_path, log_level="debug", paging_urls=[phone.url, "tgram://sesame-7"])
        logs.configure(settings, stream)
        phone.status = 401
        first = (await build(db, settings).pager.test())[0]
        assert first.said == "it answered with the status 401"
    finally:
        structlog.reset_defaults()
        await db.close()
    assert "sesame-7" not in stream.getvalue()
