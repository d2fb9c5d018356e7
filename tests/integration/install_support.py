"""A bot that is installed by OAuth, and the browser of who installs it."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from unittest import mock

from aiohttp import ClientSession
from sqlalchemy import select
from structlog.testing import capture_logs

from bot.app import Bot
from bot.config import load_settings
from bot.demo.fakeslack import User
from bot.slack.pace import Pace
from storage import installs
from storage.models import SlackBot, SlackInstallation
from tests.acceptance.support import Workplace

PUBLIC = "https://holdfast.example.com"
COOKIE = "slack-app-oauth-state"


def by_oauth(here: Workplace) -> None:
    """The bot has no token, and is reached by a proxy at PUBLIC."""
    here.settings |= {
        "HOLDFAST_SLACK_BOT_TOKEN": "",
        "HOLDFAST_SLACK_CLIENT_ID": here.slack.client_id,
        "HOLDFAST_SLACK_CLIENT_SECRET": here.slack.client_secret,
        "HOLDFAST_PUBLIC_URL": PUBLIC,
    }


@dataclass
class Answer:
    status: int
    text: str
    location: str
    cookie: str


@dataclass
class Browser:
    """Goes to PUBLIC as through the proxy, and keeps the one cookie."""

    http: ClientSession
    port: int
    cookie: str = ""

    async def get(self, address: str) -> Answer:
        path = address.removeprefix(PUBLIC)
        headers = {"Cookie": f"{COOKIE}={self.cookie}"} if self.cookie else {}
        async with self.http.get(
            f"http://127.0.0.1:{self.port}{path}", allow_redirects=False, headers=headers
        ) as answer:
            state = answer.cookies.get(COOKIE)
            if state is not None:
                assert state["secure"]
                assert state["httponly"]
                self.cookie = state.value
            shown = re.sub(r"<[^>]+>", " ", await answer.text())
            return Answer(answer.status, " ".join(shown.split()), answer.headers.get("Location", ""), self.cookie)

    async def at_slack(self) -> str:
        """Begin to install. Returns the address of Slack's page."""
        answer = await self.get("/slack/install")
        assert answer.status == 302
        return answer.location


@asynccontextmanager
async def browser(bot: Bot) -> AsyncIterator[Browser]:
    assert bot.http_port is not None
    async with ClientSession() as http:
        yield Browser(http, bot.http_port)


async def workspaces(here: Workplace) -> list[installs.Workspace]:
    """As the database has them."""
    async with here.db.read() as tx:
        return list(await installs.workspaces(tx))


async def secrets(here: Workplace) -> list[str]:
    """Every token as it stands in the database, of either table."""
    async with here.db.read() as tx:
        names = ("bot_token", "bot_refresh_token")
        columns = [getattr(table, name) for table in (SlackBot, SlackInstallation) for name in names]
        return [each for column in columns for each in await tx.scalars(select(column)) if each]


async def install(here: Workplace, bot: Bot, who: User | None = None, *, organization: bool = False) -> Answer:
    """Somebody (Maria unless given) installs it in their workspace."""
    async with browser(bot) as there:
        back = here.slack.agree(who or here.maria, await there.at_slack(), organization=organization)
        return await there.get(back)


async def says(here: Workplace, words: str) -> bool:
    """Whether `/holdfast status` in the terminal says this."""
    return words in await here.terminal("/holdfast status")


@asynccontextmanager
async def over(here: Workplace, road: str) -> AsyncIterator[Bot]:
    """The bot that Slack reaches over a `socket`, or over signed `http`."""
    if road == "socket":
        async with here.bot() as bot:
            yield bot
        return
    here.settings |= {"HOLDFAST_SLACK_APP_TOKEN": "", "HOLDFAST_SLACK_SIGNING_SECRET": here.slack.signing_secret}
    hasty = mock.patch.dict(Pace.__init__.__kwdefaults__, {"burst": 100, "per_second": 100.0})
    with here.environment(), hasty, capture_logs() as logged:
        bot = Bot(load_settings())
        try:
            await bot.start()
            here.slack.request_url = f"http://127.0.0.1:{bot.http_port}/slack/events"
            yield bot
        finally:
            await bot.stop()
    assert [entry for entry in logged if entry["log_level"] in {"error", "critical"}] == []
