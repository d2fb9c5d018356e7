"""Things are deleted, archived, revoked and shared in a real workspace, and people type strange things."""

import asyncio
from pathlib import Path

import pytest

from bot.demo.fakeslack import Message
from storage.db import Database
from tests.integration.slack_support import entries
from tests.integration.test_announcer_posts_in_order import nothing_waits
from tests.integration.test_command_over_slack import Workspace, workspace
from tests.seeds import add_campaign, add_server

WHOLE = 4000
"""Characters that Slack lets people type into its composer."""


async def declared(here: Workspace, text: str = "all is slow") -> Message:
    """An outage with a campaign that it holds; its headline."""
    await add_campaign(here.db, await add_server(here.db, "primary", 2525), 10)
    await here.type(f"/outage declare primary {text}")
    return await here.slack.wait_for_message(here.ops, text)


async def status_says(here: Workspace, words: str) -> None:
    """Wait until `/holdfast status` says this."""
    async with asyncio.timeout(20):
        while words not in await here.type("/holdfast status"):
            assert here.slack.violations == []


# What others do to the channel


async def test_a_deleted_headline_is_posted_again_and_its_thread_goes_on(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        head = await declared(here)
        here.slack.workspace.delete(head)

        await here.type("/outage update the vendor is on it")

        again = await here.slack.wait_for_message(here.ops, "all is slow", after=head)
        await here.slack.wait_for_message(here.ops, "the vendor is on it", thread_of=again)
        assert await here.click(here.maria, again, "Acknowledge") is None
        await here.slack.wait_until(lambda: "acknowledged" in here.slack.plain(again), what="an edited headline")
        assert [each for each in here.ops.messages if not each.deleted] == [again]


async def test_an_archived_channel_is_said_and_gets_everything_later_in_order(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        head = await declared(here)
        await here.slack.wait_until(lambda: head.thread, what="the first entry")
        before = len(entries(head))
        here.ops.archived = True

        for number in range(3):
            await here.type(f"/outage update step {number}")
        await status_says(here, "email-ops is archived")
        here.ops.archived = False

        await here.slack.wait_until(lambda: len(entries(head)) >= before + 3, what="the entries")
        said = entries(head)[before:]
        assert [f"step {number}" in text for number, text in enumerate(said)] == [True] * 3


async def test_a_revoked_token_is_said_and_gets_everything_later(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        head = await declared(here)
        for method in ("chat.postMessage", "chat.update", "users.info"):
            here.slack.fault(method, error="token_revoked", times=1_000_000)

        said = await here.type("/outage update the vendor is on it", here.jonas)
        assert "Added to the thread" in said  # the answer needs no token
        await status_says(here, "Slack refuses the bot's token (token_revoked)")
        here.slack.clear_faults()

        await here.slack.wait_for_message(here.ops, "the vendor is on it", thread_of=head)


@pytest.mark.parametrize("scope", ["users:read", "channels:history"])
async def test_a_scope_that_was_taken_away_costs_only_what_it_is_for(db: Database, tmp_path: Path, scope: str) -> None:
    async with workspace(db, tmp_path) as here:
        here.slack.scopes -= {scope}

        head = await declared(here)
        assert await here.click(here.jonas, head, "Acknowledge") is None

        await here.slack.wait_until(lambda: "acknowledged" in here.slack.plain(head), what="an edited headline")


async def test_without_the_scope_to_post_the_missing_one_is_named(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        here.slack.scopes -= {"chat:write"}
        await add_server(db, "primary", 2525)

        assert "is open on primary" in await here.type("/outage declare primary all is slow")
        await status_says(here, "lacks the scope chat:write")
        here.slack.scopes |= {"chat:write"}

        await here.slack.wait_for_message(here.ops, "all is slow")


# People from elsewhere


async def test_somebody_of_another_workspace_may_look_and_no_more(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        head = await declared(here)
        guest = here.slack.add_user("guest")
        guest.team_id = "T0ELSEWHERE"

        assert "primary" in await here.type("/server list", guest)
        assert "spring-sale" in await here.type("/campaign status spring-sale", guest)
        for line in (
            "/outage declare primary I cannot read mail",
            "/outage ack",
            "/outage update hello",
            "/outage resolve it was nothing",
            "/campaign pause spring-sale",
            "/server drain primary",
            "/maintenance schedule primary tomorrow 02:00 for 2h disks",
            "/notice draft to spring-sale: Your mail is late.",
            "/resend plan",
        ):
            assert "You are from another workspace, so you may look and no more." in await here.type(line, guest), line
        assert "from another workspace" in (await here.click(guest, head, "Acknowledge") or "")

        # He had not got it, so that Maria can.
        assert await here.click(here.maria, head, "Acknowledge") is None


async def test_a_role_given_by_mistake_does_not_let_them_in(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        await declared(here)
        here.maria.team_id = "T0ELSEWHERE"  # she has every role in the settings

        assert "from another workspace" in await here.type("/campaign resume spring-sale")


# What people type


LINES = (
    "/outage declare primary {}",
    "/outage declare {}",
    "/outage update {}",
    "/outage cause {}",
    "/outage resolve {}",
    "/campaign pause spring-sale {}",
    "/campaign pause {}",
    "/server add second {}",
    "/notice draft to spring-sale: {}",
    "/maintenance schedule primary tomorrow 02:00 for 2h {}",
    "/maintenance schedule primary {}",
    "/resend plan {}",
    "/holdfast {}",
)


@pytest.mark.parametrize("letter", ["x", "& ", "😀"], ids=["letters", "signs", "emoji"])
async def test_a_composer_full_of_text_is_answered_and_drawn_whatever_the_command(
    db: Database, tmp_path: Path, letter: str
) -> None:
    async with workspace(db, tmp_path) as here:
        await declared(here)
        for line in LINES:
            said = await here.type(line.format(letter * ((WHOLE - len(line)) // len(letter))))
            assert said
            assert "Something broke" not in said, line
        await nothing_waits(db)  # a card that could not be drawn would wait for ever


async def test_names_of_every_script_and_emoji_are_kept(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        here.maria.name = "مريم 🦊"
        here.maria.real_name = "مريم العلي"
        head = await declared(here, "الخادم بطيء 🐌 שרת איטי")

        assert await here.click(here.maria, head, "Acknowledge") is None
        await here.type("/outage update جارٍ العمل 🛠️")

        await here.slack.wait_for_message(here.ops, "جارٍ العمل 🛠️", thread_of=head)
        await here.slack.wait_until(lambda: "@مريم العلي" in here.slack.plain(head), what="who has it")
        assert "الخادم بطيء 🐌 שרת איטי" in here.slack.plain(head)


async def test_what_would_turn_the_line_round_is_left_out_of_what_all_read(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        await add_server(db, "primary", 2525)
        await here.type("/outage declare primary all is \u202ewols")
        head = await here.slack.wait_for_message(here.ops, "all is wols")
        await here.type("/outage update \u2067nothing\u202e is wrong")

        entry = await here.slack.wait_for_message(here.ops, "nothing is wrong", thread_of=head)
        shown = here.slack.plain(head) + here.slack.plain(entry) + head.text + entry.text
        assert "all is wols" in shown
        assert not set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067") & set(shown)


async def test_a_letter_that_would_turn_the_line_round_is_not_repeated(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        await declared(here)

        said = await here.type("/server status \u202eyramirp")

        assert "There is no server “yramirp”." in said
        assert "\u202e" not in said
