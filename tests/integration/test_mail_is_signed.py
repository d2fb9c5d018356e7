"""Mail that Holdfast signs verifies as a relay took it; a key that is wrong or is for other mail is told before."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from sqlalchemy import update

from bot.app import Bot
from bot.demo.relays import Profile, Relay
from bot.errors import SettingsError
from bot.mail.dkim_keys import check_keys
from bot.mail.sender import Sender
from bot.mail.signed_job import AT_ONCE, SignedJob
from bot.mail.transaction import Wants
from bot.mail.worker import run_worker
from bot.services.checking import Finding
from bot.services.dkim_check import check_dkim
from storage.db import Database
from storage.models import Campaign, CampaignState, Message
from storage.sendable import Row
from tests.dkim_world import BOTH, ED25519_PEM, RSA_PEM, holds, pem
from tests.seeds import add_campaign, add_server, settings_for, state_of, wish

SENDER = "Shop <news@shop.example>"
KEYS = {
    "rsa1": {"domain": "shop.example", "key": RSA_PEM.decode()},
    "ed1": {"domain": "shop.example", "key": ED25519_PEM.decode()},
}
TEXT = "Hello {{ name }},\n.\n..\n{{ name }}. die größte  Aktion \t\n" + "x" * 3000 + "\n.{{ name }}\n\n\n"
RICH = "{% if name %}.{{ name }}{% endif %} \n" + TEXT
EML = (
    b"DKIM-Signature: v=1; a=rsa-sha256; d=shop.example; s=old; h=from; bh=x; b=x\r\n"
    b"From: Shop <news@shop.example>\r\nSubject: Hello {{ name }}\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: text/html; charset=utf-8\r\n\r\n<p>\r\n.\r\n..gr\xc3\xb6\xc3\x9fte {{ name }}\r\n\r\n\r\n"
)
MESSAGES: list[dict[str, Any]] = [
    {"sender": SENDER, "subject": "Für {{ name }}", "text": TEXT},
    {"sender": SENDER, "subject": "Für {{ name }}", "text": RICH, "html": f"<p>{TEXT}</p>"},
    {"sender": "", "subject": None, "text": None, "eml": EML},
]


async def say(db: Database, campaign: int, **message: Any) -> None:
    async with db.transaction() as tx:
        await tx.execute(update(Message).where(Message.campaign_id == campaign).values(message))


async def test_both_signatures_hold_after_transport(db: Database, database_url: str, tmp_path: Path) -> None:
    async with Relay(Profile(keep_bodies=True)) as relay:
        server = await add_server(db, "primary", relay.port)
        campaigns = [await add_campaign(db, server, 3, name=f"sale-{n}") for n in range(len(MESSAGES))]
        for campaign, message in zip(campaigns, MESSAGES, strict=True):
            await say(db, campaign, **message)
        sender = Sender(db, settings_for(database_url, tmp_path, dkim=KEYS, unsubscribe_mailto="stop@shop.example"))
        task = asyncio.create_task(sender.run())
        async with asyncio.timeout(30):
            while {await state_of(db, campaign) for campaign in campaigns} != {CampaignState.FINISHED}:
                await asyncio.sleep(0.02)
        sender.stop()
        await task
        bodies = [received.raw or b"" for received in relay.messages]
    assert len(bodies) == 9
    for body in bodies:
        assert holds(body, *BOTH) == [True, True]
        assert body.count(b"DKIM-Signature:") == 2


@pytest.mark.parametrize(("name", "takes_turns"), [("rsa1", True), ("ed1", False)])
async def test_signing_with_rsa_on_many_connections_lets_everything_else_in_between(
    db: Database, database_url: str, tmp_path: Path, name: str, *, takes_turns: bool
) -> None:
    settings = settings_for(database_url, tmp_path, dkim={name: KEYS[name]}, unsubscribe_mailto="stop@shop.example")
    made: Counter[int] = Counter()
    turn = 0

    async def count_turns() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    async with Relay() as relay:
        campaign = await add_campaign(
            db, await add_server(db, "primary", relay.port, max_connections=60), 400, state=CampaignState.SCHEDULED
        )
        await say(db, campaign, **MESSAGES[0])
        sender = Sender(db, settings)
        tasks = [asyncio.create_task(sender.run()), asyncio.create_task(count_turns())]
        await wish(db, campaign, CampaignState.SENDING, CampaignState.SENDING)
        async with asyncio.timeout(60):
            while not sender._jobs:
                await asyncio.sleep(0)
            (job,) = sender._jobs.values()
            compose = job.compose

            def counted(row: Row, wants: Wants) -> bytes:
                made[turn] += 1
                return compose(row, wants)

            job.compose = counted
            while await state_of(db, campaign) != CampaignState.FINISHED:
                await asyncio.sleep(0.02)
        sender.stop()
        await tasks[0]
        tasks[1].cancel()
        assert relay.count == 400
    # What is counted as one turn may be the end of one and the beginning of the next.
    assert (max(made.values()) <= 2 * AT_ONCE) is takes_turns
    assert isinstance(job, SignedJob) is takes_turns


async def test_a_campaign_is_paused_rather_than_sent_without_its_signature(
    db: Database, database_url: str, tmp_path: Path
) -> None:
    async with Relay() as relay:
        campaign = await add_campaign(db, await add_server(db, "primary", relay.port), 3)
        gone = {"ed1": {"domain": "example.com", "key_file": tmp_path / "gone.pem"}}
        sender = Sender(db, settings_for(database_url, tmp_path, dkim=gone))
        task = asyncio.create_task(sender.run())
        async with asyncio.timeout(30):
            while await state_of(db, campaign) != CampaignState.PAUSED:
                await asyncio.sleep(0.02)
        sender.stop()
        await task
        assert relay.messages == []
    async with db.read() as tx:
        paused = await tx.get_one(Campaign, campaign)
    assert "gone.pem cannot be read (No such file or directory)" in (paused.hold_reason or "")


async def test_neither_the_bot_nor_the_sender_starts_with_a_key_of_no_use(tmp_path: Path) -> None:
    wrong = {"ed1": {"domain": "shop.example", "key": "not a key"}}
    slack = {"slack_bot_token": "xoxb-1", "slack_app_token": "xapp-1", "channel": "email-ops"}
    settings = settings_for("", tmp_path, dkim=wrong, **slack)
    with pytest.raises(SettingsError, match=r"dkim\.ed1: this is no private key in PEM"):
        await Bot(settings).run(asyncio.Event())
    with pytest.raises(SettingsError, match=r"dkim\.ed1: this is no private key in PEM"):
        await asyncio.to_thread(run_worker, settings)


def test_a_start_goes_on_where_only_some_mail_has_no_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = settings_for("", tmp_path, dkim=KEYS, notices={"sender": "Status <status@elsewhere.example>"})
    check_keys(settings)
    assert "Mail from elsewhere.example is not signed by Holdfast" in capsys.readouterr().out


async def test_check_names_the_record_to_publish_and_mail_without_a_key(
    db: Database, database_url: str, tmp_path: Path
) -> None:
    server = await add_server(db, "primary", 25)
    await add_campaign(db, server, 1, name="spring-sale")
    await say(db, await add_campaign(db, server, 1, name="summer-sale"), **MESSAGES[2])
    await add_campaign(db, server, 1, name="over", state=CampaignState.FINISHED)
    short = rsa.generate_private_key(65537, 1024)  # noqa: S505  # that it is weak is what is to be told
    weak = {"old": {"domain": "shop.example", "key": pem(short).decode()}}
    none = {"none": {"domain": "shop.example", "key_file": tmp_path}}
    public = {"public": {"domain": "shop.example", "key_file": tmp_path / "public.pem"}}
    (tmp_path / "public.pem").write_bytes(ED25519_PEM)
    (tmp_path / "public.pem").chmod(0o644)
    settings = settings_for(database_url, tmp_path, dkim=KEYS | weak | none | public, notices={"sender": SENDER})

    found = {finding.what: finding for finding in await check_dkim(settings)}

    assert {what: finding.level for what, finding in found.items()} == {
        "DKIM rsa1": "ok",
        "DKIM ed1": "ok",
        "DKIM old": "warn",
        "DKIM none": "fail",
        "DKIM public": "warn",
        "DKIM": "warn",
    }
    assert (
        "Ed25519 signs mail from shop.example. In DNS there must be the TXT record ed1._domainkey.shop.example with: "
        "v=DKIM1; k=ed25519; p="
    ) in found["DKIM ed1"].sentence
    assert "RSA-1024 signs mail from shop.example, and receivers want 2,048 bits" in found["DKIM old"].sentence
    assert "Is a directory" in found["DKIM none"].sentence
    assert "Everybody on this machine can read" in found["DKIM public"].sentence
    assert found["DKIM"].sentence.startswith("spring-sale: Mail from example.com is not signed by Holdfast")
    shown = " ".join(finding.sentence for finding in found.values())
    assert RSA_PEM.decode().splitlines()[3] not in shown


async def test_check_says_who_signs_where_no_key_is_set(tmp_path: Path) -> None:
    [finding] = await check_dkim(settings_for("", tmp_path))
    assert finding == Finding("DKIM", ok=True, sentence="No key is set, so signing mail is left to the mail servers.")
