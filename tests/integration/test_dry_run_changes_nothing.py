"""`dry-run` as the last word of any command: what it would do, the refusals of the real one, and nothing changed."""

import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import time_machine
from sqlalchemy import text

import commands
from bot.errors import SHOWABLE
from commands.words import Command
from storage.db import Database
from storage.models import Base, CampaignState
from tests.command_world import ANA, GUEST, JONAS, MARIA, World, command_world

MONDAY = "2026-03-02T12:00:00+01:00"
REHEARSED = {
    "/campaign start later": "begin to send later to 30 recipients through primary.",
    "/campaign pause spring": "pause spring-sale.\n10 recipients still to go, through primary.\nIt can be undone",
    "/campaign pause all now": "It would pause spring-sale.\n10 recipients still to go, through primary.",
    "/campaign resume stopped": "let stopped go on.\n40 recipients still to go, through primary.",
    "/campaign resume all": "let stopped go on.\n40 recipients still to go, through primary.\nnews stays paused.",
    "/campaign cancel spring-sale": "cancel spring-sale for good.\n10 recipients would not get it.",
    "/server add third 127.0.0.1:{port}": "add the server third at 127.0.0.1:{port}.\nIt answers well.",
    "/server drain primary": "spring-sale would go on through backup, 10 recipients to go.\nbackup is sending ",
    "/server failover primary": "fail primary over to backup.\nlater, spring-sale and stopped would go through",
    "/server restore drained": "put drained back to use.\nNo campaign uses it now.",
    "/outage declare primary it is slow": "open an outage on primary and tell the channel.\nspring-sale would be held",
    "/outage ack": "give you outage #1.",
    "/outage update we look at it": "add that to the thread of outage #1.",
    "/outage cause the disk": "note that as the cause of outage #1 and tell its thread.",
    "/outage eta 14:30": "say that outage #1 should be over at 13:30 UTC.",
    "/outage resolve it is over": "end outage #1 and post its summary.\nnews stays paused",
    "/resend plan broken with unknown": "freeze a plan to send 200 messages of broken again, and ask for its approval.",
    "/resend approve 1 canary": "approve resend 1: send 2 of 200 messages, 1 %, first through primary.",
    "/resend reject 1": "reject resend 1: none of its 200 messages is sent.",
    "/resend cancel": "cancel resend 1 for good.\n200 of 200 messages would not go out.\nThis cannot be undone",
    "/notice draft to spring: We are late.": "draft a notice to 10 recipients and send nothing yet.",
    "/notice send 2": "ask for the approval of notice 2 to 30 recipients.\nAsked for the approval, besides who asks:",
    "/notice approve 1": "approve notice 1 and send it to 10 recipients through primary.",
    "/notice reject 1": "reject notice 1: nothing is sent.",
    "/notice cancel 1": "cancel notice 1 for good.\n10 recipients would not get it.",
    "/maintenance schedule primary tomorrow 05:00 for 1h": "propose a maintenance of primary,",
    "/maintenance confirm 1": "plan the maintenance of primary,",
    "/maintenance cancel 2": "call off the maintenance of backup.",
    "/holdfast undo 1": "undo the pause of stopped.",
}
"""Line -> what the dry run says, in this order of facts. `resend pause`, `resume` and `rest` have their own story."""

REFUSED = (
    "/campaign start spring-sale",
    "/campaign pause later",
    "/campaign resume spring-sale",
    "/campaign cancel nothing-like-it",
    "/campaign pause",
    "/server add primary 127.0.0.1:2525",
    "/server add now 127.0.0.1:2525",
    "/server drain drained",
    "/server failover primary primary",
    "/server failover backup",
    "/server restore primary",
    "/outage declare backup again",
    "/outage ack 9",
    "/outage cause",
    "/outage eta when it is ready",
    "/resend plan spring-sale",
    "/resend approve 9",
    "/resend rest 1",
    "/resend pause",
    "/resend resume",
    "/notice draft to nobody: hello",
    "/notice send 1",
    "/notice approve 2",
    "/notice cancel 9",
    "/maintenance schedule primary yesterday for 1h",
    "/maintenance confirm 2",
    "/maintenance cancel 9",
    "/holdfast undo 99",
)

OPEN = ("/outage declare", "/outage ack", "/outage update")
"""What everybody may do."""


