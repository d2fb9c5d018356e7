"""`/holdfast approvals`: what waits for a decision, with its buttons."""

from datetime import timedelta
from typing import Any

from bot.services.deciding import Decision, Decisions, Kind
from bot.slack.views import approvals
from tests.gallery.scene import Scenes, each
from tests.gallery.things import ANA, BEN, HASH, HOSTILE, MARIA, NIGHT, approval

NO_ROLE = "that needs the role approver"
OWN = "you asked for it, so somebody else decides"


def decision(kind: Kind = "resend", **changes: Any) -> Decision:
    is_resend, is_campaign = kind == "resend", kind in {"start", "cancel"}
    values: dict[str, Any] = {
        "number": 4,
        "plan_hash": HASH,
        "recipients": 250,
        "canary": 3 if is_resend else 0,
        "counts": {"safe": 248, "unknown": 2} if is_resend else {},
        "campaigns": ("newsletter-may",) if is_campaign else ("spring-sale",),
        "outage_id": None if is_campaign else 3,
        "subject": {"notice": "About our recent emails"}.get(kind, "Spring sale: 20 % off" if is_campaign else ""),
        "text": "Your order mail is late. You need not do anything." if kind == "notice" else "",
        "asked_by": MARIA,
        "asked_at": NIGHT,
        "expires_at": None if kind == "rest" else NIGHT + timedelta(hours=2),
        "own": False,
        "obstacle": None,
    }
    return Decision(kind, **(values | changes))


def waiting(*decisions: Decision, **changes: Any) -> Decisions:
    values: dict[str, Any] = {
        "decided": (),
        "names": {7: "newsletter-may"},
        "approvers": (ANA, BEN),
        "only_mine": False,
        "at": NIGHT + timedelta(minutes=12),
    }
    return Decisions(decisions, **(values | changes))


LATELY = (
    approval("resend", "approved", decided_at=NIGHT, choice="canary"),
    approval("notice", "rejected", decided_at=NIGHT, subject_id=2),
    approval("resend", "expired", decided_at=NIGHT, subject_id=3, decided_by=None),
)
LISTS: dict[str, Decisions] = {
    "nothing waits": waiting(),
    "nothing waits for you": waiting(only_mine=True),
    "a resend for you": waiting(decision()),
    "one message": waiting(decision(recipients=1, canary=0, counts={"safe": 1})),
    "a notice for you, your own resend, some decided": waiting(
        decision("notice", asked_by=BEN), decision(own=True, obstacle=OWN), decided=LATELY
    ),
    "the rest after the first 1 %": waiting(decision("rest", recipients=247)),
    "a large campaign to start, another to cancel": waiting(
        decision("start", number=7, recipients=812_000),
        decision("cancel", number=8, recipients=401_200, campaigns=("old-offer",)),
        decided=(
            approval("campaign", "approved", decided_at=NIGHT, subject_id=7, plan_hash=f"start-{HASH[:56]}"),
            approval("campaign", "rejected", decided_at=NIGHT, subject_id=8, plan_hash=f"cancel-{HASH[:56]}"),
        ),
        names={7: "newsletter-may", 8: "old-offer"},
    ),
    "your own campaign": waiting(decision("start", number=7, recipients=812_000, own=True, obstacle=OWN)),
    "a campaign, what others wrote": waiting(
        decision("cancel", number=7, recipients=812_000, subject=HOSTILE * 50, asked_by=HOSTILE)
    ),
    "for somebody without the role": waiting(decision(obstacle=NO_ROLE), decision("notice", obstacle=NO_ROLE)),
    "nobody else may": waiting(decision(own=True, obstacle=OWN), approvers=(MARIA,)),
    "500 of them": waiting(*(decision(number=number) for number in range(1, 501))),
    "many campaigns": waiting(decision(campaigns=tuple(f"mailing-{n:03}" for n in range(500)))),
    "what others wrote": waiting(decision("notice", subject=HOSTILE, text=HOSTILE * 50, asked_by=HOSTILE)),
}

SCENES: Scenes = {
    **each("/holdfast approvals", approvals.listing, LISTS),
    "/holdfast approvals: the last page": lambda: approvals.listing(LISTS["500 of them"], 1000),
    "a button was pressed": lambda: approvals.after(
        waiting(decision("notice"), decided=LATELY[:1]), "Resend 4 is approved: its first 1 % goes out."
    ),
}
