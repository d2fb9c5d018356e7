"""`holdfast check`, the part without Slack: settings, data directory, database and servers, each in a sentence."""

import asyncio
import os
import shutil
import socket
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from bot.access import is_group, is_person
from bot.clock import now
from bot.config import Settings
from bot.errors import SHOWABLE
from bot.services.judging import Judge
from bot.services.names import check_name
from bot.services.server_results import percent
from bot.services.when import lasting
from bot.services.words import joined
from storage import servers, workers
from storage.db import Database, head_revision
from storage.errors import StorageError
from storage.models import Server, Worker

_LITTLE_SPACE = 200 * 2**20
"""Octets. The journals and the database of a large campaign need about this much."""
_EXPIRES_SOON = timedelta(days=14)
_DEEDS = {"responder": "pause or fail over", "sender": "start a campaign", "approver": "approve a resend"}
"""What nobody may do where nobody has the role."""


@dataclass(frozen=True)
class Finding:
    """One line of the report: what was looked at, whether it is right, and else what to do next.

    `warn`: it works, and somebody should know of it.
    """

    what: str
    ok: bool
    sentence: str
    warn: bool = False

    @property
    def level(self) -> Literal["ok", "warn", "fail"]:
        if not self.ok:
            return "fail"
        return "warn" if self.warn else "ok"


async def check_house(settings: Settings) -> list[Finding]:
    """Everything that Holdfast needs besides Slack. Trouble is a finding, never an error."""
    found = [_data_dir(settings), *_roles(settings)]
    try:
        db = Database(settings.database)
    except StorageError as error:
        # Looking at servers needs no database, so this one is never opened.
        unopened = Database("sqlite:///never-opened.db")
        return [*found, Finding("database", ok=False, sentence=str(error)), *await _servers(settings, unopened, [])]
    try:
        database, known = await _database(db)
        return [*found, *database, *await _servers(settings, db, known)]
    finally:
        await db.close()


def _data_dir(settings: Settings) -> Finding:
    folder = settings.data_dir.absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free
    except OSError as error:
        return Finding(
            "data directory",
            ok=False,
            sentence=f"{folder} cannot be written ({error.strerror}). Set HOLDFAST_DATA_DIR to a folder of your own.",
        )
    if free < _LITTLE_SPACE:
        sentence = f"Only {free / 2**20:.0f} MB are free in {folder}, and a full disk stops sending. Free some space."
        return Finding("data directory", ok=False, sentence=sentence)
    return Finding("data directory", ok=True, sentence=f"{folder} can be written.")


def _roles(settings: Settings) -> list[Finding]:
    """Without a sender nothing can be started, without an approver nothing can be sent again."""
    admins = {*settings.roles.admin, *settings.admins}
    missing = [role for role in _DEEDS if not getattr(settings.roles, role) and not admins]
    if missing:
        sentence = (
            f"Nobody in Slack has the role {joined(missing, 'or')}, so nobody there may "
            f"{joined([_DEEDS[role] for role in missing], 'or')}. Add Slack user ids to holdfast.toml, as "
            f'{missing[-1]} = ["U012AB"] under [roles], or set HOLDFAST_ADMINS.'
        )
        return [Finding("roles", ok=False, sentence=sentence)]
    if odd := _odd_words(settings):
        sentence = (
            f"{joined(odd)} under [roles] can be nobody: write a member id (U...), a user group (@handle or S...) or *."
        )
        return [Finding("roles", ok=False, sentence=sentence)]
    approvers = {*settings.roles.approver, *admins}
    if len(approvers) > 1 or "*" in approvers or any(is_group(each) for each in approvers):
        return [Finding("roles", ok=True, sentence="Somebody may start campaigns, and somebody else may approve.")]
    sentence = f"Only {next(iter(approvers))} may approve, so what they ask for themselves waits. Add another approver."
    return [Finding("roles", ok=True, sentence=sentence, warn=True)]


def _odd_words(settings: Settings) -> list[str]:
    """Words of the roles that match no person and no group."""
    roles = settings.roles
    lists = [roles.viewer, roles.responder, roles.sender, roles.approver, roles.admin, settings.break_glass.who]
    words = dict.fromkeys(word for each in [*lists, settings.admins] for word in each)
    return [word for word in words if word != "*" and not is_person(word) and not is_group(word)]


