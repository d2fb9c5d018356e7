"""What Slack refuses: blocks, messages, metadata and views held against its published limits.

Source of the rules: https://docs.slack.dev/reference/block-kit/blocks/, https://docs.slack.dev/reference/views/,
https://docs.slack.dev/messaging/message-metadata/. Pure functions that return sentences; an empty list means
that Slack would take it.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from bot.demo.fakeslack.elements import Problems, element, keys, one_of, picture, string, text

MESSAGE_BLOCKS = 50
VIEW_BLOCKS = 100
MESSAGE_TEXT = 40_000
UPDATE_TEXT = 4_000
MESSAGE_SIZE = 13_200  # not documented: https://github.com/slackapi/bolt-js/issues/2509
MARKDOWN_SIZE = 12_000
METADATA_SIZE = 8_000

Surface = Literal["message", "modal", "home"]
_MESSAGE_ONLY = {"table", "markdown", "file", "context_actions", "plan", "task_card"}


def block_problems(blocks: Any, surface: Surface = "message") -> list[str]:
    """Everything that Slack would refuse in a list of blocks shown on `surface`."""
    if not isinstance(blocks, list):
        return ["blocks: must be a list of blocks"]
    return list(_all_blocks(blocks, surface))


def text_size(value: Any) -> int:
    """Characters of all text in the blocks, which is what Slack's limit for a whole message counts."""
    if isinstance(value, Mapping):
        own = len(value["text"]) if isinstance(value.get("text"), str) else 0
        return own + sum(text_size(each) for each in value.values() if not isinstance(each, str))
    return sum(map(text_size, value)) if isinstance(value, list) else 0


def metadata_problems(metadata: Any) -> list[str]:
    """Metadata is an event type and a flat object; Slack stores what is deeper, but no index reaches it."""
    if not isinstance(metadata, Mapping):
        return ["metadata: must be an object"]
    problems = list(keys(metadata, "metadata", needs={"event_type", "event_payload"}, allows=set()))
    kind, payload = metadata.get("event_type"), metadata.get("event_payload")
    if kind is not None and not re.fullmatch(r"\w{1,255}", str(kind), re.ASCII):
        problems.append("metadata.event_type: only letters, digits and underscores, at most 255")
    if payload is not None and not isinstance(payload, Mapping):
        problems.append("metadata.event_payload: must be an object")
    if isinstance(payload, Mapping):
        problems += [
            f"metadata.event_payload.{name}: must be a string, a number, a boolean or a list of them"
            for name, value in payload.items()
            if not _flat(value)
        ]
        if len(json.dumps(payload)) > METADATA_SIZE:
            problems.append(f"metadata: larger than {METADATA_SIZE} characters")
    return problems


def view_problems(view: Any) -> list[str]:
    """Everything that Slack would refuse in a modal or a home tab."""
    if not isinstance(view, Mapping):
        return ["view: must be an object"]
    return list(_view(view))


def _flat(value: Any) -> bool:
    if isinstance(value, list):
        return all(isinstance(each, str | int | float) for each in value)
    return isinstance(value, str | int | float)


def _view(view: Mapping[str, Any]) -> Problems:
    kind = view.get("type")
    if kind not in {"modal", "home"}:
        yield f"view.type: {kind!r} is neither modal nor home"
        return
    common = {"callback_id", "external_id", "private_metadata"}
    modal = {"submit", "close", "clear_on_close", "notify_on_close", "submit_disabled"}
    needs = {"type", "blocks"} | ({"title"} if kind == "modal" else set())
    yield from keys(view, "view", needs=needs, allows=common | (modal if kind == "modal" else set()))
    for name in ("title", "submit", "close"):
        yield from text(view.get(name), f"view.{name}", most=24, plain=True)
    yield from string(view.get("private_metadata"), "view.private_metadata", most=3000, least=0)
    for name in ("callback_id", "external_id"):
        yield from string(view.get(name), f"view.{name}", most=255, least=0)
    blocks = view.get("blocks")
    yield from block_problems(blocks, "modal" if kind == "modal" else "home")
    inputs = isinstance(blocks, list) and any(each.get("type") == "input" for each in _objects(blocks))
    if kind == "modal" and inputs and not view.get("submit"):
        yield "view: a modal with input blocks needs submit"


