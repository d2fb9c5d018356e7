"""What a page says: for somebody who is woken by a phone and has no Slack. Plain text, the worst first."""

from dataclasses import dataclass
from datetime import datetime

from bot.services.outage_shapes import failure_sentence
from bot.services.when import lasting
from bot.services.words import joined, moment, number
from storage.models import Outage, OutageState

_MOST = 5
_REPLY_MAX = 120


@dataclass(frozen=True)
class OutageNews:
    """An unresolved outage, the names of its servers, and how many campaigns it holds."""

    outage: Outage
    servers: tuple[str, ...]
    held: int


@dataclass(frozen=True)
class Situation:
    """What is going on while Slack is away."""

    away_since: datetime
    error: str
    waiting: int
    """Messages that wait for Slack."""
    outages: tuple[OutageNews, ...]
    host: str
    """The machine on whose terminal to go on."""
    again: bool
    """People were paged in this absence before."""
    at: datetime


@dataclass(frozen=True)
class Page:
    title: str
    text: str


def compose(now: Situation) -> Page:
    """An SMS may show the title alone, so it says the worst."""
    still = "still " if now.again else ""
    names = sorted({name for each in now.outages for name in each.servers})
    title = f"Holdfast: Slack is {still}away"
    if names:
        title = f"Holdfast: outage on {joined(names[:_MOST])}, and Slack is {still}away"
    lines = [
        _absence(now),
        "",
        *([_outage(each, now.at) for each in now.outages[:_MOST]] or ["No outage is open."]),
    ]
    if len(now.outages) > _MOST:
        lines.append(f"And {len(now.outages) - _MOST} more.")
    waits = "waits" if now.waiting == 1 else "wait"
    lines += [
        f"{number(now.waiting, 'message')} {waits} for Slack; none is lost.",
        "",
        f"Go on in the terminal of {now.host}:",
        *[f'  holdfast do "{line}"' for line in _commands(now)],
    ]
    return Page(title, "\n".join(lines))


def trial(host: str, at: datetime) -> Page:
    """Nothing is wrong; whoever gets it knows that this road works."""
    text = (
        f"This is a test, sent at {moment(at, at)} from {host}: nothing is wrong. By this road you are paged when "
        "Slack takes no messages."
    )
    return Page("Holdfast: a test page", text)


def _absence(now: Situation) -> str:
    length, since = lasting(now.at - now.away_since), moment(now.away_since, now.at)
    return f"Slack has taken no message for {length}, since {since}. {now.error}"


def _outage(news: OutageNews, at: datetime) -> str:
    outage = news.outage
    failed = failure_sentence(outage.stage, outage.code, outage.reply)
    because = f": {failed[:_REPLY_MAX]}" if failed else ""
    again = " It answers again." if outage.state == OutageState.MONITORING else ""
    who = "Somebody has it." if outage.lead or outage.acknowledged_by else "NOBODY HAS IT YET."
    held = f" {number(news.held, 'campaign')} held." if news.held else ""
    return (
        f"Outage #{outage.id} ({outage.severity}) on {joined(list(news.servers))}, since "
        f"{moment(outage.started_at, at)}{because}.{again} {who}{held}"
    )


def _commands(now: Situation) -> list[str]:
    if not now.outages:
        return ["/holdfast status"]
    first = next((each.outage for each in now.outages if not each.outage.acknowledged_at), now.outages[0].outage)
    take = [] if first.acknowledged_at else [f"/outage ack #{first.id}"]
    return [*take, f"/outage status #{first.id}", "/holdfast status", "/outage help"]
