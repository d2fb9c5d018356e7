"""Messages a second, end to end with the ledger, beside what people use instead: same sink, same run, same text.

Each peer does as its documentation shows: a message object for each recipient. smtplib in a loop on one connection,
Django's send_mass_mail, fastapi-mail's send_message for one recipient after the other (it connects for each), and
aiosmtplib on twenty persistent connections at a time. Ours is measured between two halves of theirs, because the
machine's speed drifts.
"""

import asyncio
import smtplib
import time
from collections.abc import Awaitable, Callable
from email.message import EmailMessage
from typing import Any

import aiosmtplib
from pydantic import NameEmail, SecretStr

from tests.bench.sending import BODY, staged
from tests.bench.sink import sink

RECIPIENTS = 100_000
CONNECTIONS = 50
PEER_CONNECTIONS = 20


def _message(n: int) -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = f"Hello Person {n}"
    message["From"] = "shop@example.com"
    message["To"] = f"p{n}@example.com"
    message.set_content(BODY)
    return message


def _smtplib(port: int, messages: int) -> None:
    with smtplib.SMTP("127.0.0.1", port) as server:
        for n in range(messages):
            server.send_message(_message(n))


def _django(port: int, messages: int) -> None:
    import django
    from django.conf import settings
    from django.core.mail import send_mass_mail

    if not settings.configured:
        settings.configure(EMAIL_HOST="127.0.0.1", EMAIL_PORT=port, USE_I18N=False)
        django.setup()
    settings.EMAIL_PORT = port
    send_mass_mail(
        tuple((f"Hello Person {n}", BODY, "shop@example.com", [f"p{n}@example.com"]) for n in range(messages))
    )


async def _fastapi_mail(port: int, messages: int) -> None:
    from fastapi_mail import ConnectionConfig, FastMail, MessageSchema, MessageType

    mail = FastMail(
        ConnectionConfig(
            MAIL_USERNAME="",
            MAIL_PASSWORD=SecretStr(""),
            MAIL_FROM="shop@example.com",
            MAIL_SERVER="127.0.0.1",
            MAIL_PORT=port,
            MAIL_STARTTLS=False,
            MAIL_SSL_TLS=False,
            USE_CREDENTIALS=False,
            VALIDATE_CERTS=False,
        )
    )
    for n in range(messages):
        await mail.send_message(
            MessageSchema(
                subject=f"Hello Person {n}",
                recipients=[NameEmail("", f"p{n}@example.com")],
                body=BODY,
                subtype=MessageType.plain,
            )
        )


async def _aiosmtplib(port: int, messages: int) -> None:
    numbers = iter(range(messages))

    async def carry() -> None:
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port, use_tls=False, start_tls=False) as server:
            for n in numbers:
                await server.send_message(_message(n))

    await asyncio.gather(*(carry() for _ in range(PEER_CONNECTIONS)))


def _in_thread(work: Callable[[int, int], None]) -> Callable[[int, int], Awaitable[None]]:
    return lambda port, messages: asyncio.to_thread(work, port, messages)


PEERS: dict[str, tuple[Callable[[int, int], Awaitable[None]], int]] = {
    "smtplib": (_in_thread(_smtplib), 1_500),
    "django": (_in_thread(_django), 1_500),
    "fastapi_mail": (_fastapi_mail, 800),
    "aiosmtplib": (_aiosmtplib, 1_500),
}


async def _rates(port: int) -> dict[str, float]:
    found = {}
    for name, (work, messages) in PEERS.items():
        begun = time.perf_counter()
        await work(port, messages)
        found[name] = messages / (time.perf_counter() - begun)
    return found


async def run() -> dict[str, Any]:
    """Messages a second of each, and the ratios of ours to theirs."""
    async with sink() as (name, port), staged(port, RECIPIENTS, CONNECTIONS) as stage:
        before = await _rates(port)
        ours = (await stage.run()).rate
        after = await _rates(port)
    theirs = {peer: (before[peer] + after[peer]) / 2 for peer in PEERS}
    return {
        "sink": name,
        "rate": round(ours),
        **{peer: round(rate) for peer, rate in theirs.items()},
        **{f"ratio_{peer}": round(ours / rate, 1) for peer, rate in theirs.items()},
    }
