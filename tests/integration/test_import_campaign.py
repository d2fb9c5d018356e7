"""Importing a campaign from a message and a CSV: what comes in, what is skipped, what is refused."""

import asyncio
import signal
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from sqlalchemy import func, select, update

from bot.access import Access, Actor
from bot.clock import now
from bot.errors import BadInputError, NotAllowedError, NotFoundError
from bot.mail.composing import Source
from bot.services.campaigns import Campaigns
from bot.services.importing import Importing, ImportResult
from storage import campaigns as store
from storage import deliveries
from storage.db import Database
from storage.models import Campaign, Delivery, Message, Ramp, Recipient, Server, StagedRecipient
from tests.seeds import add_server, settings_for, state_of

ROOT = Actor("root", "root", source="terminal")
PLAIN = Source(subject="Hello", text="Hello!", sender="Shop <shop@example.com>")
HELLO = Source(subject="Hello {{ name }}", text="Hello {{ name }}!", sender="Shop <shop@example.com>")


@pytest.fixture
async def importing(db: Database, tmp_path: Path) -> Importing:
    await add_server(db, "primary", 2525)
    settings = settings_for("sqlite://", tmp_path)
    return Importing(db, settings, Access(settings.roles, []))


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text("email,name\nanna@example.com,Anna\nbert@example.com,Bert\n")
    return path


def write(path: Path, content: str | bytes) -> None:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def size_of(path: Path) -> int:
    return path.stat().st_size


def fill(path: Path, count: int) -> None:
    path.write_text("email,name\n" + "".join(f"p{n}@example.com,P\n" for n in range(count)))


async def nothing_is_left(db: Database) -> bool:
    async with db.read() as tx:
        counts = [
            await tx.scalar(select(func.count()).select_from(each))
            for each in (Campaign, Message, Recipient, Delivery, StagedRecipient)
        ]
    return counts == [0, 0, 0, 0, 0]


async def test_it_becomes_a_scheduled_campaign_with_its_ledger(
    db: Database, importing: Importing, csv: Path, tmp_path: Path
) -> None:
    result = await importing.create(ROOT, "spring-sale", HELLO, csv)
    assert (result.name, result.server, result.recipients, result.duplicates, result.bad) == (
        "spring-sale",
        "primary",
        2,
        0,
        0,
    )
    async with db.read() as tx:
        campaign = (await tx.scalars(select(Campaign))).one()
        message = (await tx.scalars(select(Message))).one()
        people = list(await tx.scalars(select(Recipient).order_by(Recipient.n)))
        counts = await deliveries.counts(tx, campaign.id)
    assert (campaign.state, campaign.kind, campaign.recipients) == ("scheduled", "campaign", 2)
    assert campaign.subject == "Hello {{ name }}"
    assert (len(message.key), message.text) == (64, "Hello {{ name }}!")
    assert [(each.n, each.email, each.fields) for each in people] == [
        (1, "anna@example.com", {"name": "Anna"}),
        (2, "bert@example.com", {"name": "Bert"}),
    ]
    assert counts["queued"] == 2
    settings = settings_for("sqlite://", tmp_path)
    await Campaigns(db, settings, Access(settings.roles, [])).start(ROOT, "spring-sale")
    assert await state_of(db, campaign.id) == "sending"


async def test_bad_rows_are_skipped_and_reported_with_their_lines(importing: Importing, csv: Path) -> None:
    write(
        csv, b"email;name\nanna@example.com;Anna\nnot-an-address;Bob\nbert@example.com;B\xe9rt\ncarl@example.com;Carl\n"
    )
    result = await importing.create(ROOT, "spring-sale", HELLO, csv)
    assert (result.recipients, result.bad, [line for line, _ in result.bad_rows]) == (2, 2, [3, 4])
    assert '"not-an-address" is not an email address' in result.bad_rows[0][1]
    assert "not UTF-8" in result.bad_rows[1][1]


