"""The gallery as one HTML page that looks like a channel, for people who look. Slack's own pixels are not the aim."""

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from bot.slack.blocks import View
from bot.slack.plain import EMOJI, mrkdwn
from tests.gallery.scene import Payload, Scenes, problems
from tests.gallery.things import NAMES

_STYLE = """
body{font:15px/1.46 Lato,"Liberation Sans",Arial,"Noto Color Emoji",sans-serif;
color:#1d1c1d;margin:24px;max-width:720px}
h1{font-size:22px}h2{font-size:13px;color:#616061;font-weight:400;border-top:1px solid #ddd;padding-top:12px}
.message{padding:4px 0 4px 12px;border-left:4px solid #e8e8e8}.phone{color:#616061;font-size:12px;font-style:italic}
.header{font-size:18px;font-weight:900;margin:6px 0}.section{margin:8px 0;white-space:pre-wrap;overflow-wrap:anywhere}
.fields{display:grid;grid-template-columns:1fr 1fr;gap:8px 16px;margin:8px 0;white-space:pre-wrap}
.context{font-size:13px;color:#616061;margin:6px 0}.actions{margin:8px 0}hr{border:0;border-top:1px solid #ddd}
code{background:#f6f6f6;border:1px solid #ddd;border-radius:3px;color:#c01343;padding:1px 3px;font-size:12px}
pre{background:#f8f8f8;border:1px solid #ddd;border-radius:4px;padding:8px;
font:12px/1.5 "Liberation Mono","Noto Color Emoji",monospace;
white-space:pre-wrap}
button{font:700 13px Lato,"Liberation Sans",Arial;border:1px solid #bbb;border-radius:4px;background:#fff;
padding:5px 12px;margin-right:8px}
button.primary{background:#007a5a;color:#fff;border-color:#007a5a}button.danger{background:#e01e5a;color:#fff;border-color:#e01e5a}
.wrong{color:#e01e5a;font-weight:700}
"""
_CODE = re.compile(r"```\n?(.*?)\n?```|`([^`\n]+)`", re.DOTALL)
_BOLD = re.compile(r"(?<![\w*])\*(?=\S)([^*\n]+?)(?<=\S)\*(?![\w*])")
_ITALIC = re.compile(r"(?<![\w_])_(?=\S)([^_\n]+?)(?<=\S)_(?![\w_])")
_ANGLE = re.compile(r"<([^<>]+)>")


def page(groups: Mapping[str, Scenes]) -> str:
    """A whole document; a scene that Slack would refuse says so in red."""
    body = "".join(
        f"<h1>{escape(group)}</h1>" + "".join(_scene(name, draw()) for name, draw in scenes.items())
        for group, scenes in groups.items()
    )
    return f"<!doctype html><meta charset=utf-8><title>Gallery</title><style>{_STYLE}</style>{body}\n"


def _scene(name: str, shown: View | Payload) -> str:
    wrong = "".join(f'<div class="wrong">{escape(each)}</div>' for each in problems(shown))
    if isinstance(shown, View):
        phone = f'<div class="phone">📱 {escape(mrkdwn(shown.text, resolve=NAMES.get))}</div>'
        blocks = shown.blocks or [{"type": "section", "text": {"type": "mrkdwn", "text": shown.text}}]
    else:
        phone, blocks = f'<div class="header">{_text(shown.get("title"))}</div>', shown["blocks"]
    drawn = "".join(map(_block, blocks))
    return f'<h2>{escape(name)}</h2>{wrong}<div class="message">{phone if drawn else ""}{drawn}</div>'


def _block(block: Payload) -> str:
    kind = str(block["type"])
    if kind == "divider":
        return "<hr>"
    if kind in {"actions", "context"}:
        return f'<div class="{kind}">{" ".join(map(_element, block["elements"]))}</div>'
    if kind == "input":
        return f'<div class="section"><b>{_text(block["label"])}</b>\n{_element(block["element"])}</div>'
    fields = "".join(f"<div>{_text(each)}</div>" for each in block.get("fields", []))
    beside = _element(block["accessory"]) if block.get("accessory") else ""
    text = f'<div class="{kind}">{_text(block.get("text"))}{beside}</div>' if block.get("text") or beside else ""
    return text + (f'<div class="fields">{fields}</div>' if fields else "")


def _element(element: Payload) -> str:
    if element["type"] in {"mrkdwn", "plain_text"}:
        return f"<span>{_text(element)}</span>"
    label = _text(element.get("text") or element.get("placeholder")) or escape(str(element["type"]))
    return f'<button class="{element.get("style", "")}">{label}</button>'


def _text(value: Any) -> str:
    if not isinstance(value, Mapping):
        return ""
    text = str(value.get("text", ""))
    return _marked(text) if value.get("type") == "mrkdwn" else escape(text)


def _marked(text: str) -> str:
    """Slack's markup as HTML. Code is set aside first: nothing inside it is markup."""
    kept: list[str] = []

    def aside(html: str) -> str:
        kept.append(html)
        return f"\0{len(kept) - 1}\0"

    text = _CODE.sub(lambda found: aside(_code(found.groups())), text)
    text = _ANGLE.sub(lambda found: aside(f"<b>{escape(mrkdwn(found[0], resolve=NAMES.get))}</b>"), text)
    text = _BOLD.sub(r"<b>\1</b>", text)
    text = _ITALIC.sub(r"<i>\1</i>", text)
    for name, sign in EMOJI.items():
        text = text.replace(f":{name}:", sign)
    return re.sub(r"\0(\d+)\0", lambda found: kept[int(found[1])], text)


def _code(found: Sequence[str | None]) -> str:
    block, inline = found
    return f"<pre>{block}</pre>" if block is not None else f"<code>{inline}</code>"
