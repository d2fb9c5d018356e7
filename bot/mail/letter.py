"""One plain message to one of ourselves, now and through a given server: no campaign, no ledger, no journal."""

import secrets
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from bot.mail.connection import Connection, Endpoint, Lost
from bot.mail.transaction import Limits

_QUICK = Limits(
    dns=timedelta(seconds=5),
    connect=timedelta(seconds=5),
    greeting=timedelta(seconds=15),
    ehlo=timedelta(seconds=10),
    starttls=timedelta(seconds=10),
    auth=timedelta(seconds=15),
    mail=timedelta(seconds=15),
    rcpt=timedelta(seconds=15),
    data=timedelta(seconds=15),
    body=timedelta(seconds=15),
    dot=timedelta(seconds=30),
)
"""Somebody waits to be woken: a server that is slower than this is left for the next one."""


def compose(sender: str, recipient: str, subject: str, text: str, at: datetime) -> bytes:
    """The message as it goes over the wire: CRLF lines, dot-stuffed. Raises ValueError for a broken address."""
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = recipient
    message["Subject"] = " ".join(subject.split())
    message["Date"] = format_datetime(at)
    message["Message-ID"] = f"<{secrets.token_hex(16)}@{_address(message).rpartition('@')[2] or 'localhost'}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no vacation notes in return
    message.set_content(text)
    lines = message.as_bytes().splitlines()
    return b"".join((b"." + line if line.startswith(b".") else line) + b"\r\n" for line in lines)


async def deliver(endpoint: Endpoint, sender: str, recipient: str, subject: str, text: str, at: datetime) -> str | None:
    """Hand the message to the server. None when it took it, else why not in a phrase."""
    message = compose(sender, recipient, subject, text, at)
    envelope = sender.rpartition("<")[2].rstrip("> ")
    try:
        connection = await Connection.open(endpoint, _QUICK)
    except Lost as error:
        return error.text
    try:
        result = await connection.send(envelope, recipient, message, before_dot=lambda: True)
    finally:
        await connection.close()
    if result.reply is not None and result.sent and result.reply.code // 100 == 2:
        return None
    return result.text or (f"{result.reply.code} {result.reply.text}" if result.reply else "no answer")


def _address(message: EmailMessage) -> str:
    addresses = message["From"].addresses
    return str(addresses[0].addr_spec) if addresses else ""
