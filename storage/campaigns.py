"""Campaigns: looked up, listed with their servers, and moved from state to state. It never decides."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, update
from sqlalchemy.orm import aliased

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

MAILING = "campaign"
"""The kind of what people import; `notice` is the mailing of a notice."""
IMPORTING = "importing"
"""The kind of a campaign that is not whole yet: nobody sees it."""
GIVEN_UP = "given_up"
"""The kind of an import that failed and is being deleted."""

LIVE = (CampaignState.SCHEDULED, CampaignState.SENDING, CampaignState.PAUSING, CampaignState.PAUSED)
_carrier_id: ColumnElement[int] = func.coalesce(Server.failover_to_id, Server.id)


class Placed(NamedTuple):
    """A campaign, the server it belongs to and the one that carries it now; they differ after a failover."""

    campaign: Campaign
    server: Server
    carrier: Server


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


async def placed(tx: Tx, *conditions: ColumnElement[bool], lock_servers: bool = False) -> list[Placed]:
    """Campaigns that people imported, with their servers, newest first.

    `lock_servers` (PostgreSQL) keeps the servers' health and failover as they are until the transaction ends.
    """
    carrier = aliased(Server)
    query = (
        select(Campaign, Server, carrier)
        .join(Server, Server.id == Campaign.server_id)
        .join(carrier, carrier.id == _carrier_id)
        .where(Campaign.kind == MAILING, *conditions)
        .order_by(Campaign.id.desc())
        .execution_options(populate_existing=True)
    )
    if lock_servers:
        query = query.with_for_update(read=True, of=(Server, carrier))
    return [Placed(*row) for row in await tx.execute(query)]


async def placed_by_id(tx: Tx, campaign_ids: Iterable[int], *, lock_servers: bool = False) -> list[Placed]:
    return await placed(tx, Campaign.id.in_(list(campaign_ids)), lock_servers=lock_servers)


async def placed_by_name(tx: Tx, name: str, *, lock_servers: bool = False) -> Placed | None:
    found = await placed(tx, Campaign.name == name, lock_servers=lock_servers)
    return found[0] if found else None


async def in_states(tx: Tx, states: Iterable[CampaignState], *, lock_servers: bool = False) -> list[Placed]:
    return await placed(tx, Campaign.state.in_(list(states)), lock_servers=lock_servers)


async def sending_through(tx: Tx, server_id: int) -> list[Campaign]:
    """Campaigns in state sending that this server carries now."""
    return await _carried(tx, server_id, (CampaignState.SENDING,))


async def live_through(tx: Tx, server_id: int) -> list[Campaign]:
    """Campaigns that are not at their end and that this server carries now."""
    return await _carried(tx, server_id, LIVE)


async def _carried(tx: Tx, server_id: int, states: Iterable[CampaignState]) -> list[Campaign]:
    rows = await tx.scalars(
        select(Campaign)
        .join(Server, Server.id == Campaign.server_id)
        .where(Campaign.kind == MAILING, Campaign.state.in_(list(states)), _carrier_id == server_id)
        .order_by(Campaign.name)
        .execution_options(populate_existing=True)
    )
    return list(rows)


async def live_of(tx: Tx, server_ids: Iterable[int]) -> list[Campaign]:
    """Campaigns of these servers that are not at their end, whoever carries them, by name."""
    rows = await tx.scalars(
        select(Campaign)
        .where(Campaign.kind == MAILING, Campaign.state.in_(list(LIVE)), Campaign.server_id.in_(list(server_ids)))
        .order_by(Campaign.name)
        .execution_options(populate_existing=True)
    )
    return list(rows)


async def names_by_carrier(tx: Tx) -> dict[int, list[str]]:
    """Which live campaigns each server carries now: server id -> names, in order."""
    rows = await tx.execute(
        select(_carrier_id, Campaign.name)
        .select_from(Campaign)
        .join(Server, Server.id == Campaign.server_id)
        .where(Campaign.kind == MAILING, Campaign.state.in_(list(LIVE)))
        .order_by(Campaign.name)
    )
    result: dict[int, list[str]] = {}
    for server_id, name in rows:
        result.setdefault(server_id, []).append(name)
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
    """Keep campaigns as they are until the transaction ends (PostgreSQL; SQLite has one writer anyway).

    Always in one order, so that two who move many at once wait for each other instead of deadlocking.
    """
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
