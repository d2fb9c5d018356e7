"""The home tab: quiet, burning, waiting for somebody, and as people see it who may do less."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from bot.services.home import NEEDS
from bot.services.home_shapes import Decision, HomeReport, House, ResendNow
from bot.slack.blocks import View
from bot.slack.views import asking, home, resend_replies
from storage.models import BreakGlass, CampaignState, Maintenance, NoticeState, OutageState
from tests.gallery import notices, outages, resends, second_person, servers
from tests.gallery.ramps import stages
from tests.gallery.scene import Payload, Scenes, each
from tests.gallery.things import ANA, BEN, HOSTILE, MARIA, NIGHT, approval, campaign

ALL = frozenset(NEEDS)
LOOKING = frozenset({"outage.acknowledge"})
RESEND = Decision(approval("resend"), resends.shown())
IN_STAGES = Decision(approval("resend"), resends.shown(ramp=resends.WAVES))
START = Decision(second_person.question("start"), second_person.asked(to_go=None))
END = Decision(second_person.question("cancel"), second_person.asked("cancel", to_go=None))
NOTICE = Decision(approval("notice", id=2, subject_id=2), notices.shown(notices.WAITING))
STOPPED = (
    campaign("spring-sale", "paused", hold="outage", hold_outage_id=3, hold_reason="primary is down"),
    campaign("newsletter", "paused", hold="person", wished_by=BEN, hold_reason="the price is wrong"),
    campaign("welcome", "pausing", hold="maintenance", hold_reason="maintenance of second until 05:00 UTC"),
    campaign("old-offer", "pausing", wish="cancelled", wished_by=BEN),
)
COUNTS = {state.value: 2 for state in CampaignState}


def card(state: OutageState = OutageState.OPEN, **changes: Any) -> Any:
    actions = ("outage.acknowledge",) if state == OutageState.OPEN else ()
    values: dict[str, Any] = {"totals": None, "campaigns": (outages.touched(counts={}),)} | changes
    offered = (*actions, "outage.pause", "outage.failover", "outage.resume", "outage.resolve")
    return outages.card(outages.row(state, **values.pop("row", {})), actions=offered, **values)


def window(number: int, state: str, starts_in: timedelta, **changes: Any) -> tuple[Maintenance, str]:
    starts = NIGHT + starts_in
    made = Maintenance(
        id=number, state=state, starts_at=starts, ends_at=starts + timedelta(hours=2), reason="new disks", **changes
    )
    return made, "second"


def house(**changes: Any) -> House:
    values: dict[str, Any] = {
        "outages": (),
        "more_outages": 0,
        "campaigns": {"sending": 2, "scheduled": 3, "finished": 12},
        "stopped": (),
        "sending": (campaign("spring-sale"), campaign("summer-sale")),
        "ramps": {},
        "servers": (servers.STATES["up"], servers.STATES["up, carries for another"]),
        "resends": (),
        "more_resends": 0,
        "decisions": (),
        "pending": (),
        "maintenance": (),
        "more_maintenance": 0,
        "glasses": (),
        "sender_runs": True,
    }
    return House(at=NIGHT, **(values | changes))


def seen(of: House | None = None, **changes: Any) -> HomeReport:
    values: dict[str, Any] = {
        "buttons": ALL,
        "decisions": (),
        "more_decisions": 0,
        "others": 0,
        "rest": (),
        "outsider": False,
    }
    return HomeReport(house=of or house(), **(values | changes))


def drawn(shown: HomeReport) -> Payload:
    return home.payload(home.tab(shown), shown.house.at)


REST = ResendNow(resends.row("paused", **resends.CANARY), 605, canary_done=True)
BURNING = house(
    outages=(card(), card(OutageState.MONITORING, row={"id": 2, "severity": "minor"}, servers=outages.UP)),
    campaigns=COUNTS,
    stopped=STOPPED,
    servers=tuple(servers.STATES.values()),
    resends=(
        ResendNow(resends.row("sending", id=6), 306, canary_done=False),
        ResendNow(resends.row("pausing", id=7), 612, canary_done=False),
        ResendNow(resends.row("paused", id=8, outage_id=None), None, canary_done=False),
    ),
    maintenance=(
        window(4, "active", -timedelta(hours=1)),
        window(5, "active", -timedelta(hours=3)),
        window(6, "scheduled", timedelta(days=1)),
    ),
)
CROWD = house(
    outages=tuple(
        card(row={"id": number, "title": HOSTILE * 6, "reply": HOSTILE * 9}, servers=(outages.down(),) * 9)
        for number in range(1, 6)
    ),
    more_outages=7,
    campaigns={"paused": 480, "sending": 20},
    stopped=tuple(campaign(f"mailing-{n:03}", "paused", hold="person", wished_by=BEN) for n in range(1, 9)),
    sending=tuple(campaign(f"newsletter-{number:03}") for number in range(1, 9)),
    servers=tuple(servers.MANY),
    resends=tuple(ResendNow(resends.row("sending", id=number), 612, canary_done=False) for number in range(11, 16)),
    more_resends=1,
    maintenance=tuple(window(number, "scheduled", timedelta(hours=number)) for number in range(1, 5)),
    more_maintenance=2,
)
GLASS = BreakGlass(
    id=2,
    user_id="U0BEN",
    reason="all senders are asleep and the wrong price is going out",
    began_at=NIGHT - timedelta(minutes=5),
    ends_at=NIGHT + timedelta(minutes=55),
)
HOSTILE_GLASS = BreakGlass(id=3, user_id="U0ANA", reason=HOSTILE * 20, began_at=NIGHT, ends_at=GLASS.ends_at)
STAGED = house(
    stopped=(campaign("may-news", "paused", id=11, hold="threshold", hold_reason="6.1 % are unknown addresses"),),
    sending=(campaign("spring-sale", id=12), campaign("summer-sale", id=13), campaign("autumn-sale", id=14)),
    ramps={
        11: stages(),
        12: stages(due_at=NIGHT.replace(minute=40)),
        13: stages(),
        14: stages(4),
    },
    resends=(
        ResendNow(resends.row("sending", id=6, ramped=True), 306, False, stages(due_at=NIGHT.replace(minute=20))),
        ResendNow(resends.row("paused", id=7, ramped=True), 612, False, stages(1)),
    ),
)
LONG = notices.row(NoticeState.WAITING, text="All *is* <well> & good. " * 330)

STATES: dict[str, HomeReport] = {
    "all quiet": seen(),
    "nothing is known yet": seen(house(campaigns={}, sending=(), servers=())),
    "an outage that nobody has, and everything else at once": seen(BURNING),
    "the same, for who may only acknowledge": seen(BURNING, buttons=LOOKING),
    "the same, for somebody of another workspace": seen(BURNING, buttons=frozenset(), outsider=True),
    "an outage that somebody has": seen(house(outages=(card(OutageState.ACKNOWLEDGED),))),
    "two outages that somebody has": seen(
        house(outages=(card(OutageState.IDENTIFIED), card(OutageState.ACKNOWLEDGED, row={"id": 4})))
    ),
    "a resend waits for you": seen(decisions=(RESEND,)),
    "a resend that may go out in stages waits for you": seen(decisions=(IN_STAGES,)),
    "a notice waits for you, and another for others": seen(decisions=(NOTICE,), others=1),
    "the start of a large campaign waits for you": seen(decisions=(START,)),
    "its cancellation waits for you": seen(decisions=(END,)),
    "a large campaign waits for others": seen(others=1),
    "somebody broke the glass": seen(house(glasses=(GLASS,))),
    "somebody broke the glass in an outage": seen(
        house(outages=(card(OutageState.ACKNOWLEDGED),), glasses=(GLASS,)), buttons=LOOKING
    ),
    "many broke the glass": seen(house(glasses=(GLASS, HOSTILE_GLASS, GLASS, GLASS, GLASS))),
    "more waits for you than is shown": seen(decisions=(RESEND, NOTICE), more_decisions=3),
    "what you asked for waits for others": seen(others=2),
    "everything goes out in stages, or stands between them": seen(STAGED),
    "the first 1 % is out, and you may send the rest": seen(house(resends=(REST,)), rest=(REST,)),
    "the first 1 % is out, and others may send the rest": seen(house(resends=(REST,))),
    "no sender": seen(house(sender_runs=False)),
    "a server is down, its outage was resolved by hand": seen(
        house(servers=(servers.STATES["up"], servers.row("third", "down", backup="backup", **servers.BROKEN)))
    ),
    "two servers are down without an outage": seen(
        house(servers=tuple(servers.row(name, "down", **servers.BROKEN) for name in ("third", "fourth")))
    ),
    "a large house": seen(
        CROWD,
        decisions=(RESEND, Decision(approval("notice", id=3, subject_id=5), notices.shown(LONG)), NOTICE),
        more_decisions=12,
        others=3,
    ),
}

ANSWERS: dict[str, tuple[HomeReport, View]] = {
    "done": (seen(house(outages=(card(OutageState.ACKNOWLEDGED),))), View("Done: Acknowledge.")),
    "done, and it can be undone": (
        seen(house(outages=(card(OutageState.ACKNOWLEDGED),))),
        asking.done("Paused spring-sale and newsletter.", 4),
    ),
    "undone": (seen(), asking.settled("Undone. spring-sale and newsletter go on.")),
    "refused": (
        seen(buttons=LOOKING),
        View(f"You may not resolve an outage: that needs the role responder. Ask {MARIA}, {ANA}."),
    ),
    "asks for more": (seen(), resend_replies.planned(resends.shown(resends.row(**resends.TINY)))),
    "a long answer, in a large house": (STATES["a large house"], View("A long answer. " * 300)),
}


def answered(answer: tuple[HomeReport, View]) -> Payload:
    return drawn(replace(answer[0], note=home.note(answer[1]), noted_at=NIGHT))


SCENES: Scenes = {
    **each("tab", drawn, STATES),
    **each("after a press", answered, ANSWERS),
    "when it cannot be drawn": lambda: home.payload(home.bare("The database does not answer."), NIGHT),
    "after a press that has no other answer": lambda: home.done("Fail over to <backup>"),
}
