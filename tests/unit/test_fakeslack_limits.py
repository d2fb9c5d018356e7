"""What the fake Slack refuses: blocks, views and metadata outside Slack's limits."""

from typing import Any

import pytest
from slack_sdk.errors import SlackApiError

from bot.demo.fakeslack import FakeSlack, block_problems, metadata_problems, view_problems
from tests.unit.fakeslack_support import client_of

Json = dict[str, Any]


def plain(words: str = "Go") -> Json:
    return {"type": "plain_text", "text": words}


def mrkdwn(words: str = "*Go*") -> Json:
    return {"type": "mrkdwn", "text": words}


def button(**more: Any) -> Json:
    return {"type": "button", "action_id": "go", "text": plain(), **more}


def actions(*elements: Json) -> Json:
    return {"type": "actions", "elements": list(elements)}


def option(words: str = "One", value: str = "1") -> Json:
    return {"text": plain(words), "value": value}


def menu(**more: Any) -> Json:
    return {"type": "static_select", "action_id": "pick", "options": [option()], **more}


def dialog(**more: Any) -> Json:
    return {"title": plain(), "text": plain(), "confirm": plain(), "deny": plain(), **more}


def text_input(**more: Any) -> Json:
    element = {"type": "plain_text_input", "action_id": "words"}
    return {"type": "input", "block_id": "what", "label": plain(), "element": element, **more}


GOOD: dict[str, list[Json]] = {
    "section": [{"type": "section", "text": mrkdwn(), "fields": [mrkdwn(), plain()], "accessory": button()}],
    "header and divider": [{"type": "header", "text": plain()}, {"type": "divider"}],
    "context": [{"type": "context", "elements": [mrkdwn(), {"type": "image", "image_url": "u", "alt_text": "a"}]}],
    "actions": [actions(button(style="danger", confirm=dialog(style="danger"), value="1"), menu())],
    "moment": [actions({"type": "datetimepicker", "initial_date_time": 1767225600})],
    "groups": [actions(menu(options=None, option_groups=[{"label": plain(), "options": [option()]}]))],
    "input": [text_input(optional=True, hint=plain())],
    "table": [{"type": "table", "rows": [[{"type": "raw_text", "text": "a"}]], "column_settings": [{"align": "left"}]}],
    "alert": [{"type": "alert", "text": mrkdwn(), "level": "error"}],
    "card": [{"type": "card", "title": mrkdwn(), "actions": [button()]}],
    "container": [{"type": "container", "title": plain(), "child_blocks": [{"type": "divider"}]}],
    "markdown": [{"type": "markdown", "text": "**Go**"}],
}

BAD: dict[str, tuple[list[Any], str]] = {
    "no block": (["hello"], "must be an object"),
    "unknown block": ([{"type": "heading"}], "unknown block type 'heading'"),
    "unknown field": ([{"type": "divider", "color": "red"}], "unknown field color"),
    "too many blocks": ([{"type": "divider"}] * 51, "51 blocks, more than 50"),
    "same block id": ([{"type": "divider", "block_id": "a"}] * 2, "block_id 'a' is used 2 times"),
    "long block id": ([{"type": "divider", "block_id": "a" * 256}], "more than 255"),
    "empty section": ([{"type": "section"}], "needs text or fields"),
    "long section": ([{"type": "section", "text": mrkdwn("x" * 3001)}], "3001 characters, more than 3000"),
    "empty text": ([{"type": "section", "text": mrkdwn("")}], "must not be empty"),
    "text as a string": ([{"type": "section", "text": "hello"}], "must be a text object"),
    "unknown text": ([{"type": "section", "text": {"type": "html", "text": "x"}}], "unknown text type"),
    "emoji in mrkdwn": ([{"type": "section", "text": {**mrkdwn(), "emoji": True}}], "unknown field emoji"),
    "long field": ([{"type": "section", "fields": [mrkdwn("x" * 2001)]}], "more than 2000"),
    "eleven fields": ([{"type": "section", "fields": [mrkdwn()] * 11}], "1 to 10"),
    "no fields": ([{"type": "section", "fields": []}], "1 to 10"),
    "rich header": ([{"type": "header", "text": mrkdwn()}], "must be plain_text"),
    "long header": ([{"type": "header", "text": plain("x" * 151)}], "more than 150"),
    "no elements": ([actions()], "1 to 25"),
    "26 buttons": ([actions(*[button(action_id=f"a{n}") for n in range(26)])], "1 to 25"),
    "same action id": ([actions(button(), button())], "action_id 'go' is used 2 times"),
    "input in actions": ([actions({"type": "plain_text_input"})], "cannot stand in a block of type actions"),
    "button in context": ([{"type": "context", "elements": [button()]}], "cannot stand in a block of type context"),
    "unknown element": ([actions({"type": "knob"})], "unknown element type 'knob'"),
    "rich button": ([actions(button(text=mrkdwn()))], "must be plain_text"),
    "long button": ([actions(button(text=plain("x" * 76)))], "more than 75"),
    "long value": ([actions(button(value="x" * 2001))], "more than 2000"),
    "number as value": ([actions(button(value=7))], "must be a string"),
    "odd style": ([actions(button(style="warning"))], "'warning' is not one of danger, primary"),
    "default style": ([actions(button(style="default"))], "'default' is not one of"),
    "half a dialog": ([actions(button(confirm={"title": plain()}))], "missing required field deny"),
    "long dialog": ([actions(button(confirm=dialog(text=plain("x" * 301))))], "more than 300"),
    "menu without options": ([actions(menu(options=None))], "exactly one of options and option_groups"),
    "menu of nothing": ([actions(menu(options=[]))], "1 to 100 options"),
    "101 options": ([actions(menu(options=[option("x", str(n)) for n in range(101)]))], "1 to 100 options"),
    "long option": ([actions(menu(options=[option("x" * 76)]))], "more than 75"),
    "long option value": ([actions(menu(options=[option("x", "y" * 151)]))], "more than 150"),
    "same option": ([actions(menu(options=[option(), option()]))], "same value"),
    "strange initial": ([actions(menu(initial_option=option("Two", "2")))], "not exactly one of the options"),
    "six in overflow": ([actions({"type": "overflow", "options": [option("x", str(n)) for n in range(6)]})], "1 to 5"),
    "float moment": ([actions({"type": "datetimepicker", "initial_date_time": 1.5})], "ten digits"),
    "odd date": ([actions({"type": "datepicker", "initial_date": "1/2/26"})], "YYYY-MM-DD"),
    "image without alt": ([{"type": "image", "image_url": "https://x"}], "missing required field alt_text"),
    "image of nothing": ([{"type": "image", "alt_text": "x"}], "exactly one of image_url and slack_file"),
    "long markdown": ([{"type": "markdown", "text": "x" * 12_001}], "more than 12000"),
    "much markdown": ([{"type": "markdown", "text": "x" * 7000}] * 2, "14000 characters of markdown"),
    "wide table": ([{"type": "table", "rows": [[{"type": "raw_text", "text": "a"}] * 21]}], "1 to 20"),
    "two tables": ([{"type": "table", "rows": [[{"type": "raw_text", "text": "a"}]]}] * 2, "only one table"),
    "odd level": ([{"type": "alert", "text": mrkdwn(), "level": "loud"}], "'loud' is not one of"),
    "long card": ([{"type": "card", "body": plain("x" * 201)}], "more than 200"),
}


