"""The doctor: clock, sender, messages, disk, hooks and links, each with its next step, in Slack and in the terminal."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

import commands
from bot.clock import now
from bot.config import Settings
from bot.demo.fakeslack import DEFAULT_SCOPES, FakeSlack
from bot.services.bundle import build
from bot.services.checking import Finding
from bot.services.checking_running import check_running
from bot.slack import doctor
from bot.slack.checking import check_slack
from bot.slack.edge import Edge
from storage import posts, timeline, workers
from storage.db import Database
from storage.models import Worker
from tests.integration import slack_support
from tests.integration.slack_support import web_client
from tests.seeds import settings_for
from tests.terminal_world import Holdfast, holdfast

__all__ = ["holdfast"]


def by_name(found: list[Finding]) -> dict[str, Finding]:
    return {finding.what: finding for finding in found}


async def running(database_url: str, folder: Path, **changes: Any) -> dict[str, Finding]:
    return by_name(await check_running(settings_for(database_url, folder, **changes)))


async def beat(db: Database, ago: timedelta, worker: str = "w1", host: str = "mail-1") -> None:
    row = Worker(id=worker, host=host, pid=41, boot_id="", journal="", started_at=now() - ago, seen_at=now() - ago)
    async with db.transaction() as tx:
        await workers.beat(tx, row)


@asynccontextmanager
async def receiver(status: int) -> AsyncIterator[str]:
    """A webhook's other side, which must be asked for nothing but its headers. Gives its address."""

    async def answer(request: web.Request) -> web.Response:
        assert request.method == "HEAD"
        return web.Response(status=status)

    application = web.Application()
    application.router.add_route("*", "/hooks/token-1", answer)
    async with TestServer(application) as server:
        yield str(server.make_url("/hooks/token-1"))


async def test_the_senders_heartbeat_is_told(db: Database, database_url: str, tmp_path: Path) -> None:
    nobody = (await running(database_url, tmp_path))["sender"]
    assert nobody.level == "warn"
    assert "Start it with: holdfast run" in nobody.sentence

    await beat(db, timedelta(seconds=2))
    alive = (await running(database_url, tmp_path))["sender"]
    assert alive.level == "ok"
    assert "on mail-1 (process 41)" in alive.sentence

    await beat(db, timedelta(minutes=5))
    dead = (await running(database_url, tmp_path))["sender"]
    assert dead.level == "fail"
    assert "last seen 5 min ago" in dead.sentence

    await beat(db, timedelta(seconds=2), "w2", "mail-2")
    one_is_silent = (await running(database_url, tmp_path))["sender"]
    assert one_is_silent.level == "warn"
    assert "It works on mail-2" in one_is_silent.sentence
    assert "Silent: mail-1 (process 41, for 5 min)" in one_is_silent.sentence


async def test_messages_that_slack_does_not_take_are_told_with_the_reason(
    db: Database, database_url: str, tmp_path: Path
) -> None:
    assert (await running(database_url, tmp_path))["messages"].level == "ok"
    async with db.transaction() as tx:
        await timeline.ensure_post(tx, "timeline:1", now() - timedelta(minutes=3))
    waiting = (await running(database_url, tmp_path))["messages"]
    assert waiting.level == "warn"
    assert "1 message waits for Slack, the oldest for 3 min" in waiting.sentence

    async with db.transaction() as tx:
        post = await posts.get(tx, "timeline:1")
        assert post is not None
        await posts.failed(
            tx, post.id, error="The bot is not in ops.", code="not_in_channel", at=now(), next_at=now(), refused=True
        )
    refused = (await running(database_url, tmp_path))["messages"]
    assert refused.level == "fail"
    assert refused.sentence.endswith("nothing is lost. The bot is not in ops.")


async def test_a_database_that_is_not_ready_is_told_once(tmp_path: Path) -> None:
    found = await running(f"sqlite:///{tmp_path}/empty.db", tmp_path)
    assert not {"sender", "messages"} & found.keys()


