"""How text becomes octets of a message: quoted-printable, base64, header words, dates, dot-stuffing.

All output is ASCII with CRLF line ends. Sources: RFC 2045 (transfer encodings), RFC 2047 (encoded words),
RFC 5322 (headers), RFC 5321 section 4.5.2 (dot-stuffing).
"""

import binascii
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final

from bot.errors import BadInputError
from bot.mail.addresses import shown

CRLF: Final = b"\r\n"
SOFT_BREAK: Final = b"=\r\n"
LONGEST_LINE: Final = 998  # octets without the CRLF, RFC 5322 section 2.1.1
LONGEST_PLAIN: Final = 70  # of one line without escapes, with room for its soft break
_FOLD_AT: Final = 76
_WORD_OCTETS: Final = 39  # so that an encoded word fits behind a header's name in 76 characters

BREAKS_HEADER: Final = re.compile(r"[\r\n\0]")
_HEADER_ASCII: Final = re.compile(r"[!-~][ -~]*+(?<! )")
_PHRASE: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_DOT_LINE: Final = re.compile(rb"\n\.")
_LONG_QP: Final = re.compile(rb"[^\n]{77,}|[^\n]{76}\Z")
_SEVEN_BIT: Final = re.compile(r"[\t\n -~]*")
_EIGHT_BIT: Final = re.compile(r"[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]*")


def utf8(text: str) -> bytes:
    """The text in UTF-8; BadInputError when it holds half a character (a lone surrogate)."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise BadInputError(f'"{shown(text)}" holds a broken character. Correct it and try again.') from error


def one_newline(text: str) -> str:
    """The text with every line end (CRLF, CR) as a newline."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def quoted_printable(text: str) -> bytes:
    """The text as quoted-printable that may begin at the start of a line and be followed by a soft break."""
    encoded = binascii.b2a_qp(utf8(one_newline(text)), istext=True)
    if len(encoded) >= _FOLD_AT and _LONG_QP.search(encoded):
        encoded = _LONG_QP.sub(_broken, encoded)
    return encoded.replace(b"\n", CRLF)


def _broken(line: re.Match[bytes]) -> bytes:
    """Binascii lets a line end two too late when it ends in a space, and leaves no room after the last one."""
    octets = line[0]
    at = _FOLD_AT - 6
    while b"=" in octets[at - 2 : at]:  # not within an escape
        at -= 1
    return octets[:at] + b"=\n" + octets[at:]


def soft_lines(octets: bytes) -> bytes:
    """Octets without line ends that need no escape, as quoted-printable: in lines of `LONGEST_PLAIN`, softly broken."""
    if len(octets) <= LONGEST_PLAIN:
        return octets
    if len(octets) <= 2 * LONGEST_PLAIN:  # a link, in most messages
        return octets[:LONGEST_PLAIN] + SOFT_BREAK + octets[LONGEST_PLAIN:]
    return SOFT_BREAK.join([octets[at : at + LONGEST_PLAIN] for at in range(0, len(octets), LONGEST_PLAIN)])


def base64_lines(data: bytes) -> bytes:
    """The data as base64 in lines of 76 characters, without a last line end."""
    flat = binascii.b2a_base64(data, newline=False)
    return CRLF.join([flat[at : at + 76] for at in range(0, len(flat), 76)])


def text_octets(text: str) -> bytes:
    """The text in UTF-8 with CRLF line ends: what base64 of a text part encodes."""
    return utf8(one_newline(text)).replace(b"\n", CRLF)


def fits_seven_bit(text: str) -> bool:
    """Whether a text (newlines as line ends) may travel as it is."""
    return _SEVEN_BIT.fullmatch(text) is not None and max(map(len, text.split("\n"))) <= LONGEST_LINE


def fits_eight_bit(text: str) -> bool:
    """Whether a text may travel as it is to a server that announces 8BITMIME."""
    lines = one_newline(text).split("\n")
    return _EIGHT_BIT.fullmatch(text) is not None and max(len(utf8(line)) for line in lines) < LONGEST_LINE


def prefers_base64(text: str) -> bool:
    """Whether base64 is the smaller encoding: quoted-printable takes three octets for each beyond ASCII."""
    octets = len(text.encode("utf-8", "replace"))
    beyond = octets - sum(char.isascii() for char in text)
    return octets + 2 * beyond > octets * 1.37


def is_header_ascii(value: str) -> bool:
    """Whether an unstructured header's value may stand there as it is, but for folding."""
    return _HEADER_ASCII.fullmatch(value) is not None and "=?" not in value


def header_text(value: str, name_length: int) -> bytes:
    """An unstructured header's value (RFC 2047 where it must), folded; `name_length` counts "Name: ".

    The caller has refused CR, LF and NUL.
    """
    if is_header_ascii(value):
        if len(value) + name_length <= _FOLD_AT:
            return value.encode()
        if max(map(len, value.split(" "))) < LONGEST_LINE // 2:
            return _fold(value, name_length)
    return _encoded_words(value)


def _fold(value: str, used: int) -> bytes:
    """Break before single spaces; unfolding gives the value back as it was."""
    lines = [""]
    for word in value.split(" "):
        width = used + len(lines[-1]) + 1 + len(word)
        if word and lines[-1].strip() and width > _FOLD_AT:
            lines.append(" " + word)
            used = 0
        else:
            lines[-1] += word if lines == [""] else " " + word
    return "\r\n".join(lines).encode()


def _encoded_words(value: str) -> bytes:
    return b"\r\n ".join(
        [b"=?utf-8?b?" + binascii.b2a_base64(piece, newline=False) + b"?=" for piece in _pieces(utf8(value))]
    )


def _pieces(octets: bytes) -> Iterator[bytes]:
    """Runs of whole characters, short enough for one encoded word each."""
    start = 0
    while start < len(octets):
        end = min(start + _WORD_OCTETS, len(octets))
        while end < len(octets) and octets[end] & 0xC0 == 0x80:
            end -= 1
        yield octets[start:end]
        start = end


def mailbox(name: str, email: str) -> bytes:
    """`Name <email>` for an address header; `email` is normalised. BadInputError for a name with line ends."""
    if not name:
        return email.encode()
    if BREAKS_HEADER.search(name):
        raise BadInputError(
            f'The name "{shown(name)}" of {shown(email)} holds a line break or NUL, which would forge a header. '
            "Correct it and try again."
        )
    address = b"<" + email.encode() + b">"
    if len(name) > 300 or not is_header_ascii(name):
        return _encoded_words(name) + b"\r\n " + address
    gap = b" " if len(name) + len(email) < 60 else b"\r\n "
    if _PHRASE.fullmatch(name):
        return name.encode() + gap + address
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return b'"' + escaped.encode() + b'"' + gap + address


def header_date(at: datetime) -> str:
    """An aware moment as the Date header's value, in UTC."""
    return format_datetime(at.astimezone(UTC))


def dot_stuff(message: bytes) -> bytes:
    """Double each dot that begins a line, so that no line of the message ends it. `message` is CRLF.

    A lone CR or LF is no line end here, nor may it be to a server (RFC 5321 section 2.3.8): what
    `CompiledMessage.render` gives has none.
    """
    if _DOT_LINE.search(message):  # twice as fast as `in` on text with many line ends
        message = message.replace(b"\r\n.", b"\r\n..")
    return b"." + message if message.startswith(b".") else message