async def test_two_spellings_of_one_address_are_one_recipient(db: Database, importing: Importing, csv: Path) -> None:
    write(csv, "email,name\nAnna@example.com,A\nanna@EXAMPLE.com,B\nanna@example.com,C\nbert@example.com,D\n")
    result = await importing.create(ROOT, "spring-sale", HELLO, csv)
    assert (result.recipients, result.duplicates) == (2, 2)
    async with db.read() as tx:
        assert list(await tx.scalars(select(Delivery.n).order_by(Delivery.n))) == [1, 4]


async def test_only_the_first_twenty_bad_rows_are_kept(importing: Importing, csv: Path) -> None:
    write(csv, "email,name\n" + "nobody,x\n" * 3000 + "anna@example.com,Anna\n")
    result = await importing.create(ROOT, "spring-sale", HELLO, csv)
    assert (result.recipients, result.bad, len(result.bad_rows)) == (1, 3000, 20)


async def test_a_file_without_a_usable_row_makes_no_campaign(db: Database, importing: Importing, csv: Path) -> None:
    write(csv, "email,name\n")
    with pytest.raises(BadInputError, match="names its columns, but has no rows"):
        await importing.create(ROOT, "spring-sale", HELLO, csv)
    write(csv, "email,name\nx,y\n")
    with pytest.raises(BadInputError, match=r"None of the 1 row can be used\. The first, in line 2: "):
        await importing.create(ROOT, "spring-sale", HELLO, csv)
    write(csv, "")
    with pytest.raises(BadInputError, match="The file is empty"):
        await importing.create(ROOT, "spring-sale", HELLO, csv)
    assert await nothing_is_left(db)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (Source(subject="Hi", text="Hello {{ nmae }}", sender="shop@example.com"), "nmae"),
        (Source(subject="Hi", text="{{ name", sender="shop@example.com"), "text template"),
        (Source(subject="Hi", text="{{ name.__class__.__mro__ }}", sender="shop@example.com"), "text template"),
        (Source(subject="Hi", text="x", sender="nobody"), "nobody"),
    ],
)
async def test_a_message_that_cannot_be_filled_in_is_refused_before_anything_is_written(
    db: Database, importing: Importing, csv: Path, source: Source, sentence: str
) -> None:
    with pytest.raises(BadInputError, match=sentence):
        await importing.create(ROOT, "spring-sale", source, csv)
    assert await nothing_is_left(db)


async def test_an_eml_keeps_its_subject(db: Database, importing: Importing, csv: Path) -> None:
    eml = (
        b"From: Shop <shop@example.com>\r\nSubject: Caf\xc3\xa9 for {{ name }}\r\n"
        b"List-Unsubscribe: <mailto:out@example.com>\r\n\r\nHello {{ name }}\r\n"
    )
    result = await importing.create(ROOT, "spring-sale", Source(eml=eml), csv)
    assert result.recipients == 2
    async with db.read() as tx:
        campaign = (await tx.scalars(select(Campaign))).one()
        message = (await tx.scalars(select(Message))).one()
    assert campaign.subject == "Café for {{ name }}"
    assert message.eml == eml


async def test_names_that_are_wrong_or_taken_are_refused(importing: Importing, csv: Path) -> None:
    with pytest.raises(BadInputError, match="lower-case letters"):
        await importing.create(ROOT, "Spring Sale", HELLO, csv)
    with pytest.raises(BadInputError, match="means every one"):
        await importing.create(ROOT, "all", HELLO, csv)
    await importing.create(ROOT, "spring-sale", HELLO, csv)
    with pytest.raises(BadInputError, match="There is a campaign spring-sale already"):
        await importing.create(ROOT, "spring-sale", HELLO, csv)


async def test_of_two_imports_of_one_name_one_wins(db: Database, importing: Importing, csv: Path) -> None:
    outcomes = await asyncio.gather(
        *(importing.create(ROOT, "spring-sale", HELLO, csv) for _ in range(2)), return_exceptions=True
    )
    assert len([each for each in outcomes if isinstance(each, BadInputError)]) == 1, outcomes
    assert [each.recipients for each in outcomes if isinstance(each, ImportResult)] == [2]
    async with db.read() as tx:
        assert await tx.scalar(select(func.count()).select_from(Recipient)) == 2


