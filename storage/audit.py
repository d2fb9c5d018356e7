"""The timeline read as an audit log: filtered, in pages that do not shift while rows are added."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, Text, cast, or_, select

from storage.db import Tx
from storage.models import Campaign, Server, Timeline

_COLUMNS = {
    "outage": Timeline.outage_id,
    "server": Timeline.server_id,
    "campaign": Timeline.campaign_id,
    "resend": Timeline.resend_id,
    "notice": Timeline.notice_id,
    "maintenance": Timeline.maintenance_id,
}
NOUNS = tuple(_COLUMNS)
"""What a row can be about."""


@dataclass(frozen=True)
class Wanted:
    """Which rows. None means any."""

    actors: Sequence[str] | None = None
    """As the column has them: one person may stand there in several spellings."""
    kinds: Sequence[str] | None = None
    about: tuple[str, int] | None = None
    """A noun of NOUNS and an id."""
    name: str | None = None
    """A campaign's name, for rows about several campaigns, which carry their names and no id."""
    since: datetime | None = None


@dataclass(frozen=True)
class Row:
    """An entry with the names of what it is about."""

    entry: Timeline
    campaign: str | None
    server: str | None


async def newest(tx: Tx, wanted: Wanted, limit: int, *, before: int | None = None) -> list[Row]:
    """Newest first; with `before` only what is older than the row with that id."""
    query = _rows(wanted).order_by(Timeline.id.desc()).limit(limit)
    return await _fetch(tx, query if before is None else query.where(Timeline.id < before))


async def following(tx: Tx, wanted: Wanted, limit: int, *, after: int) -> list[Row]:
    """Oldest first: what came after the row with that id."""
    return await _fetch(tx, _rows(wanted).where(Timeline.id > after).order_by(Timeline.id).limit(limit))


async def start_of_newest(tx: Tx, wanted: Wanted, most: int) -> int | None:
    """The id of the row before the newest `most`; None when there are no more than those."""
    query = select(Timeline.id).where(*_conditions(wanted)).order_by(Timeline.id.desc()).offset(most).limit(1)
    return await tx.scalar(query)


async def actors(tx: Tx) -> Sequence[str]:
    """Everybody who stands in it, in every spelling."""
    return (await tx.scalars(select(Timeline.actor).distinct().order_by(Timeline.actor))).all()


async def kinds(tx: Tx) -> Sequence[str]:
    return (await tx.scalars(select(Timeline.kind).distinct().order_by(Timeline.kind))).all()


async def recorded(tx: Tx, kind: str, actor: str, since: datetime) -> Sequence[str]:
    """The texts of this kind by this actor from `since` on."""
    query = select(Timeline.text).where(Timeline.kind == kind, Timeline.actor == actor, Timeline.at >= since)
    return (await tx.scalars(query)).all()


def _rows(wanted: Wanted) -> Select[Timeline, str, str]:
    return (
        select(Timeline, Campaign.name, Server.name)
        .outerjoin(Campaign, Campaign.id == Timeline.campaign_id)
        .outerjoin(Server, Server.id == Timeline.server_id)
        .where(*_conditions(wanted))
    )


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.actors is not None:
        found.append(Timeline.actor.in_(wanted.actors))
    if wanted.kinds is not None:
        found.append(Timeline.kind.in_(wanted.kinds))
    if wanted.about is not None:
        noun, number = wanted.about
        about = _COLUMNS[noun] == number
        if wanted.name is not None:
            among = cast(Timeline.data, Text).contains(f'"{wanted.name}"', autoescape=True)
            about = or_(about, Timeline.kind.startswith("campaign.") & Timeline.campaign_id.is_(None) & among)
        found.append(about)
    if wanted.since is not None:
        found.append(Timeline.at >= wanted.since)
    return found


async def _fetch(tx: Tx, query: Select[Timeline, str, str]) -> list[Row]:
    return [Row(entry, campaign, server) for entry, campaign, server in await tx.execute(query)]
