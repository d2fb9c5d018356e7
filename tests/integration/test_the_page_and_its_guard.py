"""The workspace page's server: who may drive it, what it tells, and what it draws of forms and hostile text."""

import json
from pathlib import Path
from typing import Any

import aiohttp
from playwright.async_api import expect
from slack_bolt.async_app import AsyncAck, AsyncApp

from tests.acceptance.browser import browser, needs_chromium
from tests.gallery.screenshots import picture
from tests.integration.page_support import Office
from tests.unit.fakeslack_support import app_of, client_of, over_socket

Json = dict[str, Any]
MODAL: Json = {
    "type": "modal",
    "callback_id": "declare",
    "title": {"type": "plain_text", "text": "Declare an outage"},
    "submit": {"type": "plain_text", "text": "Declare"},
    "blocks": [
        {
            "type": "input",
            "block_id": "what",
            "label": {"type": "plain_text", "text": "What is wrong?"},
            "element": {"type": "plain_text_input", "action_id": "text"},
        },
        {
            "type": "input",
            "block_id": "severity",
            "label": {"type": "plain_text", "text": "Severity"},
            "element": {
                "type": "static_select",
                "action_id": "choice",
                "options": [
                    {"text": {"type": "plain_text", "text": name}, "value": name} for name in ("minor", "major")
                ],
            },
        },
        {
            "type": "input",
            "block_id": "since",
            "optional": True,
            "label": {"type": "plain_text", "text": "Since"},
            "element": {"type": "datepicker", "action_id": "day"},
        },
    ],
}


async def _do(office: Office, deed: Json, **headers: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{office.page.url}do", json=deed, headers={"Origin": office.origin} | headers) as answer,
    ):
        return answer.status, await answer.text()


async def test_only_the_page_itself_may_drive_it(office: Office) -> None:
    deed = {"as": office.maria.id, "do": "relay", "name": "primary", "how": "kill"}

    assert (await _do(office, deed, Origin="https://evil.example"))[0] == 403
    assert (await _do(office, deed, Host="evil.example"))[0] == 403
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{office.page.url}do", json=deed) as answer:  # no Origin at all
            assert answer.status == 403
        async with session.get(f"{office.origin}/wrong-token/") as answer:
            assert answer.status == 403
    assert office.relay.running

    assert (await _do(office, deed))[0] == 200
    assert not office.relay.running


async def test_nonsense_is_refused_in_a_sentence(office: Office) -> None:
    known = {"as": office.maria.id}
    for deed in (
        {},
        {"as": "U0", "do": "home"},
        known | {"do": "fly"},
        known | {"do": "relay", "name": "primary", "how": "explode"},
        known | {"do": "write", "channel": "C0", "text": "hello"},
    ):
        status, said = await _do(office, deed)
        assert (status, "unknown" in said) == (400, True), deed
    status, said = await _do(office, known | {"do": "write", "channel": office.ops.id, "text": "/holdfast"})
    assert status == 409
    assert "not connected" in json.loads(said)["error"]


async def test_nobody_can_press_anything_while_the_story_is_told(office: Office) -> None:
    office.page.say("The story is being told.")
    status, said = await _do(office, {"as": office.maria.id, "do": "relay", "name": "primary", "how": "kill"})

    assert (status, json.loads(said)["error"]) == (409, "The story is being told.")
    assert office.relay.running


@needs_chromium
async def test_what_people_write_is_never_markup_of_the_page(office: Office) -> None:
    hostile = "<img src=x onerror=document.title='owned'> &lt;b&gt; *bold* `<code>` <javascript:alert(1)|link>"
    office.slack.workspace.post(office.ops, office.jonas, hostile)
    async with browser() as tab:
        await tab.goto(office.page.url)
        shown = tab.locator("#messages .message")
        await expect(shown.locator("strong", has_text="bold")).to_be_visible()
        await expect(shown).to_contain_text("<b>")
        assert await shown.locator("img, b, a").count() == 0
        assert await tab.title() != "owned"


