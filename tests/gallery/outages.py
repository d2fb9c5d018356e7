"""Outages: the live card in each state, the summary at the end, and the answers of `/outage`."""

from datetime import timedelta
from typing import Any

from bot.services.outage_shapes import (
    ActionItem,
    ActionList,
    CampaignNow,
    Headline,
    OutageResult,
    OutageRow,
    OutageSummary,
    OutageTimeline,
    ServerNow,
    Totals,
)
from bot.services.reminders import ReminderCard
from bot.services.server_results import Return
from bot.services.server_ways import Others
from bot.slack.views import outage, outage_replies, reminder, timeline
from storage.models import Outage, OutageState, Reminder, Timeline
from tests.gallery.scene import Scenes, each
from tests.gallery.things import ANA, BEN, HOSTILE, NIGHT, campaign

TAKE = ("outage.acknowledge", "outage.failover", "outage.resolve")
TOTALS = Totals(1300, 1240, failed=60, recovered=0, undecided=2, unknown=2, suppressed=5, expired=0, queued=760)
ONE_LOST = Totals(2, 1, failed=1, recovered=0, undecided=0, unknown=0, suppressed=0, expired=0, queued=0)
ONE_UNKNOWN = Totals(2, 1, failed=1, recovered=0, undecided=1, unknown=1, suppressed=0, expired=0, queued=0)
ALL_BACK = Totals(2000, 2000, failed=60, recovered=60, undecided=0, unknown=0, suppressed=0, expired=0, queued=0)


def row(state: OutageState = OutageState.OPEN, **changes: Any) -> Outage:
    values: dict[str, Any] = {
        "id": 3,
        "severity": "major",
        "title": "primary is down",
        "policy": "hold",
        "opened_by": "Holdfast",
        "stage": "greeting",
        "code": 421,
        "reply": "4.3.2 shutting down",
        "started_at": NIGHT,
        "detected_at": NIGHT + timedelta(seconds=40),
        "recurrences": 0,
    }
    if state != OutageState.OPEN:
        values |= {"acknowledged_at": NIGHT + timedelta(minutes=3), "acknowledged_by": ANA, "lead": ANA}
    if state in {OutageState.MONITORING, OutageState.RESOLVED}:
        values |= {"recovered_at": NIGHT + timedelta(minutes=50)}
    if state == OutageState.RESOLVED:
        values |= {"resolved_at": NIGHT + timedelta(minutes=65), "resolved_by": ANA, "resolution": "new disk"}
    return Outage(state=state, **(values | changes))


def down(name: str = "primary", **changes: Any) -> ServerNow:
    values: dict[str, Any] = {
        "id": 1,
        "host": "mx1.example.com",
        "port": 25,
        "state": "down",
        "since": NIGHT,
        "stage": "connect",
        "code": None,
        "text": "refused",
        "backup": "backup",
        "backup_usable": True,
        "failed_over_to": None,
    }
    return ServerNow(name=name, **(values | changes))


UP = (down(state="up", since=NIGHT + timedelta(minutes=50)),)


def touched(name: str = "spring-sale", state: str = "paused", *, held: bool = True, **changes: Any) -> CampaignNow:
    counts = changes.pop("counts", {"delivered": 1240, "queued": 760})
    through = changes.pop("through", "primary")
    return CampaignNow(campaign(name, state, **changes), held, through, counts)


def card(shown: Outage | None = None, **changes: Any) -> Headline:
    values: dict[str, Any] = {
        "outage": shown or row(),
        "servers": (down(),),
        "campaigns": (touched(slipped=3),),
        "totals": TOTALS,
        "actions": TAKE,
        "resend_id": None,
    }
    return Headline(**(values | changes))


def monitoring(*actions: str, **changes: Any) -> Headline:
    return card(row(OutageState.MONITORING), **({"servers": UP, "actions": (*actions, "outage.resolve")} | changes))


