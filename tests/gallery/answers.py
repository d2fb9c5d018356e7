"""What belongs to no single noun: help, refusals, sentences, and how everything stands."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import commands
from bot.errors import BotError
from bot.services import campaign_results
from bot.services.status import StatusReport
from bot.slack.blocks import View
from bot.slack.views import replies, status
from commands.words import Command, Words, address, decided, pressed
from storage.installs import Workspace
from storage.models import Campaign, Maintenance, OutageState, Paging
from storage.posts import Trouble, WaitingThread
from tests.gallery.outages import row as outage
from tests.gallery.scene import Scenes, each
from tests.gallery.things import HOSTILE, MARIA, NIGHT, approval, campaign

PAUSE = "/campaign pause NAME|all [reason]"
CALM = Trouble(0, None, None)
AWAY = Trouble(12, NIGHT, "Slack does not answer: it was tried 3 times.")

BEHIND = Trouble(
    1_214,
    NIGHT,
    "Slack cannot be reached.",
    tuple(
        WaitingThread(key, number, NIGHT)
        for key, number in (("outage:3", 1_200), ("resend:1", 11), ("outage:4", 2), ("timeline:9", 1))
    ),
)


def paged(roads: dict[str, str | None]) -> Paging:
    took = {road: {"ok": said is None, "said": said} for road, said in roads.items()}
    at = NIGHT + timedelta(minutes=5) if None in roads.values() else None
    return Paging(id=1, began_at=NIGHT, error="", roads=took, attempts=0, pages=1, paged_at=at)


def report(**changes: Any) -> StatusReport:
    values: dict[str, Any] = {
        "servers": {"up": 2},
        "campaigns": {"sending": 1, "finished": 12},
        "outages": (),
        "resends": {},
        "notices": {},
        "approvals": (),
        "maintenance": (),
        "sender_runs": True,
        "posts": CALM,
        "unknown": 0,
        "version": "0.1.0",
        "database": "SQLite",
        "at": NIGHT,
    }
    return StatusReport(**(values | changes))


def window(number: int, state: str = "scheduled") -> tuple[Maintenance, str]:
    starts = NIGHT + timedelta(hours=number)
    return Maintenance(id=number, state=state, starts_at=starts, ends_at=starts + timedelta(hours=2)), "primary"


def workspace(name: str, *, removed: bool = False) -> Workspace:
    return Workspace(f"T-{name}", name, None, "U1", NIGHT, removed)


OPEN = (outage(), ("primary",))
TAKEN = (outage(OutageState.ACKNOWLEDGED, id=2), ("second", "third"))
REPORTS: dict[str, StatusReport] = {
    "all is well": report(),
    "nothing is set up yet": report(servers={}, campaigns={}),
    "one outage, one approval": report(
        servers={"up": 1, "down": 1}, outages=(OPEN,), approvals=(approval("resend"),), resends={"planned": 1}
    ),
    "everything at once": report(
        servers={"up": 1, "suspected": 1, "down": 1, "maintenance": 1, "drained": 1, "unchecked": 1},
        campaigns={"sending": 1, "pausing": 1, "paused": 2, "scheduled": 3, "finished": 40, "cancelled": 2},
        outages=(OPEN, TAKEN),
        approvals=(approval("resend"), approval("notice", subject_id=2)),
        resends={"planned": 1, "sending": 1},
        notices={"draft": 1, "waiting": 1},
        maintenance=(window(1, "active"), window(20)),
        sender_runs=False,
        posts=AWAY,
        unknown=3,
        database="PostgreSQL",
    ),
    "500 of each": report(
        outages=tuple((outage(id=number), ("primary",)) for number in range(1, 501)),
        approvals=tuple(approval("resend", subject_id=number) for number in range(1, 501)),
        maintenance=tuple(window(number) for number in range(1, 501)),
    ),
    "a large campaign waits": report(approvals=(approval("campaign", subject_id=7),), asked={7: "spring-sale"}),
    "posts on their way": report(posts=Trouble(1, None, None)),
    "no sender": report(sender_runs=False),
    "Slack is away": report(posts=AWAY),
    "Slack is away, many threads": report(posts=BEHIND),
    "Slack is away, people were paged": report(
        posts=BEHIND, paging=paged({"Telegram": None, "mail to ops@x.com": "no"})
    ),
    "Slack is away, nobody could be paged": report(posts=AWAY, paging=paged({"Telegram": "it cannot be reached"})),
    "two workspaces, one of which removed it": report(
        workspaces=(workspace("Acme"), workspace("Beta", removed=True), workspace(HOSTILE))
    ),
    "the workspace with the channel removed it": report(
        workspaces=(workspace("Acme", removed=True), workspace("Beta")),
        homeless=workspace("Acme", removed=True),
        install_url="https://holdfast.example.com/slack/install",
        posts=Trouble(12, NIGHT, "Holdfast is not installed in its workspace."),
    ),
}


def refused(attempt: Callable[[], object]) -> View:
    """The sentence that a person gets for what cannot be done."""
    try:
        attempt()
    except BotError as error:
        return replies.said(str(error))
    raise AssertionError("this was to be refused")


def checked(verb: str, row: Campaign) -> Callable[[], View]:
    return lambda: refused(lambda: campaign_results.check(verb, row, NIGHT))


COMMANDS = {name: command for name, command in commands.COMMANDS.items() if isinstance(command, Command)}
CAMPAIGN = COMMANDS["/campaign"]
REFUSALS: Mapping[str, Callable[[], View]] = {
    "an unknown verb": lambda: refused(lambda: CAMPAIGN.find("puase")),
    "an unknown verb that is like none": lambda: refused(lambda: CAMPAIGN.find(HOSTILE)),
    "a verb with two meanings": lambda: refused(lambda: CAMPAIGN.find("sta")),
    "a word is missing": lambda: refused(lambda: Words("", PAUSE).word("which campaign, or all")),
    "a word too many": lambda: refused(lambda: Words("x" * 4000, "/campaign list").end()),
    "no number": lambda: refused(lambda: Words("four", "/resend approve ID").number("the resend")),
    "no address": lambda: refused(lambda: address("mx_1", "/server add NAME HOST[:PORT]")),
    "no port": lambda: refused(lambda: address("mx1.example.com:99999", "/server add NAME HOST[:PORT]")),
    "an old button": lambda: refused(lambda: pressed("x")),
    "a button without what it decides on": lambda: refused(lambda: decided("4")),
    "pause what has not begun": checked("pause", campaign(state="scheduled")),
    "pause what is paused": checked("pause", campaign(state="paused", hold="person", wished_by=MARIA)),
    "start what is being sent": checked("start", campaign(wished_by=MARIA)),
    "start what is paused": checked("start", campaign(state="paused", wished_by=MARIA)),
    "resume what is finished": checked("resume", campaign(state="finished")),
    "resume what is cancelled": checked("resume", campaign(state="cancelled", wished_by=MARIA)),
    "cancel what is being cancelled": checked("cancel", campaign(state="pausing", wish="cancelled")),
}

SCENES: Scenes = {
    **each("help", lambda command: command.help(), COMMANDS),
    "help: /campaign pause": lambda: CAMPAIGN.help("pause"),
    **each("/holdfast status", status.report, REPORTS),
    **{f"refused: {name}": draw for name, draw in REFUSALS.items()},
    "an answer in which others wrote": lambda: replies.said(HOSTILE),
    "a very long answer": lambda: replies.said("long " * 2000),
}
