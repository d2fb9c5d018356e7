"""What stands before a deed and after it: dry runs, questions, and the button that takes it back."""

from dataclasses import replace
from datetime import timedelta

from bot.services.plans import Plan
from bot.services.words import moment
from bot.slack.blocks import View
from bot.slack.views import asking
from tests.gallery.scene import Scenes, each
from tests.gallery.things import HOSTILE, MARIA, NIGHT

WITHIN, UNDO = timedelta(minutes=10), timedelta(minutes=30)
FOURTEEN = [f"campaign-{number}" for number in range(1, 15)]
PAUSE_ALL = Plan(
    "campaign.pause_all",
    "pause 14 campaigns",
    ["812,000 recipients still to go, through backup and primary.", f"{', '.join(FOURTEEN[:8])} and 6 more."],
    [f"campaign {name}" for name in FOURTEEN],
)
PLANS: dict[str, tuple[Plan, str]] = {
    "pause all": (PAUSE_ALL, "/campaign pause all the price is wrong"),
    "resume all": (
        Plan(
            "campaign.resume_all",
            "let news and spring-sale go on",
            [
                "1,900 recipients still to go, through primary.",
                "welcome stays paused. backup is down. Wait until it is up, or use /server failover backup.",
            ],
            ["campaign news", "campaign spring-sale"],
            "Undo pauses them again; what has gone out by then cannot be taken back.",
        ),
        "/campaign resume all",
    ),
    "cancel": (
        Plan(
            "campaign.cancel",
            "cancel spring-sale for good",
            ["1,200 recipients would not get it.", "It is being sent now; what is in flight still arrives."],
            ["campaign spring-sale"],
            "This cannot be undone; to send it after all, import it under another name.",
        ),
        "/campaign cancel spring-sale",
    ),
    "drain": (
        Plan(
            "server.drain",
            "drain primary",
            [
                "spring-sale would go on through backup, 1,200 recipients to go.",
                "backup is sending 2 campaigns now, 3,000 recipients to go.",
            ],
            ["server primary", "carrier backup", "campaign spring-sale"],
        ),
        "/server drain primary",
    ),
    "failover": (
        Plan(
            "server.failover",
            "fail primary over to backup",
            [
                "news and spring-sale would go through backup, 1,200 recipients to go.",
                "spring-sale is held now and would go on.",
                "backup is sending nothing now.",
            ],
            ["server primary", "carrier backup", "campaign news", "campaign spring-sale"],
        ),
        "/server failover primary",
    ),
    "a resend's cancelling": (
        Plan(
            "resend.cancel",
            "cancel resend 4 for good",
            ["1,200 of 2,000 messages would not go out."],
            ["resend 4"],
            "This cannot be undone; what was not sent can be planned anew: /resend plan",
        ),
        "/resend cancel 4",
    ),
    "a long and hostile reason": (PAUSE_ALL, f"/campaign pause all {HOSTILE} {'very long ' * 100}"),
}
NOTHING = Plan("campaign.pause_all", "pause nothing, since nothing is being sent", nothing=True)
APPROVE = Plan(
    "notice.send",
    "ask for the approval of notice 2 to 2,000 recipients",
    (),
    ["notice 2"],
    "/notice cancel 2 takes it back.",
    [MARIA],
)
LARGE = Plan(
    "campaign.cancel_large",
    "ask a second person to let you cancel spring-sale for good",
    [
        "812,000 recipients would not get it.",
        "To stop it meanwhile: /campaign pause spring-sale",
        f"What {MARIA} asked for, to start it, would be void.",
    ],
    ["campaign spring-sale"],
    "/campaign reject spring-sale takes it back.",
    ["<!subteam^S0APPROVERS>"],
)
REHEARSED: dict[str, tuple[Plan, str]] = {
    "an approval": (APPROVE, "/notice send 2"),
    "a second person is asked": (LARGE, "/campaign cancel spring-sale"),
    "nobody could approve": (replace(LARGE, approvers=[]), "/campaign cancel spring-sale"),
    "a large one is approved": (
        Plan(
            "campaign.approve_end",
            "approve it and cancel spring-sale for good",
            [f"Asked for by {MARIA}.", "812,000 recipients would not get it."],
            ["campaign spring-sale"],
            "This cannot be undone; to send it after all, import it under another name.",
        ),
        "/campaign approve spring-sale",
    ),
    "severity": (
        Plan(
            "outage.severity",
            "make outage #3 critical; it is minor now",
            ["The channel would hear of it."],
            ["outage 3"],
            "/outage severity #3 minor takes it back.",
        ),
        "/outage severity critical",
    ),
    "an action": (
        Plan(
            "outage.action",
            f"note an action of outage #3 for {MARIA}: {HOSTILE}",
            ["Its thread would hear of it."],
            ["outage 3"],
            "This cannot be undone; /outage done closes it, by the number in the reply.",
        ),
        f"/outage action {MARIA} {HOSTILE}",
    ),
    "break-glass": (
        Plan(
            "glass.break",
            f"make you a sender for 1 h, until {moment(NIGHT + timedelta(hours=1), NIGHT)}",
            [
                f"The channel would be told, with your reason: {HOSTILE}",
                "Everything that you do would be marked.",
            ],
            [MARIA],
            "/holdfast break-glass end gives it back.",
        ),
        f"/holdfast break-glass {HOSTILE}",
    ),
}


def question(given: tuple[Plan, str]) -> View:
    return asking.question(given[0], 12, given[1], WITHIN, UNDO)


def dry_run(given: tuple[Plan, str]) -> View:
    return asking.dry_run(given[0], given[1], UNDO)


SCENES: Scenes = {
    **each("question", question, PLANS),
    "question: at a terminal": lambda: asking.question(PAUSE_ALL, None, "/campaign pause all", WITHIN, UNDO),
    "question: a campaign has come to it": lambda: asking.question(
        PAUSE_ALL, 13, "/campaign pause all", WITHIN, UNDO, ["campaign summer-sale"]
    ),
    "question: 14 campaigns have come to it": lambda: asking.question(
        PAUSE_ALL, 13, "/campaign pause all", WITHIN, UNDO, PAUSE_ALL.targets
    ),
    **each("dry run", dry_run, PLANS),
    "dry run: nothing to do": lambda: asking.dry_run(NOTHING, "/campaign pause all", UNDO),
    **each("dry run", dry_run, REHEARSED),
    "dry run of what only looks": lambda: asking.only_looks(View("All campaigns are finished.")),
    "answered: dropped": lambda: asking.settled("Nothing was changed."),
    "answered: somebody was first": lambda: asking.settled(f"Carried out by {MARIA} at 03:12 UTC already."),
    "answered: undone": lambda: asking.settled("Undone. news and spring-sale go on."),
    "a reply with Undo": lambda: asking.done("Pausing spring-sale. Undo it with /holdfast undo 12", 12),
    "a reply without Undo": lambda: asking.done("Pausing spring-sale. Undo it with /holdfast undo 12", None),
}
