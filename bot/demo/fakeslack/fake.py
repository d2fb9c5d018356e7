"""The fake Slack itself: a workspace, a server and the people in it."""

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from bot.clock import now
from bot.demo.fakeslack import payloads
from bot.demo.fakeslack.delivery import Delivery, Postman
from bot.demo.fakeslack.faults import Fault, Faults
from bot.demo.fakeslack.handles import Handles
from bot.demo.fakeslack.oauth import CLIENT_ID, CLIENT_SECRET, Tokens
from bot.demo.fakeslack.people import People
from bot.demo.fakeslack.server import MadeCall, Server
from bot.demo.fakeslack.web import METHODS, Slack
from bot.demo.fakeslack.workspace import Channel, ChannelKind, Message, User, UserGroup, Workspace
from bot.slack.plain import plain

# What a bot such as Holdfast asks for at its installation, under "oauth_config" in the manifest.
DEFAULT_SCOPES = frozenset({
    "app_mentions:read", "bookmarks:write", "channels:history", "channels:join", "channels:read",
    "chat:write", "chat:write.public", "commands", "files:write", "groups:history", "groups:read",
    "im:history", "im:read", "im:write", "mpim:read", "pins:read", "pins:write", "reactions:read",
    "reactions:write", "team:read", "usergroups:read", "users:read", "users:read.email",
})  # fmt: skip

# Web API method -> the bot scopes of which one is enough; none for those that need no scope.
METHOD_SCOPES: dict[str, tuple[str, ...]] = {name: entry.scopes for name, entry in METHODS.items()}


