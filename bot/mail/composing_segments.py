"""A draft cut into segments: octets that all recipients share, holes for fields, blocks that are encoded whole."""

import hashlib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bot.mail.composing_encoding import (
    CRLF,
    LONGEST_PLAIN,
    SOFT_BREAK,
    base64_lines,
    fits_seven_bit,
    prefers_base64,
    quoted_printable,
    soft_lines,
    text_octets,
)
from bot.mail.composing_parts import Draft, FixedPart, Multipart, Part, TextPart, text_parts
from bot.mail.templates import Hole, Template, compile_template, escape

Form = Callable[[bytes], bytes]
"""What becomes of each piece of a message: `bytes` leaves it as it is."""

# A value that is the same in HTML, text and quoted-printable. A space at its end or a dot at its beginning would
# need care.
_SAFE: Final = r"!#$%()*+,/:;?@A-Z\[\\\]^_`a-z{|}~0-9-"
_is_plain: Final = re.compile(rf"(?:[{_SAFE}][ .{_SAFE}]*+(?<! ))?").fullmatch


@dataclass(frozen=True, slots=True)
class Block:
    """A text that is encoded whole for each recipient: more than plain fields, or base64."""

    template: Template
    base64: bool

    def render(self, fields: Mapping[str, str]) -> bytes:
        text = self.template.render(fields)
        return base64_lines(text_octets(text)) if self.base64 else quoted_printable(text)


class Body:
    """Pieces of a message in one form, and where each recipient's values go.

    A form works piece by piece, because a hole begins a line and its value is followed by a line end, or by a soft
    one. `bare` says that it leaves a line alone that neither begins with a dot nor ends in a space.
    """

    def __init__(self, parts: "Compiler", pieces: Sequence[bytes], form: Form = bytes, *, bare: bool = True) -> None:
        self._pieces: Final = [form(piece) for piece in pieces]
        self._holes: Final = [
            (hole.name, hole, (*places[0], *places[1]), places) for hole, places in parts.holes.items()
        ]
        self._blocks: Final = parts.blocks
        self._form: Final = form
        self._longest_bare: Final = LONGEST_PLAIN if bare else 0

    @property
    def fixed(self) -> bool:
        """Whether it is the same for everybody."""
        return not self._holes and not self._blocks

    def fill(self, values: Mapping[str, str]) -> list[bytes]:
        """The pieces for one recipient. Raises BadInputError when a field is missing."""
        pieces, form = self._pieces.copy(), self._form
        for name, hole, everywhere, places in self._holes:
            value = values.get(name) or hole.value(values, "HTML template" if places[1] else "text template")
            if _is_plain(value):
                octets = value.encode()
                if len(octets) > self._longest_bare:
                    octets = form(soft_lines(octets))
                for place in everywhere:
                    pieces[place] = octets
            else:
                self._encode(pieces, value, *places)
        for place, block in self._blocks:
            pieces[place] = form(block.render(values))
        return pieces

    def _encode(self, pieces: list[bytes], value: str, in_text: list[int], in_html: list[int]) -> None:
        octets = self._form(quoted_printable(value)) if in_text else b""
        for place in in_text:
            pieces[place] = octets
        escaped = str(escape(value)) if in_html else value
        if in_html and not (in_text and escaped == value):
            octets = self._form(quoted_printable(escaped))
        for place in in_html:
            pieces[place] = octets


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


class Compiler:
    """Cuts a draft into pieces: octets that are the same for all, holes for fields, blocks."""

    def __init__(self, draft: Draft, declared: Collection[str]) -> None:
        self._digest = _fingerprint(draft.root)
        self._boundaries = 0
        self._fixed: list[bytes] = []
        self.size = 0
        self.pieces: list[bytes] = []
        self.holes: dict[Hole, tuple[list[int], list[int]]] = {}
        self.blocks: list[tuple[int, Block]] = []
        self.subject = compile_template(draft.subject, where="subject", html=False, declared=declared)
        # HTML first: where a text was made from it, its mistakes are the HTML's.
        parts = sorted(text_parts(draft.root), key=lambda part: not part.html)
        self.templates = {
            id(part): compile_template(
                part.text, where="HTML template" if part.html else "text template", html=part.html, declared=declared
            )
            for part in parts
        }
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
        # "=_" occurs in no quoted-printable and no base64 (RFC 2045 section 6.7); the digest guards the rest.
        boundary = f"=_{self._digest}_{self._boundaries}".encode()
        self._boundaries += 1
        kind = part.kind.encode("ascii", "replace")
        self._fixed.append(
            b"Content-Type: multipart/" + kind + part.params + b';\r\n boundary="' + boundary + b'"\r\n\r\n'
        )
        for child in part.parts:
            self._fixed.append(b"--" + boundary + CRLF)
            self._part(child)
            self._fixed.append(CRLF)
        self._fixed.append(b"--" + boundary + b"--\r\n")

    def _text(self, part: TextPart, template: Template) -> None:
        segments = template.segments
        text = "".join(segment for segment in segments if isinstance(segment, str)) if segments else part.text
        fixed = segments is not None and not any(isinstance(segment, Hole) for segment in segments)
        seven_bit = fixed and fits_seven_bit(text)
        base64 = not seven_bit and prefers_base64(text)
        encoding = b"7bit" if seven_bit else b"base64" if base64 else b"quoted-printable"
        kind = b"html" if part.html else b"plain"
        head = b"Content-Type: text/" + kind + b'; charset="utf-8"' + part.params
        self._fixed.append(head + b"\r\nContent-Transfer-Encoding: " + encoding + CRLF + part.headers + CRLF)
        if seven_bit:
            self._fixed.append(text_octets(text))
        elif fixed:
            self._fixed.append(base64_lines(text_octets(text)) if base64 else quoted_printable(text))
        elif segments is None or base64:
            self.size += len(part.text)
            self.blocks.append((self._gap(), Block(template, base64)))
        else:
            self._segments(segments, html=part.html)

    def _segments(self, segments: tuple[str | Hole, ...], *, html: bool) -> None:
        """Soft breaks round a hole: its value starts a line of its own, so no line is ever too long."""
        for number, segment in enumerate(segments):
            if number:
                self._fixed.append(SOFT_BREAK)
            if isinstance(segment, str):
                self._fixed.append(quoted_printable(segment))
            else:
                self.holes.setdefault(segment, ([], []))[html].append(self._gap())
