"""A notice from the draft to its end: frozen, approved, sent once to each through a server outside the outage."""

import asyncio
import hashlib
import hmac
from email import message_from_bytes, policy
from pathlib import Path

from sqlalchemy import func, select

from bot.clock import now
from bot.demo.relays import Profile, Relay, refuse, reply
from storage.db import Database
from storage.models import Campaign, Delivery, Health, NoticeState, Suppression
from tests.integration.notice_support import (
    BEN,
    MARIA,
    SECRET,
    TEXT,
    approved,
    got,
    outage,
    receiving,
    sending,
    until,
    until_mailed,
)
from tests.seeds import add_campaign, add_server


async def test_it_goes_once_to_everybody_through_a_server_outside_the_outage(db: Database, tmp_path: Path) -> None:
    async with outage(db, tmp_path) as here:
        notice = await here.services.notices.draft(MARIA, TEXT, subject="Our mail is late")
        await approved(here, notice)
        async with sending(here):
            await until(here, notice, NoticeState.FINISHED)
        assert got(here.backup_relay) == sorted(f"p{n}@example.com" for n in range(1, 41))
        assert got(here.relay) == []
        assert {message.subject for message in here.backup_relay.messages} == {"Our mail is late"}
        assert (await here.said("notice.finished")) == ["Notice 1 is sent: 40 delivered."]
        [card] = await here.posts("notice:")
        assert (card.key, card.parent_key) == ("notice:1", "outage:1")


async def test_people_on_several_lists_are_told_once_and_suppressed_ones_not_at_all(
    db: Database, tmp_path: Path
) -> None:
    async with outage(db, tmp_path) as here:
        await here.heal_primary()
        other = await add_campaign(db, here.primary, 50, name="newsletter")
        async with db.transaction() as tx:
            for key in ("p3@example.com", "p45@example.com"):
                tx.add(Suppression(email_key=key, reason="asked", source="unsubscribe", at=now()))
        await here.break_primary()
        assert (await here.campaign_row(other)).hold == "outage"

        notice = await here.services.notices.draft(MARIA, TEXT)
        shown = await here.services.notices.preview()
        assert (shown.recipients, shown.suppressed, shown.duplicates) == (48, 2, 40)
        assert (shown.server, shown.campaigns) == ("backup", ("newsletter", "spring-sale"))
        assert shown.sender == "Shop <shop@example.com>"
        await approved(here, notice)
        async with sending(here):
            await until(here, notice, NoticeState.FINISHED)
        expected = {f"p{n}@example.com" for n in range(1, 51)} - {"p3@example.com", "p45@example.com"}
        assert got(here.backup_relay) == sorted(expected)


async def test_the_recipients_of_one_campaign_can_be_told_without_an_outage(db: Database, tmp_path: Path) -> None:
    async with outage(db, tmp_path) as here:
        await here.campaign(5, name="newsletter", on_backup=True)
        notice = await here.services.notices.draft(MARIA, TEXT, campaign_word="news")
        assert (notice.outage_id, notice.counts["recipients"]) == (None, 5)
        await approved(here, notice)
        [card] = await here.posts("notice:")
        assert card.parent_key is None
        replies = [post.parent_key for post in await here.posts("timeline:") if post.parent_key == card.key]
        assert replies == ["notice:1"]


async def test_a_csv_gives_the_audience_too(db: Database, tmp_path: Path) -> None:
    csv = tmp_path / "people.csv"
    csv.write_text("email,name\nAnna@example.com,Anna\nanna@example.com,Anna\nno address,X\nben@example.com,Ben\n")
    async with db.transaction() as tx:
        tx.add(Suppression(email_key="ben@example.com", reason="asked", source="unsubscribe", at=now()))
    async with outage(db, tmp_path, notices={"sender": "Shop <help@example.com>"}) as here:
        notice = await here.services.notices.draft_csv(MARIA, "Subject: We are back\n\n" + TEXT, csv)
        shown = await here.services.notices.preview("#1")
        assert (shown.recipients, shown.suppressed, shown.duplicates, shown.bad) == (1, 1, 1, 1)
        assert (notice.subject, notice.text, notice.outage_id) == ("We are back", TEXT, None)
        assert "line 4" in " ".join(shown.warnings)
        await approved(here, notice)
        async with sending(here):
            await until(here, notice, NoticeState.FINISHED)
        [message] = here.backup_relay.messages
        assert (message.recipients, message.subject) == (("Anna@example.com",), "We are back")
        assert message.mail_from == "help@example.com"