def _all_blocks(blocks: list[Any], surface: Surface) -> Problems:
    most = MESSAGE_BLOCKS if surface == "message" else VIEW_BLOCKS
    if len(blocks) > most:
        yield f"blocks: {len(blocks)} blocks, more than {most}"
    for index, block in enumerate(blocks):
        yield from _block(block, f"blocks[{index}]", surface)
    objects = list(_objects(blocks))
    for name, count in Counter(str(each["block_id"]) for each in objects if each.get("block_id")).items():
        if count > 1:
            yield f"blocks: block_id {name!r} is used {count} times"
    kinds = Counter(each.get("type") for each in objects)
    if kinds["table"] > 1:
        yield "blocks: only one table in a message"
    markdown = sum(len(str(each.get("text"))) for each in objects if each.get("type") == "markdown")
    if markdown > MARKDOWN_SIZE:
        yield f"blocks: {markdown} characters of markdown, more than {MARKDOWN_SIZE}"


def _objects(blocks: Sequence[Any]) -> Iterator[Mapping[str, Any]]:
    return (block for block in blocks if isinstance(block, Mapping))


def _block(block: Any, where: str, surface: Surface) -> Problems:
    if not isinstance(block, Mapping):
        yield f"{where}: a block must be an object"
        return
    kind = str(block.get("type"))
    rule = _RULES.get(kind)
    if rule is None:
        yield f"{where}: unknown block type {kind!r}"
        return
    if surface != "message" and kind in _MESSAGE_ONLY:
        yield f"{where}: a {kind} block is for messages only"
    needs, allows, check = rule
    yield from keys(block, where, needs={"type", *needs.split()}, allows={"type", "block_id", *allows.split()})
    yield from string(block.get("block_id"), f"{where}.block_id", most=255)
    yield from check(block, where)


def _section(block: Mapping[str, Any], where: str) -> Problems:
    fields = block.get("fields")
    if block.get("text") is None and fields is None:
        yield f"{where}: needs text or fields"
    yield from text(block.get("text"), f"{where}.text", most=3000)
    if fields is not None:
        yield from _count(fields, f"{where}.fields", 10)
        for index, field in enumerate(fields if isinstance(fields, list) else []):
            yield from text(field, f"{where}.fields[{index}]", most=2000)
    if block.get("accessory") is not None:
        yield from element(block["accessory"], f"{where}.accessory", "section")


def _header(block: Mapping[str, Any], where: str) -> Problems:
    yield from text(block.get("text"), f"{where}.text", most=150, plain=True)


def _row(room: str, most: int) -> Callable[[Mapping[str, Any], str], Problems]:
    def check(block: Mapping[str, Any], where: str) -> Problems:
        elements = block.get("elements")
        yield from _count(elements, f"{where}.elements", most)
        if not isinstance(elements, list):
            return
        for index, each in enumerate(elements):
            yield from element(each, f"{where}.elements[{index}]", room)
        ids = Counter(each["action_id"] for each in _objects(elements) if each.get("action_id"))
        for name, count in ids.items():
            if count > 1:
                yield f"{where}: action_id {name!r} is used {count} times in one block"

    return check


def _input(block: Mapping[str, Any], where: str) -> Problems:
    yield from text(block.get("label"), f"{where}.label", most=2000, plain=True)
    yield from text(block.get("hint"), f"{where}.hint", most=2000, plain=True)
    yield from element(block.get("element"), f"{where}.element", "input")


def _image(block: Mapping[str, Any], where: str) -> Problems:
    yield from picture(block, where)
    yield from text(block.get("title"), f"{where}.title", most=2000, plain=True)


def _markdown(block: Mapping[str, Any], where: str) -> Problems:
    yield from string(block.get("text"), f"{where}.text", most=MARKDOWN_SIZE)


def _alert(block: Mapping[str, Any], where: str) -> Problems:
    yield from text(block.get("text"), f"{where}.text", most=3000)
    yield from one_of(block.get("level"), f"{where}.level", {"default", "info", "warning", "error", "success"})


def _table(block: Mapping[str, Any], where: str) -> Problems:
    rows = block.get("rows")
    yield from _count(rows, f"{where}.rows", 100)
    for number, row in enumerate(rows if isinstance(rows, list) else []):
        yield from _count(row, f"{where}.rows[{number}]", 20)
        for column, cell in enumerate(row if isinstance(row, list) else []):
            yield from _cell(cell, f"{where}.rows[{number}][{column}]")
    settings = block.get("column_settings") or []
    if len(settings) > 20:
        yield f"{where}.column_settings: more than 20"
    for index, setting in enumerate(each for each in settings if each):
        here = f"{where}.column_settings[{index}]"
        yield from keys(setting, here, needs=set(), allows={"align", "is_wrapped"})
        yield from one_of(setting.get("align"), f"{here}.align", {"left", "center", "right"})


