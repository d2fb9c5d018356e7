"""The command `holdfast`: what is typed in a terminal. The process's edge: every error ends here, as a sentence."""

import asyncio
import getpass
import secrets
import signal
import sys
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Annotated, NoReturn

import structlog
import typer
import uvloop

from bot import logs
from bot.access import Actor
from bot.config import Settings, load_settings
from bot.errors import SHOWABLE, BadInputError, SettingsError
from bot.services.words import in_utc

app = typer.Typer(
    name="holdfast",
    help="A Slack bot that handles email outages: it holds the campaigns, moves to a backup server and sends again "
    "exactly what was lost. To see it at work, without Slack or a mail server: holdfast demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_OUR_FAULT = 70
"""EX_SOFTWARE of sysexits.h."""
_TRY_AGAIN = 75
"""EX_TEMPFAIL of sysexits.h: a mail server that pipes a message to us keeps it and comes again."""

As = Annotated[str | None, typer.Option("--as", metavar="NAME", help="Who acts; the user of this machine by default.")]
Zone = Annotated[
    str | None,
    typer.Option("--zone", envvar="TZ", metavar="ZONE", help="Your time zone, as Europe/Madrid; the machine's else."),
]


@app.command()
def run() -> None:
    """Run the bot until SIGTERM or Ctrl-C: Slack, the monitor, the schedule and the sender."""
    # A command loads only what it needs: half of a start is loading, and the sender is started again in an outage.
    from bot.app import Bot  # noqa: PLC0415
    from bot.memory import keep_for_good  # noqa: PLC0415

    async def serve() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await Bot(settings).run(stop)

    settings = _settings(logging=True)
    keep_for_good()
    uvloop.run(serve())


@app.command()
def worker(
    parent: Annotated[
        int | None, typer.Option(hidden=True, help="Stop when this process is no longer the parent.")
    ] = None,
) -> None:
    """Send, until SIGTERM or Ctrl-C. `holdfast run` starts one; with PostgreSQL start more, on as many machines as you
    like, with the same settings.
    """
    from bot.mail.worker import run_worker  # noqa: PLC0415  # as in `run`
    from bot.services.ramp_work import duties  # noqa: PLC0415

    run_worker(_settings(logging=True), parent, duties)


@app.command()
def demo(
    script: Annotated[bool, typer.Option("--script", help="No pauses for reading, no colours.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="End with the counts as one line of JSON.")] = False,
    recipients: Annotated[int, typer.Option(min=200, max=100_000, help="How many people the campaign goes to.")] = 2000,
    comes_back: Annotated[
        bool, typer.Option("--return", help="The relay comes back by itself, instead of a failover to the backup.")
    ] = False,
    database_url: Annotated[
        str | None, typer.Option(metavar="URL", help="An empty database to play in; SQLite in a temporary folder else.")
    ] = None,
    page: Annotated[
        bool, typer.Option("--page", help="Only the workspace in your browser, without the story: break things there.")
    ] = False,
) -> None:
    """Watch a whole email outage being handled, with real SMTP, a real database and a Slack on this machine.

    The Slack is also a page in your browser, whose address is printed first; after the story it stays until Ctrl-C.
    """
    from bot.demo.playing import open_workspace  # noqa: PLC0415  # as in `run`
    from bot.demo.story import Options, tell  # noqa: PLC0415  # as in `run`

    if page and (script or as_json or comes_back):
        raise BadInputError("--page is the workspace without the story: it goes with --recipients and --database-url.")
    if page:
        raise typer.Exit(asyncio.run(open_workspace(recipients, database_url)))
    options = Options(
        recipients=recipients,
        paced=not script,
        colours=not script and sys.stdout.isatty(),
        as_json=as_json,
        comes_back=comes_back,
        database_url=database_url,
        page=not script,
        stays=not script and sys.stdin.isatty(),
    )
    raise typer.Exit(asyncio.run(tell(options)))


@app.command()
def do(
    line: Annotated[list[str], typer.Argument(metavar="LINE", help='A command as typed in Slack: "/outage list"')],
    name: As = None,
    zone: Zone = None,
) -> None:
    """Run any command without Slack, for example: holdfast do "/campaign pause spring-sale" --as Maria"""
    from bot import terminal  # noqa: PLC0415  # as in `run`

    settings = _settings()
    shown = asyncio.run(terminal.do(settings, _actor(name, zone), " ".join(line), ansi=sys.stdout.isatty()))
    print(shown.text)  # noqa: T201  # the answer of the command
    _aside(shown.aside)


@app.command()
def audit(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[WHO] [WHAT]", help="As after /holdfast audit: maria campaign")
    ] = None,
    since: Annotated[str | None, typer.Option(metavar="WHEN", help="2h, yesterday, 2026-03-01")] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write all of it as CSV; - is the screen.")] = None,
    name: As = None,
    zone: Zone = None,
) -> None:
    """Who did what, when, on what and from where. For example: holdfast audit campaign --since yesterday --csv a.csv"""
    from bot import terminal  # noqa: PLC0415  # as in `run`

    settings, actor = _settings(), _actor(name, zone)
    line = " ".join([*(words or []), *(["since", since] if since else [])])
    if csv is None:
        shown = asyncio.run(terminal.do(settings, actor, f"/holdfast audit {line}", ansi=sys.stdout.isatty()))
        print(shown.text)  # noqa: T201  # the answer of the command
        _aside(shown.aside)
        return
    _aside(asyncio.run(terminal.audit_file(settings, actor, line, csv)))


@app.command()
def check(
    as_json: Annotated[
        bool, typer.Option("--json", help="For scripts: what, level and sentence of each line.")
    ] = False,
) -> None:
    """Say what is wrong with settings, tokens, scopes, channel, database, servers and hooks, and what to do about it.

    Ends with 0 when all is well, 1 when something is to be put right, 2 for a wrong setting.
    """
    from bot import terminal  # noqa: PLC0415  # as in `run`
    from bot.slack.doctor import examine  # noqa: PLC0415  # as in `run`

    try:
        settings = load_settings()
    except SettingsError as error:
        terminal.report([terminal.Finding("settings", ok=False, sentence=str(error))], as_json=as_json)
        raise typer.Exit(2) from error
    raise typer.Exit(terminal.report(asyncio.run(terminal.check(settings, examine)), as_json=as_json))


@app.command()
def page(
    test: Annotated[bool, typer.Option("--test", help="Send a test page, and say what became of it.")] = False,
) -> None:
    """Try the roads by which people are paged while Slack is away: holdfast page --test"""
    from bot import terminal  # noqa: PLC0415  # as in `run`

    if not test:
        raise BadInputError("Holdfast pages people by itself when Slack is away. To try it: holdfast page --test")
    raise typer.Exit(terminal.report(asyncio.run(terminal.page_test(_settings()))))


@app.command()
def migrate() -> None:
    """Bring the tables of the database to this version's shape. `holdfast run` does so by itself."""
    from bot import terminal  # noqa: PLC0415  # as in `run`

    print(asyncio.run(terminal.migrate(_settings())))  # noqa: T201  # the answer of the command


@app.command(name="import")
def import_(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The campaign's name, as spring-sale.")],
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="[MESSAGE.EML|MESSAGE.MJML] RECIPIENTS.CSV",
            help="The message and the recipients, with a column email.",
        ),
    ],
    server: Annotated[str | None, typer.Option(metavar="NAME", help="The server to send through.")] = None,
    html: Annotated[Path | None, typer.Option(help="A template in HTML or MJML, in the place of MESSAGE.EML.")] = None,
    text: Annotated[Path | None, typer.Option(help="A template in plain text; alone, or beside --html.")] = None,
    subject: Annotated[str, typer.Option(help="The subject; it may hold fields, as {{ name }}.")] = "",
    sender: Annotated[str, typer.Option("--from", metavar="ADDRESS", help='As "Shop <shop@example.com>".')] = "",
    reply_to: Annotated[str, typer.Option("--reply-to", metavar="ADDRESS", help="Where answers go.")] = "",
    expires: Annotated[
        str | None, typer.Option(metavar="WHEN", help='After it nothing is sent: "tomorrow 18:00".')
    ] = None,
    engaged_by: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Who has the highest number, or latest date, there is mailed first."),
    ] = None,
    ramp: Annotated[bool, typer.Option("--ramp", help="When it is started it goes out in stages.")] = False,
    actor: As = None,
    zone: Zone = None,
) -> None:
    """Make a campaign from a message and a CSV of recipients. Rows that cannot be used are named and skipped.

    For example: holdfast import spring-sale message.eml recipients.csv --server primary

    Or from templates with the columns as fields: holdfast import spring-sale recipients.csv --html sale.html
    --subject "Hello {{ name }}" --from "Shop <shop@example.com>"; MJML is such a template too:
    holdfast import spring-sale message.mjml recipients.csv --subject "Spring sale" --from shop@example.com
    """
    from bot import terminal  # noqa: PLC0415  # as in `run`

    *message, recipients = files
    if len(message) > 1:
        raise BadInputError(
            f"There are {len(files)} files, where a message and a CSV are enough: "
            "holdfast import NAME message.eml recipients.csv"
        )
    wish = terminal.ImportWish(
        name=name,
        message=message[0] if message else None,
        recipients=recipients,
        server=server,
        html=html,
        text=text,
        subject=subject,
        sender=sender,
        reply_to=reply_to,
        expires=expires,
        engaged_by=engaged_by,
        ramp=ramp,
    )
    print(asyncio.run(terminal.import_campaign(_settings(), _actor(actor, zone), wish)))  # noqa: T201  # the answer


