"""Installations by OAuth: what slack_sdk's store wrote, as the rest of Holdfast looks at it; and their ends.

That store has a row for every time that somebody installed, and another with the bot's token. A workspace that removed
Holdfast keeps the first and has no more of the second.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import delete, func, select, update

from storage.db import Tx
from storage.models import InstallState, SlackBot, SlackInstallation


@dataclass(frozen=True)
class Workspace:
    """A workspace in which Holdfast was installed, by whom and when last."""

    team_id: str
    name: str
    enterprise_id: str | None
    installed_by: str
    installed_at: datetime
    removed: bool
    """There is no token of it any more."""


async def workspaces(tx: Tx) -> Sequence[Workspace]:
    """All of them, in the order in which they were installed first."""
    first = func.min(SlackInstallation.id).label("first")
    newest = func.max(SlackInstallation.id).label("newest")
    teams = (
        select(SlackInstallation.team_id, first, newest)
        .where(SlackInstallation.team_id.is_not(None))
        .group_by(SlackInstallation.team_id)
        .subquery()
    )
    alive = set(await tx.scalars(select(SlackBot.team_id).where(SlackBot.bot_token.is_not(None))))
    rows = await tx.scalars(
        select(SlackInstallation).join(teams, SlackInstallation.id == teams.c.newest).order_by(teams.c.first)
    )
    return [_workspace(row, removed=row.team_id not in alive) for row in rows]


def home_of(known: Sequence[Workspace], wanted: str | None) -> str | None:
    """The id of the workspace with the channel of the outages: the wanted one, else the first that was installed."""
    return wanted or next((each.team_id for each in known), None)


def _workspace(row: SlackInstallation, *, removed: bool) -> Workspace:
    team_id = row.team_id or ""
    return Workspace(
        team_id=team_id,
        name=row.team_name or team_id,
        enterprise_id=row.enterprise_id,
        installed_by=row.user_id,
        installed_at=row.installed_at.replace(tzinfo=UTC),
        removed=removed,
    )


async def remove(tx: Tx, team_id: str, at: datetime) -> bool:
    """The workspace removed Holdfast at that moment: forget the tokens from before it.

    Whether there was one, and now is none: an event that comes late must not end a newer installation.
    """
    # Slack's events have whole seconds.
    until = at.astimezone(UTC).replace(microsecond=999_999, tzinfo=None)
    gone = delete(SlackBot).where(SlackBot.team_id == team_id, SlackBot.installed_at <= until).returning(SlackBot.id)
    if not list(await tx.scalars(gone)):
        return False
    dead = dict.fromkeys(("bot_token", "bot_refresh_token", "user_token", "user_refresh_token"))
    old = SlackInstallation.team_id == team_id, SlackInstallation.installed_at <= until
    await tx.execute(update(SlackInstallation).where(*old).values(**dead))
    left = select(SlackBot.id).where(SlackBot.team_id == team_id, SlackBot.bot_token.is_not(None)).limit(1)
    return await tx.scalar(left) is None


async def adopt(tx: Tx, client_id: str) -> None:
    """An installation from before the app's id was kept is of this app."""
    for table in (SlackInstallation, SlackBot):
        await tx.execute(update(table).where(table.client_id == "").values(client_id=client_id))


async def issue(tx: Tx, state: str, *, at: datetime, expires_at: datetime) -> None:
    """Somebody begins to install. Those who began and never came back are forgotten."""
    await tx.execute(delete(InstallState).where(InstallState.expires_at < at))
    tx.add(InstallState(state=state, expires_at=expires_at))


async def consume(tx: Tx, state: str, at: datetime) -> bool:
    """Whether this state was issued, is fresh, and is used for the first time."""
    used = delete(InstallState).where(InstallState.state == state, InstallState.expires_at >= at)
    return await tx.scalar(used.returning(InstallState.state)) is not None
