"""Signatures hold for an independent verifier (dkimpy), whatever the message says, and break when it is changed."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption
from hypothesis import given
from hypothesis import strategies as st

from bot.config import DkimSettings, Settings
from bot.errors import SettingsError
from bot.mail.composing import CompiledMessage, Source, compile_message
from bot.mail.dkim_key import SigningKey, read_key
from bot.mail.dkim_keys import keys_for, read_keys, unsigned
from tests.dkim_world import BOTH, ED25519, ED25519_PEM, RSA_PEM, holds, pem, signing

AT = datetime(2026, 3, 1, 12, 30, 5, tzinfo=UTC)
SENDER = "Shop <news@shop.example>"
VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=120)
HEADER_VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), max_size=120)


def compiled(
    fields: Mapping[str, str] | None = None, keys: tuple[SigningKey, ...] = BOTH, **parts: Any
) -> CompiledMessage:
    source = Source(**{"subject": "Hello", "text": "Hi", "sender": SENDER} | parts)
    return compile_message(source, fields=list(fields or {}), campaign="spring sale", keys=keys)


def rendered(message: CompiledMessage, fields: Mapping[str, str] | None = None, **options: Any) -> bytes:
    given_or_usual: dict[str, Any] = {"message_id": "<1@shop.example>", "date": AT} | options
    return message.render("anna@example.com", fields or {}, **given_or_usual)


@given(HEADER_VALUES, VALUES, VALUES)
def test_both_signatures_hold_for_nasty_values(first: str, second: str, third: str) -> None:
    fields = {"a": first, "b": second, "c": third}
    html = '<p title="{{ c }}">{{ a }}  und\t{{ b }}{{ c }}</p> \n.\n<i>größe = {{ b }}\n</i>'
    message = compiled(fields, subject="Re:  {{ a }}!", html=html, text="{{ b }}.{{ a }}\n.{{ c }}\n{{ a }}")
    assert holds(rendered(message, fields, name=first), *BOTH) == [True, True]


@pytest.mark.parametrize(
    "parts",
    [
        {"text": "Hi"},
        {"text": ".\n..\n.hidden  spaces \t \n\n\n"},
        {"text": "{{ a }}"},
        {"text": "Hi {{ a }}\n\n{{ a }}"},
        {"text": "{% if a %}{{ a }}{% endif %} \n \n"},
        {"text": "Здравствуйте, {{ a }}! " * 9},
        {"text": "x" * 5000, "html": "<p>" + "{{ a }}" * 3},
        {"subject": "ü" * 200, "reply_to": "Help <help@shop.example>, more@shop.example"},
    ],
)
@pytest.mark.parametrize("value", ["", "Anna", "\n\n", "two  spaces ", "." * 300])
def test_they_hold_however_the_body_ends_and_is_encoded(parts: dict[str, Any], value: str) -> None:
    message = compiled({"a": value}, **parts)
    ways = {"unsubscribe_url": "https://shop.example/u/1", "unsubscribe_mailto": "stop@shop.example"}
    assert holds(rendered(message, {"a": value}, **ways), *BOTH) == [True, True]
    assert holds(rendered(message, {"a": value}), *BOTH) == [True, True]


def test_they_hold_for_an_eml_with_attachments_whose_old_signature_is_gone() -> None:
    eml = (
        b"DKIM-Signature: v=1; a=rsa-sha256; d=old.example; s=x; h=from; bh=x; b=x\r\n"
        b"From: Shop <news@shop.example>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= {{ a }}\r\n"
        b"List-Id:  Sale\r\n <sale.shop.example>\r\nX-Other: y\r\n"
        b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n'
        b"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n.Hi {{ a }}\r\n"
        b"--b\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\nAAECAwQ=\r\n--b--\r\n"
    )
    message = rendered(compile_message(Source(eml=eml), fields=["a"], keys=BOTH), {"a": "Ö"})
    assert holds(message, *BOTH) == [True, True]
    assert b"old.example" not in message
    assert message.lower().count(b"list-id") == 2 + 1  # in both signatures, and itself


def test_they_hold_for_a_recipient_beyond_ascii() -> None:
    message = compiled().render("josé@example.com", {}, message_id="<1@shop.example>", date=AT, name="José")
    assert "josé@example.com".encode() in message
    assert holds(message, *BOTH) == [True, True]


CHANGES = [
    (b"Subject: Hello", b"Subject: Hallo"),
    (b"\r\n\r\nHi", b"\r\n\r\nHo"),
    (b"From: Shop", b"From: Evil"),
    (b"MIME-Version", b"From: evil@evil.example\r\nMIME-Version"),
    (b"MIME-Version", b"Subject: Pay now\r\nMIME-Version"),
    (b"<https://shop.example", b"<https://evil.example"),
    (b"One-Click", b"Two-Click"),
    (b"Content-Type: text/plain", b"Content-Type: text/html"),
]


@pytest.mark.parametrize(("before", "after"), CHANGES)
def test_they_break_when_the_message_is_changed(before: bytes, after: bytes) -> None:
    message = rendered(compiled(text="Hi\n"), unsubscribe_url="https://shop.example/u/1")
    assert holds(message, *BOTH) == [True, True]
    changed = message.replace(before, after, 1)
    assert changed != message
    assert holds(changed, *BOTH) == [False, False]


def test_a_key_that_is_not_the_published_one_does_not_verify() -> None:
    other = signing("ed1", pem(Ed25519PrivateKey.generate()))
    assert holds(rendered(compiled(keys=(ED25519,))), other) == [False]


def test_without_a_key_for_the_domain_nothing_is_signed() -> None:
    assert b"DKIM" not in rendered(compiled(keys=()))
    assert b"DKIM" not in rendered(compiled(keys=(signing("x", RSA_PEM, "other.example"),)))


def test_the_wire_has_the_signed_message_with_its_dots_doubled() -> None:
    from bot.mail.composing import dot_stuff

    message = compiled({"a": ""}, keys=(ED25519,), text=".\n{{ a }}.x\n", html="<p>\n.\n{{ a }}")
    assert rendered(message, {"a": "..."}, wire=True) == dot_stuff(rendered(message, {"a": "..."}))


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("shop.example", ["shop.example"]),
        ("news.shop.example", ["news.shop.example", "news.shop.example"]),
        ("eu.news.shop.example", ["news.shop.example", "news.shop.example"]),
        ("mail.shop.example", ["shop.example"]),
        ("badshop.example", []),
        ("example", []),
    ],
)
def test_the_keys_of_the_nearest_domain_sign(domain: str, expected: list[str]) -> None:
    keys = [
        signing("a", RSA_PEM),
        signing("b", RSA_PEM, "news.shop.example"),
        signing("c", ED25519_PEM, "news.shop.example"),
    ]
    assert [key.domain for key in keys_for(keys, domain)] == expected


def test_a_sender_whose_domain_has_no_key_is_named() -> None:
    settings = Settings.model_validate({"dkim": {"ed1": {"domain": "shop.example", "key": "x"}}})
    assert unsigned(settings, "mail.shop.example") is None
    assert "Mail from other.example is not signed by Holdfast: its DKIM keys are for shop.example." in (
        unsigned(settings, "other.example") or ""
    )
    assert unsigned(Settings.model_validate({}), "other.example") is None


def test_a_key_is_read_from_a_file_and_never_shown(tmp_path: Path) -> None:
    path = tmp_path / "dkim.pem"
    path.write_bytes(ED25519_PEM)
    given_key = {"domain": "Shop.Example", "key": RSA_PEM.decode().replace("\n", "\\n")}
    settings = Settings.model_validate(
        {"dkim": {"ed1": {"domain": "shop.example", "key_file": path}, "rsa1": given_key}}
    )
    assert [(key.selector, key.domain, key.kind) for key in read_keys(settings)] == [
        ("ed1", "shop.example", "Ed25519"),
        ("rsa1", "shop.example", "RSA-2048"),
    ]
    secret = RSA_PEM.decode().splitlines()[3]
    assert secret not in repr(settings) + repr(read_keys(settings))


def prime(start: int) -> int:
    """The next number after `start` that Fermat takes for a prime, and with which 65537 goes."""
    number = start | 1
    while pow(2, number - 1, number) != 1 or number % 65537 == 1:
        number += 2
    return number


def short_key() -> rsa.RSAPrivateKey:
    """A key of 768 bits, which libraries no longer make."""
    p, q, e = prime(3 << 382), prime(7 << 381), 65537
    d = pow(e, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(e, p * q)
    return rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public).private_key()


@pytest.mark.parametrize(
    ("octets", "sentence"),
    [
        (b"", "no private key in PEM. Make one with: openssl"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "knows RSA and Ed25519"),
        (pem(Ed25519PrivateKey.generate(), BestAvailableEncryption(b"x")), "locked by a password"),
        (pem(short_key()), "an RSA key of 768 bits is so short that receivers ignore it"),
    ],
)
def test_a_key_of_no_use_is_refused_in_a_sentence(tmp_path: Path, octets: bytes, sentence: str) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(octets)
    with pytest.raises(SettingsError, match=rf"dkim\.mine: .*{sentence}"):
        read_key("mine", DkimSettings(domain="shop.example", key_file=path))


def test_a_key_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"dkim\.mine: .*gone\.pem cannot be read \(No such file"):
        read_key("mine", DkimSettings(domain="shop.example", key_file=tmp_path / "gone.pem"))
