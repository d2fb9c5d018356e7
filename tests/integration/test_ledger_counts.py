"""The counts that people are shown are those of the ledger, whoever changed it and in whatever order."""

from collections import Counter
from pathlib import Path

from alembic import command
from sqlalchemy import Connection, func, literal_column, select, text, update

from bot.clock import now
from bot.mail.recovery import recover
from storage import deliveries, leases, recipients, results
from storage.db import Database, alembic_config, head_revision
from storage.models import Delivery, DeliveryStatus, LedgerCount
from storage.results import Ending
from tests.resend_world import JOAN, MARIA, World, world


async def check(db: Database) -> Counter[str]:
    """Every count of every campaign is that of its rows. Returns how many there are of each status in all."""
    tried = Delivery.attempts > literal_column("0")
    async with db.read() as tx:
        rows = await tx.execute(
            select(Delivery.campaign_id, Delivery.status, tried, func.count()).group_by(
                Delivery.campaign_id, Delivery.status, tried
            )
        )
        ledger = {(campaign, status, bool(tried)): number for campaign, status, tried, number in rows}
        kept = await tx.execute(
            select(LedgerCount.campaign_id, LedgerCount.status, LedgerCount.tried, func.sum(LedgerCount.count))
            .group_by(LedgerCount.campaign_id, LedgerCount.status, LedgerCount.tried)
            .having(func.sum(LedgerCount.count) != 0)
        )
        assert {(campaign, status, tried): int(number) for campaign, status, tried, number in kept} == ledger
        found: Counter[str] = Counter()
        for of_one in (await deliveries.counts_of(tx, {campaign for campaign, _, _ in ledger})).values():
            found.update(of_one)
    return +found


async def write(db: Database, campaign: int, numbers: range, status: DeliveryStatus, *, attempted: bool = True) -> None:
    endings = [Ending(campaign, n, status, now(), server_id=1, attempted=attempted) for n in numbers]
    async with db.transaction() as tx:
        await results.write(tx, endings)


async def test_they_follow_every_change_of_the_ledger(db: Database, tmp_path: Path) -> None:
    it = World(db, tmp_path)
    await it.build(20)
    other = await it.add_campaign("news", 30)
    assert await check(db) == {"delivered": 50}
    await it.mark(range(1, 31), "queued", campaign=other)
    await write(db, other, range(1, 11), DeliveryStatus.DELIVERED)
    await write(db, other, range(1, 13), DeliveryStatus.FAILED_TEMPORARY)  # of ten the result is known already
    await write(db, other, range(13, 15), DeliveryStatus.SUPPRESSED, attempted=False)
    assert await check(db) == {"delivered": 30, "failed_temporary": 2, "suppressed": 2, "queued": 16}

    await it.lose(range(1, 9))
    resend = await it.resends.plan(MARIA, "spring-sale")
    await it.resends.approve(JOAN, resend.id, resend.plan_hash)
    assert await check(db) == {"delivered": 22, "failed_temporary": 2, "suppressed": 2, "queued": 24}
    await write(db, it.campaign, range(1, 4), DeliveryStatus.DELIVERED)
    await it.become(resend.id, "paused")
    await it.resends.cancel(MARIA, resend.id)
    assert await check(db) == {"delivered": 25, "failed_temporary": 7, "suppressed": 2, "queued": 16}


async def test_they_follow_a_recovery_and_a_change_that_was_rolled_back(db: Database, tmp_path: Path) -> None:
    it = await world(db, tmp_path, 10)
    await it.mark(range(1, 11), "queued")
    async with db.transaction() as tx:
        await leases.take(tx, leases.new(it.campaign, None, 1, 4, "gone", "another boot", now()))
    await recover(db, tmp_path)
    assert await check(db) == {"unknown": 4, "queued": 6}
    async with db.read() as tx:  # is rolled back
        await tx.execute(update(Delivery).where(Delivery.campaign_id == it.campaign).values(status="delivered"))
    assert await check(db) == {"unknown": 4, "queued": 6}


async def test_they_follow_an_import_that_is_taken_out_again(db: Database, tmp_path: Path) -> None:
    it = await world(db, tmp_path, 10)
    async with db.transaction() as tx:
        await recipients.add(tx, it.campaign, [recipients.NewRecipient(n, f"new{n}@example.com", {}) for n in (11, 12)])
    assert await check(db) == {"delivered": 10, "queued": 2}
    async with db.transaction() as tx:
        await recipients.remove(tx, it.campaign, 5, 11)
    assert await check(db) == {"delivered": 4, "queued": 1}


async def test_a_ledger_of_an_earlier_version_is_counted(db: Database, tmp_path: Path) -> None:
    it = await world(db, tmp_path, 10)
    await it.mark([1, 2], "queued")
    await it.lose([3])

    def again(connection: Connection) -> None:
        if db.is_sqlite:
            drops = [f"DROP TRIGGER deliveries_counted_{event}" for event in ("insert", "delete", "update")]
        else:
            drops = [f"DROP FUNCTION deliveries_counted_{event} CASCADE" for event in ("insert", "delete", "update")]
        for statement in (*drops, "DROP INDEX ix_deliveries_lost", "DROP INDEX ix_deliveries_outage"):
            connection.execute(text(statement))
        connection.execute(text("DROP TABLE ledger_counts"))
        config = alembic_config()
        config.attributes["connection"] = connection
        _at(connection, "0010")
        command.upgrade(config, "0011")
        _at(connection, head_revision())

    async with db.transaction() as tx:
        await (await tx.connection()).run_sync(again)
    assert await check(db) == {"delivered": 7, "queued": 2, "failed_temporary": 1}
    await it.mark([1], "delivered")
    assert await check(db) == {"delivered": 8, "queued": 1, "failed_temporary": 1}


def _at(connection: Connection, revision: str) -> None:
    connection.execute(text("UPDATE alembic_version SET version_num = :it"), {"it": revision})
