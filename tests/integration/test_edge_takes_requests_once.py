"""Whatever Slack delivers is acked, and carried out once."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from bot.slack.blocks import View, actions, button, section
from bot.slack.inbox import Inbox
from storage.db import Database
from storage.inbound import Arrival
from tests.integration.slack_support import office


@pytest.mark.parametrize("socket", [True, False], ids=["socket", "http"])
async def test_a_command_is_acked_and_answered_to_the_caller_alone(db: Database, tmp_path: Path, socket: bool) -> None:
    async with office(db, tmp_path, socket=socket) as house:
        house.desk.reply = View("spring-sale is paused.", [section("*spring-sale* is paused.")])

        delivery = await house.slack.command(house.maria, house.ops, "/campaign pause spring-sale")

        assert delivery.acked_in is not None
        await house.slack.wait_until(lambda: house.slack.ephemerals(house.maria))
        answer = house.slack.ephemerals(house.maria)[-1]
        assert answer.text == "spring-sale is paused."
        call = house.desk.calls[0]
        assert (call.words, call.channel) == ("pause spring-sale", house.ops.id)
        assert (call.actor.id, call.actor.name, call.actor.zone) == (house.maria.id, "maria", "Europe/Madrid")
        assert house.ops.messages == []
        assert house.slack.violations == []


@pytest.mark.parametrize("socket", [True, False], ids=["socket", "http"])
async def test_a_redelivered_command_is_acked_again_and_not_repeated(
    db: Database, tmp_path: Path, socket: bool
) -> None:
    async with office(db, tmp_path, socket=socket) as house:
        first = await house.slack.command(house.maria, house.ops, "/campaign pause all")
        again = await house.slack.redeliver(first)
        await house.edge.drain()

        assert again.acked_in is not None
        assert len(house.desk.calls) == 1


async def test_two_deliveries_of_one_command_at_the_same_moment_are_one(db: Database) -> None:
    inbox = Inbox(db)
    arrival = Arrival("command:7.1", "command", {"text": "pause"})

    taken = await asyncio.gather(*(inbox.take(arrival) for _ in range(8)))
    await inbox.close()

    assert sorted(taken) == [False] * 7 + [True]


async def test_many_requests_at_once_are_all_taken(db: Database) -> None:
    inbox = Inbox(db)

    taken = await asyncio.gather(*(inbox.take(Arrival(f"command:{n}", "command", {})) for n in range(200)))
    await inbox.close()

    assert all(taken)


async def test_a_click_reaches_its_handler_with_the_value_of_its_button(db: Database, tmp_path: Path) -> None:
    async with office(db, tmp_path) as house:
        row = actions([button("Acknowledge", "outage.acknowledge", "3")])
        posted = await house.client.chat_postMessage(channel=house.ops.id, text="primary is down", blocks=[row])

        delivery = await house.slack.click(house.maria, house.ops.messages[0], "Acknowledge")
        await house.edge.drain()

        assert delivery.acked_in is not None
        click = house.desk.clicks[0]
        assert (click.action, click.value, click.message_ts) == ("outage.acknowledge", "3", posted["ts"])


async def test_a_wrong_signature_is_refused(db: Database, tmp_path: Path) -> None:
    async with office(db, tmp_path, socket=False) as house:
        forged = await house.slack.forged_command(house.maria, house.ops, "/campaign pause all", wrong_signature=True)
        stale = await house.slack.forged_command(
            house.maria, house.ops, "/campaign pause all", age=timedelta(minutes=10)
        )

        assert (forged.status, stale.status) == (401, 401)
        assert house.desk.calls == []
