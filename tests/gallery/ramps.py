"""Ramps: the message about one in each state, and the one that says that too much came back."""

from typing import Any

from bot.services.ramp_shapes import RampCard, RampStatus
from bot.services.ramping import Seen
from bot.services.words import moment
from bot.slack.views import ramp
from storage.models import Campaign, Timeline
from tests.gallery.scene import Scenes, each
from tests.gallery.things import HOSTILE, MARIA, NIGHT, campaign

SIZES = (10_000, 50_000, 250_000, 1_000_000)


def stages(stage: int = 2, **changes: Any) -> RampStatus:
    values: dict[str, Any] = {
        "id": 5,
        "stages": (1, 5, 25, 100),
        "allowed": SIZES[stage - 1] if stage else 0,
        "total": SIZES[-1],
        "due_at": None,
        "has_more": stage < len(SIZES),
        "limit": 5.0,
    }
    return RampStatus(stage=stage, **(values | changes))


def large(state: str = "sending", **changes: Any) -> Campaign:
    return campaign("newsletter-may", state, recipients=1_000_000, **changes)


def card(row: Campaign | None = None, status: RampStatus | None = None, hold: str = "") -> RampCard:
    seen = Seen(tried=31_200, bounced=402, refused=12, temporary=31, complaints=2)
    return RampCard(row or large(), status or stages(), seen, hold, NIGHT)


WHY = "3,050 of 50,000 were refused as unknown addresses (6.1 %, the limit is 5 %)"
STOPPED = f"stopped by Holdfast at {moment(NIGHT, NIGHT)}: {WHY}"
CARDS: dict[str, RampCard] = {
    "a stage goes out": card(),
    "a stage is out, and the next waits": card(status=stages(due_at=NIGHT.replace(minute=40))),
    "the last stage": card(status=stages(4)),
    "stopping": card(large("pausing", hold="threshold"), hold=STOPPED),
    "stopped by Holdfast": card(large("paused", hold="threshold"), hold=STOPPED),
    "paused by a person": card(
        large("paused", hold="person"), hold=f"paused by {MARIA} at {moment(NIGHT, NIGHT)}: {HOSTILE}"
    ),
    "held by an outage": card(large("paused", hold="outage"), hold="held by outage #3"),
    "finished": card(large("finished"), stages(4)),
    "cancelled": card(large("cancelled")),
}


def said(name: str = "newsletter-may", at: str = " at 5 %", why: str = WHY) -> Timeline:
    text = f"Holdfast stopped {name}{at}: {why}. Look at the list, then /campaign resume {name} goes on."
    return Timeline(kind="campaign.stopped", text=text, actor="holdfast", at=NIGHT, campaign_id=7)


SCENES: Scenes = {
    **each("card", ramp.card, CARDS),
    "stopped": lambda: ramp.stopped(said(), large("paused", hold="threshold")),
    "stopped, without a ramp": lambda: ramp.stopped(
        said("a" * 63, at=""), campaign("a" * 63, "paused", hold="threshold")
    ),
    "stopped, and it has gone on since": lambda: ramp.stopped(said(), large()),
}
