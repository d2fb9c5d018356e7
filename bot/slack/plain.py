"""Block Kit as plain text: what the terminal and the demo show in the place of Slack.

The markup is Slack's `mrkdwn`: https://docs.slack.dev/messaging/formatting-message-text/
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from functools import partial
from itertools import zip_longest
from typing import Any, NamedTuple

Json = Mapping[str, Any]
Resolver = Callable[[str], str | None]

EMOJI: Mapping[str, str] = {
    "arrow_forward": "▶️", "bar_chart": "📊", "bell": "🔔", "black_circle": "⚫", "bulb": "💡",
    "calendar": "📅", "chart_with_upwards_trend": "📈", "construction": "🚧", "email": "📧",
    "envelope": "✉️", "eyes": "👀", "fire": "🔥", "hammer_and_wrench": "🛠️", "heavy_check_mark": "✔️",
    "hourglass": "⌛", "hourglass_flowing_sand": "⏳", "information_source": "ℹ️", "large_blue_circle": "🔵",
    "large_green_circle": "🟢", "large_orange_circle": "🟠", "large_yellow_circle": "🟡", "link": "🔗",
    "lock": "🔒", "mag": "🔍", "mailbox": "📫", "mega": "📣", "memo": "📝", "no_bell": "🔕", "no_entry": "⛔",
    "octagonal_sign": "🛑", "pause_button": "⏸️", "question": "❓", "red_circle": "🔴", "repeat": "🔁",
    "rotating_light": "🚨", "round_pushpin": "📍", "speech_balloon": "💬", "stopwatch": "⏱️", "tada": "🎉",
    "thumbsup": "👍", "+1": "👍", "turtle": "🐢", "warning": "⚠️", "white_check_mark": "✅",
    "white_circle": "⚪", "wrench": "🔧", "x": "❌", "zap": "⚡",
}  # fmt: skip

_RULE = "─" * 40
_CODES = {"bold": "1", "italic": "3", "strike": "9", "dim": "2"}
_MARKS = (
    ("bold", re.compile(r"(?<![\w*])\*(?=\S)([^*\n]+?)(?<=\S)\*(?![\w*])")),
    ("italic", re.compile(r"(?<![\w_])_(?=\S)([^_\n]+?)(?<=\S)_(?![\w_])")),
    ("strike", re.compile(r"(?<![\w~])~(?=\S)([^~\n]+?)(?<=\S)~(?![\w~])")),
)
_CODE = re.compile(r"```\n?(.*?)\n?```|`([^`\n]+)`", re.DOTALL)
_ANGLE = re.compile(r"<([^<>]+)>")
_SHORT_NAME = re.compile(r":([a-z0-9_+-]+):")
_DATE_TOKEN = re.compile(r"\{(\w+)\}")
_DATE_FORMATS: Mapping[str, str] = {
    "date_num": "%Y-%m-%d", "date_slash": "%d/%m/%Y", "date": "%B %-d, %Y", "date_pretty": "%B %-d, %Y",
    "date_short": "%b %-d, %Y", "date_short_pretty": "%b %-d, %Y", "date_long": "%A, %B %-d, %Y",
    "date_long_pretty": "%A, %B %-d, %Y", "time": "%H:%M", "time_secs": "%H:%M:%S",
}  # fmt: skip


class _Style(NamedTuple):
    resolve: Resolver | None
    zone: tzinfo
    ansi: bool

    def paint(self, how: str, text: str) -> str:
        return f"\x1b[{_CODES[how]}m{text}\x1b[0m" if self.ansi and text else text


def plain(
    content: Sequence[Json] | Json | None,
    text: str = "",
    *,
    resolve: Resolver | None = None,
    zone: tzinfo = UTC,
    ansi: bool = False,
) -> str:
    """Readable text for a list of blocks, or for a whole message or view.

    `text` is the fallback, used when there are no blocks. `resolve` turns an id (user, channel, user group)
    into a name; `zone` is the time zone of dates; `ansi` keeps bold and the like as terminal codes.
    """
    style = _Style(resolve, zone, ansi)
    if isinstance(content, Mapping):
        return _message(content, text, style)
    return _blocks(content or [], style) or _mrkdwn(text, style)


def mrkdwn(text: str, *, resolve: Resolver | None = None, zone: tzinfo = UTC, ansi: bool = False) -> str:
    """One string of Slack's markup as readable text; the options are those of `plain`."""
    return _mrkdwn(text, _Style(resolve, zone, ansi))


def in_utc(text: str) -> str:
    """A sentence whose dates stand as its fallbacks say them, which name UTC: for a reader whose clock is not known."""
    return _ANGLE.sub(lambda found: found[1].partition("|")[2] if found[1].startswith("!date^") else found[0], text)


def _message(message: Json, text: str, style: _Style) -> str:
    body = _blocks(message.get("blocks") or [], style) or _mrkdwn(message.get("text") or text, style)
    if "blocks" in message and message.get("title"):
        body = f"{style.paint('bold', _text(message['title'], style))}\n{body}"
    parts = [body, *(_attachment(each, style) for each in message.get("attachments") or [])]
    if message.get("submit"):
        parts.append(f"[{_text(message['submit'], style)}]")
    return "\n".join(part for part in parts if part)


