"""What the services say of a maintenance window: plain data that the views turn into messages."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from bot.services.when import lasting
from bot.services.words import joined, number
from storage.models import Maintenance, MaintenanceState

_MOST_NAMES = 8


@dataclass(frozen=True)
class Collision:
    """A campaign that the window would hold, or keep from being started."""

    name: str
    state: str
    to_go: int


@dataclass(frozen=True)
class MaintenanceStatus:
    """Everything that a window's proposal and its card show."""

    window: Maintenance
    server: str
    collisions: tuple[Collision, ...]
    """The campaigns that are sending or scheduled through the server; empty once the window has begun."""
    held: tuple[str, ...]
    """What it holds now."""
    outcome: str | None
    """What its end brought, in a sentence; None before."""
    at: datetime

    @property
    def length(self) -> timedelta:
        return self.window.ends_at - self.window.starts_at

    @property
    def local(self) -> str:
        """Start and end on the clocks of the zone in which they were meant."""
        zone = ZoneInfo(self.window.zone)
        start, end = self.window.starts_at.astimezone(zone), self.window.ends_at.astimezone(zone)
        return _span(start, end)

    @property
    def utc(self) -> str:
        return _span(self.window.starts_at, self.window.ends_at)

    @property
    def clock_change(self) -> str | None:
        """A sentence when the clocks of that zone change in the window."""
        zone = ZoneInfo(self.window.zone)
        before = self.window.starts_at.astimezone(zone).utcoffset() or timedelta()
        after = self.window.ends_at.astimezone(zone).utcoffset() or timedelta()
        if before == after:
            return None
        way = "forward" if after > before else "back"
        return (
            f"The clocks of {self.window.zone} go {way} by {lasting(abs(after - before))} in between; "
            f"it lasts {lasting(self.length)} all the same."
        )

    @property
    def ending(self) -> bool:
        """Its time is over and its server is being looked at."""
        return self.window.state == MaintenanceState.ACTIVE and self.window.ends_at <= self.at


Proposal = MaintenanceStatus


@dataclass(frozen=True)
class MaintenanceResult:
    """What confirming or cancelling did, in a sentence that says how to undo it."""

    status: MaintenanceStatus
    text: str
    undo: int | None = None
    """The number by which exactly this can be undone."""


def collision_text(collisions: tuple[Collision, ...]) -> str:
    """`spring-sale (sending, 760 to go) and newsletter (scheduled)`; empty when there are none."""
    return joined(
        [
            f"{each.name} ({each.state}{f', {each.to_go:,} to go' if each.state == 'sending' else ''})"
            for each in collisions
        ]
    )


def held_text(names: tuple[str, ...]) -> str:
    """`2 campaigns held: newsletter and spring-sale`."""
    if not names:
        return "no campaign held"
    more = len(names) - _MOST_NAMES
    shown = [*names[:_MOST_NAMES], f"{more:,} more"] if more > 0 else names
    return f"{number(len(names), 'campaign')} held: {joined(shown)}"


def _span(start: datetime, end: datetime) -> str:
    first = f"{start:%a} {start.day} {start:%b %Y %H:%M}"
    return f"{first} to {end:%H:%M}" if start.date() == end.date() else f"{first} to {end:%a} {end.day} {end:%b %H:%M}"
