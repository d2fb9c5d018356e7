"""What the commands of the terminal do: the same services and views as in Slack, shown as plain text."""

import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

import commands
from bot.access import Actor
from bot.clock import now
from bot.config import Settings
from bot.errors import BadInputError, BotError, NotAllowedError
from bot.mail.composing import Source
from bot.mail.reports.incoming import incoming
from bot.services.bundle import Services, build
from bot.services.checking import Finding
from bot.services.importing import ImportResult
from bot.services.paging_check import outcome_of
from bot.services.reconciling_rules import Tally
from bot.services.reconciling_words import of_bounces, of_log
from bot.services.when import parse_when
from bot.services.words import joined, number
from bot.slack.blocks import View
from bot.slack.call import Call
from bot.slack.later import Attached, Later
from bot.slack.plain import plain
from commands.holdfast_audit import query as audit_query
from commands.words import Words
from storage import workers
from storage.db import Database, head_revision

__all__ = [
    "Finding",
    "ImportWish",
    "Shown",
    "check",
    "do",
    "draft_notice",
    "import_campaign",
    "migrate",
    "page_test",
    "reconcile",
    "report",
    "take_bounces",
]

_MESSAGE_MAX = 50 * 2**20  # octets; servers refuse far less
_LOCALTIME = Path("/etc/localtime")
_LEVELS = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "bold red")}
"""How a finding is marked; the word beside the mark says the same."""


@dataclass(frozen=True)
class Shown:
    """The answer of a command as text, and what is worth knowing besides."""

    text: str
    aside: str | None


@dataclass(frozen=True)
class ImportWish:
    """What `holdfast import` was given. Either `message`, an .eml, or templates; MJML is one, wherever it is named."""

    name: str
    message: Path | None
    recipients: Path
    server: str | None
    html: Path | None
    text: Path | None
    subject: str
    sender: str
    reply_to: str
    expires: str | None
    engaged_by: str | None = None
    ramp: bool = False


# Commands


async def do(settings: Settings, actor: Actor, line: str, *, ansi: bool) -> Shown:
    """Run a command as typed in Slack. Raises BotError or StorageError."""
    async with _services(settings) as services:
        return await _run(services, actor, line, ansi=ansi)


async def draft_notice(
    settings: Settings, actor: Actor, text: str, csv: Path, subject: str | None, *, ansi: bool
) -> Shown:
    """Draft a notice to the people in a CSV, and show it as they will see it."""
    _check_file(csv)
    async with _services(settings) as services:
        drafted = await services.notices.draft_csv(actor, text, csv, subject)
        return await _run(services, actor, f"/notice preview {drafted.id}", ansi=ansi)


async def audit_file(settings: Settings, actor: Actor, words: str, path: Path) -> str:
    """Write the rows of the audit log that the words ask for, a thousand at a time; the sentence says how many.

    Raises BadInputError, for a file that cannot be written too. A file that was there is replaced when all is written.
    """
    async with _services(settings) as services:
        wanted = audit_query(Words(words, "holdfast audit [WHO] [WHAT] --since WHEN --csv FILE"), actor)
        made = await services.audit.export(actor, wanted, most=None)
        rows = -1  # the header
        with _out(path) as out:
            async for line in made.lines:
                out.write(line)
                rows += 1
    return f"{number(rows, 'row')} of the audit log: {path}"


@contextmanager
def _out(path: Path) -> Iterator[TextIO]:
    """A file that takes its name when it is whole; `-` is the screen."""
    if str(path) == "-":
        yield sys.stdout
        return
    part = path.with_name(f"{path.name}.part")
    try:
        # Only for its owner: it says who did what.
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as out:
            yield out
        part.replace(path)
    except OSError as error:
        raise BadInputError(f"{path} cannot be written ({error.strerror}). Choose another place.") from error
    finally:
        part.unlink(missing_ok=True)


async def migrate(settings: Settings) -> str:
    """Bring the tables up to date; the sentence says from where to where."""
    db = Database(settings.database)
    try:
        before, after = await db.migrate()
    finally:
        await db.close()
    if before == after:
        return f"The database is at revision {after} already. Nothing was changed."
    return f"The database was {f'at revision {before}' if before else 'empty'} and is at revision {after} now."


