"""A message compiled once reads right for every recipient, whatever their fields hold."""

import email.policy
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from email import message_from_bytes
from email.message import EmailMessage
from typing import Any

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import BadInputError
from bot.mail.composing import CompiledMessage, Source, compile_message, notice_source, stable_message_id

AT = datetime(2026, 3, 1, 12, 30, 5, tzinfo=UTC)
MESSAGE_ID = "<0123@example.com>"
SENDER = "Shop <shop@example.com>"

# Everything but halves of characters; NUL and line ends are told apart where a header is concerned.
VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=120)
HEADER_VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), max_size=120)


def template(**parts: Any) -> Source:
    return Source(**{"subject": "Hello", "text": "Hi", "sender": SENDER} | parts)


def octets(message: CompiledMessage, fields: Mapping[str, str] | None = None, **options: Any) -> bytes:
    given_or_usual: dict[str, Any] = {"message_id": MESSAGE_ID, "date": AT} | options
    return message.render("anna@example.com", fields or {}, **given_or_usual)


def parsed(rendered: bytes) -> EmailMessage:
    assert rendered.isascii()
    return parsed_eight_bit(rendered)


def parsed_eight_bit(rendered: bytes) -> EmailMessage:
    sound(rendered)
    return message_from_bytes(rendered, _class=EmailMessage, policy=email.policy.default)


def sound(rendered: bytes) -> None:
    """What every SMTP server may rely on."""
    assert rendered.endswith(b"\r\n")
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n|\0", rendered)
    assert max(map(len, rendered.split(b"\r\n"))) <= 998
    for encoded in re.findall(rb"quoted-printable\r\n.*?\r\n(?:--=_|\Z)", rendered, re.DOTALL):
        assert max(map(len, encoded.split(b"\r\n"))) <= 76


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    assert not part.defects
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content.decode()


def newlines(text: str) -> str:
    """The text as a message carries it: every line end is CRLF."""
    return re.sub(r"\r\n|\r|\n", "\r\n", text)


def test_it_fills_in_the_fields_of_each_recipient() -> None:
    message = compile_message(
        template(subject="Dear {{ name }}", text="Hi {{ name }},\nbye\n", html="<p>Hi {{ name }}</p>"), fields=["name"]
    )
    anna, bert = (parsed(octets(message, {"name": name})) for name in ("Anna", "Bert"))
    assert (anna["Subject"], bert["Subject"]) == ("Dear Anna", "Dear Bert")
    assert body(anna, "plain") == "Hi Anna,\r\nbye\r\n"
    assert body(bert, "html") == "<p>Hi Bert</p>"
    assert anna.get_content_type() == "multipart/alternative"


def test_it_writes_the_headers_that_mail_needs() -> None:
    message = compile_message(template(reply_to="Help <help@example.com>"), campaign="spring sale")
    got = parsed(octets(message, name="Anna O'Neil", date=AT.astimezone(timezone(timedelta(hours=2)))))
    assert got["Date"] == "Sun, 01 Mar 2026 12:30:05 +0000"
    assert got["From"] == "Shop <shop@example.com>"
    assert got["Reply-To"] == "Help <help@example.com>"
    assert got["To"].addresses[0].display_name == "Anna O'Neil"
    assert got["To"].addresses[0].addr_spec == "anna@example.com"
    assert got["Message-ID"] == MESSAGE_ID
    assert got["X-Holdfast-Campaign"] == "spring sale"
    assert got["MIME-Version"] == "1.0"
    assert message.sender == "shop@example.com"


@given(HEADER_VALUES, VALUES, VALUES)
def test_nasty_values_arrive_exactly_as_they_are(first: str, second: str, third: str) -> None:
    fields = {"a": first, "b": second, "c": third}
    html = '<p title="{{ c }}">{{ a }} und {{ b }}{{ c }}</p>\n.\n<i>größe = {{ b }}\n</i>'
    text = "{{ b }}.{{ a }}\n.{{ c }}\n{{ a }}"
    message = compile_message(template(subject="Re: {{ a }}!", html=html, text=text), fields=fields)
    rendered = octets(message, fields)
    got = parsed(rendered)
    assert got["Subject"] == f"Re: {first}!"
    jinja = jinja2.Environment(autoescape=True)
    arrived = {name: newlines(value) for name, value in fields.items()}
    assert body(got, "html") == newlines(jinja.from_string(html).render(arrived))
    assert body(got, "plain") == newlines("{b}.{a}\n.{c}\n{a}".format(**arrived))
    assert {part.get_content_type() for part in got.walk()} == {"multipart/alternative", "text/plain", "text/html"}


