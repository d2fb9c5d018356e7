"""An .eml from a mail program becomes a campaign: its texts take fields, its attachments arrive whole."""

import email.policy
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import BadInputError
from bot.mail.composing import CompiledMessage, Source, compile_message

AT = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
PICTURE = bytes(range(256)) * 20


def letter() -> EmailMessage:
    message = EmailMessage(policy=email.policy.SMTP)
    message["From"] = "Shöp <shop@example.com>"
    message["To"] = "someone@example.com"
    message["Subject"] = "Grüße an {{ name }}"
    return message


def full_letter() -> EmailMessage:
    message = letter()
    message.set_content("Hallo {{ name }}, schön.\n")
    message.add_alternative("<p>Hallo {{ name }}, schön.</p><img src='cid:pic@x'>", subtype="html")
    html = message.get_body(("html",))
    assert html is not None
    html.add_related(PICTURE, "image", "png", cid="<pic@x>")
    message.add_attachment(PICTURE, "application", "pdf", filename="Preisliste für {{ name }}.pdf")
    message.add_attachment("keep {{ this }}\n", filename="note.txt")
    return message


def compiled(message: EmailMessage | bytes, **options: str) -> CompiledMessage:
    raw = message if isinstance(message, bytes) else message.as_bytes()
    return compile_message(Source(eml=raw, **options), fields=["name"])


def sent(message: CompiledMessage, name: str = "Änne <&>") -> EmailMessage:
    rendered = message.render("anna@example.com", {"name": name}, message_id="<1@example.com>", date=AT)
    assert rendered.isascii()
    assert b"\n" not in rendered.replace(b"\r\n", b"")
    assert max(map(len, rendered.split(b"\r\n"))) <= 998
    return message_from_bytes(rendered, _class=EmailMessage, policy=email.policy.default)


