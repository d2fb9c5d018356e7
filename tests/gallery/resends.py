"""Resends: the card in each state, and the answers of `/resend`."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from bot.services.resend_shapes import Carrier, Progress, ResendStatus
from bot.services.unknown_shapes import UnknownList, UnknownRow
from bot.slack.views import resend, resend_replies, unknown
from storage.models import Resend
from storage.reports import Unknown
from tests.gallery.ramps import stages
from tests.gallery.scene import Scenes, each
from tests.gallery.things import ANA, BEN, HASH, HOSTILE, MARIA, NIGHT, approval

FOUND = {"safe": 612, "refused": 2, "unknown": 3, "permanent": 12, "suppressed": 4, "never_attempted": 760, "canary": 7}
ONE_FOUND = {"safe": 1, "canary": 1}


def row(state: str = "planned", **changes: Any) -> Resend:
    values: dict[str, Any] = {
        "id": 4,
        "outage_id": 3,
        "wish": state,
        "campaign_ids": [1],
        "include_unknown": False,
        "include_refused": False,
        "plan_hash": HASH,
        "counts": FOUND,
        "total": 612,
        "wave": -1 if state == "planned" else 1,
        "requested_by": MARIA,
        "created_at": NIGHT,
        "note": None,
    }
    return Resend(state=state, **(values | changes))


_DECIDED = {"planned": "pending", "rejected": "rejected", "void": "void"}


def shown(of: Resend | None = None, progress: Progress | None = None, **changes: Any) -> ResendStatus:
    resend = of or row()
    made = ResendStatus(
        resend=resend,
        campaigns=("spring-sale",),
        progress=progress or Progress(held_back=resend.total),
        rate_per_minute=120.0,
        carriers=(Carrier("primary", None, None),),
        approval=approval("resend", _DECIDED.get(resend.state, "approved")),
        approvers=(ANA, BEN),
        sender_runs=True,
        at=NIGHT,
    )
    return replace(made, **changes)


HALF = Progress(delivered=300, failed=5, unknown=1, queued=306)
LOOKED_AT = Progress(delivered=7, held_back=605)
DONE = Progress(delivered=600, failed=9, unknown=1, left=2)
BACKUP_DOWN = (Carrier("backup", "primary", "down"),)
TINY: dict[str, Any] = {"total": 1, "counts": ONE_FOUND}
CANARY: dict[str, Any] = {"wave": 0, "note": "the canary is done"}

WAVES = stages(0, total=612, has_more=True)

CARDS: dict[str, ResendStatus] = {
    "planned": shown(),
    "planned, in stages if somebody wants": shown(ramp=WAVES),
    "planned, in stages unasked": shown(ramp=WAVES, ramped_unasked=True),
    "planned, one message": shown(row(**TINY)),
    "planned, with what may have arrived": shown(row(include_unknown=True, include_refused=True, total=617)),
    "planned, some in another resend": shown(row(counts=FOUND | {"elsewhere": 5, "expired": 3})),
    "planned, of 500 campaigns": shown(campaigns=tuple(f"mailing-{number:03}" for number in range(1, 501))),
    "planned, of no outage": shown(row(outage_id=None)),
    "planned, its server is down": shown(carriers=BACKUP_DOWN),
    "planned, nobody may approve": shown(approvers=()),
    "planned, no data": shown(rate_per_minute=None),
    "nobody approved in time": shown(approval=approval("resend", "expired")),
    "the time to approve is over": shown(at=NIGHT + timedelta(hours=3)),
    "sending": shown(row("sending"), HALF),
    "sending, one message": shown(row("sending", **TINY), Progress(queued=1)),
    "sending, its server is in maintenance": shown(
        row("sending"), HALF, carriers=(Carrier("primary", None, "in maintenance"),)
    ),
    "sending, no sender": shown(row("sending"), HALF, sender_runs=False),
    "sending the first 1 %": shown(row("sending", wave=0), Progress(delivered=2, queued=5, held_back=605)),
    "sending in stages": shown(
        row("sending", wave=1, ramped=True),
        Progress(delivered=30, failed=1, queued=581),
        ramp=replace(WAVES, stage=2, allowed=31, due_at=NIGHT.replace(minute=40)),
    ),
    "sending the last stage": shown(
        row("sending", wave=9, ramped=True),
        Progress(delivered=500, queued=112),
        ramp=replace(WAVES, stage=4, allowed=612, has_more=False),
    ),
    "stopped by Holdfast": shown(
        row("paused", wave=0, ramped=True, note="stopped by Holdfast: 150 of 500 were put off by the server"),
        Progress(delivered=4, failed=3, queued=605),
        ramp=replace(WAVES, stage=1, allowed=7),
    ),
    "first 1 % is out": shown(row("paused", **CANARY), LOOKED_AT),
    "first 1 % is out, some failed": shown(
        row("paused", **CANARY), Progress(delivered=5, failed=1, unknown=1, held_back=605)
    ),
    "first 1 % is out, one message": shown(
        row("paused", total=2, counts=ONE_FOUND, **CANARY), Progress(delivered=1, held_back=1)
    ),
    "first 1 % is out, one message, and it failed": shown(
        row("paused", total=2, counts=ONE_FOUND, **CANARY), Progress(failed=1, held_back=1)
    ),
    "first 1 % is out, its server is down": shown(row("paused", **CANARY), LOOKED_AT, carriers=BACKUP_DOWN),
    "stopping": shown(row("pausing", wish="paused", note=f"paused by {BEN}"), HALF),
    "stopping, no sender": shown(row("pausing", wish="paused", note=f"paused by {BEN}"), HALF, sender_runs=False),
    "being cancelled": shown(row("pausing", wish="cancelled", note=f"cancelled by {BEN}"), HALF),
    "paused": shown(row("paused", note=f"paused by {BEN}", confirmed_at=NIGHT), HALF),
    "paused, three slipped out": shown(row("paused", note=f"paused by {BEN}", confirmed_at=NIGHT, slipped=3), HALF),
    "finished": shown(row("finished"), replace(DONE, delivered=591, suppressed=7, expired=2)),
    "finished, all recovered": shown(row("finished"), Progress(delivered=612)),
    "finished, one of each": shown(row("finished", total=4), Progress(delivered=1, failed=1, unknown=1, left=1)),
    "cancelled in the middle": shown(row("cancelled", note=f"cancelled by {BEN}"), Progress(delivered=100, left=512)),
    "cancelled in the middle, one slipped out": shown(
        row("cancelled", note=f"cancelled by {BEN}", confirmed_at=NIGHT, slipped=1), Progress(delivered=100, left=512)
    ),
    "cancelled before": shown(
        row("cancelled", note=f"cancelled by {BEN}"), Progress(left=612), approval=approval("resend", "void")
    ),
    "rejected": shown(row("rejected", note=f"rejected by {ANA}"), Progress(left=612)),
    "void": shown(row("void", note="replaced by plan 5"), Progress(left=612)),
    "void after one had gone": shown(
        row("void", note="one of its deliveries has changed since it was planned"), Progress(delivered=1, left=611)
    ),
}
ROWS = [
    row(state, id=number, note=f"{state} by {BEN}")
    for number, state in enumerate(
        ("planned", "sending", "pausing", "paused", "finished", "cancelled", "rejected", "void"), 1
    )
]

GAP = "Holdfast stopped between the message and the server's answer"


def maybe(number: int, **changes: Any) -> UnknownRow:
    values: dict[str, Any] = {
        "campaign_id": 1,
        "campaign": "spring-sale",
        "n": number,
        "email": f"person{number}@example.com",
        "key": HASH,
        "since": NIGHT,
        "why": GAP,
        "server": "primary",
    }
    return UnknownRow(Unknown(**(values | changes)), HASH[:40])


def in_doubt(*rows: UnknownRow, **changes: Any) -> UnknownList:
    values: dict[str, Any] = {
        "word": "spring-sale",
        "rows": rows,
        "counts": {"spring-sale": len(rows)} if rows else {},
        "page": 1,
        "may_decide": True,
        "at": NIGHT,
    }
    return UnknownList(**(values | changes))


TWO_CAMPAIGNS = {"news": 1, "spring-sale": 24}
IN_DOUBT: dict[str, UnknownList] = {
    "none": in_doubt(),
    "none at all": in_doubt(word=""),
    "one": in_doubt(maybe(1)),
    "who looks may not decide": in_doubt(maybe(1), maybe(2), may_decide=False),
    "of several campaigns, the first page": in_doubt(
        maybe(7, campaign="news", server=None), *(maybe(n) for n in range(1, 10)), word="", counts=TWO_CAMPAIGNS
    ),
    "of an outage, the last page": in_doubt(*(maybe(n) for n in range(20, 25)), word="3", counts=TWO_CAMPAIGNS, page=3),
    "written by others": in_doubt(maybe(1, email=f"{HOSTILE}@example.com", why=HOSTILE, since=None)),
}

SCENES: Scenes = {
    **each("card", resend.card, CARDS),
    **each("/resend status", resend_replies.status_of, CARDS),
    "/resend plan": lambda: resend_replies.planned(shown()),
    "/resend plan: one message of no outage": lambda: resend_replies.planned(shown(row(outage_id=None, **TINY))),
    "/resend list: empty": lambda: resend_replies.listing([]),
    "/resend list: one": lambda: resend_replies.listing(ROWS[:1]),
    "/resend list: 500, the last page": lambda: resend_replies.listing(ROWS[:1] * 500, page=25),
    "/resend list: each state": lambda: resend_replies.listing(ROWS),
    "/resend list: being cancelled": lambda: resend_replies.listing([row("pausing", wish="cancelled", note=HOSTILE)]),
    **each("/resend unknown", unknown.listing, IN_DOUBT),
    "/resend pause": lambda: resend_replies.changed(
        row(), "is stopping; its card says when.", "Undo it with /resend resume 4"
    ),
}
