"""Drafting: what is missing or wrong is one clear sentence, and nothing half stays behind."""

from pathlib import Path

import pytest
from sqlalchemy import func, select

from bot.clock import now
from bot.errors import BadInputError, NotFoundError, SettingsError, WrongStateError
from bot.services.bundle import build
from storage.db import Database
from storage.models import Campaign, Message, Notice, NoticeState, Recipient, Suppression
from tests.integration.notice_support import ALL_MAY, MARIA, SECRET, TEXT, outage
from tests.outage_world import world
from tests.seeds import settings_for


async def nothing_stays(db: Database) -> None:
    async with db.read() as tx:
        assert await tx.scalar(select(func.count()).select_from(Notice)) == 0
        assert await tx.scalar(select(func.count()).select_from(Campaign).where(Campaign.kind != "campaign")) == 0
        mailed = select(func.count()).select_from(Recipient).join(Campaign).where(Campaign.kind != "campaign")
        assert await tx.scalar(mailed) == 0
        assert await tx.scalar(select(func.count()).select_from(Message)) == 1


@pytest.mark.parametrize(
    ("text", "subject", "said"),
    [
        ("   ", None, "nothing to tell"),
        ("Subject: only this", None, "nothing to tell"),
        ("x" * 8_001, None, "8,001 characters long"),
        (TEXT, "s" * 201, "The subject has 201 characters"),
    ],
)
async def test_a_text_that_cannot_be_sent(
    db: Database, tmp_path: Path, text: str, subject: str | None, said: str
) -> None:
    async with outage(db, tmp_path) as here:
        with pytest.raises(BadInputError, match=said):
            await here.services.notices.draft(MARIA, text, subject=subject)
        await nothing_stays(db)


async def test_without_an_outage_a_campaign_has_to_be_named(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        with pytest.raises(NotFoundError, match="No outage is open"):
            await here.services.notices.draft(MARIA, TEXT)
        await here.services.outages.declare(MARIA, "primary", "slow")
        with pytest.raises(BadInputError, match="has touched no campaign"):
            await here.services.notices.draft(MARIA, TEXT)
        with pytest.raises(NotFoundError, match="There is no campaign yet"):
            await here.services.notices.draft(MARIA, TEXT, campaign_word="spring")


async def test_without_a_server_outside_the_outage_nothing_is_drafted(db: Database, tmp_path: Path) -> None:
    async with outage(db, tmp_path) as here:
        await here.services.servers.drain(MARIA, "backup")
        with pytest.raises(WrongStateError, match="backup is drained and primary is part of outage #1"):
            await here.services.notices.draft(MARIA, TEXT)
        await nothing_stays(db)


async def test_a_notice_to_nobody_without_a_webhook(db: Database, tmp_path: Path) -> None:
    async with outage(db, tmp_path, recipients=2) as here:
        async with db.transaction() as tx:
            for n in (1, 2):
                row = Suppression(email_key=f"p{n}@example.com", reason="asked", source="unsubscribe", at=now())
                tx.add(row)
        with pytest.raises(BadInputError, match="would reach nobody, as all 2 addresses may not be mailed"):
            await here.services.notices.draft(MARIA, TEXT)
        await nothing_stays(db)


async def test_a_csv_needs_a_sender_and_a_usable_row(db: Database, tmp_path: Path) -> None:
    csv = tmp_path / "people.csv"
    csv.write_text("email\nnot an address\n")
    async with outage(db, tmp_path) as here:
        with pytest.raises(BadInputError, match="HOLDFAST_NOTICES__SENDER"):
            await here.services.notices.draft_csv(MARIA, TEXT, csv)
    async with db.transaction() as tx:
        assert await tx.scalar(select(func.count()).select_from(Notice)) == 0


async def test_a_csv_without_a_usable_row_names_the_first_bad_one(db: Database, tmp_path: Path) -> None:
    csv = tmp_path / "people.csv"
    csv.write_text("email\nnot an address\n")
    async with outage(db, tmp_path, notices={"sender": "Shop <help@example.com>"}) as here:
        with pytest.raises(BadInputError, match=r"None of the 1 row can be used\. The first, in line 2"):
            await here.services.notices.draft_csv(MARIA, TEXT, csv)
        await nothing_stays(db)


async def test_a_sender_that_would_forge_a_header_is_refused(db: Database, tmp_path: Path) -> None:
    async with outage(db, tmp_path, notices={"sender": "Shop <a@example.com>\r\nBcc: all@example.com"}) as here:
        with pytest.raises(BadInputError):
            await here.services.notices.draft(MARIA, TEXT)
        await nothing_stays(db)


async def test_a_webhook_without_a_secret_is_named_before_anybody_is_asked(db: Database, tmp_path: Path) -> None:
    async with outage(db, tmp_path, notices={"webhook_url": "https://status.example.com/hook"}) as here:
        await here.services.notices.draft(MARIA, TEXT)
        with pytest.raises(SettingsError, match="HOLDFAST_NOTICES__WEBHOOK_SECRET is missing"):
            await here.services.notices.request(MARIA)
    section = {"webhook_url": "nowhere", "webhook_secret": SECRET}
    services = build(db, settings_for(str(db.url), tmp_path, roles=ALL_MAY, notices=section))
    with pytest.raises(SettingsError, match="no web address"):
        await services.notices.request(MARIA)


async def test_a_later_draft_for_the_same_people_replaces_the_earlier_one(db: Database, tmp_path: Path) -> None:
    async with outage(db, tmp_path) as here:
        await here.services.notices.draft(MARIA, "A first text.")
        second = await here.services.notices.draft(MARIA, "A better text.")
        assert (await here.services.notices.status(1)).notice.state == NoticeState.CANCELLED
        assert (await here.services.notices.request(MARIA)).id == second.id
        assert [row.notice.id for row in await here.services.notices.list()] == [2, 1]


async def test_which_draft_is_asked_when_there_are_several(db: Database, tmp_path: Path) -> None:
    async with outage(db, tmp_path) as here:
        with pytest.raises(NotFoundError, match="No notice was drafted yet"):
            await here.services.notices.request(MARIA)
        await here.services.notices.draft(MARIA, TEXT)
        await here.campaign(3, name="newsletter", on_backup=True)
        await here.services.notices.draft(MARIA, TEXT, campaign_word="newsletter")
        with pytest.raises(BadInputError, match=r"Which notice\? There is 1 .* and 2 "):
            await here.services.notices.request(MARIA)
        with pytest.raises(BadInputError, match="is not the number of a notice"):
            await here.services.notices.preview("first")
        with pytest.raises(NotFoundError, match="There is no notice 9"):
            await here.services.notices.preview("9")


async def test_a_campaign_may_have_the_name_that_a_notice_would_get(db: Database, tmp_path: Path) -> None:
    async with outage(db, tmp_path) as here:
        await here.campaign(3, name="notice-1", on_backup=True)
        await here.services.notices.draft(MARIA, TEXT)
        mailing = (await here.services.notices.status(1)).mailing
        assert mailing.name.startswith("notice-1-")
