"""The gallery as one HTML page for people who look, drawn by the same script as the demo's workspace page."""

import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from bot.demo import page as workspace_page
from bot.slack.blocks import View
from bot.slack.plain import EMOJI, mrkdwn
from tests.gallery.scene import Payload, Scenes, problems, questions
from tests.gallery.things import NAMES

ZONE, OFFSET = "Europe/Madrid", 7200
"""Whose eyes see it: somebody in Madrid, in summer."""
_STYLE = """
body{display:block;height:auto;max-width:760px;margin:0 auto;padding:16px}
h1{font-size:22px}h2{font-size:13px;color:#55545a;font-weight:400;border-top:1px solid #ddd;padding-top:12px}
article{margin:4px 0 18px;overflow-wrap:anywhere}article>.drawn{border-left:4px solid #e8e8e8;padding-left:12px}
.phone,.asks{color:#55545a;font-size:12px;font-style:italic}.wrong{color:#b3123f;font-weight:700}
"""
_DRIVER = """
useEmoji(GALLERY.emoji);
const hands = { press: () => {}, errors: {}, fields: new Map() };
for (const scene of document.querySelectorAll("article")) {
  const blocks = JSON.parse(scene.querySelector("script").textContent);
  scene.querySelector(".drawn").append(...draw(blocks, GALLERY.seen, hands));
}
document.body.dataset.drawn = "all";
"""
_MODULE_WORDS = re.compile(r"^import .*\n|^export (?=function)", re.MULTILINE)


def page(groups: Mapping[str, Scenes]) -> str:
    """A whole document in one file; a scene that Slack would refuse says so in red."""
    body = "".join(
        f"<h1>{escape(group)}</h1>" + "".join(_scene(name, draw()) for name, draw in scenes.items())
        for group, scenes in groups.items()
    )
    seen = {
        "me": {"zone": ZONE, "offset": OFFSET},
        "names": dict(NAMES),
        **{name: {} for name in ("groups", "channelNames")},
        **{name: [] for name in ("people", "channels")},
    }
    known = f"const GALLERY = {_json({'emoji': dict(EMOJI), 'seen': seen})};"
    # A browser refuses modules that a file imports from another file, so they are all in one.
    script = "\n".join([known, *(_MODULE_WORDS.sub("", _static(name)) for name in ("markup.js", "kit.js")), _DRIVER])
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Gallery</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<style>{_static("style.css")}{_STYLE}</style>{body}<script type="module">{script}</script></html>\n'
    )


def _scene(name: str, shown: View | Payload) -> str:
    wrong = "".join(f'<div class="wrong">{escape(each)}</div>' for each in problems(shown))
    asks = "".join(f'<div class="asks">{escape(each)}</div>' for each in questions(shown))
    data = f'<script type="application/json">{_json(list(_blocks(shown)))}</script>'
    head = f"<h2>{escape(name)}</h2>{wrong}{_above(shown)}"
    return f'<article>{head}{data}<div class="drawn"></div>{asks}</article>'


def _above(shown: View | Payload) -> str:
    """What a phone shows of a message, or the title of a modal."""
    if not isinstance(shown, View):
        return f"<h3>{escape(str((shown.get('title') or {}).get('text', 'Home')))}</h3>"
    notification = escape(mrkdwn(shown.text, resolve=NAMES.get))
    return f'<div class="phone">On a phone: {notification}</div>' if shown.blocks else ""


def _blocks(shown: View | Payload) -> Iterator[Any]:
    if not isinstance(shown, View):
        yield from shown["blocks"]
    elif shown.blocks:
        yield from shown.blocks
    else:
        yield {"type": "section", "text": {"type": "mrkdwn", "text": shown.text}}


def _json(value: Any) -> str:
    """JSON that can stand inside a script element."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")


def _static(name: str) -> str:
    return (workspace_page.STATIC / name).read_text(encoding="utf-8")
