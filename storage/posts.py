"""Slack messages that should exist, as the announcer works through them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

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


_AT_PEACE: Mapping[str, Any] = {
    "attempts": 0, "next_at": None, "error": None, "code": None, "failing_since": None,
}  # fmt: skip
"""What is written of a message that is shown as it should be."""
_NOT_AWAY = ("broken", "ratelimited")
"""Codes of what waits while Slack takes other messages."""


@dataclass(frozen=True)
class WaitingThread:
    """What waits in one thread. `key` is that of its head: `outage:3`, or `timeline:41` in the channel itself."""

    key: str
    waiting: int
    since: datetime | None


@dataclass(frozen=True)
class Trouble:
    """How the announcer stands with Slack: what waits, since when, and the error of the oldest that failed."""

    waiting: int
    since: datetime | None
    error: str | None
    threads: tuple[WaitingThread, ...] = ()
    """Where it waits, the fullest first."""


@dataclass(frozen=True)
class Absence:
    """Slack does not take messages: since when, and why in a sentence."""

    since: datetime
    error: str


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


async def posted(tx: Tx, post_id: int, *, channel: str, ts: str, at: datetime) -> None:
    """The message exists, with nothing said yet of what it shows."""
    await tx.execute(
        update(Post).where(Post.id == post_id).values(channel=channel, ts=ts, attempted_at=None, taken_at=at)
    )


async def shown(tx: Tx, post_id: int, *, version: int, look: str) -> None:
    """The message shows this version; `look` is the hash of what people see."""
    await tx.execute(update(Post).where(Post.id == post_id).values(posted=version, shown=look, **_AT_PEACE))


async def failed(
    tx: Tx, post_id: int, *, error: str, code: str, at: datetime, next_at: datetime, refused: bool
) -> None:
    """Try again at `next_at`. With `refused` Slack said that it did not post, so there is nothing to look for."""
    values = {
        "attempts": Post.attempts + 1,
        "error": error,
        "code": code,
        "failing_since": func.coalesce(Post.failing_since, at),
        "next_at": next_at,
    }
    if refused:
        values["attempted_at"] = None
    await tx.execute(update(Post).where(Post.id == post_id).values(**values))


async def lost(tx: Tx, key: str) -> None:
    """The message is gone from Slack: all that it showed is to be posted again."""
    await tx.execute(
        update(Post)
        .where(or_(Post.key == key, Post.joined_into == key))
        .values(channel=None, ts=None, posted=0, shown=None, attempted_at=None, next_at=None, joined_into=None)
    )


# Bursts: entries that one message shows


async def following(tx: Tx, first: Post, most: int) -> Sequence[Post]:
    """What comes after `first` in its thread and is not in Slack yet, in order."""
    rows = await tx.scalars(
        select(Post)
        .where(Post.posted < Post.wanted, Post.ts.is_(None), Post.parent_key == first.parent_key, Post.id > first.id)
        .order_by(Post.id)
        .limit(most)
    )
    return rows.all()


async def members(tx: Tx, owner: str) -> Sequence[Post]:
    """What the message of `owner` shows besides it, in order."""
    rows = await tx.scalars(select(Post).where(Post.joined_into == owner).order_by(Post.id))
    return rows.all()


async def join(tx: Tx, owner: str, versions: Mapping[str, int], *, channel: str, ts: str, at: datetime) -> None:
    """The message of `owner` shows these too: key -> the version that it shows."""
    for version in set(versions.values()):
        keys = [key for key, shows in versions.items() if shows == version]
        await tx.execute(
            update(Post)
            .where(Post.key.in_(keys), Post.ts.is_(None))
            .values(
                joined_into=owner, channel=channel, ts=ts, taken_at=at, posted=version, attempted_at=None, **_AT_PEACE
            )
        )


async def versions(tx: Tx, keys: Iterable[str]) -> dict[str, int]:
    """Key -> the version that is wanted now."""
    rows = await tx.execute(select(Post.key, Post.wanted).where(Post.key.in_(list(keys))))
    return dict(rows.all())


async def pass_on(tx: Tx, post: Post) -> None:
    """It has changed, and its owner's message shows it: that one is to be edited."""
    await tx.execute(update(Post).where(Post.key == post.joined_into).values(wanted=Post.wanted + 1))
    await tx.execute(update(Post).where(Post.id == post.id).values(posted=post.wanted, **_AT_PEACE))


async def hurry(tx: Tx, errors: Iterable[str]) -> None:
    """Slack answers again: what waits because of one of these errors need not wait any longer."""
    await tx.execute(update(Post).where(Post.posted < Post.wanted, Post.error.in_(list(errors))).values(next_at=None))


async def hurry_all(tx: Tx) -> None:
    """There is a new token: whatever waits is tried at once."""
    await tx.execute(update(Post).where(Post.posted < Post.wanted).values(next_at=None))


async def trouble(tx: Tx) -> Trouble:
    """For status and check: is Slack behind, where, and why."""
    rows = await tx.execute(
        select(Post.key, Post.parent_key, Post.created_at, Post.ts, Post.failing_since, Post.error)
        .where(Post.posted < Post.wanted)
        .order_by(Post.id)
    )
    waits: dict[str, list[datetime | None]] = defaultdict(list)
    error: str | None = None
    for row in rows:
        # A message that is there waits for an edit only, and since when nobody wrote down before that failed.
        waits[row.parent_key or row.key].append(row.failing_since if row.ts else row.created_at)
        error = error or row.error
    threads = [WaitingThread(key, len(times), _earliest(times)) for key, times in waits.items()]
    threads.sort(key=lambda thread: -thread.waiting)
    waiting = sum(thread.waiting for thread in threads)
    return Trouble(waiting, _earliest([thread.since for thread in threads]), error, tuple(threads))


def _earliest(times: Iterable[datetime | None]) -> datetime | None:
    return min((each for each in times if each is not None), default=None)


async def absence(tx: Tx) -> Absence | None:
    """Whether Slack is away: something cannot be shown, and since then nothing was taken."""
    failing = await tx.scalar(
        select(Post)
        .where(Post.posted < Post.wanted, Post.failing_since.is_not(None), Post.code.not_in(_NOT_AWAY))
        .order_by(Post.failing_since, Post.id)
        .limit(1)
    )
    if failing is None or failing.failing_since is None:
        return None
    taken = await tx.scalar(select(func.max(Post.taken_at)).where(Post.taken_at >= failing.failing_since))
    # What is refused while other messages are taken is a message's own trouble, unless all others fail since then.
    since = failing.failing_since if taken is None else await _failing_after(tx, taken)
    return Absence(since, failing.error or "") if since is not None else None


async def _failing_after(tx: Tx, moment: datetime) -> datetime | None:
    return await tx.scalar(
        select(func.min(Post.failing_since)).where(
            Post.posted < Post.wanted, Post.failing_since > moment, Post.code.not_in(_NOT_AWAY)
        )
    )


async def unposted(tx: Tx, keys: Iterable[str]) -> set[str]:
    """Those of the messages that Slack has not taken yet."""
    return set(await tx.scalars(select(Post.key).where(Post.key.in_(list(keys)), Post.ts.is_(None))))
