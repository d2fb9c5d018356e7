"""`dry-run` as the last word of any command: what it would do, the refusals of the real one, and nothing changed."""

import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import time_machine
from sqlalchemy import text

import commands
from bot.clock import now
from bot.errors import SHOWABLE
from bot.services.messages import Said
from bot.slack.call import Call
from bot.slack.later import Attached, Later
from commands.words import Command
from storage.db import Database
from storage.models import Base, CampaignState
from tests.command_world import ANA, GUEST, JONAS, MARIA, World, command_world

LARGE = 300
"""Recipients that need a second person."""
MONDAY = "2026-03-02T12:00:00+01:00"
REHEARSED = {
    "/campaign start later": "begin to send later to 30 recipients through primary.",
    "/campaign start later ramp": "begin to send later to 30 recipients through primary.\nprimary is sending",
    "/campaign pause spring": "pause spring-sale.\n10 recipients still to go, through primary.\nIt can be undone",
    "/campaign pause all now": "It would pause spring-sale.\n10 recipients still to go, through primary.",
    "/campaign resume stopped": "let stopped go on.\n40 recipients still to go, through primary.",
    "/campaign resume all": "let stopped go on.\n40 recipients still to go, through primary.\nnews stays paused.",
    "/campaign cancel spring-sale": "cancel spring-sale for good.\n10 recipients would not get it.",
    "/campaign cancel listed": "ask a second person to let you cancel listed for good.\n300 recipients",
    "/campaign approve large": "approve it and cancel large for good.\nAsked for by @U0MARIA.\n300 recipients",
    "/campaign reject large": "take back your wish to cancel large.\nNothing else is changed.",
    "/server add third 127.0.0.1:{port}": "add the server third at 127.0.0.1:{port}.\nIt answers well.",
    "/server drain primary": "spring-sale would go on through backup, 10 recipients to go.\nbackup is sending ",
    "/server failover primary": "fail primary over to backup.\nlater, spring-sale and stopped would go through",
    "/server restore drained": "put drained back to use.\nNo campaign uses it now.",
    "/outage declare primary it is slow": "open an outage on primary and tell the channel.\nspring-sale would be held",
    "/outage ack": "give you outage #1.",
    "/outage update we look at it": "add that to the thread of outage #1.",
    "/outage cause the disk": "note that as the cause of outage #1 and tell its thread.",
    "/outage eta 14:30": "say that outage #1 should be over at 13:30.",
    "/outage severity #1 critical": "make outage #1 critical; it is major now.\nThe channel would hear of it.",
    "/outage remind 30 min": "remind nobody of outage #1 before 11:30.\nUndo it with /outage remind #1 again",
    "/outage action @jonas call the host": "note an action of outage #1 that nobody has yet: @jonas call the host.",
    "/outage resolve it is over": "end outage #1 and post its summary.\nnews stays paused",
    "/resend plan broken with unknown": "freeze a plan to send 200 messages of broken again, and ask for its approval.",
    "/resend approve 1 canary": "approve resend 1: send 2 of 200 messages, 1 %, first through primary.",
    "/resend approve 1 ramp": "approve resend 1: send 200 messages again in stages, 2 first, through primary.",
    "/resend reject 1": "reject resend 1: none of its 200 messages is sent.",
    "/resend cancel": "cancel resend 1 for good.\n200 of 200 messages would not go out.\nThis cannot be undone",
    "/notice draft to spring: We are late.": "draft a notice to 10 recipients and send nothing yet.",
    "/notice send 2": "for the approval of notice 2 to 30 recipients.\nIt may be approved by @U0MARIA, @U0JONAS and",
    "/notice approve 1": "approve notice 1 and send it to 10 recipients through primary.",
    "/notice reject 1": "reject notice 1: nothing is sent.",
    "/notice cancel 1": "cancel notice 1 for good.\n10 recipients would not get it.",
    "/maintenance schedule primary tomorrow 05:00 for 1h": "propose a maintenance of primary,",
    "/maintenance confirm 1": "plan the maintenance of primary,",
    "/maintenance cancel 2": "call off the maintenance of backup.",
    "/holdfast undo 1": "undo the pause of stopped.",
}
"""Line -> what the dry run says, in this order of facts."""

OWN_STORIES = {
    "/campaign next",
    "/resend next",
    "/resend pause",
    "/resend resume",
    "/resend rest",
    "/resend delivered",
    "/outage done",
    "/outage remove",
    "/holdfast break-glass",
}

REFUSED = (
    "/campaign start spring-sale",
    "/campaign pause later",
    "/campaign resume spring-sale",
    "/campaign cancel nothing-like-it",
    "/campaign pause",
    "/campaign cancel large",
    "/campaign approve news",
    "/campaign reject later",
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
    "/outage severity terrible",
    "/outage severity major",
    "/outage remind again",
    "/outage remind 3 days",
    "/outage action <@U0JONAS>",
    "/outage done 1",
    "/outage remove 1",
    "/outage remove 999",
    "/resend plan spring-sale",
    "/resend approve 9",
    "/resend rest 1",
    "/resend next",
    "/campaign next later",
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
    "/holdfast break-glass nobody with the role is awake",
    "/holdfast break-glass end",
)

OPEN = ("/outage declare", "/outage ack", "/outage update", "/outage action")
"""What everybody may do."""