@given(HEADER_VALUES.filter(lambda value: value.strip() == value))
def test_any_subject_and_name_survive_the_header(value: str) -> None:
    message = compile_message(template(subject="{{ it }}"), fields=["it"])
    got = parsed(octets(message, {"it": value}, name=value))
    assert str(got["Subject"]) == value
    assert got["To"].addresses[0].addr_spec == "anna@example.com"
    assert got.keys().count("Subject") == 1


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="{"), max_size=300))
def test_a_text_without_fields_arrives_as_it_was_written(text: str) -> None:
    message = compile_message(template(text=text + "x", html="<b>x</b>"))
    assert body(parsed(octets(message)), "plain") == newlines(text + "x")


PIECES = st.sampled_from(["{{ a }}", "{{ b|default('d & d') }}", "{{ c|d('', true) }}", "{{ missing|default('<x>') }}"])
TEMPLATES = st.lists(
    PIECES | st.text(st.characters(codec="utf-8", exclude_characters="{}#%"), max_size=20), max_size=12
)


@given(TEMPLATES.map("".join), VALUES, VALUES)
def test_segments_say_what_jinja_would_have_said(source: str, one: str, two: str) -> None:
    fields = {"a": newlines(one), "b": newlines(two), "c": ""}
    message = compile_message(template(html="<i>" + source, text="." + source), fields=fields)
    got = parsed(octets(message, fields))
    for kind, start in (("html", "<i>"), ("plain", ".")):
        # Only HTML is escaped; this is the measure, not the product.
        jinja = jinja2.Environment(autoescape=kind == "html", keep_trailing_newline=True)  # noqa: S701  # see above
        assert body(got, kind) == newlines(jinja.from_string(start + source).render(fields))


def test_a_text_mostly_beyond_ascii_travels_as_base64() -> None:
    message = compile_message(template(text="Здравствуйте, {{ name }}! " * 9), fields=["name"])
    got = parsed(octets(message, {"name": "Анна"}))
    assert got["Content-Transfer-Encoding"] == "base64"
    assert body(got, "plain").strip() == ("Здравствуйте, Анна! " * 9).strip()


def test_a_very_long_line_is_broken_for_the_wire_only() -> None:
    message = compile_message(template(text="x" * 5000, html="<p>" + "{{ a }}" * 3), fields=["a"])
    got = parsed(octets(message, {"a": "y" * 5000}))
    assert body(got, "plain").strip() == "x" * 5000
    assert body(got, "html") == "<p>" + "y" * 15000


@pytest.mark.parametrize("value", ["x\r\nBcc: all@example.com", "x\ny", "x\ry", "x\0y"])
def test_a_line_break_in_the_subject_fails_that_recipient_only(value: str) -> None:
    message = compile_message(template(subject="Hi {{ name }}", text="{{ name }}"), fields=["name"])
    with pytest.raises(BadInputError, match=r'The field "name" holds a line break or NUL.*forge a header'):
        octets(message, {"name": value})
    assert parsed(octets(message, {"name": "Bert"}))["Subject"] == "Hi Bert"


def test_a_line_break_in_a_name_or_an_address_fails_that_recipient_only() -> None:
    message = compile_message(template())
    with pytest.raises(BadInputError, match="forge a header"):
        octets(message, name="Anna\r\nBcc: all@example.com")
    with pytest.raises(BadInputError, match="cannot stand in a header"):
        message.render("a@example.com\r\nBcc: b@example.com", {}, message_id=MESSAGE_ID, date=AT)
    with pytest.raises(BadInputError, match="cannot stand in a header"):
        octets(message, unsubscribe_url="https://example.com/>\r\nBcc: b@example.com")


def test_a_broken_character_fails_that_recipient_only() -> None:
    message = compile_message(template(text="{{ name }}"), fields=["name"])
    with pytest.raises(BadInputError, match="broken character"):
        octets(message, {"name": "\ud800"})


def test_a_missing_field_names_itself_and_the_way_out() -> None:
    message = compile_message(template(text="Hi {{ name }}"), fields=["name"])
    with pytest.raises(BadInputError, match=r'text template needs the field "name".*\{\{ name\|default'):
        octets(message, {})


def test_an_unknown_field_is_found_before_anything_is_sent() -> None:
    with pytest.raises(
        BadInputError, match=r'HTML template uses the field "firstname" on line 2.*Did you mean \{\{ FirstName \}\}'
    ):
        compile_message(template(html="<p>\n{{ firstname }}"), fields=["FirstName", "city"])


def test_a_sample_recipient_shows_what_only_fails_when_filled_in() -> None:
    with pytest.raises(BadInputError, match="text template could not be filled in"):
        compile_message(template(text="{{ 10 / price|int }}"), fields={"price": "0"})