class FakeSlack(People):
    """A strict fake Slack on 127.0.0.1 for the real slack_sdk and Bolt: only `base_url` differs.

    Use it as an async context manager. `violations` collects every argument and block that Slack would
    refuse or silently ignore; a test ends with `assert_no_violations()`.
    """

    def __init__(self, *, scopes: Iterable[str] = DEFAULT_SCOPES, port: int = 0, faults: Faults | None = None) -> None:
        self.app_token = "xapp-fake-app-token"
        self.client_id, self.client_secret = CLIENT_ID, CLIENT_SECRET
        self.signing_secret = "fake-signing-secret"
        self.scopes = frozenset(scopes)
        self.violations: list[str] = []
        self.enforce_rate_limit = False
        self._port = port
        self._faults = faults or Faults()
        workspace, handles = Workspace(), Handles()
        postman = Postman(workspace, self.signing_secret, self.violations)
        super().__init__(workspace, handles, postman, self._state)
        self._tokens = Tokens(self.app_token)
        self._tokens.give(workspace.team_id, "xoxb-fake-bot-token")
        self._server = Server(self._state, postman, self._faults, self._tokens)

    async def __aenter__(self) -> Self:
        await self._server.start(self._port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._faults.over.set()
        await self._postman.close()
        await self._server.stop()

    @property
    def api_url(self) -> str:
        """The `base_url` for the SDK's clients."""
        return f"{self._server.url}/api/"

    @property
    def bot_token(self) -> str:
        """The one that is valid now, or was last: an installation by OAuth makes a new one."""
        return self.bot_token_of(self.workspace)

    def bot_token_of(self, team: Workspace) -> str:
        """As `bot_token`, of any workspace; empty where the app is not installed."""
        return self._tokens.bots.get(team.team_id, "")

    @property
    def rotates_tokens(self) -> bool:
        """Whether tokens end after 12 hours and are renewed with a refresh token, as the app's page can say."""
        return self._tokens.rotates

    @rotates_tokens.setter
    def rotates_tokens(self, on: bool) -> None:
        self._tokens.rotates = on

    def revoke_token(self, team: Workspace | None = None) -> None:
        """The app's token is no longer valid, and the app does not hear of it."""
        self._tokens.revoked.add(self.bot_token_of(team or self.workspace))

    async def uninstall(self, user: User) -> list[Delivery]:
        """Somebody removes the app from their workspace. Slack tells it twice, in an order that is not guaranteed."""
        team = self.team_of(user)
        self._tokens.forget(team.team_id)
        bodies = (
            {"type": "tokens_revoked", "tokens": {"oauth": [], "bot": [team.bot.id]}},
            {"type": "app_uninstalled"},
        )
        sent = [each for each in bodies if each["type"] in self.events]
        return [await self._deliver(Delivery("events_api", payloads.event(team, each))) for each in sent]

    def agree(self, user: User, url: str, *, organization: bool = False) -> str:
        """Press "Allow" on the page to which an app sends people who install it. Returns where Slack sends them on.

        `organization`: for all workspaces of an Enterprise organization at once.
        """
        return self._tokens.agree(url, user, self.team_of(user).team_id, organization=organization)

    def add_team(self, name: str, team_id: str = "") -> Workspace:
        """Another workspace, with people and channels of its own, in which the app is not installed yet."""
        team = Workspace(name=name, team_id=team_id or self.workspace.new_id("T"), beside=self.workspace)
        self.teams[team.team_id] = team
        return team

    @property
    def bot(self) -> User:
        return self.workspace.bot

    @property
    def calls(self) -> list[MadeCall]:
        """All calls of the app, in order, those that were refused or met a fault included."""
        return self._server.calls

    @property
    def deliveries(self) -> list[Delivery]:
        return self._postman.deliveries

    @property
    def request_url(self) -> str | None:
        """Where payloads go by HTTP while no socket is open."""
        return self._postman.request_url

    @request_url.setter
    def request_url(self, url: str | None) -> None:
        self._postman.request_url = url

    @property
    def open_sockets(self) -> int:
        return len(self._postman.sockets)

    @property
    def postman(self) -> Postman:
        """Its `ack_limit` and `event_retries` may be changed where a test cannot wait as long as Slack does."""
        return self._postman

    def add_user(self, name: str, *, real_name: str = "", tz: str = "UTC", email: str = "") -> User:
        return self.workspace.add_user(name, real_name=real_name, tz=tz, email=email)

    def add_channel(
        self,
        name: str,
        *,
        member: bool = True,
        private: bool = False,
        archived: bool = False,
        members: Sequence[User] | None = None,
    ) -> Channel:
        """`member`: the bot is in it. `members`: the people in it, everybody unless given."""
        kind: ChannelKind = "group" if private else "channel"
        return self.workspace.add_channel(name, kind=kind, member=member, archived=archived, members=members)

    def add_usergroup(self, handle: str, *, users: Sequence[User], name: str = "") -> UserGroup:
        group = UserGroup(self.workspace.new_id("S"), handle, name or handle.title(), [each.id for each in users])
        self.workspace.usergroups[group.id] = group
        return group

    def disable_usergroup(self, group: UserGroup) -> None:
        """Somebody switches it off; its members stay listed with it."""
        group.disabled_at = int(now().timestamp())
        self.workspace.changed()

    def direct(self, user: User) -> Channel:
        """The direct messages between the bot and this person."""
        return self.workspace.direct(user)

    def ephemerals(self, user: User) -> list[Message]:
        """What only this person sees, the newest last."""
        shown = self.team_of(user).ephemerals
        return [each for each in shown if each.ephemeral_to is user and not each.deleted]

    def calls_to(self, method: str) -> list[MadeCall]:
        return [each for each in self.calls if each.method == method]

    def fault(
        self,
        method: str,
        *,
        times: int = 1,
        status: int | None = None,
        retry_after: float | None = None,
        error: str | None = None,
        accept_then_hang: bool = False,
        accept_then_cut: bool = False,
    ) -> None:
        """Let the next calls of a method ("*": any, "response_url": the answers) go wrong; seconds in `retry_after`.

        `accept_then_hang` and `accept_then_cut` carry the call out, and lose the answer.
        """
        fault = Fault(method, times, status, retry_after, error, accept_then_hang, accept_then_cut)
        self._faults.add(fault)

    def clear_faults(self) -> None:
        self._faults.clear()

    def down(self, *, status: int | None = None) -> None:
        """Slack is away: every request is cut, or answered with `status`; the sockets are cut as well."""
        self._faults.is_down, self._faults.down_status = True, status
        self._postman.cut_sockets()

    def up(self) -> None:
        self._faults.is_down = False

    def slow(self, seconds: float) -> None:
        """Delay the answer to every request; 0 ends it."""
        self._faults.delay_seconds = seconds

    def clock_ahead(self, by: timedelta) -> None:
        """Slack's clock differs from ours; negative: it is behind."""
        self._faults.clock_ahead_seconds = by.total_seconds()

    async def disconnect_sockets(self, *, warning: bool = True) -> None:
        """Slack refreshes the connections with a warning frame, or cuts them without one."""
        if warning:
            await self._postman.warn_sockets()
        else:
            self._postman.cut_sockets()

    async def wait_until(
        self,
        check: Callable[[], Any],
        timeout: float = 30,  # noqa: ASYNC109  asyncio.timeout could not say what was there instead
        *,
        what: str = "",
    ) -> Any:
        """Wait until `check` gives something true, which is returned; `timeout` in seconds."""
        wanted = what or "what was waited for"
        return await self.workspace.until(check, timeout, lambda: f"Slack never saw {wanted}.{self._trouble()}")

    async def wait_for_socket(self, timeout: float = 30) -> None:  # noqa: ASYNC109  as in wait_until
        """Wait until the app has opened a Socket Mode connection."""
        await self.wait_until(lambda: self.open_sockets, timeout, what="an open socket")

    async def wait_for_message(
        self,
        channel: Channel,
        containing: str = "",
        timeout: float = 30,  # noqa: ASYNC109  as in wait_until
        *,
        thread_of: Message | None = None,
        after: Message | None = None,
    ) -> Message:
        """Wait for a message (in the thread of `thread_of`, later than `after`) whose text or blocks say this."""

        def found() -> Message | None:
            shown = channel.messages if thread_of is None else thread_of.thread
            new = [each for each in shown if after is None or each.ts > after.ts]
            return next((each for each in new if says(each, containing)), None)

        def failure() -> str:
            place = f"#{channel.name}" if thread_of is None else f"the thread in #{channel.name}"
            return f"No message with {containing!r} in {place}. {self.describe(channel)}{self._trouble()}"

        message: Message = await self.workspace.until(found, timeout, failure)
        return message

    async def wait_for_reply(
        self,
        delivery: Delivery,
        containing: str = "",
        timeout: float = 30,  # noqa: ASYNC109  as in wait_until
    ) -> Message:
        """Wait for an answer to this command or click, in the body of its ack or on its response URL."""

        def found() -> Message | None:
            return next((each for each in delivery.responses if says(each, containing)), None)

        def failure() -> str:
            answers = "\n".join(self.plain(each) for each in delivery.responses) or "nothing"
            seen = f" ({delivery.error})" if delivery.error else ""
            return f"No answer with {containing!r}{seen}. There was:\n{answers}{self._trouble()}"

        message: Message = await self.workspace.until(found, timeout, failure)
        return message

    def assert_no_violations(self) -> None:
        if self.violations:
            raise AssertionError("Slack would have refused:\n" + "\n".join(self.violations))

    def plain(self, message: Message) -> str:
        """The message as text, with names in the place of ids."""
        return plain({"text": message.text, "blocks": message.blocks}, resolve=self.name_of)

    def name_of(self, identity: str) -> str | None:
        user = self.workspace.users.get(identity)
        channel, group = self.workspace.channels.get(identity), self.workspace.usergroups.get(identity)
        if user is not None:
            return user.real_name
        return channel.name if channel else group.handle if group else None

    def describe(self, channel: Channel) -> str:
        """All that a channel shows, threads indented."""
        lines = [f"#{channel.name} has:"]
        for message in channel.messages:
            lines.append(f"- {self.plain(message)}")
            lines += [f"    - {self.plain(reply)}" for reply in message.thread]
        return "\n".join(lines) if channel.messages else f"#{channel.name} is empty."

    def _trouble(self) -> str:
        return "\nSlack would have refused:\n" + "\n".join(self.violations) if self.violations else ""

    def _state(self) -> Slack:
        return Slack(
            self.workspace,
            self._handles,
            self._faults,
            self.scopes,
            self.violations,
            self._server.url,
            self._socket_url,
            self.enforce_rate_limit,
            self._tokens,
            self.teams,
        )

    def _socket_url(self) -> str:
        return f"{self._server.url.replace('http', 'ws', 1)}/link/?ticket={self._postman.ticket()}"


def says(message: Message, words: str) -> bool:
    """Whether the text or the blocks of a message contain these words, ignoring case."""
    wanted = words.casefold()
    shown = plain({"blocks": message.blocks, "text": message.text})
    return wanted in message.text.casefold() or wanted in shown.casefold()