def resolved(*actions: str, **changes: Any) -> Headline:
    return card(row(OutageState.RESOLVED), **({"servers": UP, "actions": actions} | changes))


MANY = tuple(touched(f"mailing-{number:03}") for number in range(1, 501))
SENT = (touched(state="finished", held=False, counts={"delivered": 1940, "queued": 0}),)
BY_HAND: dict[str, Any] = {
    "title": "customers report missing mail",
    "opened_by": BEN,
    "stage": None,
    "code": None,
    "reply": None,
}

CARDS: dict[str, Headline] = {
    "open, one campaign held": card(),
    "open, no campaign": card(campaigns=(), totals=None, actions=("outage.acknowledge", "outage.resolve")),
    "open, two campaigns, one still stopping": card(campaigns=(touched("a"), touched("welcome", "pausing"))),
    "open, 500 campaigns": card(campaigns=MANY),
    "open, none held by policy": card(
        campaigns=(touched(state="sending", held=False),), actions=("outage.acknowledge", "outage.pause", *TAKE[1:])
    ),
    "open, moved to the backup": card(
        servers=(down(failed_over_to="backup"),),
        campaigns=(touched(state="sending", held=False, through="backup"),),
        actions=("outage.acknowledge", "outage.resolve"),
    ),
    "open, others of its pool go on": card(
        servers=(down(others=Others(("relay-b", "relay-c"), "marketing")),),
        campaigns=(touched(state="sending", held=False, through="relay-b and relay-c"),),
        actions=("outage.acknowledge", "outage.resolve"),
    ),
    "it returns": monitoring(
        servers=(down(state="up", returns=Return(0.4, NIGHT + timedelta(minutes=70), "backup")),),
        campaigns=(touched(state="sending", held=False, through="backup and primary"),),
    ),
    "open, its backup is down too": card(servers=(down(backup_usable=False),), actions=(TAKE[0], TAKE[2])),
    "open, no backup": card(servers=(down(backup=None, backup_usable=False),), actions=(TAKE[0], TAKE[2])),
    "open, two servers": card(servers=(down(), down("second", host="mx2.example.com"))),
    "open, declared by hand on a server that answers": card(row(**BY_HAND), servers=(down(state="up", since=None),)),
    "open, on a server that was never probed": card(row(**BY_HAND), servers=(down(state="unchecked", since=None),)),
    "open, a suspected server": card(row(**BY_HAND), servers=(down(state="suspected"),)),
    "open, a server in maintenance": card(row(**BY_HAND), servers=(down(state="maintenance", since=None),)),
    "open, a drained server": card(row(**BY_HAND), servers=(down(state="drained", since=None),)),
    "open, it came back once": card(row(recurrences=1)),
    "open, not the first of the day": card(
        former=row(OutageState.RESOLVED, id=2, resolved_at=NIGHT - timedelta(hours=2))
    ),
    "open, one message lost": card(totals=ONE_LOST),
    "open, what others wrote": card(
        row(title=HOSTILE, reply=HOSTILE, opened_by=BEN), campaigns=(touched("عرض-الربيع"),)
    ),
    "open, long texts": card(row(title="x" * 900, reply="y" * 900, opened_by=BEN)),
    "acknowledged": card(row(OutageState.ACKNOWLEDGED), actions=("outage.failover", "outage.resolve")),
    "acknowledged, no backup": card(
        row(OutageState.ACKNOWLEDGED), servers=(down(backup=None),), actions=("outage.resolve",)
    ),
    "identified, with an expected end": card(
        row(OutageState.IDENTIFIED, cause="the disk is full", eta=NIGHT + timedelta(hours=2)),
        actions=("outage.resolve",),
    ),
    "identified, no expected end": card(
        row(OutageState.IDENTIFIED, cause="the disk is full"), actions=("outage.resolve",)
    ),
    "monitoring, campaigns still held": monitoring("outage.resume"),
    "monitoring, one message to go": monitoring(
        "outage.resume", campaigns=(touched(recipients=2, counts={"delivered": 1, "queued": 1}),), totals=ONE_LOST
    ),
    "monitoring, mail to send again": monitoring("outage.plan", campaigns=SENT),
    "monitoring, a resend under way": monitoring(campaigns=SENT, resend_id=4),
    "monitoring, one delivery to decide about": monitoring(campaigns=SENT, totals=ONE_UNKNOWN),
    "monitoring, nothing lost": monitoring(campaigns=(), totals=None),
    "monitoring, nobody has it": card(
        row(recovered_at=NIGHT + timedelta(minutes=5)), servers=UP, actions=("outage.acknowledge", "outage.resolve")
    ),
    "resolved, mail to send again": resolved("outage.plan", campaigns=SENT),
    "resolved, two deliveries to decide about": resolved(campaigns=SENT),
    "resolved, all recovered": resolved(campaigns=SENT, totals=ALL_BACK),
    "resolved, no campaign": resolved(campaigns=(), totals=None),
}