@pytest.fixture
async def world(db: Database, tmp_path: Path) -> AsyncIterator[World]:
    """Something in every state that a command may be about."""
    with time_machine.travel(MONDAY):
        async with command_world(db, tmp_path) as made:
            await made.campaign(30, name="later", state=CampaignState.SCHEDULED)
            await made.campaign(40, name="stopped")
            await made.type("/campaign pause stopped")
            broken = await made.campaign(200, name="broken", state=CampaignState.FINISHED)
            await made.lose(broken, 1, 200)
            await made.campaign(10)
            made.primary, backup = made.backup, made.primary
            await made.campaign(20, name="news")
            made.primary = backup
            await made.type("/server add drained 127.0.0.1:" + str(made.relay.port), ANA)
            await made.type("/server drain drained now")
            await made.type("/maintenance schedule primary tomorrow 02:00 for 1h")
            await made.type("/maintenance schedule backup tomorrow 02:00 for 1h")
            await made.type("/maintenance confirm 2")
            await made.type("/resend plan broken")
            await made.type("/notice draft to spring-sale: We are late.")
            await made.type("/notice send 1")
            await made.type("/notice draft to later: We shall be late.")
            await made.type("/outage declare backup it is slow")
            yield made


@pytest.fixture
async def small(db: Database, tmp_path: Path) -> AsyncIterator[World]:
    async with command_world(db, tmp_path) as made:
        yield made


async def fingerprint(db: Database) -> dict[str, str]:
    """Every row of every table: table -> hash."""
    found = {}
    async with db.read() as tx:
        for table in Base.metadata.sorted_tables:
            rows = await tx.execute(text(f"SELECT * FROM {table.name}"))  # noqa: S608  names of our own tables
            lines = sorted(json.dumps([str(cell) for cell in row]) for row in rows)
            found[table.name] = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return found


def decider(line: str) -> bool:
    return line.startswith(("/resend approve", "/resend reject", "/notice approve", "/notice reject"))


async def test_every_deed_is_rehearsed_and_nothing_is_written(world: World) -> None:
    before = await fingerprint(world.db)
    for line, words in REHEARSED.items():
        port = str(world.relay.port)
        actor = JONAS if decider(line) else ANA if line.startswith("/server add") else MARIA
        said = await world.type(f"{line.replace('{port}', port)} dry-run", actor)
        assert said.startswith("Dry run: nothing was changed.\nIt would "), line
        assert words.replace("{port}", port) in said
        assert not world.has_buttons()
    said = await world.type("/campaign list dry-run")
    assert said.endswith("This command only looks: nothing would be changed without dry-run either.")
    assert await fingerprint(world.db) == before


async def test_a_dry_run_is_refused_with_the_sentence_of_the_real_one(world: World) -> None:
    before = await fingerprint(world.db)
    for line in REFUSED:
        sentences = []
        for typed in (f"{line} dry-run", line):
            with pytest.raises(SHOWABLE) as refused:
                await world.type(typed, ANA)
            sentences.append(str(refused.value))
        assert sentences[0] == sentences[1], line
    for line in REHEARSED:
        if line.startswith(OPEN):
            continue
        await world.refused(f"{line.replace('{port}', '2525')} dry-run", "that needs the role", GUEST)
    assert await fingerprint(world.db) == before


def test_no_verb_is_without_a_dry_run() -> None:
    deeds = set()
    for name, command in commands.COMMANDS.items():
        assert isinstance(command, Command)
        for verb in command.verbs:
            assert verb.looks != (verb.plan is not None), f"{name} {verb.name}: it looks, or it has a plan"
            deeds |= {f"{name} {verb.name}"} if verb.plan else set()
    typed = {" ".join(line.split()[:2]) for line in REHEARSED}
    assert deeds == typed | {"/resend pause", "/resend resume", "/resend rest"}


async def test_a_resend_under_way_is_rehearsed_too(small: World) -> None:
    world = small
    await world.lose(await world.campaign(200, name="broken"), 1, 200)
    await world.type("/resend plan broken")
    await world.type("/resend approve 1 canary", JONAS)
    assert "It would pause resend 1.\n200 of 200 messages have not gone out." in await world.type(
        "/resend pause dry-run"
    )
    await world.type("/resend pause")
    said = await world.type("/resend resume --dry-run")
    assert "It would let resend 1 go on: 2 messages go out through primary." in said
    await world.refused("/resend rest 1 dry-run", "The canary of resend 1 is not done yet", JONAS)


async def test_only_the_last_word_makes_it_a_rehearsal(small: World) -> None:
    await small.campaign()
    assert "Pausing spring-sale" in await small.type("/campaign pause spring-sale the dry-run went wrong")
    said = await small.type("/campaign status spring-sale")
    assert "the dry-run went wrong" in said
