"""Servers: looked up, kept in step with the settings, judged, drained and failed over. It never decides."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update

from storage.db import Tx
from storage.models import Maintenance, MaintenanceState, Outage, OutageServer, OutageState, Server
from storage.upserts import insert_into


async def get(tx: Tx, server_id: int) -> Server | None:
    return await tx.get(Server, server_id, populate_existing=True)


async def lock(tx: Tx, server_ids: Iterable[int]) -> dict[int, Server]:
    """The servers as they are, kept so until the transaction ends: id -> server."""
    rows = await tx.scalars(
        select(Server)
        .where(Server.id.in_(list(server_ids)))
        .order_by(Server.id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    return {server.id: server for server in rows}


async def every(tx: Tx) -> list[Server]:
    """All servers in order of their names."""
    return list(await tx.scalars(select(Server).order_by(Server.name).execution_options(populate_existing=True)))


async def add(tx: Tx, values: dict[str, Any]) -> int | None:
    """Add a server. Returns its id; None when the name is taken."""
    statement = insert_into(tx, Server).values(**values).on_conflict_do_nothing(index_elements=["name"])
    return await tx.scalar(statement.returning(Server.id))


async def by_name(tx: Tx, name: str) -> Server | None:
    return (await tx.scalars(select(Server).where(Server.name == name))).one_or_none()


async def change(tx: Tx, server_id: int, **values: Any) -> None:
    await tx.execute(
        update(Server).where(Server.id == server_id).values(**values).execution_options(synchronize_session=False)
    )


async def ways_of(tx: Tx, server_ids: Iterable[int]) -> dict[int, dict[str, Any]]:
    """Which way the mail of each server goes, as columns: id -> whether it is drained, and who carries it."""
    rows = await tx.execute(
        select(
            Server.id,
            Server.failover_to_id,
            Server.failover_at,
            Server.failover_by,
            Server.returning_from_id,
            Server.returning_since,
            Server.returning_until,
            Server.drained_at,
            Server.drained_by,
        ).where(Server.id.in_(list(server_ids)))
    )
    return {row["id"]: {key: row[key] for key in row if key != "id"} for row in rows.mappings()}


async def carried_by(tx: Tx, server_id: int) -> list[Server]:
    """The servers whose campaigns this one carries for them."""
    return list(await tx.scalars(select(Server).where(Server.failover_to_id == server_id).order_by(Server.name)))


async def fellows(tx: Tx, server_ids: Iterable[int]) -> list[int]:
    """These servers and all that are in a pool with one of them, whose mail is theirs too."""
    ids = list(server_ids)
    pools = select(Server.pool).where(Server.id.in_(ids), Server.pool.is_not(None))
    return list(await tx.scalars(select(Server.id).where(Server.id.in_(ids) | Server.pool.in_(pools))))


async def returning(tx: Tx) -> list[Server]:
    """The servers that grow back into their work, and those whose time for that is over and was not told yet."""
    query = select(Server).where(Server.returning_since.is_not(None)).order_by(Server.id)
    return list(await tx.scalars(query.execution_options(populate_existing=True)))


async def failed_over(tx: Tx) -> list[Server]:
    query = select(Server).where(Server.failover_to_id.is_not(None)).order_by(Server.id)
    return list(await tx.scalars(query.execution_options(populate_existing=True)))


async def last_outage_of(tx: Tx, server_id: int) -> Outage | None:
    """The newest one on the server, whether or not it is over."""
    return await tx.scalar(
        select(Outage)
        .join(OutageServer, OutageServer.outage_id == Outage.id)
        .where(OutageServer.server_id == server_id)
        .order_by(Outage.id.desc())
        .limit(1)
    )


async def active_windows(tx: Tx, at: datetime) -> dict[int, Maintenance]:
    """The maintenance window that covers each server at this moment: server id -> window.

    Computed from the times, never from a job having fired.
    """
    rows = await tx.scalars(
        select(Maintenance)
        .where(
            Maintenance.state.in_([MaintenanceState.SCHEDULED, MaintenanceState.ACTIVE]),
            Maintenance.starts_at <= at,
            Maintenance.ends_at > at,
        )
        .order_by(Maintenance.ends_at)
    )
    return {window.server_id: window for window in rows}


async def ending_windows(tx: Tx, at: datetime, within: timedelta) -> set[int]:
    """The servers whose window was over less than `within` ago, and whose end is still to be judged."""
    return set(
        await tx.scalars(
            select(Maintenance.server_id).where(
                Maintenance.state == MaintenanceState.ACTIVE,
                Maintenance.ends_at <= at,
                Maintenance.ends_at > at - within,
            )
        )
    )


async def open_outages(tx: Tx) -> dict[int, Outage]:
    """The unresolved outage of each server that has one, the latest where there are several."""
    rows = await tx.execute(
        select(OutageServer.server_id, Outage)
        .join(Outage, Outage.id == OutageServer.outage_id)
        .where(Outage.state != OutageState.RESOLVED)
        .order_by(Outage.id)
    )
    return dict(rows.all())


async def outages_of(tx: Tx, server_id: int) -> list[Outage]:
    """The unresolved outages of one server, oldest first."""
    rows = await tx.scalars(
        select(Outage)
        .join(OutageServer, OutageServer.outage_id == Outage.id)
        .where(OutageServer.server_id == server_id, Outage.state != OutageState.RESOLVED)
        .order_by(Outage.id)
    )
    return list(rows)
