"""Entries of one thread that wait at the same moment become one message: nobody reads a flood.

Its first entry owns the message: by its key it is found again, and its row holds what the message shows. The others
point to it, and the metadata names them all, so that a crash between the post and its note loses and doubles nothing.
"""

from collections.abc import Sequence
from itertools import takewhile

from bot.slack.blocks import View
from bot.slack.views import timeline as views
from storage import posts, timeline
from storage.db import Database, Tx
from storage.models import Post

_KIND = "timeline:"
MOST = 20
"""Entries of one message: as many as a phone shows in two screens."""
_LONGEST = 2_900
"""Characters of one message, which is one section."""
_TIME = 50
"""Characters that the time of an entry takes, in Slack's markup."""


async def gather(db: Database, first: Post, view: View) -> tuple[View, Sequence[Post]]:
    """The message that begins with `first`, drawn as `view`, and what it shows besides."""
    text = _only_text(view)
    if text is None or not _joins(first):
        return view, ()
    async with db.read() as tx:
        waiting = await posts.following(tx, first, MOST - 1)
        fresh = list(takewhile(lambda post: _joins(post) and post.attempted_at is None, waiting))
        texts = await _texts(tx, fresh)
    lines, joined = [(first.created_at, text)], []
    left = _LONGEST - len(text) - _TIME
    for post in fresh:
        text = texts.get(post.key)
        if text is None or (left := left - len(text) - _TIME) < 0:
            break
        lines.append((post.created_at, text))
        joined.append(post)
    return (views.burst(lines), joined) if joined else (view, ())


async def redraw(db: Database, owner: Post, view: View) -> View:
    """The message of `owner`, which by itself is `view`, as it is now with all that it shows."""
    text = _only_text(view)
    if text is None or not _joins(owner):
        return view
    async with db.read() as tx:
        members = await posts.members(tx, owner.key)
        texts = await _texts(tx, members)
    lines = [(post.created_at, texts[post.key]) for post in members if post.key in texts]
    return views.burst([(owner.created_at, text), *lines]) if lines else view


def _joins(post: Post) -> bool:
    """A reply that only says something. Cards have buttons, and a broadcast is there to be seen by itself."""
    return post.key.startswith(_KIND) and post.parent_key is not None and not post.broadcast


async def _texts(tx: Tx, joined: Sequence[Post]) -> dict[str, str]:
    """Key -> what it says, of those that are nothing but text; read at once, since there may be hundreds."""
    rows = await timeline.some(tx, [int(post.key.removeprefix(_KIND)) for post in joined])
    texts = {f"{_KIND}{row.id}": _only_text(views.entry(row)) for row in rows}
    return {key: text for key, text in texts.items() if text is not None}


def _only_text(view: View) -> str | None:
    """The text of a message that is nothing but text."""
    if len(view.blocks) != 1 or view.blocks[0]["type"] != "section" or set(view.blocks[0]) != {"type", "text"}:
        return None
    return str(view.blocks[0]["text"]["text"])
