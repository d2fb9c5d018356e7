"""`holdfast import`: from two files to a campaign, or to a sentence."""

import sqlite3
from pathlib import Path

import pytest

from tests.terminal_world import Holdfast, holdfast, server_set, write_campaign

__all__ = ["holdfast", "server_set"]

MJML = """\
<mjml><mj-body><mj-section><mj-column>
<mj-text>Hello {{ name }}</mj-text>
</mj-column></mj-section></mj-body></mjml>
"""

pytestmark = pytest.mark.usefixtures("server_set")


@pytest.fixture(autouse=True)
def files(tmp_path: Path) -> Path:
    write_campaign(tmp_path)
    return tmp_path


def test_it_makes_a_campaign_of_a_message_and_a_list(holdfast: Holdfast) -> None:
    ran = holdfast("import", "spring-sale", "message.eml", "recipients.csv", "--server", "primary")

    assert ran.code == 0
    assert ran.out.startswith("spring-sale is imported: 2 recipients, through primary.\n")
    assert 'holdfast do "/campaign start spring-sale"' in ran.out
    assert "spring-sale" in holdfast("do", "/campaign list").out


def test_it_makes_one_of_templates_too(holdfast: Holdfast, files: Path) -> None:
    (files / "sale.html").write_text("<p>Hello {{ name }}</p>")
    (files / "sale.txt").write_text("Hello {{ name }}")
    templates = ("--html", "sale.html", "--text", "sale.txt", "--subject", "For {{ name }}", "--from", "a@shop.example")

    ran = holdfast("import", "summer-sale", "recipients.csv", *templates)

    assert ran.code == 0
    assert "summer-sale is imported: 2 recipients" in ran.out


@pytest.mark.parametrize("place", [("sale.mjml", "recipients.csv"), ("recipients.csv", "--html", "sale.mjml")])
def test_it_makes_one_of_mjml(holdfast: Holdfast, files: Path, place: tuple[str, ...]) -> None:
    (files / "sale.mjml").write_text(MJML)

    ran = holdfast("import", "mjml-sale", *place, "--subject", "For {{ name }}", "--from", "a@shop.example")

    assert ran.code == 0
    assert "mjml-sale is imported: 2 recipients" in ran.out
    with sqlite3.connect(files / "holdfast-data" / "holdfast.db") as db:
        [(html,)] = db.execute("SELECT html FROM messages").fetchall()
    db.close()
    assert html.startswith("<!doctype html>")
    assert "Hello {{ name }}" in html


def test_a_mistake_in_mjml_is_said_with_its_line(holdfast: Holdfast, files: Path) -> None:
    (files / "sale.mjml").write_text(MJML.replace("</mj-text>", ""))

    ran = holdfast("import", "mjml-sale", "sale.mjml", "recipients.csv", "--subject", "S", "--from", "a@shop.example")

    assert ran.code == 1
    assert "line 3: </mj-column> comes while <mj-text> of line 2 is open" in ran.err


def test_it_warns_where_the_keys_are_for_other_mail(holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch) -> None:
    # The key itself is the sender's: whoever imports need not be able to read it.
    monkeypatch.setenv("HOLDFAST_DKIM__SEL1__DOMAIN", "other.example")
    monkeypatch.setenv("HOLDFAST_DKIM__SEL1__KEY_FILE", "of-the-sender.pem")

    ran = holdfast("import", "spring-sale", "message.eml", "recipients.csv")

    assert ran.code == 0
    assert "Warning: Mail from shop.example is not signed by Holdfast: its DKIM keys are for other.example." in ran.out


def test_rows_that_cannot_be_used_are_named_with_their_lines(holdfast: Holdfast, files: Path) -> None:
    (files / "recipients.csv").write_text(
        "email,name\nada@example.net,Ada\nnobody,Bob\nada@example.net,Ada again\ncleo@example.net,C,x\n"
    )

    ran = holdfast("import", "spring-sale", "message.eml", "recipients.csv")

    assert ran.code == 0
    assert "1 recipient, through primary" in ran.out
    assert "2 rows cannot be used and were skipped:\n  line 3: " in ran.out
    assert "\n  line 5: " in ran.out
    assert "named somebody again" in ran.out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("message.eml", "missing.csv"), "There is no file missing.csv."),
        (("missing.eml", "recipients.csv"), "There is no file missing.eml."),
        (("message.eml", "."), ". is a directory."),
        ((".", "recipients.csv"), ". is a directory."),
        (("recipients.csv",), "There is no message."),
        (("message.eml", "recipients.csv", "--html", "message.eml"), "leave out --html"),
        (("sale.mjml", "recipients.csv", "--html", "message.eml"), "both the HTML"),
        (("message.eml", "other.eml", "recipients.csv"), "There are 3 files"),
        (("message.eml", "recipients.csv", "--server", "nowhere"), "There is no server “nowhere”."),
        (("message.eml", "recipients.csv", "--expires", "whenever"), "whenever"),
        (("recipients.csv", "--text", "latin.txt", "--subject", "S", "--from", "a@b.example"), "not UTF-8 at byte 1"),
    ],
)
def test_what_cannot_be_imported_is_a_sentence(
    holdfast: Holdfast, files: Path, words: tuple[str, ...], sentence: str
) -> None:
    (files / "latin.txt").write_bytes("für alle".encode("latin-1"))

    ran = holdfast("import", "spring-sale", *words)

    assert (ran.code, ran.out) == (1, "")
    assert sentence in ran.err
    assert "There is no campaign yet." in holdfast("do", "/campaign list").out


def test_a_name_that_is_taken_is_refused(holdfast: Holdfast) -> None:
    holdfast("import", "spring-sale", "message.eml", "recipients.csv")

    again = holdfast("import", "spring-sale", "message.eml", "recipients.csv")

    assert again.code == 1
    assert "There is a campaign spring-sale already." in again.err


def test_a_mailbox_is_not_taken_for_a_message(holdfast: Holdfast, files: Path) -> None:
    with (files / "mailbox.eml").open("wb") as file:
        file.truncate(60 * 2**20)

    ran = holdfast("import", "spring-sale", "mailbox.eml", "recipients.csv")

    assert ran.code == 1
    assert "Name the message, not a mailbox" in ran.err


def test_the_help_has_an_example(holdfast: Holdfast) -> None:
    ran = holdfast("import", "--help")

    assert ran.code == 0
    assert "holdfast import spring-sale message.eml recipients.csv" in " ".join(ran.out.split())
