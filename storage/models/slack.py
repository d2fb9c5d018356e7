"""Slack's side: what it should show, what it asked, and where Holdfast is installed."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    DateTime,
    Index,
    Integer,
    String,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from storage.models.base import Base, BigId


class Post(Base):
    """One Slack message that should exist. The announcer makes it so: posted follows wanted."""

    __tablename__ = "posts"
    __table_args__ = (
        Index(
            "ix_posts_waiting",
            "id",
            sqlite_where=text("posted < wanted"),
            postgresql_where=text("posted < wanted"),
        ),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    key: Mapped[str] = mapped_column(String(60), unique=True)
    """kind:id of what it shows, as `outage:3` or `timeline:41`; also in the message's metadata."""
    parent_key: Mapped[str | None] = mapped_column(String(60))
    """The key of the message whose thread it belongs in."""
    broadcast: Mapped[bool] = mapped_column(default=False)
    channel: Mapped[str | None] = mapped_column(String(20))
    """Where it was posted; NULL until then."""
    ts: Mapped[str | None] = mapped_column(String(24))
    wanted: Mapped[int] = mapped_column(default=1)
    posted: Mapped[int] = mapped_column(default=0)
    shown: Mapped[str | None] = mapped_column(String(64))
    """A hash of what was last shown: an edit that changes nothing is not sent."""
    attempted_at: Mapped[datetime | None]
    """Set before a first post leaves and kept until its ts is known: look for the message before posting again."""
    attempts: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[datetime | None]
    error: Mapped[str | None]
    code: Mapped[str | None]
    """Slack's word for the error, or ours."""
    failing_since: Mapped[datetime | None]
    """When it could not be shown for the first time since it was last shown."""
    taken_at: Mapped[datetime | None]
    """When Slack took it."""
    joined_into: Mapped[str | None] = mapped_column(String(60), index=True)
    """The key of the post whose message shows it too: a burst is one message, and only its owner edits it."""
    created_at: Mapped[datetime]


class Inbound(Base):
    """Requests of Slack that were taken: a redelivery finds its key here and is dropped."""

    __tablename__ = "inbound"
    __table_args__ = (
        Index(
            "ix_inbound_open",
            "at",
            sqlite_where=text("done_at IS NULL"),
            postgresql_where=text("done_at IS NULL"),
        ),
    )

    key: Mapped[str] = mapped_column(String(120), primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    kind: Mapped[str] = mapped_column(String(10))
    """command, action, event, shortcut or view (a form that was sent)."""
    payload: Mapped[dict[str, Any] | None]
    """What is needed to carry it out or to answer it after a restart; NULL once it is done."""
    started_at: Mapped[datetime | None]
    """When its handler began. Taken but never begun: it can still be carried out; begun but not done: only told."""
    done_at: Mapped[datetime | None]


class SlackInstallation(Base):
    """Somebody installed Holdfast in a workspace by OAuth: a row each time, in the table of slack_sdk's store.

    Its times are naive and in UTC, as that store wants them. Tokens are encrypted: bot/slack/tokens.py.
    """

    __tablename__ = "slack_installations"
    __table_args__ = (
        Index("slack_installations_idx", "client_id", "enterprise_id", "team_id", "user_id", "installed_at"),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    client_id: Mapped[str] = mapped_column(String(32))
    app_id: Mapped[str] = mapped_column(String(32))
    enterprise_id: Mapped[str | None] = mapped_column(String(32))
    enterprise_name: Mapped[str | None]
    enterprise_url: Mapped[str | None]
    team_id: Mapped[str | None] = mapped_column(String(32))
    team_name: Mapped[str | None]
    bot_token: Mapped[str | None]
    bot_id: Mapped[str | None] = mapped_column(String(32))
    bot_user_id: Mapped[str | None] = mapped_column(String(32))
    bot_scopes: Mapped[str | None]
    bot_refresh_token: Mapped[str | None]
    bot_token_expires_at: Mapped[datetime | None] = mapped_column(DateTime)
    user_id: Mapped[str] = mapped_column(String(32))
    user_token: Mapped[str | None]
    user_scopes: Mapped[str | None]
    user_refresh_token: Mapped[str | None]
    user_token_expires_at: Mapped[datetime | None] = mapped_column(DateTime)
    incoming_webhook_url: Mapped[str | None]
    incoming_webhook_channel: Mapped[str | None]
    incoming_webhook_channel_id: Mapped[str | None]
    incoming_webhook_configuration_url: Mapped[str | None]
    is_enterprise_install: Mapped[bool] = mapped_column(default=False)
    token_type: Mapped[str | None] = mapped_column(String(32))
    installed_at: Mapped[datetime] = mapped_column(DateTime)


class SlackBot(Base):
    """The bot token of an installation, in the table of slack_sdk's store. Gone when the workspace removed Holdfast."""

    __tablename__ = "slack_bots"
    __table_args__ = (Index("slack_bots_idx", "client_id", "enterprise_id", "team_id", "installed_at"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    client_id: Mapped[str] = mapped_column(String(32))
    app_id: Mapped[str] = mapped_column(String(32))
    enterprise_id: Mapped[str | None] = mapped_column(String(32))
    enterprise_name: Mapped[str | None]
    team_id: Mapped[str | None] = mapped_column(String(32))
    team_name: Mapped[str | None]
    bot_token: Mapped[str | None]
    bot_id: Mapped[str | None] = mapped_column(String(32))
    bot_user_id: Mapped[str | None] = mapped_column(String(32))
    bot_scopes: Mapped[str | None]
    bot_refresh_token: Mapped[str | None]
    bot_token_expires_at: Mapped[datetime | None] = mapped_column(DateTime)
    is_enterprise_install: Mapped[bool] = mapped_column(default=False)
    installed_at: Mapped[datetime] = mapped_column(DateTime)


class InstallState(Base):
    """Somebody is at Slack's page and about to come back; used once."""

    __tablename__ = "install_states"

    state: Mapped[str] = mapped_column(String(64), primary_key=True)
    expires_at: Mapped[datetime]


class HomeTab(Base):
    """The home tab of a person who has opened it: what it shows, and what their last click in it came to."""

    __tablename__ = "home_tabs"

    team_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    """The workspace in which it is; an id of a person is unique only together with it. Empty where Slack named none."""
    user_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str]
    outsider: Mapped[bool] = mapped_column(default=False)
    """From another workspace: may look, and no more."""
    used_at: Mapped[datetime]
    """When they last opened it, or pressed something in it."""
    shown: Mapped[str | None] = mapped_column(String(64))
    """A hash of what Slack was last given; NULL while that is not known, so that it is given anew."""
    note: Mapped[dict[str, Any] | None]
    """The answer to their last click, its text and blocks: a home tab has no other place for it."""
    noted_at: Mapped[datetime | None]
