"""What a mail server's log says of our deliveries, read as a stream."""

import gzip
import io
import os
from collections.abc import Container
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from bot.errors import BadInputError
from bot.mail.replies import Stage
from bot.mail.reports.logs import Logs, oldest_first, opened
from bot.mail.reports.report import Report, token_for, token_of
from storage.models import ReportKind

KEY = "00112233445566778899aabbccddeeff"
ANNA, BERT, CARA = (token_for(KEY, f"{name}@example.com") for name in ("anna", "bert", "cara"))
NOW = datetime(2026, 1, 2, 9, 0, tzinfo=UTC)
MADRID = ZoneInfo("Europe/Madrid")

POSTFIX = f"""\
Dec 31 23:59:58 mx1 postfix/smtpd[811]: 4XyZ12: client=app.example.com[192.0.2.7]
Dec 31 23:59:58 mx1 postfix/cleanup[812]: 4XyZ12: message-id=<{ANNA}@example.com>
Dec 31 23:59:58 mx1 postfix/qmgr[810]: 4XyZ12: from=<shop@example.com>, size=5012, nrcpt=1 (queue active)
Dec 31 23:59:59 mx1 postfix/smtp[813]: 4XyZ12: to=<anna@example.com>, relay=mx.example.com[192.0.2.9]:25, delay=1.1, delays=0/0/1/0.1, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 77AF)
Dec 31 23:59:59 mx1 postfix/qmgr[810]: 4XyZ12: removed
Jan  1 00:00:01 mx1 postfix/cleanup[812]: 4XyZ13: message-id=<{BERT}@example.com>
Jan  1 00:00:01 mx1 postfix/smtpd[811]: lost connection after DATA (1460 bytes) from app.example.com[192.0.2.7]
Jan  1 00:00:02 mx1 postfix/cleanup[812]: 4XyZ14: message-id=<{CARA}@example.com>
Jan  1 00:00:02 mx1 postfix/qmgr[810]: 4XyZ14: from=<shop@example.com>, size=5012, nrcpt=1 (queue active)
Jan  1 00:00:03 mx1 postfix/smtp[813]: 4XyZ14: to=<cara@example.com>, relay=mx.example.com[192.0.2.9]:25, delay=1, delays=0/0/1/0, dsn=5.1.1, status=bounced (host mx.example.com[192.0.2.9] said: 550 5.1.1 <cara@example.com>: User unknown (in reply to RCPT TO command))
Jan  1 00:00:04 mx1 postfix/cleanup[812]: 4XyZ15: message-id=<20260101.4XyZ15@mx1.example.com>
"""  # noqa: E501  as Postfix writes them

EXIM = f"""\
2026-01-01 09:00:01 1vNabc-000000004Xy-2Q3p <= shop@example.com H=app (x) [192.0.2.7] P=esmtp S=5012 id={ANNA}@example.com
2026-01-01 09:00:02 1vNabc-000000004Xy-2Q3p => anna@example.com R=dnslookup T=remote_smtp H=mx.example.com [192.0.2.9] C="250 2.0.0 OK"
2026-01-01 09:00:02 1vNabc-000000004Xy-2Q3p Completed
2026-01-01 09:00:03 [4711] 1vNabd-00004X-Ab <= shop@example.com U=app P=local S=5012 id={BERT}@example.com
2026-01-01 09:00:04 [4711] 1vNabd-00004X-Ab == bert@example.com R=dnslookup T=remote_smtp defer (-46): SMTP error from remote mail server after RCPT TO:<bert@example.com>: 451 4.7.1 Greylisted
Jan  1 09:00:05 mx1 exim[4712]: 2026-01-01 09:00:05.120 +0100 1vNabe-000000004Xy-2Q3q <= shop@example.com H=app [192.0.2.7] P=esmtp id={CARA}@example.com
2026-01-01 09:00:06.120 +0100 1vNabe-000000004Xy-2Q3q ** cara@example.com R=dnslookup T=remote_smtp H=mx.example.com [192.0.2.9]: SMTP error from remote mail server after RCPT TO:<cara@example.com>: 550 5.1.1 User unknown
"""  # noqa: E501  as Exim writes them


def read(text: str, wanted: Container[str], zone: ZoneInfo = MADRID) -> list[Report]:
    return list(Logs(wanted, zone, NOW).read(io.BytesIO(text.encode())))


def test_postfix_has_what_its_queue_manager_had_and_not_what_only_began_to_come_in() -> None:
    found = read(POSTFIX, {ANNA, BERT, CARA})
    assert [(each.token, each.kind) for each in found] == [
        (ANNA, ReportKind.ACCEPTED),
        (ANNA, ReportKind.DELIVERED),
        (CARA, ReportKind.ACCEPTED),
        (CARA, ReportKind.BOUNCED),
    ]
    assert found[1].words == "250 2.0.0 Ok: queued as 77AF"
    assert found[1].at == datetime(2025, 12, 31, 22, 59, 59, tzinfo=UTC), "the year is the last that fits"
    bounced = found[3]
    assert (bounced.recipients, bounced.code, bounced.stage) == (("cara@example.com",), 550, Stage.rcpt)
    assert bounced.judgement.suppress


