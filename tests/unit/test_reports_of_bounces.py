"""Bounces by RFC 3464 and complaints by RFC 5965, and messages that only look like them."""

from datetime import UTC, datetime

import pytest

from bot.mail.reports.bounces import read_bounce
from bot.mail.reports.report import token_for
from storage.models import ReportKind

ANNA = token_for("00112233445566778899aabbccddeeff", "anna@example.com")
ORIGINAL = f"""\
From: Shop <shop@example.com>
To: Anna <anna@example.com>
Subject: Spring sale
Message-ID: <{ANNA}@example.com>
X-Holdfast-Campaign: spring-sale
List-Unsubscribe: <https://mail.example.com/u/7-2.Abc_d-9>,
 <mailto:stop@example.com>
"""
STATUS = """\
Reporting-MTA: dns; mx1.example.com
Arrival-Date: Thu, 01 Jan 2026 09:00:00 +0100

Original-Recipient: rfc822;anna@example.com
Final-Recipient: rfc822; a.smith@corp.example
Action: {action}
Status: {status}
Diagnostic-Code: smtp; {diagnostic}
"""
FEEDBACK = """\
Feedback-Type: {kind}
User-Agent: SomeMail/1.0
Version: 1
Original-Rcpt-To: <anna@example.com>
Arrival-Date: Thu, 01 Jan 2026 10:00:00 +0100
"""


def message(
    report: str, kind: str, fields: str, original: str = ORIGINAL, returned: str = "text/rfc822-headers"
) -> bytes:
    return f"""\
From: MAILER-DAEMON@mx1.example.com
To: shop@example.com
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type={report}; boundary="B"

--B
Content-Type: text/plain

Sorry.

--B
Content-Type: {kind}

{fields}
--B
Content-Type: {returned}

{original}
--B--
""".replace("\n", "\r\n").encode()


def bounce(action: str = "failed", status: str = "5.1.1", diagnostic: str = "550 5.1.1 User unknown") -> bytes:
    fields = STATUS.format(action=action, status=status, diagnostic=diagnostic)
    return message("delivery-status", "message/delivery-status", fields)


def test_a_bounce_names_the_delivery_and_says_why() -> None:
    (found,) = read_bounce(bounce())
    assert (found.token, found.kind, found.code, found.words) == (ANNA, ReportKind.BOUNCED, 550, "5.1.1 User unknown")
    assert found.recipients == ("anna@example.com", "a.smith@corp.example", "anna@example.com")
    assert found.campaign == "spring-sale"
    assert found.at == datetime(2026, 1, 1, 8, 0, tzinfo=UTC)
    assert found.judgement.suppress


@pytest.mark.parametrize(
    ("action", "status", "diagnostic", "kind", "suppress"),
    [
        ("failed", "5.2.2", "552 5.2.2 Mailbox full", ReportKind.BOUNCED, False),
        ("failed", "5.0.0", "550 No such user (in reply to RCPT TO command)", ReportKind.BOUNCED, True),
        ("failed", "5.7.1", "550 5.7.1 Your IP is blocked", ReportKind.BOUNCED, False),
        ("failed", "5.1.1", "x-unix; no mailbox here by that name", ReportKind.BOUNCED, True),
        ("failed", "4.4.7", "451 4.4.1 no answer from host", ReportKind.GAVE_UP, False),
        ("failed", "5.0.0", "450 4.2.1 not now: retry timeout exceeded", ReportKind.GAVE_UP, False),
        ("delayed", "4.4.1", "451 4.4.1 no answer from host", ReportKind.ACCEPTED, False),
        ("relayed", "2.0.0", "250 2.0.0 ok", ReportKind.DELIVERED, False),
    ],
)
def test_what_came_of_it_is_judged_by_the_table(
    action: str, status: str, diagnostic: str, kind: ReportKind, *, suppress: bool
) -> None:
    (found,) = read_bounce(bounce(action, status, diagnostic))
    assert found.kind == kind
    assert (kind == ReportKind.BOUNCED and found.judgement.suppress) is suppress


def test_the_whole_original_may_come_back_or_only_be_answered() -> None:
    whole = message(
        "delivery-status",
        "message/delivery-status",
        STATUS.format(action="failed", status="5.1.1", diagnostic="550 5.1.1 x"),
        f"{ORIGINAL}\nHello Anna\n",
        "message/rfc822",
    )
    assert [each.token for each in read_bounce(whole)] == [ANNA]
    answered = bounce().replace(f"Message-ID: <{ANNA}@example.com>".encode(), b"X-Cut: yes")
    assert read_bounce(answered) == []
    reply = f"In-Reply-To: <{ANNA}@example.com>\r\nMIME-Version".encode()
    (found,) = read_bounce(answered.replace(b"MIME-Version", reply, 1))
    assert found.recipients[0] == "anna@example.com"


def test_a_complaint_is_one_and_its_opposite_is_none() -> None:
    (found,) = read_bounce(message("feedback-report", "message/feedback-report", FEEDBACK.format(kind="abuse")))
    assert (found.token, found.kind, found.words) == (ANNA, ReportKind.COMPLAINT, "abuse, says SomeMail/1.0")
    assert found.recipients[0] == "anna@example.com"
    assert found.link == "7-2.Abc_d-9"
    assert read_bounce(message("feedback-report", "message/feedback-report", FEEDBACK.format(kind="not-spam"))) == []


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\xff\xfe\x00" * 1_000,
        b"Subject: out of office\r\nIn-Reply-To: <" + ANNA.encode() + b"@example.com>\r\n\r\nI am away.\r\n",
        bounce().replace(ANNA.encode(), b"f" * 39),
        b"".join(f"Content-Type: multipart/mixed; boundary={n}\r\n\r\n--{n}\r\n".encode() for n in range(5_000)),
    ],
)
def test_everything_else_says_nothing(octets: bytes) -> None:
    assert read_bounce(octets) == []


def test_exim_names_those_that_failed_in_a_header() -> None:
    octets = (
        "From: Mail Delivery System <Mailer-Daemon@mx1>\r\nX-Failed-Recipients: anna@example.com\r\n"
        f"References: <{ANNA}@example.com>\r\nSubject: failed\r\n\r\n"
        "  anna@example.com\r\n    SMTP error from remote mail server after RCPT TO:<anna@example.com>:\r\n"
        "    550 5.1.1 User unknown\r\n"
    ).encode()
    (found,) = read_bounce(octets)
    assert (found.kind, found.code, found.judgement.suppress) == (ReportKind.BOUNCED, 550, True)
