"""The counts that people are shown are those of the ledger, whoever changed it and in whatever order."""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import NamedTuple

from alembic import command
from alembic.config import Config
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, func, literal_column, select, text, update

from bot.clock import now
from bot.mail.recovery import recover
from storage import deliveries, leases, recipients, results
from storage.db import Database, Tx, alembic_config
from storage.models import Delivery, DeliveryStatus, LedgerCount
from storage.results import Delivered, Ending
from tests.resend_world import JOAN, MARIA, World, world
from tests.seeds import add_campaign, add_server


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


class Deed(NamedTuple):
    """Something that is done to deliveries of a campaign, one after the other."""

    kind: str
    numbers: Sequence[int]


SIZE = 40
NUMBER = st.integers(1, SIZE)
BEFORE = st.sampled_from(
    [
        ("queued", 0, None),
        ("queued", 1, None),
        ("queued", 1, "rcpt"),
        ("queued", 2, ""),
        ("delivered", 1, ""),
        ("failed_temporary", 1, "rcpt"),
        ("suppressed", 0, None),
    ]
)
CHANGES = {
    "queued": "status = 'queued'",
    "queued anew": "status = 'queued', attempts = 0",
    "by hand": "status = 'delivered', attempts = attempts + 1",
    "doubted by hand": "status = 'unknown', stage = ''",
}
DEEDS = st.builds(
    Deed,
    st.sampled_from(["taken", "taken", "delivered", "failed", "suppressed", *CHANGES]),
    st.one_of(
        st.lists(NUMBER, min_size=1, max_size=SIZE),
        st.builds(lambda one, other: range(min(one, other), max(one, other) + 1), NUMBER, NUMBER),
        st.builds(
            lambda first, last, gap: [n for n in range(first, last + 1) if n != gap],
            st.integers(1, 10),
            st.integers(25, SIZE),
            st.integers(11, 24),
        ),
    ),
)
serial = count(1)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.just(("queued", 0, None)), BEFORE), min_size=SIZE, max_size=SIZE), st.lists(DEEDS))
async def test_they_follow_any_mix_of_results(
    db: Database, before: list[tuple[str, int, str | None]], deeds: list[Deed]
) -> None:
    server = await add_server(db, f"server {next(serial)}", 25)
    sale = await add_campaign(db, server, SIZE, name=f"sale {next(serial)}")
    other = await add_campaign(db, server, SIZE, name=f"other {next(serial)}")
    expected = {n: (status, attempts) for n, (status, attempts, _) in enumerate(before, 1)}
    async with db.transaction() as tx:
        for change in ("status = :status, attempts = :attempts", "stage = :stage"):
            await tx.execute(
                text(f"UPDATE deliveries SET {change} WHERE campaign_id = :campaign AND n = :n"),  # noqa: S608
                [
                    {"campaign": sale, "n": n, "status": status, "attempts": attempts, "stage": stage}
                    for n, (status, attempts, stage) in enumerate(before, 1)
                ],
            )

    for deed in deeds:
        await done(db, sale, deed)
        for n in set(deed.numbers):
            expected[n] = after(deed.kind, *expected[n])
        await check(db)

    async with db.read() as tx:
        rows = await tx.execute(select(Delivery.campaign_id, Delivery.n, Delivery.status, Delivery.attempts))
        found = {(campaign, n): (status, attempts) for campaign, n, status, attempts in rows}
    assert {n: found[sale, n] for n in expected} == expected
    assert {n: found[other, n] for n in expected} == dict.fromkeys(expected, ("queued", 0))


async def done(db: Database, campaign: int, deed: Deed) -> None:
    async def do(tx: Tx) -> None:
        if deed.kind == "taken":
            await results.write_delivered(tx, Delivered(campaign, 1, now(), list(deed.numbers)))
        elif deed.kind in CHANGES:
            for n in set(deed.numbers):
                change = f"UPDATE deliveries SET {CHANGES[deed.kind]} WHERE campaign_id = :campaign AND n = :n"  # noqa: S608
                await tx.execute(text(change), {"campaign": campaign, "n": n})
        else:
            status = "failed_permanent" if deed.kind == "failed" else deed.kind
            tried = status != "suppressed"
            endings = [Ending(campaign, n, status, now(), 1, stage="", attempted=tried) for n in set(deed.numbers)]
            await results.write(tx, endings)

    await db.in_one_go(do)