def test_exim_has_what_it_stored_and_says_what_came_back() -> None:
    found = read(EXIM, {ANNA, BERT, CARA})
    assert [(each.token, each.kind) for each in found] == [
        (ANNA, ReportKind.ACCEPTED),
        (ANNA, ReportKind.DELIVERED),
        (BERT, ReportKind.ACCEPTED),
        (CARA, ReportKind.ACCEPTED),
        (CARA, ReportKind.BOUNCED),
    ]
    assert found[0].at == datetime(2026, 1, 1, 8, 0, 1, tzinfo=UTC)
    assert found[4].at == datetime(2026, 1, 1, 8, 0, 6, 120_000, tzinfo=UTC)
    assert found[4].judgement.suppress


@pytest.mark.parametrize("log", [POSTFIX, EXIM])
def test_of_what_nobody_looks_for_only_what_came_back_is_told(log: str) -> None:
    assert [(each.token, each.kind) for each in read(log, set())] == [(CARA, ReportKind.BOUNCED)]


def test_who_tried_for_too_long_gave_up_and_a_milter_s_no_was_the_answer_to_the_dot() -> None:
    log = f"""\
Jan  1 00:00:01 mx1 mta2/cleanup[1]: 4XyZ13: message-id=<{ANNA}@example.com>
Jan  1 00:00:01 mx1 mta2/cleanup[1]: 4XyZ13: milter-reject: END-OF-MESSAGE from app[192.0.2.7]: 5.7.1 Spam; from=<shop@example.com> to=<anna@example.com> proto=ESMTP helo=<app>
Jan  1 00:00:01 mx1 mta2/cleanup[1]: 4XyZ14: message-id=<{BERT}@example.com>
Jan  1 00:00:02 mx1 mta2/smtp[1]: 4XyZ14: to=<bert@example.com>, relay=none, delay=9, delays=0/0/9/0, dsn=4.4.1, status=deferred (connect to mx[192.0.2.9]:25: Connection timed out)
Jan  1 00:00:03 mx1 mta2/qmgr[1]: 4XyZ14: from=<shop@example.com>, status=expired, returned to sender
"""  # noqa: E501  as Postfix writes them
    refused, accepted, expired = read(log, {ANNA, BERT})
    assert (refused.token, refused.kind, refused.judgement.retry) == (ANNA, ReportKind.BOUNCED, "after_fix")
    assert (accepted.token, accepted.kind) == (BERT, ReportKind.ACCEPTED)
    assert (expired.token, expired.kind, expired.recipients) == (BERT, ReportKind.GAVE_UP, ("bert@example.com",))
    assert expired.words.startswith("4.4.1 connect to mx")


def test_a_log_may_be_packed_and_its_lines_may_be_anything(tmp_path: Path) -> None:
    junk = b"\xff\xfe no line of a log \x00" * 10_000 + b"\n" + b"4XyZ: message-id=<" + b"a" * 200_000 + b"\n"
    packed = tmp_path / "mail.log.1.gz"
    packed.write_bytes(gzip.compress(junk + POSTFIX.encode()))
    with opened(packed) as file:
        assert len(list(Logs({ANNA}, MADRID, NOW).read(file))) == 3
    packed.write_bytes(packed.read_bytes()[:-200])
    with pytest.raises(BadInputError, match="is damaged"), opened(packed) as file:
        list(Logs({ANNA}, MADRID, NOW).read(file))


def test_a_message_may_come_in_in_one_log_and_leave_in_the_next(tmp_path: Path) -> None:
    lines = POSTFIX.splitlines(keepends=True)
    for name, part, age in (("mail.log", lines[3:], 1), ("mail.log.1", lines[:3], 2)):
        (tmp_path / name).write_text("".join(part))
        os.utime(tmp_path / name, (NOW.timestamp() - age, NOW.timestamp() - age))
    logs, found = Logs({ANNA}, MADRID, NOW), []
    for path in oldest_first([tmp_path / "mail.log", tmp_path / "gone", tmp_path / "mail.log.1"])[:2]:
        with opened(path) as file:
            found += [each.kind for each in logs.read(file) if each.token == ANNA]
    assert found == [ReportKind.ACCEPTED, ReportKind.DELIVERED]


def test_only_a_whole_token_of_ours_counts() -> None:
    assert token_of(f"<{ANNA}@example.com>") == token_of(f"{ANNA}@EXAMPLE.COM") == ANNA
    for other in (f"<{ANNA[:-1]}@example.com>", f"<{ANNA.upper()}@example.com>", f"<{ANNA}>", "", f"<x{ANNA}@a>"):
        assert token_of(other) is None
