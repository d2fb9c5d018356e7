"""Campaigns: the answers of `/campaign`, and the sentences of its verbs."""

from datetime import timedelta
from typing import Any

from bot.services import campaign_results as results
from bot.services.campaign_results import CampaignRow, CampaignStatus, Moved
from bot.services.words import moment
from bot.slack.views import campaigns, replies
from storage.models import Campaign, Hold
from tests.gallery.ramps import STOPPED, stages
from tests.gallery.scene import Scenes, each
from tests.gallery.servers import SLOWED
from tests.gallery.things import HOSTILE, MARIA, NIGHT, approval, campaign, counts, server

STATES = ("finished", "paused", "sending", "scheduled", "cancelled", "pausing")


def listed(name: str = "spring-sale", state: str = "sending", **changes: Any) -> CampaignRow:
    values: dict[str, Any] = {
        "hold": None,
        "server": "primary",
        "carrier": "primary",
        "recipients": 2000,
        "counts": counts(delivered=1240, queued=760),
    }
    return CampaignRow(name, state, **(values | changes))


ROWS = [
    listed("welcome", "finished", recipients=1, counts=counts(delivered=1)),
    listed("spring-sale", "paused", hold=Hold.OUTAGE),
    listed("newsletter-may", recipients=812_000, counts=counts(delivered=401_200, failed_temporary=1_300, unknown=2)),
    listed("members", carrier="backup"),
    listed("reminder", "paused", hold=Hold.MAINTENANCE),
    listed("survey", "paused", hold=Hold.PERSON),
    listed("old-list", "paused", hold=Hold.THRESHOLD),
    listed("autumn", "scheduled", counts=counts(queued=2000)),
    listed("old-offer", "cancelled", counts=counts(failed_permanent=1)),
    listed("stopping", "pausing", hold=Hold.OUTAGE),
]
MANY = [listed(f"mailing-{number:03}", STATES[number % len(STATES)]) for number in range(1, 501)]
LONGEST = [listed(f"{number:03}-" + "long-name-" * 6, server="s" * 60, carrier="c" * 60) for number in range(1, 501)]


def known(row: Campaign | None = None, **changes: Any) -> CampaignStatus:
    values: dict[str, Any] = {
        "server": server(),
        "carrier": server(),
        "counts": counts(delivered=1200, failed_temporary=30, failed_permanent=10, queued=760),
        "rate_per_minute": 120.0,
        "remaining": timedelta(minutes=6),
        "outage_id": None,
        "hold": "",
        "obstacle": None,
        "sender_alive": True,
    }
    return CampaignStatus(campaign=row or campaign(), **(values | changes))