async def import_campaign(settings: Settings, actor: Actor, wish: ImportWish) -> str:
    """Make the campaign, with a progress bar over the octets of the CSV where there is a terminal."""
    source = _source(wish)
    _check_file(wish.recipients)
    expires_at = parse_when(wish.expires, actor.zone, now()) if wish.expires else None
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    async with _services(settings) as services:
        with bar:
            task = bar.add_task(f"Importing {wish.name}", total=wish.recipients.stat().st_size or None)

            def progress(rows: int, octets: int) -> None:
                bar.update(task, completed=octets, description=f"{number(rows, 'row')} of {wish.name}")

            result = await services.importing.create(
                actor,
                wish.name,
                source,
                wish.recipients,
                wish.server,
                expires_at,
                progress,
                engaged_by=wish.engaged_by,
                ramp=wish.ramp,
            )
    return _imported(result)


async def reconcile(settings: Settings, actor: Actor, logs: Sequence[Path], server: str | None) -> str:
    """Look for the unknown deliveries in the logs of a mail server; the sentences say what became of them."""
    async with _services(settings) as services:
        found = await services.reconciling.read_logs(actor, logs, server)
    return of_log(found.tally, found.before, found.left)


async def take_bounces(settings: Settings, paths: Sequence[Path]) -> str:
    """Bounces and complaints from standard input, files and Maildir folders. Raises BadInputError for no such file."""
    async with _services(settings) as services:
        tally, read = Tally(), 0
        for message in incoming(paths):
            tally.add(await services.reconciling.read_bounces([message.octets]))
            message.done()
            read += 1
    return of_bounces(tally, read)


async def check(settings: Settings, examine: Callable[[Settings], Awaitable[list[Finding]]]) -> list[Finding]:
    """Everything that can be looked at, whether the bot runs or not."""
    return [Finding("settings", ok=True, sentence="They can be read."), *await examine(settings)]


async def page_test(settings: Settings) -> list[Finding]:
    """Send a test page by every road. Raises BadInputError when there is none."""
    async with _services(settings) as services:
        return outcome_of(await services.pager.test())


def report(findings: Sequence[Finding], *, as_json: bool = False) -> int:
    """Print a line for each finding. Returns the exit code: 1 when something is wrong."""
    wrong = sum(not finding.ok for finding in findings)
    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    if as_json:
        found = [{"what": each.what, "level": each.level, "sentence": each.sentence} for each in findings]
        console.print_json(json.dumps({"ok": not wrong, "findings": found}), highlight=False)
        return 1 if wrong else 0
    for finding in findings:
        sign, style = _LEVELS[finding.level]
        console.print(f"{sign} {finding.level:<4}", style=style, end="  ")
        console.print(f"{finding.what}: {finding.sentence}")
    warned = sum(finding.level == "warn" for finding in findings)
    said = [f"{number(wrong, 'thing')} to put right"] if wrong else []
    said += [f"{number(warned, 'thing')} to know of"] if warned else []
    console.print(f"\n{joined(said)}." if said else "\nAll is well.")
    return 1 if wrong else 0


def time_zone(given: str | None) -> str:
    """The IANA name of a zone, or of the machine's. Raises BadInputError."""
    name = _from_path(Path(given.removeprefix(":"))) if given else _from_path(_LOCALTIME.resolve()) or "UTC"
    try:
        ZoneInfo(name or "")
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadInputError(f"“{given}” is no time zone. Say it with --zone, as in --zone Europe/Madrid.") from error
    return name


# What they share


@asynccontextmanager
async def _services(settings: Settings) -> AsyncIterator[Services]:
    """The use cases over a database that is ready. While no bot runs, the servers of the settings are put in."""
    db = Database(settings.database)
    try:
        await _make_ready(db)
        services = build(db, settings)
        if not await _runs(db):
            await services.servers.sync_settings()
        yield services
    finally:
        await db.close()


async def _make_ready(db: Database) -> None:
    """An empty database gets its tables. One of another version is left alone: a bot may run over it."""
    revision = await db.revision()
    if revision is None:
        await db.migrate()
    elif revision != head_revision():
        raise BotError(
            f"The database is at revision {revision} and this version of Holdfast needs {head_revision()}. "
            "Stop the bot that runs, then: holdfast migrate"
        )


async def _runs(db: Database) -> bool:
    """Whether a bot is at work: its sender says so every second."""
    async with db.read() as tx:
        return await workers.alive(tx, now())


