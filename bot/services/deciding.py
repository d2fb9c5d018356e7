"""What waits for a decision: for whom, until when, how many people it is about, and what was decided lately."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from bot.access import Access, Actor
from bot.clock import now
from bot.errors import NotAllowedError
from bot.services.approvals import Approvals
from bot.services.campaign_asking import deed_of
from storage import approvals, deciding
from storage.db import Database, Tx
from storage.models import Approval, Campaign, Notice, Resend

LATELY = timedelta(hours=24)
_LATELY_MAX = 5

Kind = Literal["resend", "notice", "rest", "start", "cancel"]
"""`start` and `cancel` are of a large campaign; `rest`: the first 1 % of a resend is out, and the others wait for a
word.
"""


@dataclass(frozen=True)
class Decision:
    """Something that somebody has to decide. `recipients` is how many messages go out when the answer is yes; of the
    end of a campaign, how many it has.
    """

    kind: Kind
    number: int
    plan_hash: str
    recipients: int
    canary: int
    """How many would go out first, with the choice of one per cent; 0 where there is no such choice."""
    counts: Mapping[str, int]
    """What a resend is made of: safe, refused, unknown."""
    campaigns: tuple[str, ...]
    outage_id: int | None
    subject: str
    text: str
    """Of a notice, what people would read."""
    asked_by: str
    asked_at: datetime
    expires_at: datetime | None
    own: bool
    """The person who looks asked for it."""
    obstacle: str | None
    """Why the person who looks may not approve it; None when they may."""

    @property
    def may(self) -> bool:
        return self.obstacle is None

    @property
    def noun(self) -> str:
        return {"notice": "notice", "start": "campaign", "cancel": "campaign"}.get(self.kind, "resend")

    @property
    def word(self) -> str:
        """What a command calls it: the name of a campaign, the number of all else."""
        return self.campaigns[0] if self.noun == "campaign" else str(self.number)


@dataclass(frozen=True)
class Decisions:
    """`waiting`: what the person may decide first, then what expires first. `decided`: of the last day."""

    waiting: tuple[Decision, ...]
    decided: tuple[Approval, ...]
    names: Mapping[int, str]
    """Of the campaigns among what was decided, by id."""
    approvers: tuple[str, ...]
    """Who may approve, as messages name them."""
    only_mine: bool
    at: datetime

    @property
    def for_me(self) -> int:
        return sum(each.may for each in self.waiting)


class Deciding:
    def __init__(self, db: Database, access: Access, rules: Approvals) -> None:
        self._db = db
        self._access = access
        self._rules = rules

    async def waiting(self, actor: Actor, *, only_mine: bool = False) -> Decisions:
        """`only_mine`: what the person may decide, and what they asked for."""
        self._access.require(actor, "look")
        at = now()
        async with self._db.read() as tx:
            found = [*await self._asked(tx, actor, at), *await self._rests(tx, actor)]
            decided = await deciding.decided(tx, at - LATELY, _LATELY_MAX)
            ended = [each.subject_id for each in decided if each.subject == "campaign"]
            names = await deciding.campaign_names(tx, ended)
        shown = [each for each in found if each.may or each.own or not only_mine]
        shown.sort(key=lambda each: (not each.may, each.expires_at is None, each.expires_at or each.asked_at))
        return Decisions(tuple(shown), tuple(decided), names, self._rules.holders("resend.approve"), only_mine, at)

    async def _asked(self, tx: Tx, actor: Actor, at: datetime) -> list[Decision]:
        """What is asked and not overdue: an overdue one is only waiting for the clock's next round."""
        pending = [each for each in await approvals.pending(tx) if each.expires_at > at]
        resends = await deciding.resends_of(tx, [each.subject_id for each in pending if each.subject == "resend"])
        notices = await deciding.notices_of(tx, [each.subject_id for each in pending if each.subject == "notice"])
        names = await deciding.campaign_names(tx, _campaign_ids([*resends.values(), *notices.values()]))
        large = await deciding.campaigns_of(tx, [each.subject_id for each in pending if each.subject == "campaign"])
        about: dict[str, Mapping[int, Resend | Notice]] = {"resend": resends, "notice": notices}
        found = [(each, about.get(each.subject, {}).get(each.subject_id)) for each in pending]
        return [
            *(self._decision(actor, each, what, names) for each, what in found if what is not None),
            *(
                self._of_campaign(actor, each, large[each.subject_id])
                for each in pending
                if each.subject == "campaign" and each.subject_id in large
            ),
        ]

    def _of_campaign(self, actor: Actor, approval: Approval, campaign: Campaign) -> Decision:
        return Decision(
            kind=deed_of(approval),
            number=campaign.id,
            plan_hash=approval.plan_hash,
            recipients=campaign.recipients,
            canary=0,
            counts={},
            campaigns=(campaign.name,),
            outage_id=None,
            subject=campaign.subject,
            text="",
            asked_by=approval.requested_by,
            asked_at=approval.requested_at,
            expires_at=approval.expires_at,
            own=_same(actor, approval.requested_by),
            obstacle=self._obstacle(actor, "campaign.approve", approval.requested_by, campaign.recipients, asked=True),
        )

    def _decision(self, actor: Actor, approval: Approval, about: Resend | Notice, names: Mapping[int, str]) -> Decision:
        is_notice = isinstance(about, Notice)
        recipients = int(about.counts.get("recipients", 0)) if isinstance(about, Notice) else about.total
        canary = 0 if is_notice else int(about.counts.get("canary", 0))
        return Decision(
            kind="notice" if is_notice else "resend",
            number=about.id,
            plan_hash=approval.plan_hash,
            recipients=recipients,
            canary=canary if canary < recipients else 0,
            counts={} if is_notice else about.counts,
            campaigns=tuple(sorted(names[each] for each in about.campaign_ids if each in names)),
            outage_id=about.outage_id,
            subject=about.subject if isinstance(about, Notice) else "",
            text=about.text if isinstance(about, Notice) else "",
            asked_by=approval.requested_by,
            asked_at=approval.requested_at,
            expires_at=approval.expires_at,
            own=_same(actor, approval.requested_by),
            obstacle=self._obstacle(actor, f"{approval.subject}.approve", approval.requested_by, recipients),
        )

    async def _rests(self, tx: Tx, actor: Actor) -> list[Decision]:
        found = await deciding.canaries(tx)
        names = await deciding.campaign_names(tx, _campaign_ids(found))
        return [
            Decision(
                kind="rest",
                number=each.id,
                plan_hash=each.plan_hash,
                recipients=each.total - int(each.counts.get("canary", 0)),
                canary=0,
                counts={},
                campaigns=tuple(sorted(names[one] for one in each.campaign_ids if one in names)),
                outage_id=each.outage_id,
                subject="",
                text="",
                asked_by=each.requested_by,
                asked_at=each.started_at or each.created_at,
                expires_at=None,
                own=_same(actor, each.requested_by),
                obstacle=self._obstacle(actor, "resend.approve", each.requested_by, each.total),
            )
            for each in found
        ]

    def _obstacle(
        self, actor: Actor, permission: str, asked_by: str, recipients: int, *, asked: bool = False
    ) -> str | None:
        if not self._access.allows(actor, permission):
            return "that needs the role approver"
        try:
            self._rules.check_second_person(actor, asked_by, recipients, asked=asked)
        except NotAllowedError:
            return "you asked for it, so somebody else decides"
        return None


def _same(actor: Actor, mention: str) -> bool:
    return mention in {actor.mention, f"<@{actor.id}>"}


def _campaign_ids(about: Sequence[Resend | Notice]) -> set[int]:
    return {each for one in about for each in one.campaign_ids}