def summary(shown: Outage | None = None, **changes: Any) -> OutageSummary:
    values: dict[str, Any] = {
        "outage": shown or row(OutageState.RESOLVED, cause="the disk was full"),
        "servers": ("primary",),
        "campaigns": ("spring-sale", "welcome"),
        "started_at": NIGHT,
        "detected_at": NIGHT + timedelta(seconds=40),
        "acknowledged_at": NIGHT + timedelta(minutes=3),
        "recovered_at": NIGHT + timedelta(minutes=50),
        "resolved_at": NIGHT + timedelta(minutes=65),
        "totals": TOTALS,
    }
    return OutageSummary(**(values | changes))


def action(number: int, text: str = "check the disks", **changes: Any) -> ActionItem:
    values: dict[str, Any] = {"owner": BEN, "done_by": None, "permalink": None}
    return ActionItem(number, text, **(values | changes))


LINK = "https://acme.slack.com/archives/C0OPS/p1777864560000100?cid=C0OPS"
SOME_ACTIONS = (action(41), action(44, HOSTILE, owner=None, permalink=LINK), action(40, "call the host", done_by=ANA))
ACTION_LISTS: dict[str, ActionList] = {
    "none": ActionList(row(), ()),
    "some": ActionList(row(), SOME_ACTIONS),
    "one": ActionList(row(), (action(41),)),
    "all done": ActionList(row(), (action(40, done_by=ANA), action(41, done_by=BEN))),
    "200": ActionList(row(), tuple(action(number) for number in range(1, 201))),
}

SUMMARIES: dict[str, OutageSummary] = {
    "with all there is to know": summary(),
    "with actions": summary(actions=SOME_ACTIONS),
    "with 200 actions": summary(actions=ACTION_LISTS["200"].items),
    "with all actions done": summary(actions=ACTION_LISTS["all done"].items),
    "of one message": summary(totals=ONE_UNKNOWN, campaigns=("spring-sale",)),
    "all recovered": summary(totals=ALL_BACK),
    "of 500 campaigns, after recurrences": summary(
        row(OutageState.RESOLVED, recurrences=2), campaigns=tuple(each.name for each in MANY)
    ),
    "without data": summary(
        row(OutageState.RESOLVED, resolution=None, **BY_HAND),
        campaigns=(),
        acknowledged_at=None,
        recovered_at=None,
        totals=None,
    ),
}


def entry(number: int, text: str) -> Timeline:
    return Timeline(id=number, at=NIGHT + timedelta(seconds=number), kind="outage.updated", text=text)


ENTRIES = tuple(entry(number, f"{BEN}: step {number} is done.") for number in range(1, 201))
OPEN = OutageRow(row(), ("primary",), 1)
OVER = OutageRow(row(OutageState.RESOLVED, id=2), ("primary", "second"), 0)
ROWS = [OutageRow(row(OutageState.ACKNOWLEDGED, id=number), ("primary",), number % 3) for number in range(500, 0, -1)]