async def test_the_mail_says_what_was_drafted_word_for_word(db: Database, tmp_path: Path) -> None:
    async with outage(db, tmp_path, recipients=1) as here, Relay(Profile(keep_bodies=True)) as relay:
        await add_server(db, "third", relay.port, health=Health.UP)
        await here.services.servers.drain(MARIA, "backup")
        text = "Code {{ name }} & <b>10 %</b>\n\nSecond paragraph."
        notice = await here.services.notices.draft(MARIA, text)
        await approved(here, notice)
        async with sending(here):
            await until(here, notice, NoticeState.FINISHED)
        [message] = relay.messages
        body = message_from_bytes(message.raw or b"", policy=policy.default).get_body(["plain"])
        assert body is not None
        assert "\n".join(body.get_content().splitlines()) == text


async def test_refused_and_unknown_recipients_are_told_apart_at_the_end(db: Database, tmp_path: Path) -> None:
    async with outage(db, tmp_path) as here:
        nobody = reply("rcpt", 550, "5.1.1 No such user", recipients=frozenset({"p7@example.com"}))
        await here.backup_relay.behave(nobody)
        notice = await here.services.notices.draft(MARIA, TEXT)
        await approved(here, notice)
        async with sending(here):
            await until(here, notice, NoticeState.FINISHED)
        assert (await here.said("notice.finished")) == ["Notice 1 is sent: 39 delivered, 1 refused."]


async def test_it_moves_on_when_its_server_goes_down_and_nobody_is_told_twice(db: Database, tmp_path: Path) -> None:
    async with outage(db, tmp_path, recipients=400) as here:
        third = await add_server(db, "third", here.relay.port)
        notice = await here.services.notices.draft(MARIA, TEXT)
        await approved(here, notice)
        async with db.read() as tx:
            first_choice = await tx.scalar(select(Campaign.server_id).where(Campaign.name == "notice-1"))
        assert first_choice == here.backup, "a server that answers goes before one that nobody has looked at"
        async with sending(here):
            await here.backup_relay.wait_for(20)
            await here.backup_relay.behave(refuse())
            await here.relay.heal()
            # The third server listens where the primary did; it is up, while the primary's outage is unresolved.
            await here.until_health("backup", Health.DOWN)
            await until(here, notice, NoticeState.FINISHED)
        assert len(await here.said("notice.moved")) == 1
        everybody = got(here.backup_relay) + got(here.relay)
        async with db.read() as tx:
            rows = await tx.execute(
                select(Delivery.status, func.count())
                .join(Campaign, Campaign.id == Delivery.campaign_id)
                .where(Campaign.name == "notice-1")
                .group_by(Delivery.status)
            )
            ended = dict(rows.all())
            through = await tx.scalar(select(Campaign.server_id).where(Campaign.name == "notice-1"))
        assert through == third
        assert len(set(everybody)) == len(everybody)
        assert len(everybody) >= ended["delivered"] >= 400 - ended.get("unknown", 0)


async def test_the_webhook_is_called_with_a_signature_over_time_and_body(db: Database, tmp_path: Path) -> None:
    async with (
        receiving() as hook,
        outage(db, tmp_path, notices={"webhook_url": hook.url, "webhook_secret": SECRET}) as here,
    ):
        notice = await here.services.notices.draft(MARIA, TEXT, subject="Late")
        assert hook.calls == []
        await approved(here, notice)
        async with sending(here):
            await until(here, notice, NoticeState.FINISHED)
        [(headers, body)] = hook.calls
        signed = f"{headers['X-Holdfast-Timestamp']}.".encode() + body
        assert headers["X-Holdfast-Signature"] == hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
        [told] = hook.bodies
        assert (told["id"], told["kind"], told["subject"], told["text"]) == (1, "notice", "Late", TEXT)
        assert told["outage"]["servers"] == ["primary"]
        assert (await here.said("notice.finished")) == ["Notice 1 is sent: 40 delivered; webhook delivered."]


async def test_cancelling_in_the_middle_stops_it_and_says_how_many_had_it(db: Database, tmp_path: Path) -> None:
    async with outage(db, tmp_path, recipients=3000) as here:
        notice = await here.services.notices.draft(MARIA, TEXT)
        await approved(here, notice)
        async with sending(here):
            await here.backup_relay.wait_for(50)
            await here.services.notices.cancel(BEN, None)
            await until(here, notice, NoticeState.CANCELLED)
            arrived = here.backup_relay.count
            assert arrived < 3000
        assert here.backup_relay.count == arrived
        [said] = await here.said("notice.cancelled")
        assert said.startswith(f"Notice 1 is cancelled: {arrived:,} delivered, {3000 - arrived:,} not sent")
        assert await here.said("campaign.cancel_confirmed") == []


async def test_ticks_at_the_same_moment_tell_its_end_once(db: Database, tmp_path: Path) -> None:
    async with outage(db, tmp_path, recipients=5) as here:
        notice = await here.services.notices.draft(MARIA, TEXT)
        await approved(here, notice)
        async with sending(here):
            await here.backup_relay.wait_for(5)
            await until_mailed(here)
        await asyncio.gather(*(here.services.notices.tick() for _ in range(4)))
        assert len(await here.said("notice.finished")) == 1
