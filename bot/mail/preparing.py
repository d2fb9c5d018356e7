"""From a campaign's row to a function that makes the message of each recipient."""

import asyncio
from dataclasses import dataclass
from time import time
from typing import Protocol

from bot.clock import now
from bot.config import Settings
from bot.mail.composing import (
    CompiledMessage,
    Source,
    Unsubscribe,
    compile_message,
    message_ids,
)
from bot.mail.dkim_keys import read_keys
from bot.mail.links import Links
from bot.mail.transaction import Wants
from storage import recipients, sending
from storage.db import Database
from storage.models import Message
from storage.sendable import Row
from storage.sending import Work


class Compose(Protocol):
    """Makes the message of a row, with CRLF lines, as a connection wants it. Raises BotError for one that cannot be."""

    def __call__(self, row: Row, wants: Wants) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Prepared:
    """A message ready for its recipients: the envelope's sender, and what makes the octets of a row."""

    sender: str
    compose: Compose
    takes_long: bool
    """Whether making one takes so long that the loop must not make many in a row."""


def source_of(message: Message) -> Source:
    return Source(
        eml=message.eml,
        subject=message.subject or "",
        html=message.html,
        text=message.text,
        sender=message.sender,
        reply_to=message.reply_to or "",
    )


def unsubscribe_of(settings: Settings) -> Unsubscribe:
    """Which way out customers are given: a link where we have a public address, else mail, else none."""
    if settings.public_url is not None:
        return "link"
    return "mailto" if settings.unsubscribe_mailto is not None else "none"


async def prepare(db: Database, settings: Settings, work: Work) -> Prepared:
    """Read and compile the campaign's message. Raises BadInputError when it cannot be compiled, SettingsError for a
    key that should sign it and cannot be used: better late than unsigned.
    """
    async with db.read() as tx:
        message = await sending.message(tx, work.campaign_id)
        names = await recipients.field_names(tx, work.campaign_id)
    compiled = compile_message(
        source_of(message),
        fields=names,
        campaign=work.name,
        unsubscribe=unsubscribe_of(settings),
        keys=await asyncio.to_thread(read_keys, settings),
    )
    compose = _composer(compiled, message, work.campaign_id, settings)
    return Prepared(compiled.sender, compose, takes_long=compiled.is_signed_slowly)


def _composer(compiled: CompiledMessage, message: Message, campaign_id: int, settings: Settings) -> Compose:
    message_id = message_ids(bytes.fromhex(message.key), compiled.sender.rpartition("@")[2])
    base = settings.public_url.rstrip("/") + "/u/" if settings.public_url is not None else None
    links = Links([settings.signing_key()])
    mailto = settings.unsubscribe_mailto
    eight_bit = settings.sending.eight_bit
    second, date = 0, now()

    def compose(row: Row, wants: Wants) -> bytes:
        nonlocal second, date
        if second != (current := int(time())):
            second, date = current, now()  # the same object for a second: what is made of it is made once
        return compiled.render(
            row.email,
            row.fields,
            message_id=message_id(row.email),
            date=date,
            unsubscribe_url=base + links.make(campaign_id, row.n) if base is not None else None,
            unsubscribe_mailto=mailto,
            wire=wants.stuffed,
            eight_bit=wants.eight_bit and eight_bit,
        )

    return compose
