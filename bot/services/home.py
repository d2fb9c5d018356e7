"""The home tab: everything that is going on, read in one go, and what of it waits for the person who looks."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from math import floor, log10
from typing import TypeVar

from bot.access import Access, Actor
from bot.clock import now
from bot.config import RampSettings
from bot.errors import NotAllowedError
from bot.services import outage_reading, server_rows
from bot.services.approvals import Approvals
from bot.services.campaigns import Campaigns
from bot.services.home_shapes import Decision, HomeReport, House, ResendNow
from bot.services.notices import Notices
from bot.services.outage_shapes import Headline
from bot.services.ramp_shapes import RampStatus, status_of
from bot.services.resend_shapes import canary_is_done
from bot.services.resends import Resends
from storage import break_glass, homes, maintenance, notices, outages, ramps, resends, servers, status, workers
from storage.db import Database, Tx
from storage.models import Approval, Campaign, HomeTab, NoticeState, Outage, OutageState, Ramp, Resend, ResendState

NOTE_FOR = timedelta(minutes=10)
"""How long the answer to a click stands in the tab."""
MOST_COUNTED = 100_000
"""A resend's messages are counted up to here: the tab is drawn often, and must stay cheap."""
_OUTAGES = 5
_RESENDS = 5
_DECISIONS_READ = 10
_DECISIONS_SHOWN = 3
_CAMPAIGNS = 8
_MAINTENANCE = 4
_UNDER_WAY = (ResendState.SENDING, ResendState.PAUSING, ResendState.PAUSED)

# What each button of the tab needs. An action that is not named here is not offered.
NEEDS: Mapping[str, str] = {
    "outage.acknowledge": "outage.acknowledge",
    "outage.pause": "campaign.pause",
    "outage.failover": "server.failover",
    "outage.resume": "campaign.resume",
    "outage.resolve": "outage.resolve",
    "resend.approve": "resend.approve",
    "resend.canary": "resend.approve",
    "resend.ramp": "resend.approve",
    "resend.reject": "resend.approve",
    "resend.rest": "resend.approve",
    "resend.pause": "resend.pause",
    "resend.resume": "resend.resume",
    "campaign.pause": "campaign.pause",
    "campaign.resume": "campaign.resume",
    "campaign.approve": "campaign.approve",
    "campaign.reject": "campaign.approve",
    "notice.approve": "notice.approve",
    "notice.reject": "notice.approve",
    "notice.cancel": "notice.cancel",
    "maintenance.cancel": "maintenance.cancel",
}
_SEVERITIES = ("critical", "major", "minor")
T = TypeVar("T")


