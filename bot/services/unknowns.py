"""Unknown deliveries: listed by name, and counted as delivered where a person knows better than any log."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bot.access import Access, Actor
from bot.clock import now
from bot.config import Settings
from bot.errors import NotFoundError, WrongStateError
from bot.mail.reports.report import token_for
from bot.services import reconciling_words as words
from bot.services.names import ALL
from bot.services.plans import Plan
from bot.services.reconciling_rules import digest_of
from bot.services.reconciling_telling import Settled, record, redraw
from bot.services.resend_planning import find_target
from bot.services.undo_notes import keep
from bot.services.undo_notes import words as undo_words
from bot.services.unknown_shapes import PAGE, Counted, UnknownList, UnknownRow
from bot.services.words import few, joined
from storage import campaigns, reports, resends
from storage.db import Database, Tx
from storage.models import DeliveryReport, DeliveryStatus, ReportKind
from storage.reports import Standing, Unknown

_AT_ONCE = 1_000


@dataclass
class _Picked:
    """What a command means: the unknown deliveries by campaign, without those that an approved resend will send."""

    found: dict[int, list[Unknown]] = field(default_factory=dict)
    standing: dict[int, dict[int, Standing]] = field(default_factory=dict)
    held: int = 0

    @property
    def rows(self) -> list[Unknown]:
        return [each for rows in self.found.values() for each in rows]

    @property
    def campaigns(self) -> list[str]:
        return list(dict.fromkeys(each.campaign for each in self.rows))

    @property
    def what(self) -> str:
        return f"{words.unknown(len(self.rows))} of {joined(self.campaigns)}"


class Unknowns:
    """`/resend unknown` and `/resend delivered`."""

    def __init__(self, db: Database, settings: Settings, access: Access) -> None:
        self._db = db
        self._settings = settings
        self._access = access

    async def list(self, actor: Actor, word: str | None = None, page: int = 1) -> UnknownList:
        """Those of an outage or a campaign, or all there are. Raises NotFoundError for a name that there is not."""
        async with self._db.read() as tx:
            target = await find_target(tx, word) if word else None
            scope = target.scope if target else None
            outage_id, campaign_id = (scope.outage_id, scope.campaign_id) if scope else (None, None)
            counts = await reports.count_unknown(tx, outage_id=outage_id, campaign_id=campaign_id)
            page = min(max(page, 1), max(1, -(-sum(counts.values()) // PAGE)))
            rows = await reports.unknown(
                tx, outage_id=outage_id, campaign_id=campaign_id, limit=PAGE, offset=(page - 1) * PAGE
            )
        return UnknownList(
            word=target.word if target else "",
            rows=[UnknownRow(each, token_for(each.key, each.email)) for each in rows],
            counts=counts,
            page=page,
            may_decide=self._access.allows(actor, "resend.delivered"),
            at=now(),
        )

    async def plan(self, actor: Actor, word: str, which: str) -> Plan:
        """What `count` would do. Raises what it would raise."""
        self._access.require(actor, "resend.delivered")
        async with self._db.read() as tx:
            picked = await _pick(tx, word, which)
        everything = which.casefold() == ALL
        facts = [f"{few([each.email for each in picked.rows])}.", *_left_out(picked.held)]
        facts.append("They would not be sent again." if len(picked.rows) > 1 else "It would not be sent again.")
        return Plan(
            "resend.delivered_all" if everything else "resend.delivered",
            f"count {picked.what} as delivered",
            facts,
            [f"{each.email} of {each.campaign}" for each in picked.rows],
        )

    async def count(self, actor: Actor, word: str, which: str) -> Counted:
        """Count what is unknown as delivered: one address, or `all` of an outage or a campaign.

        Raises NotFoundError where there is no such unknown delivery, WrongStateError where a resend has them.
        """
        self._access.require(actor, "resend.delivered")
        at = now()
        async with self._db.transaction() as tx:
            await resends.alone(tx)
            picked = await _pick(tx, word, which)
            return await self._count(tx, picked, actor, at)

    async def count_one(self, actor: Actor, campaign_id: int, n: int) -> Counted:
        """The delivery of a button. Raises as `count`."""
        self._access.require(actor, "resend.delivered")
        at = now()
        async with self._db.transaction() as tx:
            await resends.alone(tx)
            found = [each for each in await reports.unknown(tx, campaign_id=campaign_id) if each.n == n]
            if not found:
                raise NotFoundError("That delivery is not unknown any more. Nothing was changed.")
            return await self._count(tx, await _free(tx, found), actor, at)

    async def _count(self, tx: Tx, picked: _Picked, actor: Actor, at: datetime) -> Counted:
        reply = f"{actor.mention} counted it as delivered"
        before = {str(campaign_id): [[each.n, each.why] for each in rows] for campaign_id, rows in picked.found.items()}
        within = self._settings.asking.undo_expires_after
        note = {"rows": before, "reply": reply}
        undo = await keep(tx, "resend.delivered", f"the counting of {picked.what}", actor, at, within, note)
        for campaign_id, rows in picked.found.items():
            await _count_those_of(tx, campaign_id, rows, picked.standing[campaign_id], reply, undo, actor, at)
        sentence = f"{picked.what} {'counts' if len(picked.rows) == 1 else 'count'} as delivered now."
        return Counted(" ".join([sentence, *_left_out(picked.held)]) + undo_words(undo), undo)


async def _pick(tx: Tx, word: str, which: str) -> _Picked:
    target = await find_target(tx, word)
    everything = which.casefold() == ALL
    found = await reports.unknown(
        tx,
        outage_id=target.scope.outage_id,
        campaign_id=target.scope.campaign_id,
        email_key=None if everything else which.lower(),
    )
    if not found:
        what = "Nothing" if everything else f"No delivery to {which}"
        raise NotFoundError(
            f"{what} of {target.name} is unknown. Nothing was changed; see /resend unknown {target.word}"
        )
    return await _free(tx, found)


async def _free(tx: Tx, found: Sequence[Unknown]) -> _Picked:
    """Without what a resend under way has in its items. Raises WrongStateError when that is all of them."""
    picked = _Picked()
    by_campaign: dict[int, list[Unknown]] = {}
    for each in found:
        by_campaign.setdefault(each.campaign_id, []).append(each)
    for campaign_id, rows in by_campaign.items():
        standing: dict[int, Standing] = {}
        for start in range(0, len(rows), _AT_ONCE):
            standing |= await reports.standing(tx, campaign_id, [each.n for each in rows[start : start + _AT_ONCE]])
        free = [each for each in rows if not standing[each.n].held]
        picked.held += len(rows) - len(free)
        if free:
            picked.found[campaign_id], picked.standing[campaign_id] = free, standing
    if not picked.found:
        raise WrongStateError(
            "A resend that is under way has them, with a person's approval. Nothing was changed; to stop it: "
            "/resend cancel"
        )
    return picked


async def _count_those_of(
    tx: Tx,
    campaign_id: int,
    rows: Sequence[Unknown],
    standing: dict[int, Standing],
    reply: str,
    undo: int,
    actor: Actor,
    at: datetime,
) -> None:
    settled = Settled(campaign_id)
    digest = digest_of("person", ReportKind.DELIVERED, None, str(undo))
    for start in range(0, len(rows), _AT_ONCE):
        numbers = [each.n for each in rows[start : start + _AT_ONCE]]
        counted = sorted(await reports.count_as_delivered(tx, campaign_id, numbers, reply))
        await reports.add(tx, [_said(campaign_id, n, digest, reply, actor, at) for n in counted])
        for n in counted:
            settled.add(standing[n], DeliveryStatus.DELIVERED)
    campaign = await campaigns.get(tx, campaign_id)
    if campaign is None:
        return
    names = few([standing[n].email for n in settled.last], words.NAMES)
    count = (await reports.count_unknown(tx, campaign_id=campaign_id))[campaign.name]
    left = [each.email for each in await reports.unknown(tx, campaign_id=campaign_id, limit=words.NAMES)]
    text = (
        f"{actor.mention} counted {words.unknown(len(settled.last))} of {campaign.name} as delivered: {names}. "
        f"{words.still_unknown(left, count)}"
    )
    await record(tx, "campaign.counted", text, campaign, settled, actor, at, {"delivered": [*settled.last]})
    await redraw(tx, settled)


def _said(campaign_id: int, n: int, digest: str, reply: str, actor: Actor, at: datetime) -> DeliveryReport:
    return DeliveryReport(
        campaign_id=campaign_id,
        n=n,
        digest=digest,
        kind=ReportKind.DELIVERED,
        source="person",
        reporter=actor.mention,
        at=at,
        seen_at=at,
        words=reply,
        settled_at=at,
        before=DeliveryStatus.UNKNOWN,
        after=DeliveryStatus.DELIVERED,
    )


def _left_out(held: int) -> list[str]:
    if not held:
        return []
    return [f"{held:,} {'is' if held == 1 else 'are'} in a resend that is under way, and left to it."]