async def test_the_server_is_named_or_obvious(db: Database, importing: Importing, csv: Path) -> None:
    backup = await add_server(db, "backup", 2526)
    with pytest.raises(BadInputError, match="Several servers could send it: backup and primary"):
        await importing.create(ROOT, "spring-sale", HELLO, csv)
    with pytest.raises(NotFoundError, match="There is no server"):
        await importing.create(ROOT, "spring-sale", HELLO, csv, server="third")
    assert (await importing.create(ROOT, "named", HELLO, csv, server="back")).server == "backup"
    async with db.transaction() as tx:
        await tx.execute(update(Server).where(Server.name == "primary").values(backup_id=backup))
    assert (await importing.create(ROOT, "obvious", HELLO, csv)).server == "primary"


async def test_an_offer_that_has_ended_is_refused(importing: Importing, csv: Path) -> None:
    with pytest.raises(BadInputError, match="would have ended"):
        await importing.create(ROOT, "spring-sale", HELLO, csv, expires_at=now() - timedelta(minutes=1))


async def test_a_missing_file_is_a_sentence(importing: Importing, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="cannot be opened: No such file"):
        await importing.create(ROOT, "spring-sale", HELLO, tmp_path / "none.csv")


async def test_it_tells_how_far_it_is(importing: Importing, csv: Path) -> None:
    fill(csv, 2500)
    seen: list[tuple[int, int]] = []
    await importing.create(ROOT, "spring-sale", HELLO, csv, progress=lambda rows, read: seen.append((rows, read)))
    assert [rows for rows, _ in seen] == [1000, 2000, 2500]
    assert seen[-1][1] == size_of(csv)


async def test_nobody_sees_a_campaign_that_is_not_whole(
    db: Database, importing: Importing, csv: Path, tmp_path: Path
) -> None:
    fill(csv, 2500)
    settings = settings_for("sqlite://", tmp_path)
    others = Campaigns(db, settings, Access(settings.roles, []))
    half_way = asyncio.Event()

    def reached(rows: int, _read: int) -> None:
        if rows == 2000:
            half_way.set()

    running = asyncio.create_task(importing.create(ROOT, "spring-sale", HELLO, csv, progress=reached))
    await half_way.wait()
    assert await others.list() == []
    with pytest.raises(NotFoundError):
        await others.start(ROOT, "spring-sale")
    await running
    assert [each.name for each in await others.list()] == ["spring-sale"]


async def test_an_import_that_is_broken_off_leaves_nothing(db: Database, importing: Importing, csv: Path) -> None:
    fill(csv, 2500)
    half_way = asyncio.Event()
    running = asyncio.create_task(importing.create(ROOT, "spring-sale", HELLO, csv, progress=lambda *_: half_way.set()))
    await half_way.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await nothing_is_left(db)
    assert (await importing.create(ROOT, "spring-sale", HELLO, csv)).recipients == 2500


IMPORT_AND_BE_KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from bot.access import HOLDFAST, Access
from bot.config import RoleSettings
from bot.mail.composing import Source
from bot.services.importing import Importing
from storage.db import Database
from tests.seeds import settings_for

def killed(rows, _read):
    if rows == 2000:
        os.kill(os.getpid(), signal.SIGKILL)