@pytest.fixture
async def world(db: Database, tmp_path: Path) -> AsyncIterator[World]:
    """Something in every state that a command may be about."""
    with time_machine.travel(MONDAY):
        async with command_world(db, tmp_path, approvals={"campaigns_above": LARGE - 1}) as made:
            await made.campaign(30, name="later", state=CampaignState.SCHEDULED)
            await made.campaign(40, name="stopped")
            await made.type("/campaign pause stopped")
            broken = await made.campaign(200, name="broken", state=CampaignState.FINISHED)
            await made.lose(broken, 1, 200)
            await made.campaign(10)
            made.primary, backup = made.backup, made.primary
            await made.campaign(20, name="news")
            for name in ("large", "listed"):
                await made.campaign(LARGE, name=name, state=CampaignState.SCHEDULED)
            await made.type("/campaign cancel large")
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
    deciding = ("/resend approve", "/resend reject", "/notice approve", "/notice reject", "/campaign approve")
    return line.startswith(deciding)


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
    assert deeds == typed | OWN_STORIES


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


async def test_the_next_stage_is_rehearsed_too(small: World) -> None:
    world = small
    await world.lose(await world.campaign(200, name="broken"), 1, 200)
    await world.type("/resend plan broken")
    await world.type("/resend approve 1 ramp", JONAS)
    assert "It would let resend 1 go on with 5 %: 10 of 200 may go then." in await world.type("/resend next dry-run")
    assert "Resend 1 goes on with 5 %: 10 of 200 may go now." in await world.type("/resend next")
    await world.campaign(200, name="fresh", state=CampaignState.SCHEDULED)
    assert "In stages, 1, 5, 25, 100 %: 2 recipients first." in await world.type("/campaign start fresh ramp dry-run")
    await world.type("/campaign start fresh ramp")
    assert "It would let fresh go on with 5 %: 10 of 200 may go then." in await world.type(
        "/campaign next fresh dry-run"
    )
    assert "fresh goes on with 5 %: 10 of 200 may go now." in await world.type("/campaign next fresh")


async def test_what_stands_in_a_timeline_is_rehearsed_too(small: World) -> None:
    world = small
    await world.type("/outage declare primary it is slow")
    number = (await world.type("/outage action call the host")).split()[3]
    said = Said("C0OPS", "1700000000.000100", now(), "the disk is full", JONAS.mention)
    entry = await world.services.messages.add(MARIA, said, "pin", outage_id=1)
    assert entry is not None
    remove = f"/outage remove {entry.entry_id}"
    before = await fingerprint(world.db)
    shown = await world.type(f"/outage done {number} dry-run", GUEST)
    assert f"It would note that action {number} of outage #1 is done: call the host." in shown
    shown = await world.type(f"{remove} dry-run", GUEST)
    assert "It would take this out of the timeline of outage #1: @U0JONAS: the disk is full." in shown
    assert await fingerprint(world.db) == before
    await world.type(f"/outage done {number}")
    await world.type(remove)
    await world.refused(f"/outage done {number} dry-run", "was done already: <@U0MARIA> said so")
    await world.refused(f"{remove} dry-run", "is out of the timeline already")


async def test_the_way_back_of_a_reminder_is_how_it_was(small: World) -> None:
    await small.type("/outage declare primary it is slow")
    for typed, back in (("30 min", "again"), ("2 h", "30 min"), ("never", "2 h"), ("again", "never")):
        with time_machine.travel(MONDAY, tick=False):
            line, undo = f"/outage remind {typed}", f"Undo it with /outage remind #1 {back}"
            assert undo in await small.type(f"{line} dry-run")
            assert (await small.type(line)).endswith(undo)


async def test_to_break_the_glass_and_to_give_it_back_is_rehearsed(db: Database, tmp_path: Path) -> None:
    roles = {"responder": [JONAS.id, MARIA.id], "sender": [ANA.id]}
    async with command_world(db, tmp_path, roles=roles) as world:
        line = "/holdfast break-glass nobody with the role is awake"
        before = await fingerprint(db)
        said = await world.type(f"{line} dry-run", JONAS)
        assert "It would make you a sender for 1 h, until " in said
        assert "The channel would be told, with your reason: nobody with the role is awake" in said
        assert "This command only looks" in await world.type("/holdfast break-glass dry-run", JONAS)
        await world.refused("/holdfast break-glass help me dry-run", "Say why, in a few words", JONAS)
        assert await fingerprint(db) == before
        await world.type(line, JONAS)
        before = await fingerprint(db)
        await world.refused(f"{line} dry-run", "You hold a broken glass already until", JONAS)
        await world.refused("/holdfast break-glass end dry-run", "Only <@U0JONAS>, an approver or an admin", MARIA)
        said = await world.type("/holdfast break-glass end 1 dry-run", JONAS)
        assert "It would end break-glass 1: @U0JONAS could then start, resume and cancel nothing more." in said
        assert await fingerprint(db) == before


async def test_an_answer_that_comes_later_or_as_a_file_says_that_it_only_looks(small: World) -> None:
    before = await fingerprint(small.db)
    doctor = await commands.run(small.services, Call(ANA, ""), "/holdfast doctor dry-run")
    assert isinstance(doctor, Later)
    assert "This command only looks" in small._seen(await doctor.then())
    audit = await commands.run(small.services, Call(ANA, ""), "/holdfast audit export dry-run")
    assert isinstance(audit, Attached)
    assert "This command only looks" in audit.text
    assert [line async for line in audit.lines]
    assert await fingerprint(small.db) == before


async def test_only_the_last_word_makes_it_a_rehearsal(small: World) -> None:
    await small.campaign()
    assert "Pausing spring-sale" in await small.type("/campaign pause spring-sale the dry-run went wrong")
    said = await small.type("/campaign status spring-sale")
    assert "the dry-run went wrong" in said
