"""The HTTP side as customers, their mail programs and monitors meet it."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession

from bot.mail.links import Links
from bot.web.server import Server
from storage import suppressions
from storage.db import Database
from tests.seeds import add_campaign, add_server

LINKS = Links(["a secret for a second"])


@pytest.fixture
async def site(db: Database) -> AsyncIterator[str]:
    server = Server(db, LINKS, host="127.0.0.1", port=0)
    port = await server.start()
    yield f"http://127.0.0.1:{port}"
    await server.stop()


@pytest.fixture
async def browser() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


async def suppressed(db: Database, email: str) -> str | None:
    async with db.read() as tx:
        row = await suppressions.get(tx, email)
        return row.source if row else None


async def mailed(db: Database) -> tuple[str, str]:
    """A link as a campaign's second recipient has it in the mail, and the address it stands for."""
    campaign_id = await add_campaign(db, await add_server(db, "primary", 25), 3)
    return LINKS.make(campaign_id, 2), "p2@example.com"


async def test_following_the_link_asks_and_changes_nothing(db: Database, site: str, browser: ClientSession) -> None:
    link, email = await mailed(db)

    async with browser.get(f"{site}/u/{link}") as answer:
        text = await answer.text()

    assert answer.status == 200
    assert email in text
    assert '<form method="post">' in text
    assert await suppressed(db, email) is None


async def test_the_button_unsubscribes(db: Database, site: str, browser: ClientSession) -> None:
    link, email = await mailed(db)

    async with browser.post(f"{site}/u/{link}") as answer:
        text = await answer.text()

    assert "You are unsubscribed" in text
    assert await suppressed(db, email) == "unsubscribe"


async def test_the_one_click_of_a_mail_program_unsubscribes_however_often(
    db: Database, site: str, browser: ClientSession
) -> None:
    link, email = await mailed(db)

    for _ in range(2):
        async with browser.post(f"{site}/u/{link}", data={"List-Unsubscribe": "One-Click"}) as answer:
            assert answer.status == 200

    assert await suppressed(db, email.upper()) == "unsubscribe"


async def test_a_guessed_link_does_nothing(db: Database, site: str, browser: ClientSession) -> None:
    link, email = await mailed(db)

    for forged in (link[:-2], "1-1.abc", Links(["another secret"]).make(1, 1), "%00", "x" * 5000):
        async with browser.post(f"{site}/u/{forged}") as answer:
            assert answer.status == 404
            assert "That did not work" in await answer.text()

    assert await suppressed(db, email) is None


async def test_health_is_told_while_the_database_answers(site: str, browser: ClientSession) -> None:
    async with browser.get(f"{site}/healthz") as answer:
        told = await answer.json()

    assert answer.status == 200
    assert told == {"ok": True, "database": "ok", "slack": {"waiting": 0, "error": None}, "sender": False}


async def test_without_a_database_everything_is_refused_in_a_sentence(browser: ClientSession) -> None:
    db = Database("postgresql://nobody@127.0.0.1:1/none")
    server = Server(db, LINKS, host="127.0.0.1", port=0)
    site = f"http://127.0.0.1:{await server.start()}"

    async with browser.get(f"{site}/healthz") as health, browser.post(f"{site}/u/{LINKS.make(1, 1)}") as click:
        assert (health.status, click.status) == (503, 503)
        assert "Please try again in a few minutes" in await click.text()

    await server.stop()
    await db.close()


async def test_without_a_signing_secret_slack_s_address_does_not_exist(site: str, browser: ClientSession) -> None:
    async with browser.post(f"{site}/slack/events") as answer:
        assert answer.status == 404
