"""The sender against Debian's Postfix, Exim and OpenSMTPD: pipelined, over TLS, and everything arrives once.

What they take they hand on to a relay of ours, which keeps the truth: so a message counts only when a real server has
taken it, kept it and passed it on.
"""

import asyncio
from collections import Counter
from dataclasses import replace
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

import pytest
from sqlalchemy import select, update

from bot.demo.relays import Profile, Received, Relay
from bot.mail.connection import Endpoint
from bot.mail.sender import Sender
from bot.mail.transaction import Features
from storage.db import Database
from storage.models import CampaignState, Delivery, Recipient, Suppression
from tests import real_servers
from tests.certificates import Certificate
from tests.real_servers import Door, Office, Server
from tests.seeds import add_campaign, add_server, settings_for, state_of
from tests.sessions import connected_to

SIZE = 100_000
BY_CHUNKS = Features(pipelining=True, eight_bit=True, smtputf8=True, size=SIZE, chunking=True)
PIPELINED = replace(BY_CHUNKS, chunking=False)
STEP_BY_STEP = Features(eight_bit=True, size=SIZE)
SERVERS = pytest.mark.parametrize(
    ("server", "features"),
    [
        (real_servers.postfix, BY_CHUNKS),
        (real_servers.postfix, PIPELINED),
        (real_servers.exim, BY_CHUNKS),
        (real_servers.exim, PIPELINED),
        (real_servers.opensmtpd, STEP_BY_STEP),
    ],
    ids=["postfix-by-chunks", "postfix", "exim-by-chunks", "exim", "opensmtpd"],
)
RECIPIENTS = 120
EVERYBODY = frozenset(f"p{n}@example.com" for n in range(1, RECIPIENTS + 1))
UNKNOWN = frozenset(f"p{n}@example.com" for n in range(1, RECIPIENTS, 20))
DEFERRED = frozenset(f"p{n}@example.com" for n in range(10, RECIPIENTS, 40))
UMLAUT = "jürgen@example.com"
TEXT = "Hello {{ name }},\n\n.a line that begins with a dot\n..and one with two\n.\n"
TEXT += "Schöne Grüße, überall hin: {{ name }}!\n" * 9  # worth eight bits


@SERVERS
async def test_whom_the_server_takes_gets_one_message_whole_and_the_others_none(
    server: Server, features: Features, sqlite_db: Database, sqlite_url: str, tmp_path: Path
) -> None:
    db, certificate = sqlite_db, Certificate(tmp_path, real_servers.NAME)
    known = EVERYBODY - UNKNOWN - DEFERRED - {"p2@example.com"} | {UMLAUT}
    async with (
        Relay(Profile(keep_bodies=True)) as onward,
        server(Office(onward.port, known, DEFERRED, certificate.path, SIZE, features.chunking)) as door,
    ):
        assert await _announced(door, certificate) == features
        server_id = await add_server(db, "real", door.port, tls=door.tls, max_connections=10)
        sale = await add_campaign(db, server_id, RECIPIENTS, text=TEXT)
        async with db.transaction() as tx:
            await tx.execute(update(Recipient).where(Recipient.n == 2).values(email=UMLAUT, email_key=UMLAUT))
        novel = await add_campaign(db, server_id, 20, name="novel", text="word " * (SIZE // 5))
        trusted = {"real": {"host": "127.0.0.1", "ca_file": certificate.path}}
        await _send(Sender(db, settings_for(sqlite_url, tmp_path, servers=trusted)), db, sale, novel)

        ended = await _endings(db, sale)
        delivered = {email for email, delivery in ended.items() if delivery.status == "delivered"}
        await onward.wait_for(len(delivered))

    assert delivered == (known if features.smtputf8 else known - {UMLAUT})
    assert Counter(email for message in onward.messages for email in message.recipients) == Counter(delivered)
    assert all(_lines(message) == _written(message) for message in onward.messages)
    assert all(b"Transfer-Encoding: 8bit" in (message.raw or b"") for message in onward.messages)
    assert {_seen(ended[email]) for email in UNKNOWN} == {("failed_permanent", "rcpt", "never")}
    assert {_seen(ended[email]) for email in DEFERRED} == {("failed_temporary", "rcpt", "safe")}
    if not features.smtputf8:
        assert _seen(ended[UMLAUT]) == ("failed_permanent", "mail", "after_fix")
    async with db.read() as tx:
        assert set(await tx.scalars(select(Suppression.email_key))) == UNKNOWN
    too_big = (await _endings(db, novel)).values()
    assert {_seen(delivery) for delivery in too_big} <= {
        ("failed_permanent", "mail", "after_fix"),
        ("suppressed", None, "never"),
    }


async def _announced(door: Door, certificate: Certificate) -> Features:
    endpoint = Endpoint("127.0.0.1", door.port, tls=door.tls, context=certificate.client(), helo="me.example.com")
    async with connected_to(endpoint) as connection:
        return connection.features


async def _send(sender: Sender, db: Database, *campaigns: int) -> None:
    """Send them to their end."""
    task = asyncio.create_task(sender.run())
    for campaign in campaigns:
        while await state_of(db, campaign) != CampaignState.FINISHED and not task.done():
            await asyncio.sleep(0.05)
    sender.stop()
    await task


async def _endings(db: Database, campaign: int) -> dict[str, Delivery]:
    same = (Delivery.campaign_id == Recipient.campaign_id) & (Delivery.n == Recipient.n)
    query = select(Recipient.email, Delivery).join(Delivery, same).where(Recipient.campaign_id == campaign)
    async with db.read() as tx:
        return dict((await tx.execute(query)).all())


def _seen(delivery: Delivery) -> tuple[str, str | None, str | None]:
    return delivery.status, delivery.stage, delivery.retry


def _lines(message: Received) -> list[str]:
    parsed = message_from_bytes(message.raw or b"", EmailMessage, policy=SMTP)
    return str(parsed.get_content()).rstrip().splitlines()


def _written(message: Received) -> list[str]:
    return TEXT.replace("{{ name }}", message.subject.removeprefix("Hello ")).splitlines()
