"""Text that goes as it is, to servers that take it: the same message, smaller, and never one that breaks a rule."""

import re
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.errors import BadInputError
from bot.mail.composing import Source, compile_message, dot_stuff
from tests.dkim_world import ED25519
from tests.unit.test_composing import AT, MESSAGE_ID, parsed_eight_bit
from tests.unit.test_composing_for_the_wire import ANY, NASTY, TEMPLATES

OPTIONS: dict[str, Any] = {"message_id": MESSAGE_ID, "date": AT}
GREEK = "Καλημέρα {{ name }},\n\n" + "η προσφορά άρχισε σήμερα.\n" * 20
ENGLISH = "The sale has begun, and everything must go.\n" * 20
NAMES = st.text("aé.=_ \t\r\n\0\u2028'<&\"", max_size=12) | NASTY | ANY


def content(rendered: bytes) -> list[tuple[str, Any]]:
    """Each text: its kind, and what its reader sees. Where nothing hides it, a message ends with a line end."""
    parts = [part for part in parsed_eight_bit(rendered).walk() if not part.is_multipart()]
    assert not any(part.defects for part in parts)
    return [(part.get_content_type(), _octets(part).removesuffix(b"\r\n")) for part in parts]


def _octets(part: EmailMessage) -> bytes:
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload


@given(TEMPLATES, TEMPLATES, st.sampled_from(["both", "html", "text"]), NAMES, NAMES)
@example("{{ a }}.", "", "text", "", "")
@example("\n{{ a }}{{ a }}.", "", "text", "", "")
@example("{% if a %}{{ a }}{% endif %}", "", "both", ".", "")
@example("{{ a }}", "{{ a }}", "both", "x" * 997, "<" * 300)
@example("{{ a }}", "{{ a }}", "both", "--=_0", "")
def test_it_says_the_same_as_an_encoded_message(text: str, html: str, parts: str, one: str, two: str) -> None:
    source: dict[str, Any] = {"text": text + "é" * 200, "html": "<p>" + html + "é" * 200}
    if parts != "both":
        source[{"html": "text", "text": "html"}[parts]] = None
    message = compile_message(
        Source(sender="Shop <news@shop.example>", subject="x", **source), fields=["a", "b"], unsubscribe="link"
    )
    options = OPTIONS | {"unsubscribe_url": "https://mail.shop.example/u/7-123." + "x" * 43}
    fields = {"a": one, "b": two}
    try:
        encoded = message.render("anna@example.com", fields, **options)
    except BadInputError:
        with pytest.raises(BadInputError):
            message.render("anna@example.com", fields, **options, eight_bit=True)
        return
    rendered = message.render("anna@example.com", fields, **options, eight_bit=True)

    assert content(rendered) == content(encoded)
    wire = message.render("anna@example.com", fields, **options, eight_bit=True, wire=True)
    assert wire == dot_stuff(rendered)
    assert b"\r\n.\r\n" not in b"\r\n" + wire
    assert max(map(len, wire.split(b"\r\n"))) <= 998
    assert len(rendered) <= len(encoded)


def test_greek_is_a_fifth_smaller() -> None:
    message = compile_message(Source(sender="a@shop.example", subject="x", text=GREEK), fields=["name"])
    fields = {"name": "Άννα"}
    encoded, bare = (message.render("anna@example.com", fields, **OPTIONS, eight_bit=bits) for bits in (False, True))
    assert len(bare) < 0.8 * len(encoded)
    assert GREEK.replace("{{ name }}", "Άννα").replace("\n", "\r\n").encode() in bare


def test_what_is_within_a_multipart_is_announced_by_it() -> None:
    message = compile_message(
        Source(sender="a@shop.example", subject="x", text=GREEK, html="<p>Hi</p>"), fields=["name"]
    )
    rendered = message.render("anna@example.com", {"name": "Anna"}, **OPTIONS, eight_bit=True)
    assert re.findall(rb"Content-Transfer-Encoding: (\w+)", rendered) == [b"8bit", b"8bit", b"7bit"]


@pytest.mark.parametrize("name", ["Anna\nBcc: x", "x" * 2_000, ".", "a\u2028b", " a", "a ", "--=_x", "nul\0"])
def test_a_value_that_needs_care_is_encoded(name: str) -> None:
    message = compile_message(Source(sender="a@shop.example", subject="x", text=GREEK), fields=["name"])
    assert message.render("anna@example.com", {"name": name}, **OPTIONS, eight_bit=True).isascii()


@pytest.mark.parametrize("name", ["O'Neil & Söhne <GmbH>", "Ægir", "", "A. B."])
def test_a_name_of_any_language_is_not(name: str) -> None:
    message = compile_message(
        Source(sender="a@shop.example", subject="x", text=GREEK, html=f"<p>{GREEK}</p>"), fields=["name"]
    )
    assert not message.render("anna@example.com", {"name": name}, **OPTIONS, eight_bit=True).isascii()


def test_english_is_kept_in_one_form_only() -> None:
    message = compile_message(
        Source(sender="a@shop.example", subject="x", text="Hi {{ name }}!\n" + ENGLISH), fields=["name"]
    )
    rendered = message.render("anna@example.com", {"name": "Ægir"}, **OPTIONS, eight_bit=True)
    assert rendered == message.render("anna@example.com", {"name": "Ægir"}, **OPTIONS)


def test_what_we_sign_is_encoded() -> None:
    message = compile_message(Source(sender="a@shop.example", subject="x", text=GREEK), fields=["name"], keys=[ED25519])
    rendered = message.render("anna@example.com", {"name": "Anna"}, **OPTIONS, eight_bit=True)
    assert b"DKIM-Signature" in rendered
    assert rendered.isascii()