def _attachment(attachment: Json, style: _Style) -> str:
    fallback = attachment.get("text") or attachment.get("fallback") or ""
    body = _blocks(attachment.get("blocks") or [], style) or _mrkdwn(fallback, style)
    return "\n".join(f"│ {line}" for line in body.splitlines())


def _blocks(blocks: Iterable[Json], style: _Style) -> str:
    rendered = (_BLOCKS.get(block.get("type", ""), _unknown)(block, style) for block in blocks)
    return "\n".join(part for part in rendered if part)


def _text(value: Any, style: _Style) -> str:
    if isinstance(value, str):
        return _emoji(value)
    if not isinstance(value, Mapping):
        return ""
    if value.get("type") == "mrkdwn":
        return _mrkdwn(value.get("text", ""), style)
    if value.get("type") == "rich_text":
        return _rich_text(value, style)
    return _emoji(str(value.get("text", "")))


def _section(block: Json, style: _Style) -> str:
    body = _text(block.get("text"), style)
    fields = [_text(field, style) for field in block.get("fields") or []]
    if fields:
        body = "\n".join(part for part in (body, _columns(fields)) if part)
    accessory = _element(block["accessory"], style) if block.get("accessory") else ""
    return f"{body}  {accessory}".strip() if accessory else body


def _columns(fields: Sequence[str]) -> str:
    """Slack shows fields in two columns, row by row; so do we, aligned."""
    left, right = fields[0::2], fields[1::2]
    width = max(_width(line) for cell in left for line in cell.splitlines() or [""])
    rows = []
    for one, two in zip_longest(left, right, fillvalue=""):
        pairs = zip_longest(one.splitlines(), two.splitlines(), fillvalue="")
        rows += [f"{_pad(a, width)}    {b}".rstrip() for a, b in pairs]
    return "\n".join(rows)


def _context(block: Json, style: _Style) -> str:
    parts = [_element(each, style) for each in block.get("elements") or []]
    return style.paint("dim", "  ".join(part for part in parts if part))


def _header(block: Json, style: _Style) -> str:
    return style.paint("bold", _text(block.get("text"), style))


def _divider(_block: Json, _style: _Style) -> str:
    return _RULE


def _actions(block: Json, style: _Style) -> str:
    return " ".join(_element(each, style) for each in block.get("elements") or [])


def _image(block: Json, style: _Style) -> str:
    return f"(image: {_text(block.get('title'), style) or block.get('alt_text', '')})"


def _input(block: Json, style: _Style) -> str:
    label = _text(block.get("label"), style)
    hint = _text(block.get("hint"), style)
    optional = " (optional)" if block.get("optional") else ""
    line = f"{label}{optional}: {_element(block.get('element') or {}, style)}"
    return f"{line}\n  {hint}" if hint else line


def _markdown(block: Json, style: _Style) -> str:
    text = re.sub(r"\*\*(.+?)\*\*", r"*\1*", str(block.get("text", "")))
    text = re.sub(r"\[([^\]]+)\]\(([^)]+)\)", r"<\2|\1>", text)
    return _mrkdwn(text, style)


def _alert(block: Json, style: _Style) -> str:
    sign = {"error": "🔴", "warning": "⚠️", "success": "✅"}.get(block.get("level", ""), "ℹ️")
    return f"{sign} {_text(block.get('text'), style)}"


def _table(block: Json, style: _Style) -> str:
    rows = [[_text(cell, style) for cell in row] for row in block.get("rows") or []]
    if not rows:
        return ""
    widths = [max(map(_width, column)) for column in zip_longest(*rows, fillvalue="")]
    return "\n".join(
        "  ".join(_pad(cell, width) for cell, width in zip(row, widths, strict=False)).rstrip() for row in rows
    )


def _card(block: Json, style: _Style) -> str:
    parts = [_text(block.get(key), style) for key in ("title", "subtitle", "body")]
    parts += [_actions({"elements": block.get("actions") or []}, style)]
    parts += [_blocks(block.get("child_blocks") or [], style)]
    return "\n".join(part for part in parts if part)


def _rich_text(block: Json, style: _Style) -> str:
    return "\n".join(_rich_part(each, style) for each in block.get("elements") or [])


def _rich_part(part: Json, style: _Style) -> str:
    if part.get("type") == "rich_text_list":
        numbered = part.get("style") == "ordered"
        lines = enumerate((_rich_part(item, style) for item in part.get("elements") or []), 1)
        return "\n".join(f"{number}. {line}" if numbered else f"• {line}" for number, line in lines)
    body = "".join(_rich_leaf(leaf, style) for leaf in part.get("elements") or [])
    return f"> {body}" if part.get("type") == "rich_text_quote" else body


