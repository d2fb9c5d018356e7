"""What the campaigns service gives back, and the sentences that go with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bot.errors import WrongStateError
from bot.services.provider_paces import SlowedProvider
from bot.services.ramp_shapes import RampStatus, plain
from bot.services.undo_notes import words
from bot.services.words import few, moment, number
from storage.models import Approval, Campaign, CampaignState, DeliveryStatus, Hold, Server

# Which verbs each state allows. What is not allowed has its sentence in `check`.
ALLOWED: dict[str, frozenset[str]] = {
    CampaignState.SCHEDULED: frozenset({"start", "cancel"}),
    CampaignState.SENDING: frozenset({"pause", "cancel"}),
    CampaignState.PAUSING: frozenset({"pause", "resume", "cancel"}),
    CampaignState.PAUSED: frozenset({"pause", "resume", "cancel"}),
    CampaignState.FINISHED: frozenset(),
    CampaignState.CANCELLED: frozenset(),
}


@dataclass(frozen=True)
class CampaignRow:
    """One line of `/campaign list`. `carrier` is the server that its mail goes through now."""

    name: str
    state: str
    hold: str | None
    server: str
    carrier: str
    recipients: int
    counts: dict[str, int]
    pool: str | None = None
    """The pool whose servers share it."""


@dataclass(frozen=True)
class CampaignStatus:
    """All that is known of one campaign. `remaining` is an estimate at `rate_per_minute`; None without data."""

    campaign: Campaign
    server: Server
    carrier: Server
    counts: dict[str, int]
    rate_per_minute: float | None
    remaining: timedelta | None
    outage_id: int | None
    hold: str
    """A phrase that says by whom or what it is held, since when and why; empty when it is not."""
    obstacle: str | None
    """A sentence that says why it could not be sent now; None when it could, or has ended."""
    sender_alive: bool
    asked: Approval | None = None
    """What waits for a second person: that it is started, or cancelled."""
    ramp: RampStatus | None = None
    """Where it is among its stages; None where it goes out all at once."""
    at: datetime | None = None
    slowed: Sequence[SlowedProvider] = ()
    """The receiving providers that put off what goes through its server; only while it is being sent."""
    through: str | None = None
    """The servers that carry it now: `relay-a and relay-b (pool marketing)`. None: `carrier` alone."""

    @property
    def to_go(self) -> int:
        return self.counts[DeliveryStatus.QUEUED]


@dataclass(frozen=True)
class Moved:
    """What a verb did to one campaign: its state before and after, and how many recipients are still to go."""

    name: str
    before: str
    after: str
    to_go: int


@dataclass(frozen=True)
class MoveResult:
    """What start, pause and cancel did. `text` says it, with how to undo it."""

    moved: Sequence[Moved]
    text: str
    sender_alive: bool
    undo: int | None = field(default=None, kw_only=True)
    """The number by which exactly this can be undone."""


PauseResult = MoveResult


@dataclass(frozen=True)
class ResumeResult(MoveResult):
    """`refused` are the campaigns that stand still: name -> the sentence that says why."""

    refused: dict[str, str] = field(default_factory=dict)


def check(verb: str, campaign: Campaign, at: datetime) -> None:
    """Raises WrongStateError when the campaign's state does not allow the verb; says who brought it there, and when."""
    who = f" by {campaign.wished_by}" if campaign.wished_by else ""
    when = moment(campaign.wished_at or campaign.state_since, at)
    name, state = campaign.name, campaign.state
    if state == CampaignState.PAUSING and campaign.wish == CampaignState.CANCELLED:
        raise WrongStateError(f"{name} is being cancelled already{who}, at {when}.")
    if verb == "pause" and verb in ALLOWED[state] and campaign.hold == Hold.PERSON:
        raise WrongStateError(f"{name} is paused already{who}, at {when}. Let it go on with /campaign resume {name}")
    if verb in ALLOWED[state]:
        return
    match state:
        case CampaignState.SCHEDULED:
            sentence = f"{name} has not begun, so there is nothing to {verb}. Begin with /campaign start {name}"
        case CampaignState.SENDING:
            sentence = f"{name} is being sent already, as wished{who} at {when}."
        case CampaignState.FINISHED:
            ended = moment(campaign.finished_at or campaign.state_since, at)
            sentence = (
                f"{name} was finished at {ended}, so there is nothing to {verb}. "
                f"What failed is sent again with /resend plan {name}"
            )
        case CampaignState.CANCELLED:
            sentence = f"{name} was cancelled{who} at {when}. To send it after all, import it under another name."
        case _:
            sentence = f"{name} has begun and is paused{who}, since {when}. Let it go on with /campaign resume {name}"
    raise WrongStateError(sentence)


