"""Slack messages that people put into a timeline, and the marks by which they did."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, text, update

from storage.db import Tx
from storage.models import MessageMark, Post, Timeline
from storage.upserts import insert_into

_OUTAGE = "outage:"


@dataclass(frozen=True)
class Place:
    """A message of Slack: its channel's id and its timestamp."""

    channel: str
    ts: str


async def alone(tx: Tx, place: Place) -> None:
    """Until the transaction ends nobody else marks this message: of two who take their marks off the second takes it
    out. SQLite has one writer anyway.
    """
    if tx.get_bind().dialect.name == "postgresql":
        lock = text("SELECT pg_advisory_xact_lock(hashtext(:place))")
        await tx.execute(lock, {"place": f"mark:{place.channel}:{place.ts}"})


async def put(tx: Tx, place: Place, how: str, *, is_on: bool, at: datetime) -> bool:
    """Remember a mark as it was put on or taken off at this moment. False when something later is known of it."""
    values = {"is_on": is_on, "at": at}
    row = insert_into(tx, MessageMark).values(channel=place.channel, message_ts=place.ts, how=how, **values)
    newest = row.on_conflict_do_update(
        index_elements=["channel", "message_ts", "how"], set_=values, where=MessageMark.at <= row.excluded.at
    )
    return await tx.scalar(newest.returning(MessageMark.how)) is not None


async def still_on(tx: Tx, place: Place) -> list[str]:
    """The marks that are on a message, in order of their names."""
    rows = await tx.scalars(
        select(MessageMark.how).where(*_is(MessageMark, place), MessageMark.is_on).order_by(MessageMark.how)
    )
    return list(rows)


async def take_all_off(tx: Tx, place: Place, at: datetime) -> None:
    await tx.execute(
        update(MessageMark)
        .where(*_is(MessageMark, place), MessageMark.at <= at)
        .values(is_on=False, at=at)
        .execution_options(synchronize_session=False)
    )


async def entry_of(tx: Tx, place: Place) -> Timeline | None:
    """The entry of a message, also when it was taken out again."""
    return await tx.scalar(select(Timeline).where(*_is(Timeline, place)).execution_options(populate_existing=True))


async def outage_of_thread(tx: Tx, place: Place) -> int | None:
    """The outage whose card begins this thread."""
    key = await tx.scalar(
        select(Post.key).where(Post.ts == place.ts, Post.channel == place.channel, Post.key.startswith(_OUTAGE))
    )
    return int(key.removeprefix(_OUTAGE)) if key else None


async def is_ours(tx: Tx, place: Place) -> bool:
    """Whether Holdfast wrote the message."""
    return await tx.scalar(select(Post.id).where(Post.ts == place.ts, Post.channel == place.channel)) is not None


async def has_outages(tx: Tx, channel: str) -> bool:
    """Whether the card of an outage stands in this channel."""
    query = select(func.count()).where(Post.channel == channel, Post.key.startswith(_OUTAGE))
    return bool(await tx.scalar(query))


def _is(table: Any, place: Place) -> tuple[Any, ...]:
    return (table.channel == place.channel, table.message_ts == place.ts)
