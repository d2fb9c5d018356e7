"""Which outage a command means, and whether it may be changed: for the deed and for its plan."""

from bot.clock import now
from bot.errors import BadInputError, WrongStateError
from bot.services.outage_reading import pick
from bot.services.words import joined, moment
from storage.db import Tx
from storage.models import Outage, OutageState, Severity

TEXT_MAX = 2000
TITLE_MAX = 300
SEVERITIES = tuple(each.value for each in Severity)
"""The mildest first."""


async def open_one(tx: Tx, outage_id: int | None) -> Outage:
    """As `pick`, but a resolved one is refused with who resolved it."""
    outage = await pick(tx, outage_id)
    if outage.state == OutageState.RESOLVED:
        raise WrongStateError(await too_late(tx, outage.id))
    return outage


async def to_acknowledge(tx: Tx, outage_id: int | None) -> Outage:
    """Raises WrongStateError, with who has it, when somebody was first."""
    outage = await open_one(tx, outage_id)
    if outage.acknowledged_at is not None and outage.state != OutageState.OPEN:
        raise WrongStateError(await too_late(tx, outage.id, "Already acknowledged"))
    return outage


def check_severity(word: str) -> None:
    """Raises BadInputError for another word."""
    if word not in SEVERITIES:
        raise BadInputError(f"Say how bad it is: {joined(SEVERITIES, 'or')}. /outage severity major")


async def to_grade(tx: Tx, outage_id: int | None, word: str) -> Outage:
    """Raises WrongStateError when it is over, or of this severity already."""
    outage = await open_one(tx, outage_id)
    if outage.severity == word:
        raise WrongStateError(f"Outage #{outage.id} is {word} already. Nothing was changed.")
    return outage


def is_worse(word: str, was: str) -> bool:
    return SEVERITIES.index(word) > SEVERITIES.index(was)


async def too_late(tx: Tx, outage_id: int, otherwise: str = "Somebody changed it") -> str:
    """Who was first: the sentence for the second of two people."""
    outage = await pick(tx, outage_id)
    if outage.state == OutageState.RESOLVED and outage.resolved_at is not None:
        return (
            f"Outage #{outage.id} was resolved by {outage.resolved_by} at {moment(outage.resolved_at, now())}. "
            "If it is back, declare it: /outage declare SERVER TEXT"
        )
    if outage.acknowledged_at is None:
        return f"{otherwise} at this moment. Try again."
    return f"{otherwise} by {outage.acknowledged_by} at {moment(outage.acknowledged_at, now())}."


def said_of(text: str, what: str, usage: str, longest: int = TEXT_MAX) -> str:
    """What a person typed. Raises BadInputError when there is nothing or too much."""
    said = text.strip()
    if not said:
        raise BadInputError(f"Say {what}: {usage}")
    if len(said) > longest:
        raise BadInputError(f"That is {len(said):,} characters long. Keep it to {longest:,}.")
    return said
