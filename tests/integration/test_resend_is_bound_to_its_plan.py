"""Between the plan and its approval the world moves: then nothing goes out, and the plan says why."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from bot.clock import now
from bot.errors import WrongStateError
from storage.db import Database
from storage.models import Maintenance, Message
from tests.resend_world import JOAN, MARIA, world
from tests.seeds import add_server


async def test_a_ledger_that_changed_makes_the_plan_void(db: Database, tmp_path: Path) -> None:
    it = await world(db, tmp_path, 10)
    await it.lose(range(1, 6))
    resend = await it.resends.plan(MARIA, "spring-sale")
    await it.mark([2, 3], "delivered")  # the provider said so meanwhile
    with pytest.raises(WrongStateError, match=r"is void: 2 of its deliveries have changed.*plan again: /resend plan"):
        await it.resends.approve(JOAN, resend.id, resend.plan_hash)
    void = await it.resend(resend.id)
    assert (void.state, void.note) == ("void", "2 of its deliveries have changed since it was planned")
    assert (await it.approval(resend.id)).state == "void"
    assert await it.ledger() == {"delivered": 7, "failed_temporary": 3}
    again = await it.resends.plan(MARIA, "spring-sale")
    await it.resends.approve(JOAN, again.id, again.plan_hash)
    assert await it.queued(again.id) == [1, 4, 5]


async def test_another_message_makes_the_plan_void(db: Database, tmp_path: Path) -> None:
    it = await world(db, tmp_path, 10)
    await it.lose([1])
    resend = await it.resends.plan(MARIA, "spring-sale")
    async with db.transaction() as tx:
        await tx.execute(update(Message).values(key="another"))
    with pytest.raises(WrongStateError, match="is void: it has changed since it was planned"):
        await it.resends.approve(JOAN, resend.id, resend.plan_hash)


async def test_new_failures_are_not_smuggled_into_an_approved_plan(db: Database, tmp_path: Path) -> None:
    it = await world(db, tmp_path, 10)
    await it.lose([1, 2])
    resend = await it.resends.plan(MARIA, "spring-sale")
    await it.lose([8])
    await it.resends.approve(JOAN, resend.id, resend.plan_hash)
    assert await it.queued(resend.id) == [1, 2]


@pytest.mark.parametrize(
    ("trouble", "sentence"),
    [
        ({"health": "down"}, "is down. Nothing was sent or decided. Move its campaigns with /server failover primary"),
        ({"drained_at": now(), "drained_by": "x"}, "is drained. .*Take it back with /server restore primary"),
    ],
)
async def test_it_does_not_start_through_a_server_that_cannot_send(
    db: Database, tmp_path: Path, trouble: dict[str, object], sentence: str
) -> None:
    it = await world(db, tmp_path, 10)
    await it.lose([1, 2])
    resend = await it.resends.plan(MARIA, "spring-sale")
    await it.change_server(**trouble)
    with pytest.raises(WrongStateError, match=f"primary, which would carry spring-sale, {sentence}"):
        await it.resends.approve(JOAN, resend.id, resend.plan_hash)
    assert (await it.approval(resend.id)).state == "pending", "the decision was not used up"
    backup = await add_server(db, "backup", 26)
    await it.change_server(failover_to_id=backup)
    await it.resends.approve(JOAN, resend.id, resend.plan_hash)
    assert (await it.said())[-1][1].endswith("2 messages go out through backup.")


async def test_it_does_not_start_in_a_maintenance_window(db: Database, tmp_path: Path) -> None:
    it = await world(db, tmp_path, 10)
    await it.lose([1])
    resend = await it.resends.plan(MARIA, "spring-sale")
    async with db.transaction() as tx:
        tx.add(
            Maintenance(
                server_id=it.server,
                state="scheduled",
                starts_at=now() - timedelta(minutes=1),
                ends_at=now() + timedelta(hours=1),
                zone="UTC",
                created_by="x",
                created_at=now(),
            )
        )
    status = await it.resends.status(resend.id)
    assert [(carrier.name, carrier.trouble) for carrier in status.carriers] == [("primary", "in maintenance")]
    with pytest.raises(WrongStateError, match="is in maintenance"):
        await it.resends.approve(JOAN, resend.id, resend.plan_hash)
