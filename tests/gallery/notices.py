"""Notices: the card in each state, and the answers of `/notice`."""

from datetime import timedelta
from typing import Any

from bot.services.notice_shapes import NoticeRow, NoticeStatus, WebhookNow
from bot.slack.views import notice, notice_replies
from storage.models import Notice, NoticeState
from tests.gallery.scene import Scenes, each
from tests.gallery.things import ANA, BEN, HASH, HOSTILE, MARIA, NIGHT, approval, campaign, counts

TEXT = "Hello,\n\nyour order confirmation is late, since our mail server failed.\nIt comes today.\n\nThe shop"


def row(state: NoticeState = NoticeState.DRAFT, **changes: Any) -> Notice:
    values: dict[str, Any] = {
        "id": 2,
        "outage_id": 3,
        "subject": "Your order confirmation is late",
        "text": TEXT,
        "campaign_ids": [1, 2],
        "campaign_id": 9,
        "plan_hash": HASH,
        "counts": {"recipients": 2000, "suppressed": 4, "duplicates": 60, "warnings": []},
        "created_by": MARIA,
        "created_at": NIGHT,
    }
    return Notice(state=state, **(values | changes))


def shown(of: Notice | None = None, mailing: dict[str, Any] | None = None, **changes: Any) -> NoticeStatus:
    decided = {NoticeState.WAITING: "pending", NoticeState.REJECTED: "rejected"}
    notice = of or row()
    values: dict[str, Any] = {
        "campaigns": ("newsletter", "spring-sale"),
        "sender": "Shop <shop@example.com>",
        "counts": counts(queued=2000),
        "server": "backup",
        "webhook": WebhookNow("planned"),
        "rate_per_minute": None,
        "approval": approval("notice", decided.get(NoticeState(notice.state), "approved")),
        "approvers": (ANA, BEN),
        "sender_runs": True,
        "at": NIGHT,
    }
    if notice.state == NoticeState.DRAFT:
        values["approval"] = None
    of_mailing: dict[str, Any] = {"state": "scheduled", "id": 9} | (mailing or {})
    carries = campaign("notice-2", **of_mailing)
    return NoticeStatus(notice=notice, mailing=carries, **(values | changes))


WAITING, SENDING, OVER = row(NoticeState.WAITING), row(NoticeState.SENDING), row(NoticeState.FINISHED)
UNDER_WAY: dict[str, Any] = {"state": "sending", "started_at": NIGHT}
ENDED: dict[str, Any] = {"state": "finished", "started_at": NIGHT}
HALF = counts(queued=1500, delivered=490, failed_permanent=8, unknown=2)
ONE: dict[str, Any] = {"recipients": 1}
NOBODY: dict[str, Any] = {"recipients": 0}


def half(**changes: Any) -> NoticeStatus:
    return shown(SENDING, UNDER_WAY, counts=HALF, **changes)


CARDS: dict[str, NoticeStatus] = {
    "draft": shown(),
    "draft for one recipient": shown(row(outage_id=None), ONE, campaigns=("spring-sale",), counts=counts(queued=1)),
    "draft for a list of its own, with bad rows and warnings": shown(
        row(counts={"suppressed": 0, "duplicates": 1, "bad": 2, "warnings": ["The first bad row is in line 7 & 8"]}),
        campaigns=(),
    ),
    "draft for 500 campaigns": shown(campaigns=tuple(f"mailing-{number:03}" for number in range(1, 501))),
    "draft, no server and no webhook": shown(server=None, webhook=None),
    "draft, the longest text": shown(row(text="All *is* <well> & good. " * 330, subject="<&>" * 60)),
    "waits for an approval": shown(WAITING),
    "waits for an approval, one recipient": shown(WAITING, ONE, counts=counts(queued=1)),
    "waits, nobody may approve": shown(WAITING, approvers=()),
    "nobody approved in time": shown(WAITING, at=NIGHT + timedelta(hours=3)),
    "sending": half(rate_per_minute=100.0),
    "sending, no data": half(webhook=WebhookNow("trying")),
    "sending, no sender": half(sender_runs=False),
    "sending, the webhook fails": half(webhook=WebhookNow("trying", 1, NIGHT, "it answered 503")),
    "sending, the webhook gave up": half(webhook=WebhookNow("given_up", 9, error=f"it answered 404: {HOSTILE}")),
    "sending, one recipient": shown(SENDING, UNDER_WAY | ONE, counts=counts(queued=1)),
    "being cancelled": shown(SENDING, UNDER_WAY | {"wish": "cancelled", "wished_by": BEN}, counts=HALF),
    "being cancelled, no sender": shown(SENDING, UNDER_WAY | {"wish": "cancelled"}, counts=HALF, sender_runs=False),
    "finished": shown(OVER, ENDED, counts=counts(delivered=2000), webhook=WebhookNow("delivered", 1)),
    "finished, some failed": shown(
        OVER, ENDED, counts=counts(delivered=1990, failed_permanent=5, unknown=1, suppressed=4), webhook=None
    ),
    "finished, one recipient": shown(OVER, ENDED | ONE, counts=counts(delivered=1)),
    "finished, by the webhook alone": shown(OVER, ENDED | NOBODY, counts=counts(), webhook=WebhookNow("delivered", 1)),
    "rejected": shown(row(NoticeState.REJECTED)),
    "cancelled before": shown(row(NoticeState.CANCELLED), approval=None),
    "cancelled in the middle": shown(
        row(NoticeState.CANCELLED), {"state": "cancelled", "started_at": NIGHT, "slipped": 3}, counts=HALF
    ),
    "cancelled when one had it": shown(
        row(NoticeState.CANCELLED),
        {"state": "cancelled", "started_at": NIGHT, "recipients": 2},
        counts=counts(queued=1, delivered=1),
    ),
}
ROWS = [NoticeRow(row(state, id=number), 2000, 490) for number, state in enumerate(NoticeState, 1)]

SCENES: Scenes = {
    **each("card", notice.card, CARDS),
    **each("/notice preview", notice_replies.preview, CARDS),
    "/notice list: empty": lambda: notice_replies.listing([]),
    "/notice list: one": lambda: notice_replies.listing([NoticeRow(row(outage_id=None), 1, 0)]),
    "/notice list: 500, the second page": lambda: notice_replies.listing(ROWS[:1] * 500, page=2),
    "/notice list: each state": lambda: notice_replies.listing(ROWS),
    "/notice send": lambda: notice_replies.requested(WAITING),
    "/notice send: of no outage": lambda: notice_replies.requested(row(NoticeState.WAITING, outage_id=None)),
    "/notice cancel: before": lambda: notice_replies.cancelled(row(NoticeState.CANCELLED)),
    "/notice cancel: in the middle": lambda: notice_replies.cancelled(SENDING),
    "/notice approve": lambda: notice_replies.changed(
        SENDING, "is approved and goes out.", "Stop it for good with /notice cancel 2"
    ),
}