def hold_phrase(campaign: Campaign, at: datetime) -> str:
    """Who or what holds a campaign, since when and why; empty when nothing does."""
    if campaign.state not in {CampaignState.PAUSING, CampaignState.PAUSED} or campaign.wish != CampaignState.PAUSED:
        return ""
    since = moment(campaign.wished_at or campaign.state_since, at)
    match campaign.hold:
        case Hold.OUTAGE:
            phrase = f"held by outage #{campaign.hold_outage_id} since {since}"
        case Hold.MAINTENANCE:
            phrase = f"held for maintenance since {since}"
        case Hold.THRESHOLD:
            phrase = f"stopped by Holdfast at {since}"
        case _:
            phrase = f"paused by {campaign.wished_by or 'somebody'} at {since}"
    return phrase + (f": {campaign.hold_reason}" if campaign.hold_reason else "")


def remaining(campaign: Campaign, counts: dict[str, int], rate: float | None) -> timedelta | None:
    """How long the rest takes at this rate a minute; None when it is not being sent or there is no data."""
    to_go = counts[DeliveryStatus.QUEUED]
    if campaign.state != CampaignState.SENDING or not rate or not to_go:
        return None
    return timedelta(minutes=to_go / rate)


def start_text(moved: Moved, carrier: str, *, alive: bool, ramp: RampStatus | None = None) -> str:
    text = f"{moved.name} is being sent to {number(moved.to_go, 'recipient')} through {carrier}."
    if ramp is not None:
        text += f" It goes out in stages, {plain(ramp.stages)}: {number(ramp.allowed, 'recipient')} first."
    return f"{text}{_unless(alive, 'It begins')} Stop it with /campaign pause {moved.name}"


def pause_text(moved: Sequence[Moved], undo: int | None = None, *, alive: bool) -> str:
    if not moved:
        return "Nothing is being sent, so there is nothing to pause."
    stopping = [each for each in moved if each.before == CampaignState.SENDING]
    taken = [each for each in moved if each not in stopping]
    sentences = []
    if stopping:
        to_go = number(sum(each.to_go for each in stopping), "recipient")
        told = " A message says when nothing is in flight any more." if alive else _unless(alive, "It is confirmed")
        sentences.append(f"Pausing {_names(stopping)}, with {to_go} still to go.{told}")
    if taken:
        stays = "stays" if len(taken) == 1 else "stay"
        sentences.append(f"{_names(taken)} stood still already and now {stays} paused until a person lets it go on.")
    return " ".join(sentences) + words(undo)


def resume_text(moved: Sequence[Moved], refused: Mapping[str, str], undo: int | None = None, *, alive: bool) -> str:
    sentences = []
    if moved:
        to_go = number(sum(each.to_go for each in moved), "recipient")
        goes = "goes" if len(moved) == 1 else "go"
        sentences.append(f"{_names(moved)} {goes} on, with {to_go} to go.{_unless(alive, 'It begins')}")
    sentences += [f"{name} stays paused. {why}" for name, why in refused.items()]
    return (" ".join(sentences) or "Nothing is paused, so there is nothing to resume.") + words(undo)


def cancel_text(moved: Moved, *, alive: bool) -> str:
    text = f"{moved.name} is cancelled: {number(moved.to_go, 'recipient')} will not get it."
    if moved.after == CampaignState.PAUSING:
        told = " A message says when nothing is in flight any more." if alive else _unless(alive, "It is confirmed")
        text = f"Cancelling {moved.name}: {number(moved.to_go, 'recipient')} will not get it.{told}"
    return f"{text} This cannot be undone; import it under another name to send it after all."


def _names(moved: Sequence[Moved]) -> str:
    return few([each.name for each in moved])


def _unless(alive: bool, what: str) -> str:
    return "" if alive else f" No sender is running: {what[0].lower()}{what[1:]} when one is (holdfast run)."
