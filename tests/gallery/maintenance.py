"""Maintenance windows: the card in each state, and the answers of `/maintenance`."""

from datetime import UTC, datetime, timedelta
from typing import Any

from bot.services.maintenance_shapes import Collision, MaintenanceStatus
from bot.slack.views import maintenance, maintenance_replies
from storage.models import Maintenance, MaintenanceState
from tests.gallery.scene import Scenes, each
from tests.gallery.things import HOSTILE, MARIA, NIGHT

START = NIGHT.replace(hour=22, minute=0)
SPRING = datetime(2026, 3, 29, 0, 0, tzinfo=UTC)


def shown(state: MaintenanceState = MaintenanceState.PROPOSED, **changes: Any) -> MaintenanceStatus:
    window = Maintenance(
        id=4,
        server_id=1,
        state=state,
        starts_at=changes.pop("starts_at", START),
        ends_at=changes.pop("ends_at", START + timedelta(hours=2)),
        zone=changes.pop("zone", "Europe/Madrid"),
        reason=changes.pop("reason", "new disks"),
        created_by=MARIA,
        created_at=NIGHT,
    )
    values: dict[str, Any] = {"server": "primary", "collisions": (), "held": (), "outcome": None, "at": NIGHT}
    return MaintenanceStatus(window=window, **(values | changes))


HITS = (Collision("spring-sale", "sending", 760), Collision("newsletter", "scheduled", 0))
MANY = tuple(Collision(f"mailing-{number:03}", "sending", number) for number in range(1, 501))
PLANNED, ACTIVE = MaintenanceState.SCHEDULED, MaintenanceState.ACTIVE

CARDS: dict[str, MaintenanceStatus] = {
    "proposed, nothing in its way": shown(),
    "proposed, it would hold one campaign": shown(collisions=HITS),
    "proposed, it keeps one from being started": shown(collisions=HITS[1:]),
    "proposed, it would hold 500 campaigns": shown(collisions=MANY),
    "proposed, in UTC, without a reason": shown(zone="UTC", reason=None),
    "proposed, the clocks go forward": shown(starts_at=SPRING, ends_at=SPRING + timedelta(hours=2)),
    "proposed, over midnight": shown(ends_at=START + timedelta(hours=30), reason=HOSTILE),
    "planned": shown(PLANNED, collisions=HITS),
    "planned, 500 campaigns": shown(PLANNED, collisions=MANY),
    "under way, one campaign held": shown(ACTIVE, at=START, held=("spring-sale",)),
    "under way, no campaign held": shown(ACTIVE, at=START),
    "under way, 500 campaigns held": shown(ACTIVE, at=START, held=tuple(each.name for each in MANY)),
    "ending": shown(ACTIVE, at=START + timedelta(hours=2), held=("spring-sale",)),
    "over": shown(
        MaintenanceState.ENDED, outcome="The maintenance of primary is over. primary answers. spring-sale goes on."
    ),
    "over, the server is still down": shown(
        MaintenanceState.ENDED,
        outcome="The maintenance of primary is over. primary is still down: outage #3 is open.",
    ),
    "called off": shown(MaintenanceState.CANCELLED),
}

SCENES: Scenes = {
    **each("card", maintenance.card, CARDS),
    "/maintenance schedule": lambda: maintenance_replies.proposed(CARDS["proposed, it would hold one campaign"]),
    "/maintenance list: empty": lambda: maintenance_replies.listing([]),
    "/maintenance list: one": lambda: maintenance_replies.listing([CARDS["planned"]]),
    "/maintenance list: all are over": lambda: maintenance_replies.listing([CARDS["over"]]),
    "/maintenance list: 500, the second page": lambda: maintenance_replies.listing([CARDS["planned"]] * 500, page=2),
    "/maintenance list: each state": lambda: maintenance_replies.listing(list(CARDS.values())),
}