@pytest.mark.parametrize("name", GOOD)
def test_it_takes_what_slack_takes(name: str) -> None:
    blocks = [_without_none(block) for block in GOOD[name]]
    assert block_problems(blocks) == []


@pytest.mark.parametrize("name", BAD)
def test_it_refuses_what_slack_refuses(name: str) -> None:
    blocks, problem = BAD[name]
    assert any(problem in each for each in block_problems(blocks)), block_problems(blocks)


def test_it_takes_more_blocks_in_a_view_but_no_table() -> None:
    assert block_problems([{"type": "divider"}] * 100, "home") == []
    table = {"type": "table", "rows": [[{"type": "raw_text", "text": "a"}]]}
    assert "for messages only" in block_problems([table], "modal")[0]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"title": None}, "missing required field title"),
        ({"title": plain("x" * 25)}, "more than 24"),
        ({"submit": None}, "needs submit"),
        ({"submit": mrkdwn()}, "must be plain_text"),
        ({"private_metadata": "x" * 3001}, "more than 3000"),
        ({"callback_id": "x" * 256}, "more than 255"),
        ({"blocks": "none"}, "must be a list of blocks"),
        ({"type": "popup"}, "neither modal nor home"),
        ({"colour": "red"}, "unknown field colour"),
    ],
)
def test_it_refuses_views(change: Json, problem: str) -> None:
    view = {"type": "modal", "title": plain(), "submit": plain(), "blocks": [text_input()]}
    assert view_problems(view) == []
    assert any(problem in each for each in view_problems(_without_none({**view, **change})))


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ({"event_type": "post"}, "missing required field event_payload"),
        ({"event_type": "a post", "event_payload": {}}, "only letters"),
        ({"event_type": "post", "event_payload": {"a": {"b": 1}}}, "must be a string, a number"),
        ({"event_type": "post", "event_payload": {"a": None}}, "must be a string, a number"),
        ({"event_type": "post", "event_payload": {"a": "x" * 8001}}, "larger than"),
        ("post", "must be an object"),
    ],
)
def test_it_refuses_metadata(metadata: Any, problem: str) -> None:
    assert any(problem in each for each in metadata_problems(metadata))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"text": "x", "blocks": BAD["odd style"][0]}, "invalid_blocks"),
        ({"text": "x", "blocks": {"type": "divider"}}, "invalid_blocks_format"),
        ({"text": "x", "blocks": [{"type": "section", "text": mrkdwn("x" * 2700)}] * 5}, "msg_blocks_too_long"),
        ({"text": "x" * 40_001}, "msg_too_long"),
        ({}, "no_text"),
        ({"text": "x", "metadata": {"event_type": "post"}}, "invalid_metadata_format"),
        ({"text": "x", "attachments": [{"blocks": [{"type": "heading"}]}]}, "invalid_blocks"),
    ],
)
async def test_a_message_is_refused_with_slacks_error_and_noted(arguments: Json, error: str) -> None:
    async with FakeSlack() as slack:
        ops = slack.add_channel("email-ops")
        with pytest.raises(SlackApiError) as caught:
            await client_of(slack).api_call("chat.postMessage", json={"channel": ops.id, **arguments})
        assert caught.value.response["error"] == error
        assert caught.value.response["response_metadata"]["messages"][0].startswith("[ERROR]")
        assert len(slack.violations) == 1
        assert ops.messages == []


async def test_an_edit_may_be_shorter_only() -> None:
    async with FakeSlack() as slack:
        ops, client = slack.add_channel("email-ops"), client_of(slack)
        sent = await client.chat_postMessage(channel=ops.id, text="x" * 5000)
        with pytest.raises(SlackApiError, match="msg_too_long"):
            await client.chat_update(channel=ops.id, ts=sent["ts"], text="y" * 5000)


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_none(each) for name, each in value.items() if each is not None}
    return [_without_none(each) for each in value] if isinstance(value, list) else value
