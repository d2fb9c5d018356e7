"""A draft cut into segments: octets that all recipients share, holes for fields, blocks that are encoded whole."""

import hashlib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bot.mail.composing_encoding import (
    CRLF,
    LONGEST_LINE,
    SOFT_BREAK,
    base64_lines,
    fits_eight_bit,
    fits_seven_bit,
    one_newline,
    prefers_base64,
    quoted_printable,
    text_octets,
)
from bot.mail.composing_parts import Draft, FixedPart, Multipart, Part, TextPart, text_parts
from bot.mail.templates import Hole, Template, compile_template

SEVEN_BIT: Final = b"7bit"
EIGHT_BIT: Final = b"8bit"
BASE64: Final = b"base64"
QUOTED_PRINTABLE: Final = b"quoted-printable"

BOUNDARY: Final = "=_"
"""What a boundary begins with: it occurs in no quoted-printable and no base64 (RFC 2045 section 6.7). The digest of the
whole guards against the rest, but for what recipients bring along.
"""
_FIELD: Final = "\0"
_DOT_BEHIND_FIELD: Final = re.compile(rf"(?:^|\n){_FIELD}+\.")
_LEAST_ROOM: Final = 100
_WORTH_IT: Final = 0.95
"""How large a message may be, of what it is when encoded, to be kept in both forms."""
_ENCODERS: Final[Mapping[bytes, Callable[[str], bytes]]] = {
    SEVEN_BIT: text_octets,
    EIGHT_BIT: text_octets,
    BASE64: lambda text: base64_lines(text_octets(text)),
    QUOTED_PRINTABLE: quoted_printable,
}
"""Text to octets, by the name of the transfer encoding."""


@dataclass(frozen=True, slots=True)
class Block:
    """A text that is encoded whole for each recipient: more than plain fields, or base64."""

    template: Template
    encoding: bytes

    def render(self, fields: Mapping[str, str]) -> bytes:
        return _ENCODERS[self.encoding](self.template.render(fields))


