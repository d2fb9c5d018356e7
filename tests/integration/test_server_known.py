"""Servers of the settings and servers that people add; what is listed of them."""

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from bot.access import Access, Actor
from bot.clock import now
from bot.config import Settings
from bot.demo.relays import Relay
from bot.errors import BadInputError, NotFoundError, SettingsError
from bot.services.servers import Servers
from storage import servers as store
from storage.db import Database
from storage.models import Health, Maintenance, MaintenanceState
from tests.certificates import Certificate
from tests.seeds import add_campaign, settings_for

ROOT = Actor("root", "root", source="terminal")


def servers_of(db: Database, settings: Settings) -> Servers:
    return Servers(db, settings, Access(settings.roles, []))


async def test_servers_of_the_settings_are_known_with_their_backups(db: Database, tmp_path: Path) -> None:
    given = {
        "primary": {"host": "mx1", "port": 587, "tls": "starttls", "backup": "backup", "max_connections": 20},
        "backup": {"host": "mx2"},
    }
    servers = servers_of(db, settings_for("sqlite://", tmp_path, servers=given))
    await servers.sync_settings()
    await servers.sync_settings()
    backup, primary = await servers.list()
    assert [backup.name, primary.name, primary.backup, backup.backup] == ["backup", "primary", "backup", None]
    assert (primary.server.host, primary.server.port, primary.server.tls) == ("mx1", 587, "starttls")
    assert (primary.server.max_connections, primary.state) == (20, "unchecked")


async def test_a_changed_setting_is_taken_over_and_a_moved_server_judged_anew(db: Database, tmp_path: Path) -> None:
    servers = servers_of(db, settings_for("sqlite://", tmp_path, servers={"primary": {"host": "mx1"}}))
    await servers.sync_settings()
    server = await servers.find("primary")
    async with db.transaction() as tx:
        await store.change(tx, server.id, health=Health.DOWN)
    changed = {"primary": {"host": "mx1", "rate_per_second": 7}}
    await servers_of(db, settings_for("sqlite://", tmp_path, servers=changed)).sync_settings()
    server = await servers.find("primary")
    assert (server.rate_per_second, server.health) == (7, "down")
    await servers_of(db, settings_for("sqlite://", tmp_path, servers={"primary": {"host": "mx9"}})).sync_settings()
    server = await servers.find("primary")
    assert (server.host, server.rate_per_second, server.health) == ("mx9", None, "unchecked")


async def test_pools_and_weights_come_from_the_settings(db: Database, tmp_path: Path) -> None:
    given: dict[str, dict[str, object]] = {
        "relay-a": {"host": "mx1", "pool": "marketing", "weight": 3},
        "relay-b": {"host": "mx2"},
    }
    await servers_of(db, settings_for("sqlite://", tmp_path, servers=given)).sync_settings()
    given["relay-b"]["pool"] = "marketing"
    servers = servers_of(db, settings_for("sqlite://", tmp_path, servers=given))
    await servers.sync_settings()
    assert [(row.server.pool, row.server.weight, row.part) for row in await servers.list()] == [
        ("marketing", 3, 0.75),
        ("marketing", 1, 0.25),
    ]
    odd = {"relay-a": {"host": "mx1", "pool": "My Pool"}}
    with pytest.raises(
        SettingsError, match=r"servers\.relay-a\.pool in holdfast\.toml: .*cannot be the name of a pool"
    ):
        await servers_of(db, settings_for("sqlite://", tmp_path, servers=odd)).sync_settings()


async def test_a_server_that_left_the_settings_stays(db: Database, tmp_path: Path) -> None:
    await servers_of(db, settings_for("sqlite://", tmp_path, servers={"old": {"host": "mx1"}})).sync_settings()
    servers = servers_of(db, settings_for("sqlite://", tmp_path, servers={"new": {"host": "mx2"}}))
    await servers.sync_settings()
    assert [row.name for row in await servers.list()] == ["new", "old"]


async def test_a_name_that_cannot_be_typed_is_a_wrong_setting(db: Database, tmp_path: Path) -> None:
    servers = servers_of(db, settings_for("sqlite://", tmp_path, servers={"My Server": {"host": "mx1"}}))
    with pytest.raises(SettingsError, match=r"servers\.My Server in holdfast\.toml: .*as in my-server\."):
        await servers.sync_settings()


