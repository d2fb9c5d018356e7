"""Paces of receiving providers, as the workers have learned them: kept over restarts, and shown."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import delete, or_, select

from storage.db import Tx
from storage.models import ProviderPace, Worker
from storage.upserts import insert_into

_KEY = ("server_id", "provider", "worker")


async def of_server(tx: Tx, server_id: int, since: datetime) -> Sequence[ProviderPace]:
    """Those through one server whose providers put us off since then, by the providers' names."""
    query = select(ProviderPace).where(ProviderPace.server_id == server_id, ProviderPace.put_off_at >= since)
    return (await tx.scalars(query.order_by(ProviderPace.provider, ProviderPace.worker))).all()


async def put(tx: Tx, worker: str, rows: Iterable[ProviderPace]) -> None:
    """Write them down as the worker's, whoever they came from, in the place of what it knew of the same providers."""
    columns = [column.key for column in ProviderPace.__table__.columns]
    values = [{column: getattr(row, column) for column in columns} | {"worker": worker} for row in rows]
    if not values:
        return
    statement = insert_into(tx, ProviderPace)
    changed = {column: statement.excluded[column] for column in columns if column not in _KEY}
    connection = await tx.connection()
    await connection.execute(statement.on_conflict_do_update(index_elements=_KEY, set_=changed), values)


async def end(tx: Tx, server_id: int, worker: str, providers: Iterable[str]) -> None:
    """These providers take this worker's mail at full pace again."""
    over = ProviderPace.provider.in_(list(providers))
    await tx.execute(
        delete(ProviderPace).where(ProviderPace.server_id == server_id, ProviderPace.worker == worker, over)
    )


async def clear(tx: Tx, server_id: int, worker: str, before: datetime) -> None:
    """Drop what this worker knew of a server, what workers knew that are gone, and what is older than `before`."""
    at_work = select(Worker.id).where(Worker.lost_at.is_(None), Worker.id != worker)
    gone = or_(ProviderPace.worker.not_in(at_work), ProviderPace.put_off_at < before)
    await tx.execute(
        delete(ProviderPace)
        .where(ProviderPace.server_id == server_id, gone)
        .execution_options(synchronize_session=False)
    )
