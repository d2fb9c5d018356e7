"""The sender and its ledger while every connection is cut at another byte, and while a server fails in every way.

Whatever happens, nobody is lost and nobody is mailed twice: what the server took is delivered or unknown in the ledger,
what the ledger calls safe to send again the server did not take, and everybody has an ending.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import select

from bot.demo.faultproxy import Cut, FaultProxy
from bot.demo.relays import Relay, cut, endless, hang, reply
from bot.demo.relays import Stage as Place
from bot.mail.sender import Sender
from storage.db import Database
from storage.models import CampaignState, Delivery, Recipient
from tests.seeds import add_campaign, add_server, settings_for, state_of

OPENING_UP, OPENING_DOWN = 18, 130
"""Octets before the first message: what is cut there is no message's affair, and the sender waits longer each time."""
MESSAGE_UP, MESSAGE_DOWN = 450, 100
"""Octets of one message with its envelope, and of the replies to it."""


def cuts() -> Iterator[Cut]:
    """Through two messages on a connection, by RST and by FIN in turn; more densely where the replies are."""
    for n in range(OPENING_UP, OPENING_UP + 2 * MESSAGE_UP, 3):
        yield Cut(n, "up", reset=n % 2 == 0)
    for n in range(OPENING_DOWN, OPENING_DOWN + 2 * MESSAGE_DOWN):
        yield Cut(n, "down", reset=n % 2 == 0)


async def run_to_its_end(db: Database, campaign: int, url: str, folder: Path, **sending: object) -> None:
    sender = Sender(db, settings_for(url, folder, sending={"stop_after_failures": 10_000, **sending}))
    task = asyncio.create_task(sender.run())
    while await state_of(db, campaign) != CampaignState.FINISHED and not task.done():
        await asyncio.sleep(0.05)
    sender.stop()
    await task


async def check(db: Database, campaign: int, relay: Relay) -> Counter[str]:
    """How many ended in which way; fails when the ledger and the server's truth do not agree."""
    same = (Delivery.campaign_id == Recipient.campaign_id) & (Delivery.n == Recipient.n)
    query = select(Recipient.email, Delivery.status, Delivery.retry).join(Delivery, same)
    async with db.read() as tx:
        ledger = (await tx.execute(query.where(Recipient.campaign_id == campaign))).all()
    taken = Counter(email for message in relay.messages for email in message.recipients)
    assert set(taken.values()) == {1}, "somebody was mailed twice"
    for email, status, retry in ledger:
        if status == "delivered":
            assert taken[email], f"{email} was lost"
        elif status == "failed_temporary":
            assert not taken[email], f"{email} would be mailed twice"
            assert retry == "safe"
        else:
            assert (status, retry) == ("unknown", "decide")
    return Counter(status for _, status, _ in ledger)


async def test_every_connection_is_cut_at_another_byte(sqlite_db: Database, sqlite_url: str, tmp_path: Path) -> None:
    everywhere = list(cuts())
    async with Relay() as relay, FaultProxy("127.0.0.1", relay.port) as proxy:
        proxy.cut_each(left := iter(everywhere))
        server = await add_server(sqlite_db, "primary", proxy.port, max_connections=10)
        campaign = await add_campaign(sqlite_db, server, 2 * len(everywhere))
        await run_to_its_end(sqlite_db, campaign, sqlite_url, tmp_path)
        ended = await check(sqlite_db, campaign, relay)
    assert next(left, None) is None, "every cut was made"
    assert ended.total() == 2 * len(everywhere)
    assert ended["delivered"] > len(everywhere) / 2
    assert 0 < ended["unknown"] <= len(everywhere), "at most one a connection"


async def test_a_server_that_fails_in_every_way_at_once(sqlite_db: Database, sqlite_url: str, tmp_path: Path) -> None:
    stages: tuple[Place, ...] = ("mail", "rcpt", "data", "dot")
    async with Relay() as relay:
        await relay.behave(
            hang("greeting", every=5, times=2),
            reply("greeting", 421, "4.3.2 Busy", every=7),
            endless("ehlo", every=11, times=2),
            *(hang(stage, every=61 + n, times=2) for n, stage in enumerate(stages)),
            *(endless(stage, every=51 + n, times=3) for n, stage in enumerate(stages)),
            *(cut(stage, every=41 + n, reset=n % 2 == 0) for n, stage in enumerate(stages)),
            *(reply(stage, 421, "4.3.2 Closing", close=True, every=31 + n) for n, stage in enumerate(stages)),
            *(reply(stage, 451, "4.3.0 Not now", every=21 + n) for n, stage in enumerate(stages)),
            cut("dot", accepted=True, every=37),
            hang("dot", accepted=True, every=59, times=2),
        )
        server = await add_server(sqlite_db, "primary", relay.port, max_connections=10)
        campaign = await add_campaign(sqlite_db, server, 600)
        await run_to_its_end(sqlite_db, campaign, sqlite_url, tmp_path, command_timeout=0.3, dot_timeout=0.3)
        ended = await check(sqlite_db, campaign, relay)
    assert ended.total() == 600
    assert min(ended["delivered"], ended["failed_temporary"], ended["unknown"]) > 0