url, csv = sys.argv[1:]
importing = Importing(Database(url), settings_for(url, Path(csv).parent), Access(RoleSettings(), []))
source = Source(subject="Hi", text="Hello {{ name }}", sender="shop@example.com")
asyncio.run(importing.create(HOLDFAST, "spring-sale", source, Path(csv), progress=killed))
"""


async def test_what_a_killed_import_left_is_cleared_by_the_next(
    db: Database, database_url: str, importing: Importing, csv: Path
) -> None:
    fill(csv, 2500)
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", IMPORT_AND_BE_KILLED, database_url, str(csv))
    assert await process.wait() == -signal.SIGKILL
    assert not await nothing_is_left(db)
    with pytest.raises(BadInputError, match="is being imported by Holdfast just now"):
        await importing.create(ROOT, "spring-sale", HELLO, csv)
    with time_machine.travel(now() + timedelta(minutes=5)):
        result = await importing.create(ROOT, "spring-sale", HELLO, csv)
    assert result.recipients == 2500
    async with db.read() as tx:
        assert await tx.scalar(select(func.count()).select_from(Recipient)) == 2500
        assert await tx.scalar(select(func.count()).select_from(Campaign)) == 1


async def test_an_import_under_way_keeps_its_name(db: Database, importing: Importing, csv: Path) -> None:
    await importing.create(ROOT, "spring-sale", HELLO, csv)
    async with db.transaction() as tx:
        await tx.execute(update(Campaign).values(kind=store.IMPORTING, state_since=now()))
    with pytest.raises(BadInputError, match="is being imported by root just now"):
        await importing.create(ROOT, "spring-sale", HELLO, csv)


async def test_only_those_with_the_role_may(importing: Importing, csv: Path) -> None:
    with pytest.raises(NotAllowedError, match="You may not import a campaign"):
        await importing.create(Actor("U1", "Maria"), "spring-sale", HELLO, csv)


async def test_the_most_engaged_come_first_and_the_unknown_last(
    db: Database, importing: Importing, tmp_path: Path
) -> None:
    path = tmp_path / "people.csv"
    rows = ["a,3", "b,", "c,17.5", "d,3", "e,soon", "f,-1", "c,99", "g,1e3"]
    path.write_text("email,Engagement\n" + "".join(f"{each[0]}@example.com{each[1:]}\n" for each in rows))
    result = await importing.create(ROOT, "spring-sale", PLAIN, path, ramp=True)
    assert (result.recipients, result.duplicates, result.ordered_by) == (7, 1, "Engagement")
    assert result.warnings[-1:] == ("1 row has neither a number nor a date in Engagement, and comes last.",)
    async with db.read() as tx:
        found = await tx.execute(
            select(Recipient.n, Recipient.email, Recipient.fields, Delivery.status)
            .join(Delivery, (Delivery.campaign_id == Recipient.campaign_id) & (Delivery.n == Recipient.n))
            .order_by(Recipient.n)
        )
        ordered = [(n, email[0], fields["Engagement"], status) for n, email, fields, status in found]
        assert (await tx.scalars(select(Ramp.sizes))).all() == [[1, 1, 2, 7]]
        assert (await tx.scalars(select(StagedRecipient))).all() == []
    assert [(n, who) for n, who, _, _ in ordered] == list(enumerate("gcadfbe", 1))
    assert ordered[1] == (2, "c", "17.5", "queued")


async def test_a_column_is_named_and_dates_count(db: Database, importing: Importing, tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("email,opened\na@example.com,2025-12-31\nb@example.com,2026-02-01T10:00:00+01:00\n")
    with pytest.raises(BadInputError, match="no column clicked, by which to order the recipients"):
        await importing.create(ROOT, "spring-sale", PLAIN, path, engaged_by="clicked")
    await importing.create(ROOT, "spring-sale", PLAIN, path, engaged_by="opened")
    async with db.read() as tx:
        assert (await tx.scalars(select(Recipient.email).order_by(Recipient.n))).all() == [
            "b@example.com",
            "a@example.com",
        ]


async def test_an_ordered_import_that_fails_leaves_nothing(db: Database, importing: Importing, tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("email,engagement\n" + "".join(f"p{n}@example.com,{n}\n" for n in range(3_000)))

    def progress(_rows: int, octets: int) -> None:
        if octets >= path.stat().st_size:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await importing.create(ROOT, "spring-sale", PLAIN, path, progress=progress)
    assert await nothing_is_left(db)