@needs_chromium
async def test_a_picture_is_taken_of_what_is_drawn(office: Office, tmp_path: Path) -> None:
    await picture(office.page.url, tmp_path / "page.png")
    drawn = (tmp_path / "page.png").read_bytes()
    assert drawn.startswith(b"\x89PNG")
    assert len(drawn) > 30_000  # the bare frame, before the first snapshot, has about 22,000


@needs_chromium
async def test_times_are_in_the_zone_of_whoever_looks(office: Office) -> None:
    office.slack.workspace.post(office.ops, office.slack.bot, "since <!date^1767225600^{date_num} {time}|then>")
    async with browser() as tab:
        await tab.goto(office.page.url)
        await expect(tab.get_by_text("since 2025-12-31 19:00")).to_be_visible()
        await tab.get_by_label("Act as").select_option(office.jonas.id)
        await expect(tab.get_by_text("since 2026-01-01 05:30")).to_be_visible()


@needs_chromium
async def test_a_modal_is_filled_in_corrected_and_sent(office: Office) -> None:
    app, submitted = _app_with_a_modal(office)
    async with over_socket(office.slack, app), browser() as tab:
        await tab.goto(office.page.url)
        await tab.get_by_label("Message or slash command").fill("/outage declare")
        await tab.keyboard.press("Enter")
        dialog = tab.get_by_role("dialog", name="Declare an outage")

        await dialog.get_by_role("button", name="Declare").click()
        await expect(tab.get_by_role("alert")).to_contain_text("What is wrong?")

        await dialog.get_by_label("What is wrong?").fill("short")
        await dialog.get_by_label("Severity").select_option("major")
        await dialog.get_by_label("Since").fill("2026-03-01")
        await dialog.get_by_role("button", name="Declare").click()
        await expect(dialog).to_contain_text("Say it in a sentence.")
        await expect(dialog.get_by_label("What is wrong?")).to_have_value("short")
        await expect(dialog.get_by_label("Severity")).to_have_value("major")

        await dialog.get_by_label("What is wrong?").fill("The disk of primary is full")
        await dialog.get_by_role("button", name="Declare").click()
        await expect(dialog).to_be_hidden()
    values = submitted[-1]
    assert values["what"]["text"]["value"] == "The disk of primary is full"
    assert values["severity"]["choice"]["selected_option"]["value"] == "major"
    assert values["since"]["day"]["selected_date"] == "2026-03-01"


def _app_with_a_modal(office: Office) -> tuple[AsyncApp, list[Json]]:
    """An app whose modal insists on a whole sentence, and the list of what was submitted to it."""
    app, submitted = app_of(office.slack), list[Json]()

    @app.command("/outage")
    async def declare(ack: AsyncAck, body: Json) -> None:
        await ack()
        await client_of(office.slack).views_open(trigger_id=body["trigger_id"], view=MODAL)

    @app.view("declare")
    async def take(ack: AsyncAck, view: Json) -> None:
        submitted.append(view["state"]["values"])
        if len(view["state"]["values"]["what"]["text"]["value"]) < 10:
            await ack(response_action="errors", errors={"what": "Say it in a sentence."})
        else:
            await ack()

    return app, submitted


@needs_chromium
async def test_the_home_tab_is_that_of_whoever_acts(office: Office) -> None:
    section = {"type": "section", "text": {"type": "mrkdwn", "text": "*Nothing* is open, Maria."}}
    await client_of(office.slack).views_publish(user_id=office.maria.id, view={"type": "home", "blocks": [section]})
    async with browser(width=420, height=900) as tab:
        await tab.goto(office.page.url)
        await tab.get_by_role("button", name="Holdfast Home").click()
        await expect(tab.get_by_text("Nothing is open, Maria.")).to_be_visible()
        await tab.get_by_label("Act as").select_option(office.jonas.id)
        await expect(tab.get_by_text("no home tab for this person yet")).to_be_visible()
