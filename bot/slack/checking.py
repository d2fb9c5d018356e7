"""`holdfast check`, the part of Slack: tokens, scopes and channel, each in a sentence with the next step."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.clock import now
from bot.config import Settings
from bot.errors import SHOWABLE
from bot.services.checking import Finding
from bot.services.when import lasting
from bot.services.words import joined
from bot.slack.answering import SLACK_ERRORS, reason
from bot.slack.channel import ChannelError, HomeChannel
from bot.slack.groups import check_groups
from bot.slack.setbacks import judge
from bot.slack.tokens import bot_token_of, token_of, token_store
from storage import installs
from storage.db import Database

APPS = "https://api.slack.com/apps"
SCOPES: Mapping[str, str] = {
    "chat:write": "to post and edit its messages",
    "commands": "to hear the slash commands",
    "channels:read": "to find the channel",
    "channels:join": "to join it",
    "channels:history": "to look for a message before it is posted again, and to read one that was marked",
    "groups:read": "to find a private channel",
    "groups:history": "to look for a message in a private channel",
    "files:write": "to send the audit log as a file",
    "im:write": "to send that file to one person alone",
    "pins:read": "to put pinned messages into the timeline",
    "reactions:read": "to put messages with :round_pushpin: into the timeline",
    "users:read": "to know people's names and time zones",
    "usergroups:read": "to know who is in the user groups of the roles",
}
"""What the bot token must allow, and why; the same as in manifest.yml."""
OPTIONAL = frozenset({"files:write", "im:write"})
"""Without these only what they are for is missing; the rest works."""
_PATIENCE = 10  # seconds for one call
_SKEW_WARNS = timedelta(seconds=60)
_SKEW_FAILS = timedelta(minutes=5)
"""Slack's signatures are refused beyond this: https://docs.slack.dev/authentication/verifying-requests-from-slack/"""


async def check_slack(settings: Settings) -> list[Finding]:
    """Nothing is posted and no channel joined. Trouble is a finding, never an error."""
    found = [await _inbound(settings)]
    try:
        token = await _bot_token(settings)
    except SHOWABLE as error:
        return [Finding("bot token", ok=False, sentence=str(error)), *found, _unasked_channel(settings)]
    if token is None and settings.install_url is None:
        sentence = (
            "HOLDFAST_SLACK_BOT_TOKEN is not set. It begins with xoxb-: copy it from your app's page "
            f"({APPS}) under OAuth & Permissions, after Install to Workspace."
        )
        return [Finding("bot token", ok=False, sentence=sentence), *found, _unasked_channel(settings)]
    client = AsyncWebClient(token=token, base_url=settings.slack_api_url, timeout=_PATIENCE, retry_handlers=[])
    try:
        who = await client.auth_test()
    except SLACK_ERRORS as error:
        said = _said(error, settings.install_url)
        return [Finding("bot token", ok=False, sentence=said), *found, _unasked_channel(settings)]
    sentence = f"Slack knows it as {who.get('user')} in the workspace {who.get('team')}."
    return [
        Finding("bot token", ok=True, sentence=sentence),
        _scopes(who),
        *await check_groups(client, settings),
        *_clock(who, now()),
        *found,
        await _channel(client, settings),
        *await _others(settings),
    ]


async def _others(settings: Settings) -> list[Finding]:
    """The further workspaces of HOLDFAST_SLACK_TEAMS, where the tokens come from installations by OAuth."""
    if settings.install_url is None:
        return []
    db = Database(settings.database)
    try:
        async with db.read() as tx:
            known = {each.team_id: each for each in await installs.workspaces(tx)}
        home = installs.home_of(list(known.values()), settings.slack_team)
        return [await _other(settings, db, team, known.get(team)) for team in settings.slack_teams if team != home]
    except SHOWABLE as error:
        return [Finding("workspaces", ok=False, sentence=str(error))]
    finally:
        await db.close()


async def _other(settings: Settings, db: Database, team: str, known: installs.Workspace | None) -> Finding:
    token = await token_of(token_store(settings, db), known) if known else None
    what = f"workspace {known.name if known else team}"
    if token is None:
        sentence = (
            f"Holdfast is not installed there. Open {settings.install_url} to install it, or take {team} out of "
            "HOLDFAST_SLACK_TEAMS."
        )
        return Finding(what, ok=False, sentence=sentence)
    client = AsyncWebClient(token=token, base_url=settings.slack_api_url, timeout=_PATIENCE, retry_handlers=[])
    try:
        who = await client.auth_test()
    except SLACK_ERRORS as error:
        return Finding(what, ok=False, sentence=_said(error, settings.install_url))
    scopes = _scopes(who)
    sentence = f"Slack knows it as {who.get('user')} there." if scopes.ok else scopes.sentence
    return Finding(what, ok=scopes.ok, sentence=sentence)


async def _bot_token(settings: Settings) -> str | None:
    """Raises SettingsError and StorageError."""
    db = Database(settings.database)
    try:
        return await bot_token_of(settings, db)
    finally:
        await db.close()


