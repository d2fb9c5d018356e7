"""What Slack allows inside a block: texts, options, confirmation dialogs, buttons, menus and inputs.

Source of the rules: https://docs.slack.dev/reference/block-kit/block-elements/ and
https://docs.slack.dev/reference/block-kit/composition-objects/. Every function yields sentences; none means
that Slack would take it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Problems = Iterator[str]

_TEXT_KEYS: Mapping[str, frozenset[str]] = {
    "plain_text": frozenset({"type", "text", "emoji"}),
    "mrkdwn": frozenset({"type", "text", "verbatim"}),
}


@dataclass(frozen=True, slots=True)
class _Shape:
    """Where an element may stand, the keys it needs and the keys it may have besides."""

    rooms: frozenset[str]
    needs: frozenset[str]
    allows: frozenset[str]


def _shape(rooms: str, needs: str = "", allows: str = "") -> _Shape:
    return _Shape(frozenset(rooms.split()), frozenset(needs.split()), frozenset(allows.split()))


_EVERYWHERE = "section actions input"
_MENU = "placeholder confirm focus_on_load"
_FIELD = "placeholder focus_on_load initial_value dispatch_action_config"

_SHAPES: Mapping[str, _Shape] = {
    "button": _shape("section actions card", "text", "url value style confirm accessibility_label"),
    "workflow_button": _shape("section actions", "text workflow", "style accessibility_label"),
    "overflow": _shape("section actions", "options", "confirm"),
    "image": _shape("section context", "alt_text", "image_url slack_file"),
    "checkboxes": _shape(_EVERYWHERE, "options", "initial_options confirm focus_on_load"),
    "radio_buttons": _shape(_EVERYWHERE, "options", "initial_option confirm focus_on_load"),
    "datepicker": _shape(_EVERYWHERE, "", f"{_MENU} initial_date"),
    "timepicker": _shape(_EVERYWHERE, "", f"{_MENU} initial_time timezone"),
    "datetimepicker": _shape("actions input", "", "initial_date_time confirm focus_on_load"),
    "static_select": _shape(_EVERYWHERE, "", f"{_MENU} options option_groups initial_option"),
    "external_select": _shape(_EVERYWHERE, "", f"{_MENU} initial_option min_query_length"),
    "users_select": _shape(_EVERYWHERE, "", f"{_MENU} initial_user"),
    "channels_select": _shape(_EVERYWHERE, "", f"{_MENU} initial_channel response_url_enabled"),
    "conversations_select": _shape(
        _EVERYWHERE,
        "",
        f"{_MENU} initial_conversation default_to_current_conversation response_url_enabled filter",
    ),
    "multi_static_select": _shape(
        "section input", "", f"{_MENU} options option_groups initial_options max_selected_items"
    ),
    "multi_external_select": _shape(
        "section input", "", f"{_MENU} initial_options min_query_length max_selected_items"
    ),
    "multi_users_select": _shape("section input", "", f"{_MENU} initial_users max_selected_items"),
    "multi_channels_select": _shape("section input", "", f"{_MENU} initial_channels max_selected_items"),
    "multi_conversations_select": _shape(
        "section input",
        "",
        f"{_MENU} initial_conversations default_to_current_conversation max_selected_items filter",
    ),
    "plain_text_input": _shape("input", "", f"{_FIELD} multiline min_length max_length"),
    "rich_text_input": _shape("input", "", f"{_FIELD} min_lines max_lines"),
    "email_text_input": _shape("input", "", _FIELD),
    "url_text_input": _shape("input", "", _FIELD),
    "number_input": _shape("input", "is_decimal_allowed", f"{_FIELD} min_value max_value"),
    "file_input": _shape("input", "", "filetypes max_files"),
    "feedback_buttons": _shape("context_actions", "positive_button negative_button"),
    "icon_button": _shape("context_actions", "text icon", "value confirm accessibility_label visible_to_user_ids"),
}

_MAX_OPTIONS: Mapping[str, int] = {"overflow": 5, "checkboxes": 10, "radio_buttons": 10}


def element(value: Any, where: str, room: str) -> Problems:
    """One element standing in a block of the type `room`; text objects are for context blocks only."""
    if not isinstance(value, Mapping):
        yield f"{where}: an element must be an object"
        return
    kind = str(value.get("type"))
    if room == "context" and kind in _TEXT_KEYS:
        yield from text(value, where, most=3000)
        return
    shape = _SHAPES.get(kind)
    if shape is None:
        yield f"{where}: unknown element type {kind!r}"
        return
    if room not in shape.rooms:
        yield f"{where}: a {kind} cannot stand in a block of type {room}"
    yield from keys(value, where, needs={"type"} | shape.needs, allows={"action_id"} | shape.allows)
    yield from string(value.get("action_id"), f"{where}.action_id", most=255)
    yield from _common(value, where)
    yield from _details(kind, value, where)


def keys(value: Mapping[str, Any], where: str, *, needs: set[str], allows: set[str]) -> Problems:
    """Slack refuses objects that lack a field, and fields that it does not know."""
    for name in sorted(needs):
        if value.get(name) is None:
            yield f"{where}: missing required field {name}"
    for name in sorted(set(value) - needs - allows):
        yield f"{where}: unknown field {name}"


def string(value: Any, where: str, *, most: int, least: int = 1) -> Problems:
    """A bare string, when it is there, between `least` and `most` characters."""
    if value is None:
        return
    if not isinstance(value, str):
        yield f"{where}: must be a string"
    elif len(value) > most:
        yield f"{where}: {len(value)} characters, more than {most}"
    elif len(value) < least:
        yield f"{where}: must not be empty"


def text(value: Any, where: str, *, most: int, plain: bool = False) -> Problems:
    """A text object; `plain` where Slack takes plain_text only."""
    if value is None:
        return
    if not isinstance(value, Mapping):
        yield f"{where}: must be a text object"
        return
    kind = str(value.get("type"))
    if kind not in _TEXT_KEYS:
        yield f"{where}: unknown text type {kind!r}"
        return
    if plain and kind != "plain_text":
        yield f"{where}: must be plain_text"
    yield from keys(value, where, needs={"type", "text"}, allows=set(_TEXT_KEYS[kind]))
    yield from string(value.get("text"), f"{where}.text", most=most)


def option(value: Any, where: str, holder: str) -> Problems:
    """One option of the element type `holder`."""
    if not isinstance(value, Mapping):
        yield f"{where}: an option must be an object"
        return
    rich = holder in {"checkboxes", "radio_buttons"}
    allows = {"description"} | ({"url"} if holder == "overflow" else set())
    yield from keys(value, where, needs={"text", "value"}, allows=allows)
    yield from text(value.get("text"), f"{where}.text", most=75, plain=not rich)
    yield from text(value.get("description"), f"{where}.description", most=75, plain=not rich)
    yield from string(value.get("value"), f"{where}.value", most=150)
    yield from string(value.get("url"), f"{where}.url", most=3000)


def confirm(value: Any, where: str) -> Problems:
    """The dialog that asks before an action is sent."""
    if value is None:
        return
    if not isinstance(value, Mapping):
        yield f"{where}: must be a confirmation object"
        return
    yield from keys(value, where, needs={"title", "text", "confirm", "deny"}, allows={"style"})
    yield from text(value.get("title"), f"{where}.title", most=100, plain=True)
    yield from text(value.get("text"), f"{where}.text", most=300)
    yield from text(value.get("confirm"), f"{where}.confirm", most=30, plain=True)
    yield from text(value.get("deny"), f"{where}.deny", most=30, plain=True)
    yield from one_of(value.get("style"), f"{where}.style", {"primary", "danger"})


def one_of(value: Any, where: str, known: set[str]) -> Problems:
    if value is not None and value not in known:
        yield f"{where}: {value!r} is not one of {', '.join(sorted(known))}"


def picture(value: Mapping[str, Any], where: str) -> Problems:
    """The source of an image, in a block or an element."""
    if (value.get("image_url") is None) == (value.get("slack_file") is None):
        yield f"{where}: needs exactly one of image_url and slack_file"
    yield from string(value.get("image_url"), f"{where}.image_url", most=3000)
    yield from string(value.get("alt_text"), f"{where}.alt_text", most=2000)


def _common(value: Mapping[str, Any], where: str) -> Problems:
    yield from text(value.get("placeholder"), f"{where}.placeholder", most=150, plain=True)
    yield from confirm(value.get("confirm"), f"{where}.confirm")
    yield from one_of(value.get("style"), f"{where}.style", {"primary", "danger"})
    yield from string(value.get("accessibility_label"), f"{where}.accessibility_label", most=75)
    for name in ("focus_on_load", "multiline", "is_decimal_allowed"):
        if name in value and not isinstance(value[name], bool):
            yield f"{where}.{name}: must be true or false"


def _details(kind: str, value: Mapping[str, Any], where: str) -> Problems:
    if kind in {"button", "workflow_button"}:
        yield from text(value.get("text"), f"{where}.text", most=75, plain=True)
        yield from string(value.get("value"), f"{where}.value", most=2000)
        yield from string(value.get("url"), f"{where}.url", most=3000)
    elif kind == "image":
        yield from picture(value, where)
    elif kind in {"overflow", "checkboxes", "radio_buttons"}:
        yield from _options(value, where, kind)
    elif kind in {"static_select", "multi_static_select"}:
        yield from _select(kind, value, where)
    elif kind in {"datepicker", "timepicker", "datetimepicker"}:
        yield from _moment(kind, value, where)
    elif kind == "plain_text_input":
        yield from _lengths(value, where)


def _options(value: Mapping[str, Any], where: str, kind: str) -> Problems:
    options = value.get("options")
    most = _MAX_OPTIONS.get(kind, 100)
    if not isinstance(options, list) or not 1 <= len(options) <= most:
        yield f"{where}.options: must be a list of 1 to {most} options"
        return
    for index, each in enumerate(options):
        yield from option(each, f"{where}.options[{index}]", kind)
    values = [each.get("value") for each in options if isinstance(each, Mapping)]
    if len(set(map(str, values))) < len(values):
        yield f"{where}.options: two options have the same value"
    yield from _initial(value, where, options)


def _initial(value: Mapping[str, Any], where: str, options: list[Any]) -> Problems:
    chosen = value.get("initial_options") or []
    if value.get("initial_option") is not None:
        chosen = [value["initial_option"]]
    for each in chosen:
        if each not in options:
            yield f"{where}: the initial option is not exactly one of the options"


def _select(kind: str, value: Mapping[str, Any], where: str) -> Problems:
    groups = value.get("option_groups")
    if (value.get("options") is None) == (groups is None):
        yield f"{where}: needs exactly one of options and option_groups"
        return
    if groups is None:
        yield from _options(value, where, kind)
        return
    if not isinstance(groups, list) or not 1 <= len(groups) <= 100:
        yield f"{where}.option_groups: must be a list of 1 to 100 groups"
        return
    for index, group in enumerate(groups):
        here = f"{where}.option_groups[{index}]"
        yield from keys(group, here, needs={"label", "options"}, allows=set())
        yield from text(group.get("label"), f"{here}.label", most=75, plain=True)
        yield from _options(group, here, kind)
    every = [each for group in groups for each in group.get("options") or []]
    yield from _initial(value, where, every)


def _moment(kind: str, value: Mapping[str, Any], where: str) -> Problems:
    date, time, stamp = (value.get(f"initial_{name}") for name in ("date", "time", "date_time"))
    if date is not None and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", str(date)):
        yield f"{where}.initial_date: must be YYYY-MM-DD"
    if time is not None and not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", str(time)):
        yield f"{where}.initial_time: must be HH:mm"
    if kind == "datetimepicker" and stamp is not None:
        whole = isinstance(stamp, int) and not isinstance(stamp, bool)
        if not whole or len(str(stamp)) != 10:
            yield f"{where}.initial_date_time: must be Unix seconds, ten digits"


def _lengths(value: Mapping[str, Any], where: str) -> Problems:
    for name, least in (("min_length", 0), ("max_length", 1)):
        size = value.get(name)
        if size is not None and not (isinstance(size, int) and least <= size <= 3000):
            yield f"{where}.{name}: must be a number from {least} to 3000"
