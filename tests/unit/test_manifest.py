"""The Slack app's manifest says what Slack takes, and exactly what the code registers and calls."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import jsonschema
import pytest
from slack_sdk.web.async_client import AsyncWebClient

import commands
from bot.demo.fakeslack import METHOD_SCOPES
from bot.slack.checking import SCOPES
from bot.slack.events import REMOVALS
from commands.words import Command

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data" / "slack"
# https://docs.slack.dev/reference/events
EVENT_SCOPES = {
    "pin_added": "pins:read",
    "pin_removed": "pins:read",
    "reaction_added": "reactions:read",
    "reaction_removed": "reactions:read",
}


# Reading the file


def read(text: str) -> Any:
    """The part of YAML that the manifest is written in: mappings, lists, and scalars on one line.

    Whatever else YAML knows is refused, so that Slack cannot read the file in another way.
    """
    rows = []
    for line in text.splitlines():
        bare = re.sub(r"(^|\s)#.*", "", line).rstrip()
        assert "\t" not in bare
        if bare:
            rows.append((len(bare) - len(bare.lstrip()), bare.strip()))
    value = _block(rows, 0)
    assert not rows
    return value


def _block(rows: list[tuple[int, str]], indent: int) -> Any:
    """Takes the rows of one block off the front."""
    assert rows[0][0] == indent, f"odd indentation before {rows[0][1]!r}"
    if rows[0][1].startswith("- "):
        return list(_items(rows, indent))
    found: dict[str, Any] = {}
    while rows and rows[0][0] == indent and not rows[0][1].startswith("- "):
        _, row = rows.pop(0)
        key, colon, rest = row.partition(":")
        assert re.fullmatch(r"\w+", key), f"not a key: {row!r}"
        assert colon
        assert key not in found, f"{key} stands there twice"
        assert not rest or rest.startswith(" ")
        found[key] = _scalar(rest.strip()) if rest.strip() else _block(rows, rows[0][0])
    return found


def _items(rows: list[tuple[int, str]], indent: int) -> Iterator[Any]:
    while rows and rows[0][0] == indent and rows[0][1].startswith("- "):
        row = rows[0][1].removeprefix("- ")
        if re.match(r"\w+:( |$)", row):
            rows[0] = (indent + 2, row)
            yield _block(rows, indent + 2)
        else:
            rows.pop(0)
            yield _scalar(row)


def _scalar(text: str) -> Any:
    if text in {"true", "false"}:
        return text == "true"
    if re.fullmatch(r"\d+", text):
        return int(text)
    if text.startswith('"'):
        return json.loads(text)
    assert text[0] not in "[]{}&*!|>'%@`,?-#", f"quote {text!r}"
    assert ": " not in text
    assert not text.endswith(":")
    return text


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    return cast("dict[str, Any]", read((ROOT / "manifest.yml").read_text()))


# What Slack takes


def test_it_keeps_to_slacks_schema(manifest: dict[str, Any]) -> None:
    jsonschema.validate(manifest, json.loads((DATA / "manifest.schema.1.0.0.json").read_text()))


def test_its_scopes_and_events_are_ones_that_slack_knows(manifest: dict[str, Any]) -> None:
    scopes = manifest["oauth_config"]["scopes"]["bot"]
    events = manifest["settings"].get("event_subscriptions", {}).get("bot_events", [])
    assert scopes == sorted(set(scopes))
    assert set(scopes) <= set((DATA / "BotScope.txt").read_text().split())
    assert set(events) <= set((DATA / "ManifestEvent.txt").read_text().split())


def test_it_reaches_a_bot_without_a_public_address(manifest: dict[str, Any]) -> None:
    assert manifest["settings"]["socket_mode_enabled"]
    assert manifest["settings"]["interactivity"]["is_enabled"]


# What the code registers


def test_its_commands_are_those_that_the_code_answers(manifest: dict[str, Any]) -> None:
    assert [each["command"] for each in manifest["features"]["slash_commands"]] == list(commands.COMMANDS)


def test_its_shortcuts_are_those_that_the_code_answers(manifest: dict[str, Any]) -> None:
    assert [each["callback_id"] for each in manifest["features"]["shortcuts"]] == list(commands.FORMS.shortcuts)
    assert set(commands.FORMS.shortcuts) <= set(commands.FORMS.openers)


def test_its_events_are_those_that_the_code_deals_with(manifest: dict[str, Any]) -> None:
    events = manifest["settings"].get("event_subscriptions", {}).get("bot_events", [])
    assert sorted(events) == sorted([*commands.EVENTS, *REMOVALS])


def test_every_module_of_the_folder_is_registered() -> None:
    files = {path.stem for path in (ROOT / "commands").glob("*.py")} - {"__init__", "marks", "words"}
    assert {f"/{name}" for name in files} == set(commands.COMMANDS)


def test_every_verb_stands_in_the_hint_of_its_command(manifest: dict[str, Any]) -> None:
    for entry in manifest["features"]["slash_commands"]:
        command = commands.COMMANDS[entry["command"]]
        assert isinstance(command, Command)
        hinted = [part.split()[0] for part in entry["usage_hint"].split(" | ")]
        assert set(hinted) - {"help"} == {verb.name for verb in command.verbs}


def test_what_customers_read_is_not_rewritten_by_slack(manifest: dict[str, Any]) -> None:
    entries = {each["command"]: each for each in manifest["features"]["slash_commands"]}
    assert not entries["/notice"]["should_escape"]


def test_every_button_belongs_to_the_command_of_its_noun() -> None:
    assert {action.partition(".")[0] for action in commands.ACTIONS} <= {name[1:] for name in commands.COMMANDS}


def test_every_button_that_a_view_draws_is_answered() -> None:
    drawn = set()
    for path in (ROOT / "bot" / "slack" / "views").glob("*.py"):
        drawn |= set(re.findall(r'"((?:outage|resend|notice|maintenance)\.[a-z]+)"', path.read_text()))
    assert drawn <= set(commands.ACTIONS)


# What the code calls


def _methods() -> set[str]:
    """The Web API methods that the code calls, outside the demo: `client.chat_postMessage(...)` and the like."""
    known = {name.replace(".", "_"): name for name in METHOD_SCOPES}
    found = set()
    for folder in ("bot", "commands"):
        for path in (ROOT / folder).rglob("*.py"):
            if path.is_relative_to(ROOT / "bot" / "demo"):
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                    continue
                name = node.func.attr
                assert name != "api_call", f"{path}: name the method, so that its scope can be checked"
                if "_" in name and not name.startswith("_") and hasattr(AsyncWebClient, name):
                    assert name in known, f"{path} calls {name}, of which the fake Slack knows no scope"
                    found.add(known[name])
    return found


def test_its_scopes_cover_every_method_that_the_code_calls(manifest: dict[str, Any]) -> None:
    granted = set(manifest["oauth_config"]["scopes"]["bot"])
    methods = _methods()
    assert {"chat.postMessage", "chat.update", "users.info", "conversations.list"} <= methods
    missing = {
        name: METHOD_SCOPES[name] for name in methods if METHOD_SCOPES[name] and not granted & {*METHOD_SCOPES[name]}
    }
    assert not missing


def test_its_scopes_cover_every_event_that_the_code_deals_with(manifest: dict[str, Any]) -> None:
    assert {EVENT_SCOPES[name] for name in commands.EVENTS} <= set(manifest["oauth_config"]["scopes"]["bot"])


def test_it_asks_for_no_scope_that_nothing_needs(manifest: dict[str, Any]) -> None:
    events = {EVENT_SCOPES[name] for name in commands.EVENTS}
    needed = {"commands", *events}.union(*(METHOD_SCOPES[name] for name in _methods()))
    assert set(manifest["oauth_config"]["scopes"]["bot"]) <= needed


def test_it_asks_for_what_holdfast_check_looks_for(manifest: dict[str, Any]) -> None:
    assert set(manifest["oauth_config"]["scopes"]["bot"]) == set(SCOPES)
