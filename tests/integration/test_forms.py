"""Forms: opened while their trigger lives, wrong fields told in them, carried out once, answered where asked."""

import re
import shutil
import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import commands
from bot.clock import now
from bot.demo.fakeslack import User
from bot.slack import inbox
from bot.slack.blocks import actions, button
from bot.slack.edge import Edge
from bot.slack.forms import submission_key, submission_payload
from bot.slack.plain import plain
from storage.db import Database
from storage.inbound import Arrival, Batch, requests_of
from tests.integration.slack_support import web_client
from tests.integration.test_command_over_slack import Workspace, workspace
from tests.seeds import add_campaign, add_server


async def ask(here: Workspace, line: str, user: User | None = None) -> None:
    """Type a line that opens a form."""
    await here.slack.command(user or here.maria, here.ops, line)
    await here.slack.wait_until(lambda: here.slack.open_views(user or here.maria), what="a form")


async def send(here: Workspace, values: dict[str, Any], user: User | None = None) -> dict[str, str]:
    """Fill in the form and send it: what it says is wrong."""
    view = here.slack.open_views(user or here.maria)[-1]
    delivery = await here.slack.submit_view(user or here.maria, view, values)
    assert delivery.acked_in is not None
    await here.edge.drain()
    return view.errors if here.slack.open_views(user or here.maria) else {}


def last_answer(here: Workspace, user: User | None = None) -> str:
    return here.slack.plain(here.slack.ephemerals(user or here.maria)[-1])


async def test_an_outage_is_declared_by_a_form_that_says_what_is_wrong_at_its_field(
    db: Database, tmp_path: Path
) -> None:
    async with workspace(db, tmp_path) as here:
        await add_campaign(db, await add_server(db, "primary", 2525), 10)
        await add_server(db, "backup", 2526)
        await here.type("/outage declare primary it is slow")
        await ask(here, "/outage declare")

        wrong = await send(here, {"server": "primary", "text": "nothing  comes", "severity": "critical"})
        assert wrong == {"server": "primary has outage #1 already (open). Add to it with: /outage update TEXT"}
        wrong = await send(here, {"server": "backup", "text": "  ", "severity": "critical"})
        assert wrong == {"text": "Say what is wrong."}

        assert await send(here, {"server": "backup", "text": "nothing <!here> comes", "severity": "critical"}) == {}
        assert "Outage #2 is open on backup." in last_answer(here)
        card = await here.slack.wait_for_message(here.ops, "nothing <!here> comes")
        assert "severity critical" in here.slack.plain(card)


async def test_an_update_is_sent_by_a_form_from_its_command_and_from_the_button_of_a_reminder(
    db: Database, tmp_path: Path
) -> None:
    async with workspace(db, tmp_path) as here:
        await add_server(db, "primary", 2525)
        assert "Say what is new" in await here.type("/outage update")
        await here.type("/outage declare primary it is slow")
        await ask(here, "/outage update #1")
        assert await send(here, {"text": "   "}) == {"text": "Say what is new: /outage update TEXT"}
        assert await send(here, {"text": "the disk <!channel> is full"}) == {}
        assert "Added to the thread of outage #1." in last_answer(here)
        assert "the disk <!channel> is full" in await here.type("/outage timeline")

        await add_server(db, "backup", 2526)
        await here.type("/outage declare backup it is slow as well")
        asked = len(here.slack.open_views(here.maria))
        await here.type("/outage update")  # of which of the two is not clear
        assert len(here.slack.open_views(here.maria)) == asked
        blocks = [actions([button("Send update", "outage.say", "2")])]
        card = here.slack.workspace.post(here.ops, here.slack.workspace.bot, "nothing said for 60 min", blocks=blocks)
        await here.click(here.maria, card, "Send update")
        assert await send(here, {"text": "nothing new yet"}) == {}
        assert "Added to the thread of outage #2." in last_answer(here)
        await here.type("/outage resolve #2 it is back")
        assert "/outage update #2 TEXT" in str(await here.click(here.maria, card, "Send update"))