class Home:
    def __init__(
        self,
        db: Database,
        access: Access,
        approvals: Approvals,
        resends_service: Resends,
        notices_service: Notices,
        campaigns_service: Campaigns,
        limits: RampSettings,
    ) -> None:
        self._db = db
        self._access = access
        self._approvals = approvals
        self._resends = resends_service
        self._notices = notices_service
        self._campaigns = campaigns_service
        self._limits = limits

    async def opened(self, actor: Actor, at: datetime, team: str = "") -> None:
        """The person looks at their tab in this workspace, given by its id: from now on it is kept up to date."""
        async with self._db.transaction() as tx:
            await homes.opened(tx, team, actor.id, actor.name, at, outsider=actor.outsider)

    async def report(self, actor: Actor) -> HomeReport:
        """What this person sees now."""
        return self.seen_by(actor, await self.house())

    def seen_by(self, actor: Actor, house: House, tab: HomeTab | None = None) -> HomeReport:
        """The house with what this person may do in it; `tab` has the answer to their last click."""
        buttons = frozenset(action for action, needed in NEEDS.items() if self._access.allows(actor, needed))
        deciding = [each for each in house.decisions if self._may_decide(actor, each.approval, each.recipients)]
        read = {each.approval.id for each in house.decisions}
        unread = [each for each in house.pending if each.id not in read and self._may_decide(actor, each, 0)]
        mine = len(deciding) + len(unread)
        noted = tab is not None and tab.noted_at is not None and house.at - tab.noted_at < NOTE_FOR
        return HomeReport(
            house=house,
            buttons=buttons,
            decisions=tuple(deciding[:_DECISIONS_SHOWN]),
            more_decisions=mine - min(len(deciding), _DECISIONS_SHOWN),
            others=len(house.pending) - mine,
            rest=tuple(each for each in house.resends if self._may_send_rest(actor, each)),
            outsider=actor.outsider,
            note=tab.note if tab and noted else None,
            noted_at=tab.noted_at if tab and noted else None,
        )

    def _may_decide(self, actor: Actor, approval: Approval, recipients: int) -> bool:
        asked = approval.subject == "campaign"
        return self._access.allows(actor, f"{approval.subject}.approve") and self._is_second(
            actor, approval.requested_by, recipients, asked=asked
        )

    def _may_send_rest(self, actor: Actor, now_so: ResendNow) -> bool:
        resend = now_so.resend
        may = self._access.allows(actor, "resend.approve")
        return now_so.canary_done and may and self._is_second(actor, resend.requested_by, resend.total)

    def _is_second(self, actor: Actor, requested_by: str, recipients: int, *, asked: bool = False) -> bool:
        try:
            self._approvals.check_second_person(actor, requested_by, recipients, asked=asked)
        except NotAllowedError:
            return False
        return True

    # Reading

    async def house(self) -> House:
        """Everything at this moment. No ledger is counted, so it can be read often. Raises StorageError."""
        at = now()
        async with self._db.read() as tx:
            unresolved = sorted(await outages.unresolved(tx), key=_urgency)
            under_way = await resends.in_states(tx, _UNDER_WAY)
            known = await servers.every(tx)
            names = {server.id: server.name for server in known}
            ahead = await maintenance.in_states(tx, maintenance.AHEAD)
            pending = [each for each in await self._approvals.waiting(tx) if each.expires_at > at]
            decisions = await self._decisions(tx, pending[:_DECISIONS_READ], at)
            stopped = tuple(await homes.stopped_campaigns(tx, _CAMPAIGNS))
            sending = tuple(await homes.sending_campaigns(tx, _CAMPAIGNS))
            stages = await self._stages(tx, [*stopped, *sending], under_way[:_RESENDS])
            return House(
                at=at,
                outages=await self._headlines(tx, unresolved[:_OUTAGES], at),
                more_outages=_left_out(unresolved, _OUTAGES),
                campaigns=await status.campaigns_by_state(tx),
                stopped=stopped,
                sending=sending,
                ramps={ramp.campaign_id: shown for ramp, shown in stages if ramp.campaign_id is not None},
                servers=tuple(await server_rows.rows(tx, at, campaigns_too=False)),
                resends=tuple([await _resend_now(tx, each, stages) for each in under_way[:_RESENDS]]),
                more_resends=_left_out(under_way, _RESENDS),
                decisions=decisions,
                pending=(*(each.approval for each in decisions), *pending[_DECISIONS_READ:]),
                maintenance=tuple((window, names[window.server_id]) for window in ahead[:_MAINTENANCE]),
                more_maintenance=_left_out(ahead, _MAINTENANCE),
                glasses=tuple(await break_glass.in_force(tx, at)),
                sender_runs=await workers.alive(tx, at),
            )

    async def _stages(self, tx: Tx, sent: Sequence[Campaign], again: Sequence[Resend]) -> list[tuple[Ramp, RampStatus]]:
        """The ramps of all of them that go out in stages."""
        found = await ramps.of_all(tx, [each.id for each in sent], [each.id for each in again if each.ramped])
        return [(ramp, shown) for ramp in found if (shown := status_of(ramp, self._limits)) is not None]

    async def _headlines(self, tx: Tx, found: Iterable[Outage], at: datetime) -> tuple[Headline, ...]:
        return tuple([await outage_reading.glance(tx, each, at) for each in found])

    async def _decisions(self, tx: Tx, pending: Iterable[Approval], at: datetime) -> tuple[Decision, ...]:
        found = [await self._decision(tx, each, at) for each in pending]
        return tuple(each for each in found if each is not None)

    async def _decision(self, tx: Tx, approval: Approval, at: datetime) -> Decision | None:
        """None when what it is about waits for nobody (any more)."""
        if approval.subject == "campaign":
            asked = await self._campaigns.asked_in(tx, approval)
            return None if asked is None else Decision(approval, asked)
        if approval.subject == "resend":
            resend = await resends.get(tx, approval.subject_id)
            if resend is None or resend.state != ResendState.PLANNED:
                return None
            seen = await self._resends.seen(tx, resend, at)
            return Decision(approval, replace(seen, rate_per_minute=_roughly(seen.rate_per_minute)))
        notice = await notices.get(tx, approval.subject_id)
        if notice is None or notice.state != NoticeState.WAITING:
            return None
        return Decision(approval, await self._notices.seen(tx, notice, at))


def _urgency(outage: Outage) -> tuple[bool, int, int]:
    severity = _SEVERITIES.index(outage.severity) if outage.severity in _SEVERITIES else len(_SEVERITIES)
    taken = outage.acknowledged_at is not None and outage.state != OutageState.OPEN
    return taken, severity, outage.id


def _left_out(found: Sequence[T], limit: int) -> int:
    return max(len(found) - limit, 0)


async def _resend_now(tx: Tx, resend: Resend, stages: Iterable[tuple[Ramp, RampStatus]]) -> ResendNow:
    queued = await homes.still_queued(tx, resend.id, MOST_COUNTED)
    ramp = next((shown for ramp, shown in stages if ramp.resend_id == resend.id), None)
    now_so = ResendNow(resend, None, canary_is_done(resend, queued), ramp)
    return now_so if queued == MOST_COUNTED else replace(now_so, to_go=queued + now_so.held_back)


def _roughly(rate: float | None) -> float | None:
    """To one figure: the exact rate is another one at every look, and a tab that is read must not flicker."""
    if not rate or rate < 1:
        return rate
    step = 10 ** floor(log10(rate))
    return float(round(rate / step) * step)