def text(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def test_its_subject_and_texts_take_fields() -> None:
    got = sent(compiled(full_letter()))
    assert got["Subject"] == "Grüße an Änne <&>"
    assert text(got, "plain") == "Hallo Änne <&>, schön.\n"
    assert text(got, "html").startswith("<p>Hallo Änne &lt;&amp;&gt;, schön.</p><img src='cid:pic@x'>")
    assert got["From"].addresses[0].display_name == "Shöp"
    assert got["To"].addresses[0].addr_spec == "anna@example.com"


def test_its_pictures_and_attachments_arrive_whole_and_take_no_fields() -> None:
    got = sent(compiled(full_letter()))
    pdf, note = got.iter_attachments()
    assert pdf.get_filename() == "Preisliste für {{ name }}.pdf"
    assert pdf.get_content() == PICTURE
    assert note.get_content() == "keep {{ this }}\r\n"
    [picture] = [part for part in got.walk() if part.get_content_type() == "image/png"]
    assert picture.get_content() == PICTURE
    assert picture["Content-ID"] == "<pic@x>"
    kinds = [part.get_content_type() for part in got.walk()]
    assert kinds == [part.get_content_type() for part in full_letter().walk()]


def test_headers_of_the_copy_it_was_saved_from_are_left_out() -> None:
    message = full_letter()
    for name in (
        "Cc",
        "Bcc",
        "Received",
        "Return-Path",
        "DKIM-Signature",
        "Message-ID",
        "Date",
        "ARC-Seal",
        "X-Gm-Thing",
    ):
        message[name] = "old@example.com"
    message["List-Id"] = "<news.example.com>"
    message["X-Campaign-Tag"] = "spring"
    message["Feedback-ID"] = "a:b:c:shop"
    result = compiled(message)
    got = sent(result)
    for name in ("Cc", "Bcc", "Received", "Return-Path", "DKIM-Signature", "ARC-Seal", "X-Gm-Thing"):
        assert name not in got
    assert (got["List-Id"], got["X-Campaign-Tag"], got["Feedback-ID"]) == ("<news.example.com>", "spring", "a:b:c:shop")
    assert got["Message-ID"] == "<1@example.com>"
    for name in ("To", "From", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type"):
        assert got.keys().count(name) == 1
    warnings = " ".join(result.warnings)
    assert "Cc is left out" in warnings
    assert "Bcc is left out" in warnings
    assert "DKIM" in warnings


def test_its_own_unsubscribe_header_is_kept_only_where_we_have_none() -> None:
    message = full_letter()
    message["List-Unsubscribe"] = "<https://old.example.com/u>"
    message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    result = compiled(message)
    assert sent(result)["List-Unsubscribe"] == "<https://old.example.com/u>"
    assert sent(result)["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    ours = result.render(
        "anna@example.com", {"name": "A"}, message_id="<1@x>", date=AT, unsubscribe_mailto="stop@example.com"
    )
    assert b"old.example.com/u" not in ours
    assert ours.count(b"List-Unsubscribe:") == 1


def test_a_text_is_added_to_an_html_with_pictures() -> None:
    message = letter()
    message.set_content("<p>Hallo {{ name }}</p>", subtype="html")
    message.add_related(PICTURE, "image", "png", cid="<pic@x>")
    got = sent(compiled(message))
    kinds = [part.get_content_type() for part in got.walk()]
    assert kinds == ["multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png"]
    assert text(got, "plain").strip() == "Hallo Änne <&>"


@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-1", "windows-1252"])
def test_it_reads_the_charset_that_the_part_says(charset: str) -> None:
    raw = (
        b"From: a@x.com\nSubject: x\nMIME-Version: 1.0\nContent-Transfer-Encoding: 8bit\n"
        b"Content-Type: text/plain; charset=" + charset.encode() + b"\n\nGr\xc3\xbc\xc3\x9fe {{ name }}\n"
    )
    raw = raw if charset == "utf-8" else raw.replace("Grüße".encode(), "Grüße".encode(charset))
    assert text(sent(compiled(raw), "Ä"), "plain") == "Grüße Ä\n"


def test_a_message_in_the_message_is_passed_on() -> None:
    message = full_letter()
    message.add_attachment(letter())
    inner = next(part for part in sent(compiled(message)).walk() if part.get_content_type() == "message/rfc822")
    assert "{{ name }}" in str(inner.get_content()["Subject"])


def test_the_sender_can_be_given_beside_the_file() -> None:
    got = sent(compiled(full_letter(), sender="Other <other@example.com>", reply_to="help@example.com"))
    assert (got["From"], got["Reply-To"]) == ("Other <other@example.com>", "help@example.com")


HEAD = b"From: a@x.com\nSubject: x\nMIME-Version: 1.0\n"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "not an email message"),
        (b"just some words\n", "not an email message"),
        (b"Subject: x\n\nhello\n", "nobody it is from"),
        (HEAD + b"Content-Type: text/plain; charset=utf-8\n\n\xff\xfe\n", "but they are not"),
        (HEAD + b"Content-Type: text/plain; charset=klingon\n\nx\n", '"klingon"'),
        (HEAD + b"Content-Type: multipart/mixed\n\nx\n", "cut short"),
        (HEAD + b"Content-Type: application/pdf\n\nx\n", "no text and no HTML"),
        (HEAD + b'Content-Type: multipart/signed; boundary="b"\n\n--b\n\nx\n--b--\n', "signed or encrypted"),
        (HEAD + b"\n{{ nobody }}\n", 'field "nobody"'),
        (b"x" * 30_000_001, "larger than 30 MB"),
    ],
)
def test_it_says_why_a_file_cannot_be_used(raw: bytes, reason: str) -> None:
    with pytest.raises(BadInputError, match=reason):
        compiled(raw)


@given(st.binary(max_size=400), st.sampled_from(["head", "body", "alone"]))
def test_any_bytes_make_a_message_or_a_sentence(noise: bytes, where: str) -> None:
    raw = {"alone": noise, "head": HEAD + noise + b"\n\nhello", "body": HEAD + b"\n" + noise}[where]
    try:
        message = compile_message(Source(eml=raw))
        rendered = message.render("a@example.com", {}, message_id="<1@x>", date=AT)
    except BadInputError:
        return
    assert rendered.isascii()
    assert b"\n" not in rendered.replace(b"\r\n", b"")
