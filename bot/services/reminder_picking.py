"""Whether the reminders of an outage may be put off, ended or begun again: for the deed and for its plan."""

from datetime import datetime, timedelta
from typing import Literal

from bot.errors import BadInputError, WrongStateError
from bot.services.when import lasting
from storage.models import Outage, OutageState

Wish = Literal["never", "again"]
OVER = "Outage #{} is over, so nobody is reminded of it. Nothing was changed."
ALREADY_OFF = "Reminders of outage #{} are off already. Nothing was changed."
ALREADY_ON = "Reminders of outage #{} are on already. Nothing was changed."
_LONGEST = timedelta(days=2)


def check_length(length: timedelta) -> None:
    """Raises BadInputError for one that nobody would come back from."""
    if length > _LONGEST:
        raise BadInputError(f"That is longer than {lasting(_LONGEST)}. Use /outage remind never, or a shorter time.")


def check_open(outage: Outage) -> None:
    """Raises WrongStateError when it is over."""
    if outage.state == OutageState.RESOLVED:
        raise WrongStateError(OVER.format(outage.id))


def check_wish(outage: Outage, wish: Wish) -> None:
    """Raises WrongStateError when it is so already. One that was put off can be begun again at once."""
    off = outage.reminders_off_at is not None
    if wish == "never" and off:
        raise WrongStateError(ALREADY_OFF.format(outage.id))
    if wish == "again" and not off and outage.reminders_from is None:
        raise WrongStateError(ALREADY_ON.format(outage.id))


def way_back(outage: Outage, at: datetime) -> str:
    """The command that makes the reminders what they are now, as a sentence."""
    if outage.reminders_off_at is not None:
        wish = "never"
    elif outage.reminders_from is not None and outage.reminders_from > at:
        wish = lasting(outage.reminders_from - at)
    else:
        wish = "again"
    return f"Undo it with /outage remind #{outage.id} {wish}"
