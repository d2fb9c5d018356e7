"""`/server`, from what is typed to what is read."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import update

from bot.demo.relays import refuse
from storage.db import Database
from storage.models import Server
from tests.command_world import ANA, GUEST, JONAS, World, command_world


@pytest.fixture
async def world(db: Database, tmp_path: Path) -> AsyncIterator[World]:
    async with command_world(db, tmp_path) as made:
        yield made


async def test_a_server_is_added_as_slack_writes_its_address(world: World) -> None:
    port = world.relay.port
    said = await world.type(f"/server add third <http://localhost:{port}|localhost:{port}>", ANA)
    assert "third is added. It answers well." in said
    said = await world.type("/server status third")
    assert "third is " in said
    assert f"localhost:{port}" in said


async def test_a_server_that_does_not_answer_is_added_all_the_same(world: World) -> None:
    await world.relay.behave(refuse())
    said = await world.type(f"/server add third 127.0.0.1:{world.relay.port}", ANA)
    assert "third is added. It does not answer well yet" in said


async def test_drain_and_restore_say_how_to_undo_it(world: World) -> None:
    await world.campaign()
    said = await world.type("/server drain primary now")
    assert "primary is drained. spring-sale goes on through backup. Undo it with /holdfast undo 1" in said
    status = await world.type("/server status primary")
    assert "is drained by @U0MARIA: nothing is sent through it." in status
    assert "Put it back to use: /server restore primary" in status
    said = await world.type("/server restore primary")
    assert "primary is in use again and returns slowly: 5 % of its mail now, all at" in said
    assert "All of it at once: /server restore primary whole. Undo it with /holdfast undo 2" in said
    await world.refused("/server restore primary", "is returning already and carries all of its mail at", JONAS)
    assert "primary is in use again. spring-sale goes through it." in await world.type("/server restore primary whole")


async def test_a_backup_takes_over_named_or_not(world: World) -> None:
    await world.campaign()
    said = await world.type("/server failover primary now")
    assert "primary is failed over to backup: spring-sale goes through backup now" in said
    await world.refused("/server fail prim back", "failed over to backup already by <@U0MARIA>", JONAS)
    await world.type("/server restore primary")
    assert "failed over to backup" in await world.type("/server failover primary backup now")
    assert "carries for primary" in await world.type("/server list")


async def test_the_list_has_what_is_wrong_first(world: World) -> None:
    async with world.db.transaction() as tx:
        down = {"health": "down", "last_stage": "greeting", "last_code": 421, "last_text": "4.3.2 `busy` <now>"}
        await tx.execute(update(Server).where(Server.id == world.primary).values(**down))
    lines = (await world.type("/server list")).splitlines()
    assert lines[0] == "2 servers: 1 down and 1 unchecked"
    assert lines[1].startswith("🔴 down       primary")
    assert lines[1].endswith("421 4.3.2 'busy' <now> at greeting")
    assert lines[2].startswith("⚪ unchecked  backup")
    status = await world.type("/server status primary")
    assert "Failed: 421 4.3.2 'busy' <now> at greeting" in status
    assert "Let backup take over: /server failover primary" in status


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("/server add third", r"^Say its host\. Write it like this: /server add NAME HOST\[:PORT\]$"),
        ("/server add third mail.example.com:70000", "“70000” cannot be a port: use 1 to 65535"),
        ("/server add third mail_server:25", "“mail_server” cannot be the name or address of a host"),
        ("/server add third ::1", r"Put an IPv6 address in brackets"),
        ("/server add third mail.example.com 25", "“25” is more than that takes"),
        ("/server add Third! mail.example.com", "“Third!” cannot be the name of a server"),
        ("/server drain smtp9", r"There is no server “smtp9”\. There is backup and primary"),
        ("/server drain", r"^Say which server\."),
        ("/server restore primary", "primary is in use already"),
        ("/server failover backup", "backup has no backup. Name the server that takes over"),
        ("/server failover primary primary", "cannot be its own backup"),
        ("/server failover primary backup soon", "“soon” is more than that takes"),
        ("/server remove primary", "/server does not know “remove”"),
    ],
)
async def test_what_does_not_fit_is_refused_with_a_sentence(world: World, line: str, sentence: str) -> None:
    await world.refused(line, sentence, ANA)
    assert len(await world.services.servers.list()) == 2


async def test_a_backup_that_does_not_answer_takes_nothing_over(world: World) -> None:
    await world.backup_relay.behave(refuse())
    await world.refused(
        "/server failover primary", "primary was not failed over, since backup cannot take its campaigns"
    )


async def test_who_lacks_the_role_is_told_who_has_it(world: World) -> None:
    await world.refused("/server add third mail.example.com", "needs the role admin.*<@U0ANA>")
    await world.refused("/server drain primary", "needs the role responder", GUEST)


async def test_a_server_is_drained_once(world: World) -> None:
    await world.type("/server drain primary now")
    await world.refused("/server drain primary", "drained already by <@U0MARIA>", JONAS)
