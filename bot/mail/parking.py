"""Rows of a job that wait for their provider, so that they do not hold up those of the others.

The first of each provider are kept whole. Of the rest only numbers are, sixteen octets each, and they are read again
when their turn comes: half of a list of millions may be of one provider.
"""

from array import array
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from bot.mail.pacing import Paces

if TYPE_CHECKING:
    from bot.mail.jobs import Item

WHOLE: Final = 500
"""Rows of a provider that are kept whole."""


class _Row:
    """Of one provider: items to send next, and the numbers of those behind them, from `read` on."""

    __slots__ = ("items", "leases", "numbers", "read", "reading")

    def __init__(self) -> None:
        self.items: deque[Item] = deque()
        self.numbers = array("q")
        self.leases = array("q")
        self.read = 0
        self.reading = False

    def __len__(self) -> int:
        return len(self.items) + len(self.numbers) - self.read


class Parking:
    """See the module."""

    def __init__(self) -> None:
        self._rows: dict[str, _Row] = {}

    def __len__(self) -> int:
        return sum(map(len, self._rows.values()))

    def __bool__(self) -> bool:
        return bool(self._rows)

    def items(self) -> "Iterator[Item]":
        """Those that are kept whole."""
        for row in self._rows.values():
            yield from row.items

    def put(self, provider: str, item: "Item") -> None:
        row = self._rows.get(provider)
        if row is None:
            row = self._rows[provider] = _Row()
        if len(row.items) < WHOLE and len(row.numbers) == row.read:
            row.items.append(item)
        else:
            row.numbers.append(item.row.n)
            row.leases.append(item.range.lease_id)

    def put_first(self, provider: str, item: "Item") -> None:
        self._rows.setdefault(provider, _Row()).items.appendleft(item)

    def take(self, paces: Paces, at: float) -> "Item | None":
        """The next whose provider may be written to now."""
        for provider, row in self._rows.items():
            pace = paces.limited.get(provider)
            if row.items and (pace is None or pace.may_send(at)):
                item = row.items.popleft()
                if not len(row) and not row.reading:
                    del self._rows[provider]
                return item
        return None

    def to_read(self) -> tuple[str, dict[int, int]] | None:
        """A provider whose whole rows run out, with number -> lease of those to read next; `fill` has to follow."""
        for provider, row in self._rows.items():
            if not row.reading and len(row.items) < WHOLE // 2 and row.read < len(row.numbers):
                row.reading = True
                some = slice(row.read, row.read + WHOLE)
                return provider, dict(zip(row.numbers[some], row.leases[some], strict=True))
        return None

    def fill(self, provider: str, asked: int, items: "list[Item]") -> None:
        """What came of reading `asked` rows: fewer items where some are not to be sent any more."""
        row = self._rows[provider]
        row.reading = False
        row.read += asked
        row.items.extend(items)
        if row.read == len(row.numbers):
            row.numbers, row.leases, row.read = array("q"), array("q"), 0
        if not len(row):
            del self._rows[provider]

    def clear(self) -> None:
        self._rows.clear()
