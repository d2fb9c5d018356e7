"""kill -9 between the dot and its reply, and what the log and the bounces of a real Postfix say of it afterwards."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from datetime import UTC
from pathlib import Path

import pytest
from sqlalchemy import select

from bot.access import Actor
from bot.clock import now
from bot.demo.faultproxy import FaultProxy
from bot.demo.relays import Profile, Relay, reply
from bot.mail.recovery import recover
from bot.mail.reports.bounces import read_bounce
from bot.mail.reports.logs import Logs, opened
from bot.mail.reports.report import token_for
from storage import deliveries, posts, reports, suppressions
from storage.db import Database
from storage.models import ReportKind, Timeline
from tests.integration.reconciling_support import reconciling
from tests.integration.test_sender_survives_kill import kill, start_worker
from tests.postfix import Postfix, postfix, usable
from tests.seeds import KEY, add_campaign, add_server

pytestmark = pytest.mark.skipif(not usable, reason="Postfix is not installed, or this is not root")


@pytest.fixture
async def relay() -> AsyncIterator[Relay]:
    """Where Postfix passes everything on to. It does not know p2."""
    async with Relay(Profile(keep_bodies=True)) as made:
        await made.behave(reply("rcpt", 550, "5.1.1 User unknown", recipients=frozenset({"p2@example.com"})))
        yield made


@pytest.fixture
async def server(relay: Relay) -> AsyncIterator[Postfix]:
    with tempfile.TemporaryDirectory(prefix="holdfast-postfix-") as folder:
        Path(folder).chmod(0o755)
        async with postfix(Path(folder), relay.port) as made:
            yield made


# What the database does with it is told by test_reconciling.py, on both kinds.
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_was_in_flight_when_it_was_killed_is_found_in_the_log_and_in_a_bounce(
    db: Database, database_url: str, tmp_path: Path, relay: Relay, server: Postfix
) -> None:
    async with FaultProxy("127.0.0.1", server.port) as proxy:
        proxy.drop_replies_after_dot()
        campaign = await add_campaign(db, await add_server(db, "primary", proxy.port, max_connections=3), 3)
        worker = await start_worker(database_url, tmp_path)
        await server.logged("from=<shop@example.com>, size=", 3)
        await kill(worker)
    await recover(db, tmp_path / "journals")
    async with db.read() as tx:
        assert (await deliveries.counts(tx, campaign))["unknown"] == 3

    await server.logged("status=sent", 3)  # p1 and p3 were passed on, and so was the bounce of p2
    (bounce,) = [each for each in relay.messages if not each.mail_from]
    (said,) = read_bounce(bounce.raw or b"")
    assert (said.token, said.kind, said.campaign) == (
        token_for(KEY, "p2@example.com"),
        ReportKind.BOUNCED,
        "spring-sale",
    )

    service = reconciling(db, tmp_path)
    result = await service.read_logs(Actor("maria", "maria", source="terminal"), [server.log], "primary")
    assert (result.before, list(result.left)) == (3, [])
    assert result.tally.settled["spring-sale"] == {
        "delivered": ["p1@example.com", "p3@example.com"],
        "failed_permanent": ["p2@example.com"],
    }
    async with db.read() as tx:
        row = await suppressions.get(tx, "p2@example.com")
        assert row is not None
        assert row.source == "bounce"
        listed, told = (await tx.scalars(select(Timeline).order_by(Timeline.id))).all()
        posted = await posts.get(tx, f"timeline:{told.id}")
        kinds = [each.kind for each in await reports.of_delivery(tx, campaign, 2)]
    assert sorted(kinds) == ["accepted", "bounced"]
    assert (listed.kind, told.kind) == ("campaign.unknown", "campaign.reconciled")
    assert told.text == (
        "maria looked into the log of primary: 3 unknown deliveries of spring-sale are known now, 2 delivered "
        "(p1@example.com and p3@example.com) and 1 refused (p2@example.com). None is unknown any more."
    )
    assert posted is not None
    assert posted.parent_key == f"timeline:{listed.id}", "it stands under the message that listed them"

    again = await service.read_bounces([bounce.raw or b""])
    assert again.suppressed == []
    assert again.kept == 1, "the bounce is kept beside the log, and changes nothing more"


async def test_a_message_that_was_cut_off_is_in_the_log_and_was_not_taken(server: Postfix) -> None:
    token = token_for(KEY, "p1@example.com")
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        for line in ("", "HELO app", "MAIL FROM:<shop@example.com>", "RCPT TO:<p1@example.com>", "DATA"):
            if line:
                writer.write(f"{line}\r\n".encode())
            assert (await reader.readline())[:1] in {b"2", b"3"}
        writer.write(f"Message-ID: <{token}@example.com>\r\n\r\n".encode() + b"Hello\r\n" * 2_000)
        await writer.drain()
        await server.logged(f"message-id=<{token}@example.com>")
    finally:
        writer.close()
        await writer.wait_closed()
    await server.logged("lost connection after DATA")
    with opened(server.log) as file:
        assert list(Logs({token}, UTC, now()).read(file)) == []
