"""A draft cut into segments: octets that all recipients share, holes for fields, blocks that are encoded whole."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from bot.mail.composing_encoding import (
    CRLF,
    SOFT_BREAK,
    base64_lines,
    fits_seven_bit,
    prefers_base64,
    quoted_printable,
    text_octets,
)
from bot.mail.composing_parts import Draft, FixedPart, Multipart, Part, TextPart, text_parts
from bot.mail.templates import Hole, Template, compile_template


@dataclass(frozen=True, slots=True)
class Block:
    """A text that is encoded whole for each recipient: more than plain fields, or base64."""

    template: Template
    base64: bool

    def render(self, fields: Mapping[str, str]) -> bytes:
        text = self.template.render(fields)
        return base64_lines(text_octets(text)) if self.base64 else quoted_printable(text)


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
