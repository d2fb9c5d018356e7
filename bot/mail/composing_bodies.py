"""A compiled draft filled in for each recipient: the pieces that all share, and the values of one between them."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from bot.mail.composing_encoding import (
    LONGEST_PLAIN,
    dot_stuff,
    fits_eight_bit,
    quoted_printable,
    soft_lines,
    text_octets,
)
from bot.mail.composing_segments import BOUNDARY, Compiler
from bot.mail.templates import escape

Form = Callable[[bytes], bytes]
"""What becomes of each piece of a message: `bytes` leaves it as it is."""

# A value that is the same in HTML, text and quoted-printable. A space at its end or a dot at its beginning would
# need care.
_SAFE: Final = r"!#$%()*+,/:;?@A-Z\[\\\]^_`a-z{|}~0-9-"
_is_plain: Final = re.compile(rf"(?:[{_SAFE}][ .{_SAFE}]*+(?<! ))?").fullmatch
# One that may stand in a text that is not encoded: no controls, nor whatever a server may take for the end of a line,
# nor what a boundary begins with.
_ANY: Final = r"[^\s\x00-\x1f\x7f-\x9f\ud800-\udfff]"
_is_simple: Final = re.compile(rf"(?:(?!\.|.*=_){_ANY}(?:{_ANY}| )*+(?<! ))?").fullmatch


class Body:
    """Pieces of a message in one form, and where each recipient's values go.

    A form works piece by piece, because a hole begins a line and its value is followed by a line end, or by a soft
    one. `bare` says that it leaves a line alone that neither begins with a dot nor ends in a space.
    """

    def __init__(self, parts: Compiler, pieces: Sequence[bytes], form: Form = bytes, *, bare: bool = True) -> None:
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


class EightBitBody(Body):
    """Pieces of a message whose text is not encoded, for a server that announces 8BITMIME (RFC 6152): a quarter less
    of what is not English. A value that would need more care than that of a name makes no such message.
    """

    def __init__(self, parts: Compiler, *, stuffed: bool) -> None:
        super().__init__(parts, parts.pieces, _stuffed_within if stuffed else bytes)
        self._whole: Final = dot_stuff if stuffed else bytes
        self._room: Final = parts.room

    def try_fill(self, values: Mapping[str, str]) -> list[bytes] | None:
        """As `fill`; None where this recipient's values have to be encoded."""
        pieces, room = self._pieces.copy(), self._room
        for name, hole, everywhere, (_, in_html) in self._holes:
            value = values.get(name) or hole.value(values, "HTML template" if in_html else "text template")
            octets = value.encode("utf-8", "replace")
            if len(octets) > room:
                return None
            for place in everywhere:
                pieces[place] = octets
            if _is_plain(value):
                continue
            escaped = escape(value).encode("utf-8", "replace")
            if _is_simple(value) is None or len(escaped) > room:
                return None
            for place in in_html:
                pieces[place] = escaped
        for place, block in self._blocks:
            text = block.template.render(values)
            if not fits_eight_bit(text) or BOUNDARY in text:
                return None
            pieces[place] = self._whole(text_octets(text))
        return pieces


def _stuffed_within(piece: bytes) -> bytes:
    """A piece that follows a value begins in the middle of a line."""
    return piece.replace(b"\r\n.", b"\r\n..")
