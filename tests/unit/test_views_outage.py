"""The live message of an outage says what is wrong first, and offers what applies."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.demo.fakeslack import block_problems
from bot.services.outage_shapes import CampaignNow, Headline, OutageSummary, ServerNow, Totals
from bot.slack.blocks import View
from bot.slack.plain import plain
from bot.slack.views import outage as views
from bot.slack.views import timeline as timeline_views
from storage.models import Campaign, Outage, OutageState, Timeline

AT = datetime(2026, 3, 14, 3, 12, tzinfo=UTC)
EVERY_BUTTON = (
    "outage.acknowledge",
    "outage.pause",
    "outage.failover",
    "outage.resume",
    "outage.plan",
    "outage.resolve",
)


def outage(**changes: Any) -> Outage:
    values: dict[str, Any] = {
        "id": 3,
        "state": OutageState.OPEN,
        "severity": "major",
        "title": "primary is down",
        "policy": "hold",
        "opened_by": "Holdfast",
        "stage": "greeting",
        "code": 421,
        "reply": "4.3.2 shutting down",
        "started_at": AT,
        "detected_at": AT + timedelta(seconds=40),
        "recurrences": 0,
    }
    return Outage(**(values | changes))


def server(**changes: Any) -> ServerNow:
    values: dict[str, Any] = {
        "id": 1,
        "name": "primary",
        "host": "mx1.example.com",
        "port": 25,
        "state": "down",
        "since": AT,
        "stage": "connect",
        "code": None,
        "text": "refused",
        "backup": "backup",
        "backup_usable": True,
        "failed_over_to": None,
    }
    return ServerNow(**(values | changes))


def campaign(name: str = "spring-sale", **changes: Any) -> CampaignNow:
    row = Campaign(id=7, name=name, state="paused", recipients=2000, slipped=3)
    counts = {"delivered": 1240, "queued": 760}
    values: dict[str, Any] = {"campaign": row, "held": True, "through": "primary", "counts": counts}
    return CampaignNow(**(values | changes))


TOTALS = Totals(
    attempted=1300, delivered=1240, failed=60, recovered=0, undecided=2, unknown=2, suppressed=5, expired=0, queued=760
)


def headline(row: Outage | None = None, **changes: Any) -> Headline:
    values: dict[str, Any] = {
        "outage": row or outage(),
        "servers": (server(),),
        "campaigns": (campaign(),),
        "totals": TOTALS,
        "actions": ("outage.acknowledge", "outage.failover", "outage.resolve"),
        "resend_id": None,
    }
    return Headline(**(values | changes))


def read(view: View) -> str:
    """As the terminal shows it; Slack would take every block."""
    assert block_problems(view.blocks) == []
    return plain(view.blocks)


def test_what_is_wrong_comes_first_and_not_by_colour_alone() -> None:
    lines = read(views.headline(headline())).splitlines()

    assert "🔴 primary is down" in lines[0]
    assert "421 4.3.2 shutting down at greeting" in lines[1] + lines[2]


def test_a_phone_shows_the_whole_in_one_line() -> None:
    text = views.headline(headline()).text

    assert text == "primary is down. 421 4.3.2 shutting down at greeting. 1 campaign held. Nobody has it yet."


def test_it_tells_what_was_done_to_the_campaigns() -> None:
    text = read(views.headline(headline()))

    assert "1 affected, 1 held" in text
    assert "spring-sale: held; 1,240 of 2,000 delivered, 760 to go, 3 slipped out" in text


def test_a_campaign_that_moved_says_through_what_it_is_sent() -> None:
    moved = Campaign(id=7, name="spring-sale", state="sending", recipients=2000, slipped=0)
    shown = campaign(campaign=moved, held=False, through="backup")
    over = server(failed_over_to="backup")

    text = read(views.headline(headline(campaigns=(shown,), servers=(over,))))

    assert "spring-sale: sending through backup" in text
    assert "backup carries its campaigns" in text


def test_many_campaigns_are_counted_not_listed() -> None:
    many = tuple(campaign(f"mailing-{n}") for n in range(40))

    text = read(views.headline(headline(campaigns=many)))

    assert "40 affected, 40 held" in text
    assert "and 35 more" in text


def test_the_buttons_are_those_that_apply() -> None:
    text = read(views.headline(headline()))

    assert "[Acknowledge] [Fail over to backup] [Resolve]" in text
    assert "Pause campaigns" not in text


def test_every_button_keeps_to_slack_s_rules() -> None:
    view = views.headline(headline(actions=EVERY_BUTTON))

    assert "[Plan the resend]" in read(view)


def test_an_outcome_stands_where_its_button_was() -> None:
    row = outage(state=OutageState.ACKNOWLEDGED, acknowledged_at=AT, acknowledged_by="<@U012AB>", lead="<@U012AB>")

    text = read(views.headline(headline(row, actions=("outage.resolve",))))

    assert "<@U012AB>" in str(views.headline(headline(row)).blocks)
    assert "Acknowledge]" not in text
    assert "acknowledged" in text


@pytest.mark.parametrize(
    ("state", "title", "word"),
    [
        (OutageState.OPEN, "primary is down", "open"),
        (OutageState.ACKNOWLEDGED, "primary is down", "acknowledged"),
        (OutageState.IDENTIFIED, "primary is down", "cause known"),
        (OutageState.MONITORING, "primary answers again", "answers again"),
        (OutageState.RESOLVED, "Resolved: primary", "resolved"),
    ],
)
def test_each_state_has_its_words(state: OutageState, title: str, word: str) -> None:
    over = state in {OutageState.MONITORING, OutageState.RESOLVED}
    row = outage(
        state=state,
        recovered_at=AT if over else None,
        resolved_at=AT if state == OutageState.RESOLVED else None,
        resolved_by="<@U1>",
        resolution="the disk was full",
        cause="disk",
        eta=AT,
    )
    shown = headline(row, servers=(server(state="up" if over else "down"),))

    text = read(views.headline(shown))

    assert title in text.splitlines()[0]
    assert word in text


def test_the_next_step_follows_the_state() -> None:
    recovered = outage(state=OutageState.MONITORING, acknowledged_at=AT, acknowledged_by="Ana", recovered_at=AT)

    assert "takes it with Acknowledge or /outage ack" in read(views.headline(headline()))
    assert "resume the campaigns, then resolve" in read(
        views.headline(headline(recovered, actions=("outage.resume", "outage.resolve")))
    )
    assert "plan the resend" in read(views.headline(headline(recovered, actions=("outage.plan", "outage.resolve"))))
    assert "see resend #4" in read(views.headline(headline(recovered, actions=("outage.resolve",), resend_id=4)))


def test_what_a_server_or_a_person_wrote_calls_nobody() -> None:
    row = outage(title="all is lost <!channel>", reply="<!here> *bold*", cause="<https://evil|click>", stage="rcpt")

    blocks = str(views.headline(headline(row)).blocks)

    for dangerous in ("<!channel>", "<!here>", "<https"):
        assert dangerous not in blocks
    assert "all is lost &lt;!channel&gt;" in blocks


def test_long_texts_are_cut_and_still_fit() -> None:
    row = outage(title="x" * 9000, reply="y" * 9000, cause="z" * 9000, resolution="w" * 9000)
    servers = tuple(server(name=f"server-{n}") for n in range(12))

    read(views.headline(headline(row, servers=servers, actions=EVERY_BUTTON)))


def test_without_campaigns_there_is_no_data_and_no_zero() -> None:
    text = read(views.headline(headline(campaigns=(), totals=None)))

    assert "none was being sent through it" in text
    assert "no data" in text


def summary(row: Outage | None = None, **changes: Any) -> OutageSummary:
    values: dict[str, Any] = {
        "outage": row or outage(state=OutageState.RESOLVED, resolution="new disk", cause="the disk was full"),
        "servers": ("primary",),
        "campaigns": ("spring-sale", "welcome"),
        "started_at": AT,
        "detected_at": AT + timedelta(seconds=40),
        "acknowledged_at": AT + timedelta(minutes=3),
        "recovered_at": AT + timedelta(minutes=50),
        "resolved_at": AT + timedelta(minutes=65),
        "totals": TOTALS,
    }
    return OutageSummary(**(values | changes))


def test_the_summary_gives_times_and_counts() -> None:
    text = read(views.summary(summary()))

    assert "Outage #3 on primary is over" in text
    assert "50 min" in text
    assert "after 40 s" in text
    assert "the disk was full" in text
    assert "spring-sale and welcome" in text
    for label, figure in (("Attempted", "1,300"), ("Recovered by resend", "0"), ("Still unknown", "2")):
        assert label in text
        assert figure in text


def test_the_summary_of_an_outage_that_touched_nothing_says_no_data() -> None:
    text = read(views.summary(summary(totals=None, campaigns=(), acknowledged_at=None, recovered_at=None)))

    assert "no data: no campaign was touched" in text
    assert "none was touched" in text


def test_an_entry_keeps_mentions_and_escapes_what_else_is_marked_up() -> None:
    row = Timeline(id=1, text="<@U012AB> named the cause: <!channel> a < b & c", kind="outage.identified")

    view = timeline_views.entry(row)

    assert view.text == "<@U012AB> named the cause: &lt;!channel&gt; a &lt; b &amp; c"
    assert block_problems(view.blocks) == []


def test_it_asks_for_a_decision_when_only_unknown_deliveries_are_left() -> None:
    over = outage(state=OutageState.RESOLVED, resolved_at=AT, resolved_by="<@U1>")
    totals = replace(TOTALS, recovered=58)

    text = read(views.headline(headline(over, totals=totals, actions=())))

    assert "2 deliveries may have arrived: decide with /resend unknown 3" in " ".join(text.split())
