"""The card of a notice in every state: within Slack's limits, with the right buttons, and word for word."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.demo.fakeslack import block_problems
from bot.services.notice_shapes import NoticeStatus, WebhookNow
from bot.slack.blocks import View
from bot.slack.plain import plain
from bot.slack.views.notice import card, preview
from storage.models import Approval, Campaign, DeliveryStatus, Notice, NoticeState

AT = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
HASH = "ab" * 32
TEXT = "Hello *all* & <everybody>,\n\nwe are _sorry_. :smile: @channel"


def status(state: NoticeState = NoticeState.WAITING, **changes: Any) -> NoticeStatus:
    notice = Notice(
        id=2,
        outage_id=3,
        state=state,
        subject=changes.pop("subject", "Our mail is late"),
        text=changes.pop("text", TEXT),
        campaign_ids=[1, 2],
        campaign_id=9,
        plan_hash=HASH if state != NoticeState.DRAFT else None,
        counts={"recipients": 2000, "suppressed": 4, "duplicates": 60, "warnings": changes.pop("warnings", [])},
        created_by="<@U0MARIA>",
        created_at=AT,
    )
    mailing = Campaign(
        id=9,
        name="notice-2",
        state=changes.pop("mailing", "scheduled"),
        wish=changes.pop("wish", "scheduled"),
        recipients=changes.pop("recipients", 2000),
        started_at=changes.pop("started_at", None),
        wished_by="<@U0BEN>",
        slipped=changes.pop("slipped", 0),
    )
    counts = {each.value: 0 for each in DeliveryStatus} | {"queued": 2000} | changes.pop("counts", {})
    approval = Approval(
        subject="notice",
        subject_id=2,
        plan_hash=HASH,
        state=changes.pop("approval", "pending"),
        requested_by="<@U0MARIA>",
        requested_at=AT,
        expires_at=AT + timedelta(hours=2),
        decided_by="<@U0BEN>",
    )
    values: dict[str, Any] = {
        "campaigns": ("newsletter", "spring-sale"),
        "sender": "Shop <shop@example.com>",
        "server": "backup",
        "webhook": WebhookNow("planned"),
        "rate_per_minute": None,
        "approvers": ("<@U0BEN>",),
        "sender_runs": True,
        "at": AT,
    }
    return NoticeStatus(notice=notice, mailing=mailing, counts=counts, approval=approval, **(values | changes))


def sending(**changes: Any) -> NoticeStatus:
    counts = {"queued": 1500, "delivered": 490, "failed_permanent": 8, "unknown": 2}
    return status(
        NoticeState.SENDING, **({"mailing": "sending", "wish": "sending", "started_at": AT, "counts": counts} | changes)
    )


def buttons(view: View) -> list[str]:
    return [each["action_id"] for block in view.blocks if block["type"] == "actions" for each in block["elements"]]


def shown(view: View) -> str:
    return plain(view.blocks, view.text)


STATES = {
    "draft": (status(NoticeState.DRAFT), ["notice.send", "notice.cancel"]),
    "waiting": (status(), ["notice.approve", "notice.reject", "notice.cancel"]),
    "sending": (sending(), ["notice.cancel"]),
    "cancelling": (sending(mailing="pausing", wish="cancelled"), []),
    "finished": (status(NoticeState.FINISHED, started_at=AT, counts={"queued": 0, "delivered": 2000}), []),
    "rejected": (status(NoticeState.REJECTED, approval="rejected"), []),
    "cancelled before": (status(NoticeState.CANCELLED), []),
    "cancelled in the middle": (status(NoticeState.CANCELLED, started_at=AT, slipped=3), []),
    "expired": (status(at=AT + timedelta(hours=3)), []),
}


@pytest.mark.parametrize("state", STATES)
def test_every_state_is_a_message_that_slack_takes_with_the_buttons_that_apply(state: str) -> None:
    given, expected = STATES[state]
    view = card(given)
    assert block_problems(view.blocks) == []
    assert view.text
    assert buttons(view) == expected


def test_the_card_that_is_approved_shows_the_text_word_for_word() -> None:
    view = card(status())
    verbatim = [block["text"]["text"] for block in view.blocks if block.get("text", {}).get("type") == "plain_text"]
    assert TEXT in verbatim
    assert "Shop &lt;shop@example.com&gt;" in json.dumps(view.blocks)


def test_a_decision_carries_the_hash_of_what_is_on_the_screen() -> None:
    view = card(status())
    [row] = [block for block in view.blocks if block["type"] == "actions"]
    values = {each["action_id"]: each["value"] for each in row["elements"]}
    assert values == {"notice.approve": f"2:{HASH}", "notice.reject": f"2:{HASH}", "notice.cancel": "2"}


def test_it_says_whom_it_reaches_and_whom_not() -> None:
    said = shown(card(status()))
    for part in ("2,000, of newsletter and spring-sale", "backup", "yes", "4", "60"):
        assert part in said
    assert "no server can carry it" in shown(card(status(server=None)))


def test_the_longest_text_in_markup_of_slack_still_fits() -> None:
    longest = status(text="&<>*_" * 1_600, subject="<" * 200, warnings=["w & " * 100] * 3)
    view = card(longest)
    assert block_problems(view.blocks) == []
    parts = [block["text"]["text"] for block in view.blocks if block.get("text", {}).get("type") == "plain_text"]
    assert "&<>*_" * 1_600 in "".join(parts)


def test_progress_has_a_bar_counts_and_no_estimate_without_data() -> None:
    said = shown(card(sending()))
    assert "25 %" in said
    assert "490" in said
    assert "no data" in said
    assert "about 15 min" in shown(card(sending(rate_per_minute=100.0)))


def test_it_says_when_nothing_sends() -> None:
    assert "The sender is not running" in shown(card(sending(sender_runs=False)))


@pytest.mark.parametrize(
    ("webhook", "said"),
    [
        (None, "none"),
        (WebhookNow("trying"), "on its way"),
        (WebhookNow("trying", 3, AT, "it answered 503"), "tried 3 times: it answered 503; again"),
        (WebhookNow("delivered", 1), "delivered"),
        (WebhookNow("given_up", 9, error="it answered 404: <b>"), "not delivered: it answered 404: <b>"),
    ],
)
def test_the_webhook_has_a_line_of_its_own(webhook: WebhookNow | None, said: str) -> None:
    view = card(sending(webhook=webhook))
    assert block_problems(view.blocks) == []
    assert said in shown(view)


def test_a_notice_for_the_webhook_alone_has_no_figures_of_mail() -> None:
    view = card(status(NoticeState.FINISHED, recipients=0, counts={"queued": 0}, started_at=AT))
    assert "Delivered" not in shown(view)
    assert block_problems(view.blocks) == []


def test_without_approvers_it_says_how_to_get_one() -> None:
    assert "Nobody has the role approver yet" in shown(card(status(approvers=())))


def test_the_preview_of_a_draft_offers_to_ask() -> None:
    assert buttons(preview(status(NoticeState.DRAFT))) == ["notice.send", "notice.cancel"]