def after(deed: str, status: str, attempts: int) -> tuple[str, int]:
    """What such a deed makes of a delivery."""
    if deed == "queued":
        return "queued", attempts
    if deed == "queued anew":
        return "queued", 0
    if deed == "by hand":
        return "delivered", attempts + 1
    if deed == "doubted by hand":
        return "unknown", attempts
    if status != "queued":
        return status, attempts
    ended = {"taken": "delivered", "failed": "failed_permanent"}.get(deed, deed)
    return ended, attempts + (deed != "suppressed")


async def test_a_batch_that_comes_twice_is_counted_once(db: Database, tmp_path: Path) -> None:
    it = await world(db, tmp_path, 30)
    await it.mark(range(1, 31), "queued")
    for _ in range(2):
        await done(db, it.campaign, Deed("taken", [n for n in range(1, 26) if n not in {3, 20}]))
        assert await check(db) == {"delivered": 23, "queued": 7}
    await done(db, it.campaign, Deed("taken", []))
    assert await check(db) == {"delivered": 23, "queued": 7}


async def test_what_a_batch_has_counted_is_counted_by_whoever_changes_it_later(db: Database, tmp_path: Path) -> None:
    it = await world(db, tmp_path, 10)
    await it.mark(range(1, 11), "queued")
    everybody = range(1, 11)
    for deed, found in (("taken", "delivered"), ("queued", "queued"), ("by hand", "delivered"), ("queued", "queued")):
        await done(db, it.campaign, Deed(deed, everybody))
        assert await check(db) == {found: 10}
    await done(db, it.campaign, Deed("taken", everybody))
    assert await check(db) == {"delivered": 10}


async def test_a_batch_that_is_rolled_back_counts_nothing(db: Database, tmp_path: Path) -> None:
    it = await world(db, tmp_path, 10)
    await it.mark(range(1, 11), "queued")
    async with db.read() as tx:  # is rolled back
        await results.write_delivered(tx, Delivered(it.campaign, it.server, now(), [1, 2, 3]))
    assert await check(db) == {"queued": 10}


async def test_a_ledger_of_the_version_before_goes_on_with_results_and_back(db: Database, tmp_path: Path) -> None:
    it = await world(db, tmp_path, 20)
    await it.mark(range(1, 21), "queued")
    await done(db, it.campaign, Deed("taken", range(1, 6)))
    await migrated(db, lambda config: command.downgrade(config, "0016"))
    async with db.read() as tx:
        marked = await tx.scalar(select(func.count()).select_from(Delivery).where(Delivery.stage == ""))
    assert marked == 0
    assert await check(db) == {"delivered": 5, "queued": 15}
    await write(db, it.campaign, range(1, 8), DeliveryStatus.DELIVERED)
    await it.mark([8], "delivered")
    assert await check(db) == {"delivered": 8, "queued": 12}

    await migrated(db, lambda config: command.upgrade(config, "head"))
    assert await check(db) == {"delivered": 8, "queued": 12}
    await done(db, it.campaign, Deed("taken", range(6, 12)))
    await it.mark([12], "delivered")
    assert await check(db) == {"delivered": 12, "queued": 8}


async def test_a_ledger_of_an_earlier_version_is_counted(db: Database, tmp_path: Path) -> None:
    it = await world(db, tmp_path, 10)
    await it.mark([1, 2], "queued")
    await it.lose([3])

    def forget(connection: Connection) -> None:
        if db.is_sqlite:
            drops = [f"DROP TRIGGER deliveries_counted_{event}" for event in ("insert", "delete", "update")]
        else:
            drops = [f"DROP FUNCTION deliveries_counted_{event} CASCADE" for event in ("insert", "delete", "update")]
        for statement in (*drops, "DROP INDEX ix_deliveries_lost", "DROP INDEX ix_deliveries_outage"):
            connection.execute(text(statement))
        connection.execute(text("DROP TABLE ledger_counts"))

    async with db.transaction() as tx:
        await (await tx.connection()).run_sync(forget)
    await migrated(db, lambda config: command.upgrade(config, "0011"), at="0010")
    await migrated(db, lambda config: command.upgrade(config, "head"), at="0016")
    assert await check(db) == {"delivered": 7, "queued": 2, "failed_temporary": 1}
    await it.mark([1], "delivered")
    assert await check(db) == {"delivered": 8, "queued": 1, "failed_temporary": 1}


async def migrated(db: Database, change: Callable[[Config], None], *, at: str | None = None) -> None:
    """Change the tables from how they are, or from the revision that they are said to be at."""

    def do(connection: Connection) -> None:
        if at is not None:
            connection.execute(text("UPDATE alembic_version SET version_num = :it"), {"it": at})
        config = alembic_config()
        config.attributes["connection"] = connection
        change(config)

    async with db.transaction() as tx:
        await (await tx.connection()).run_sync(do)