def _cell(cell: Any, where: str) -> Problems:
    kind = cell.get("type") if isinstance(cell, Mapping) else None
    if kind == "rich_text":
        yield from _rich_text(cell, where)
    elif kind == "raw_number":
        yield from keys(cell, where, needs={"type", "value"}, allows={"text"})
    elif kind == "raw_text":
        yield from keys(cell, where, needs={"type", "text"}, allows=set())
        yield from string(cell.get("text"), f"{where}.text", most=10_000)
    else:
        yield f"{where}: a cell is raw_text, raw_number or rich_text"


def _rich_text(block: Mapping[str, Any], where: str) -> Problems:
    known = {"rich_text_section", "rich_text_list", "rich_text_preformatted", "rich_text_quote"}
    for index, part in enumerate(block.get("elements") or []):
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind not in known:
            yield f"{where}.elements[{index}]: unknown element type {kind!r}"


def _card(block: Mapping[str, Any], where: str) -> Problems:
    if not any(block.get(name) for name in ("title", "body", "hero_image", "actions")):
        yield f"{where}: needs a title, a body, an image or actions"
    for name, most in (("title", 150), ("subtitle", 150), ("body", 200)):
        yield from text(block.get(name), f"{where}.{name}", most=most)
    for index, each in enumerate(block.get("actions") or []):
        yield from element(each, f"{where}.actions[{index}]", "card")


def _container(block: Mapping[str, Any], where: str) -> Problems:
    if not (block.get("title") or block.get("rich_text_title")):
        yield f"{where}: needs a title"
    for name in ("title", "subtitle"):
        yield from text(block.get(name), f"{where}.{name}", most=150)
    yield from one_of(block.get("width"), f"{where}.width", {"narrow", "standard", "wide", "full"})
    yield from _children(block.get("child_blocks"), f"{where}.child_blocks")


def _carousel(block: Mapping[str, Any], where: str) -> Problems:
    yield from _children(block.get("elements"), f"{where}.elements")


def _plan(block: Mapping[str, Any], where: str) -> Problems:
    yield from _count(block.get("tasks"), f"{where}.tasks", MESSAGE_BLOCKS)


def _task(block: Mapping[str, Any], where: str) -> Problems:
    yield from one_of(block.get("status"), f"{where}.status", {"pending", "in_progress", "complete", "error"})


def _children(blocks: Any, where: str) -> Problems:
    yield from _count(blocks, where, 10)
    for index, block in enumerate(blocks if isinstance(blocks, list) else []):
        yield from _block(block, f"{where}[{index}]", "message")


def _video(block: Mapping[str, Any], where: str) -> Problems:
    yield from text(block.get("title"), f"{where}.title", most=199, plain=True)
    yield from string(block.get("author_name"), f"{where}.author_name", most=49)


def _nothing(_block: Mapping[str, Any], _where: str) -> Problems:
    yield from ()


def _count(value: Any, where: str, most: int) -> Problems:
    if not isinstance(value, list) or not 1 <= len(value) <= most:
        size = len(value) if isinstance(value, list) else "no list"
        yield f"{where}: {size}, must be a list of 1 to {most}"


# block type -> (fields it needs, fields it may have, the check of their content)
_RULES: Mapping[str, tuple[str, str, Callable[[Mapping[str, Any], str], Problems]]] = {
    "section": ("", "text fields accessory expand", _section),
    "header": ("text", "", _header),
    "divider": ("", "", _nothing),
    "actions": ("elements", "", _row("actions", 25)),
    "context": ("elements", "", _row("context", 10)),
    "context_actions": ("elements", "", _row("context_actions", 5)),
    "input": ("label element", "hint optional dispatch_action", _input),
    "image": ("alt_text", "image_url slack_file title", _image),
    "markdown": ("text", "", _markdown),
    "alert": ("text", "level", _alert),
    "table": ("rows", "column_settings", _table),
    "rich_text": ("elements", "", _rich_text),
    "card": ("", "hero_image icon title subtitle body actions", _card),
    "container": (
        "child_blocks",
        "title rich_text_title subtitle width icon is_collapsible default_collapsed has_header_divider",
        _container,
    ),
    "carousel": ("elements", "", _carousel),
    "plan": ("title", "tasks", _plan),
    "task_card": ("task_id title", "details output sources status", _task),
    "file": ("external_id source", "", _nothing),
    "call": ("call_id", "call api_decoration_available", _nothing),
    "video": (
        "alt_text title thumbnail_url video_url",
        "title_url description provider_icon_url provider_name author_name",
        _video,
    ),
}