async def test_a_form_that_is_sent_twice_is_carried_out_once(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        await add_server(db, "primary", 2525)
        await ask(here, "/outage declare primary")
        view = here.slack.open_views(here.maria)[-1]
        values = {"text": "nothing comes", "severity": "minor"}
        first = await here.slack.submit_view(here.maria, view, values)
        await here.slack.redeliver(first)
        twice = await here.slack.submit_view(here.maria, view, values)
        await here.edge.drain()

        assert twice.acked_in is not None
        assert "1 unresolved outage" in await here.type("/outage list")


async def test_what_is_typed_whole_needs_no_form(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        await add_server(db, "primary", 2525)
        assert "Outage #1 is open" in await here.type("/outage declare primary it is slow")
        assert "There is nothing to send again for outage #1" in await here.type("/resend plan")
        assert "There is nothing to send again for outage #1" in await here.type("/resend plan #1 with unknown")
        assert "relay is added" in await here.type("/server add relay 127.0.0.1:1")
        assert here.slack.open_views(here.maria) == []


async def test_the_shortcut_declares_from_anywhere_and_answers_in_a_direct_message(
    db: Database, tmp_path: Path
) -> None:
    async with workspace(db, tmp_path) as here:
        await here.slack.shortcut(here.jonas, "declare_outage")
        await here.edge.drain()
        direct = here.slack.workspace.direct(here.jonas)
        assert "There is no server yet" in direct.messages[-1].text
        await add_server(db, "primary", 2525)

        await here.slack.shortcut(here.jonas, "declare_outage")
        await here.edge.drain()
        assert await send(here, {"server": "primary", "text": "nothing comes"}, here.jonas) == {}

        assert "Outage #1 is open on primary." in direct.messages[-1].text
        await here.slack.wait_for_message(here.ops, "nothing comes")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        ("expired_trigger_id", "Slack opens a form only within 3 seconds"),
        ("internal_error", "Slack did not open the form (internal_error)"),
    ],
)
async def test_a_form_that_slack_does_not_open_is_said_with_the_typed_way(
    db: Database, tmp_path: Path, error: str, sentence: str
) -> None:
    async with workspace(db, tmp_path) as here:
        await add_server(db, "primary", 2525)
        here.slack.fault("views.open", error=error)
        said = await here.type("/outage declare")
        assert sentence in said
        assert "/outage declare SERVER TEXT" in said


