"""Roles: the refusals that name who may, and the card of a broken glass in each state."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from bot.access import Access, Actor, Group, Groups
from bot.config import BreakGlassSettings, RoleSettings
from bot.errors import BotError
from bot.services.break_glass import GlassStatus
from bot.slack.blocks import View
from bot.slack.groups import unreadable
from bot.slack.views import break_glass
from storage.models import BreakGlass, Timeline
from tests.gallery.scene import Scenes, each
from tests.gallery.things import ANA, HOSTILE, MARIA, NIGHT

GUEST = Actor("U0GUEST", "guest")
SENDERS = Groups({"@email-senders": Group("S0SENDERS", frozenset({"U0MARIA"}))})
AWAY = Groups(trouble=unreadable("internal_error"))
WHY = "all senders are asleep and the wrong price goes out"


def refused(
    permission: str, actor: Actor = GUEST, groups: Groups | None = None, *, glass: bool = False, **roles: list[str]
) -> Callable[[], View]:
    def draw() -> View:
        access = Access(RoleSettings.model_validate(roles), [], BreakGlassSettings() if glass else None)
        access.learn_groups(groups or Groups())
        try:
            access.require(actor, permission)
        except BotError as error:
            return View(str(error))  # as bot/slack/edge.py says it
        raise AssertionError("this was to be refused")

    return draw


def deed(number: int, text: str) -> Timeline:
    return Timeline(id=number, at=NIGHT + timedelta(minutes=number), kind="campaign.cancel", text=text, data={})


def glass(
    deeds: int = 0, *, minutes: int = 5, text: str = f"{MARIA} cancelled spring-sale.", **changes: Any
) -> GlassStatus:
    values: dict[str, Any] = {"ended_at": None, "ended_by": None, "reason": WHY} | changes
    row = BreakGlass(id=3, user_id="U0MARIA", began_at=NIGHT, ends_at=NIGHT + timedelta(hours=1), **values)
    done = tuple(deed(number, text) for number in range(1, deeds + 1))
    return GlassStatus(row, done, NIGHT + timedelta(minutes=minutes))


CARDS: dict[str, GlassStatus] = {
    "in force, nothing done": glass(),
    "in force, one deed": glass(1),
    "in force, 500 deeds": glass(500),
    "in force, others wrote": glass(1, text=f"{MARIA} paused {HOSTILE}", reason=HOSTILE),
    "in force, the longest reason and deeds": glass(9, text="long " * 200, reason="why " * 125),
    "its time is over, not marked yet": glass(1, minutes=61),
    "its time is over": glass(2, minutes=61, ended_at=NIGHT + timedelta(hours=1)),
    "ended by an approver": glass(ended_at=NIGHT + timedelta(minutes=12), ended_by=ANA),
}
REFUSALS: dict[str, Callable[[], View]] = {
    "a person may": refused("campaign.start", sender=["U0MARIA"]),
    "a group and a person may": refused("notice.send", groups=SENDERS, sender=["@email-senders", "U0ANA"]),
    "twenty may": refused("resend.approve", approver=[f"U{number}" for number in range(11, 31)]),
    "nobody has the role yet": refused("resend.approve"),
    "there is a way in an emergency": refused("campaign.cancel", groups=SENDERS, sender=["@email-senders"], glass=True),
    "the group cannot be read": refused("campaign.start", groups=AWAY, sender=["@email-senders", "U0ANA"]),
    "the app lacks the scope": refused(
        "campaign.start", groups=Groups(trouble=unreadable("missing_scope")), sender=["@email-senders"]
    ),
    "a viewer": refused("campaign.pause", viewer=["U0GUEST"]),
    "somebody from elsewhere": refused("outage.declare", Actor("U9", "out", outsider=True)),
}

SCENES: Scenes = {
    **{f"refused: {name}": draw for name, draw in REFUSALS.items()},
    **each("break-glass", break_glass.card, CARDS),
    "/holdfast break-glass: nobody": lambda: break_glass.listing([]),
    "/holdfast break-glass: one": lambda: break_glass.listing([glass(2)]),
    "/holdfast break-glass: twelve": lambda: break_glass.listing([glass(reason="why " * 125)] * 12),
    "/holdfast break-glass REASON": lambda: break_glass.broken(glass()),
    "/holdfast break-glass end": lambda: break_glass.ended(glass(minutes=61)),
}
