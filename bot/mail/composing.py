"""Messages: compiled once, filled in for each recipient in microseconds.

`compile_message` reads an .eml or templates, checks everything that can be checked without a recipient, and
cuts the whole MIME message into segments. `render` only joins them: no EmailMessage is built for a recipient.

Set by us in every message: Date, From, To, Subject, Message-ID, MIME-Version, List-Unsubscribe and
List-Unsubscribe-Post where a link or address is given, and X-Holdfast-Campaign, the campaign's name, by which
a server's log can be matched to a campaign. An .eml keeps its other headers, except those that belong to the
copy it was saved from (Received, DKIM-Signature, ...) and To, Cc, Bcc.
"""

import hashlib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal

from bot.errors import BadInputError
from bot.mail.addresses import needs_smtputf8, shown
from bot.mail.composing_bodies import Body, EightBitBody
from bot.mail.composing_encoding import (
    BREAKS_HEADER,
    CRLF,
    dot_stuff,
    header_date,
    header_text,
    mailbox,
    one_newline,
)
from bot.mail.composing_parts import Draft, draft_from_eml, draft_from_templates, text_parts
from bot.mail.composing_segments import Compiler
from bot.mail.dkim import Signer, body_hash, relaxed_lines
from bot.mail.dkim_keys import keys_for
from bot.mail.templates import compile_template, escape

if TYPE_CHECKING:
    from bot.mail.dkim_key import SigningKey

__all__ = [
    "CompiledMessage",
    "Preview",
    "Source",
    "compile_message",
    "dot_stuff",
    "message_ids",
    "needs_smtputf8",
    "notice_source",
    "stable_message_id",
]

Unsubscribe = Literal["none", "mailto", "link"]

BUILT_IN_FIELDS: Final = frozenset({"email", "unsubscribe_url"})
MOST_SUBJECT_CHARS: Final = 1_000
_GMAIL_CLIPS_AT: Final = 102_000  # octets of HTML, after which Gmail hides the rest
_HEAVY: Final = 10_000_000

_is_envelope: Final = re.compile(r"[^\s<>,;:\"\\()\[\]\x00-\x20\x7f@]++@[A-Za-z0-9.-]++").fullmatch
_are_ways: Final = re.compile(r"[!-;=?-~]{1,900}+").fullmatch  # without brackets, and short enough for a line


@dataclass(frozen=True, slots=True)
class Source:
    """What a message is made from: an .eml's octets, or templates.

    With `eml`, `sender` and `reply_to` replace its own when given, and the other fields stay empty. Without,
    `sender`, `subject` and one of `html`, `mjml`, `text` are needed. `sender` and `reply_to` are written as in a
    header: `Anna <anna@example.com>`.
    """

    eml: bytes | None = None
    subject: str = ""
    html: str | None = None
    text: str | None = None
    sender: str = ""
    reply_to: str = ""
    mjml: str | None = None

    def as_html(self) -> "Source":
        """The same with its MJML made into HTML. Raises BadInputError."""
        if self.mjml is None:
            return self
        from bot.mail.composing_mjml import html_of_mjml  # noqa: PLC0415  # a large library, which no sender needs

        return replace(self, html=html_of_mjml(self.mjml), mjml=None)


@dataclass(frozen=True, slots=True)
class Preview:
    """What one recipient would read."""

    subject: str
    text: str | None
    html: str | None


def notice_source(subject: str, text: str, sender: str, reply_to: str = "") -> Source:
    """A source that says exactly this text, as text and as simple HTML; nothing in it is a template."""
    paragraphs = [
        "<p>" + "<br>\n".join(escape(line) for line in paragraph.split("\n")) + "</p>"
        for paragraph in re.split(r"\n{2,}", one_newline(text).strip())
    ]
    html = '<!doctype html>\n<html><head><meta charset="utf-8"></head><body>\n' + "\n".join(paragraphs)
    return Source(
        subject=_verbatim(subject),
        html=_verbatim(html + "\n</body></html>\n"),
        text=_verbatim(one_newline(text).strip() + "\n"),
        sender=sender,
        reply_to=reply_to,
    )


def _verbatim(text: str) -> str:
    return re.sub(r"\{(?=[{%#])", "{{ '{' }}", text)


def stable_message_id(message_key: bytes, email: str, domain: str) -> str:
    """The Message-ID of a message for one recipient: always the same, so that a resend is seen as the same.

    `message_key` is secret to the message (16 to 64 octets), `email` normalised, `domain` ours in ASCII.
    """
    return message_ids(message_key, domain)(email)


def message_ids(message_key: bytes, domain: str) -> Callable[[str], str]:
    """`stable_message_id` for all recipients of a message: from an address to its Message-ID."""
    # A keyed BLAKE2 costs a twentieth of an HMAC, which OpenSSL sets up anew for every message.
    keyed, end = hashlib.blake2b(key=message_key, digest_size=20), f"@{domain}>"

    def message_id(email: str) -> str:
        digest = keyed.copy()
        digest.update(email.encode())
        return "<" + digest.hexdigest() + end

    return message_id


