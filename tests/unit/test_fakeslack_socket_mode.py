"""Commands and events over Socket Mode, answered by a real Bolt app."""

import asyncio
from datetime import timedelta
from typing import Any

from slack_bolt.async_app import AsyncAck

from bot.demo.fakeslack import FakeSlack
from tests.unit.fakeslack_support import app_of, over_socket


async def test_a_command_is_acked_and_answered() -> None:
    async with FakeSlack() as slack:
        maria, ops, app = slack.add_user("maria"), slack.add_channel("email-ops"), app_of(slack)

        @app.command("/campaign")
        async def campaign(ack: AsyncAck, command: dict[str, Any], respond: Any) -> None:
            await ack()
            await respond(f"{command['user_name']} in {command['channel_name']}: {command['text']}")

        async with over_socket(slack, app):
            delivery = await slack.command(maria, ops, "/campaign pause spring-sale")
            reply = await slack.wait_for_reply(delivery, "pause spring-sale")
        assert delivery.road == "socket"
        assert delivery.acked_in is not None
        assert delivery.acked_in < timedelta(seconds=3)
        assert reply.text == "maria in email-ops: pause spring-sale"
        assert slack.ephemerals(maria) == [reply]
        slack.assert_no_violations()


async def test_the_body_of_an_ack_is_an_answer_too() -> None:
    async with FakeSlack() as slack:
        maria, ops, app = slack.add_user("maria"), slack.add_channel("email-ops"), app_of(slack)

        @app.command("/outage")
        async def outage(ack: AsyncAck) -> None:
            await ack(text="no outage", response_type="in_channel")

        async with over_socket(slack, app):
            delivery = await slack.command(maria, ops, "/outage list")
        assert [each.text for each in delivery.responses] == ["no outage"]
        assert [each.text for each in ops.messages] == ["no outage"]


async def test_a_person_sees_a_time_out_when_nobody_acks() -> None:
    async with FakeSlack() as slack:
        slack.postman.ack_limit = timedelta(milliseconds=50)
        maria, ops, app = slack.add_user("maria"), slack.add_channel("email-ops"), app_of(slack)
        release = asyncio.Event()

        @app.command("/slow")
        async def slow(ack: AsyncAck) -> None:
            await release.wait()
            await ack()

        async with over_socket(slack, app):
            delivery = await slack.command(maria, ops, "/slow")
            assert (delivery.error, delivery.acked_in) == ("operation_timeout", None)
            release.set()
            await slack.wait_until(lambda: delivery.late_ack_in, what="the late ack")
        assert delivery.error == "operation_timeout"


async def test_a_person_sees_a_failure_when_no_app_is_there() -> None:
    async with FakeSlack() as slack:
        delivery = await slack.command(slack.add_user("maria"), slack.add_channel("ops"), "/outage list")
        assert delivery.error == "dispatch_failed"


async def test_a_redelivery_carries_the_same_ids() -> None:
    async with FakeSlack() as slack:
        maria, ops, app = slack.add_user("maria"), slack.add_channel("email-ops"), app_of(slack)
        seen: list[str] = []

        @app.command("/campaign")
        async def campaign(ack: AsyncAck, body: dict[str, Any]) -> None:
            seen.append(body["trigger_id"])
            await ack()

        @app.event("app_mention")
        async def mention(body: dict[str, Any]) -> None:
            seen.append(body["event_id"])

        async with over_socket(slack, app):
            first = await slack.command(maria, ops, "/campaign list")
            again = await slack.redeliver(first)
            assert again.acked_in is not None
            await slack.say(maria, ops, f"{slack.bot.mention} what is up?")
            await slack.redeliver(slack.deliveries[-1])
        assert seen[0] == seen[1] == first.trigger_id
        assert seen[2] == seen[3] != ""


async def test_the_client_follows_a_warning_to_a_new_connection() -> None:
    async with FakeSlack() as slack:
        maria, ops, app = slack.add_user("maria"), slack.add_channel("email-ops"), app_of(slack)

        @app.command("/outage")
        async def outage(ack: AsyncAck) -> None:
            await ack("still here")

        async with over_socket(slack, app):
            await slack.disconnect_sockets()
            await slack.wait_until(lambda: len(slack.calls_to("apps.connections.open")) == 2, what="a new connection")
            await slack.wait_for_socket()
            delivery = await slack.command(maria, ops, "/outage list")
            assert (await slack.wait_for_reply(delivery)).text == "still here"


async def test_the_client_comes_back_after_slack_was_down() -> None:
    async with FakeSlack() as slack:
        maria, ops, app = slack.add_user("maria"), slack.add_channel("email-ops"), app_of(slack)

        @app.command("/outage")
        async def outage(ack: AsyncAck) -> None:
            await ack("back again")

        async with over_socket(slack, app):
            slack.down()
            await slack.wait_until(lambda: not slack.open_sockets, what="the cut")
            slack.up()
            await slack.wait_for_socket()
            delivery = await slack.command(maria, ops, "/outage list")
            assert (await slack.wait_for_reply(delivery)).text == "back again"
