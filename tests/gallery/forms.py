"""Modals, empty and filled in, with few things to choose from and with many."""

from typing import Any

from bot.services.outage_shapes import OutageRow
from bot.services.server_results import ServerRow
from bot.slack.views import forms
from storage.models import OutageState
from tests.gallery.outages import OPEN, OVER, ROWS
from tests.gallery.outages import row as outage
from tests.gallery.scene import Scenes
from tests.gallery.things import BEN, HOSTILE, server


def row(name: str = "primary", state: str = "up", **changes: Any) -> ServerRow:
    values: dict[str, Any] = {
        "window": None,
        "outage": None,
        "backup": None,
        "carrier": None,
        "carries_for": (),
        "campaigns": (),
    }
    return ServerRow(server(name), state, **(values | changes))


FEW = [row(), row("backup", "down"), row("s" * 63, "maintenance")]
MANY = [row(f"server-{number}") for number in range(1, 501)]
LONG = OutageRow(outage(OutageState.ACKNOWLEDGED, id=9, title=HOSTILE + " long" * 50), ("primary", "second"), 2)

SCENES: Scenes = {
    "declare": lambda: forms.declare(FEW, "hold"),
    "declare: one server, a text": lambda: forms.declare(FEW[:1], "failover", server="primary", text=HOSTILE),
    "declare: 500 servers": lambda: forms.declare(MANY, "tell"),
    "plan a resend": lambda: forms.plan([OPEN, OVER], ["spring-sale", "welcome"], target="#3"),
    "plan a resend: no outage": lambda: forms.plan([], ["spring-sale"]),
    "plan a resend: 500 of each": lambda: forms.plan(ROWS, [f"campaign-{number}" for number in range(1, 501)]),
    "add a server": forms.server,
    "add a server: with a name": lambda: forms.server("relay-7"),
    "add to timeline": lambda: forms.message([OPEN, LONG], HOSTILE, BEN),
    "add to timeline: a long text": lambda: forms.message(ROWS, "long " * 700, BEN),
    "send an update": lambda: forms.update(3, ("primary", "second")),
    "make an action item": lambda: forms.action([OPEN, OVER], "check the disks", outage="#3"),
    "make an action item: a long text": lambda: forms.action([LONG], "long " * 700),
}
