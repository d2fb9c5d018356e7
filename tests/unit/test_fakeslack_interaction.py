"""Buttons, menus, modals, response URLs and the home tab, with a real Bolt app."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from slack_bolt.async_app import AsyncAck
from slack_sdk.errors import SlackApiError
from slack_sdk.webhook.async_client import AsyncWebhookClient

from bot.clock import now
from bot.demo.fakeslack import FakeSlack, PersonCannotError
from tests.unit.fakeslack_support import app_of, client_of, over_socket


def text(words: str) -> dict[str, str]:
    return {"type": "plain_text", "text": words}


def buttons(*labels: str) -> list[dict[str, Any]]:
    elements = [
        {"type": "button", "action_id": label.lower(), "text": text(label), "value": f"value of {label}"}
        for label in labels
    ]
    return [{"type": "actions", "block_id": "decide", "elements": elements}]


MODAL = {
    "type": "modal",
    "callback_id": "declare",
    "title": text("Declare an outage"),
    "submit": text("Declare"),
    "blocks": [
        {
            "type": "input",
            "block_id": "what",
            "label": text("What happened?"),
            "element": {"type": "plain_text_input", "action_id": "words"},
        },
        {
            "type": "input",
            "block_id": "how",
            "optional": True,
            "label": text("Severity"),
            "element": {
                "type": "static_select",
                "action_id": "level",
                "options": [{"text": text("Minor"), "value": "3"}, {"text": text("Major"), "value": "1"}],
            },
        },
    ],
}


async def test_a_click_has_slacks_shape_and_the_message_can_be_replaced() -> None:
    async with FakeSlack() as slack:
        maria, ops, app = slack.add_user("maria"), slack.add_channel("email-ops"), app_of(slack)
        bodies: list[dict[str, Any]] = []

        @app.action("approve")
        async def approve(ack: AsyncAck, body: dict[str, Any], respond: Any) -> None:
            await ack()
            bodies.append(body)
            await respond(text="Approved by Maria", replace_original=True)

        async with over_socket(slack, app):
            await app.client.chat_postMessage(channel=ops.id, text="Send?", blocks=buttons("Approve", "Reject"))
            (message,) = ops.messages
            await slack.click(maria, message, "Approve")
            await slack.wait_until(lambda: message.text == "Approved by Maria")
        (body,) = bodies
        assert body["user"]["username"] == "maria"
        assert body["container"] == {
            "type": "message",
            "message_ts": message.ts,
            "channel_id": ops.id,
            "is_ephemeral": False,
        }
        (action,) = body["actions"]
        assert (action["action_id"], action["block_id"], action["value"]) == ("approve", "decide", "value of Approve")
        assert message.blocks == []
        slack.assert_no_violations()


async def test_a_button_that_is_gone_can_be_pressed_only_on_an_old_screen() -> None:
    async with FakeSlack() as slack:
        maria, ops, app = slack.add_user("maria"), slack.add_channel("email-ops"), app_of(slack)
        pressed: list[str] = []

        @app.action("approve")
        async def approve(ack: AsyncAck, action: dict[str, Any]) -> None:
            await ack()
            pressed.append(action["value"])

        async with over_socket(slack, app):
            sent = await app.client.chat_postMessage(channel=ops.id, text="Send?", blocks=buttons("Approve"))
            await app.client.chat_update(channel=ops.id, ts=sent["ts"], text="Approved")
            with pytest.raises(PersonCannotError, match="nothing to press"):
                await slack.click(maria, ops.messages[0], "Approve")
            await slack.click(maria, ops.messages[0], "Approve", stale=True)
            await slack.wait_until(lambda: pressed)
        assert pressed == ["value of Approve"]


async def test_a_confirmation_can_be_declined() -> None:
    async with FakeSlack() as slack:
        maria, ops = slack.add_user("maria"), slack.add_channel("email-ops")
        blocks = buttons("Approve", "Reject")
        dialog = {"title": text("Sure?"), "text": text("1,200 people"), "confirm": text("Send"), "deny": text("No")}
        blocks[0]["elements"][0]["confirm"] = dialog
        await client_of(slack).chat_postMessage(channel=ops.id, text="Send?", blocks=blocks)
        slack.deny(maria, ops.messages[0], "Approve")
        assert slack.deliveries == []
        with pytest.raises(PersonCannotError, match="asks for no confirmation"):
            slack.deny(maria, ops.messages[0], "Reject")


async def test_a_menu_sends_the_chosen_option() -> None:
    async with FakeSlack() as slack:
        maria, ops, app = slack.add_user("maria"), slack.add_channel("email-ops"), app_of(slack)
        chosen: list[str] = []
        menu = {**MODAL["blocks"][1]["element"], "placeholder": text("Severity")}  # type: ignore[index]  # a literal

        @app.action("level")
        async def level(ack: AsyncAck, action: dict[str, Any]) -> None:
            await ack()
            chosen.append(action["selected_option"]["value"])

        async with over_socket(slack, app):
            blocks = [{"type": "actions", "elements": [menu]}]
            await app.client.chat_postMessage(channel=ops.id, text="How bad?", blocks=blocks)
            await slack.click(maria, ops.messages[0], "Severity", value="Major")
            await slack.wait_until(lambda: chosen)
            with pytest.raises(PersonCannotError, match="Minor, Major"):
                await slack.click(maria, ops.messages[0], "Severity", value="Awful")
        assert chosen == ["1"]


async def test_a_modal_is_opened_corrected_and_submitted() -> None:
    async with FakeSlack() as slack:
        maria, ops, app = slack.add_user("maria"), slack.add_channel("email-ops"), app_of(slack)
        got: list[dict[str, Any]] = []

        @app.command("/outage")
        async def outage(ack: AsyncAck, body: dict[str, Any], client: Any) -> None:
            await ack()
            await client.views_open(trigger_id=body["trigger_id"], view=MODAL)

        @app.view("declare")
        async def declare(ack: AsyncAck, view: dict[str, Any]) -> None:
            values = view["state"]["values"]
            if len(values["what"]["words"]["value"]) < 5:
                await ack(response_action="errors", errors={"what": "Say more."})
                return
            got.append(values)
            await ack()

        async with over_socket(slack, app):
            await slack.command(maria, ops, "/outage declare")
            view = (await slack.wait_until(lambda: slack.open_views(maria)))[-1]
            with pytest.raises(PersonCannotError, match="What happened"):
                await slack.submit_view(maria, view, {"how": "Major"})
            await slack.submit_view(maria, view, {"what": "hm"})
            assert view.errors == {"what": "Say more."}
            await slack.submit_view(maria, view, {"what": "mail-1 is down", "level": "Major"})
        assert slack.open_views(maria) == []
        assert got[0]["how"]["level"]["selected_option"]["value"] == "1"
        slack.assert_no_violations()


async def test_a_trigger_works_once_and_for_three_seconds() -> None:
    async with FakeSlack() as slack:
        maria, ops, client = slack.add_user("maria"), slack.add_channel("email-ops"), client_of(slack)
        first = await slack.command(maria, ops, "/outage declare")
        await client.views_open(trigger_id=first.trigger_id, view=MODAL)
        assert await _open_error(slack, first.trigger_id) == "exchanged_trigger_id"
        second = await slack.command(maria, ops, "/outage declare")
        with time_machine.travel(now() + timedelta(seconds=4)):
            assert await _open_error(slack, second.trigger_id) == "expired_trigger_id"
        assert await _open_error(slack, "made up") == "invalid_trigger_id"


async def test_a_modal_stack_is_three_deep_and_its_hash_is_checked() -> None:
    async with FakeSlack() as slack:
        maria, ops, client = slack.add_user("maria"), slack.add_channel("email-ops"), client_of(slack)
        trigger = (await slack.command(maria, ops, "/x")).trigger_id
        opened = await client.views_open(trigger_id=trigger, view=MODAL)
        for _ in range(2):
            trigger = (await slack.command(maria, ops, "/x")).trigger_id
            await client.views_push(trigger_id=trigger, view=MODAL)
        trigger = (await slack.command(maria, ops, "/x")).trigger_id
        with pytest.raises(SlackApiError, match="push_limit_reached"):
            await client.views_push(trigger_id=trigger, view=MODAL)
        view_id, first_hash = opened["view"]["id"], opened["view"]["hash"]
        await client.views_update(view_id=view_id, view=MODAL, hash=first_hash)
        with pytest.raises(SlackApiError, match="hash_conflict"):
            await client.views_update(view_id=view_id, view=MODAL, hash=first_hash)
        await slack.close_view(maria)
        assert len(slack.open_views(maria)) == 2


async def test_a_response_url_takes_five_answers_within_half_an_hour() -> None:
    async with FakeSlack() as slack:
        maria, ops = slack.add_user("maria"), slack.add_channel("email-ops")
        delivery = await slack.command(maria, ops, "/outage list")
        webhook = AsyncWebhookClient(delivery.payload["response_url"])
        for number in range(5):
            assert (await webhook.send(text=f"answer {number}")).status_code == 200
        refused = await webhook.send(text="one too many")
        assert (refused.status_code, "used_url" in refused.body) == (404, True)
        assert len(delivery.responses) == len(slack.ephemerals(maria)) == 5
        late = await slack.command(maria, ops, "/outage list")
        with time_machine.travel(now() + timedelta(minutes=31)):
            answer = await AsyncWebhookClient(late.payload["response_url"]).send(text="late")
        assert "expired_url" in answer.body


async def test_a_response_can_be_public_or_take_the_message_away() -> None:
    async with FakeSlack() as slack:
        maria, ops = slack.add_user("maria"), slack.add_channel("email-ops")
        await client_of(slack).chat_postMessage(channel=ops.id, text="Send?", blocks=buttons("Approve"))
        message = ops.messages[0]
        delivery = await slack.click(maria, message, "Approve")
        webhook = AsyncWebhookClient(delivery.payload["response_url"])
        await webhook.send_dict({"text": "sent", "response_type": "in_channel", "thread_ts": message.ts})
        assert [each.text for each in message.thread] == ["sent"]
        await webhook.send(delete_original=True)
        assert message.deleted


async def test_the_home_tab_is_published_for_who_opens_it() -> None:
    async with FakeSlack() as slack:
        maria, app = slack.add_user("maria"), app_of(slack)

        @app.event("app_home_opened")
        async def opened(event: dict[str, Any], client: Any) -> None:
            await client.views_publish(user_id=event["user"], view={"type": "home", "blocks": buttons("Declare")})

        async with over_socket(slack, app):
            await slack.open_home(maria)
            home = await slack.wait_until(lambda: slack.home(maria), what="the home tab")
        assert home.blocks[0]["elements"][0]["action_id"] == "declare"


async def test_shortcuts_reach_the_app() -> None:
    async with FakeSlack() as slack:
        maria, ops, app = slack.add_user("maria"), slack.add_channel("email-ops"), app_of(slack)
        seen: list[str] = []

        @app.shortcut("to_timeline")
        async def add(ack: AsyncAck, shortcut: dict[str, Any]) -> None:
            await ack()
            seen.append(shortcut["message"]["text"])

        async with over_socket(slack, app):
            message = await slack.say(maria, ops, "it was the certificate")
            await slack.shortcut(maria, "to_timeline", message)
            await slack.wait_until(lambda: seen)
        assert seen == ["it was the certificate"]


async def test_waiting_in_vain_says_what_the_channel_has() -> None:
    async with FakeSlack() as slack:
        ops = slack.add_channel("email-ops")
        await client_of(slack).chat_postMessage(channel=ops.id, text="mail-2 is fine")
        with pytest.raises(AssertionError, match="mail-2 is fine"):
            await slack.wait_for_message(ops, "mail-1 is down", timeout=0.01)


async def _open_error(slack: FakeSlack, trigger: str) -> str:
    with pytest.raises(SlackApiError) as caught:
        await client_of(slack).views_open(trigger_id=trigger, view=MODAL)
    return str(caught.value.response["error"])
