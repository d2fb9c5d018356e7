"""The servers of the settings, brought into the database."""

from datetime import datetime
from typing import Any, cast

from bot.access import HOLDFAST
from bot.clock import now
from bot.config import ServerSettings, Settings
from bot.errors import BadInputError, SettingsError
from bot.services.names import check_name
from bot.services.words import joined
from storage import servers, timeline
from storage.db import Database, Tx
from storage.models import Health, Server
from storage.timeline import Entry

_KEPT = {"host", "port", "tls", "max_connections", "rate_per_second", "pool", "weight"}


async def sync(db: Database, settings: Settings) -> None:
    """By name. Others stay as they are. A server whose address changed is judged anew.

    Raises SettingsError for a name that cannot be one.
    """
    at = now()
    for name, server in settings.servers.items():
        _check(f"servers.{name}", name, "server")
        if server.pool is not None:
            _check(f"servers.{name}.pool", server.pool, "pool")
    async with db.transaction() as tx:
        known = {name: await _put(tx, name, given, at) for name, given in settings.servers.items()}
        for name, given in settings.servers.items():
            backup_id = known[given.backup] if given.backup else None
            found = await servers.get(tx, known[name])
            if found is not None and found.backup_id != backup_id:
                now_is = f"{given.backup} is the backup of {name}" if given.backup else f"{name} has no backup"
                await _note(tx, found.id, f"By the settings {now_is} now.", at)
            await servers.change(tx, known[name], backup_id=backup_id)


def _check(where: str, name: str, noun: str) -> None:
    try:
        check_name(name, noun)
    except BadInputError as error:
        raise SettingsError(f"{where} in holdfast.toml: {error}") from error


async def _put(tx: Tx, name: str, settings: ServerSettings, at: datetime) -> int:
    given: dict[str, Any] = settings.model_dump(include=_KEPT)
    added = await servers.add(tx, {"name": name, "created_at": at, **given})
    if added is not None:
        await _note(tx, added, f"The settings added {name} at {given['host']}:{given['port']}.", at)
        return added
    server = cast("Server", await servers.by_name(tx, name))
    changed = [
        f"{each} {getattr(server, each)} to {value}" for each, value in given.items() if getattr(server, each) != value
    ]
    if changed:
        await _note(tx, server.id, f"The settings changed {name}: {joined(changed)}.", at)
    if (server.host, server.port, server.tls) != (given["host"], given["port"], given["tls"]):
        given |= {"health": Health.UNCHECKED, "health_since": at, "failures": 0, "successes": 0, "damping": {}}
    await servers.change(tx, server.id, **given)
    return server.id


async def _note(tx: Tx, server_id: int, text: str, at: datetime) -> None:
    """For the audit log: a start can change a server too. Nobody has to be told of it."""
    entry = Entry("server.settings", text, HOLDFAST.id, at, server_id=server_id)
    await timeline.record(tx, entry, post=False)