@app.command()
def notice(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What the people in the file are told.")],
    csv: Annotated[Path, typer.Option(metavar="FILE", help="The recipients, with a column email.")],
    subject: Annotated[str | None, typer.Option(help="The subject of the message.")] = None,
    name: As = None,
    zone: Zone = None,
) -> None:
    """Draft a notice to the people in a CSV. Nothing is sent before /notice send and a second person's approval."""
    from bot import terminal  # noqa: PLC0415  # as in `run`

    shown = asyncio.run(
        terminal.draft_notice(_settings(), _actor(name, zone), text, csv, subject, ansi=sys.stdout.isatty())
    )
    print(shown.text)  # noqa: T201  # the answer of the command
    _aside(shown.aside)


@app.command()
def reconcile(
    logs: Annotated[
        list[Path], typer.Argument(metavar="LOGFILE...", help="A mail server's logs, .gz too; - is standard input.")
    ],
    server: Annotated[str | None, typer.Option(metavar="NAME", help="The server whose logs they are.")] = None,
    name: As = None,
    zone: Zone = None,
) -> None:
    """Look for unknown deliveries in the logs of Postfix or Exim, and settle those that are there.

    For example: holdfast reconcile /var/log/mail.log /var/log/mail.log.1 --server primary
    """
    from bot import terminal  # noqa: PLC0415  # as in `run`

    said = asyncio.run(terminal.reconcile(_settings(), _actor(name, zone), logs, server))
    print(said)  # noqa: T201  # the answer of the command


