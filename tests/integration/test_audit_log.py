"""The audit log: everybody can see who did what, when, on what and from where."""

import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine

from bot.access import HOLDFAST, Actor
from bot.clock import now
from bot.errors import BadInputError, NotAllowedError
from bot.services.audit import PAGE, Query, is_reserved, source_of
from bot.services.bundle import build
from bot.services.since import parse_since
from bot.slack.later import Attached
from storage import timeline
from storage.db import Database
from storage.timeline import Entry
from tests.command_world import GUEST, JONAS, MARIA, ROLES, World, command_world
from tests.seeds import settings_for

TERMINAL = Actor("ops", "ops", source="terminal")
STRANGER = Actor("U0ELSE", "else", outsider=True)


@pytest.fixture
async def world(db: Database, tmp_path: Path) -> AsyncIterator[World]:
    async with command_world(db, tmp_path) as made:
        yield made


async def happened(world: World, *entries: Entry) -> None:
    async with world.db.transaction() as tx:
        for entry in entries:
            await timeline.record(tx, entry, post=False)


async def exported(world: World, words: str = "", actor: Actor = MARIA) -> list[dict[str, str]]:
    """The rows of the file that the person gets."""
    await world.type(f"/holdfast audit export {words}", actor)
    answer = world.views[-1]
    assert isinstance(answer, Attached)
    return list(csv.DictReader(io.StringIO("".join([line async for line in answer.lines]))))


async def test_it_says_who_did_what_on_what_and_from_where(world: World) -> None:
    await world.campaign()
    await world.type("/campaign pause spring-sale the page is down")
    await world.type("/campaign resume spring-sale", TERMINAL)
    await world.type("/server drain backup now", JONAS)

    said = await world.type("/holdfast audit")
    assert said.index("server.drain") < said.index("campaign.resume") < said.index("campaign.pause")
    assert "@U0MARIA in Slack · campaign.pause · on spring-sale" in said
    assert "ops at the terminal · campaign.resume · on spring-sale" in said
    assert "the page is down" in said

    by_maria = await world.type("/holdfast audit <@U0MARIA>")
    assert "campaign.pause" in by_maria
    assert "server.drain" not in by_maria
    assert await world.type("/holdfast audit @U0MARIA") == by_maria
    assert "campaign.pause" in await world.type("/holdfast audit me")
    assert "campaign.pause" not in await world.type("/holdfast audit terminal")
    assert "campaign.resume" in await world.type("/holdfast audit by ops")


async def test_what_happened_is_found_by_kind_and_by_name(world: World) -> None:
    await world.campaign()
    await world.campaign(name="other")
    await world.type("/campaign pause all now")
    await world.type("/server drain primary now")

    for what in ("campaign", "campaigns", "campaign.pau", "pause", "spring-sale", "me spring-sale"):
        said = await world.type(f"/holdfast audit {what}")
        assert "paused spring-sale and other." in said
        assert "drained" not in said


async def test_an_outage_is_found_by_its_number(world: World) -> None:
    await world.type("/outage declare primary it is slow")
    await world.type("/outage declare backup it is slow too")
    for words in ("outage 1", "outage #1", "#1"):
        said = await world.type(f"/holdfast audit {words}")
        assert "outage #1" in said
        assert "slow too" not in said


async def test_pages_do_not_shift_while_rows_are_added(world: World) -> None:
    at = now()
    await happened(world, *(Entry("test.row", f"row {n}.", MARIA.id, at) for n in range(1, PAGE + 4)))

    first = await world.type("/holdfast audit test")
    assert f"row {PAGE + 3}." in first
    assert "row 3." not in first
    older = world.button("holdfast.older")
    await happened(world, Entry("test.row", "row late.", MARIA.id, at))
    second = await world.press("holdfast.older", older) or ""
    assert world.views[-1].instead
    assert "row 3." in second
    assert "row 4." not in second
    assert "row late." not in second
    assert "row late." in (await world.press("holdfast.newer", f"after {PAGE + 3} test") or "")
    assert await world.type(f"/holdfast audit {older}") == second


async def test_what_is_not_there_is_told_with_what_is(world: World) -> None:
    await world.refused("/holdfast audit nonsense", "is no kind of event, no campaign, no server and nobody")
    await world.refused("/holdfast audit @nobody", "Nobody called “nobody” has done anything")
    await world.refused("/holdfast audit @a @b", "names two people")
    await world.refused("/holdfast audit since tomorrow", "names no day|is no time")
    await world.refused("/holdfast audit", "from another workspace", STRANGER)
    assert "Nothing of that kind" in await world.type("/holdfast audit holdfast since 1h")


