"""A name from right to left stays in its place, and no character of anybody turns a sentence round."""

import unicodedata

import pytest

from bot.access import Actor
from bot.bidi import isolated, untwisted
from bot.slack.blocks import escape
from bot.slack.views.timeline import safe

MARYAM = "مريم العلي"


def base_direction(text: str) -> str:
    """The direction of a paragraph: rules P2 and P3 of https://www.unicode.org/reports/tr9/."""
    depth = 0
    for letter in text:
        kind = unicodedata.bidirectional(letter)
        if kind in {"LRI", "RLI", "FSI"}:
            depth += 1
        elif kind == "PDI":
            depth = max(0, depth - 1)
        elif not depth and kind in {"L", "R", "AL"}:
            return "left to right" if kind == "L" else "right to left"
    return "left to right"


@pytest.mark.parametrize(
    "actor",
    [
        Actor(id="maryam", name=MARYAM, source="terminal"),
        Actor(id="U1", name=MARYAM, workspace="שיווק"),
    ],
)
def test_a_sentence_that_begins_with_such_a_name_still_runs_from_left_to_right(actor: Actor) -> None:
    sentence = f"{actor.mention} paused spring-sale: 3 of 10 had gone out."

    assert MARYAM in sentence
    # Slack draws a person's mention as a thing of its own.
    assert base_direction(safe(sentence).replace("<@U1>", "")) == "left to right"


def test_a_piece_from_right_to_left_is_isolated_and_any_other_is_left_alone() -> None:
    assert isolated(MARYAM) == f"\u2068{MARYAM}\u2069"
    for piece in ("spring-sale", "Zoë 🎉", "春のセール", ""):
        assert isolated(piece) == piece


def test_a_piece_cannot_end_its_isolation_by_itself() -> None:
    assert isolated(f"{MARYAM}\u2069\u2069 x") == f"\u2068{MARYAM} x\u2069"


@pytest.mark.parametrize("turn", ["\u202a", "\u202b", "\u202d", "\u202e", "\u2066", "\u2067"])
def test_overrides_and_embeddings_are_left_out_everywhere(turn: str) -> None:
    assert escape(f"gnp.{turn}exe <!channel>") == "gnp.exe &lt;!channel&gt;"
    assert safe(f"<@U1> paused {turn}x") == "<@U1> paused x"
    assert untwisted(f"{turn}x") == "x"


def test_marks_that_belong_to_a_script_are_kept() -> None:
    assert isolated("می\u200cخواهم") == "\u2068می\u200cخواهم\u2069"
