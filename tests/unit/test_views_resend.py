"""The card of a resend in each of its states: what it says, which buttons it has, and that Slack takes it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bot.demo.fakeslack.limits import MESSAGE_SIZE, block_problems, text_size
from bot.services.resend_shapes import Carrier, Progress, ResendStatus
from bot.slack.blocks import View
from bot.slack.plain import plain
from bot.slack.views.resend import card
from bot.slack.views.resend_replies import listing
from storage.models import Approval, Resend

NOON = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)
HASH = "ab" * 32
COUNTS = {
    "safe": 612,
    "refused": 2,
    "unknown": 3,
    "permanent": 12,
    "suppressed": 4,
    "expired": 0,
    "elsewhere": 0,
    "never_attempted": 760,
    "canary": 7,
}


def resend(**changes: object) -> Resend:
    values: dict[str, object] = {
        "id": 4,
        "outage_id": 3,
        "state": "planned",
        "wish": "planned",
        "campaign_ids": [1],
        "include_unknown": False,
        "include_refused": False,
        "plan_hash": HASH,
        "counts": COUNTS,
        "total": 612,
        "wave": -1,
        "requested_by": "<@U0MARIA>",
        "created_at": NOON,
        "note": None,
    }
    return Resend(**{**values, **changes})


def approval(state: str = "pending", **changes: object) -> Approval:
    values: dict[str, object] = {"state": state, "expires_at": NOON + timedelta(hours=2), "requested_by": "<@U0MARIA>"}
    return Approval(**{**values, **changes})


def status(row: Resend, progress: Progress | None = None, **changes: object) -> ResendStatus:
    made = ResendStatus(
        resend=row,
        campaigns=("spring-sale",),
        progress=progress or Progress(held_back=612),
        rate_per_minute=120.0,
        carriers=(Carrier("primary", None, None),),
        approval=approval(),
        approvers=("<@U0JOAN>", "<@U0KIM>"),
        sender_runs=True,
        at=NOON,
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # a test's own keywords


SENDING = resend(state="sending", wish="sending", wave=1)
HALF = Progress(delivered=300, failed=5, unknown=1, queued=306)
CANARY = resend(state="paused", wish="paused", wave=0, note="the canary is done")

EVERY: Mapping[str, ResendStatus] = {
    "planned": status(resend()),
    "planned, server down": status(resend(), carriers=(Carrier("backup", "primary", "down"),)),
    "sending": status(SENDING, HALF, approval=approval("approved", decided_by="<@U0JOAN>")),
    "canary under way": status(
        resend(state="sending", wish="sending", wave=0), Progress(delivered=2, queued=5, held_back=605)
    ),
    "sender away": status(SENDING, HALF, sender_runs=False),
    "pausing": status(resend(state="pausing", wish="paused", wave=1, note="paused by <@U0BEN>"), HALF),
    "cancelling": status(resend(state="pausing", wish="cancelled", wave=1, note="cancelled by <@U0BEN>"), HALF),
    "paused": status(resend(state="paused", wish="paused", wave=1, note="paused by <@U0BEN>"), HALF),
    "canary done": status(CANARY, Progress(delivered=7, held_back=605)),
    "finished": status(
        resend(state="finished", wish="finished", wave=1), Progress(delivered=600, failed=9, unknown=1, left=2)
    ),
    "cancelled": status(
        resend(state="cancelled", wish="cancelled", wave=1, note="cancelled by <@U0BEN>"),
        Progress(delivered=100, left=512),
    ),
    "rejected": status(resend(state="rejected", wish="rejected", note="rejected by <@U0JOAN>"), Progress(left=612)),
    "void": status(resend(state="void", wish="void", note="replaced by plan 5"), Progress(left=612)),
    "expired": status(resend(), approval=approval("expired")),
    "overdue": status(resend(), at=NOON + timedelta(hours=3)),
}


def buttons(view: View) -> dict[str, str]:
    """Label -> value."""
    return {
        element["text"]["text"]: element["value"]
        for block in view.blocks
        if block["type"] == "actions"
        for element in block["elements"]
    }


def shown(view: View) -> str:
    return plain(view.blocks)


@pytest.mark.parametrize("name", EVERY)
def test_slack_takes_it(name: str) -> None:
    view = card(EVERY[name])
    assert block_problems(view.blocks) == []
    assert view.text
    assert text_size(view.blocks) < MESSAGE_SIZE


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("planned", ["Approve", "Send 1 % first", "Reject"]),
        ("sending", ["Pause", "Cancel"]),
        ("canary under way", ["Pause", "Cancel"]),
        ("pausing", ["Cancel"]),
        ("cancelling", []),
        ("paused", ["Resume", "Cancel"]),
        ("canary done", ["Send the rest (605)", "Cancel"]),
        ("finished", []),
        ("cancelled", []),
        ("rejected", []),
        ("void", []),
        ("expired", []),
        ("overdue", []),
    ],
)
def test_it_has_the_buttons_that_apply(name: str, labels: list[str]) -> None:
    assert list(buttons(card(EVERY[name]))) == labels


def test_a_decision_carries_the_hash_of_what_is_shown() -> None:
    values = buttons(card(EVERY["planned"])) | buttons(card(EVERY["canary done"]))
    assert values["Approve"] == values["Reject"] == values["Send the rest (605)"] == f"4:{HASH}"
    assert values["Cancel"] == "4"


def test_the_plan_shows_every_count_and_what_is_left_out() -> None:
    text = shown(card(EVERY["planned"]))
    for piece in (
        "Resend 4: 612 messages to send again",
        "612 messages of spring-sale would go out again through primary.",
        "3, left out",
        "2, left out",
        "12, left out",
        "760, by the campaign itself",
        "about 5 min, at 120 delivered a minute lately",
        "with unknown refused",
        "Waits for an approval until Mar 29, 2026 14:00 by @U0JOAN or @U0KIM",
        "Asked by @U0MARIA",
    ):
        assert piece in text


def test_a_duration_without_data_is_no_data() -> None:
    assert "no data" in shown(card(status(resend(), rate_per_minute=None)))


def test_it_says_which_server_stands_in_and_what_is_wrong_with_it() -> None:
    text = shown(card(EVERY["planned, server down"]))
    assert "through backup (in place of primary)" in text
    assert "backup is down. It cannot be approved until that is over." in text


def test_the_bar_grows_with_what_has_a_result() -> None:
    text = shown(card(EVERY["sending"]))
    assert "Resend 4: 306 of 612 sent" in text
    assert "██████████░░░░░░░░░░ 50 %" in text
    assert "approved by @U0JOAN" in text
    assert "2 of 7 sent" in shown(card(EVERY["canary under way"]))


def test_a_canary_with_failures_asks_for_a_look() -> None:
    good = card(EVERY["canary done"])
    assert "All 7 were delivered. 605 messages wait for an approver." in shown(good)
    bad = card(status(CANARY, Progress(delivered=4, failed=3, held_back=605)))
    assert "4 of 7 were delivered: look at the others before you go on." in shown(bad)


def test_what_people_wrote_is_no_markup() -> None:
    asked = resend(requested_by="<!channel> *root*")
    assert "<!channel>" not in str(card(status(asked)).blocks)


def test_it_says_when_nobody_can_approve() -> None:
    assert "Nobody has the role approver yet" in shown(card(status(resend(), approvers=())))


def test_a_single_message_has_no_canary() -> None:
    one = resend(total=1, counts={**COUNTS, "safe": 1, "canary": 1})
    assert list(buttons(card(status(one, Progress(held_back=1))))) == ["Approve", "Reject"]


def test_the_list_is_one_line_each() -> None:
    view = listing([resend(), resend(id=3, state="pausing", wish="cancelled", outage_id=None)])
    assert block_problems(view.blocks) == []
    lines = shown(view).splitlines()
    assert lines[0] == "2 resends, the newest first"
    assert lines[1].startswith("🟡 planned  4 · 612 messages · outage #3 · by @U0MARIA")
    assert lines[2].startswith("🟠 being cancelled  3")
    assert "/resend plan" in listing([]).text