def compile_message(
    source: Source,
    *,
    fields: Collection[str] | Mapping[str, str] = (),
    campaign: str = "",
    unsubscribe: Unsubscribe = "none",
    keys: "Sequence[SigningKey]" = (),
) -> "CompiledMessage":
    """Compile a message for recipients who have `fields`: their names, or a sample of one recipient's.

    `email` and `unsubscribe_url` are fields of every recipient. With a sample the message is rendered once,
    so that what only fails when filled in fails now. `unsubscribe` says what `render` will be given. Those of the
    `keys` that are for the sender's domain sign each message. Raises BadInputError that names the template, the
    field or the header and what to do.
    """
    declared = {*fields, "email", *(["unsubscribe_url"] if unsubscribe == "link" else [])}
    if source.mjml is not None:
        # First as it was written: the lines of the HTML made from it would say nothing to its author.
        compile_template(source.mjml, where="MJML", html=True, declared=declared)
    if source.eml is not None:
        draft = draft_from_eml(source.eml, source.sender, source.reply_to)
    else:
        html = source.as_html().html
        draft = draft_from_templates(source.subject, html, source.text, source.sender, source.reply_to)
    compiled = CompiledMessage(draft, Compiler(draft, declared), campaign, unsubscribe, keys)
    if isinstance(fields, Mapping):
        compiled.preview("someone@example.com", fields, unsubscribe_url="https://example.com/")
    return compiled