async def test_a_resend_is_planned_by_a_form_where_it_is_not_clear_of_what(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        await add_campaign(db, await add_server(db, "primary", 2525), 10)
        await add_server(db, "backup", 2526)
        await here.type("/outage declare primary it is slow")
        await here.type("/outage declare backup it is slow too")
        await ask(here, "/resend plan")
        assert await send(here, {"what": "spring-sale", "include": ["unknown"]}) == {}
        assert "There is nothing to send again for spring-sale" in last_answer(here)

        await ask(here, "/resend plan spring with")
        assert "[spring-sale ▾]" in plain(here.slack.open_views(here.maria)[-1].data)
        assert await send(here, {}) == {}


async def test_a_server_is_added_by_a_form_that_looks_at_each_field(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        await add_server(db, "primary", 2525)
        await ask(here, "/server add relay")
        wrong = await send(here, {"name": "primary", "host": "mx_1", "port": "99999"})
        assert "There is a server primary already" in wrong["name"]
        assert "cannot be the name or address of a host" in wrong["host"]
        assert wrong["port"].startswith("A port is a number from 1 to 65535")
        wrong = await send(here, {"name": "relay", "host": "127.0.0.1:25", "port": "25"})
        assert wrong == {"host": "Only the host stands here, as mail.example.com; the port has its own field."}

        assert await send(here, {"name": "relay", "host": "::1", "port": "1", "security": "starttls"}) == {}
        assert "relay is added. It does not answer well yet" in last_answer(here)
        row = await here.services.servers.find("relay")
        assert (row.host, row.port, row.tls) == ("::1", 1, "starttls")

        said = here.slack.plain(
            await here.slack.wait_for_reply(await here.slack.command(here.jonas, here.ops, "/server add"))
        )
        assert "You may not add a server: that needs the role admin" in said
        assert here.slack.open_views(here.jonas) == []


async def test_a_form_of_another_version_says_so_and_changes_nothing(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        await add_server(db, "primary", 2525)
        await ask(here, "/outage declare")
        view = here.slack.open_views(here.maria)[-1]
        view.data["blocks"] = [each for each in view.data["blocks"] if each.get("block_id") != "severity"]
        wrong = await send(here, {"server": "primary", "text": "nothing comes"})
        assert "another version of Holdfast" in wrong["server"]
        view.data["private_metadata"] = "no JSON"
        wrong = await send(here, {"server": "primary", "text": "nothing comes"})
        assert "Something broke on our side" in wrong["server"]
        assert "There has been no outage" in await here.type("/outage list")


async def taken_up(here: Workspace, arrival: Arrival, *, begun: bool = False) -> None:
    """A process that took a request and died, then two more over the same database."""
    requests = requests_of(here.db)
    await requests.write(Batch(arrivals=[arrival], started=[arrival.key] if begun else []), now())
    await requests.close()
    async with web_client(here.slack) as client:
        for _ in range(2):
            edge = Edge(here.services, client, commands.COMMANDS, commands.ACTIONS, forms=commands.FORMS)
            await edge.resume()
            await edge.close()


async def test_a_restart_loses_no_form_and_opens_none_too_late(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        await add_server(db, "primary", 2525)
        place = {"user_id": here.maria.id, "channel_id": here.ops.id}
        typed = {**place, "command": "/outage", "text": "declare", "trigger_id": "1.2"}
        await taken_up(here, Arrival("command:1.2", "command", typed))
        assert "Holdfast was restarted just then" in last_answer(here)
        assert "/outage declare SERVER TEXT" in last_answer(here)

        await ask(here, "/outage declare")
        form = await here.slack.submit_view(here.maria, None, {"server": "primary", "text": " ", "severity": "minor"})
        form.payload["view"]["state"]["values"]["text"]["text"]["value"] = "nothing comes"
        key, payload = submission_key(form.payload), submission_payload(form.payload)
        await taken_up(here, Arrival(f"{key}:begun", "view", payload), begun=True)
        assert "may or may not be done" in last_answer(here)
        assert "Declare an outage" in last_answer(here)
        await taken_up(here, Arrival(key, "view", payload))
        assert "Outage #1 is open on primary." in last_answer(here)
        assert "1 unresolved outage" in await here.type("/outage list")


async def test_a_form_that_cannot_be_written_down_stays_open_and_is_carried_out_once(
    sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "ACK_WITHIN", timedelta(seconds=0.2))
    shutil.copy(sqlite_template, tmp_path / "holdfast.db")
    db = Database(f"sqlite:///{tmp_path / 'holdfast.db'}")
    async with workspace(db, tmp_path) as here:
        await add_server(db, "primary", 2525)
        await ask(here, "/outage declare primary")
        lock = sqlite3.connect(tmp_path / "holdfast-inbox.db", isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        wrong = await send(here, {"text": "nothing comes"})
        assert "Send the form again in a moment: it is carried out once" in wrong["server"]
        lock.execute("COMMIT")
        lock.close()

        assert await send(here, {"text": "nothing comes"}) == {}
        await here.slack.wait_for_message(here.ops, "nothing comes")
        await here.edge.drain()
        assert "Outage #1 is open on primary." in last_answer(here)
        assert "1 unresolved outage" in await here.type("/outage list")
    await db.close()


async def test_a_message_is_added_by_its_shortcut_without_a_form_where_it_is_clear(
    db: Database, tmp_path: Path
) -> None:
    async with workspace(db, tmp_path) as here:
        aside = await here.slack.say(here.jonas, here.ops, "relay says &lt;full&gt;")
        await here.slack.shortcut(here.maria, "add_to_timeline", aside)
        await here.edge.drain()
        assert "There has been no outage to add it to" in last_answer(here)

        await add_server(db, "primary", 2525)
        await here.type("/outage declare primary it is slow")
        delivery = await here.slack.shortcut(here.maria, "add_to_timeline", aside)
        await here.slack.redeliver(delivery)
        await here.edge.drain()
        assert "Added to the timeline of outage #1" in last_answer(here)
        number = re.findall(r"/outage remove (\d+)", last_answer(here))[0]
        shown = await here.type("/outage timeline")
        assert shown.count("@Jonas: relay says <full> · in Slack") == 1
        await here.type(f"/outage remove {number}")
        assert "relay says" not in await here.type("/outage timeline")

        card = await here.slack.wait_for_message(here.ops, "it is slow")
        await here.slack.shortcut(here.maria, "add_to_timeline", card)
        await here.edge.drain()
        assert "Holdfast wrote that message itself" in last_answer(here)


async def test_of_several_outages_a_form_asks_which(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        for name in ("primary", "backup"):
            await add_server(db, name, 2525)
            await here.type(f"/outage declare {name} it is slow")
        elsewhere = here.slack.add_channel("helpdesk", member=False)
        message = await here.slack.say(here.jonas, elsewhere, 'customers "call"\n' * 200)
        await here.slack.shortcut(here.maria, "add_to_timeline", message)
        await here.edge.drain()
        assert await send(here, {"outage": "#2"}) == {}

        answer = here.slack.workspace.direct(here.maria).messages[-1].text
        assert "Added to the timeline of outage #2" in answer
        assert 'customers "call"' in await here.type("/outage timeline 2")
        assert "customers" not in await here.type("/outage timeline 1")


async def test_an_action_item_is_made_of_a_message(db: Database, tmp_path: Path) -> None:
    async with workspace(db, tmp_path) as here:
        await add_server(db, "primary", 2525)
        await here.type("/outage declare primary it is slow")
        card = await here.slack.wait_for_message(here.ops, "it is slow")
        message = await here.slack.say(here.jonas, here.ops, "we need bigger disks", thread_of=card)
        await here.slack.shortcut(here.maria, "make_action", message)
        await here.edge.drain()
        assert await send(here, {"owner": here.jonas.id}) == {}

        assert "Noted as action" in last_answer(here)
        shown = await here.type("/outage actions")
        assert "we need bigger disks · @Jonas has it · in Slack" in shown

        await ask(here, "/outage action")
        assert await send(here, {"text": " "}) == {"text": "Say what is to be done."}
        assert await send(here, {"text": "call the host"}) == {}
        assert "call the host · nobody has it" in await here.type("/outage actions")
