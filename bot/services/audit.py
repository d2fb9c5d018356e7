"""The audit log: who did what, when, on what and from where. The timeline has it all; here it is found and shown."""

import csv
import io
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from bot.access import HOLDFAST, Access, Actor
from bot.clock import now
from bot.errors import BadInputError, NotAllowedError
from bot.services.words import in_utc, joined
from storage import audit, campaigns, servers, timeline
from storage.audit import NOUNS, Row, Wanted
from storage.db import Database, Tx
from storage.timeline import Entry

PAGE = 12
EXPORT_MAX = 50_000
"""Rows of a file that goes through Slack: about 10 MB. At the terminal there is no such limit."""
COLUMNS = (
    "id", "time", "actor", "source", "kind", "text", "outage", "server", "campaign", "resend", "notice", "maintenance",
)  # fmt: skip
REFUSED = "access.refused"
_SLACK = re.compile(r"(?:<@)?(?P<id>[UW](?=[A-Z]*\d)[A-Z0-9]+)>?", re.ASCII)
_BATCH = 1_000
_SHOWN = 8
_DID_MAX = 200
# A person who tries the same again and again is one row for this long, and one who tries everything few.
_QUIET = timedelta(minutes=10)
_REFUSALS_MAX = 20
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet would run: https://owasp.org/www-community/attacks/CSV_Injection"""


@dataclass(frozen=True)
class Query:
    """What is looked for, in words as people typed them. `before` and `after` are ids of rows, for paging."""

    who: str | None = None
    what: str | None = None
    number: int | None = None
    """With `what` a noun: the number of an outage, a resend, a notice or a window."""
    since: datetime | None = None
    before: int | None = None
    after: int | None = None

    def words(self) -> str:
        """The filters as they are typed, so that a button and a person say the same."""
        parts = [_quoted(self.who) if self.who else "", _quoted(self.what) if self.what else ""]
        parts += [str(self.number) if self.number is not None else ""]
        parts += [f"since {self.since:%Y-%m-%dT%H:%MZ}" if self.since else ""]
        return " ".join(part for part in parts if part)


@dataclass(frozen=True)
class Page:
    """Some rows, newest first. `older` and `newer` are the queries of the next pages, where there are such."""

    query: Query
    rows: tuple[Row, ...]
    older: Query | None
    newer: Query | None
    at: datetime


@dataclass(frozen=True)
class Export:
    """A CSV, line by line, header first, oldest row first. `limited`: older rows were left out."""

    name: str
    lines: AsyncIterator[str]
    limited: bool


class Audit:
    """Everybody of the workspace may look; a copy to take away is for approvers and admins."""

    def __init__(self, db: Database, access: Access) -> None:
        self._db = db
        self._access = access

    async def page(self, actor: Actor, query: Query) -> Page:
        """Raises BadInputError for a name that nobody and nothing has, NotAllowedError for people from elsewhere."""
        self._access.require(actor, "audit.read")
        async with self._db.read() as tx:
            wanted = await _wanted(tx, actor, query)
            if query.after is not None:
                found = await audit.following(tx, wanted, PAGE + 1, after=query.after)
                rows, more_newer = found[:PAGE][::-1], len(found) > PAGE
                more_older = True
            else:
                found = await audit.newest(tx, wanted, PAGE + 1, before=query.before)
                rows, more_older = found[:PAGE], len(found) > PAGE
                more_newer = query.before is not None
        bare = replace(query, before=None, after=None)
        older = replace(bare, before=rows[-1].entry.id) if rows and more_older else None
        newer = replace(bare, after=rows[0].entry.id) if rows and more_newer else None
        return Page(query, tuple(rows), older, newer, now())

    async def export(self, actor: Actor, query: Query, *, most: int | None = EXPORT_MAX) -> Export:
        """Raises NotAllowedError, and BadInputError as `page`. With `most` only the newest so many rows."""
        self._access.require(actor, "audit.export")
        async with self._db.read() as tx:
            wanted = await _wanted(tx, actor, query)
            start = await audit.start_of_newest(tx, wanted, most) if most is not None else None
        name = f"holdfast-audit-{now():%Y-%m-%d-%H%M}.csv"
        return Export(name, self._lines(wanted, start or 0), limited=start is not None)

    async def _lines(self, wanted: Wanted, start: int) -> AsyncIterator[str]:
        """A short look at the database for each thousand rows: nobody waits for a long one."""
        yield _line(COLUMNS)
        last = start
        while True:
            async with self._db.read() as tx:
                rows = await audit.following(tx, wanted, _BATCH, after=last)
            for row in rows:
                yield _line(_cells(row))
            if len(rows) < _BATCH:
                return
            last = rows[-1].entry.id

    async def refused(self, actor: Actor, did: str, error: NotAllowedError) -> None:
        """Keep that somebody was refused what they tried, once for a while, without telling the channel."""
        at, tried = now(), " ".join(did.split())[:_DID_MAX]
        text = f"{actor.mention} was refused {tried}: {error}"
        async with self._db.read() as tx:
            lately = await audit.recorded(tx, REFUSED, actor.id, at - _QUIET)
        if text in lately or len(lately) >= _REFUSALS_MAX:
            return
        async with self._db.transaction() as tx:
            await timeline.record(tx, Entry(REFUSED, text, actor.id, at, data={"tried": tried}), post=False)


