"""The card that asks a second person about a large campaign, in each state."""

from typing import Any

from bot.services.campaign_asking import AskStatus, Deed
from bot.slack.views import campaign_asking
from storage.campaigns import Placed
from storage.models import Approval, Campaign
from tests.gallery.ramps import stages
from tests.gallery.scene import Scenes, each
from tests.gallery.things import HOSTILE, NIGHT, approval, campaign, server


def asked(deed: Deed = "start", state: str = "pending", row: Campaign | None = None, **changes: Any) -> AskStatus:
    values: dict[str, Any] = {
        "placed": Placed(row or large(), server(), server()),
        "sender": "Shop <news@shop.example>",
        "to_go": 812_000,
        "approvers": ("<!subteam^S0SENDERS>", "<@U0ANA>"),
    }
    return AskStatus(approval=question(deed, state), deed=deed, **(values | changes))


def question(deed: Deed, state: str = "pending") -> Approval:
    made = approval("campaign", state, subject_id=7, plan_hash=f"{deed}-{'ab' * 28}", decided_at=NIGHT)
    if state in {"expired", "void"}:
        made.decided_by = None
    return made


def large(name: str = "newsletter-may", **changes: Any) -> Campaign:
    return campaign(name, "scheduled", recipients=812_000, **changes)


CARDS: dict[str, AskStatus] = {
    "start": asked(),
    "start, through the backup, before the offer ends": asked(
        placed=Placed(large(expires_at=NIGHT.replace(hour=18)), server(), server("backup", id=2))
    ),
    "start, in stages": asked(ramp=stages(0, total=812_000)),
    "start, nobody may approve": asked(approvers=()),
    "start, others wrote": asked(row=large(subject=HOSTILE), sender=HOSTILE, approvers=("everybody",)),
    "start, the longest name": asked(row=large("long-name-" * 8)),
    "cancel": asked("cancel", to_go=401_200),
    "start, approved": asked(state="approved"),
    "cancel, approved": asked("cancel", "approved"),
    "start, rejected": asked(state="rejected"),
    "cancel, rejected": asked("cancel", "rejected"),
    "start, nobody decided": asked(state="expired"),
    "start, void": asked(state="void"),
}

SCENES: Scenes = each("a second person for a large campaign", campaign_asking.card, CARDS)
