"""Email addresses: checked by syntax only, in the one form that the ledger, the envelope and headers share.

That form keeps the local part as it was written and has the domain in lower case ASCII (IDNA), so that one
recipient has one spelling. Only a local part outside ASCII needs SMTPUTF8 (RFC 6531).
"""

import re
from typing import Final

from email_validator import EmailNotValidError, validate_email

from bot.errors import BadInputError

# The ordinary address: dot-atom, ASCII, a domain with a dot and no punycode. All others take the slow road.
_LABEL: Final = r"(?!..--)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ORDINARY: Final = re.compile(
    rf"([A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*)@((?:{_LABEL}\.)+[A-Za-z][A-Za-z0-9-]{{0,61}}[A-Za-z0-9])"
)
_LONGEST: Final = 254  # RFC 5321, erratum 1690
_LONGEST_LOCAL: Final = 64


def normalise_address(text: str) -> str:
    """The address in its one form; BadInputError with a sentence that says what is wrong with it."""
    text = text.strip()
    ordinary = _ORDINARY.fullmatch(text)
    if ordinary and len(text) <= _LONGEST and len(ordinary[1]) <= _LONGEST_LOCAL:
        return f"{ordinary[1]}@{ordinary[2].lower()}"
    return _checked(text)


def _checked(text: str) -> str:
    if not text:
        raise BadInputError("The email address is empty.")
    if len(text) > 4 * _LONGEST:
        raise BadInputError(f'"{shown(text)}" is not an email address: it is {len(text)} characters long.')
    try:
        found = validate_email(text, check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError as error:
        reason = str(error).rstrip(".")
        raise BadInputError(f'"{shown(text)}" is not an email address: {reason}.') from error
    if "." not in found.ascii_domain:
        raise BadInputError(f'"{shown(text)}" is not an email address: its domain has no dot.')
    return f"{found.local_part}@{found.ascii_domain.lower()}"


def needs_smtputf8(email: str) -> bool:
    """Whether this normalised address can only be mailed through a server that announces SMTPUTF8."""
    return not email.isascii()


def shown(text: str, limit: int = 60) -> str:
    """Text from outside made fit for a sentence: printable, one line, at most `limit` characters."""
    clean = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text[: limit + 1])
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"