async def _database(db: Database) -> tuple[list[Finding], list[Server]]:
    """The findings, and the servers that the database knows."""
    name = db.url.render_as_string(hide_password=True).replace("+aiosqlite", "").replace("+psycopg", "")
    try:
        revision = await db.revision()
        if revision is None:
            sentence = f"{name} can be reached and is empty; `holdfast run` makes the tables."
            return [Finding("database", ok=True, sentence=sentence)], []
        if revision != head_revision():
            sentence = f"{name} is at revision {revision}; this version needs {head_revision()}. Run: holdfast migrate"
            return [Finding("database", ok=False, sentence=sentence)], []
        await _try_writing(db)
        async with db.read() as tx:
            known, alive = await servers.every(tx), await workers.alive(tx, now())
    except StorageError as error:
        return [Finding("database", ok=False, sentence=f"{name}: {error}")], []
    runs = "Holdfast runs over it." if alive else "Nothing runs over it now; start Holdfast with: holdfast run"
    return [Finding("database", ok=True, sentence=f"{name} can be written, at revision {revision}. {runs}")], known


async def _try_writing(db: Database) -> None:
    """Write a row and take it back. Raises StorageError where that is not possible."""
    at = now()
    row = Worker(
        id=f"check-{os.getpid()}",
        host=socket.gethostname(),
        pid=os.getpid(),
        boot_id="",
        journal="",
        started_at=at,
        seen_at=at,
    )
    async with db.transaction() as tx:
        await workers.beat(tx, row)
        await tx.flush()
        await tx.rollback()


async def _servers(settings: Settings, db: Database, known: Iterable[Server]) -> list[Finding]:
    """A real probe of each server, those of the settings first; all at once, for a silent one takes seconds."""
    given = [
        Server(name=name, **each.model_dump(include={"host", "port", "tls", "pool", "weight"}))
        for name, each in settings.servers.items()
    ]
    others = [server for server in known if server.name not in settings.servers]
    if not given and not others:
        sentence = "There is no mail server. Add one to holdfast.toml, under [servers.primary], with its host and port."
        return [Finding("servers", ok=False, sentence=sentence)]
    judge = Judge(db, settings)
    backups = {server.id: server.name for server in known}
    both = [*given, *others]
    looks = [_server(judge, each, settings.servers[each.name].backup, both) for each in given]
    looks += [_server(judge, each, backups.get(each.backup_id or 0), both) for each in others]
    return await asyncio.gather(*looks)


async def _server(judge: Judge, server: Server, backup: str | None, known: Iterable[Server]) -> Finding:
    what = f"server {server.name}"
    try:
        check_name(server.name, "server")
        seen = await judge.look(server)
    except SHOWABLE as error:
        return Finding(what, ok=False, sentence=str(error))
    if not seen.ok:
        sentence = f"{seen.sentence}. Correct servers.{server.name} in holdfast.toml, or repair the server."
        return Finding(what, ok=False, sentence=sentence)
    takes_over = f"{backup} is its backup." if backup else "It has no backup, so an outage stops its campaigns."
    others = [each for each in known if server.pool is not None and each.pool == server.pool and each is not server]
    if others:
        stops = f"{backup} is its backup" if backup else "it has no backup"
        takes_over = f"{_shares(server, others)}; where none of them can take its part, {stops}."
    elif server.pool is not None:
        takes_over = f"It is alone in pool {server.pool}: name another server's pool so too. {takes_over}"
    expiry = _expiry(seen.certificate_expires)
    sentence = " ".join(part for part in (f"{seen.sentence}.", expiry, takes_over) if part)
    alone = server.pool is not None and not others
    return Finding(what, ok=True, sentence=sentence, warn=expiry is not None or alone)


def _shares(server: Server, others: Sequence[Server]) -> str:
    whole = server.weight + sum(each.weight for each in others)
    part = percent(server.weight / whole) if whole else percent(1 / (len(others) + 1))
    return f"It takes {part} of pool {server.pool}, with {joined([each.name for each in others])}"


def _expiry(expires: datetime | None) -> str | None:
    """A certificate that ends soon stops a server at a moment that nobody chose."""
    if expires is None or expires - now() > _EXPIRES_SOON:
        return None
    return f"Its certificate ends in {lasting(expires - now())}, on {expires:%Y-%m-%d}: renew it."
