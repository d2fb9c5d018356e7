"""The workspace page: menus, shortcuts, pins, reactions, files, every kind of field, and the home tab."""

import asyncio
import re
from typing import Any

from playwright.async_api import Locator, Page, expect
from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.demo.page.shortcuts import Shortcut, shortcuts_in
from tests.acceptance.browser import browser, needs_chromium
from tests.integration.page_support import Office
from tests.unit.fakeslack_support import app_of, client_of, over_socket

Json = dict[str, Any]
MANIFEST = """
features:
  slash_commands:
    - command: /outage
      description: Not a shortcut
  shortcuts:
    - name: Add to timeline # in the menu of a message
      type: message
      callback_id: timeline.add
      description: Keeps the message with its outage
    - name: "Declare an outage"
      type: global
      callback_id: outage.declare
      description: Opens a form
oauth_config: {}
"""


def test_the_shortcuts_are_those_of_the_manifest() -> None:
    assert shortcuts_in(MANIFEST) == [
        Shortcut("timeline.add", "Add to timeline", "Keeps the message with its outage", message=True),
        Shortcut("outage.declare", "Declare an outage", "Opens a form"),
    ]
    assert shortcuts_in("features:\n  slash_commands: []\n") == []


@needs_chromium
async def test_a_message_is_pinned_pushpinned_and_handed_to_a_shortcut(office: Office) -> None:
    heard: list[str] = []
    app = _listening(office, heard)
    said = office.slack.workspace.post(office.ops, office.jonas, "the disk of primary is full")
    async with over_socket(office.slack, app), browser() as tab:
        await tab.goto(office.page.url)
        await _choose(tab, "More for this message of Jonas", "Pin to the channel")
        shown = tab.locator("#messages .message")
        await expect(shown).to_contain_text("📌 pinned")
        await _choose(tab, "More for this message of Jonas", "React with 📍")
        await expect(shown.get_by_role("button", name="round_pushpin, 1: take yours off")).to_be_visible()
        await _choose(tab, "More for this message of Jonas", "Keep this message")
        await _heard(heard, "kept: the disk of primary is full")

        await tab.get_by_label("Act as").select_option(office.jonas.id)
        pushpin = shown.get_by_role("button", name="round_pushpin, 1: add yours")
        await pushpin.click()
        await expect(shown.locator(".reaction")).to_have_text("📍 2")

        await tab.get_by_label("Act as").select_option(office.maria.id)
        await shown.get_by_role("button", name="round_pushpin, 2: take yours off").click()
        await expect(shown.locator(".reaction")).to_have_text("📍 1")
        await _choose(tab, "More for this message of Jonas", "Unpin")
        await expect(shown).not_to_contain_text("pinned")
    assert (said.pinned, said.reactions) == (False, {"round_pushpin": [office.jonas.id]})
    assert [each for each in heard if "_" in each] == [
        "pin_added", "reaction_added", "reaction_added", "reaction_removed", "pin_removed",
    ]  # fmt: skip


@needs_chromium
async def test_a_global_shortcut_is_chosen_by_keyboard_alone(office: Office) -> None:
    heard: list[str] = []
    async with over_socket(office.slack, _listening(office, heard)), browser() as tab:
        await tab.goto(office.page.url)
        await tab.get_by_role("button", name="Shortcuts").press("Enter")
        await expect(tab.get_by_role("menuitem", name="Declare an outage")).to_be_focused()
        await tab.keyboard.press("Escape")
        await expect(tab.get_by_role("menu")).to_be_hidden()
        assert heard == []
        await tab.get_by_role("button", name="Shortcuts").press("Enter")
        await tab.keyboard.press("Enter")
        await _heard(heard, "shortcut declare.it")


@needs_chromium
async def test_a_file_of_the_bot_can_be_saved_and_a_picture_seen(office: Office) -> None:
    pixel = bytes.fromhex(
        "89504e470d0a1a0a0000000d494844520000000100000001080600000"
        "01f15c4890000000d49444154789c6360f8cfc0f01f0005000201a5c9d6b90000000049454e44ae426082"
    )
    uploads: list[Json] = [
        {"filename": "lost.csv", "content": "email\nanna@example.com\n", "title": "Lost recipients"},
        {"filename": "rate.png", "file": pixel, "title": "Rate of the night"},
    ]
    await client_of(office.slack).files_upload_v2(
        channel=office.ops.id, initial_comment="what was lost", file_uploads=uploads
    )
    async with browser() as tab:
        await tab.goto(office.page.url)
        await expect(tab.locator(".file").first).to_contain_text("23 bytes")
        async with tab.expect_download() as saving:
            await tab.get_by_role("link", name="lost.csv").click()
        assert (await (await saving.value).path()).read_text() == "email\nanna@example.com\n"
        picture = tab.get_by_role("img", name="Rate of the night")
        await expect(picture).to_be_visible()
        assert await picture.evaluate("each => each.complete && each.naturalWidth") == 1


