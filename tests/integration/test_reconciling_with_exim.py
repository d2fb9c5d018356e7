"""A real Exim's main log and its bounces: what it passed on, what it tries again, what it gave back and gave up."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import update

from bot.access import Actor
from bot.demo.faultproxy import FaultProxy
from bot.demo.relays import Profile, Relay, reply
from bot.mail.recovery import recover
from bot.mail.reports.bounces import read_bounce
from bot.mail.reports.report import token_for
from storage import deliveries, reports, suppressions
from storage.db import Database
from storage.models import Recipient, ReportKind
from tests.certificates import Certificate
from tests.integration.reconciling_support import reconciling
from tests.integration.test_sender_survives_kill import kill, start_worker
from tests.real_servers import NAME, Office, exim
from tests.seeds import KEY, add_campaign, add_server

TAKEN, GONE, LATER, SPAM, GIVEN_UP = (f"{name}@example.com" for name in ("p1", "p2", "p3", "p4", "given.up"))
EVERYBODY = (TAKEN, GONE, LATER, SPAM, GIVEN_UP)


@dataclass(frozen=True)
class _Lost:
    """A campaign of which every delivery is unknown, what Exim logged of it, and the bounces that came back."""

    campaign: int
    log: bytes
    bounces: list[bytes]


async def _lost_in_exim(db: Database, url: str, folder: Path) -> _Lost:
    """Exim took it all and nobody heard: the replies were dropped, and the worker was killed."""
    certificate, known = Certificate(folder, NAME), frozenset({*EVERYBODY, "shop@example.com"})
    async with Relay(Profile(keep_bodies=True)) as onward:
        await onward.behave(
            reply("rcpt", 550, "5.1.1 User unknown", recipients=frozenset({GONE})),
            reply("rcpt", 450, "4.2.1 not now", recipients=frozenset({LATER, GIVEN_UP})),
            reply("dot", 554, "5.7.1 looks like spam", recipients=frozenset({SPAM})),
        )
        office = Office(onward.port, known, frozenset(), certificate.path, 100_000, chunking=False)
        async with exim(office) as door, FaultProxy("127.0.0.1", door.port) as proxy:
            proxy.drop_replies_after_dot()
            server = await add_server(db, "primary", proxy.port, max_connections=len(EVERYBODY))
            campaign = await add_campaign(db, server, len(EVERYBODY))
            async with db.transaction() as tx:
                of_last = update(Recipient).where(Recipient.campaign_id == campaign, Recipient.n == len(EVERYBODY))
                await tx.execute(of_last.values(email=GIVEN_UP, email_key=GIVEN_UP))
            worker = await start_worker(url, folder)
            await door.logged("<= shop@example.com", len(EVERYBODY))
            await kill(worker)
            # One is passed on, three come back and are passed on as bounces, one waits.
            await door.logged(" Completed\n", 7)
            log = await door.logged(f" == {LATER} ")
    await recover(db, folder / "journals")
    async with db.read() as tx:
        assert (await deliveries.counts(tx, campaign))["unknown"] == len(EVERYBODY)
    return _Lost(campaign, log, [each.raw or b"" for each in onward.messages if not each.mail_from])


async def test_what_was_in_flight_is_found_in_its_log_and_its_bounces_fit(
    sqlite_db: Database, sqlite_url: str, tmp_path: Path
) -> None:
    # What the database does with it is told by test_reconciling.py, on both kinds.
    db, lost = sqlite_db, await _lost_in_exim(sqlite_db, sqlite_url, tmp_path)
    (tmp_path / "mainlog").write_bytes(lost.log)
    service = reconciling(db, tmp_path)
    result = await service.read_logs(Actor("maria", "maria", source="terminal"), [tmp_path / "mainlog"], "primary")
    assert (result.before, list(result.left)) == (len(EVERYBODY), [])
    assert {status: set(names) for status, names in result.tally.settled["spring-sale"].items()} == {
        "delivered": {TAKEN, LATER},
        "failed_permanent": {GONE, SPAM},
        "failed_temporary": {GIVEN_UP},
    }
    async with db.read() as tx:
        heard = {n: await reports.of_delivery(tx, lost.campaign, n) for n in range(1, len(EVERYBODY) + 1)}
        gone, spam = await suppressions.get(tx, GONE), await suppressions.get(tx, SPAM)
    assert {n: {row.kind for row in rows} for n, rows in heard.items()} == {
        1: {"accepted", "delivered"},
        2: {"accepted", "bounced"},
        3: {"accepted"},
        4: {"accepted", "bounced"},
        5: {"accepted", "gave_up"},
    }
    said = {n: (row.code, row.stage, row.words) for n, rows in heard.items() for row in rows if row.kind != "accepted"}
    assert said[2] == (550, "rcpt", "5.1.1 User unknown")
    assert said[4] == (554, "dot", "5.7.1 looks like spam")
    assert said[5][2] == "retry timeout exceeded"
    assert gone is not None
    assert spam is None, "what is refused because of us says nothing of the address"

    assert {(each.token, each.kind) for bounce in lost.bounces for each in read_bounce(bounce)} == {
        (token_for(KEY, GONE), ReportKind.BOUNCED),
        (token_for(KEY, SPAM), ReportKind.BOUNCED),
        (token_for(KEY, GIVEN_UP), ReportKind.GAVE_UP),
    }
    again = await service.read_bounces(lost.bounces)
    assert again.settled == {}
    assert again.not_ours == 0
