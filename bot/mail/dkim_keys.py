"""The keys that sign mail by DKIM: read from the settings, told in sentences, published in DNS.

Off unless a key is set: where the mail server signs, that is the better place. A key belongs to a domain, not to a
server, since a receiver compares it with the From address (DMARC), whichever server carried the message.
Sources: RFC 6376, RFC 8301 (sizes), RFC 8463 (Ed25519).
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from bot.config import Settings
from bot.errors import BadInputError
from bot.mail.composing_parts import parse_sender

if TYPE_CHECKING:
    from bot.mail.dkim_key import SigningKey

log = structlog.get_logger()


def read_keys(settings: Settings) -> "list[SigningKey]":
    """All keys of the settings. Raises SettingsError, which names the key, when one cannot be used."""
    if not settings.dkim:
        return []
    from bot.mail.dkim_key import read_key  # noqa: PLC0415  # a large library, which most senders do without

    return [read_key(name, given) for name, given in settings.dkim.items()]


def check_keys(settings: Settings) -> None:
    """At a start: raises SettingsError for a key that cannot be used; what is only doubtful is in the log."""
    for key in read_keys(settings):
        if key.weak:
            log.warning("a DKIM key is shorter than receivers want", selector=key.selector, bits=key.bits)
    with suppress(BadInputError):  # a sender that cannot be read is told when a notice is drafted
        [(_, address), *_] = parse_sender(settings.notices.sender or "", "From")
        if (sentence := unsigned(settings, address.rpartition("@")[2])) is not None:
            log.warning("notices are not signed", reason=sentence)


def keys_for(keys: "Sequence[SigningKey]", domain: str) -> "list[SigningKey]":
    """The keys that sign mail from a domain: those of the domain itself, or of the nearest above it."""
    nearest = nearest_domain([key.domain for key in keys], domain)
    return [key for key in keys if key.domain == nearest]


def nearest_domain(domains: Iterable[str], domain: str) -> str | None:
    """Which of the domains stands for a From address at `domain`, so that the two are aligned (RFC 7489, relaxed)."""
    above = [each for each in domains if domain == each or domain.endswith(f".{each}")]
    return max(above, key=len, default=None)


def unsigned(settings: Settings, domain: str) -> str | None:
    """What to say where there are keys, and none for mail from this domain."""
    domains = sorted({given.domain for given in settings.dkim.values()})
    if not domains or nearest_domain(domains, domain) is not None:
        return None
    return (
        f"Mail from {domain} is not signed by Holdfast: its DKIM keys are for {', '.join(domains)}. "
        f"Let the server sign it, or add a key for {domain} under [dkim]."
    )