@needs_chromium
async def test_every_kind_of_field_is_filled_in_corrected_and_sent(office: Office) -> None:
    app, submitted = _form(office)
    async with over_socket(office.slack, app), browser() as tab:
        await tab.goto(office.page.url)
        await tab.get_by_label("Message or slash command").fill("/form")
        await tab.keyboard.press("Enter")
        form = tab.get_by_role("dialog", name="Every field")
        await _fill_in(form)

        await form.get_by_role("button", name="More").click()
        over = tab.get_by_role("dialog", name="On top")
        await expect(over).to_contain_text("View 2")
        await over.get_by_role("button", name="Back").click()
        await expect(form.get_by_label("Text", exact=True)).to_have_value("short")
        await expect(form.get_by_label("email")).to_be_checked()

        await form.get_by_role("button", name="Send it").click()
        await expect(form).to_contain_text("⚠ Say more.")
        await expect(form.get_by_label("Story")).to_be_focused()
        await expect(form.get_by_label("Story")).to_have_attribute("aria-invalid", "true")
        await expect(form.get_by_label("slow")).to_be_checked()
        await form.get_by_label("Story").fill("first line\nsecond line")
        await form.get_by_role("button", name="Send it").click()
        await expect(form).to_be_hidden()

    assert submitted[-1] == {
        "text": "short", "story": "first line\nsecond line", "pick": "b", "day": "2026-03-01", "clock": "02:30",
        "moment": 1_772_350_200, "roads": ["email", "sms"], "pace": "slow", "who": office.jonas.id,
        "several": ["a", "b"], "number": "7",
    }  # fmt: skip


async def _fill_in(form: Locator) -> None:
    await form.get_by_label("Text", exact=True).fill("short")
    await form.get_by_label("Story").fill("x")
    await form.get_by_label("Pick").select_option("b")
    await form.get_by_label("Day").fill("2026-03-01")
    await form.get_by_label("Clock").fill("02:30")
    await form.get_by_label("Moment").fill("2026-03-01T02:30")  # in New York: 07:30 UTC
    await form.get_by_label("email").check()
    await form.get_by_label("sms").check()
    await form.get_by_label("slow").check()
    await form.get_by_label("Who").select_option("Jonas")
    await form.get_by_label("Several").select_option(["a", "b"])
    await form.get_by_label("Number").fill("7")


@needs_chromium
async def test_what_the_page_cannot_draw_says_so_in_its_place(office: Office) -> None:
    search = {"type": "external_select", "action_id": "s", "placeholder": {"type": "plain_text", "text": "Find"}}
    card = {"type": "card", "title": {"type": "mrkdwn", "text": "*One card*"}}
    blocks: list[Json] = [
        {"type": "section", "text": {"type": "mrkdwn", "text": "Look for it"}, "accessory": search},
        {"type": "carousel", "elements": [card, card]},
        {"type": "call", "call_id": "R1"},
    ]
    office.slack.workspace.post(office.ops, office.slack.bot, "absent", blocks=blocks)
    async with browser() as tab:
        await tab.goto(office.page.url)
        shown = tab.locator("#messages .message")
        await expect(shown.get_by_text("lets people search a list")).to_be_visible()
        await expect(shown.get_by_text("a block of type call here")).to_be_visible()
        await expect(shown.get_by_text("One card")).to_have_count(2)


@needs_chromium
async def test_the_home_tab_lives_and_its_buttons_and_menus_work(office: Office) -> None:
    app = _with_a_home(office)
    async with over_socket(office.slack, app), browser(width=420, height=900) as tab:
        await tab.goto(office.page.url)
        await tab.get_by_role("button", name="Holdfast Home").click()
        home = tab.locator(".home")
        await expect(home).to_contain_text("Maria: opened")
        await home.get_by_role("button", name="Acknowledge").press("Enter")
        await expect(home).to_contain_text("Maria: pressed")
        await expect(home.get_by_role("button", name="Acknowledge")).to_be_focused()
        await home.get_by_label("Show").select_option("all")
        await expect(home).to_contain_text("Maria: all")

        await tab.get_by_label("Act as").select_option(office.jonas.id)
        await expect(home).to_contain_text("Jonas: opened")


async def _choose(tab: Page, opener: str, item: str) -> None:
    await tab.get_by_role("button", name=opener).click()
    await tab.get_by_role("menuitem", name=item).click()


