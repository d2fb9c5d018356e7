"""Entries of one thread that wait at the same moment become one message: nobody reads a flood.

Its first entry owns the message: by its key it is found again, and its row holds what the message shows. The others
point to it, and the metadata names them all, so that a crash between the post and its note loses and doubles nothing.
"""

from collections.abc import Awaitable, Callable, Sequence
from itertools import takewhile

from bot.slack.blocks import View
from bot.slack.views import timeline as views
from storage import posts
from storage.db import Database
from storage.models import Post

MOST = 20
"""Entries of one message: as many as a phone shows in two screens."""
_LONGEST = 2_900
"""Characters of one message, which is one section."""
_TIME = 50
"""Characters that the time of an entry takes, in Slack's markup."""

Draw = Callable[[str], Awaitable[View | None]]
"""Draws the message of a key from the present state; None when what it showed is gone."""


async def gather(db: Database, draw: Draw, first: Post, view: View) -> tuple[View, Sequence[Post]]:
    """The message that begins with `first`, drawn as `view`, and what it shows besides."""
    text = _only_text(view)
    if text is None or not _joins(first):
        return view, ()
    async with db.read() as tx:
        waiting = await posts.following(tx, first, MOST - 1)
    lines, joined = [(first.created_at, text)], []
    left = _LONGEST - len(text) - _TIME
    for post in takewhile(lambda post: _joins(post) and post.attempted_at is None, waiting):
        drawn = await draw(post.key)
        text = _only_text(drawn) if drawn else None
        if text is None or (left := left - len(text) - _TIME) < 0:
            break
        lines.append((post.created_at, text))
        joined.append(post)
    return (views.burst(lines), joined) if joined else (view, ())


async def redraw(db: Database, draw: Draw, owner: Post) -> View | None:
    """The message of `owner` as it is now, with all that it shows."""
    view = await draw(owner.key)
    if view is None or not _joins(owner):
        return view
    async with db.read() as tx:
        members = await posts.members(tx, owner.key)
    drawn = [(owner.created_at, view), *[(each.created_at, await draw(each.key)) for each in members]]
    lines = [(at, each and _only_text(each)) for at, each in drawn]
    kept = [(at, text) for at, text in lines if text]
    return views.burst(kept) if len(kept) > 1 else view


def _joins(post: Post) -> bool:
    """A reply that only says something. Cards have buttons, and a broadcast is there to be seen by itself."""
    return post.key.startswith("timeline:") and post.parent_key is not None and not post.broadcast


def _only_text(view: View) -> str | None:
    """The text of a message that is nothing but text."""
    if len(view.blocks) != 1 or view.blocks[0]["type"] != "section" or set(view.blocks[0]) != {"type", "text"}:
        return None
    return str(view.blocks[0]["text"]["text"])
