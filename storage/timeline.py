"""The timeline and the Slack posts that follow from it, written in the caller's transaction."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select, update

from storage.db import Tx
from storage.models import BreakGlass, Post, Timeline

# Services name a person by id or by mention.
_PERSON = re.compile(r"(?:<@)?([UW][A-Z0-9]+)>?", re.ASCII)


@dataclass(frozen=True)
class Entry:
    """What happened. `kind` is noun.verb; `text` is the sentence that people read."""

    kind: str
    text: str
    actor: str
    at: datetime
    outage_id: int | None = None
    server_id: int | None = None
    campaign_id: int | None = None
    resend_id: int | None = None
    notice_id: int | None = None
    maintenance_id: int | None = None
    data: dict[str, Any] = field(default_factory=dict)


async def record(
    tx: Tx, entry: Entry, *, post: bool = True, broadcast: bool = False, parent: str | None = None
) -> Timeline:
    """Write one entry. With `post` it is also announced: in the thread of its outage (or of `parent`, a post's key),
    or in the channel when it has neither.

    What somebody does while they hold a broken glass is marked with it, `data["break_glass"]`, for its card.
    """
    glass_id = await _glass_of(tx, entry)
    marked = entry if glass_id is None else replace(entry, data=entry.data | {"break_glass": glass_id})
    row = Timeline(**vars(marked))
    tx.add(row)
    await tx.flush()
    if post:
        thread = parent or (f"outage:{entry.outage_id}" if entry.outage_id else None)
        _add_post(tx, f"timeline:{row.id}", entry.at, thread, broadcast=broadcast)
        await tx.flush()
    return row


async def _glass_of(tx: Tx, entry: Entry) -> int | None:
    """The broken glass in force that the actor, a person in Slack, holds at that moment."""
    person = _PERSON.fullmatch(entry.actor)
    if person is None:
        return None
    return await tx.scalar(
        select(BreakGlass.id).where(
            BreakGlass.user_id == person[1],
            BreakGlass.began_at <= entry.at,
            BreakGlass.ends_at > entry.at,
            or_(BreakGlass.ended_at.is_(None), BreakGlass.ended_at > entry.at),
        )
    )


async def ensure_post(tx: Tx, key: str, at: datetime, *, parent: str | None = None, broadcast: bool = False) -> None:
    """The message `key` should exist and show the present state: made when there is none, otherwise edited."""
    if not await touch_post(tx, key):
        _add_post(tx, key, at, parent, broadcast=broadcast)
        await tx.flush()


def _add_post(tx: Tx, key: str, at: datetime, parent: str | None, *, broadcast: bool) -> None:
    tx.add(Post(key=key, parent_key=parent, broadcast=broadcast, created_at=at))


async def touch_post(tx: Tx, key: str) -> bool:
    """The message `key` should show the present state, if it exists. Returns whether it does."""
    touched = await tx.scalar(update(Post).where(Post.key == key).values(wanted=Post.wanted + 1).returning(Post.id))
    return touched is not None


async def of_outage(tx: Tx, outage_id: int, *, kind: str | None = None) -> Sequence[Timeline]:
    """In the order in which things happened, without what was taken out; all kinds, or one."""
    of_kind = [Timeline.kind == kind] if kind else []
    rows = await tx.scalars(
        select(Timeline)
        .where(Timeline.outage_id == outage_id, Timeline.removed_at.is_(None), *of_kind)
        .order_by(Timeline.at, Timeline.id)
    )
    return rows.all()


async def locked(tx: Tx, entry_id: int) -> Timeline | None:
    """The entry as it is now, kept so until the transaction ends."""
    return await tx.scalar(
        select(Timeline)
        .where(Timeline.id == entry_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )


async def get(tx: Tx, entry_id: int) -> Timeline | None:
    return await tx.get(Timeline, entry_id)


async def last_of_campaign(tx: Tx, campaign_id: int, kind: str) -> Timeline | None:
    """The newest entry of this kind about the campaign."""
    of_kind = select(Timeline).where(Timeline.campaign_id == campaign_id, Timeline.kind == kind)
    return await tx.scalar(of_kind.order_by(Timeline.id.desc()).limit(1))


async def some(tx: Tx, entry_ids: Iterable[int]) -> Sequence[Timeline]:
    """Those of the entries that there are."""
    rows = await tx.scalars(select(Timeline).where(Timeline.id.in_(list(entry_ids))))
    return rows.all()
