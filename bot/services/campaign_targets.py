"""Which campaigns a command means, and whether it may: picked once, for the deed and for its plan."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from bot.errors import NotFoundError, WrongStateError
from bot.services import holding
from bot.services.campaign_results import check
from bot.services.names import ALL, complete
from storage import campaigns
from storage.campaigns import Placed
from storage.db import Tx
from storage.models import CampaignState

_WHEN_NONE = "Import one with: holdfast import NAME message.eml recipients.csv"


class Resumable(NamedTuple):
    """Those that can go on, and why the others cannot: name -> sentence."""

    found: list[Placed]
    refused: Mapping[str, str]


def is_all(word: str) -> bool:
    return word.strip().casefold() == ALL


async def find(tx: Tx, word: str, at: datetime, *, lock: bool = False) -> Placed:
    """The campaign that is meant. Raises NotFoundError that names the near ones."""
    name = complete(word, await campaigns.names(tx), "campaign", _WHEN_NONE)
    found = await campaigns.placed_by_name(tx, name, at, lock_servers=lock)
    if found is None:
        raise NotFoundError(f"The campaign {name} has just been deleted.")
    return found


async def to_start(tx: Tx, word: str, at: datetime, *, lock: bool) -> Placed:
    """`lock` keeps the servers as they are until the transaction ends. Raises NotFoundError and WrongStateError."""
    placed = await find(tx, word, at, lock=lock)
    await check_start(tx, placed, at)
    return placed


async def check_start(tx: Tx, placed: Placed, at: datetime) -> None:
    """Whether it can be started now. Raises WrongStateError."""
    check("start", placed.campaign, at)
    _check_way(placed, await holding.Obstacles.read(tx, at), "was not started")


async def to_pause(tx: Tx, word: str, at: datetime) -> list[Placed]:
    """One campaign, or `all` that are sending. Raises NotFoundError and WrongStateError."""
    if is_all(word):
        return await campaigns.in_states(tx, [CampaignState.SENDING], at)
    placed = await find(tx, word, at)
    check("pause", placed.campaign, at)
    return [placed]


async def to_resume(tx: Tx, word: str, at: datetime, *, lock: bool) -> Resumable:
    """One campaign, or `all` that stand still. Raises NotFoundError; WrongStateError where the one cannot go on."""
    obstacles = await holding.Obstacles.read(tx, at)
    if not is_all(word):
        placed = await find(tx, word, at, lock=lock)
        check("resume", placed.campaign, at)
        _check_way(placed, obstacles, "stays paused")
        return Resumable([placed], {})
    standing = await campaigns.in_states(tx, [CampaignState.PAUSING, CampaignState.PAUSED], at, lock_servers=lock)
    standing = [each for each in standing if each.campaign.wish == CampaignState.PAUSED]
    refused = {each.campaign.name: why for each in standing if (why := obstacles.of(each))}
    return Resumable([each for each in standing if each.campaign.name not in refused], refused)


async def to_cancel(tx: Tx, word: str, at: datetime) -> Placed:
    """Raises NotFoundError and WrongStateError."""
    placed = await find(tx, word, at)
    check("cancel", placed.campaign, at)
    return placed


def _check_way(placed: Placed, obstacles: holding.Obstacles, what: str) -> None:
    obstacle = obstacles.of(placed)
    if obstacle:
        raise WrongStateError(f"{placed.campaign.name} {what}. {obstacle}")
