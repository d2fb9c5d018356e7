"""Bounces and complaints: messages that say what became of a message.

Delivery status notifications by RFC 3464 (in the frame of RFC 3462), and feedback reports by RFC 5965. The original
message, or its headers, must come along: only its Message-ID proves which delivery it is about. Where a server sends
no original back, the bounce's own In-Reply-To or References may name it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message
from email.parser import HeaderParser
from email.policy import compat32
from email.utils import getaddresses, parsedate_to_datetime
from typing import Final

from bot.mail.replies import Stage
from bot.mail.reports.report import Report, kind_of, tidy, token_of
from storage.models import ReportKind

LARGEST: Final = 10 * 2**20
"""Octets; what comes after them is not looked at."""

_ENHANCED: Final = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
_DIAGNOSTIC: Final = re.compile(r"(?:smtp;\s*)?(?:.*?\bsaid:\s*)?(?P<code>[45]\d\d)[ -](?P<words>.*)", re.IGNORECASE)
_LINK: Final = re.compile(r"/u/([\w.-]{1,200})>")
_AT_RCPT: Final = re.compile(r"RCPT TO", re.IGNORECASE)
_NO_COMPLAINT: Final = frozenset({"not-spam", "auth-failure", "dmarc"})
_MOST_RECIPIENTS: Final = 100
_ACTIONS: Final = {
    "delivered": ReportKind.DELIVERED,
    "relayed": ReportKind.DELIVERED,
    "expanded": ReportKind.DELIVERED,
    "delayed": ReportKind.ACCEPTED,
}


@dataclass(frozen=True, slots=True)
class _Original:
    """What the message says of the one that it is about."""

    token: str
    campaign: str
    recipients: tuple[str, ...]
    link: str = ""


def read_bounce(octets: bytes) -> list[Report]:
    """What a bounce or a complaint says; nothing for any other message, and for one about mail that is not ours."""
    try:
        message = message_from_bytes(octets[:LARGEST], policy=compat32)
        parts = list(message.walk())
    except (RecursionError, ValueError, LookupError):
        return []  # nested or broken on purpose: no server writes such a thing
    original = _original(message, parts)
    if original is None:
        return []
    kinds = {part.get_content_type(): part for part in parts}
    if "message/feedback-report" in kinds:
        return _complaints(kinds["message/feedback-report"], original)
    if "message/delivery-status" in kinds:
        return list(_statuses(kinds["message/delivery-status"], original))
    failed = _addresses(message, "X-Failed-Recipients")
    if failed:  # Exim's own form, where no status comes along
        words = tidy(_text_of(parts)) or "it came back"
        found = _DIAGNOSTIC.search(words)
        code = int(found["code"]) if found else None
        return [
            Report(
                original.token,
                kind_of(code, ""),
                tidy(found["words"]) if found else words,
                (*failed, *original.recipients),
                original.campaign,
                code,
                Stage.rcpt if _AT_RCPT.search(words) else Stage.dot,
                _moment(message, "Date"),
            )
        ]
    return []


def _original(message: Message, parts: list[Message]) -> _Original | None:
    for part in parts:
        match part.get_content_type():
            case "message/rfc822":
                headers = _inner(part)
            case "text/rfc822-headers" | "message/rfc822-headers":
                headers = _headers(part)
            case _:
                continue
        token = token_of(str(headers.get("Message-ID", ""))) if headers is not None else None
        if headers is not None and token is not None:
            link = _LINK.search(str(headers.get("List-Unsubscribe", "")))
            campaign = _decoded(headers, "X-Holdfast-Campaign")
            return _Original(token, campaign, _addresses(headers, "To"), link[1] if link else "")
    for name in ("In-Reply-To", "References", "X-Failed-Message-ID"):
        for word in str(message.get(name, "")).split():
            token = token_of(word)
            if token is not None:
                return _Original(token, "", ())
    return None


def _inner(part: Message) -> Message | None:
    """The message, or the block of fields, that a part of type message/... consists of."""
    inner = part.get_payload()
    first = inner[0] if isinstance(inner, list) and inner else None
    return first if isinstance(first, Message) else None


def _statuses(part: Message, original: _Original) -> Iterator[Report]:
    """One report a recipient: the blocks of a delivery-status, of which the first is about the whole message."""
    blocks = part.get_payload()
    if not isinstance(blocks, list) or not blocks:
        return
    arrived = _moment(blocks[0], "Arrival-Date")
    for block in blocks[1 : _MOST_RECIPIENTS + 1]:
        if not isinstance(block, Message):
            continue
        action = str(block.get("Action", "failed")).strip().casefold()
        enhanced = _ENHANCED.search(str(block.get("Status", "")))
        status = enhanced[0] if enhanced else ""
        diagnostic = tidy(str(block.get("Diagnostic-Code", "")))
        found = _DIAGNOSTIC.match(diagnostic)
        code = int(found["code"]) if found else None
        # Exim writes 5.0.0 for whatever it gives back: then the reply that it quotes knows better.
        decisive = code if not status or status.endswith(".0.0") else None
        said = tidy(found["words"]) if found else diagnostic.partition(";")[2].strip() or diagnostic
        if status and not _ENHANCED.match(said) and not (code and status.endswith(".0.0")):
            said = f"{status} {said}".strip()
        named = (*_addressed(block, "Original-Recipient"), *_addressed(block, "Final-Recipient"))
        yield Report(
            original.token,
            _ACTIONS.get(action) or kind_of(decisive, status),
            said or action,
            (*named, *original.recipients),
            original.campaign,
            code,
            Stage.rcpt if _AT_RCPT.search(diagnostic) else Stage.dot,
            _moment(block, "Last-Attempt-Date") or arrived,
            original.link,
        )


def _complaints(part: Message, original: _Original) -> list[Report]:
    fields = _inner(part) or _headers(part)
    kind = str(fields.get("Feedback-Type", "abuse")).strip().casefold()
    if kind in _NO_COMPLAINT:
        return []
    named = (*_addresses(fields, "Original-Rcpt-To"), *original.recipients)
    reporter = tidy(str(fields.get("User-Agent", "")))
    words = f"{kind}, says {reporter}" if reporter else kind
    at = _moment(fields, "Received-Date") or _moment(fields, "Arrival-Date")
    return [
        Report(
            original.token,
            ReportKind.COMPLAINT,
            tidy(words),
            named,
            original.campaign,
            at=at,
            link=original.link,
        )
    ]


def _headers(part: Message) -> Message:
    """The fields that stand in a part as text."""
    payload = part.get_payload(decode=True)
    text = payload.decode("utf-8", "replace") if isinstance(payload, bytes) else str(part.get_payload())
    return HeaderParser(policy=compat32).parsestr(text)


def _addresses(fields: Message, name: str) -> tuple[str, ...]:
    values = [str(value) for value in fields.get_all(name, [])]
    return tuple(address.strip("<>") for _, address in getaddresses(values) if "@" in address)


def _addressed(block: Message, name: str) -> tuple[str, ...]:
    """`rfc822; anna@example.com`: RFC 3464 writes the kind of an address before it."""
    address = str(block.get(name, "")).rpartition(";")[2].strip().strip("<>")
    return (address,) if "@" in address else ()


def _decoded(headers: Message, name: str) -> str:
    try:
        return str(make_header(decode_header(str(headers.get(name, ""))))).strip()
    except (ValueError, LookupError):
        return ""


def _moment(fields: object, name: str) -> datetime | None:
    value = fields.get(name) if isinstance(fields, Message) else None
    try:
        at = parsedate_to_datetime(str(value)) if value else None
    except ValueError:
        return None
    if at is None:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)


def _text_of(parts: list[Message]) -> str:
    for part in parts:
        if part.get_content_type() == "text/plain":
            payload = part.get_payload(decode=True)
            return payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""
    return ""
