"""Why a probe failed: from what was raised to a reason for rules and a sentence for people."""

import os
import socket
import ssl
from datetime import timedelta
from enum import StrEnum

from bot.monitor.conversation import Answer, ReplyError, printable


class Stage(StrEnum):
    DNS = "dns"
    CONNECT = "connect"
    GREETING = "greeting"
    EHLO = "ehlo"
    STARTTLS = "starttls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    QUIT = "quit"


class Reason(StrEnum):
    """Why a stage failed, for rules that look for the cause."""

    NOT_FOUND = "not_found"
    DNS = "dns"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    RESET = "reset"
    CLOSED = "closed"
    REPLY = "reply"
    MALFORMED = "malformed"
    NOT_OFFERED = "not_offered"
    TLS = "tls"
    CERTIFICATE_EXPIRED = "certificate_expired"
    CERTIFICATE_NAME = "certificate_name"
    CERTIFICATE_SELF_SIGNED = "certificate_self_signed"
    CERTIFICATE_UNTRUSTED = "certificate_untrusted"


class RefusedError(Exception):
    """The server answered, and the answer was no."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.code)
        self.answer = answer

    def __str__(self) -> str:
        return " ".join(filter(None, (str(self.answer.code), self.answer.enhanced, self.answer.text)))


class NotOfferedError(Exception):
    """The message names what is missing from the answer to EHLO."""


_NAMES = {
    stage: stage.value.upper() if stage in {Stage.DNS, Stage.EHLO, Stage.STARTTLS, Stage.AUTH} else stage.value
    for stage in Stage
} | {Stage.MAIL: "MAIL FROM", Stage.RCPT: "RCPT TO"}
_SILENCES = {
    Stage.DNS: "no answer from DNS about",
    Stage.CONNECT: "no connection to",
    Stage.GREETING: "no greeting from",
    Stage.STARTTLS: "no TLS handshake with",
}
_CERTIFICATES = {
    Reason.CERTIFICATE_EXPIRED: "has expired",
    Reason.CERTIFICATE_NAME: "is for another name",
    Reason.CERTIFICATE_SELF_SIGNED: "is self-signed",
    Reason.CERTIFICATE_UNTRUSTED: "is not from a trusted authority, or not valid yet",
}
# X509_V_ERR_* of OpenSSL's x509_vfy.h.
_VERIFY_CODES = {
    10: Reason.CERTIFICATE_EXPIRED,
    18: Reason.CERTIFICATE_SELF_SIGNED,
    19: Reason.CERTIFICATE_SELF_SIGNED,
    62: Reason.CERTIFICATE_NAME,
    64: Reason.CERTIFICATE_NAME,
}
_REASONS: tuple[tuple[type[Exception], Reason], ...] = (
    (RefusedError, Reason.REPLY),
    (NotOfferedError, Reason.NOT_OFFERED),
    (ReplyError, Reason.MALFORMED),
    (UnicodeError, Reason.NOT_FOUND),
    (TimeoutError, Reason.TIMEOUT),
    (ssl.SSLError, Reason.TLS),
    (ConnectionRefusedError, Reason.REFUSED),
    (ConnectionResetError, Reason.RESET),
    (ConnectionError, Reason.CLOSED),
)


def reason_of(error: Exception) -> Reason:
    if isinstance(error, socket.gaierror):
        missing = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
        return Reason.NOT_FOUND if error.errno in missing else Reason.DNS
    if isinstance(error, ssl.SSLCertVerificationError):
        return _VERIFY_CODES.get(error.verify_code, Reason.CERTIFICATE_UNTRUSTED)
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return reason
    return Reason.UNREACHABLE


def _words(error: Exception) -> str:
    """What the system calls it, without addresses and numbers."""
    if isinstance(error, ssl.SSLError):
        return printable((error.reason or str(error)).replace("_", " ").lower())
    if isinstance(error, OSError) and not isinstance(error, socket.gaierror) and error.errno:
        return os.strerror(error.errno).lower()
    return printable(getattr(error, "strerror", None) or str(error)).lower()


def sentence_of(error: Exception, stage: Stage, place: str, limit: timedelta) -> str:
    """What failed at which stage of which server, as a part of a sentence: "connection refused at ..."."""
    at = _NAMES[stage]
    reason = reason_of(error)
    match reason:
        case Reason.TIMEOUT:
            silence = _SILENCES.get(stage, f"no answer to {at} from")
            return f"{silence} {place} within {limit.total_seconds():g} s"
        case Reason.NOT_FOUND:
            return f"the name of {place} does not exist in DNS"
        case Reason.DNS:
            return f"DNS gave no address for {place}: {_words(error)}"
        case Reason.REFUSED | Reason.UNREACHABLE:
            what = "connection refused" if reason is Reason.REFUSED else _words(error)
            return f"{what} at {at} to {place}"
        case Reason.RESET | Reason.CLOSED:
            return f"{place} {'reset' if reason is Reason.RESET else 'closed'} the connection at {at}"
        case Reason.NOT_OFFERED:
            return f"{error} not offered by {place}"
        case Reason.REPLY | Reason.MALFORMED:
            return f"{error} at {at} from {place}"
        case Reason.TLS:
            return f"TLS handshake with {place} failed: {_words(error)}"
        case _:
            return f"certificate of {place} {_CERTIFICATES[reason]}"