SAID = Timeline(
    id=41,
    at=NIGHT + timedelta(minutes=4),
    kind="outage.message",
    actor=ANA,
    text=f"{BEN}: the relay says {HOSTILE}",
    channel="C0OPS",
    message_ts="1777864560.000100",
    data={"author": BEN, "permalink": "https://acme.slack.com/archives/C0OPS/p1777864560000100?cid=C0OPS"},
)


def reminded(answer: str | None = None, **changes: Any) -> ReminderCard:
    values: dict[str, Any] = {
        "id": 5,
        "outage_id": 3,
        "at": NIGHT + timedelta(hours=1),
        "since": NIGHT,
        "severity": "major",
        "lead": ANA,
        "answer": answer,
        "answered_by": BEN if answer else None,
        "answered_at": NIGHT + timedelta(minutes=64) if answer else None,
        "until": NIGHT + timedelta(minutes=94) if answer == "later" else None,
    }
    return ReminderCard(Reminder(**(values | changes)), row(OutageState.ACKNOWLEDGED), ("primary",), timedelta(hours=1))


REMINDERS: dict[str, ReminderCard] = {
    "its lead is asked": reminded(),
    "nobody has it": reminded(lead=None),
    "answered by an update": reminded("update"),
    "answered by what somebody did": reminded("update", answered_by=None),
    "put off": reminded("later"),
    "never again": reminded("never"),
    "the outage ended": reminded("over", answered_by=None),
}

SCENES: Scenes = {
    **each("reminder", reminder.card, REMINDERS),
    "reminder: Send update was pressed": lambda: reminder.send_update(3),
    **each("card", outage.headline, CARDS),
    **each("summary", outage.summary, SUMMARIES),
    **each("/outage status", outage_replies.status, CARDS),
    "/outage declare": lambda: outage_replies.declared(
        OutageResult(row(), "Outage #3 is open on primary. Held: spring-sale.", ("spring-sale",))
    ),
    "/outage list: empty": lambda: outage_replies.listing([]),
    "/outage list: one": lambda: outage_replies.listing([OPEN]),
    "/outage list: none is open": lambda: outage_replies.listing([OVER]),
    "/outage list: open and over": lambda: outage_replies.listing([OPEN, OVER]),
    "/outage list: 500": lambda: outage_replies.listing(ROWS),
    **each("/outage actions", outage_replies.actions, ACTION_LISTS),
    "/outage list: 500, the last page": lambda: outage_replies.listing(ROWS, page=99),
    "/outage timeline: empty": lambda: outage_replies.timeline(OutageTimeline(row(), ())),
    "/outage timeline: one": lambda: outage_replies.timeline(OutageTimeline(row(), ENTRIES[:1])),
    "/outage timeline: 200": lambda: outage_replies.timeline(OutageTimeline(row(), ENTRIES)),
    "/outage timeline: a message": lambda: outage_replies.timeline(OutageTimeline(row(), (*ENTRIES[:1], SAID))),
    "/outage timeline: 200, what was earlier": lambda: outage_replies.timeline(OutageTimeline(row(), ENTRIES), page=5),
    "thread: an entry": lambda: timeline.entry(entry(1, f"{ANA} named the cause: the disk is full")),
    "thread: what others wrote": lambda: timeline.entry(entry(1, f"{BEN}: {HOSTILE}")),
    "thread: a burst": lambda: timeline.burst([(each.at, timeline.safe(each.text)) for each in ENTRIES[:3]]),
    "thread: a burst over midnight": lambda: timeline.burst(
        [(NIGHT - timedelta(hours=4), "primary is drained."), (NIGHT, timeline.safe(f"{BEN} restored primary."))]
    ),
    "thread: a long entry": lambda: timeline.entry(entry(1, f"{BEN}: " + "long " * 700)),
}
