"""Forms: when they open, what is wrong with what was filled in, and what becomes of it."""

from collections.abc import Awaitable

from bot.errors import SHOWABLE


async def found_wrong(attempt: Awaitable[object]) -> str | None:
    """The sentence with which this is refused; None when it is not."""
    try:
        await attempt
    except SHOWABLE as error:
        return str(error)
    return None
