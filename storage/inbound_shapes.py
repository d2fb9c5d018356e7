"""What storage/inbound.py keeps, as plain data."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request as it came: `key` is the same when Slack delivers it again. `kind` is command or action."""

    key: str
    kind: str
    payload: dict[str, Any]


@dataclass
class Batch:
    """What is written down together: new requests, the keys of those that begin, and of those that are done."""

    arrivals: list[Arrival] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Unfinished:
    """A request that an earlier process took. Begun but not done: it may have been carried out or not."""

    arrival: Arrival
    at: datetime
    begun: bool
