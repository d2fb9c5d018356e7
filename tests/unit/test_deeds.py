"""The table of what asks first and how it is taken back is the one that operators read."""

import re
from pathlib import Path

from bot.services.plans import DEEDS, Way

ROOT = Path(__file__).parents[2]
_ROW = re.compile(r"^\| `/(\w+) ([\w -]+)`([^|]*)\| (yes|no) \| ([^|]+) \|$", re.MULTILINE)
_OTHERWISE = {
    "notice cancel while it goes out": "notice.stop",
    "maintenance cancel once it has begun": "maintenance.end",
    "campaign start of a large one": "campaign.start_large",
    "campaign cancel of a large one": "campaign.cancel_large",
    "campaign approve of a cancellation": "campaign.approve_end",
    "holdfast undo": "undo",
    "holdfast break-glass": "glass.break",
    "holdfast break-glass end": "glass.end",
    "outage ack": "outage.acknowledge",
}


def test_the_table_of_the_operators_is_the_one_that_the_bot_goes_by() -> None:
    told = {}
    for noun, verb, when, asks, way in _ROW.findall((ROOT / "docs" / "operating.md").read_text()):
        words = f"{noun} {verb}{when.rstrip()}"
        told[_OTHERWISE.get(words, f"{noun}.{verb.replace(' ', '_')}")] = (asks == "yes", way)
    assert told == {name: (deed.asks, str(deed.undo)) for name, deed in DEEDS.items()}


def test_what_cannot_be_undone_and_reaches_many_asks_first() -> None:
    for name in ("campaign.cancel", "resend.cancel", "notice.stop", "maintenance.end"):
        assert DEEDS[name].asks
        assert DEEDS[name].undo == Way.NEVER
