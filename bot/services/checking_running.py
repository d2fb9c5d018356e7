"""What only shows while Holdfast runs: the sender's heartbeat, what waits for Slack, disk, hooks and links."""

import asyncio
import shutil
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from bot.channels.webhook import Webhook
from bot.clock import now
from bot.config import Settings
from bot.errors import SettingsError
from bot.services.checking import Finding
from bot.services.when import lasting
from bot.services.words import number
from storage import posts, workers
from storage.db import Database, head_revision
from storage.errors import StorageError
from storage.models import Worker
from storage.posts import Trouble
from storage.workers import SILENT_AFTER

_LITTLE_SPACE = 1024 * 2**20
_LARGE_WAL = 256 * 2**20
_BEHIND = timedelta(minutes=1)
_PATIENCE = aiohttp.ClientTimeout(total=10, connect=5)
_FAILURES = (aiohttp.ClientError, OSError, ValueError, TimeoutError)


async def check_running(settings: Settings) -> list[Finding]:
    """Nothing is changed and nothing sent. Trouble is a finding, never an error."""
    sender, backlog = await _at_work(settings)
    hook, links = await asyncio.gather(_hook(settings), _links(settings, runs=sender is not None and sender.ok))
    return [each for each in (sender, backlog, _disk(settings), hook, links) if each is not None]


async def _at_work(settings: Settings) -> tuple[Finding | None, Finding | None]:
    """Of a database that cannot be read or is not ready, its own line of the report says what is wrong."""
    try:
        db = Database(settings.database)
    except StorageError:
        return None, None
    try:
        if await db.revision() != head_revision():
            return None, None
        async with db.read() as tx:
            known, trouble = await workers.every(tx), await posts.trouble(tx)
    except StorageError:
        return None, None
    finally:
        await db.close()
    return _sender(known, now()), _backlog(trouble, now())


def _sender(known: Sequence[Worker], at: datetime) -> Finding:
    if not known:
        sentence = "None runs, so no mail goes out. Start it with: holdfast run"
        return Finding("sender", ok=True, sentence=sentence, warn=True)
    silent = [each for each in known if at - each.seen_at > SILENT_AFTER]
    at_work = [each for each in known if each not in silent]
    if not at_work:
        last = known[0]
        sentence = (
            f"It was last seen {lasting(at - last.seen_at)} ago {_where(last)}, so no mail goes out. Start it with "
            "holdfast run; what was in flight is then found out by its journal."
        )
        return Finding("sender", ok=False, sentence=sentence)
    works = f"It works {_where(at_work[0])}, seen {lasting(max(at - at_work[0].seen_at, timedelta(0)))} ago."
    if len(at_work) > 1:
        works = f"{len(at_work)} work: {', '.join(f'{each.host} (process {each.pid})' for each in at_work)}."
    if not silent:
        return Finding("sender", ok=True, sentence=works)
    gone = ", ".join(f"{each.host} (process {each.pid}, for {lasting(at - each.seen_at)})" for each in silent)
    sentence = (
        f"{works} Silent: {gone}. The others go on with its work, but what it had in hand waits for its journal: start "
        "Holdfast there again, over the same data directory."
    )
    return Finding("sender", ok=True, sentence=sentence, warn=True)


def _where(worker: Worker) -> str:
    return f"on {worker.host} (process {worker.pid})"


def _backlog(trouble: Trouble, at: datetime) -> Finding:
    if not trouble.waiting:
        return Finding("messages", ok=True, sentence="Everything that is to be in Slack is there.")
    since = at - trouble.since if trouble.since else timedelta(0)
    wait = "waits" if trouble.waiting == 1 else "wait"
    waits = f"{number(trouble.waiting, 'message')} {wait} for Slack, the oldest for {lasting(since)}"
    if trouble.error:
        return Finding("messages", ok=False, sentence=f"{waits}; nothing is lost. {trouble.error}")
    late = since > _BEHIND
    sentence = f"{waits}." + (" Start Holdfast, which posts them: holdfast run" if late else "")
    return Finding("messages", ok=True, sentence=sentence, warn=late)


