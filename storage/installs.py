"""The installation by OAuth that this database belongs to, and the states of those that are under way."""

from datetime import datetime

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from storage.db import Tx
from storage.models import Installation, InstallState

_ONLY = 1
"""One database belongs to one workspace: its threads and the ids of its people mean nothing in another."""


async def save(
    tx: Tx, *, team_id: str, team: str, secret: bytes, scopes: str, installed_by: str, at: datetime
) -> Installation:
    """Keep it, or keep it anew. Returns what is kept now: of another workspace, if that one came first."""
    insert = sqlite_insert if tx.get_bind().dialect.name == "sqlite" else postgresql_insert
    values = {
        "team_id": team_id,
        "team": team,
        "secret": secret,
        "scopes": scopes,
        "installed_by": installed_by,
        "installed_at": at,
    }
    row = insert(Installation).values(id=_ONLY, **values)
    same_team = Installation.team_id == row.excluded.team_id
    await tx.execute(row.on_conflict_do_update(index_elements=["id"], set_=values, where=same_team))
    return await tx.get_one(Installation, _ONLY)


async def get(tx: Tx) -> Installation | None:
    return await tx.get(Installation, _ONLY)


async def issue(tx: Tx, state: str, *, at: datetime, expires_at: datetime) -> None:
    """Somebody begins to install. Those who began and never came back are forgotten."""
    await tx.execute(delete(InstallState).where(InstallState.expires_at < at))
    tx.add(InstallState(state=state, expires_at=expires_at))


async def consume(tx: Tx, state: str, at: datetime) -> bool:
    """Whether this state was issued, is fresh, and is used for the first time."""
    used = delete(InstallState).where(InstallState.state == state, InstallState.expires_at >= at)
    return await tx.scalar(used.returning(InstallState.state)) is not None