HELD = f"held by outage #3 since {moment(NIGHT, NIGHT)}: primary is down"
DOWN = "primary is down."
STATUSES: dict[str, CampaignStatus] = {
    "a second person has to let it begin": known(
        campaign(state="scheduled", recipients=20_000), asked=approval("campaign", plan_hash="start-ab", subject_id=7)
    ),
    "sending": known(),
    "sending through the backup": known(carrier=server("backup", id=2)),
    "sending through a pool": known(through="relay-a, relay-b and relay-c (pool marketing)"),
    "sending, no data yet": known(rate_per_minute=None, remaining=None),
    "sending, no sender": known(sender_alive=False),
    "sending, an obstacle": known(obstacle=DOWN, outage_id=3),
    "sending to one recipient": known(campaign(recipients=1), counts=counts(queued=1)),
    "sending, a provider puts us off": known(slowed=SLOWED[:1]),
    "sending, many providers put us off": known(slowed=(*SLOWED, *SLOWED)),
    "sending in stages": known(
        campaign(recipients=1_000_000),
        ramp=stages(due_at=NIGHT.replace(minute=40)),
        at=NIGHT,
        counts=counts(delivered=49_000, failed_permanent=1_000, queued=950_000),
    ),
    "stopped by Holdfast": known(campaign(state="paused", hold=Hold.THRESHOLD), hold=STOPPED, ramp=stages(), at=NIGHT),
    "scheduled, in stages": known(
        campaign(state="scheduled", recipients=1_000_000), ramp=stages(0), at=NIGHT, counts=counts(queued=1_000_000)
    ),
    "pausing": known(campaign(state="pausing"), hold=f"paused by <@U0MARIA> at {moment(NIGHT, NIGHT)}"),
    "being cancelled": known(campaign(state="pausing", wish="cancelled")),
    "held by an outage": known(
        campaign(state="paused", slipped=3), hold=HELD, obstacle=DOWN, outage_id=3, rate_per_minute=None
    ),
    "paused by a person": known(
        campaign(state="paused"), hold=f"paused by {MARIA} at {moment(NIGHT, NIGHT)}: {HOSTILE}"
    ),
    "scheduled, the offer ends": known(
        campaign(state="scheduled", expires_at=NIGHT + timedelta(days=2)),
        counts=counts(queued=2000),
        rate_per_minute=None,
    ),
    "finished, all delivered": known(
        campaign(state="finished"), counts=counts(delivered=2000), rate_per_minute=None, remaining=None
    ),
    "finished, some failed": known(
        campaign(state="finished"),
        counts=counts(delivered=1900, failed_temporary=60, failed_permanent=30, suppressed=7, expired=3),
        rate_per_minute=None,
    ),
    "cancelled": known(
        campaign(state="cancelled", wished_by=MARIA, slipped=1), counts=counts(delivered=10, queued=1990)
    ),
    "without recipients": known(campaign(state="finished", recipients=0), counts=counts(), rate_per_minute=None),
}
UNKNOWN = known(campaign(state="finished"), counts=counts(delivered=1500, unknown=500), rate_per_minute=None)
ADDRESSES = [f"person{number}@example.com" for number in range(1, 501)]
ONE = Moved("spring-sale", "sending", "pausing", 1)
TWO = Moved("welcome", "paused", "paused", 760)

SAID: dict[str, str] = {
    "start": results.start_text(ONE, "primary", alive=True),
    "start, in stages": results.start_text(ONE, "primary", alive=True, ramp=stages(1)),
    "start, no sender": results.start_text(ONE, "primary", alive=False),
    "pause": results.pause_text([ONE], 12, alive=True),
    "pause, no sender": results.pause_text([ONE], 12, alive=False),
    "pause all": results.pause_text([ONE, TWO], 12, alive=True),
    "pause all, nothing to do": results.pause_text([], alive=True),
    "resume": results.resume_text([ONE], {}, 12, alive=True),
    "resume all": results.resume_text([ONE, TWO], {"survey": DOWN}, 12, alive=False),
    "resume all, nothing to do": results.resume_text([], {}, alive=True),
    "cancel": results.cancel_text(ONE, alive=True),
    "cancel, at once": results.cancel_text(TWO, alive=True),
}

SCENES: Scenes = {
    "/campaign list: empty": lambda: campaigns.listing([]),
    "/campaign list: one": lambda: campaigns.listing([listed()]),
    "/campaign list: each state": lambda: campaigns.listing(ROWS),
    "/campaign list: 500": lambda: campaigns.listing(MANY),
    "/campaign list: 500, the second page": lambda: campaigns.listing(MANY, page=2),
    "/campaign list: 500, the last page": lambda: campaigns.listing(MANY, page=13),
    "/campaign list: 500, a page that there is not": lambda: campaigns.listing(MANY, page=99),
    "/campaign list: 500, the paused ones": lambda: campaigns.listing(MANY, state="paused"),
    "/campaign list: none in that state": lambda: campaigns.listing(ROWS[:1], state="paused"),
    "/campaign list: 500 with the longest names": lambda: campaigns.listing(LONGEST),
    **each("/campaign status", campaigns.status, STATUSES),
    "/campaign status: one unknown": lambda: campaigns.status(
        known(campaign(state="finished"), counts=counts(delivered=1999, unknown=1)), ADDRESSES[:1]
    ),
    "/campaign status: 500 unknown": lambda: campaigns.status(UNKNOWN, ADDRESSES),
    **each("/campaign", replies.said, SAID),
}