class CompiledMessage:
    """A message that can be rendered for any recipient who has its fields.

    `sender` is the envelope's sender, `fields` all names that it uses, `warnings` sentences for who sends it,
    `size` about how many octets one copy has.
    """

    def __init__(
        self,
        draft: Draft,
        parts: Compiler,
        campaign: str,
        unsubscribe: Unsubscribe,
        keys: "Sequence[SigningKey]",
    ) -> None:
        self.sender: Final = draft.sender
        self._subject = parts.subject
        self._templates = [(template.html, template) for template in parts.templates.values()]
        self._body = Body(parts, parts.pieces)
        self._wire_body = Body(parts, parts.pieces, dot_stuff)
        self._own_unsubscribe = draft.list_unsubscribe.decode()
        self._date: datetime | None = None
        self._date_header = ""
        label = header_text(" ".join(campaign.split()), len("X-Holdfast-Campaign: ")) if campaign else b""
        campaign_line = b"X-Holdfast-Campaign: " + label + CRLF if label else b""
        self._from = draft.from_header.decode()
        self._rest = campaign_line + draft.head + b"MIME-Version: 1.0\r\n"
        self._signed = self._signing(keys, parts) if keys else None
        # A signature would not survive a server on the way that has to encode the text (RFC 6376 section 5.3).
        eight_bit = parts.in_eight_bits(draft) if self._signed is None else None
        self._eight_bit = [EightBitBody(eight_bit, stuffed=stuffed) for stuffed in (False, True)] if eight_bit else None
        used = [self._subject, *(template for _, template in self._templates)]
        self.fields: Final = frozenset().union(*(template.fields for template in used))
        self._same_subject = self._subject_line({}) if not self._subject.fields else None
        self._uses_built_in = not self.fields.isdisjoint(BUILT_IN_FIELDS)
        self.size: Final = parts.size
        self.warnings: Final = (*draft.warnings, *self._worries(draft, unsubscribe))

    def _signing(self, keys: "Sequence[SigningKey]", parts: Compiler) -> "_Signed | None":
        fitting = keys_for(keys, self.sender.rpartition("@")[2])
        return _Signed(fitting, self._rest, parts) if fitting else None

    @property
    def is_signed_slowly(self) -> bool:
        """Whether it is signed by RSA, which takes ten times what all else of a message does."""
        return self._signed is not None and self._signed.is_slow

    def _worries(self, draft: Draft, unsubscribe: Unsubscribe) -> list[str]:
        worries = []
        if unsubscribe == "none" and not draft.list_unsubscribe:
            worries.append("Nobody can unsubscribe from it: there is no link and no address for that.")
        elif unsubscribe == "link" and "unsubscribe_url" not in self.fields:
            worries.append("No {{ unsubscribe_url }} in its text: only mail programs will show how to unsubscribe.")
        if not draft.subject:
            worries.append("The subject is empty.")
        if any(
            part.html and len(part.text.encode("utf-8", "replace")) > _GMAIL_CLIPS_AT for part in text_parts(draft.root)
        ):
            worries.append("The HTML is larger than 102 KB: Gmail hides what comes after that.")
        if self.size > _HEAVY:
            worries.append(f"One copy has about {self.size // 1_000_000} MB. Many servers refuse that.")
        if needs_smtputf8(self.sender):
            worries.append("The sender's address is not ASCII: only servers with SMTPUTF8 take the message.")
        return worries

    def render(
        self,
        recipient: str,
        fields: Mapping[str, str],
        *,
        message_id: str,
        date: datetime,
        name: str = "",
        unsubscribe_url: str | None = None,
        unsubscribe_mailto: str | None = None,
        wire: bool = False,
        eight_bit: bool = False,
    ) -> bytes:
        """The message for one recipient, signed where there is a key: CRLF, ASCII (but for an SMTPUTF8 address in To).

        With `eight_bit` its text may hold UTF-8 as it is, in lines of at most 998 octets: where that saves something
        and nothing that this recipient's fields hold stands against it.

        With `wire` it is dot-stuffed, as `dot_stuff` would do it but for next to nothing: what all recipients
        share was stuffed when it was compiled, and every hole begins a line.

        `recipient` is a normalised address, `message_id` from `stable_message_id`, `date` aware;
        `unsubscribe_url` an https link of this recipient's own, taken as one-click (RFC 8058), and
        `unsubscribe_mailto` an address. BadInputError when this recipient cannot be written to: a field is
        missing, or one that lands in a header holds a line break. The others are not concerned.
        """
        if _is_envelope(recipient) is None:
            raise BadInputError(f'The address "{shown(recipient)}" cannot stand in a header. Correct it.')
        values = self._values(recipient, fields, unsubscribe_url) if self._uses_built_in else fields
        pieces = self._eight_bit[wire].try_fill(values) if eight_bit and self._eight_bit is not None else None
        if pieces is None:
            pieces = (self._wire_body if wire else self._body).fill(values)
        if date is not self._date:
            self._date, self._date_header = date, header_date(date)
        to = mailbox(name, recipient).decode() if name else recipient
        subject = self._same_subject or self._subject_line(values)
        head = (
            f"Date: {self._date_header}\r\nFrom: {self._from}\r\nTo: {to}\r\nSubject: {subject}\r\n"
            f"Message-ID: {message_id}\r\n{self._unsubscribe(unsubscribe_url, unsubscribe_mailto)}"
        ).encode()
        signatures = self._signed.sign(head, values, date) if self._signed is not None else b""
        return b"".join((signatures, head, self._rest, *pieces))

    def preview(self, recipient: str, fields: Mapping[str, str], *, unsubscribe_url: str | None = None) -> Preview:
        """What this recipient would read; raises as `render` does."""
        values = self._values(recipient, fields, unsubscribe_url)
        self._subject_line(values)
        shown_parts: dict[bool, str] = {}
        for html, template in self._templates:
            shown_parts.setdefault(html, template.render(values))
        return Preview(self._subject.render(values), shown_parts.get(False), shown_parts.get(True))

    def _values(self, recipient: str, fields: Mapping[str, str], unsubscribe_url: str | None) -> Mapping[str, str]:
        if not unsubscribe_url:
            return {**fields, "email": recipient}
        return {**fields, "email": recipient, "unsubscribe_url": unsubscribe_url}

    def _subject_line(self, values: Mapping[str, str]) -> str:
        subject = self._subject.render(values)
        if not subject.isprintable() and BREAKS_HEADER.search(subject):
            raise self._forged(values)
        if len(subject) > MOST_SUBJECT_CHARS:
            raise BadInputError(
                f"The subject has {len(subject):,} characters for this recipient; {MOST_SUBJECT_CHARS:,} are possible."
            )
        return header_text(subject, len("Subject: ")).decode()

    def _forged(self, values: Mapping[str, str]) -> BadInputError:
        guilty = [field for field in sorted(self._subject.fields) if BREAKS_HEADER.search(values.get(field, ""))]
        which = f'The field "{shown(guilty[0])}"' if guilty else "The subject"
        return BadInputError(
            f"{which} holds a line break or NUL, which in the subject would forge a header. "
            "Correct this recipient's row, or take the field out of the subject."
        )

    def _unsubscribe(self, url: str | None, mailto: str | None) -> str:
        if not url and not mailto:
            return self._own_unsubscribe
        ways = f"<{url}>,\r\n <mailto:{mailto}>" if url and mailto else f"<{url or 'mailto:' + str(mailto)}>"
        if _are_ways(f"{url}{mailto}") is None:
            raise BadInputError(f"The unsubscribe link {shown(ways)} cannot stand in a header. Correct it.")
        if url and url.startswith("https://"):
            return f"List-Unsubscribe: {ways}\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
        return f"List-Unsubscribe: {ways}\r\n"


class _Signed:
    """A message that Holdfast signs: its body once more, in the form that DKIM hashes."""

    def __init__(self, keys: "Sequence[SigningKey]", head: bytes, parts: Compiler) -> None:
        own_head, _, first = parts.pieces[0].partition(CRLF + CRLF)
        self._signer = Signer(keys, head + own_head + CRLF)
        self._body = Body(parts, [first, *parts.pieces[1:]], relaxed_lines, bare=False)
        self._hash = body_hash(self._body.fill({})) if self._body.fixed else None

    @property
    def is_slow(self) -> bool:
        return self._signer.is_slow

    def sign(self, head: bytes, values: Mapping[str, str], at: datetime) -> bytes:
        return self._signer.sign(head, self._hash or body_hash(self._body.fill(values)), at)