def source_of(actor: str) -> str:
    """slack, terminal or system: from where somebody of the timeline acted."""
    if actor.casefold() == HOLDFAST.id:
        return "system"
    return "slack" if _SLACK.fullmatch(actor) else "terminal"


def person(actor: str) -> str:
    """Somebody of the timeline, as messages name them: a mention, or a name."""
    found = _SLACK.fullmatch(actor)
    return f"<@{found['id']}>" if found else HOLDFAST.name if source_of(actor) == "system" else actor


def is_reserved(name: str) -> bool:
    """Whether the audit log would take somebody of this name at the terminal for another."""
    return source_of(name) != "terminal"


# What people look for


async def _wanted(tx: Tx, actor: Actor, query: Query) -> Wanted:
    actors = _spellings(query.who, actor, await audit.actors(tx)) if query.who else None
    wanted = Wanted(actors=actors, since=query.since)
    if query.what is None:
        return wanted
    word = query.what.strip().casefold()
    if query.number is not None:
        return replace(wanted, about=(_noun(word), query.number))
    if word.startswith("#") and word[1:].isdecimal():
        return replace(wanted, about=("outage", int(word[1:])))
    return await _about(tx, wanted, word, query)


async def _about(tx: Tx, wanted: Wanted, word: str, query: Query) -> Wanted:
    """A kind, a campaign, a server, or else a person whose name was typed without a sign."""
    kinds = _kinds(word, await audit.kinds(tx))
    if kinds:
        return replace(wanted, kinds=kinds)
    campaign = await campaigns.by_name(tx, word)
    if campaign is not None:
        return replace(wanted, about=("campaign", campaign.id), name=campaign.name)
    server = await servers.by_name(tx, word)
    if server is not None:
        return replace(wanted, about=("server", server.id))
    actors = [each for each in await audit.actors(tx) if each.casefold() == word]
    if actors and query.who is None:
        return replace(wanted, actors=actors)
    nouns = sorted({kind.partition(".")[0] for kind in await audit.kinds(tx)})
    there = f"So far there is {joined(nouns)}." if nouns else "Nothing has happened so far."
    raise BadInputError(
        f"“{word[:60]}” is no kind of event, no campaign, no server and nobody. {there} "
        "Name a person with @, as in /holdfast audit @maria campaign since yesterday"
    )


def _kinds(word: str, known: Sequence[str]) -> list[str]:
    """Those that begin so, as `campaign`, `campaigns` or `campaign.pa`; else those whose verb does, as `approved`."""
    begun = [kind for kind in known if kind.startswith((word, f"{word.removesuffix('s')}."))]
    return begun or [kind for kind in known if kind.partition(".")[2].startswith(word)]


def _noun(word: str) -> str:
    noun = word if word in NOUNS else word.removesuffix("s")
    if noun not in NOUNS:
        raise BadInputError(f"There is no {word} with a number. Write {joined(NOUNS, 'or')}, as in outage 3.")
    return noun


def _spellings(who: str, actor: Actor, known: Sequence[str]) -> list[str]:
    """Everything that the column has for who is meant. Raises BadInputError when that is nobody."""
    word = who.strip().removeprefix("@").casefold()
    if word == "me":
        return [actor.id, actor.mention]
    sources = {"terminal": "terminal", "slack": "slack", "system": "system", HOLDFAST.id: "system"}
    if word in sources:
        return [each for each in known if source_of(each) == sources[word]]
    slack = _SLACK.fullmatch(who.strip().removeprefix("@"))
    if slack:
        return [slack["id"], f"<@{slack['id']}>"]
    found = [each for each in known if each.casefold() == word]
    if found:
        return found
    names = sorted({each for each in known if source_of(each) == "terminal"})
    there = f" At the terminal there were {joined(names[:_SHOWN])}." if names else ""
    raise BadInputError(
        f"Nobody called “{who[:60]}” has done anything yet. Choose a person of Slack from the list that @ opens, or "
        f"write me, holdfast, slack or terminal.{there}"
    )


def _quoted(word: str) -> str:
    return f'"{word}"' if " " in word else word


# The file


def _cells(row: Row) -> list[str]:
    entry = row.entry
    found = _SLACK.fullmatch(entry.actor)
    numbers = (entry.resend_id, entry.notice_id, entry.maintenance_id)
    return [
        str(entry.id),
        entry.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        found["id"] if found else entry.actor,
        source_of(entry.actor),
        entry.kind,
        in_utc(entry.text),
        _number(entry.outage_id),
        row.server or "",
        row.campaign or "",
        *map(_number, numbers),
    ]


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


def _line(cells: Sequence[str]) -> str:
    """RFC 4180. A cell that a spreadsheet would take for a formula begins with an apostrophe."""
    line = io.StringIO()
    csv.writer(line).writerow([f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in cells])
    return line.getvalue()
