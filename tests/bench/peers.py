"""Messages a second, end to end with the ledger, beside what people use instead: same sink, same run, same mail.

The mail is that of a campaign: HTML with a text part, 5 KB in all, the recipient's name in both, and dashes, quotes
and a currency sign as people write them. The keys with `plain` are for 5 KB of ASCII text alone. Each peer does as its
documentation shows: a message object for each recipient. smtplib in a loop on one connection; Django's templates and
`send_messages` on one connection (`send_mass_mail`, which knows text alone, for plain mail); fastapi-mail's
`send_message` for one recipient after the other (it connects for each); and aiosmtplib on twenty persistent connections
at a time. What has no templates of its own puts the name in by `str.replace`, escaped. Ours is measured between two
halves of theirs, because the machine's speed drifts.
"""

import asyncio
import smtplib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.message import EmailMessage
from html import escape
from typing import Any

import aiosmtplib
from pydantic import NameEmail, SecretStr

from tests.bench.sending import BODY, staged
from tests.bench.sink import sink

RECIPIENTS = 200_000
CONNECTIONS = 50
PEER_CONNECTIONS = 20


_LINE = "The sale has begun — “everything must go” before Sunday, from 9,99 €."
_TEXT = "Hello {{ name }},\n\n" + f"{_LINE}\n" * 20
_HTML = "<html><body><p>Hello {{ name }},</p>\n" + f"<p>{_LINE}</p>\n" * 38 + "</body></html>\n"


@dataclass(frozen=True)
class Mail:
    """What everybody sends; `{{ name }}` is the recipient's."""

    text: str
    html: str | None

    def text_of(self, n: int) -> str:
        return self.text.replace("{{ name }}", f"Person {n}")

    def html_of(self, n: int) -> str | None:
        return self.html and self.html.replace("{{ name }}", escape(f"Person {n}"))


KINDS = {"": Mail(_TEXT, _HTML), "_plain": Mail(BODY, None)}


def _message(mail: Mail, n: int) -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = f"Hello Person {n}"
    message["From"] = "shop@example.com"
    message["To"] = f"p{n}@example.com"
    message.set_content(mail.text_of(n))
    if (html := mail.html_of(n)) is not None:
        message.add_alternative(html, subtype="html")
    return message


def _smtplib(port: int, mail: Mail, messages: int) -> None:
    with smtplib.SMTP("127.0.0.1", port) as server:
        for n in range(messages):
            server.send_message(_message(mail, n))


def _django(port: int, mail: Mail, messages: int) -> None:
    import django
    from django.conf import settings
    from django.core.mail import EmailMultiAlternatives, get_connection, send_mass_mail
    from django.template.loader import render_to_string

    if not settings.configured:
        files = {"mail.txt": _TEXT, "mail.html": _HTML}
        loaders = [("django.template.loaders.cached.Loader", [("django.template.loaders.locmem.Loader", files)])]
        engine = {"BACKEND": "django.template.backends.django.DjangoTemplates", "OPTIONS": {"loaders": loaders}}
        settings.configure(EMAIL_HOST="127.0.0.1", EMAIL_PORT=port, USE_I18N=False, TEMPLATES=[engine])
        django.setup()
    settings.EMAIL_PORT = port
    if mail.html is None:
        send_mass_mail(
            tuple((f"Hello Person {n}", mail.text, "shop@example.com", [f"p{n}@example.com"]) for n in range(messages))
        )
        return
    letters = []
    for n in range(messages):
        context, to = {"name": f"Person {n}"}, [f"p{n}@example.com"]
        text = render_to_string("mail.txt", context)
        letter = EmailMultiAlternatives(f"Hello Person {n}", text, "shop@example.com", to)
        letter.attach_alternative(render_to_string("mail.html", context), "text/html")
        letters.append(letter)
    get_connection().send_messages(letters)


async def _fastapi_mail(port: int, mail: Mail, messages: int) -> None:
    from fastapi_mail import ConnectionConfig, FastMail, MessageSchema, MessageType, MultipartSubtypeEnum

    sender = FastMail(
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
        to = [NameEmail("", f"p{n}@example.com")]
        letter = MessageSchema(
            subject=f"Hello Person {n}", recipients=to, body=mail.text_of(n), subtype=MessageType.plain
        )
        if (html := mail.html_of(n)) is not None:
            letter = MessageSchema(
                subject=f"Hello Person {n}",
                recipients=to,
                body=html,
                subtype=MessageType.html,
                alternative_body=mail.text_of(n),
                multipart_subtype=MultipartSubtypeEnum.alternative,
            )
        await sender.send_message(letter)


async def _aiosmtplib(port: int, mail: Mail, messages: int) -> None:
    numbers = iter(range(messages))

    async def carry() -> None:
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port, use_tls=False, start_tls=False) as server:
            for n in numbers:
                await server.send_message(_message(mail, n))

    await asyncio.gather(*(carry() for _ in range(PEER_CONNECTIONS)))


Peer = Callable[[int, Mail, int], Awaitable[None]]


def _in_thread(work: Callable[[int, Mail, int], None]) -> Peer:
    return lambda port, mail, messages: asyncio.to_thread(work, port, mail, messages)


PEERS: dict[str, tuple[Peer, int]] = {
    "smtplib": (_in_thread(_smtplib), 1_500),
    "django": (_in_thread(_django), 1_500),
    "fastapi_mail": (_fastapi_mail, 800),
    "aiosmtplib": (_aiosmtplib, 1_500),
}


async def _rates(port: int, mail: Mail) -> dict[str, float]:
    found = {}
    for name, (work, messages) in PEERS.items():
        begun = time.perf_counter()
        await work(port, mail, messages)
        found[name] = messages / (time.perf_counter() - begun)
    return found


async def _compared(port: int, kind: str) -> dict[str, Any]:
    mail = KINDS[kind]
    async with staged(port, RECIPIENTS, CONNECTIONS, text=mail.text, html=mail.html) as stage:
        before = await _rates(port, mail)
        ours = (await stage.run()).rate
        after = await _rates(port, mail)
    theirs = {peer: (before[peer] + after[peer]) / 2 for peer in PEERS}
    return {
        f"rate{kind}": round(ours),
        **{f"{peer}{kind}": round(rate) for peer, rate in theirs.items()},
        **{f"ratio_{peer}{kind}": round(ours / rate, 1) for peer, rate in theirs.items()},
    }


async def run() -> dict[str, Any]:
    """Messages a second of each, and the ratios of ours to theirs."""
    async with sink() as (name, port):
        return {"sink": name, **await _compared(port, ""), **await _compared(port, "_plain")}