async def _heard(heard: list[str], what: str) -> None:
    async with asyncio.timeout(10):
        while what not in heard:
            await asyncio.sleep(0.01)


def _listening(office: Office, heard: list[str]) -> AsyncApp:
    app = app_of(office.slack)

    @app.shortcut("note.this")
    async def keep(ack: AsyncAck, body: Json) -> None:
        await ack()
        heard.append(f"kept: {body['message']['text']}")

    @app.shortcut("declare.it")
    async def declare(ack: AsyncAck, body: Json) -> None:
        await ack()
        heard.append(f"{body['type']} {body['callback_id']}")

    @app.event(re.compile(""))
    async def note(event: Json) -> None:
        heard.append(str(event["type"]))

    return app


def _with_a_home(office: Office) -> AsyncApp:
    app = app_of(office.slack)

    async def publish(user: str, what: str) -> None:
        await client_of(office.slack).views_publish(user_id=user, view=_home(office, user, what))

    @app.event("app_home_opened")
    async def opened(event: Json) -> None:
        await publish(event["user"], "opened")

    @app.action("ack")
    async def pressed(ack: AsyncAck, body: Json) -> None:
        await ack()
        await publish(body["user"]["id"], "pressed")

    @app.action("show")
    async def chosen(ack: AsyncAck, body: Json) -> None:
        await ack()
        await publish(body["user"]["id"], body["actions"][0]["selected_option"]["value"])

    return app


def _home(office: Office, user: str, what: str) -> Json:
    line = f"{office.slack.workspace.users[user].real_name}: {what}"
    choices = [_option("mine"), _option("all")]
    show = {"type": "static_select", "action_id": "show", "placeholder": _plain("Show"), "options": choices}
    button = {"type": "button", "action_id": "ack", "text": _plain("Acknowledge")}
    section = {"type": "section", "text": {"type": "mrkdwn", "text": line}}
    return {"type": "home", "blocks": [section, {"type": "actions", "elements": [button, show]}]}


def _form(office: Office) -> tuple[AsyncApp, list[Json]]:
    """An app whose form has every kind of field, insists on a long story, and pushes a view over itself."""
    app, submitted = app_of(office.slack), list[Json]()

    @app.command("/form")
    async def form(ack: AsyncAck, body: Json) -> None:
        await ack()
        await client_of(office.slack).views_open(trigger_id=body["trigger_id"], view=_every_field())

    @app.action("more")
    async def more(ack: AsyncAck, body: Json) -> None:
        await ack()
        section = {"type": "section", "text": _plain("Nothing to fill in.")}
        view = {"type": "modal", "title": _plain("On top"), "close": _plain("Back"), "blocks": [section]}
        await client_of(office.slack).views_push(trigger_id=body["trigger_id"], view=view)

    @app.view("form")
    async def take(ack: AsyncAck, view: Json) -> None:
        values = {block: _value(next(iter(given.values()))) for block, given in view["state"]["values"].items()}
        if len(values["story"]) < 5:
            await ack(response_action="errors", errors={"story": "Say more."})
        else:
            submitted.append(values)
            await ack()

    return app, submitted


def _value(given: Json) -> Any:
    """The value of a field, whatever Slack calls it for its kind."""
    found = next(value for name, value in given.items() if name != "type")
    if isinstance(found, list):
        return [each["value"] for each in found]
    return found["value"] if isinstance(found, dict) else found


def _every_field() -> Json:
    ab, roads = [_option("a"), _option("b")], [_option("email"), _option("sms")]
    kinds: dict[str, Json] = {
        "text": {"type": "plain_text_input"},
        "story": {"type": "plain_text_input", "multiline": True},
        "pick": {"type": "static_select", "options": ab},
        "day": {"type": "datepicker"},
        "clock": {"type": "timepicker"},
        "moment": {"type": "datetimepicker"},
        "roads": {"type": "checkboxes", "options": roads},
        "pace": {"type": "radio_buttons", "options": [_option("fast"), _option("slow")]},
        "who": {"type": "users_select"},
        "several": {"type": "multi_static_select", "options": ab},
        "number": {"type": "number_input", "is_decimal_allowed": False},
    }
    inputs = [
        {
            "type": "input",
            "block_id": name,
            "label": _plain(name.title()),
            "element": {**kind, "action_id": f"{name}.field"},
        }
        for name, kind in kinds.items()
    ]
    more = {"type": "actions", "elements": [{"type": "button", "action_id": "more", "text": _plain("More")}]}
    view = {"type": "modal", "callback_id": "form", "title": _plain("Every field"), "submit": _plain("Send it")}
    return {**view, "blocks": [*inputs, more]}


def _plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


def _option(name: str) -> Json:
    return {"text": _plain(name), "value": name}
