"""What a message is made of, before it is compiled: a tree of parts, read from an .eml or built from templates."""

import email.policy
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from typing import Final

from bot.errors import BadInputError
from bot.mail.addresses import normalise_address, shown
from bot.mail.composing_encoding import (
    BREAKS_HEADER,
    CRLF,
    LONGEST_LINE,
    base64_lines,
    mailbox,
    one_newline,
)
from bot.mail.templates import is_template, mask_tags

MOST_SOURCE_OCTETS: Final = 30_000_000
_MOST_PARTS: Final = 200
_MOST_NESTED: Final = 20


@dataclass(frozen=True, slots=True)
class TextPart:
    """A text that may hold fields. `headers` are its lines without charset and transfer encoding."""

    text: str
    html: bool
    params: bytes = b""
    headers: bytes = b""


@dataclass(frozen=True, slots=True)
class FixedPart:
    """An attachment or image: headers, an empty line and the encoded body, the same for everyone."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class Multipart:
    kind: str
    parts: tuple["Part", ...]
    params: bytes = b""


Part = TextPart | FixedPart | Multipart


@dataclass(slots=True)
class Draft:
    """A message ready to be compiled: who it is from, what it says, what else its head keeps."""

    sender: str
    from_header: bytes
    subject: str
    root: Part
    head: bytes = b""
    list_unsubscribe: bytes = b""
    warnings: list[str] = field(default_factory=list)


# Written anew for each recipient, or true only of the copy that the .eml was saved from.
_DROPPED: Final = frozenset(
    {"from", "subject", "date", "message-id", "mime-version", "to", "cc", "bcc", "received", "return-path"}
    | {"delivered-to", "envelope-to", "x-original-to", "x-received", "received-spf", "references", "in-reply-to"}
    | {"authentication-results", "dkim-signature", "domainkey-signature", "x-google-dkim-signature", "lines"}
    | {"status", "x-status", "x-uid", "x-uidl", "x-keywords", "x-holdfast-campaign", "reply-to", "errors-to"}
    | {"list-unsubscribe", "list-unsubscribe-post", "apparently-to", "sender", "return-receipt-to"}
)
_DROPPED_FAMILIES: Final = ("content-", "resent-", "arc-", "x-mozilla-", "x-gm-", "x-spam-", "x-ms-exchange-")
_HEADER_NAME: Final = re.compile(r"[!-9;-~]{1,76}")
_SOUND_LINE: Final = re.compile(r"[\t -~]{0,900}")
_SOUND_CONTINUATION: Final = re.compile(r"[ \t]+[!-~][\t -~]{0,900}")
_LONG_LINE: Final = re.compile(rb"[^\r\n]{%d}" % (LONGEST_LINE + 1))


def parse_sender(text: str, what: str) -> list[tuple[str, str]]:
    """The (name, normalised address) pairs of an address header; BadInputError names `what` is wrong."""
    if BREAKS_HEADER.search(text):
        raise BadInputError(f"The {what} address holds a line break. Write it on one line and try again.")
    if "{{" in text:
        raise BadInputError(
            f"The {what} address holds a field. Fields can be used in the subject, the text and the HTML only."
        )
    header = email.policy.default.header_factory("From", text)
    try:
        found = [(mail.display_name, normalise_address(mail.addr_spec)) for mail in header.addresses]
    except BadInputError as error:
        raise BadInputError(f"The {what} address cannot be used. {error}") from error
    if not found:
        raise BadInputError(f'The {what} address "{shown(text)}" cannot be read. Write it as Name <name@domain>.')
    return found


def draft_from_templates(subject: str, html: str | None, text: str | None, sender: str, reply_to: str) -> Draft:
    """A draft of a text, an HTML or both; the text is made from the HTML when there is none."""
    if not (html and html.strip()) and not (text and text.strip()):
        raise BadInputError("The message is empty: it has neither a text nor an HTML. Add one and try again.")
    draft = _headed(sender, reply_to, subject)
    parts: list[Part] = []
    if text and text.strip():
        parts.append(TextPart(one_newline(text), html=False))
    if html and html.strip():
        parts.append(TextPart(one_newline(html), html=True))
    draft.root = parts[0] if len(parts) == 1 else Multipart("alternative", tuple(parts))
    _add_text(draft)
    return draft


def draft_from_eml(raw: bytes, sender: str, reply_to: str) -> Draft:
    """A draft from an .eml's octets. `sender` and `reply_to`, when not empty, replace the .eml's own."""
    if len(raw) > MOST_SOURCE_OCTETS:
        raise BadInputError(f"The message is larger than {MOST_SOURCE_OCTETS // 1_000_000} MB. Make it smaller.")
    try:
        return _read_eml(raw, sender, reply_to)
    except (AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        # The standard library's parser raises these on malformed headers.
        raise BadInputError(
            f"The message cannot be read: {shown(str(error), 120).rstrip('.')}. Save it again as .eml and try again."
        ) from error


def _read_eml(raw: bytes, sender: str, reply_to: str) -> Draft:
    message = message_from_bytes(raw, _class=EmailMessage, policy=email.policy.default)
    if not any(message.get(name) for name in ("From", "Subject", "Content-Type", "MIME-Version")):
        raise BadInputError(
            "The file is not an email message: it has no From, Subject or Content-Type header. "
            "Save the message from your mail program as .eml and try again."
        )
    draft = _headed(
        sender or str(message.get("From", "")),
        reply_to or str(message.get("Reply-To", "")),
        str(message.get("Subject", "")),
    )
    draft.root = _part(message, depth=0)
    if not any(True for _ in text_parts(draft.root)):
        raise BadInputError("The message has no text and no HTML part, so there is nothing to read. Add one.")
    for name, value in message.raw_items():
        _keep_header(draft, name, value)
    _warn_about(draft, message)
    _add_text(draft)
    return draft


def text_parts(part: Part) -> Iterator[TextPart]:
    """Every text that may hold fields, in order."""
    if isinstance(part, TextPart):
        yield part
    elif isinstance(part, Multipart):
        for child in part.parts:
            yield from text_parts(child)


def _headed(sender: str, reply_to: str, subject: str) -> Draft:
    if not sender.strip():
        raise BadInputError("The message says nobody it is from. Give a From address and try again.")
    senders = parse_sender(sender, "From")
    if len(senders) > 1:
        raise BadInputError("The message is from several addresses. Leave one in From and try again.")
    name, address = senders[0]
    draft = Draft(address, mailbox(name, address), " ".join(one_newline(subject).split("\n")).strip(), FixedPart(b""))
    if reply_to.strip():
        answers = [mailbox(*pair) for pair in parse_sender(reply_to, "Reply-To")]
        draft.head = b"Reply-To: " + b",\r\n ".join(answers) + CRLF
    return draft


def _keep_header(draft: Draft, name: str, raw: str) -> None:
    lowered = name.lower()
    if lowered == "list-unsubscribe":
        draft.list_unsubscribe = _header_line(name, raw) + draft.list_unsubscribe
    elif lowered == "list-unsubscribe-post":
        draft.list_unsubscribe += _header_line(name, raw)
    elif lowered not in _DROPPED and not lowered.startswith(_DROPPED_FAMILIES) and _HEADER_NAME.fullmatch(name):
        draft.head += _header_line(name, raw)


def _warn_about(draft: Draft, message: EmailMessage) -> None:
    for name in ("Cc", "Bcc"):
        if message.get(name):
            draft.warnings.append(f"{name} is left out: each message goes to its one recipient only.")
    if message.get("DKIM-Signature"):
        draft.warnings.append("The DKIM signature is left out, since the message changes. The server signs it.")
    if draft.list_unsubscribe:
        draft.warnings.append(
            "List-Unsubscribe of the file is the same for everyone. It is used only where Holdfast has no link."
        )


def _header_line(name: str, raw: str) -> bytes:
    """A header as it was written, when that is sound; otherwise as the standard library encodes it."""
    first, *more = re.split(r"\r\n|\r|\n", raw)
    if _SOUND_LINE.fullmatch(first) and all(_SOUND_CONTINUATION.fullmatch(line) for line in more):
        return f"{name}: ".encode() + "\r\n".join([first.strip(), *more]).encode() + CRLF
    folded: str = email.policy.SMTP.fold(name, email.policy.default.header_fetch_parse(name, raw))
    return folded.encode()


def _part(message: EmailMessage, depth: int) -> Part:
    if depth > _MOST_NESTED:
        raise BadInputError(f"The message has parts nested more than {_MOST_NESTED} deep. Make it simpler.")
    kind = message.get_content_type()
    if kind in {"multipart/signed", "multipart/encrypted"} or kind.startswith("application/pkcs7-mime"):
        raise BadInputError(
            "The message is signed or encrypted (S/MIME or PGP), so it cannot be written anew for each recipient. "
            "Save it without and try again."
        )
    if message.get_content_maintype() == "multipart":
        if not message.is_multipart():
            raise BadInputError("The message is cut short: its parts are missing. Save it again as .eml.")
        children = [_part(child, depth + 1) for child in message.iter_parts() if isinstance(child, EmailMessage)]
        if not children or len(children) > _MOST_PARTS:
            raise BadInputError(f"A message's multipart has {len(children)} parts; 1 to {_MOST_PARTS} are possible.")
        params = b'; type="text/html"' if kind == "multipart/related" else b""
        return Multipart(message.get_content_subtype(), tuple(children), params)
    attached = message.get_content_disposition() == "attachment" or message.get_filename()
    if kind in {"text/plain", "text/html"} and not attached:
        return _text_part(message)
    return FixedPart(_fixed(message))


def _text_part(message: EmailMessage) -> TextPart:
    params = b""
    for name in ("format", "delsp"):
        value = message.get_param(name)
        if isinstance(value, str) and value.isalnum():
            params += f"; {name}={value}".encode()
    kept = {"content-id", "content-language", "content-location"}
    headers = b"".join(_header_line(name, raw) for name, raw in message.raw_items() if name.lower() in kept)
    html = message.get_content_subtype() == "html"
    return TextPart(one_newline(_decoded(message)), html=html, params=params, headers=headers)


def _decoded(message: EmailMessage) -> str:
    octets = message.get_payload(decode=True)
    if not isinstance(octets, bytes):
        raise BadInputError("A text part of the message cannot be decoded. Save the message again as .eml.")
    charset = message.get_content_charset("utf-8")
    try:
        # ASCII is what a program says that did not think about it; UTF-8 is the same and more.
        return octets.decode("utf-8" if charset in {"us-ascii", "ascii"} else charset)
    except (UnicodeDecodeError, LookupError) as error:
        raise BadInputError(
            f'A text part of the message says that its characters are "{shown(charset)}", but they are not. '
            "Save the message in UTF-8 and try again."
        ) from error


def _fixed(message: EmailMessage) -> bytes:
    """A part that holds no fields, whole."""
    described = {name.lower(): (name, raw) for name, raw in message.raw_items() if _describes(name)}
    head = b"".join(_header_line(name, raw) for name, raw in described.values())
    if message.get_content_maintype() == "message":
        body = b"".join(
            inner.as_bytes(policy=email.policy.SMTP.clone(cte_type="7bit", max_line_length=LONGEST_LINE))
            for inner in message.iter_parts()
        )
        if _LONG_LINE.search(body) or not body.isascii():
            raise BadInputError("An attached message has lines that are too long. Attach it as a file instead.")
        return head + CRLF + body.rstrip(CRLF)
    payload = message.get_payload(decode=True)
    octets = payload if isinstance(payload, bytes) else b""
    return head + b"Content-Transfer-Encoding: base64\r\n\r\n" + base64_lines(octets)


def _describes(name: str) -> bool:
    lowered = name.lower()
    return lowered.startswith("content-") and lowered not in {"content-transfer-encoding", "content-length"}


def _add_text(draft: Draft) -> None:
    """Give an HTML-only message the text that spam filters and text readers look for."""
    texts = list(text_parts(draft.root))
    if any(not part.html for part in texts):
        return
    html = next(part for part in texts if part.html)
    text = _text_of(html.text)
    if text is None:
        draft.warnings.append("The message has no text part and none could be made from its HTML. Add one.")
        return
    draft.warnings.append("The text part was made from the HTML. Look at it in the preview.")
    draft.root = _with_text(draft.root, html, TextPart(text, html=False))


def _with_text(part: Part, html: TextPart, text: TextPart) -> Part:
    """The tree with an alternative round the HTML, or round the related parts that the HTML leads."""
    if part is html or (isinstance(part, Multipart) and part.kind == "related" and part.parts[0] is html):
        return Multipart("alternative", (text, part))
    if isinstance(part, Multipart):
        return Multipart(part.kind, tuple(_with_text(child, html, text) for child in part.parts), part.params)
    return part


def _text_of(html: str) -> str | None:
    """The HTML as text with the same fields; None when nothing is left or a tag lost its other half."""
    masked, tags = mask_tags(html)
    # Loaded here, as it is slow to load and few campaigns need it; inscriptis ships no types.
    from inscriptis import get_text  # type: ignore[import-untyped]  # noqa: PLC0415
    from inscriptis.model.config import ParserConfig  # type: ignore[import-untyped]  # noqa: PLC0415

    text = str(get_text(masked, ParserConfig(display_links=True))).strip()
    for token, tag in tags.items():
        text = text.replace(token, tag)
    return text + "\n" if text and is_template(text) else None