async def test_the_webhook_is_asked_without_telling_it_anything(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/h.db"
    assert "notices go by email alone" in (await running(url, tmp_path))["webhook"].sentence
    unsigned = await running(url, tmp_path, notices={"webhook_url": "https://hooks.example"})
    assert "HOLDFAST_NOTICES__WEBHOOK_SECRET is missing" in unsigned["webhook"].sentence
    async with receiver(405) as address:
        plain = (await running(url, tmp_path, notices={"webhook_url": address, "webhook_secret": "s"}))["webhook"]
    assert plain.level == "warn"
    assert "Use https" in plain.sentence
    async with receiver(502) as address:
        broken = (await running(url, tmp_path, notices={"webhook_url": address, "webhook_secret": "s"}))["webhook"]
    assert "answers 502" in broken.sentence
    gone = (await running(url, tmp_path, notices={"webhook_url": address, "webhook_secret": "s"}))["webhook"]
    assert gone.level == "fail"
    assert "cannot be reached" in gone.sentence
    assert not any("token-1" in each.sentence for each in (plain, broken, gone))


@pytest.mark.parametrize(
    ("changes", "level", "words"),
    [
        ({}, "warn", "HOLDFAST_UNSUBSCRIBE_MAILTO"),
        ({"unsubscribe_mailto": "leave@shop.example"}, "ok", "For one click set HOLDFAST_PUBLIC_URL"),
        ({"public_url": "http://shop.example"}, "fail", "must be https"),
        ({"public_url": "https://shop.example"}, "ok", "while Holdfast runs"),
    ],
)
async def test_links_to_unsubscribe_are_looked_at(
    tmp_path: Path, changes: dict[str, str], level: str, words: str
) -> None:
    found = (await running(f"sqlite:///{tmp_path}/h.db", tmp_path, **changes))["links"]
    assert found.level == level
    assert words in found.sentence


def slack_settings(slack: FakeSlack, folder: Path) -> Settings:
    given = {"slack_api_url": slack.api_url, "slack_bot_token": slack.bot_token, "slack_app_token": slack.app_token}
    return settings_for(f"sqlite:///{folder}/h.db", folder, channel="email-ops", **given)


@pytest.mark.parametrize(("ahead", "level"), [(-120, "warn"), (0, "ok"), (61, "warn"), (400, "fail")])
async def test_a_clock_that_is_wrong_is_told(tmp_path: Path, ahead: int, level: str) -> None:
    async with FakeSlack() as slack:
        slack.add_channel("email-ops")
        slack.clock_ahead(timedelta(seconds=-ahead))
        clock = by_name(await check_slack(slack_settings(slack, tmp_path)))["clock"]
    assert clock.level == level
    assert ("ahead of Slack" in clock.sentence) == (ahead > 0)


async def test_a_scope_that_only_files_need_is_no_failure(tmp_path: Path) -> None:
    async with FakeSlack(scopes=DEFAULT_SCOPES - {"files:write"}) as slack:
        slack.add_channel("email-ops")
        scopes = by_name(await check_slack(slack_settings(slack, tmp_path)))["scopes"]
    assert scopes.level == "warn"
    assert "lacks files:write (to send the audit log as a file)" in scopes.sentence


async def test_a_check_that_hangs_does_not_hold_up_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check_nothing(_: Settings) -> list[Finding]:
        await asyncio.Event().wait()
        raise AssertionError("it waits for ever")

    async def check_all(_: Settings) -> list[Finding]:
        return [Finding("all", ok=True, sentence="Well.")]

    monkeypatch.setattr(doctor, "PATIENCE", timedelta(seconds=0.05))
    found = await doctor.examine(settings_for("sqlite:///x.db", tmp_path), (check_nothing, check_all))
    assert [(each.what, each.level) for each in found] == [("nothing", "fail"), ("all", "ok")]


async def test_in_slack_it_answers_at_once_and_then_reports_to_the_person_alone(db: Database, tmp_path: Path) -> None:
    async with FakeSlack() as slack, web_client(slack) as client:
        maria, ops = slack.add_user("maria"), slack.add_channel("email-ops")
        given = {"slack_api_url": slack.api_url, "slack_bot_token": slack.bot_token, "database_url": str(db.url)}
        services = build(db, slack_support.settings(tmp_path, **given, roles={"sender": [maria.id]}))
        edge = Edge(services, client, commands.COMMANDS, commands.ACTIONS)
        async with slack_support._socket(slack, edge):
            await slack.command(maria, ops, "/holdfast doctor")
            await edge.drain()
        first, report = (slack.plain(each) for each in slack.ephemerals(maria))
        assert "That takes some seconds" in first
        assert "to put right" in report
        assert report.index("fail") < report.index("🟢 ok")
        assert "🔴 fail  roles: Nobody in Slack has the role approver" in report
        assert "🟢 ok  bot token: Slack knows it as holdfast in the workspace Acme." in report
        assert slack.bot_token not in report
        assert not ops.messages
        slack.assert_no_violations()


def test_for_scripts_it_is_json_and_the_exit_code_says_the_same(holdfast: Holdfast) -> None:
    ran = holdfast("check", "--json")
    told = json.loads(ran.out)
    assert ran.code == 1
    assert told["ok"] is False
    levels = {each["what"]: each["level"] for each in told["findings"]}
    assert levels["settings"] == "ok"
    assert levels["bot token"] == "fail"
    assert levels["disk"] in {"ok", "warn"}
