"""What stands before a deed and after it: dry runs, questions, and the button that takes it back."""

from datetime import timedelta

from bot.services.plans import Plan
from bot.slack.blocks import View
from bot.slack.views import asking
from tests.gallery.scene import Scenes, each
from tests.gallery.things import HOSTILE, MARIA

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
    [f"Asked for the approval, besides who asks: {MARIA}."],
    ["notice 2"],
    "/notice cancel 2 takes it back.",
)


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
    "dry run: an approval": lambda: asking.dry_run(APPROVE, "/notice send 2", UNDO),
    "dry run of what only looks": lambda: asking.only_looks(View("All campaigns are finished.")),
    "answered: dropped": lambda: asking.settled("Nothing was changed."),
    "answered: somebody was first": lambda: asking.settled(f"Carried out by {MARIA} at 03:12 UTC already."),
    "answered: undone": lambda: asking.settled("Undone. news and spring-sale go on."),
    "a reply with Undo": lambda: asking.done("Pausing spring-sale. Undo it with /holdfast undo 12", 12),
    "a reply without Undo": lambda: asking.done("Pausing spring-sale. Undo it with /holdfast undo 12", None),
}
