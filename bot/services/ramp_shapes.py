"""What the services say of a ramp: plain data that the views turn into messages."""

from dataclasses import dataclass
from datetime import datetime

from bot.config import RampSettings
from bot.services.ramping import Seen, Standing
from bot.services.words import moment
from storage.models import Campaign, Ramp


@dataclass(frozen=True)
class RampStatus:
    """Where a send is among its stages; `stage` counts from 1, 0: it has not begun."""

    id: int
    stages: tuple[int, ...]
    stage: int
    allowed: int
    """Messages that may go now, with those that are out."""
    total: int
    due_at: datetime | None
    """When the next stage begins; None: this one is not out yet, or is the last."""
    has_more: bool
    """Another stage follows that lets more out."""
    limit: float
    """Per cent of hard bounces above which it stops."""

    @property
    def percent(self) -> int:
        return self.stages[self.stage - 1] if self.stage else 0

    def line(self, at: datetime) -> str:
        """`stage 2 of 4: 5 % · 50,000 of 1,000,000 may go · next stage 12:40, if at most 5 % bounce`."""
        if not self.stage:
            return f"in {len(self.stages)} stages: {plain(self.stages)}"
        line = f"stage {self.stage} of {len(self.stages)}: {self.percent} % · {self.allowed:,} of {self.total:,} may go"
        if not self.has_more:
            return f"{line} · it is the last"
        when = moment(self.due_at, at) if self.due_at else "when they are out"
        return f"{line} · next stage {when}, if at most {self.limit:g} % bounce"

    def brief(self, at: datetime, *, stands: bool = False) -> str:
        """`ramp: 5 % of 1, 5, 25, 100 %; goes on at 12:40`. `stands`: it is paused, so that no stage is due."""
        if not self.stage:
            return f"ramp: {plain(self.stages)}"
        where = f"ramp: {self.percent} % of {plain(self.stages)}"
        if stands:
            return where
        if not self.has_more:
            return f"{where}; it is the last stage"
        return f"{where}; goes on {f'at {moment(self.due_at, at)}' if self.due_at else 'when this stage is out'}"


@dataclass(frozen=True)
class RampCard:
    """The message about the ramp of a campaign."""

    campaign: Campaign
    ramp: RampStatus
    seen: Seen
    hold: str
    """A phrase that says by whom or what it is held; empty when it is not."""
    at: datetime


def plain(stages: tuple[int, ...]) -> str:
    """`1, 5, 25, 100 %`."""
    return f"{', '.join(str(each) for each in stages)} %"


def status_of(ramp: Ramp | None, limits: RampSettings) -> RampStatus | None:
    """None where there is no ramp."""
    if ramp is None or len(ramp.stages) < 2:
        return None
    standing = Standing(ramp.stages, ramp.stage, ramp.due_at, ramp.sizes, is_out=False)
    return RampStatus(
        id=ramp.id,
        stages=tuple(ramp.stages),
        stage=ramp.stage + 1,
        allowed=ramp.sizes[ramp.stage] if ramp.stage >= 0 else 0,
        total=ramp.sizes[-1],
        due_at=ramp.due_at,
        has_more=standing.following is not None,
        limit=limits.hard_bounces,
    )