def _disk(settings: Settings) -> Finding | None:
    """Where an SQLite file lies. Its write-ahead log only grows while somebody reads on and on."""
    if not settings.database.startswith("sqlite"):
        return None
    path = Path(settings.database.partition(":///")[2])
    wal = path.with_name(f"{path.name}-wal")
    try:
        size = wal.stat().st_size if wal.exists() else 0
        free = shutil.disk_usage(path.parent).free
    except OSError:  # the line of the database says so
        return None
    if free < _LITTLE_SPACE:
        sentence = f"Only {free / 2**20:,.0f} MB are free beside the database. Free some before the next campaign."
        return Finding("disk", ok=True, sentence=sentence, warn=True)
    if size > _LARGE_WAL:
        sentence = (
            f"The database's write-ahead log has {size / 2**20:,.0f} MB: some program keeps a look at the file open. "
            "End it (a backup, a database browser), or restart Holdfast."
        )
        return Finding("disk", ok=True, sentence=sentence, warn=True)
    return Finding("disk", ok=True, sentence=f"{free / 2**30:,.0f} GB are free beside the database.")


async def _hook(settings: Settings) -> Finding:
    """The webhook of notices. It is asked for its headers only; a call would be a notice."""
    try:
        webhook = Webhook.of(settings.notices)
    except SettingsError as error:
        return Finding("webhook", ok=False, sentence=str(error))
    if webhook is None:
        return Finding("webhook", ok=True, sentence="None is set, so notices go by email alone.")
    host = urlsplit(webhook.url).hostname or ""  # the rest of an address may hold a token
    try:
        status = await _asked(webhook.url, "HEAD")
    except _FAILURES as error:
        sentence = f"{host} cannot be reached ({_reason(error)}). Correct HOLDFAST_NOTICES__WEBHOOK_URL, or repair it."
        return Finding("webhook", ok=False, sentence=sentence)
    if status >= 500:
        sentence = f"{host} answers {status}. Look at the receiver: notices to it are tried again for a while."
        return Finding("webhook", ok=False, sentence=sentence)
    if urlsplit(webhook.url).scheme != "https":
        sentence = f"{host} answers, but without encryption: notices can be read on their way. Use https."
        return Finding("webhook", ok=True, sentence=sentence, warn=True)
    return Finding("webhook", ok=True, sentence=f"{host} answers, and calls of it are signed.")


async def _links(settings: Settings, *, runs: bool) -> Finding:
    """Unsubscribe links in mail: Gmail and Yahoo ask bulk senders for them (RFC 8058)."""
    url = settings.public_url
    if url is None and settings.unsubscribe_mailto:
        sentence = "Mail carries an address to unsubscribe and no link. For one click set HOLDFAST_PUBLIC_URL."
        return Finding("links", ok=True, sentence=sentence)
    if url is None:
        sentence = (
            "Mail carries no way to unsubscribe but its own, which large mailbox providers refuse. Set "
            "HOLDFAST_PUBLIC_URL, or HOLDFAST_UNSUBSCRIBE_MAILTO."
        )
        return Finding("links", ok=True, sentence=sentence, warn=True)
    if not url.startswith("https://"):
        sentence = f"HOLDFAST_PUBLIC_URL is {url}, and one-click links must be https (RFC 8058). Correct it."
        return Finding("links", ok=False, sentence=sentence)
    if not runs:
        return Finding("links", ok=True, sentence=f"Links lead to {url}; they are looked at while Holdfast runs.")
    try:
        status = await _asked(f"{url.rstrip('/')}/healthz", "GET")
    except _FAILURES as error:
        return _unreached(settings, f"cannot be reached from here ({_reason(error)})")
    if status == 200:
        return Finding("links", ok=True, sentence=f"{url} leads to this Holdfast.")
    return _unreached(settings, f"answers {status}, not as Holdfast does")


def _unreached(settings: Settings, what: str) -> Finding:
    """From inside some networks that is so and customers get through: no reason to fail."""
    sentence = f"{settings.public_url} {what}. Let it lead to {settings.http_host}:{settings.http_port}."
    return Finding("links", ok=True, sentence=sentence, warn=True)


async def _asked(url: str, method: str) -> int:
    async with (
        aiohttp.ClientSession(timeout=_PATIENCE, cookie_jar=aiohttp.DummyCookieJar()) as session,
        session.request(method, url, allow_redirects=False, headers={"User-Agent": "Holdfast"}) as response,
    ):
        return response.status


def _reason(error: Exception) -> str:
    """The kind of trouble alone: the words of a client repeat the address, and some hold a token."""
    if isinstance(error, TimeoutError):
        return "no answer in 10 s"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its name is unknown"
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
        return "its certificate is not trusted"
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.strerror:
        return error.os_error.strerror.lower()
    return type(error).__name__
