"""What stories about home tabs share: a workspace in which people open theirs, and everything behind it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import commands
from bot.access import Actor
from bot.clock import now
from bot.demo.fakeslack import Channel, FakeSlack, User
from bot.demo.fakeslack.workspace import View
from bot.services.bundle import Services, build
from bot.slack.edge import Edge
from bot.slack.groups import UserGroups
from bot.slack.home import HomeTabs
from bot.slack.home_road import Timing
from bot.slack.pace import Pace
from bot.slack.plain import plain
from bot.slack.workspaces import Workspaces
from storage import homes
from storage.db import Database
from tests.integration import slack_support
from tests.integration.slack_support import no_hurry, web_client

QUICK = Timing(
    beat=timedelta(seconds=0.05),
    gap=timedelta(0),
    first_pause=timedelta(seconds=0.02),
    longest_pause=timedelta(seconds=0.05),
)


@dataclass
class Workspace:
    """Maria sends and approves, Jonas approves, Guest has no role."""

    db: Database
    slack: FakeSlack
    edge: Edge
    tabs: HomeTabs
    workspaces: Workspaces
    services: Services
    ops: Channel
    maria: User
    jonas: User
    guest: User

    async def open(self, user: User) -> View:
        """The user's tab, once it is there."""
        await self.slack.open_home(user)
        found = await self.slack.wait_until(lambda: self.slack.home(user), what="a home tab")
        assert isinstance(found, View)
        return found

    def sees(self, user: User) -> str:
        view = self.slack.home(user)
        return plain(view.data["blocks"], resolve=self.slack.name_of) if view else ""

    async def until(self, user: User, words: str) -> str:
        """What the user sees, once these words are part of it."""
        await self.slack.wait_until(lambda: words in self.sees(user), what=f"{words!r} in a home tab")
        return self.sees(user)

    async def press(self, user: User, label: str, block: str | None = None, *, on: View | None = None) -> None:
        """Press a button in the tab, or in the tab as it was, and wait until that is carried out."""
        view = on or self.slack.home(user)
        assert view is not None
        delivery = await self.slack.click(user, view, label, block_id=block)
        assert delivery.acked_in is not None
        await self.edge.drain()

    def published(self, user: User | None = None) -> int:
        calls = self.slack.calls_to("views.publish")
        return len([call for call in calls if user is None or call.args["user_id"] == user.id])

    async def settled(self) -> None:
        """Until Slack has everything that there is to show."""
        async with asyncio.timeout(10):
            while True:
                async with self.db.read() as tx:  # a database tells nobody, it is asked
                    if all(tab.shown for tab in await homes.used_since(tx, now() - timedelta(days=1))):
                        return
                await asyncio.sleep(0.01)

    async def beats(self) -> None:
        """Long enough to look several times at everything."""
        await asyncio.sleep(0.3)

    def actor(self, user: User) -> Actor:
        return Actor(user.id, user.name)


@asynccontextmanager
async def showing(
    services: Services,
    slack: FakeSlack,
    *,
    pace: Callable[[], Pace] = no_hurry,
    workspaces: Workspaces | None = None,
    groups: UserGroups | None = None,
) -> AsyncIterator[HomeTabs]:
    """Home tabs that are kept up to date until the end."""
    async with web_client(slack, patience=0.5) as client:
        groups = groups or UserGroups(client, services.access)
        tabs = HomeTabs(services, workspaces or Workspaces(client), groups, timing=QUICK, new_pace=pace)
        running = asyncio.create_task(tabs.run())
        try:
            yield tabs
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            await groups.close()


@asynccontextmanager
async def workspace(
    db: Database,
    folder: Path,
    *,
    pace: Callable[[], Pace] = no_hurry,
    roles: dict[str, list[str]] | None = None,
    **sections: object,
) -> AsyncIterator[Workspace]:
    async with FakeSlack() as slack, web_client(slack) as client, web_client(slack, patience=0.5) as quiet:
        maria, jonas, guest = (slack.add_user(name) for name in ("maria", "jonas", "guest"))
        ops = slack.add_channel("email-ops")
        roles = {"responder": [], "sender": [maria.id], "approver": [maria.id, jonas.id]} | (roles or {})
        services = build(db, slack_support.settings(folder, roles=roles, **sections))
        groups, workspaces = UserGroups(client, services.access), Workspaces(client, quiet)
        async with showing(services, slack, pace=pace, workspaces=workspaces, groups=groups) as tabs:
            edge = Edge(
                services,
                client,
                commands.COMMANDS,
                commands.ACTIONS,
                events=commands.EVENTS,
                wake=tabs.wake,
                home=tabs,
                workspaces=workspaces,
                groups=groups,
            )
            async with slack_support._socket(slack, edge):
                yield Workspace(db, slack, edge, tabs, workspaces, services, ops, maria, jonas, guest)
                await edge.close()
        slack.assert_no_violations()
