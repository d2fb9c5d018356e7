"""The channel hears of an outage that opens, gets worse, comes back, and is over. All else stands in the thread."""

import ast
from pathlib import Path

import pytest

from bot.access import Actor
from bot.errors import BadInputError, NotAllowedError, WrongStateError
from storage import timeline
from storage.db import Database
from tests.outage_world import BEN, MARIA, World, world

LOUD = {"outage.worse", "outage.recurred", "summary"}
"""Besides the headline itself, which is a message in the channel."""
ROOT = Path(__file__).parents[2]


async def loud(here: World) -> list[str]:
    """What was also sent to the channel, in order: kinds of entries, and of cards."""
    kinds = []
    for post in await here.posts(""):
        kind, _, number = post.key.partition(":")
        if post.broadcast and kind == "timeline":
            async with here.db.read() as tx:
                entry = await timeline.get(tx, int(number))
                assert entry is not None
                kinds.append(entry.kind)
        elif post.broadcast:
            kinds.append(kind)
    return kinds


async def test_only_what_is_worse_back_or_over_is_heard_in_the_channel(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        await here.campaign()
        outages = here.services.outages
        await outages.declare(BEN, "primary", "mail is slow")
        await here.break_primary()
        await outages.acknowledge(MARIA)
        await outages.update(MARIA, None, "looking at the disk")
        await outages.cause(MARIA, None, "the disk is full")
        await outages.eta(MARIA, None, "in 30 min")
        await outages.severity(MARIA, None, "critical")
        await outages.severity(MARIA, None, "minor")
        await outages.fail_over(MARIA, None)
        await here.heal_primary()
        await here.break_primary()
        await here.heal_primary()
        await outages.resolve(MARIA, None, "a new disk")

        assert await loud(here) == ["outage.worse", "outage.recurred", "summary"]
        heard = {"outage.confirmed", "outage.acknowledged", "outage.updated", "outage.identified", "outage.eta"}
        assert heard | {"outage.milder", "outage.recovered", "outage.resolved"} <= set(await here.kinds())


def test_no_other_kind_is_ever_broadcast() -> None:
    """Every call that decides to be heard in the channel, rather than passes the decision on, is about one of them."""
    found = []
    for folder in ("bot/services", "bot/slack", "commands"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            calls = [
                each for each in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(each, ast.Call)
            ]
            found += [ast.unparse(call) for call in calls if any(_decides(each) for each in call.keywords)]
    kinds = [next((kind for kind in LOUD if kind.rpartition(".")[2] in call), call) for call in found]
    assert sorted(kinds) == sorted(LOUD)


def _decides(keyword: ast.keyword) -> bool:
    passed_on = ast.unparse(keyword.value).rpartition(".")[2] == "broadcast"
    return keyword.arg == "broadcast" and not passed_on


async def test_the_severity_is_a_first_guess_that_people_correct(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path, outages={"critical_from": 50}) as here:
        outages = here.services.outages
        first = (await outages.declare(BEN, "backup", "nothing goes through it")).outage
        assert first.severity == "minor"
        await outages.resolve(BEN, first.id, "")
        await here.campaign(10)
        second = (await outages.declare(BEN, "primary", "customers write")).outage
        assert second.severity == "major"
        await here.campaign(60, name="newsletter", on_backup=True)
        assert (await outages.declare(BEN, "backup", "customers write")).outage.severity == "critical"

        result = await outages.severity(MARIA, second.id, "critical")
        assert result.text == "Outage #2 is critical now."
        assert await here.said("outage.worse") == ["<@U0MARIA> finds it worse: it is critical now, it was major."]
        with pytest.raises(WrongStateError, match="is critical already"):
            await outages.severity(BEN, second.id, "critical")
        with pytest.raises(BadInputError, match="minor, major or critical"):
            await outages.severity(BEN, second.id, "huge")
        await outages.resolve(MARIA, second.id, "")
        with pytest.raises(WrongStateError, match="was resolved by"):
            await outages.severity(BEN, second.id, "minor")


async def test_an_outsider_may_not_change_the_severity(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        await here.services.outages.declare(BEN, "primary", "mail is slow")
        with pytest.raises(NotAllowedError):
            await here.services.outages.severity(Actor(id="U9", name="guest", outsider=True), None, "critical")


async def test_a_new_outage_names_the_one_before_it_on_the_same_server(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        await here.services.outages.declare(BEN, "backup", "another server")
        first = (await here.services.outages.declare(BEN, "primary", "mail is slow")).outage
        assert (await here.services.outages.headline(first.id)).former is None
        await here.services.outages.resolve(BEN, first.id, "a new disk")
        second = (await here.services.outages.declare(BEN, "primary", "slow again")).outage

        former = (await here.services.outages.headline(second.id)).former
        assert former is not None
        assert (former.id, former.resolution) == (first.id, "a new disk")
