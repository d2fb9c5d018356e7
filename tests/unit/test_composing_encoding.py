"""Dot-stuffing and header words, whatever they are given."""

import quopri
import re
import smtplib
from email import message_from_bytes, policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.mail.composing_encoding import dot_stuff, header_text, mailbox, quoted_printable

LINES = st.lists(st.sampled_from([b".", b"..", b"", b"a.", b".a", b"x", b"\r.", b"."]), max_size=12).map(b"\r\n".join)


def unstuffed(message: bytes) -> bytes:
    return b"\r\n".join(line.removeprefix(b".") for line in message.split(b"\r\n"))


@given(LINES)
def test_stuffing_is_undone_by_every_server(message: bytes) -> None:
    assert unstuffed(dot_stuff(message)) == message


@given(LINES)
def test_no_line_of_a_stuffed_message_ends_it(message: bytes) -> None:
    assert b"." not in dot_stuff(message).split(b"\r\n")


@pytest.mark.parametrize(
    ("plain", "stuffed"),
    [
        (b"", b""),
        (b".", b".."),
        (b".\r\n.\r\n.", b"..\r\n..\r\n.."),
        (b"a\r\n\r\n.b\r\n", b"a\r\n\r\n..b\r\n"),
        (b"a.\r\nb", b"a.\r\nb"),
    ],
)
def test_it_doubles_the_dots_that_begin_a_line(plain: bytes, stuffed: bytes) -> None:
    assert dot_stuff(plain) == stuffed


@given(st.text(st.characters(codec="ascii", exclude_characters="\r\0"), max_size=200))
def test_it_stuffs_as_the_standard_library_does(text: str) -> None:
    message = text.replace("\n", "\r\n").encode()
    # smtplib has its own function for this, which works on any line end.
    quoted = smtplib._quote_periods(message)  # type: ignore[attr-defined]  # private, and the measure here
    assert dot_stuff(message) == quoted


@pytest.mark.parametrize(
    "value",
    [
        *("", " ", "plain", "two  spaces", " led by a space", "=?utf-8?q?looks_encoded?=", "x" * 990, "long " * 60),
        *("ü" * 300, "a\tb", "\x7f", "\u2028\x85", "🎉" * 50, "word " * 14 + "  " + "word " * 3 + "end"),
    ],
)
def test_a_header_gives_its_text_back_in_lines_that_fit(value: str) -> None:
    raw = b"Subject: " + header_text(value, 9) + b"\r\n\r\n"
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    if " " in value.strip() or not value.isascii():
        assert max(map(len, raw.split(b"\r\n"))) <= 76
    if value.strip():
        assert message_from_bytes(raw, policy=policy.default)["Subject"] == value


@pytest.mark.parametrize(
    "name", ["Anna", "O'Neil, Anna", 'Anna "A" \\ B', "Ünü", "=?x?=", "a" * 200, "Anna (she)", "a@b.c"]
)
def test_a_name_beside_an_address_is_read_back(name: str) -> None:
    raw = b"To: " + mailbox(name, "anna@example.com") + b"\r\n\r\n"
    [address] = message_from_bytes(raw, policy=policy.default)["To"].addresses
    assert (address.display_name, address.addr_spec) == (name, "anna@example.com")


@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
    | st.lists(st.tuples(st.integers(70, 78), st.sampled_from([" \n", "\n", "=", "\t\n", ".\n", "ü"]))).map(
        lambda runs: "".join("x" * length + end for length, end in runs)
    )
)
def test_quoted_printable_stays_within_its_lines(text: str) -> None:
    encoded = quoted_printable(text) + b"=\r\n"
    assert max(map(len, encoded.split(b"\r\n"))) <= 76
    assert encoded.isascii()
    assert quopri.decodestring(encoded).decode() == re.sub(r"\r\n|\r|\n", "\r\n", text)
