"""What a report changes in the ledger, and what became of some reports.

"Delivered" in the ledger means that a server took the message with its final dot. So a server's log that shows the
message in its queue proves as much as its 250 would have; what the log or a bounce says of the way from there on
counts after that.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from bot.mail.reports.report import Report
from storage.models import DeliveryStatus, ReportKind, Retry
from storage.reports import Standing

_SLACK = timedelta(minutes=1)
"""Clocks of two machines may differ by so much."""
_ARRIVED = frozenset({ReportKind.ACCEPTED, ReportKind.DELIVERED, ReportKind.COMPLAINT})
_RETURNED = frozenset({ReportKind.BOUNCED, ReportKind.GAVE_UP})


def digest_of(source: str, kind: str, code: int | None, words: str) -> str:
    """The same report has the same, however often it comes; when it came is no part of it."""
    return hashlib.sha256("\n".join([source, kind, str(code or ""), words]).encode()).hexdigest()[:32]


def must_wait(delivery: Standing) -> bool:
    """Somebody is sending it: its result comes first. So does a resend that was approved for it."""
    return delivery.status == DeliveryStatus.QUEUED or delivery.held


def change(delivery: Standing, report: Report) -> dict[str, Any] | None:
    """The columns of the delivery that the report changes; None where it changes nothing."""
    if report.kind in _ARRIVED:
        return _delivered(report) if _may_have_arrived(delivery, report) else None
    if not _is_of_the_last_attempt(delivery, report):
        return None
    if report.kind == ReportKind.BOUNCED and delivery.status in {DeliveryStatus.UNKNOWN, DeliveryStatus.DELIVERED}:
        judged = report.judgement
        return _columns(report, DeliveryStatus.FAILED_PERMANENT, Retry(judged.retry))
    still_open = delivery.status == DeliveryStatus.UNKNOWN or _was_only_in_the_queue(delivery)
    if report.kind == ReportKind.GAVE_UP and still_open:
        return _columns(report, DeliveryStatus.FAILED_TEMPORARY, Retry.SAFE)
    return None


def _may_have_arrived(delivery: Standing, report: Report) -> bool:
    if delivery.status == DeliveryStatus.UNKNOWN:
        return True
    # An earlier attempt was taken after all. That the server has it says less than that it gave it back later.
    returned = not _RETURNED.isdisjoint(delivery.kinds)
    passed_on = report.kind != ReportKind.ACCEPTED
    return delivery.status == DeliveryStatus.FAILED_TEMPORARY and (passed_on or not returned)


def _was_only_in_the_queue(delivery: Standing) -> bool:
    """It had been unknown and counts as delivered by a log's word that the server had it: what became of it there is
    heard now. Where the server told us itself, the ledger has no reply.
    """
    heard = delivery.kinds & _ARRIVED
    return delivery.status == DeliveryStatus.DELIVERED and delivery.reply is not None and heard == {ReportKind.ACCEPTED}


def _is_of_the_last_attempt(delivery: Standing, report: Report) -> bool:
    """A bounce of an earlier attempt says nothing of the one that was made since."""
    if delivery.attempts < 2 or report.at is None or delivery.changed_at is None:
        return True
    return report.at >= delivery.changed_at - _SLACK


def _delivered(report: Report) -> dict[str, Any]:
    return _columns(report, DeliveryStatus.DELIVERED, Retry.NEVER)


def _columns(report: Report, status: DeliveryStatus, retry: Retry) -> dict[str, Any]:
    return {
        "status": status,
        "retry": retry,
        "stage": report.stage.value,
        "code": report.code,
        "reply": report.words or None,
    }


@dataclass
class Tally:
    """What became of some reports, in reports; the unknown deliveries that they settled by name."""

    settled: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    """Campaign -> status -> addresses of deliveries that were unknown before."""
    came_back: int = 0
    """Those that counted as delivered before."""
    arrived: int = 0
    """Those that counted as failed before."""
    kept: int = 0
    """They change nothing in the ledger."""
    waiting: int = 0
    """They are taken into account when who sends the delivery now is done with it."""
    again: int = 0
    """Known already."""
    not_ours: int = 0
    suppressed: list[str] = field(default_factory=list)
    """Addresses that are mailed no more because of them."""

    @property
    def number_settled(self) -> int:
        return sum(len(names) for found in self.settled.values() for names in found.values())

    def add(self, other: "Tally") -> None:
        for campaign, found in other.settled.items():
            mine = self.settled.setdefault(campaign, {})
            for status, names in found.items():
                mine.setdefault(status, []).extend(names)
        self.came_back += other.came_back
        self.arrived += other.arrived
        self.kept += other.kept
        self.waiting += other.waiting
        self.again += other.again
        self.not_ours += other.not_ours
        self.suppressed += other.suppressed