def test_one_click_unsubscribe_is_offered_with_a_link() -> None:
    message = compile_message(template(text="Stop: {{ unsubscribe_url }}"), unsubscribe="link")
    got = parsed(
        octets(message, unsubscribe_url="https://example.com/u/1?t=a&b", unsubscribe_mailto="stop@example.com")
    )
    assert got["List-Unsubscribe"] == "<https://example.com/u/1?t=a&b>, <mailto:stop@example.com>"
    assert got["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert body(got, "plain").strip() == "Stop: https://example.com/u/1?t=a&b"
    assert message.warnings == ()


def test_an_address_alone_offers_no_one_click() -> None:
    got = parsed(octets(compile_message(template(), unsubscribe="mailto"), unsubscribe_mailto="stop@example.com"))
    assert got["List-Unsubscribe"] == "<mailto:stop@example.com>"
    assert "List-Unsubscribe-Post" not in got


def test_it_warns_of_what_a_sender_would_regret() -> None:
    message = compile_message(template(subject="", text=None, html="<p>Hi</p>" + "<!-- x -->" * 11_000))
    warnings = " ".join(message.warnings)
    for part in ("made from the HTML", "Nobody can unsubscribe", "subject is empty", "102 KB"):
        assert part in warnings


def test_a_text_is_made_from_the_html_with_its_fields() -> None:
    html = "<style>p {color: red}</style><p>Hi {{ name }}</p><ul><li><a href='https://x.com/{{ id }}'>see</a></ul>"
    got = parsed(
        octets(compile_message(template(text=None, html=html), fields=["name", "id"]), {"name": "A & B", "id": "7"})
    )
    text = body(got, "plain")
    assert "Hi A & B" in text
    assert "https://x.com/7" in text
    assert "color" not in text
    assert "A &amp; B" in body(got, "html")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (Source(subject="x", text="x"), "nobody it is from"),
        (template(sender="not an address"), "From address"),
        (template(sender="a@x.com, b@x.com"), "several addresses"),
        (template(sender="{{ me }} <a@x.com>"), "holds a field"),
        (template(sender="A <a@x.com>\r\nBcc: b@x.com"), "line break"),
        (template(reply_to="nobody"), "Reply-To"),
        (template(text="  ", html=None), "empty"),
        (template(text="x" * 1_000_001), "longer than 1,000,000"),
    ],
)
def test_it_says_what_keeps_a_message_from_being_compiled(source: Source, reason: str) -> None:
    with pytest.raises(BadInputError, match=reason):
        compile_message(source)


def test_senders_with_any_name_and_an_international_domain_are_written_right() -> None:
    got = parsed(octets(compile_message(template(sender='"Bücher, Ltd." <info@bücher.example>'))))
    assert got["From"].addresses[0].display_name == "Bücher, Ltd."
    assert got["From"].addresses[0].addr_spec == "info@xn--bcher-kva.example"


def test_a_recipient_beyond_ascii_is_written_in_utf_8() -> None:
    rendered = compile_message(template()).render("josé@example.com", {}, message_id=MESSAGE_ID, date=AT)
    assert "To: josé@example.com\r\n".encode() in rendered


def test_a_message_id_is_the_same_each_time_and_for_nobody_else() -> None:
    one = stable_message_id(b"key" * 8, "anna@example.com", "example.com")
    assert one == stable_message_id(b"key" * 8, "anna@example.com", "example.com")
    assert one != stable_message_id(b"key" * 8, "bert@example.com", "example.com")
    assert one != stable_message_id(b"yek" * 8, "anna@example.com", "example.com")
    assert re.fullmatch(r"<[0-9a-f]{40}@example\.com>", one)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), min_size=1).filter(str.strip))
def test_a_notice_says_exactly_its_text(text: str) -> None:
    message = compile_message(notice_source("About {{ today }}", text, SENDER))
    got = parsed(octets(message))
    assert got["Subject"] == "About {{ today }}"
    assert body(got, "plain").replace("\r\n", "\n") == text.strip() + "\n"


def test_a_notice_is_html_too() -> None:
    got = parsed(octets(compile_message(notice_source("x", "One <b>\ntwo\n\nthree {% if %} {{ x }}", SENDER))))
    html = body(got, "html")
    assert "<p>One &lt;b&gt;<br>\r\ntwo</p>\r\n<p>three {% if %} {{ x }}</p>" in html


def test_a_preview_is_what_the_recipient_reads() -> None:
    message = compile_message(
        template(subject="Hi {{ n }}", text="T {{ n }}", html="<p>{{ n }} {{ email }}"), fields=["n"]
    )
    preview = message.preview("anna@example.com", {"n": "A&B"})
    assert (preview.subject, preview.text, preview.html) == ("Hi A&B", "T A&B", "<p>A&amp;B anna@example.com")
