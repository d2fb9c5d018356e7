"""What is shown of unknown deliveries, and what counting them as delivered did."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from storage.reports import Unknown

PAGE = 10
"""Rows of a page; each has a button of its own."""


@dataclass(frozen=True)
class UnknownRow:
    """One of them, with the beginning of its Message-ID, to look for in a server's log."""

    delivery: Unknown
    token: str


@dataclass(frozen=True)
class UnknownList:
    """A page of them. `word` is what a command calls them by, as a campaign's name; empty for all there are."""

    word: str
    rows: Sequence[UnknownRow]
    counts: Mapping[str, int]
    """Campaign -> how many, over all pages."""
    page: int
    may_decide: bool
    """Who looks has the role to count them as delivered."""
    at: datetime

    @property
    def total(self) -> int:
        return sum(self.counts.values())


@dataclass(frozen=True)
class Counted:
    """What was counted as delivered, in a sentence with how to undo it."""

    text: str
    undo: int
