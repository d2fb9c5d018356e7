"""The audit log through the real Bolt and SDK: its file goes to one person alone, and refusals stand in it."""

from pathlib import Path

from bot.clock import now
from bot.demo.fakeslack import DEFAULT_SCOPES
from storage import timeline
from storage.db import Database
from storage.timeline import Entry
from tests.integration.test_command_over_slack import workspace
from tests.seeds import add_campaign, add_server
from tests.terminal_world import Holdfast, holdfast, server_set

__all__ = ["holdfast", "server_set"]


async def test_the_file_goes_to_the_person_alone(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        await add_campaign(db, await add_server(db, "primary", 2525), 10)
        await here.type("/campaign pause spring-sale =1+1")

        said = await here.type("/holdfast audit export campaign")

        assert said.startswith("The audit log as CSV: campaign. Times are in UTC. It is in your direct messages")
        direct = here.slack.direct(here.maria)
        sent = direct.messages[-1].files[0]
        assert sent["name"].startswith("holdfast-audit-")
        content = here.slack.workspace.files[sent["id"]]["content"].decode()
        assert content.startswith("id,time,actor,source,kind,text,")
        assert f",{here.maria.id},slack,campaign.pause,<@{here.maria.id}> paused spring-sale: =1+1," in content
        assert not any(message.files for message in here.ops.all_messages)


async def test_without_the_scope_it_says_which_is_missing_and_where_else_it_is(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        here.slack.scopes = DEFAULT_SCOPES - {"files:write"}
        said = await here.type("/holdfast audit export")
        assert "lacks the scope files:write" in said
        assert 'holdfast do "/holdfast audit export"' in said


async def test_pages_turn_in_place(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        async with db.transaction() as tx:
            for number in range(14):
                await timeline.record(tx, Entry("outage.seen", f"trouble {number}.", "holdfast", now()), post=False)
        await here.type("/holdfast audit seen")
        page = here.slack.ephemerals(here.maria)[-1]
        assert "trouble 13" in here.slack.plain(page)
        assert await here.click(here.maria, page, "Older") is None
        assert "trouble 0." in here.slack.plain(page)
        assert "trouble 13" not in here.slack.plain(page)
        assert here.slack.ephemerals(here.maria)[-1] is page


async def test_who_may_not_is_told_and_written_down(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        await add_campaign(db, await add_server(db, "primary", 2525), 10)
        guest = here.slack.add_user("guest")
        for _ in range(2):
            assert "You may not cancel a campaign" in await here.type("/campaign cancel spring-sale", guest)
        said = await here.type("/holdfast audit refused")
        assert said.count("was refused /campaign cancel spring-sale: You may not cancel a campaign") == 1
        assert "in Slack · access.refused" in said


def test_at_the_terminal_it_goes_to_the_screen_or_into_a_file(
    holdfast: Holdfast, server_set: None, tmp_path: Path
) -> None:
    holdfast("do", "/outage declare primary nothing comes", "--as", "Ana")
    shown = holdfast("audit", "by", "Ana", "--since", "1h")
    assert "Ana at the terminal · outage.declared" in shown.out
    piped = holdfast("do", "/holdfast audit export outage")
    assert piped.out.splitlines()[0].startswith("id,time,actor")
    assert ",Ana,terminal,outage." in piped.out
    assert "The audit log as CSV: outage." in piped.err
    wrote = holdfast("audit", "outage", "--csv", "log.csv")
    assert "of the audit log: log.csv" in wrote.err
    assert (tmp_path / "log.csv").read_bytes().decode().replace("\r\n", "\n") == piped.out.replace("\r\n", "\n")
    assert (tmp_path / "log.csv").stat().st_mode & 0o077 == 0
    refused = holdfast("audit", "--csv", "no/such/folder.csv")
    assert (refused.code, "cannot be written" in refused.err) == (1, True)
    assert "would look like somebody else" in holdfast("do", "/outage list", "--as", "U0MARIA").err