@app.command()
def bounce(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE|MAILDIR...]", help="Where the messages are; standard input without it."),
    ] = None,
) -> None:
    """Take bounces and complaints, as a mail server hands them over: one on standard input, or all new of a Maildir.

    Ends with 75 for whatever is not the message's own fault, so that the mail server keeps it and tries again.
    """
    try:
        from bot import terminal  # noqa: PLC0415  # as in `run`

        said = asyncio.run(terminal.take_bounces(_settings(), paths or [Path("-")]))
    except SHOWABLE as error:
        _end(str(error), _TRY_AGAIN)
    except Exception as error:  # noqa: BLE001  # the edge of the process: any other code is final to a mail server
        _broke(error, _TRY_AGAIN)
    print(said)  # noqa: T201  # the answer of the command


@app.command()
def manifest(
    mode: Annotated[str, typer.Option(metavar="socket|http", help="How Slack's requests come in.")] = "socket",
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="Your public address, as https://holdfast.example.com")
    ] = None,
) -> None:
    """Print the Slack app's manifest, to be pasted at https://api.slack.com/apps under "From a manifest"."""
    from bot.slack.manifest import manifest as made  # noqa: PLC0415  # as in `run`

    if mode not in {"socket", "http"}:
        raise BadInputError(f"--mode is socket or http, not {mode}.")
    print(made(http=mode == "http", url=url or _settings().public_url), end="")  # noqa: T201  # the answer


@app.command()
def version() -> None:
    """Print the version."""
    print(f"holdfast {installed_version('holdfast')}")  # noqa: T201  # the answer of the command


def _settings(*, logging: bool = False) -> Settings:
    """The settings. Commands that answer at once say what matters themselves, and log only what is wrong."""
    settings = load_settings()
    logs.configure(settings if logging else settings.model_copy(update={"log_level": "error"}))
    return settings


def _actor(name: str | None, zone: str | None) -> Actor:
    from bot import terminal  # noqa: PLC0415  # as in `run`
    from bot.services.audit import is_reserved  # noqa: PLC0415  # as in `run`

    who = (name if name is not None else _user()).strip()
    if not who or not who.isprintable():
        raise BadInputError("--as needs a name: holdfast do LINE --as Maria")
    if is_reserved(who):
        if name is not None:
            raise BadInputError(f"--as {who} would look like somebody else in the audit log. Give a person's name.")
        who = f"{who} (terminal)"  # a machine's user may well be called holdfast
    return Actor(id=who, name=who, source="terminal", zone=terminal.time_zone(zone))


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return "terminal"


def _aside(sentence: str | None) -> None:
    """What is worth knowing besides the answer."""
    if sentence:
        print(in_utc(sentence), file=sys.stderr)  # noqa: T201  # not part of the answer


def _end(sentence: str, code: int) -> NoReturn:
    print(in_utc(sentence), file=sys.stderr)  # noqa: T201  # where people look for it
    sys.exit(code)


def _broke(error: Exception, code: int = _OUR_FAULT) -> NoReturn:
    """A fault of ours: the person gets an id, the file the details, secrets hidden."""
    fault = secrets.token_hex(2)
    settings = Settings.model_construct()
    try:
        settings = load_settings()
        path = settings.data_dir / "errors.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            logs.configure(settings, file)
            structlog.get_logger().error("something broke", id=fault, exc_info=error)
    except (SettingsError, OSError):
        logs.configure(settings)
        structlog.get_logger().error("something broke", id=fault, error=repr(error))
        _end(f"Something broke on our side (id {fault}).", code)
    _end(f"Something broke on our side (id {fault}). The details are in {path}; please report them.", code)


def main() -> None:
    """Ends with 0 when all is well, 1 for what went wrong, 2 for a wrong setting or usage, 70 for a fault of ours."""
    try:
        app()
    except SettingsError as error:
        _end(str(error), 2)
    except SHOWABLE as error:
        _end(str(error), 1)
    except Exception as error:  # noqa: BLE001  # the edge of the process
        _broke(error)


if __name__ == "__main__":
    main()