async def _run(services: Services, actor: Actor, line: str, *, ansi: bool) -> Shown:
    try:
        view = await commands.run(services, Call(actor=actor, words=""), line)
    except NotAllowedError as error:
        await services.audit.refused(actor, line, error)
        raise
    if isinstance(view, Later):
        view = await view.then()
    if isinstance(view, Attached):  # the file is the answer, so that it can be redirected; what is in it is an aside
        return Shown("".join([line async for line in view.lines]).removesuffix("\r\n"), _text(view, actor, ansi=False))
    aside = None
    if not await _runs(services.db):
        aside = "No `holdfast run` is at work here: nothing is sent, watched or posted to Slack until it is started."
    return Shown(_text(view, actor, ansi=ansi), aside)


def _text(view: View, actor: Actor, *, ansi: bool) -> str:
    return plain(view.blocks, view.text, zone=ZoneInfo(actor.zone), ansi=ansi)


def _source(wish: ImportWish) -> Source:
    """The message: an .eml, or templates with a subject and a sender."""
    message, html = wish.message, wish.html
    if message is not None and _is_mjml(message):
        if html:
            raise BadInputError(f"{message} and {html} are both the HTML of the message. Leave one out.")
        message, html = None, message
    if message is None:
        if html is None and wish.text is None:
            raise BadInputError(
                "There is no message. Name an .eml before the CSV, or give --html or --text with --subject and --from."
            )
        template = _template(html) if html else None
        mjml = template if html and _is_mjml(html) else None
        return Source(
            subject=wish.subject,
            html=None if mjml else template,
            mjml=mjml,
            text=_template(wish.text) if wish.text else None,
            sender=wish.sender,
            reply_to=wish.reply_to,
        )
    if html or wish.text or wish.subject:
        raise BadInputError(
            f"{message} is the whole message, with its subject: leave out --html, --text and --subject."
        )
    return Source(eml=_octets(message), sender=wish.sender, reply_to=wish.reply_to)


def _is_mjml(path: Path) -> bool:
    return path.suffix.lower() == ".mjml"


def _template(path: Path) -> str:
    octets = _octets(path)
    try:
        return octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInputError(f"{path} is not UTF-8 at byte {error.start}. Save it as UTF-8 and try again.") from error


def _octets(path: Path) -> bytes:
    _check_file(path)
    size = path.stat().st_size
    if size > _MESSAGE_MAX:
        raise BadInputError(
            f"{path} has {size / 2**20:.0f} MB, which no server takes. Name the message, not a mailbox."
        )
    return path.read_bytes()


def _check_file(path: Path) -> None:
    """Raises BadInputError for what is no file, or may not be read."""
    try:
        if path.is_dir():
            raise BadInputError(f"{path} is a directory. Name the file in it.")
        with path.open("rb"):
            return
    except FileNotFoundError as error:
        raise BadInputError(f"There is no file {path}. Check its name and try again.") from error
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise BadInputError(f"{path} cannot be read: {why}. Check its name and its permissions.") from error


def _imported(result: ImportResult) -> str:
    lines = [f"{result.name} is imported: {number(result.recipients, 'recipient')}, through {result.server}."]
    if result.ordered_by:
        lines.append(f"The most engaged come first, by the column {result.ordered_by}.")
    if result.ramped:
        lines.append("It goes out in stages; to send it all at once, end the command below with the word whole.")
    if result.duplicates:
        lines.append(f"{number(result.duplicates, 'row')} named somebody again and were left out.")
    if result.bad:
        lines.append(f"{number(result.bad, 'row')} cannot be used and {'was' if result.bad == 1 else 'were'} skipped:")
        lines += [f"  line {line}: {reason}" for line, reason in result.bad_rows]
        if result.bad > len(result.bad_rows):
            lines.append(f"  and {result.bad - len(result.bad_rows):,} more")
    lines += [f"Warning: {warning}" for warning in result.warnings]
    lines.append(f'Nothing is sent yet. To start it: holdfast do "/campaign start {result.name}"')
    return "\n".join(lines)


def _from_path(path: Path) -> str:
    """`Europe/Madrid` of `/usr/share/zoneinfo/Europe/Madrid`, or of itself; empty for another absolute path."""
    parts = path.parts
    if "zoneinfo" in parts:
        return "/".join(parts[parts.index("zoneinfo") + 1 :])
    return "" if path.is_absolute() else str(path)
