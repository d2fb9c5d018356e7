"""Payloads over signed HTTP, taken by a real Bolt app that checks the signatures."""

from datetime import timedelta
from typing import Any

from aiohttp import web
from slack_bolt.async_app import AsyncAck

from bot.demo.fakeslack import FakeSlack
from tests.unit.fakeslack_support import app_of, over_http


async def test_a_signed_command_is_taken() -> None:
    async with FakeSlack() as slack:
        maria, ops, app = slack.add_user("maria"), slack.add_channel("email-ops"), app_of(slack)

        @app.command("/server")
        async def server(ack: AsyncAck, command: dict[str, Any]) -> None:
            await ack(f"server {command['text']}")

        async with over_http(slack, app):
            delivery = await slack.command(maria, ops, "/server status mail-1")
        assert (delivery.road, delivery.status) == ("http", 200)
        assert [each.text for each in slack.ephemerals(maria)] == ["server status mail-1"]


async def test_a_wrong_signature_and_an_old_stamp_are_refused() -> None:
    async with FakeSlack() as slack:
        maria, ops, app = slack.add_user("maria"), slack.add_channel("email-ops"), app_of(slack)
        ran: list[str] = []

        @app.command("/server")
        async def server(ack: AsyncAck) -> None:
            ran.append("ran")
            await ack()

        async with over_http(slack, app):
            wrong = await slack.forged_command(maria, ops, "/server list", wrong_signature=True)
            old = await slack.forged_command(maria, ops, "/server list", age=timedelta(minutes=6))
        assert (wrong.status, old.status) == (401, 401)
        assert wrong.error == "dispatch_failed"
        assert ran == []


async def test_a_click_and_an_event_are_taken() -> None:
    async with FakeSlack() as slack:
        maria, ops, app = slack.add_user("maria"), slack.add_channel("email-ops"), app_of(slack)
        seen: list[str] = []
        button = {"type": "button", "action_id": "ack", "text": {"type": "plain_text", "text": "Acknowledge"}}

        @app.action("ack")
        async def acknowledge(ack: AsyncAck, body: dict[str, Any]) -> None:
            seen.append(body["message"]["text"])
            await ack()

        @app.event("pin_added")
        async def pinned(event: dict[str, Any]) -> None:
            seen.append(event["item"]["message"]["permalink"])

        async with over_http(slack, app):
            blocks = [{"type": "actions", "elements": [button]}]
            await app.client.chat_postMessage(channel=ops.id, text="mail-1 is down", blocks=blocks)
            assert (await slack.click(maria, ops.messages[0], "Acknowledge")).status == 200
            delivery = await slack.pin(maria, ops.messages[0])
            assert delivery is not None
            assert delivery.status == 200
        assert seen[0] == "mail-1 is down"
        assert ops.id in seen[1]


async def test_an_event_that_failed_comes_again_with_the_same_id() -> None:
    tries: list[tuple[str, str | None]] = []

    async def take(request: web.Request) -> web.Response:
        tries.append(((await request.json())["event_id"], request.headers.get("X-Slack-Retry-Num")))
        return web.Response(status=500 if len(tries) == 1 else 200)

    application = web.Application()
    application.router.add_post("/", take)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with FakeSlack() as slack:
            slack.request_url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
            maria, ops = slack.add_user("maria"), slack.add_channel("email-ops")
            message = await slack.say(maria, ops, "the sale page is down")
            await slack.react(maria, message, "round_pushpin")
            await slack.wait_until(lambda: len(slack.deliveries) == 2 and slack.deliveries[1].status)
    finally:
        await runner.cleanup()
    assert tries[0][0] == tries[1][0]
    assert [number for _, number in tries] == [None, "1"]