def _said(error: BaseException, install_url: str | None = None) -> str:
    """Without an answer nothing can be said of the token."""
    setback = judge(error, "", install_url)
    if setback.is_away:
        return f"Slack did not answer ({reason(error)}). Check the network and HOLDFAST_SLACK_API_URL, then try again."
    return setback.sentence


def _scopes(who: AsyncSlackResponse) -> Finding:
    granted = {each.strip() for each in str(who.headers.get("x-oauth-scopes", "")).split(",")}
    missing = [f"{scope} ({why})" for scope, why in SCOPES.items() if scope not in granted]
    if not missing:
        return Finding("scopes", ok=True, sentence=f"All {len(SCOPES)} that are needed were granted.")
    sentence = (
        f"The bot token lacks {joined(missing)}. Add {'it' if len(missing) == 1 else 'them'} on your app's page "
        f"({APPS}) under OAuth & Permissions, or paste manifest.yml under App Manifest; then install the app again."
    )
    without = {scope for scope in SCOPES if scope not in granted}
    return Finding("scopes", ok=without <= OPTIONAL, sentence=sentence, warn=True)


def _clock(who: AsyncSlackResponse, at: datetime) -> list[Finding]:
    """Slack's clock against ours, by the Date of its answer, which counts whole seconds (RFC 9110, section 6.6.1)."""
    said = {name.lower(): value for name, value in who.headers.items()}.get("date")
    try:
        theirs = parsedate_to_datetime(str(said))
    except ValueError:
        return []
    skew = abs(at - theirs)
    if skew < _SKEW_WARNS:
        return [Finding("clock", ok=True, sentence="It agrees with Slack's.")]
    way = "ahead of" if at > theirs else "behind"
    sentence = (
        f"This machine's clock is {lasting(skew)} {way} Slack's, and beyond 5 min requests over HTTP are refused. "
        "Times in messages are wrong by as much. Switch its time synchronisation (NTP) on."
    )
    return [Finding("clock", ok=skew < _SKEW_FAILS, sentence=sentence, warn=True)]


async def _inbound(settings: Settings) -> Finding:
    """How Slack's requests come in: Socket Mode, or HTTP with a signing secret."""
    token = settings.slack_app_token
    if token is None and settings.slack_signing_secret is not None:
        address = f"http://{settings.http_host}:{settings.http_port}/slack/events"
        sentence = (
            f"Slack's requests come in by HTTP, at {address}; Slack must reach it through a public https address."
        )
        return Finding("signing secret", ok=True, sentence=sentence)
    if token is None:
        sentence = (
            "HOLDFAST_SLACK_APP_TOKEN is not set. It begins with xapp-: make one on your app's page "
            f"({APPS}) under Basic Information, App-Level Tokens, with the scope connections:write. Or set "
            "HOLDFAST_SLACK_SIGNING_SECRET to receive Slack's requests by HTTP."
        )
        return Finding("app token", ok=False, sentence=sentence)
    client = AsyncWebClient(base_url=settings.slack_api_url, timeout=_PATIENCE, retry_handlers=[])
    try:
        await client.apps_connections_open(app_token=token.get_secret_value())
    except SLACK_ERRORS as error:
        return Finding("app token", ok=False, sentence=_app_token_said(error))
    return Finding("app token", ok=True, sentence="Slack offers a Socket Mode connection for it.")


def _app_token_said(error: BaseException) -> str:
    setback = judge(error, "")
    if setback.is_away:
        return _said(error)
    return (
        f"Slack refuses it ({reason(error)}). HOLDFAST_SLACK_APP_TOKEN begins with xapp- and needs the scope "
        f"connections:write; copy it again from your app's page ({APPS}) under Basic Information, and switch Socket "
        "Mode on."
    )


def _unasked_channel(settings: Settings) -> Finding:
    """Without a token that works only the setting can be looked at."""
    if settings.channel:
        sentence = f"{settings.channel} could not be looked up without a bot token that works."
    else:
        sentence = "HOLDFAST_CHANNEL is not set. Set it to the id or name of the channel for outages."
    return Finding("channel", ok=False, sentence=sentence)


async def _channel(client: AsyncWebClient, settings: Settings) -> Finding:
    home = HomeChannel(client, settings.channel)
    try:
        channel = await home.look()
    except ChannelError as error:
        return Finding("channel", ok=False, sentence=str(error))
    except SLACK_ERRORS as error:
        setback = judge(error, home.setting)
        return Finding("channel", ok=False, sentence=_said(error) if setback.is_away else setback.sentence)
    name = f"#{channel.get('name', home.setting)}"
    if channel.get("is_member"):
        return Finding("channel", ok=True, sentence=f"The bot is in {name}.")
    if channel.get("is_private"):
        sentence = f"The bot is not in {name}. Invite it there with /invite @holdfast."
        return Finding("channel", ok=False, sentence=sentence)
    return Finding("channel", ok=True, sentence=f"{name} is public; the bot joins it by itself when it starts.")
