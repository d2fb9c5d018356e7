"""The audience of a notice, frozen into a mailing of its own in small steps, so that nobody waits for a large one."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from bot.access import Actor
from bot.clock import now
from bot.errors import SHOWABLE, BadInputError, BotError
from bot.mail.audience import BadRow, Row, read_recipients
from bot.mail.composing import Source
from bot.services.words import number
from storage import campaigns, messages, notices, recipients
from storage.db import Database, Tx
from storage.models import CampaignState, Message
from storage.recipients import NewRecipient

_COPIED_AT_ONCE = 10_000
_READ_AT_ONCE = 1_000
_REMOVED_AT_ONCE = 10_000


@dataclass
class Frozen:
    """A mailing whose audience is complete, and what was left out of it."""

    campaign_id: int
    recipients: int = 0
    suppressed: int = 0
    duplicates: int = 0
    bad: int = 0
    first_bad: str = ""
    """The first row of a CSV that could not be used: its line and the reason."""


@dataclass
class _Read:
    """What was read of a CSV so far. A suppressed address that stands in it twice is one."""

    good: int = 0
    left_out: int = 0
    suppressed: set[str] = field(default_factory=set)


async def from_campaigns(
    db: Database, actor: Actor, source: Source, server_id: int, campaign_ids: Sequence[int]
) -> Frozen:
    """Everybody whom one of these campaigns is for, once, but for suppressed addresses."""
    async with db.read() as tx:
        found = await notices.sources(tx, campaign_ids)
        suppressed = await notices.suppressed_among(tx, campaign_ids)

    async def fill(frozen: Frozen) -> None:
        offset = 0
        for each in found:
            for first in range(1, each.last + 1, _COPIED_AT_ONCE):
                last = min(first + _COPIED_AT_ONCE - 1, each.last)
                async with db.transaction() as tx:
                    await _go_on(tx, frozen.campaign_id)
                    await notices.copy_audience(
                        tx, frozen.campaign_id, each.campaign_id, first=first, last=last, offset=offset
                    )
            offset += each.last
        frozen.suppressed = suppressed
        await _count(db, frozen, sum(each.recipients for each in found) - suppressed)

    return await _freeze(db, actor, source, server_id, fill)


async def from_csv(db: Database, actor: Actor, source: Source, server_id: int, csv: Path) -> Frozen:
    """Everybody in a file, once, but for suppressed addresses. Raises BadInputError when it has no usable row."""
    file = await asyncio.to_thread(read_recipients, csv)

    async def fill(frozen: Frozen) -> None:
        read = _Read()
        rows = iter(file)
        while batch := await asyncio.to_thread(_next, rows):
            good = [row for row in batch if isinstance(row, Row)]
            _count_bad(frozen, [row for row in batch if isinstance(row, BadRow)])
            async with db.transaction() as tx:
                await _go_on(tx, frozen.campaign_id)
                away = await notices.suppressed_of(tx, [row.email.lower() for row in good])
                kept = [row for row in good if row.email.lower() not in away]
                numbered = [NewRecipient(read.good + n, row.email, {}) for n, row in enumerate(kept, 1)]
                await recipients.add(tx, frozen.campaign_id, numbered)
            read.good += len(kept)
            read.left_out += len(good) - len(kept)
            read.suppressed |= away
        frozen.suppressed = len(read.suppressed)
        await _count(db, frozen, read.good + read.left_out - len(read.suppressed))
        if not read.good and not read.left_out:
            raise BadInputError(_nobody(frozen))

    try:
        return await _freeze(db, actor, source, server_id, fill)
    finally:
        file.close()


async def discard(db: Database, campaign_id: int) -> None:
    """A notice that is never sent needs no audience. What a crash leaves of it costs nothing but room."""
    async with db.read() as tx:
        last = await recipients.last_number(tx, campaign_id)
    for first in range(1, last + 1, _REMOVED_AT_ONCE):
        async with db.transaction() as tx:
            await recipients.remove(tx, campaign_id, first, first + _REMOVED_AT_ONCE - 1)


async def _freeze(
    db: Database, actor: Actor, source: Source, server_id: int, fill: Callable[[Frozen], Awaitable[None]]
) -> Frozen:
    """The mailing has the kind of an import until it is whole: nobody sees it, and what a killed process leaves of
    it is taken out as an import is.
    """
    frozen = Frozen(await _reserve(db, actor, source, server_id))
    try:
        await fill(frozen)
    except BaseException:
        await asyncio.shield(give_up(db, frozen.campaign_id))
        raise
    return frozen


async def _reserve(db: Database, actor: Actor, source: Source, server_id: int) -> int:
    at = now()
    values = {
        "name": f"notice~{secrets.token_hex(8)}",
        "kind": campaigns.IMPORTING,
        "state": CampaignState.SCHEDULED,
        "wish": CampaignState.SCHEDULED,
        "state_since": at,
        "server_id": server_id,
        "subject": source.subject,
        "created_by": actor.mention,
        "created_at": at,
    }
    async with db.transaction() as tx:
        campaign_id = await campaigns.reserve(tx, values)
        if campaign_id is None:
            raise BotError("The notice could not be drafted at this moment. Try again.")
        message = Message(
            campaign_id=campaign_id,
            key=secrets.token_hex(32),
            sender=source.sender,
            subject=source.subject,
            html=source.html,
            text=source.text,
        )
        await messages.add(tx, message)
    return campaign_id


async def give_up(db: Database, campaign_id: int) -> None:
    """Take a mailing out again that did not become a notice's. Where the database cannot, the next import does."""
    with suppress(*SHOWABLE):
        async with db.transaction() as tx:
            await campaigns.give_up_import(tx, campaign_id)
        await discard(db, campaign_id)
        async with db.transaction() as tx:
            await messages.remove(tx, campaign_id)
            await campaigns.forget_import(tx, campaign_id)


async def _go_on(tx: Tx, campaign_id: int) -> None:
    if not await campaigns.still_importing(tx, campaign_id, now()):
        raise BotError("Freezing the audience stood still for so long that it was given up. Draft the notice again.")


async def _count(db: Database, frozen: Frozen, wanted: int) -> None:
    """`wanted`: how many addresses were found, suppressed ones apart."""
    async with db.read() as tx:
        frozen.recipients = await recipients.count(tx, frozen.campaign_id)
    frozen.duplicates = max(0, wanted - frozen.recipients)


def _next(rows: Iterator[Row | BadRow]) -> list[Row | BadRow]:
    return [*islice(rows, _READ_AT_ONCE)]


def _count_bad(frozen: Frozen, rows: Sequence[BadRow]) -> None:
    if rows and not frozen.bad:
        frozen.first_bad = f"line {rows[0].line}: {rows[0].reason}"
    frozen.bad += len(rows)


def _nobody(frozen: Frozen) -> str:
    if not frozen.bad:
        return "The file names its columns, but has no rows. Add the recipients and draft the notice again."
    return f"None of the {number(frozen.bad, 'row')} can be used. The first, in {frozen.first_bad}"
