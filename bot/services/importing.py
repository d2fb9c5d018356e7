"""Importing a campaign: its message and a CSV of recipients, streamed, and visible only when it is whole."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email import policy
from email.parser import BytesHeaderParser
from itertools import islice
from math import inf
from pathlib import Path

from bot.access import Access, Actor
from bot.clock import now
from bot.config import Settings
from bot.errors import SHOWABLE, BadInputError, BotError, NotFoundError
from bot.mail.audience import BadRow, Recipients, Row, read_recipients
from bot.mail.composing import CompiledMessage, Source, compile_message
from bot.mail.dkim_keys import unsigned
from bot.mail.engagement import COLUMN, place_of
from bot.mail.preparing import unsubscribe_of
from bot.services import ramp_steps
from bot.services.names import check_name, complete
from bot.services.words import joined, moment, number
from storage import campaigns, messages, recipients, servers, staged, timeline
from storage.db import Database, Tx
from storage.models import CampaignState, Message, Server
from storage.recipients import NewRecipient
from storage.timeline import Entry

Progress = Callable[[int, int], None]
"""Called after each batch with the rows and the bytes read so far."""

BATCH = 1_000
_SHOWN_BAD_ROWS = 20
_DEAD_AFTER = timedelta(minutes=2)
"""An import that has said nothing for this long is taken to be gone."""
_REMOVED_AT_ONCE = 10_000


@dataclass(frozen=True)
class ImportResult:
    """What became of the file. `bad_rows` are the first twenty: line and reason."""

    name: str
    server: str
    recipients: int
    duplicates: int
    bad: int
    bad_rows: tuple[tuple[int, str], ...]
    warnings: tuple[str, ...]
    ordered_by: str | None = None
    """The column by which the most engaged get it first."""
    ramped: bool = False


@dataclass(frozen=True)
class _Wish:
    """What was asked for."""

    actor: Actor
    name: str
    source: Source
    server: Server
    expires_at: datetime | None
    ramp: bool = False
    engaged_by: str | None = None
    """The field by which recipients are put in order; None: as the file has them."""


@dataclass
class _Tally:
    """What was read so far. `good` counts duplicates too: only the database can tell them."""

    rows: int = 0
    good: int = 0
    bad: int = 0
    bad_rows: list[tuple[int, str]] = field(default_factory=list)
    unplaced: int = 0
    """Rows in which the engagement is neither a number nor a date."""

    def places(self, rows: Sequence[NewRecipient], column: str) -> list[float]:
        """Where each comes; what cannot be read comes last, with what is not known."""
        found = [place_of(row.fields.get(column, "")) for row in rows]
        self.unplaced += found.count(None)
        return [inf if each is None else each for each in found]

    def take(self, rows: Iterable[Row | BadRow]) -> list[NewRecipient]:
        """Count a batch; returns its recipients, numbered."""
        taken = []
        for row in rows:
            self.rows += 1
            if isinstance(row, Row):
                self.good += 1
                taken.append(NewRecipient(self.good, row.email, row.fields))
                continue
            self.bad += 1
            if len(self.bad_rows) < _SHOWN_BAD_ROWS:
                self.bad_rows.append((row.line, row.reason))
        return taken


class Importing:
    """Rows are written in small transactions, so that nobody waits for a large import.

    Until its last step the campaign has the kind `importing`, which nothing else looks at. An import that fails takes
    its rows out again; what a killed process leaves is taken out by the next import.
    """

    def __init__(self, db: Database, settings: Settings, access: Access) -> None:
        self._db = db
        self._settings = settings
        self._access = access

    async def create(
        self,
        actor: Actor,
        name: str,
        source: Source,
        csv: Path,
        server: str | None = None,
        expires_at: datetime | None = None,
        progress: Progress | None = None,
        *,
        engaged_by: str | None = None,
        ramp: bool = False,
    ) -> ImportResult:
        """Make a scheduled campaign from a message and the recipients in a CSV file.

        With a column `engagement`, or the one that `engaged_by` names, the most engaged get it first. With `ramp` it
        goes out in stages when it is started.

        Raises BadInputError when the name is taken, the server is unclear, the message cannot be compiled or filled in
        for the first recipient, or the file has no usable row. Single bad rows are skipped and counted.
        """
        self._access.require(actor, "campaign.import")
        check_name(name, "campaign")
        at = now()
        if expires_at is not None and expires_at <= at:
            raise BadInputError(
                f"The offer would have ended at {moment(expires_at, at)} already, so nothing would be sent. "
                "Correct the time."
            )
        await self._clear_up(at)
        async with self._db.read() as tx:
            carrier = await _choose_server(tx, server)
            await _check_free(tx, name)
        file = await asyncio.to_thread(read_recipients, csv)
        try:
            order = _order(file, engaged_by)
            return await self._import(_Wish(actor, name, source, carrier, expires_at, ramp, order), file, progress)
        finally:
            file.close()

    async def _import(self, wish: _Wish, file: Recipients, progress: Progress | None) -> ImportResult:
        tally = _Tally()
        compiled: CompiledMessage | None = None
        campaign_id = 0
        try:
            async with aclosing(_batches(file, tally)) as batches:
                async for batch in batches:
                    if batch and compiled is None:
                        compiled = await asyncio.to_thread(self._compile, wish, batch[0])
                        campaign_id = await self._reserve(wish)
                    if batch:
                        await self._add(campaign_id, wish, batch, tally)
                    if progress is not None:
                        progress(tally.rows, file.bytes_read)
            if campaign_id and wish.engaged_by is not None:
                await self._number(campaign_id, wish.name)
            added = await self._finish(wish, campaign_id, tally)
        except BaseException:
            # Also when the person gives up (Ctrl-C): nothing half may stay.
            if campaign_id:
                await asyncio.shield(self._give_up(campaign_id))
            raise
        return ImportResult(
            name=wish.name,
            server=wish.server.name,
            recipients=added,
            duplicates=tally.good - added,
            bad=tally.bad,
            bad_rows=tuple(tally.bad_rows),
            warnings=(*(self._warnings(compiled) if compiled else ()), *_unplaced(wish, tally)),
            ordered_by=wish.engaged_by,
            ramped=wish.ramp,
        )

    def _compile(self, wish: _Wish, first: NewRecipient) -> CompiledMessage:
        """Compile the message and fill it in for the first recipient, as it will be sent."""
        way = unsubscribe_of(self._settings)
        compiled = compile_message(wish.source, fields=first.fields, campaign=wish.name, unsubscribe=way)
        compiled.render(
            first.email,
            first.fields,
            message_id="<first@import.invalid>",
            date=now(),
            unsubscribe_url=self._settings.public_url if way == "link" else None,
            unsubscribe_mailto=self._settings.unsubscribe_mailto,
        )
        return compiled

    def _warnings(self, compiled: CompiledMessage) -> tuple[str, ...]:
        not_signed = unsigned(self._settings, compiled.sender.rpartition("@")[2])
        return (*compiled.warnings, not_signed) if not_signed else compiled.warnings

    async def _reserve(self, wish: _Wish) -> int:
        """Take the name, and write down the message. Raises BadInputError when somebody was faster."""
        at = now()
        # MJML is kept as the HTML it became: what was looked at is what is sent, by whichever version of Holdfast.
        source = await asyncio.to_thread(wish.source.as_html)
        values = {
            "name": wish.name,
            "kind": campaigns.IMPORTING,
            "state": CampaignState.SCHEDULED,
            "wish": CampaignState.SCHEDULED,
            "state_since": at,
            "server_id": wish.server.id,
            "subject": _subject(source),
            "created_by": wish.actor.mention,
            "created_at": at,
            "expires_at": wish.expires_at,
        }
        async with self._db.transaction() as tx:
            campaign_id = await campaigns.reserve(tx, values)
            if campaign_id is None:
                await _check_free(tx, wish.name)
                raise BadInputError(f"The name {wish.name} was taken at this moment. Try again, or choose another.")
            message = Message(
                campaign_id=campaign_id,
                key=secrets.token_hex(32),
                sender=source.sender,
                subject=source.subject or None,
                reply_to=source.reply_to or None,
                eml=source.eml,
                html=source.html,
                text=source.text,
            )
            await messages.add(tx, message)
        return campaign_id

    async def _add(self, campaign_id: int, wish: _Wish, batch: Sequence[NewRecipient], tally: _Tally) -> None:
        places = tally.places(batch, wish.engaged_by) if wish.engaged_by is not None else None
        async with self._db.transaction() as tx:
            if not await campaigns.still_importing(tx, campaign_id, now()):
                raise _lost(wish.name)
            if places is None:
                await recipients.add(tx, campaign_id, batch)
            else:
                await staged.add(tx, campaign_id, batch, places)

    async def _number(self, campaign_id: int, name: str) -> None:
        """Now that all of them are known: the most engaged get the lowest numbers, which are sent first."""
        reached: staged.Reached | None = staged.BEGINNING
        while reached is not None:
            async with self._db.transaction() as tx:
                if not await campaigns.still_importing(tx, campaign_id, now()):
                    raise _lost(name)
                reached = await staged.number(tx, campaign_id, reached, BATCH)

    async def _finish(self, wish: _Wish, campaign_id: int, tally: _Tally) -> int:
        """Make the campaign visible. Returns how many recipients it has; raises BadInputError when it has none."""
        if not tally.good:
            raise _nobody(tally)
        at = now()
        async with self._db.transaction() as tx:
            added = await recipients.count(tx, campaign_id)
            values = {"recipients": added, "bad_rows": tally.bad, "state_since": at}
            if not await campaigns.finish_import(tx, campaign_id, **values):
                raise _lost(wish.name)
            if wish.ramp:
                await ramp_steps.choose(tx, campaign_id, added, self._settings.ramp.stages)
            text = f"{wish.actor.mention} imported {wish.name}: {number(added, 'recipient')}."
            entry = Entry(
                "campaign.import",
                text,
                wish.actor.id,
                at,
                campaign_id=campaign_id,
                data={"bad": tally.bad, "duplicates": tally.good - added},
            )
            await timeline.record(tx, entry, post=False)
        return added

    async def _clear_up(self, at: datetime) -> None:
        """Take out what imports left whose process was killed."""
        async with self._db.read() as tx:
            dead = await campaigns.dead_imports(tx, at - _DEAD_AFTER)
        for campaign_id in dead:
            await self._give_up(campaign_id)

    async def _give_up(self, campaign_id: int) -> None:
        """Take an import out again. Where the database cannot do that now, the next import does."""
        with suppress(*SHOWABLE):
            async with self._db.transaction() as tx:
                await campaigns.give_up_import(tx, campaign_id)
                last = await recipients.last_number(tx, campaign_id)
            more = True
            while more:
                async with self._db.transaction() as tx:
                    more = await staged.drop(tx, campaign_id, _REMOVED_AT_ONCE)
            for first in range(1, last + 1, _REMOVED_AT_ONCE):
                async with self._db.transaction() as tx:
                    await recipients.remove(tx, campaign_id, first, first + _REMOVED_AT_ONCE - 1)
            async with self._db.transaction() as tx:
                await messages.remove(tx, campaign_id)
                await campaigns.forget_import(tx, campaign_id)


async def _batches(file: Recipients, tally: _Tally) -> AsyncGenerator[list[NewRecipient]]:
    """The recipients of the next thousand rows, again and again; a batch of bad rows only is empty."""
    rows = iter(file)
    while read := await asyncio.to_thread(lambda: [*islice(rows, BATCH)]):
        yield tally.take(read)


async def _choose_server(tx: Tx, word: str | None) -> Server:
    """The server that was named; without a name the only one that is no backup."""
    known = {server.name: server for server in await servers.every(tx)}
    when_none = "Add one with /server add NAME HOST:PORT, or in holdfast.toml."
    if word:
        return known[complete(word, list(known), "server", when_none)]
    if not known:
        raise NotFoundError(f"There is no server yet. {when_none}")
    backups = {server.backup_id for server in known.values()}
    first_choice = [server for server in known.values() if server.id not in backups]
    if len(first_choice) != 1:
        raise BadInputError(f"Several servers could send it: {joined(sorted(known))}. Say which one, with --server.")
    return first_choice[0]


def _order(file: Recipients, wanted: str | None) -> str | None:
    """The field by which the recipients are put in order. Raises BadInputError where the one that is wanted lacks."""
    column = (wanted or COLUMN).casefold()
    found = next((each for each in file.columns if each.casefold() == column), None)
    if found is None and wanted:
        there = f"It has {joined(file.columns)}." if file.columns else "It has none but that of the addresses."
        raise BadInputError(f"The file has no column {wanted}, by which to order the recipients. {there}")
    return found


def _unplaced(wish: _Wish, tally: _Tally) -> list[str]:
    if not tally.unplaced:
        return []
    has, comes = ("has", "comes") if tally.unplaced == 1 else ("have", "come")
    rows = number(tally.unplaced, "row")
    return [f"{rows} {has} neither a number nor a date in {wish.engaged_by}, and {comes} last."]


async def _check_free(tx: Tx, name: str) -> None:
    taken = await campaigns.by_name(tx, name)
    if taken is None:
        return
    if taken.kind == campaigns.IMPORTING:
        raise BadInputError(f"{name} is being imported by {taken.created_by} just now. Wait, or choose another name.")
    raise BadInputError(f"There is a campaign {name} already. Choose another name.")


def _subject(source: Source) -> str:
    """The subject as it is written, fields and all."""
    if source.eml is None:
        return source.subject
    return " ".join(str(BytesHeaderParser(policy=policy.default).parsebytes(source.eml)["Subject"] or "").split())


def _nobody(tally: _Tally) -> BadInputError:
    if not tally.rows:
        return BadInputError("The file names its columns, but has no rows. Add the recipients and import it again.")
    line, reason = tally.bad_rows[0]
    return BadInputError(
        f"None of the {number(tally.rows, 'row')} can be used. The first, in line {line}: {reason} "
        "Correct the file and import it again."
    )


def _lost(name: str) -> BotError:
    return BotError(f"The import of {name} stood still for so long that it was given up. Import it again.")