def _rich_leaf(leaf: Json, style: _Style) -> str:
    kind = leaf.get("type")
    if kind == "emoji":
        return _emoji(f":{leaf.get('name', '')}:")
    if kind == "link":
        return _link(leaf.get("url", ""), leaf.get("text", ""))
    if kind == "user":
        return _named("@", leaf.get("user_id", ""), "", style)
    if kind == "channel":
        return _named("#", leaf.get("channel_id", ""), "", style)
    if kind == "usergroup":
        return _named("@", leaf.get("usergroup_id", ""), "", style)
    text = str(leaf.get("text", ""))
    return style.paint("bold", text) if (leaf.get("style") or {}).get("bold") else text


def _unknown(block: Json, style: _Style) -> str:
    return _text(block.get("text") or block.get("title"), style)


_BLOCKS: Mapping[str, Callable[[Json, _Style], str]] = {
    "section": _section, "context": _context, "header": _header, "divider": _divider, "actions": _actions,
    "image": _image, "input": _input, "markdown": _markdown, "alert": _alert, "table": _table,
    "card": _card, "container": _card, "rich_text": _rich_text,
}  # fmt: skip


def _element(element: Json, style: _Style) -> str:
    kind = element.get("type", "")
    if kind in {"plain_text", "mrkdwn"}:
        return _text(element, style)
    if kind in {"button", "workflow_button"}:
        label = _text(element.get("text"), style)
        return f"[{_link(element['url'], label)}]" if element.get("url") else f"[{label}]"
    if kind == "image":
        return f"({element.get('alt_text', '')})"
    if kind == "overflow":
        return f"[{' | '.join(_text(each.get('text'), style) for each in element.get('options') or [])}]"
    if kind in {"checkboxes", "radio_buttons"}:
        return _choices(element, style)
    shown = _chosen(element, style) or _text(element.get("placeholder"), style)
    if kind.endswith("_input"):
        return f"[{shown or '____'}]"
    return f"[{shown or 'Choose'} ▾]"


def _chosen(element: Json, style: _Style) -> str:
    if element.get("initial_option"):
        return _text(element["initial_option"].get("text"), style)
    for key in ("initial_value", "initial_date", "initial_time"):
        if element.get(key):
            return str(element[key])
    return ""


def _choices(element: Json, style: _Style) -> str:
    picked = element.get("initial_options") or [element.get("initial_option")]
    options = element.get("options") or []
    return "  ".join(f"({'x' if option in picked else ' '}) {_text(option.get('text'), style)}" for option in options)


def _mrkdwn(text: str, style: _Style) -> str:
    """Code is set aside first: nothing inside it is markup."""
    kept: list[str] = []

    def aside(match: re.Match[str]) -> str:
        kept.append(match[1] if match[1] is not None else match[2])
        return f"\0{len(kept) - 1}\0"

    text = _CODE.sub(aside, text)
    for how, mark in _MARKS:
        text = mark.sub(partial(_painted, style, how), text)
    text = _emoji(_ANGLE.sub(lambda found: _angle(found[1], style), text))
    text = re.sub(r"\0(\d+)\0", lambda found: kept[int(found[1])], text)
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _painted(style: _Style, how: str, found: re.Match[str]) -> str:
    return style.paint(how, found[1])


def _angle(inner: str, style: _Style) -> str:
    target, _, label = inner.partition("|")
    if target.startswith("!date^"):
        return _date(target, label, style)
    if target.startswith("!subteam^"):
        return _named("@", target.removeprefix("!subteam^"), label, style)
    if target.startswith("!"):
        return f"@{target[1:]}"
    if target[0] in "@#":
        return _named(target[0], target[1:], label, style)
    return _link(target, label)


def _named(sign: str, identity: str, label: str, style: _Style) -> str:
    known = style.resolve(identity) if style.resolve else None
    return sign + (known or label or identity).lstrip(sign)


def _link(url: str, label: str) -> str:
    bare = url.removeprefix("mailto:").removeprefix("tel:")
    if not label or label in {url, bare}:
        return bare
    return f"{label} ({bare})"


def _date(target: str, fallback: str, style: _Style) -> str:
    _, stamp, pattern, *link = target.split("^")
    try:
        moment = datetime.fromtimestamp(int(stamp), UTC).astimezone(style.zone)
    except (ValueError, OverflowError, OSError):
        return fallback
    shown = _DATE_TOKEN.sub(lambda found: _date_part(found[1], moment) or found[0], pattern)
    return _link(link[0], shown) if link else shown


def _date_part(token: str, moment: datetime) -> str:
    # %-d is not known everywhere, so the day without its zero is put in by hand.
    return moment.strftime(_DATE_FORMATS.get(token, "").replace("%-d", str(moment.day)))


def _emoji(text: str) -> str:
    return _SHORT_NAME.sub(lambda found: EMOJI.get(found[1], found[0]), text)


_ANSI = re.compile(r"\x1b\[\d+m")


def _width(text: str) -> int:
    """Columns on a terminal: wide characters take two, marks that join another take none."""
    bare = _ANSI.sub("", text)
    return sum(
        0 if unicodedata.combining(char) or char == "️" else 1 + (unicodedata.east_asian_width(char) in "WF")
        for char in bare
    )


def _pad(text: str, width: int) -> str:
    return text + " " * (width - _width(text))