def _room(segments: Sequence[str | Hole]) -> int:
    """How many octets each value may have, so that no line gets too long for SMTP; none where a dot behind a value
    could begin a line.
    """
    text = "".join([_FIELD if isinstance(segment, Hole) else one_newline(segment) for segment in segments])
    if _DOT_BEHIND_FIELD.search(text):
        return 0
    room = LONGEST_LINE
    for line in text.split("\n"):
        fields = line.count(_FIELD)
        left = LONGEST_LINE - 1 - len(line.encode("utf-8", "replace")) + fields
        room = min(room, left // fields if fields else left)
    return max(room, 0)


def _fingerprint(root: Part) -> str:
    """A digest of all that the message holds, for boundaries that occur nowhere in it."""
    digest = hashlib.sha256()
    waiting = [root]
    while waiting:
        match waiting.pop():
            case FixedPart(octets=octets):
                digest.update(octets)
            case Multipart(parts=parts):
                waiting.extend(parts)
            case TextPart(text=text):
                digest.update(text.encode("utf-8", "replace"))
    return digest.hexdigest()[:24]


def _compiled(draft: Draft, declared: Collection[str]) -> tuple[Template, dict[int, Template]]:
    subject = compile_template(draft.subject, where="subject", html=False, declared=declared)
    # HTML first: where a text was made from it, its mistakes are the HTML's.
    parts = sorted(text_parts(draft.root), key=lambda part: not part.html)
    return subject, {
        id(part): compile_template(
            part.text, where="HTML template" if part.html else "text template", html=part.html, declared=declared
        )
        for part in parts
    }


class Compiler:
    """Cuts a draft into pieces: octets that are the same for all, holes for fields, blocks.

    With `encoded` it is the same draft for servers that take eight bits, with the templates of that one.
    """

    def __init__(self, draft: Draft, declared: Collection[str], encoded: "Compiler | None" = None) -> None:
        self._eight_bit = encoded is not None
        self._digest = _fingerprint(draft.root)
        self._boundaries = 0
        self._fixed: list[bytes] = []
        self.size = 0
        self.room = LONGEST_LINE
        """Octets that a value may have, where the text is not encoded."""
        self.pieces: list[bytes] = []
        self.holes: dict[Hole, tuple[list[int], list[int]]] = {}
        self.blocks: list[tuple[int, Block]] = []
        self.subject: Template
        self.templates: dict[int, Template]
        """Of each text, by its identity."""
        if encoded is None:
            self.subject, self.templates = _compiled(draft, declared)
        else:
            self.subject, self.templates = encoded.subject, encoded.templates
        self._part(draft.root)
        if not isinstance(draft.root, Multipart):
            self._fixed.append(CRLF)
        self._flush()
        self.size += sum(map(len, self.pieces))

    def _flush(self) -> None:
        if self._fixed:
            self.pieces.append(b"".join(self._fixed))
            self._fixed = []

    def _gap(self) -> int:
        self._flush()
        self.pieces.append(b"")
        return len(self.pieces) - 1

    def _part(self, part: Part) -> None:
        match part:
            case FixedPart():
                self._fixed.append(part.octets)
            case Multipart():
                self._multipart(part)
            case TextPart():
                self._text(part, self.templates[id(part)])

    def _multipart(self, part: Multipart) -> None:
        boundary = f"{BOUNDARY}{self._digest}_{self._boundaries}".encode()
        self._boundaries += 1
        kind = part.kind.encode("ascii", "replace")
        self._fixed.append(b"Content-Type: multipart/" + kind + part.params + b';\r\n boundary="' + boundary + b'"\r\n')
        if any(self._encoding(child) == EIGHT_BIT for child in text_parts(part)):
            self._fixed.append(b"Content-Transfer-Encoding: 8bit\r\n")  # as RFC 2045 section 6.4 wants it
        self._fixed.append(CRLF)
        for child in part.parts:
            self._fixed.append(b"--" + boundary + CRLF)
            self._part(child)
            self._fixed.append(CRLF)
        self._fixed.append(b"--" + boundary + b"--\r\n")

    def _encoding(self, part: TextPart) -> bytes:
        """The transfer encoding of a text."""
        segments = self.templates[id(part)].segments
        if segments is None:
            return EIGHT_BIT if self._eight_bit else BASE64 if prefers_base64(part.text) else QUOTED_PRINTABLE
        texts = [segment for segment in segments if isinstance(segment, str)]
        text = "".join(texts)
        if len(texts) == len(segments) and fits_seven_bit(text):
            return SEVEN_BIT
        if self._eight_bit and fits_eight_bit(text) and _room(segments) >= _LEAST_ROOM:
            return EIGHT_BIT
        return BASE64 if prefers_base64(text) else QUOTED_PRINTABLE

    def _text(self, part: TextPart, template: Template) -> None:
        segments, encoding = template.segments, self._encoding(part)
        kind = b"html" if part.html else b"plain"
        head = b"Content-Type: text/" + kind + b'; charset="utf-8"' + part.params
        self._fixed.append(head + b"\r\nContent-Transfer-Encoding: " + encoding + CRLF + part.headers + CRLF)
        fixed = segments is not None and not any(isinstance(segment, Hole) for segment in segments)
        if segments is None or (encoding == BASE64 and not fixed):
            self.size += len(_ENCODERS[encoding](part.text.encode("utf-8", "replace").decode()))
            self.blocks.append((self._gap(), Block(template, encoding)))
        elif fixed:
            self._fixed.append(_ENCODERS[encoding](template.render({})))
        else:
            self._segments(segments, encoding, html=part.html)

    def _segments(self, segments: tuple[str | Hole, ...], encoding: bytes, *, html: bool) -> None:
        """In quoted-printable with soft breaks round a hole: its value starts a line of its own, so none is ever too
        long. Where nothing is encoded, values have as much room as the longest line leaves them.
        """
        if encoding == EIGHT_BIT:
            self.room = min(self.room, _room(segments))
        encode = _ENCODERS[encoding]
        for number, segment in enumerate(segments):
            if number and encoding == QUOTED_PRINTABLE:
                self._fixed.append(SOFT_BREAK)
            if isinstance(segment, str):
                self._fixed.append(encode(segment))
            else:
                self.holes.setdefault(segment, ([], []))[html].append(self._gap())

    def in_eight_bits(self, draft: Draft) -> "Compiler | None":
        """The same draft with its text as it is; None where that would be little smaller."""
        other = Compiler(draft, (), self)
        as_it_is = all(other._encoding(part) in {SEVEN_BIT, EIGHT_BIT} for part in text_parts(draft.root))
        return other if as_it_is and other.size < self.size * _WORTH_IT else None
