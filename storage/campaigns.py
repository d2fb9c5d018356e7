"""Campaigns: looked up, listed with their servers, and moved from state to state. It never decides."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, delete, or_, select, update

from storage.db import Tx
from storage.models import (
    Campaign,
    CampaignState,
    Hold,
    Outage,
    OutageCampaign,
    OutageState,
    Server,
)
from storage.upserts import insert_into
from storage.ways import Ways

MAILING = "campaign"
"""The kind of what people import; `notice` is the mailing of a notice."""
IMPORTING = "importing"
"""The kind of a campaign that is not whole yet: nobody sees it."""
GIVEN_UP = "given_up"
"""The kind of an import that failed and is being deleted."""

LIVE = (CampaignState.SCHEDULED, CampaignState.SENDING, CampaignState.PAUSING, CampaignState.PAUSED)


class Placed(NamedTuple):
    """A campaign, the server it belongs to and the one that stands in for it; they differ after a failover."""

    campaign: Campaign
    server: Server
    carrier: Server
    carriers: tuple[Server, ...] = ()
    """All that carry it now, by name, of a pool or beside a server that returns; empty: `carrier` alone."""

    @property
    def through(self) -> tuple[Server, ...]:
        """The servers that carry it now. Never none."""
        return self.carriers or (self.carrier,)

    @property
    def pool(self) -> str | None:
        """The pool whose servers share it."""
        return self.server.pool if self.carriers else None


async def get(tx: Tx, campaign_id: int) -> Campaign | None:
    return await tx.get(Campaign, campaign_id, populate_existing=True)


async def by_name(tx: Tx, name: str) -> Campaign | None:
    """The campaign of exactly this name, of any kind."""
    return (await tx.scalars(select(Campaign).where(Campaign.name == name))).one_or_none()


async def names(tx: Tx) -> list[str]:
    """The names of all campaigns that people imported, newest first."""
    return list(await tx.scalars(select(Campaign.name).where(Campaign.kind == MAILING).order_by(Campaign.id.desc())))


async def names_of(tx: Tx, campaign_ids: Iterable[int]) -> dict[int, str]:
    rows = await tx.execute(select(Campaign.id, Campaign.name).where(Campaign.id.in_(list(campaign_ids))))
    return {row.id: row.name for row in rows}


async def placed(tx: Tx, at: datetime, *conditions: ColumnElement[bool], lock_servers: bool = False) -> list[Placed]:
    """Campaigns that people imported, with the servers that carry them at that moment, newest first.

    `lock_servers` (PostgreSQL) keeps the servers' health and failover as they are until the transaction ends.
    """
    query = (
        select(Campaign)
        .where(Campaign.kind == MAILING, *conditions)
        .order_by(Campaign.id.desc())
        .execution_options(populate_existing=True)
    )
    if lock_servers:
        # In one order, whoever locks: of a pool all servers count, and two of them may be looked at at once.
        own = (await tx.scalars(query.with_only_columns(Campaign.server_id))).all()
        ways = await Ways.read(tx, at)
        ids = {each.id for server_id in own for each in (*ways.fellows(server_id), *ways.carriers(server_id))}
        locked = select(Server.id).where(Server.id.in_(ids)).order_by(Server.id)
        await tx.execute(locked.with_for_update(read=True))
    found = (await tx.scalars(query)).all()
    ways = await Ways.read(tx, at)
    return [_placed(campaign, ways) for campaign in found]


def _placed(campaign: Campaign, ways: Ways) -> Placed:
    server, carriers = ways.servers[campaign.server_id], ways.carriers(campaign.server_id)
    carrier = ways.stand_in(server)
    alone = server.pool is None and carriers == (carrier,)
    return Placed(campaign, server, carrier, () if alone else carriers)


async def placed_by_id(
    tx: Tx, campaign_ids: Iterable[int], at: datetime, *, lock_servers: bool = False
) -> list[Placed]:
    return await placed(tx, at, Campaign.id.in_(list(campaign_ids)), lock_servers=lock_servers)


async def placed_by_name(tx: Tx, name: str, at: datetime, *, lock_servers: bool = False) -> Placed | None:
    found = await placed(tx, at, Campaign.name == name, lock_servers=lock_servers)
    return found[0] if found else None


async def in_states(
    tx: Tx, states: Iterable[CampaignState], at: datetime, *, lock_servers: bool = False
) -> list[Placed]:
    return await placed(tx, at, Campaign.state.in_(list(states)), lock_servers=lock_servers)


async def sending_through(tx: Tx, server_id: int, at: datetime) -> list[Campaign]:
    """Campaigns in state sending that this server carries now, alone or with others."""
    ways = await Ways.read(tx, at)
    return await _of(tx, ways.carried_by(server_id), (CampaignState.SENDING,))


async def sending_only_through(tx: Tx, server_id: int, at: datetime) -> list[Campaign]:
    """Campaigns in state sending that have no other way than this server."""
    return await _only_through(tx, server_id, at, (CampaignState.SENDING,))


async def live_only_through(tx: Tx, server_id: int, at: datetime) -> list[Campaign]:
    """Campaigns that are not at their end and that have no other way than this server."""
    return await _only_through(tx, server_id, at, LIVE)


async def _only_through(tx: Tx, server_id: int, at: datetime, states: Iterable[CampaignState]) -> list[Campaign]:
    ways = (await Ways.read(tx, at)).without(server_id)
    return await _of(tx, ways.carried_by(server_id), states)


async def going_on_without(tx: Tx, server_id: int, at: datetime) -> list[Placed]:
    """Campaigns in state sending that this server would carry too, and that go on through others without it."""
    ways = (await Ways.read(tx, at)).without(server_id)
    own = set(ways.claimed_by(server_id)) - set(ways.carried_by(server_id))
    return [_placed(each, ways) for each in await _of(tx, own, (CampaignState.SENDING,))]


async def live_through(tx: Tx, server_id: int, at: datetime) -> list[Campaign]:
    """Campaigns that are not at their end and that this server carries now, alone or with others."""
    ways = await Ways.read(tx, at)
    return await _of(tx, ways.carried_by(server_id), LIVE)


async def _of(tx: Tx, server_ids: Iterable[int], states: Iterable[CampaignState]) -> list[Campaign]:
    """Campaigns of these servers in these states, by name."""
    rows = await tx.scalars(
        select(Campaign)
        .where(Campaign.kind == MAILING, Campaign.state.in_(list(states)), Campaign.server_id.in_(list(server_ids)))
        .order_by(Campaign.name)
        .execution_options(populate_existing=True)
    )
    return list(rows)


async def live_of(tx: Tx, server_ids: Iterable[int]) -> list[Campaign]:
    """Campaigns of these servers that are not at their end, whoever carries them, by name."""
    return await _of(tx, server_ids, LIVE)


async def names_by_carrier(tx: Tx, at: datetime) -> dict[int, list[str]]:
    """Which live campaigns each server carries now: server id -> names, in order."""
    ways = await Ways.read(tx, at)
    rows = await tx.execute(
        select(Campaign.server_id, Campaign.name)
        .where(Campaign.kind == MAILING, Campaign.state.in_(list(LIVE)))
        .order_by(Campaign.name)
    )
    result: dict[int, list[str]] = {}
    for server_id, name in rows:
        for way in ways.of(server_id):
            result.setdefault(way.server_id, []).append(name)
    return result


async def held(
    tx: Tx, hold: Hold, *, outage_id: int | None, maintenance_id: int | None, server_ids: Sequence[int] | None
) -> list[int]:
    """Ids of the campaigns that are stopped, or being stopped, by exactly this."""
    query = select(Campaign.id).where(
        Campaign.hold == hold,
        Campaign.wish == CampaignState.PAUSED,
        Campaign.state.in_([CampaignState.PAUSING, CampaignState.PAUSED]),
        Campaign.hold_outage_id.is_not_distinct_from(outage_id),
        Campaign.hold_maintenance_id.is_not_distinct_from(maintenance_id),
    )
    if server_ids is not None:
        query = query.where(Campaign.server_id.in_(list(server_ids)))
    return list(await tx.scalars(query.order_by(Campaign.id)))


async def lock(tx: Tx, campaign_ids: Iterable[int]) -> None:
    """Keep campaigns as they are until the transaction ends: on PostgreSQL, for SQLite has one writer anyway.

    Always in one order, so that two who move many at once wait for each other instead of deadlocking.
    """
    if tx.get_bind().dialect.name == "sqlite":
        return
    await tx.execute(
        select(Campaign.id)
        .where(Campaign.id.in_(list(campaign_ids)))
        .order_by(Campaign.id)
        .with_for_update(key_share=True)
    )


async def move(
    tx: Tx,
    campaign_ids: Iterable[int],
    states: Iterable[CampaignState],
    wishing: CampaignState | None = None,
    **changes: Any,
) -> list[Campaign]:
    """Change those that are still in one of `states` (and still wish to be `wishing`). Returns them by name.

    Whoever comes second finds another state and changes nothing, on both databases.
    """
    ids = list(campaign_ids)
    await lock(tx, ids)
    conditions: list[ColumnElement[bool]] = [Campaign.id.in_(ids), Campaign.state.in_(list(states))]
    if wishing is not None:
        conditions.append(Campaign.wish == wishing)
    rows = await tx.scalars(
        update(Campaign)
        .where(*conditions)
        .values(**changes)
        .returning(Campaign)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    return sorted(rows.all(), key=lambda campaign: campaign.name)


async def holds_of(tx: Tx, campaign_ids: Iterable[int]) -> dict[int, dict[str, Any]]:
    """What holds each of them at this moment, and keeps it so until the transaction ends: id -> columns."""
    ids = list(campaign_ids)
    await lock(tx, ids)
    rows = await tx.execute(
        select(
            Campaign.id,
            Campaign.hold,
            Campaign.hold_reason,
            Campaign.hold_outage_id,
            Campaign.hold_maintenance_id,
        ).where(Campaign.id.in_(ids))
    )
    return {row["id"]: {key: row[key] for key in row if key != "id"} for row in rows.mappings()}


async def as_wished(tx: Tx, campaign_ids: Iterable[int], wish: CampaignState, at: datetime, by: str) -> list[Campaign]:
    """Those for which nobody has wished anything since `by` did so at that moment. Locked, as `lock` does."""
    ids = list(campaign_ids)
    await lock(tx, ids)
    rows = await tx.scalars(
        select(Campaign)
        .where(
            Campaign.id.in_(ids),
            Campaign.wish == wish,
            Campaign.wished_at == at,
            Campaign.wished_by == by,
            Campaign.state.in_([CampaignState.SENDING, CampaignState.PAUSING, CampaignState.PAUSED]),
        )
        .order_by(Campaign.name)
        .execution_options(populate_existing=True)
    )
    return list(rows)


async def take_over(tx: Tx, campaign_ids: Iterable[int], **changes: Any) -> list[Campaign]:
    """Change those that an outage or a window has stopped: from now on a person holds them. Returns them."""
    rows = await tx.scalars(
        update(Campaign)
        .where(
            Campaign.id.in_(list(campaign_ids)),
            Campaign.state.in_([CampaignState.PAUSING, CampaignState.PAUSED]),
            Campaign.wish == CampaignState.PAUSED,
            Campaign.hold.is_distinct_from(Hold.PERSON),
        )
        .values(**{**changes, "hold": Hold.PERSON})
        .returning(Campaign)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    return list(rows)


async def outages_of(tx: Tx, campaign_ids: Iterable[int]) -> dict[int, int]:
    """The unresolved outage that touches each campaign, the latest where there are several."""
    rows = await tx.execute(
        select(OutageCampaign.campaign_id, Outage.id)
        .join(Outage, Outage.id == OutageCampaign.outage_id)
        .where(OutageCampaign.campaign_id.in_(list(campaign_ids)), Outage.state != OutageState.RESOLVED)
        .order_by(Outage.id)
    )
    return dict(rows.all())


async def reserve(tx: Tx, values: dict[str, Any]) -> int | None:
    """Take a name for a campaign that is about to be imported. Returns its id; None when the name is taken."""
    statement = insert_into(tx, Campaign).values(**values).on_conflict_do_nothing(index_elements=["name"])
    return await tx.scalar(statement.returning(Campaign.id))


async def still_importing(tx: Tx, campaign_id: int, at: datetime) -> bool:
    """Say that an import goes on; False when it was given up meanwhile."""
    return await _importing(tx, campaign_id, state_since=at)


async def finish_import(tx: Tx, campaign_id: int, **values: Any) -> bool:
    """Make an imported campaign visible; False when it was given up meanwhile."""
    return await _importing(tx, campaign_id, kind=MAILING, **values)


async def _importing(tx: Tx, campaign_id: int, **values: Any) -> bool:
    changed = await tx.scalar(
        update(Campaign)
        .where(Campaign.id == campaign_id, Campaign.kind == IMPORTING)
        .values(**values)
        .returning(Campaign.id)
        .execution_options(synchronize_session=False)
    )
    return changed is not None


async def dead_imports(tx: Tx, since: datetime) -> list[int]:
    """Imports that have said nothing since then, because their process died, and those that were given up."""
    rows = await tx.scalars(
        select(Campaign.id).where(
            or_(and_(Campaign.kind == IMPORTING, Campaign.state_since < since), Campaign.kind == GIVEN_UP)
        )
    )
    return list(rows)


async def give_up_import(tx: Tx, campaign_id: int) -> None:
    """Free the name of an import and stop whoever still feeds it; its rows can then be deleted in peace."""
    await _importing(tx, campaign_id, kind=GIVEN_UP, name=Campaign.name + f"~{campaign_id}")


async def forget_import(tx: Tx, campaign_id: int) -> None:
    """Delete the row of an import that was given up, once its recipients and its message are gone."""
    await tx.execute(delete(Campaign).where(Campaign.id == campaign_id, Campaign.kind == GIVEN_UP))