async def test_a_refusal_is_kept_once_and_told_to_nobody(world: World) -> None:
    await world.campaign()
    with time_machine.travel("2026-03-01T02:00:00Z", tick=False) as clock:
        for _ in range(3):
            await world.services.audit.refused(GUEST, "/campaign cancel spring-sale", NotAllowedError("You may not."))
        clock.shift(timedelta(minutes=11))
        await world.services.audit.refused(GUEST, "/campaign cancel spring-sale", NotAllowedError("You may not."))

    rows = await exported(world, "access")
    assert [row["time"] for row in rows] == ["2026-03-01T02:00:00Z", "2026-03-01T02:11:00Z"]
    assert rows[0]["text"] == "<@U0GUEST> was refused /campaign cancel spring-sale: You may not."
    assert rows[0]["actor"] == "U0GUEST"


async def test_who_tries_everything_does_not_flood_it(world: World) -> None:
    for number in range(30):
        await world.services.audit.refused(GUEST, f"/resend approve {number}", NotAllowedError("No."))
    assert len(await exported(world, "access")) == 20


async def test_the_file_is_for_approvers_and_no_cell_is_a_formula(world: World) -> None:
    await world.refused("/holdfast audit export", "You may not export an audit: that needs the role approver", GUEST)
    at = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
    for sign in "=+-@\t\r":
        await happened(world, Entry("test.row", f"{sign}cmd|' /C calc'!A0", "Ana, of “ops”", at))
    await happened(world, Entry("other.row", "two\nlines", HOLDFAST.name, at, server_id=world.primary))

    rows = await exported(world, "test")
    assert {row["text"][0] for row in rows} == {"'"}
    assert {row["actor"] for row in rows} == {"Ana, of “ops”"}
    other = (await exported(world, "other"))[0]
    assert other["source"] == "system"
    assert other["server"] == "primary"
    assert other["text"] == "two\nlines"


async def test_what_a_start_takes_over_from_the_settings_stands_in_it(db: Database, tmp_path: Path) -> None:
    first = {"primary": {"host": "mx1.example.com"}, "spare": {"host": "mx2.example.com"}}
    moved = {"primary": {"host": "mx9.example.com", "backup": "spare"}, "spare": {"host": "mx2.example.com"}}
    for given in (first, moved, moved):
        services = build(db, settings_for(str(db.url), tmp_path, servers=given, roles=ROLES))
        await services.servers.sync_settings()
    rows = [row async for row in (await services.audit.export(MARIA, Query(what="server.settings"))).lines]
    told = "".join(rows)
    assert len(rows) == 1 + 4
    assert "The settings added primary at mx1.example.com:25." in told
    assert "The settings changed primary: host mx1.example.com to mx9.example.com." in told
    assert "By the settings spare is the backup of primary now." in told


async def test_a_long_log_is_limited_in_slack_and_whole_at_the_terminal(world: World) -> None:
    await happened(world, *(Entry("test.row", f"row {n}", MARIA.id, now()) for n in range(2_105)))
    made = await world.services.audit.export(MARIA, world_query(), most=1_000)
    assert made.limited
    lines = [line async for line in made.lines]
    assert len(lines) == 1_001
    assert "row 2104" in lines[-1]
    whole = await world.services.audit.export(MARIA, world_query(), most=None)
    assert len([line async for line in whole.lines]) == 2_106


def world_query() -> Query:
    return Query(what="test")


NIGHT = datetime(2026, 3, 4, 1, 30, tzinfo=UTC)  # a Wednesday; 02:30 in Madrid


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("2h", "2026-03-03T23:30"),
        ("90 min ago", "2026-03-04T00:00"),
        ("today", "2026-03-03T23:00"),
        ("yesterday", "2026-03-02T23:00"),
        ("yesterday 14:30", "2026-03-03T13:30"),
        ("yesterday UTC", "2026-03-03T00:00"),
        ("monday", "2026-03-01T23:00"),
        ("23:00", "2026-03-03T22:00"),
        ("01:00", "2026-03-04T00:00"),
        ("2026-03-01", "2026-02-28T23:00"),
        ("2026-03-01 02:00 Europe/London", "2026-03-01T02:00"),
        ("2026-03-01T02:00Z", "2026-03-01T02:00"),
    ],
)
def test_a_past_moment_is_read_on_the_persons_own_clock(typed: str, meant: str) -> None:
    assert f"{parse_since(typed, 'Europe/Madrid', NIGHT):%Y-%m-%dT%H:%M}" == meant


@pytest.mark.parametrize("typed", ["", "soon", "25:00", "2026-13-01", "2026-03-05", "01/02/2026", "5"])
def test_what_is_no_past_moment_is_refused(typed: str) -> None:
    with pytest.raises(BadInputError):
        parse_since(typed, "Europe/Madrid", NIGHT)


def test_nobody_at_the_terminal_can_pass_for_another() -> None:
    assert [source_of(each) for each in ("<@U0MARIA>", "U0MARIA", "holdfast", "Holdfast", "WALTER", "maria")] == [
        "slack", "slack", "system", "system", "terminal", "terminal",
    ]  # fmt: skip
    assert is_reserved("U0MARIA")
    assert not is_reserved("maria")
