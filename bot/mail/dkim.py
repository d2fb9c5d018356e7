"""DKIM signatures over the messages of one campaign (RFC 6376; Ed25519: RFC 8463), relaxed/relaxed.

Signed is the message before dot-stuffing, as a server has it after transport. What is the same for everybody is put
in its relaxed form once; for a recipient only what differs is, and the body is hashed once for all keys.
"""

import binascii
import hashlib
import re
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from bot.mail.composing_encoding import CRLF

if TYPE_CHECKING:
    from bot.mail.dkim_key import SigningKey

_SIGNED: Final = frozenset(
    {b"from", b"to", b"subject", b"date", b"message-id", b"reply-to", b"mime-version", b"content-type"}
    | {b"content-transfer-encoding", b"list-id", b"list-unsubscribe", b"list-unsubscribe-post"}
)
_OVERSIGNED: Final = (b"from", b"to", b"subject", b"date")
"""Named once more than they are there, so that a second one added on the way breaks the signature (section 8.15)."""
_SPACES: Final = re.compile(rb"[ \t]{2,}|\t")
_NAMES_A_LINE: Final = 5
_SIGNATURE_LINE: Final = 72


def relaxed_headers(block: bytes) -> list[tuple[bytes, bytes]]:
    """(name, relaxed line without its end) of each header in a block of CRLF lines (section 3.4.2)."""
    lines = block.replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ").split(CRLF)
    split = [line.partition(b":") for line in lines if line]
    named = [(name.rstrip().lower(), value) for name, _, value in split]
    # `split` also takes form feeds for spaces. No header of ours holds any.
    return [(name, name + b":" + b" ".join(value.split())) for name, value in named]


def relaxed_lines(octets: bytes) -> bytes:
    """Lines of a body in relaxed form (section 3.4.4), but for the empty ones at its end."""
    return _SPACES.sub(b" ", octets).replace(b" \r\n", CRLF)


def body_hash(pieces: Sequence[bytes]) -> bytes:
    """The hash of a body whose lines are relaxed, as base64."""
    body = b"".join(pieces).rstrip(CRLF)
    return binascii.b2a_base64(hashlib.sha256(body + CRLF if body else b"").digest(), newline=False)


class Signer:
    """Signs with every key; `head` are the headers that are the same for everybody."""

    def __init__(self, keys: "Sequence[SigningKey]", head: bytes) -> None:
        self._keys: Final = tuple(keys)
        # Of several headers with one name the last is signed first (section 5.4.2).
        self._fixed: Final = [header for header in reversed(relaxed_headers(head)) if header[0] in _SIGNED]
        self._forms: dict[tuple[bytes, ...], list[_Form]] = {}

    @property
    def is_slow(self) -> bool:
        """Whether one of the keys is RSA, whose signature takes some 250 us; Ed25519's takes 20."""
        return any(key.algorithm == "rsa-sha256" for key in self._keys)

    def sign(self, head: bytes, hashed_body: bytes, at: datetime) -> bytes:
        """The DKIM-Signature headers of one message, with these headers of its own and this `body_hash`."""
        own = [header for header in reversed(relaxed_headers(head)) if header[0] in _SIGNED]
        signed = b"".join([line + CRLF for _, line in (*self._fixed, *own)])
        names = tuple(name for name, _ in own)
        forms = self._forms.get(names)
        if forms is None:
            named = b":".join([*(name for name, _ in self._fixed), *names, *_OVERSIGNED])
            forms = self._forms[names] = [_Form(key, named) for key in self._keys]
        second = int(at.timestamp())
        return b"".join([form.header(signed, hashed_body, second) for form in forms])


class _Form:
    """A DKIM-Signature of one key but for its time, hash and signature; also in its relaxed form."""

    def __init__(self, key: "SigningKey", names: bytes) -> None:
        self._key: Final = key
        listed = names.split(b":")
        lines = [b":".join(listed[at : at + _NAMES_A_LINE]) for at in range(0, len(listed), _NAMES_A_LINE)]
        self._written: Final = (
            b"DKIM-Signature: v=1; a="
            + key.algorithm.encode()
            + b"; c=relaxed/relaxed; d="
            + key.domain.encode()
            + b";\r\n s="
            + key.selector.encode()
            + b"; t=%d;\r\n h="
            + b":\r\n ".join(lines)
            + b";\r\n bh=%b;\r\n b="
        )
        [(_, self._relaxed)] = relaxed_headers(self._written)

    def header(self, signed: bytes, hashed_body: bytes, second: int) -> bytes:
        signature = self._key.sign(signed + self._relaxed % (second, hashed_body))
        pieces = [signature[at : at + _SIGNATURE_LINE] for at in range(0, len(signature), _SIGNATURE_LINE)]
        return self._written % (second, hashed_body) + b"\r\n ".join(pieces) + CRLF
