"""Slack messages that should exist, as the announcer works through them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, or_, select, update

from storage.db import Tx
from storage.models import (
    Approval,
    ApprovalState,
    BreakGlass,
    Notice,
    NoticeState,
    Outage,
    OutageState,
    Post,
    Resend,
    ResendState,
)

_MOVING_RESENDS = (ResendState.SENDING, ResendState.PAUSING)


@dataclass(frozen=True)
class Trouble:
    """How the announcer stands with Slack: what waits, since when, and the error of the oldest that failed."""

    waiting: int
    since: datetime | None
    error: str | None


async def threads_due(tx: Tx, at: datetime) -> list[str]:
    """The threads, by the key of their head, in which something can be shown now."""
    rows = await tx.scalars(select(Post).where(Post.posted < Post.wanted).order_by(Post.id))
    threads: dict[str, list[Post]] = {}
    for post in rows:
        threads.setdefault(post.parent_key or post.key, []).append(post)
    return [thread for thread, waiting in threads.items() if _first_due(thread, waiting, at) is not None]


async def next_of(tx: Tx, thread: str, at: datetime, *, after: str = "") -> Post | None:
    """What to show next in a thread: its head, then replies in order; a reply that has to wait holds back later ones.

    `after` was shown just now: when it is the head, a reply has its turn.
    """
    rows = await tx.scalars(
        select(Post)
        .where(Post.posted < Post.wanted, or_(Post.key == thread, Post.parent_key == thread))
        .order_by(Post.id)
    )
    waiting = list(rows)
    if len(waiting) > 1 and after == thread:
        replies = [post for post in waiting if post.key != thread]
        return _first_due(thread, replies, at) or _first_due(thread, waiting, at)
    return _first_due(thread, waiting, at)


def _first_due(thread: str, waiting: Sequence[Post], at: datetime) -> Post | None:
    heads = [post for post in waiting if post.key == thread]
    first = next(iter([*heads, *waiting]), None)
    return first if first is not None and (first.next_at is None or first.next_at <= at) else None


async def head(tx: Tx, key: str) -> Post | None:
    """The message in whose thread a reply to `key` belongs: Slack's threads have one level.

    While the message itself is not there, that one, without a ts. None when there is no such post.
    """
    post = await get(tx, key)
    while post is not None and post.ts is not None and post.parent_key is not None:
        above = await get(tx, post.parent_key)
        if above is None:
            break
        post = above
    return post


async def get(tx: Tx, key: str) -> Post | None:
    return await tx.scalar(select(Post).where(Post.key == key))


async def live(tx: Tx) -> Sequence[Post]:
    """Posted cards of what changes by itself: outages under way, resends and notices that are sending, campaigns that
    go on while a second person is asked, and broken glasses with what is done under them.
    """
    outages = await tx.scalars(select(Outage.id).where(Outage.state != OutageState.RESOLVED))
    resends = await tx.scalars(select(Resend.id).where(Resend.state.in_(_MOVING_RESENDS)))
    notices = await tx.scalars(select(Notice.id).where(Notice.state == NoticeState.SENDING))
    asks = await tx.scalars(
        select(Approval.id).where(Approval.subject == "campaign", Approval.state == ApprovalState.PENDING)
    )
    glasses = await tx.scalars(select(BreakGlass.id).where(BreakGlass.ended_at.is_(None)))
    keys = [
        *(f"glass:{each}" for each in glasses),
        *(f"ask:{each}" for each in asks),
        *(f"outage:{each}" for each in outages),
        *(f"resend:{each}" for each in resends),
        *(f"notice:{each}" for each in notices),
    ]
    rows = await tx.scalars(select(Post).where(Post.key.in_(keys), Post.ts.is_not(None)).order_by(Post.id))
    return rows.all()


async def attempt(tx: Tx, post_id: int, at: datetime) -> None:
    """A first post leaves now: until its ts is known, look for it before posting again."""
    await tx.execute(update(Post).where(Post.id == post_id).values(attempted_at=func.coalesce(Post.attempted_at, at)))


async def posted(tx: Tx, post_id: int, *, channel: str, ts: str) -> None:
    """The message exists, with nothing said yet of what it shows."""
    await tx.execute(update(Post).where(Post.id == post_id).values(channel=channel, ts=ts, attempted_at=None))


async def shown(tx: Tx, post_id: int, *, version: int, look: str) -> None:
    """The message shows this version; `look` is the hash of what people see."""
    await tx.execute(
        update(Post).where(Post.id == post_id).values(posted=version, shown=look, attempts=0, next_at=None, error=None)
    )


async def failed(tx: Tx, post_id: int, *, error: str, next_at: datetime, refused: bool) -> None:
    """Try again at `next_at`. With `refused` Slack said that it did not post, so there is nothing to look for."""
    values = {"attempts": Post.attempts + 1, "error": error, "next_at": next_at}
    if refused:
        values["attempted_at"] = None
    await tx.execute(update(Post).where(Post.id == post_id).values(**values))


async def lost(tx: Tx, key: str) -> None:
    """The message is gone from Slack: it is to be posted again."""
    await tx.execute(
        update(Post)
        .where(Post.key == key)
        .values(channel=None, ts=None, posted=0, shown=None, attempted_at=None, next_at=None)
    )


async def hurry(tx: Tx, errors: Iterable[str]) -> None:
    """Slack answers again: what waits because of one of these errors need not wait any longer."""
    await tx.execute(update(Post).where(Post.posted < Post.wanted, Post.error.in_(list(errors))).values(next_at=None))


async def hurry_all(tx: Tx) -> None:
    """There is a new token: whatever waits is tried at once."""
    await tx.execute(update(Post).where(Post.posted < Post.wanted).values(next_at=None))


async def trouble(tx: Tx) -> Trouble:
    """For status and check: is Slack behind, and why."""
    row = (await tx.execute(select(func.count(), func.min(Post.created_at)).where(Post.posted < Post.wanted))).one()
    error = await tx.scalar(
        select(Post.error).where(Post.posted < Post.wanted, Post.error.is_not(None)).order_by(Post.id).limit(1)
    )
    return Trouble(row[0], row[1], error)