async def test_a_server_is_added_and_looked_at_once(db: Database, tmp_path: Path) -> None:
    servers = servers_of(db, settings_for("sqlite://", tmp_path))
    async with Relay() as relay:
        result = await servers.add(ROOT, "primary", "127.0.0.1", relay.port)
    assert result.probe.ok
    assert result.text.startswith("primary is added. It answers well.")
    row = await servers.status("prim")
    assert (row.state, row.failure, row.server.last_probe_at is not None) == ("up", "", True)


async def test_a_server_that_does_not_answer_is_added_with_what_failed(db: Database, tmp_path: Path) -> None:
    async with Relay() as relay:
        port = relay.port
    servers = servers_of(db, settings_for("sqlite://", tmp_path))
    result = await servers.add(ROOT, "primary", "127.0.0.1", port)
    assert "It does not answer well yet: connection refused at connect" in result.text
    row = await servers.status("primary")
    assert (row.state, row.failure) == ("suspected", "connection refused at connect")


@pytest.mark.parametrize(
    ("name", "host", "port", "sentence"),
    [
        ("Pri Mary", "mx1", 25, "cannot be the name of a server"),
        ("all", "mx1", 25, "means every one"),
        ("primary", "mx 1", 25, "cannot be a name"),
        ("primary", "", 25, "cannot be a name"),
        ("primary", "mx1", 70000, "70000 cannot be a port"),
    ],
)
async def test_what_cannot_be_a_server_is_refused(
    db: Database, tmp_path: Path, name: str, host: str, port: int, sentence: str
) -> None:
    servers = servers_of(db, settings_for("sqlite://", tmp_path))
    with pytest.raises(BadInputError, match=sentence):
        await servers.add(ROOT, name, host, port)
    assert await servers.list() == []


async def test_a_name_that_is_taken_is_refused(db: Database, tmp_path: Path) -> None:
    servers = servers_of(db, settings_for("sqlite://", tmp_path))
    async with Relay() as relay:
        await servers.add(ROOT, "primary", "127.0.0.1", relay.port)
        with pytest.raises(BadInputError, match="There is a server primary already"):
            await servers.add(ROOT, "primary", "127.0.0.1", relay.port)


async def test_maintenance_comes_before_drained_and_drained_before_health(db: Database, tmp_path: Path) -> None:
    servers = servers_of(db, settings_for("sqlite://", tmp_path, servers={"primary": {"host": "mx1"}}))
    await servers.sync_settings()
    server, at = await servers.find("primary"), now()
    await add_campaign(db, server.id, 1)
    async with db.transaction() as tx:
        await store.change(tx, server.id, health=Health.DOWN, drained_at=at, drained_by="Maria")
    assert (await servers.status("primary")).state == "drained"
    async with db.transaction() as tx:
        window = Maintenance(
            server_id=server.id,
            state=MaintenanceState.SCHEDULED,
            starts_at=at,
            ends_at=at + timedelta(hours=1),
            zone="UTC",
            created_by="x",
            created_at=at,
        )
        tx.add(window)
    row = await servers.status("primary")
    assert (row.state, list(row.campaigns)) == ("maintenance", ["spring-sale"])
    async with db.read() as tx:
        assert await servers.in_maintenance(tx, server.id, at + timedelta(hours=1)) is None
        assert await servers.in_maintenance(tx, server.id, at) is not None


async def test_an_unknown_server_is_answered_with_near_names(db: Database, tmp_path: Path) -> None:
    servers = servers_of(db, settings_for("sqlite://", tmp_path, servers={"primary": {"host": "mx1"}}))
    with pytest.raises(NotFoundError, match=r"There is no server yet\. Add one with /server add"):
        await servers.find("primary")
    await servers.sync_settings()
    with pytest.raises(NotFoundError, match=r"Did you mean primary\?"):
        await servers.find("pirmary")


async def test_credentials_and_authorities_come_from_the_settings(db: Database, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    given = {"host": "mx1", "tls": "starttls", "username": "u", "password": "p", "ca_file": str(ca)}
    servers = servers_of(db, settings_for("sqlite://", tmp_path, servers={"primary": given}))
    await servers.sync_settings()
    server = await servers.find("primary")
    with pytest.raises(SettingsError, match=r"servers\.primary\.ca_file: .* cannot be used"):
        servers.target(server)
    shutil.copy(Certificate(tmp_path, "mx1").path, ca)
    target = servers.target(server)
    assert (target.username, target.context is not None, target.helo) == ("u", True, "localhost")
    assert target.password is not None
    assert target.password.get_secret_value() == "p"
