"""What really happened, counted from what the relays took. The ledger is believed in nothing but what it admits."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bot.demo.relays import Received


@dataclass(frozen=True)
class Counts:
    """People, but for `duplicates`, which are messages. `delivered` are those of whom a relay has a message."""

    recipients: int
    delivered: int
    lost: int
    """No relay has a message for them, and the ledger does not list them as unknown."""
    duplicates: int
    unknown: int
    """Listed by name in the ledger: they may have it or not, and were not mailed again."""
    resent: int
    """Messages that came to a relay after the campaign was finished: only the resend sent then."""

    @property
    def good(self) -> bool:
        return not self.lost and not self.duplicates


def count(
    recipients: Sequence[str], received: Iterable[Received], unknown: Iterable[str], before_resend: int
) -> Counts:
    """`before_resend` is how many messages the relays had when the resend began."""
    had = Counter(email for message in received for email in message.recipients)
    admitted = set(unknown)
    wanted = set(recipients)
    return Counts(
        recipients=len(wanted),
        delivered=len(wanted & had.keys()),
        lost=len(wanted - had.keys() - admitted),
        # A message for somebody who is on no list is one too many as well.
        duplicates=sum(number - 1 if email in wanted else number for email, number in had.items()),
        unknown=len(admitted),
        resent=had.total() - before_resend,
    )
