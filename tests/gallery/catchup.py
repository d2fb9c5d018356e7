"""`/outage catchup`: an outage on one screen, for who joins late."""

from datetime import timedelta
from typing import Any

from bot.services.catching_up import CatchUp
from bot.slack.views import catchup
from storage.models import OutageState, Timeline
from tests.gallery import outages
from tests.gallery.deciding import decision
from tests.gallery.scene import Scenes, each
from tests.gallery.things import ANA, BEN, HOSTILE, NIGHT

DONE = tuple(
    Timeline(id=number, at=NIGHT + timedelta(minutes=number), kind=kind, actor="U0ANA", text=text)
    for number, (kind, text) in enumerate(
        (
            ("campaign.hold", "Held spring-sale, for primary is down."),
            ("outage.acknowledged", f"{ANA} acknowledged it."),
            ("outage.identified", f"{ANA} named the cause: the disk is full"),
            ("server.failover", f"{ANA} moved the campaigns of primary to backup."),
            ("outage.updated", f"{BEN}: the provider replaces the disk, about an hour"),
        ),
        start=1,
    )
)
ETA = outages.row(OutageState.IDENTIFIED, cause="the disk is full", eta=NIGHT + timedelta(hours=2))
LATE = outages.row(OutageState.IDENTIFIED, cause="the disk is full", eta=NIGHT + timedelta(minutes=20))


def caught(**changes: Any) -> CatchUp:
    values: dict[str, Any] = {
        "headline": outages.card(),
        "summary": None,
        "lines": DONE,
        "left_out": 12,
        "decisions": (),
        "allowed": outages.TAKE,
        "at": NIGHT + timedelta(minutes=40),
    }
    return CatchUp(**(values | changes))


STATES: dict[str, CatchUp] = {
    "just open, nobody has it": caught(lines=DONE[:1], left_out=0),
    "a guest, who may take it": caught(allowed=("outage.acknowledge",)),
    "identified, with an expected end": caught(headline=outages.card(ETA), allowed=("outage.resolve",)),
    "the expected end has gone by": caught(headline=outages.card(LATE), allowed=("outage.resolve",)),
    "moved to the backup, approvals wait": caught(
        headline=outages.CARDS["open, moved to the backup"],
        decisions=(decision(), decision("notice", obstacle="you asked for it, so somebody else decides")),
    ),
    "answers again": caught(headline=outages.monitoring("outage.resume"), allowed=("outage.resume", "outage.resolve")),
    "500 campaigns, 500 decisions": caught(
        headline=outages.card(campaigns=outages.MANY), decisions=tuple(decision(number=n) for n in range(1, 501))
    ),
    "what others wrote": caught(
        headline=outages.card(outages.row(OutageState.IDENTIFIED, cause=HOSTILE * 9, reply=HOSTILE * 9, lead=BEN)),
        lines=tuple(Timeline(id=n, at=NIGHT, kind="outage.updated", text=HOSTILE * 20) for n in range(5)),
    ),
    "no campaign, no data": caught(headline=outages.CARDS["open, no campaign"], lines=(), left_out=0, allowed=()),
    "resolved, with what it cost": caught(
        headline=outages.resolved("outage.plan", campaigns=outages.SENT),
        summary=outages.summary(),
        allowed=("outage.plan",),
    ),
    "resolved, nothing to do": caught(
        headline=outages.resolved(campaigns=outages.SENT, totals=outages.ALL_BACK),
        summary=outages.summary(),
        allowed=(),
    ),
}

SCENES: Scenes = each("/outage catchup", catchup.catch_up, STATES)
