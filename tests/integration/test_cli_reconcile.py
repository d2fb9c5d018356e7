"""`holdfast reconcile` and `holdfast bounce`: logs and bounces from the terminal and from a mail server's pipe."""

import io
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from bot.mail.reports.report import token_for
from tests.terminal_world import Holdfast, holdfast, server_set, write_campaign
from tests.unit.test_reports_of_bounces import FEEDBACK, STATUS, message

__all__ = ["holdfast", "server_set"]

LOG = """\
2026-01-01T09:00:01.120+00:00 mx1 postfix/cleanup[1]: 4XyZ12: message-id=<{ada}@shop.example>
2026-01-01T09:00:01.120+00:00 mx1 postfix/qmgr[1]: 4XyZ12: from=<shop@shop.example>, size=512, nrcpt=1 (queue active)
"""


class Stdin:
    def __init__(self, octets: bytes) -> None:
        self.buffer = io.BytesIO(octets)


@pytest.fixture
def tokens(holdfast: Holdfast, server_set: None, tmp_path: Path) -> dict[str, str]:
    """A campaign to Ada and Bob of which nobody knows whether it arrived; the beginnings of their Message-IDs."""
    write_campaign(tmp_path)
    assert holdfast("import", "spring-sale", "message.eml", "recipients.csv").code == 0
    with sqlite3.connect(tmp_path / "holdfast-data" / "holdfast.db") as db:
        db.execute("UPDATE deliveries SET status = 'unknown', retry = 'decide', attempts = 1")
        (key,) = db.execute("SELECT key FROM messages").fetchone()
    db.close()
    return {name: token_for(key, f"{name}@example.net") for name in ("ada", "bob")}


def of(token: str, template: str, kind: str = "delivery-status") -> bytes:
    original = f"To: ada@example.net\nMessage-ID: <{token}@shop.example>\nX-Holdfast-Campaign: spring-sale\n"
    fields = template.replace("anna@example.com", "ada@example.net")
    return message(kind, f"message/{kind}", fields, original)


def test_a_log_settles_what_is_in_it_and_nothing_is_concluded_from_what_is_not(
    holdfast: Holdfast, tokens: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "mail.log").write_text(LOG.format(**tokens))
    ran = holdfast("reconcile", "mail.log", "--server", "prim", "--as", "Maria")
    assert ran.code == 0
    assert ran.out == (
        "1 of 2 unknown deliveries were in the log: 1 delivered (ada@example.net).\n"
        "1 is still unknown: bob@example.net (spring-sale).\n"
        "What is not in a log may have arrived all the same, so nothing is concluded from that. To decide yourself: "
        'holdfast do "/resend unknown"\n'
    )
    assert "Of 1 unknown delivery none is known now." in holdfast("reconcile", "mail.log").out
    told = holdfast("do", "/holdfast audit campaign.reconciled").out
    assert "Maria looked into the log of primary: 1 unknown delivery of spring-sale is known now" in told
    assert "counts as delivered now" in holdfast("do", "/resend delivered spring-sale bob@example.net").out
    assert holdfast("reconcile", "mail.log").out == "No delivery was unknown.\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("missing.log",), "missing.log cannot be read: No such file or directory."),
        ((".",), ". cannot be read: Is a directory."),
        (("missing.log", "--server", "nobody"), "There is no server “nobody”"),
    ],
)
@pytest.mark.usefixtures("server_set")
def test_what_cannot_be_read_is_told_in_a_sentence(holdfast: Holdfast, words: tuple[str, ...], sentence: str) -> None:
    ran = holdfast("reconcile", *words)
    assert ran.code == 1
    assert sentence in ran.err


def test_a_mail_server_pipes_a_bounce(
    holdfast: Holdfast, tokens: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bounce = of(tokens["ada"], STATUS.format(action="failed", status="5.1.1", diagnostic="550 5.1.1 User unknown"))
    monkeypatch.setattr(sys, "stdin", Stdin(bounce))
    ran = holdfast("bounce")
    assert ran.code == 0
    assert ran.out == (
        "1 message read, 1 report about mail from here. Unknown before: 1 refused (ada@example.net). "
        "Mailed no more: ada@example.net.\n"
    )
    monkeypatch.setattr(sys, "stdin", Stdin(b"Subject: I am away\r\n\r\nUntil Monday.\r\n"))
    ran = holdfast("bounce")
    assert (ran.code, ran.out) == (
        0,
        "1 message read. It is no bounce and no complaint about mail from here; nothing was changed.\n",
    )


def test_a_maildir_is_read_once(holdfast: Holdfast, tokens: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "Bounces" / "new").mkdir(parents=True)
    for name in ("ada", "bob"):
        complaint = of(tokens[name], FEEDBACK.format(kind="abuse"), "feedback-report")
        (tmp_path / "Bounces" / "new" / f"1767258000.{name}").write_bytes(complaint)
    ran = holdfast("bounce", "Bounces")
    assert "2 messages read, 1 report about mail from here." in ran.out, "Bob's carries Ada's address: it fits nobody"
    assert "Mailed no more: ada@example.net." in ran.out
    assert "0 messages read." in holdfast("bounce", "Bounces").out
    assert len(list((tmp_path / "Bounces" / "cur").iterdir())) == 2


def test_a_mail_server_is_asked_to_come_again_where_it_cannot_be_done_now(
    holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Stdin(b"Subject: x\r\n\r\n"))
    monkeypatch.setenv("HOLDFAST_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    ran = holdfast("bounce")
    assert ran.code == 75
    assert "The database cannot be reached" in ran.err
    monkeypatch.setenv("HOLDFAST_HTTP_PORT", "none")
    assert holdfast("bounce").code == 75


@pytest.mark.parametrize(
    ("settings", "stdin", "says"),
    [
        ({"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}, "open", "The database cannot be reached"),
        ({"DATABASE_URL": "oracle://nobody@127.0.0.1/none"}, "open", "HOLDFAST_DATABASE_URL"),
        ({"HTTP_PORT": "none"}, "open", "HOLDFAST_HTTP_PORT"),
        ({"DATA_DIR": "/proc/nowhere"}, "open", "database"),
        ({}, "closed", "Something broke on our side (id "),
    ],
)
def test_a_process_that_a_mail_server_starts_ends_with_75_whatever_is_not_the_messages_fault(
    settings: dict[str, str], stdin: str, says: str, tmp_path: Path
) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
    given = {f"HOLDFAST_{name}": value for name, value in settings.items()}
    # Without a standard input Python has none to read, which is a fault that nobody foresaw.
    words = f"exec {sys.executable} -m bot bounce" + (" <&-" if stdin == "closed" else "")
    ran = subprocess.run(
        ["/bin/sh", "-c", words],
        check=False,
        input=b"Subject: x\r\n\r\n",
        env=kept | given,
        cwd=tmp_path,
        capture_output=True,
    )
    assert ran.returncode == 75, ran.stderr.decode()
    assert says in ran.stderr.decode()
